/**
 * Recorded histories, replayed by the workflows as built.
 *
 * A failure here (TMPRL1100, nondeterminism) means: after a deploy of this code, runs that are under way on somebody's
 * server would stop with that very error and retry for ever. Do not record again to make it pass: give the change its
 * `patched('…')`, so that runs from before and after both replay. Histories are recorded by `npm run record-histories`
 * from released code, never from the branch under test; a new situation is added beside them, an old one stays as long
 * as a run of its age may be alive.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir, hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleWorkflowCode, DefaultLogger, makeTelemetryFilterString, Runtime, Worker } from '@temporalio/worker';
import { removeFolders } from '../support/folders';
import { plantedWorkflows } from '../support/planted';
import { payloadsOf } from './payloads';
import { recallSituations } from './recall-situations';
import { contentMark, walletAccounts } from './recall-stage';
import { recordHistories, situationOf } from './record';
import { credentials, situations, token } from './situations';
import { snapchainSituations } from './snapchain-situations';

const recording = process.env['WAYBILL_RECORD_HISTORIES'] === '1';
const folder = join(__dirname, '../histories');
const root = join(__dirname, '../..');
const workflowBundle = { codePath: join(root, 'dist/workflow-bundle.js') };
const logger = new DefaultLogger('ERROR');
/** The refusals that are tested here are warnings to the SDK's core. */
const quiet = makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' });
/** One payload; a whole history may have thousands. */
const payloadBytesMax = 64 * 1024;

interface RecordedEvent {
  activityTaskScheduledEventAttributes?: { activityType: { name: string } };
  childWorkflowExecutionStartedEventAttributes?: { workflowExecution: { runId: string } };
  workflowExecutionStartedEventAttributes?: { originalExecutionRunId: string; workflowId: string };
}
interface RecordedHistory {
  events: RecordedEvent[];
}

const wanted = [situations, recallSituations, snapchainSituations].flatMap((each) => Object.keys(each)).sort();
/** Of the histories: a situation with children has several. */
const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));
const isRecall = (name: string): boolean => name.startsWith('recall-');
/** Of these, runs start others. */
const hasFamilies = (name: string): boolean => isRecall(name) || name.startsWith('snapchain-');
const textOf = (name: string): string => readFileSync(join(folder, `${name}.json`), 'utf8');
const historyOf = (name: string): RecordedHistory => JSON.parse(textOf(name)) as RecordedHistory;
const contents = (name: string): string =>
  [textOf(name), ...payloadsOf(historyOf(name)).map((payload) => payload.toString())].join('\n');

beforeAll(async () => {
  if (!existsSync(workflowBundle.codePath)) throw new Error('dist/ is missing: node scripts/build.mjs makes it');
  if (recording) await recordHistories(folder);
  else Runtime.install({ logger, shutdownSignals: [], telemetryOptions: { logging: { filter: quiet, forward: {} } } });
}, 600_000);
afterAll(removeFolders);

it('every situation has its history, and every history its situation', () => {
  expect([...new Set(readdirSync(folder).map(situationOf))].sort()).toEqual(wanted);
});

it('every run that another one started has its history', () => {
  const events = names.filter(hasFamilies).flatMap((name) => historyOf(name).events);
  const runs = new Set(events.map((event) => event.workflowExecutionStartedEventAttributes?.originalExecutionRunId));
  const started = events.flatMap((event) => event.childWorkflowExecutionStartedEventAttributes ?? []);
  expect(started.length).toBeGreaterThan(Object.keys(recallSituations).length);
  expect(started.filter(({ workflowExecution }) => !runs.has(workflowExecution.runId))).toEqual([]);
});

it.each(names)('%s replays', async (name) => {
  const history = historyOf(name);
  // A child's id may be made of its parent's.
  const { workflowId } = history.events[0]?.workflowExecutionStartedEventAttributes ?? {};
  await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
});

describe('a replay fails', () => {
  it('when the history has another step', async () => {
    const history = historyOf('caught-up');
    const scheduled = history.events.find((event) => event.activityTaskScheduledEventAttributes);
    (scheduled?.activityTaskScheduledEventAttributes as { activityType: object }).activityType = { name: 'another' };
    await expect(Worker.runReplayHistory({ workflowBundle }, history)).rejects.toThrow('TMPRL1100');
  });

  it('when the workflow has one step more', async () => {
    const released = JSON.stringify(join(root, 'workflows/index.ts'));
    const changed = await bundleWorkflowCode({
      workflowsPath: plantedWorkflows(`
        import { sleep } from '@temporalio/workflow';
        import { audioSync as released } from ${released};
        export async function audioSync(input: any) {
          await sleep('1 second');
          return await released(input);
        }`),
      logger,
    });
    const replay = Worker.runReplayHistory({ workflowBundle: changed }, historyOf('caught-up'));
    await expect(replay).rejects.toThrow('TMPRL1100');
  });
});

describe('what histories hold', () => {
  it.each(names)('%s: small payloads only', (name) => {
    const sizes = payloadsOf(historyOf(name)).map((payload) => payload.length);
    expect(sizes.length).toBeGreaterThan(0);
    expect(Math.max(...sizes)).toBeLessThan(payloadBytesMax);
  });

  it('the name of the credentials, and of no history the token', () => {
    expect(contents('caught-up')).toContain(`"credentials":"${credentials}"`);
    for (const name of names) expect(contents(name)).not.toContain(token);
  });

  it('no key of a wallet, and nothing of an object', () => {
    const all = names.filter(isRecall).map(contents).join('\n');
    expect(all).not.toContain(contentMark);
    for (const account of walletAccounts) {
      expect(all).toContain(account.address);
      const key = Buffer.from(account.getHdKey().privateKey ?? []);
      for (const encoding of ['hex', 'base64', 'base64url'] as const) {
        expect(key.toString(encoding).length).toBeGreaterThan(40);
        expect(all.toLowerCase()).not.toContain(key.toString(encoding).toLowerCase());
      }
    }
  });

  it.each(names)('%s: nothing of the machine that recorded it', (name) => {
    for (const trace of [root, tmpdir(), homedir(), `@${hostname()}`, '127.0.0.1']) {
      if (trace.length > 1) expect(contents(name)).not.toContain(trace);
    }
  });
});
