/** Help teaches, and is quick because it loads nothing that only a verb needs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder, removeFolders } from '../support/folders';
import { run } from './command';

afterAll(removeFolders);

const ofEveryJob = 'run start stop status pause resume cancel reset configure failures retry'.split(' ');
const ofAudio = [...ofEveryJob, 'verify', 'serve', 'retention', 'rebase'].map((verb) => ['audio', verb]);
const ofRecall = [...ofEveryJob, 'verify', 'renew'].map((verb) => ['recall', verb]);
const verbs = [
  ...ofAudio,
  ...ofRecall,
  ['audio', 'sync'],
  ['dev'],
  ['worker'],
  ['status'],
  ['doctor'],
  ['demo'],
  ['config', 'show'],
];

const recorder = join(newFolder('preload'), 'loaded.cjs');
writeFileSync(
  recorder,
  `process.on('exit', () => require('node:fs').writeFileSync(process.env.LOADED, Object.keys(require.cache).join('\\n')));`,
);

/** Packages that `waybill` loaded, besides what it said. */
async function packagesOf(
  args: readonly string[],
): Promise<{ code: number | null; stdout: string; packages: string[] }> {
  const loaded = join(newFolder('loaded'), 'files');
  const ended = await run(args, { env: { NODE_OPTIONS: `--require ${recorder}`, LOADED: loaded } });
  const names = readFileSync(loaded, 'utf8').matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g);
  return { ...ended, packages: [...new Set([...names].map(([, name]) => name ?? ''))].sort() };
}

it.each([...verbs, ['audio'], ['recall'], ['config'], []].map((words) => [words.join(' '), words] as const))(
  'waybill %s --help has an example, and loads commander alone',
  async (_, words) => {
    const { code, stdout, packages } = await packagesOf([...words, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: ${['waybill', ...words.slice(0, -1)].join(' ')}`);
    expect(stdout).toMatch(/Examples:\n {2}\S*.*waybill /);
    expect(packages).toEqual(['commander']);
  },
);

it.each([
  ['audio', ofAudio],
  ['recall', ofRecall],
])('the tree of %s has the verbs that are tested here, and no others', async (job, tested) => {
  const { stdout } = await run([job, '--help']);
  const listed = [...stdout.matchAll(/^ {2}([a-z]+)(?:\|[a-z]+)? \[(?:options|command)\]/gm)].map(([, name]) => name);
  expect(listed.filter((name) => name !== 'help').sort()).toEqual(tested.map(([, verb]) => verb).sort());
});

it.each(['bash', 'zsh', 'fish'])('completion %s prints a script', async (shell) => {
  const { code, stdout } = await run(['completion', shell]);
  expect(code).toBe(0);
  expect(stdout).toContain('waybill');
  expect(stdout.split('\n').length).toBeGreaterThan(10);
});

it('a shell that asks is told the verbs', async () => {
  const { stdout } = await run(['complete', '--', 'audio', 're']);
  expect(stdout).toMatch(/^resume\t/m);
  expect(stdout).toMatch(/^retry\t/m);
  expect(stdout).not.toMatch(/^status\t/m);
});
