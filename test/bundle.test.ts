/** The workflows as bundled: they do no I/O, because no module that could is among them. */
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import * as workflows from '../workflows';
import { removeFolders } from './support/folders';
import { plantedWorkflows } from './support/planted';

/** What webpack and the SDK say goes here: some of it is expected. */
let said = '';
const logger = new DefaultLogger('WARN', ({ message }) => {
  said += message;
});
const bundle = (workflowsPath: string): Promise<{ code: string }> => bundleWorkflowCode({ workflowsPath, logger });

afterAll(removeFolders);

/** Modules in a bundle, by the headings that webpack writes above each. */
const modulesOf = (code: string): string[] =>
  [...code.matchAll(/^ +!\*\*\* (\S+?)(?: \S+)? \*\*\*!$/gm)].map(([, path]) => path ?? '');

it('exports exactly these workflows: their names stand in schedules and histories', () => {
  expect(Object.keys(workflows).sort()).toEqual([
    ...['audioRebase', 'audioRetention', 'audioSync', 'audioVerify'],
    ...['recallDryRun', 'recallLane', 'recallRenew', 'recallSetUp', 'recallSurvey', 'recallSync', 'recallVerify'],
    ...['snapchainScan', 'snapchainSurvey', 'snapchainSync', 'snapchainTail', 'snapchainVerify'],
  ]);
});

it('holds workflow code, contracts and what is deterministic of the SDK and zod, nothing else', async () => {
  const { code } = await bundle(require.resolve('../workflows'));
  const modules = modulesOf(code);
  const ours = modules.filter((path) => /^\.\/(workflows|activities|workers|client|servers|test)\//.test(path));
  expect(ours).toContain('./workflows/audio.ts');
  expect(ours.filter((path) => !/^\.\/workflows\/|^\.\/activities\/\w+\/contract\.ts$/.test(path))).toEqual([]);
  const packages = modules.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []);
  const allowed = ['@temporalio/common', '@temporalio/proto', '@temporalio/worker', '@temporalio/workflow', 'zod'];
  expect([...new Set(packages)].filter((name) => !allowed.includes(name)).sort()).toEqual(['long', 'ms', 'nexus-rpc']);
}, 60_000);

it.each([
  ['node:fs', `import { readFileSync } from 'node:fs'; export const audioSync = async () => readFileSync('/x');`],
  ['http', `import { get } from 'http'; export const audioSync = async () => get('http://x');`],
  [
    '@temporalio/client',
    `import { Client } from '@temporalio/client'; export const audioSync = async () => new Client();`,
  ],
])(
  'is refused when a workflow, or a package that it imports, wants %s',
  async (name, source) => {
    said = '';
    const refusal = await bundle(plantedWorkflows(source)).then(String, String);
    // The SDK's sentence, or webpack's where the name says itself that it is Node's.
    expect(`${refusal} ${said}`).toMatch(
      new RegExp(`disallowed modules.*'${name}'|UnhandledSchemeError.*"${name}"`, 's'),
    );
  },
  60_000,
);
