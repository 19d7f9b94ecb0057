/** The fences between the folders: each planted import is refused, with the sentence that says why. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

interface Planted {
  /** A file that exists: type-aware rules know no other. Its text here is the planted one. */
  readonly file: string;
  readonly text: string;
  /** Null: nothing is wrong. */
  readonly refusal: string | null;
}

const bottom = 'Workflows are the bottom layer.';
const typesOnly = 'Workflows know activities by type only.';
const indeterminate = 'Not deterministic: do it in an activity.';
const callers = 'Activities know nothing of who calls them.';
const otherJobs = 'A job knows its own folder and shared/: what another job does is not its business.';
const sharedKnows = 'What is shared between jobs knows none of them.';
const pure = 'A contract is pure: it imports nothing but zod and contracts.';
const server = 'A server answers HTTP: it starts and steers no workflow.';
const clientSpeaks = 'The client speaks to workflows only.';
const clientDoors =
  'The client reads settings by workers/config and starts processes by workers/processes: no other door.';
const clientServers = 'Servers are started by workers/processes.';
const wiring = 'Workers wire; they do not drive.';
const settings = 'Settings are read in workers/config.ts, once, with their origin.';

const use = (from: string): string => `import * as planted from '${from}';\nexport const seen = planted;\n`;
const useType = (from: string): string =>
  `import type * as planted from '${from}';\nexport type Seen = typeof planted;\n`;
const environment = `export const home = process.env['HOME'];\n`;

const planted: readonly Planted[] = [
  { file: 'workflows/audio.ts', text: use('../activities/audio/copy'), refusal: typesOnly },
  { file: 'workflows/audio.ts', text: useType('../activities/audio/activities'), refusal: null },
  { file: 'workflows/audio.ts', text: use('../activities/audio/contract'), refusal: null },
  { file: 'workflows/audio.ts', text: use('../workers/config'), refusal: bottom },
  { file: 'workflows/audio.ts', text: use('../servers/audio-feed'), refusal: bottom },
  { file: 'workflows/shared/run.ts', text: use('node:fs'), refusal: indeterminate },
  { file: 'workflows/shared/run.ts', text: use('crypto'), refusal: indeterminate },
  { file: 'workflows/shared/run.ts', text: use('@temporalio/client'), refusal: indeterminate },
  { file: 'activities/audio/copy.ts', text: use('../../workflows/shared/names'), refusal: callers },
  { file: 'activities/audio/copy.ts', text: use('../../servers/audio-feed'), refusal: callers },
  { file: 'activities/audio/copy.ts', text: use('../recall/source'), refusal: otherJobs },
  { file: 'activities/audio/copy.ts', text: use('../shared/leg'), refusal: null },
  { file: 'activities/shared/leg.ts', text: use('../audio/copy'), refusal: sharedKnows },
  { file: 'activities/audio/contract.ts', text: use('./copy'), refusal: pure },
  { file: 'activities/audio/contract.ts', text: use('node:path'), refusal: pure },
  { file: 'activities/audio/contract.ts', text: use('../shared/contract'), refusal: null },
  { file: 'servers/audio-feed.ts', text: use('../workflows/shared/names'), refusal: server },
  { file: 'servers/audio-feed.ts', text: use('../workers/config'), refusal: server },
  { file: 'client/main.ts', text: use('../activities/audio/copy'), refusal: clientSpeaks },
  { file: 'client/main.ts', text: use('../workers/run-worker'), refusal: clientDoors },
  { file: 'client/main.ts', text: use('../workers/config'), refusal: null },
  { file: 'client/main.ts', text: use('../servers/audio-feed'), refusal: clientServers },
  { file: 'workers/run-worker.ts', text: use('../client/main'), refusal: wiring },
  { file: 'workers/run-worker.ts', text: use('../test/support/folders'), refusal: wiring },
  ...[
    'workflows/audio.ts',
    'activities/audio/copy.ts',
    'client/main.ts',
    'workers/main.ts',
    'servers/audio-feed.ts',
  ].map((file) => ({ file, text: environment, refusal: settings })),
  { file: 'workers/config.ts', text: environment, refusal: null },
];

/** In a process of its own: ESLint loads its configuration by import(), which a test's own context has not. */
const script = `
  const { ESLint } = require('eslint');
  const eslint = new ESLint();
  const lint = async ({ file, text }) => {
    const [{ messages }] = await eslint.lintText(text, { filePath: file });
    const ours = ['@typescript-eslint/no-restricted-imports', 'no-restricted-properties', null];
    return messages.filter(({ ruleId }) => ours.includes(ruleId)).map(({ message }) => message);
  };
  (async () => {
    const found = [];
    for (const each of ${JSON.stringify(planted)}) found.push(await lint(each));
    process.stdout.write(JSON.stringify(found));
  })();`;

let found: string[][];
beforeAll(() => {
  const cwd = join(__dirname, '..');
  found = JSON.parse(
    execFileSync(process.execPath, ['-e', script], { cwd, maxBuffer: 1 << 24 }).toString(),
  ) as string[][];
}, 120_000);

const titled = planted.map(({ file, text, refusal }, index) => {
  const what = /'(.*?)'/.exec(text)?.[1] ?? '';
  const subject =
    text === environment ? 'the environment' : `${text.startsWith('import type') ? 'types of ' : ''}${what}`;
  return { title: `${file} ${refusal === null ? 'may use' : 'may not use'} ${subject}`, refusal, index };
});

it.each(titled)('$title', ({ refusal, index }) => {
  const messages = found[index] ?? [];
  if (refusal === null) expect(messages).toEqual([]);
  else expect(messages).toContainEqual(expect.stringContaining(refusal));
});
