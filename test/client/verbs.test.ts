/** The command against a real Temporal server, a real worker process and a sender that can be made to fail. */
import { existsSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { makeRecording } from '../support/recordings';
import { recorderShow, segmentOf, sendJson, startRecorder, type Recorder } from '../peers/recorder';
import { newFolder, removeFolders } from '../support/folders';
import { end, eventually, startTemporal, type TemporalServer } from '../support/temporal';
import { run, start, type Ended, type Started } from './command';

jest.setTimeout(120_000);

let server: TemporalServer;
let worker: Started;
let recorder: Recorder;
let cwd: string;
let env: Record<string, string>;
const host = hostname();

const startWorker = (): Started =>
  start(['worker', '--listen', '', '--log-level', 'warn'], { env: { TEMPORAL_ADDRESS: server.address } });
const waybill = (...args: string[]): Promise<Ended> => run(args, { env, cwd });
const follow = (...args: string[]): Started => start(args, { env, cwd });
const ofSync = (...more: string[]): string[] => [
  'audio',
  'sync',
  '-r',
  recorder.url,
  '-l',
  'radio',
  '--heartbeat-seconds',
  '2',
  ...more,
];
const json = <T>(ended: Ended): T => JSON.parse(ended.stdout) as T;
const copy = (show: string): string => join(cwd, 'radio', `${show}.sqlite`);

beforeAll(async () => {
  server = await startTemporal();
  worker = startWorker();
});
afterAll(async () => {
  await end(worker.child, 'SIGTERM');
  await server.stop();
  removeFolders();
});
beforeEach(async () => {
  recorder = await startRecorder();
  cwd = newFolder('verbs');
  env = { TEMPORAL_ADDRESS: server.address };
});
afterEach(async () => {
  // What a test left running would keep asking a sender that is gone, and later tests would find its job.
  for await (const { scheduleId } of server.client.schedule.list())
    await server.client.schedule.getHandle(scheduleId).delete();
  for await (const { workflowId } of server.client.workflow.list({
    query: 'ExecutionStatus = "Running" AND WorkflowType STARTS_WITH "audio"',
  }))
    await server.client.workflow
      .getHandle(workflowId)
      .terminate('test over')
      .catch(() => undefined);
  await eventually('the jobs are gone from the list', async () => {
    for await (const _ of server.client.schedule.list()) return false;
    return true;
  });
  await recorder.stop();
});

/** A run that has something in the file, and much left to do. */
async function slowRun(...more: string[]): Promise<void> {
  recorder.shows.set('show', recorderShow(400));
  recorder.delayMs = 60;
  expect((await waybill(...ofSync('-s', '10', '--detach', ...more))).code).toBe(0);
  await eventually('some segments have arrived', async () => recorder.requests.length > 6);
}

interface StatusAnswer {
  job: string;
  intervalSeconds: number | null;
  nextAt: string | null;
  workers: string[];
  run: { workflowId: string; phase: string; lanes: { lane: string; cursor: { lastId: number } }[] } | null;
  lastRun: { status: string; lanes: { lane: string; cursor: { lastId: number } }[] } | null;
  beside: string[];
}
const status = async (...which: string[]): Promise<StatusAnswer> =>
  json(await waybill('audio', 'status', '-o', 'json', ...which));

describe('sync', () => {
  it('copies every show, reports each, and finds nothing to do the second time', async () => {
    recorder.shows.set('a', recorderShow(25));
    recorder.shows.set('b', recorderShow(12));
    const first = await waybill(...ofSync());
    expect(first.stderr).toContain('a run begins');
    expect(first.stdout).toBe(
      'a  synced to 25 (25 segments, 1.0 kB, 0 holes)\nb  synced to 12 (12 segments, 480 B, 0 holes)\n',
    );
    expect(first.code).toBe(0);
    const second = await waybill(...ofSync('--fail-if-nothing'));
    expect(second.stdout).toBe('a  up to date at 25\nb  up to date at 12\n');
    expect(second.code).toBe(9);
  });

  it('is one object with -o json, and a line an event with jsonl', async () => {
    recorder.shows.set('a', recorderShow(25));
    const answer = json<{ outcome: string; lanes: { lane: string; position: number }[]; exitCode: number }>(
      await waybill(...ofSync('-o', 'json')),
    );
    expect(answer).toMatchObject({ outcome: 'completed', lanes: [{ lane: 'a', position: 25 }], exitCode: 0 });
    const { stdout } = await waybill(...ofSync('-o', 'jsonl'));
    const types = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types[0]).toBe('following');
    expect(types.at(-1)).toBe('result');
  });

  it('ends with 5 when one show failed, and failures and retry know it', async () => {
    recorder.shows.set('a', recorderShow(25));
    const { code, stdout } = await waybill(...ofSync('-n', 'gone', '-n', 'a'));
    expect(stdout).toMatch(/gone +FAILED ShowGone: .*404/);
    expect(stdout).toMatch(/a +synced to 25/);
    expect(code).toBe(5);
    const failures = await waybill('audio', 'failures', '-l', 'radio', '-o', 'json');
    expect(json(failures)).toMatchObject({ failed: [{ lane: 'gone', type: 'ShowGone' }], parked: [] });
    expect(failures.code).toBe(5);
    recorder.shows.set('gone', recorderShow(7));
    const retried = await waybill('audio', 'retry', '-l', 'radio');
    expect(retried.stdout).toMatch(/gone +synced to 7/);
    expect(retried.code).toBe(0);
    expect((await waybill('audio', 'failures', '-l', 'radio')).code).toBe(0);
  });

  it('ends with 4 while the sender is away, and the run goes on by itself', async () => {
    recorder.shows.set('a', recorderShow(25));
    recorder.intercept = ({ response }) => {
      sendJson(response, 503, { error: 'not now' });
      return true;
    };
    const { code, stderr, stdout } = await waybill(...ofSync('--unreachable-after', '3'));
    expect(stdout).toMatch(/nothing moves: .*503/);
    expect(stderr).toContain('waybill audio cancel --job radio-');
    expect(code).toBe(4);
    recorder.intercept = null;
    const joined = await waybill(...ofSync('--unreachable-after', '60'));
    expect(joined.stderr).toContain('under way already');
    expect(joined.code).toBe(0);
  });

  it('ends with 3 where a person must act, and resumes what that person had changed', async () => {
    recorder.shows.set('a', recorderShow(25));
    const blocked = await waybill(...ofSync('--credentials', 'nobody'));
    expect(blocked.stdout).toContain('run BLOCKED CredentialsMissing');
    expect(blocked.code).toBe(3);
    const mended = await waybill(...ofSync());
    expect(mended.stderr).toContain('credentials is "nobody", asked ""');
    expect(mended.stdout).toContain('a  synced to 25');
    expect(mended.code).toBe(0);
  });

  it('refuses to change the settings of a run in progress, and says how', async () => {
    await slowRun();
    const { code, stderr } = await waybill(...ofSync('-s', '20'));
    expect(stderr).toContain('chunkSize is 10, asked 20');
    expect(stderr).toContain('waybill audio configure --job radio-');
    expect(code).toBe(1);
  });

  it('lets go at Ctrl-C, and the run goes on', async () => {
    await slowRun();
    const following = follow(...ofSync('-s', '10'));
    await eventually('it follows', async () => following.stderr().includes('show '));
    following.child.kill('SIGINT');
    const { code, stderr } = await following.ended;
    expect(stderr).toContain('no longer following');
    expect(stderr).toContain('waybill audio cancel --job');
    expect(code).toBe(130);
    expect((await status()).run?.phase).toBe('running');
  });

  it('says which queue has no worker, and ends with 4', async () => {
    recorder.shows.set('a', recorderShow(5));
    const { code, stderr } = await waybill(...ofSync('--host', 'nowhere', '--unreachable-after', '7'));
    expect(stderr).toContain(
      'no worker takes tasks of the queue waybill-audio@nowhere: start one with `waybill worker --job audio`',
    );
    expect(code).toBe(4);
    expect(await status('--job', (await status()).job)).toMatchObject({ workers: [], run: { phase: null } });
  });
});

describe('a job', () => {
  it('runs at its interval from start to stop, and keeps its position', async () => {
    recorder.shows.set('a', recorderShow(5));
    const started = await waybill('audio', 'start', ...ofSync().slice(2), '--interval', '2');
    expect(started.stdout).toContain('every 2 s; the first run is under way');
    expect(started.code).toBe(0);
    await eventually(
      'the first run has ended',
      async () => (await status('-l', 'radio')).lastRun?.status === 'completed',
    );
    recorder.shows.get('a')?.segments.push(segmentOf(6));
    await eventually(
      'a scheduled run has brought the new segment',
      async () => (await status('-l', 'radio')).lastRun?.lanes[0]?.cursor.lastId === 6,
    );
    expect(await status('-l', 'radio')).toMatchObject({ intervalSeconds: 2, nextAt: expect.any(String) });
    expect((await waybill('audio', 'stop', '-l', 'radio')).stdout).toContain('no longer every 2 s');
    expect(await status('-l', 'radio')).toMatchObject({ intervalSeconds: null, nextAt: null });
    const again = await eventually('an interval run that was in progress has ended', async () => {
      const ended = await waybill(...ofSync());
      return ended.stderr.includes('a run begins') ? ended : null;
    });
    expect(again.stdout).toBe('a  up to date at 6\n');
  });

  it('is paused, changed, resumed and cancelled in the middle, and goes on from there', async () => {
    await slowRun();
    expect((await waybill('audio', 'pause', '-l', 'radio', '--reason', 'lunch')).code).toBe(0);
    const paused = await eventually('paused', async () => {
      const { run } = await status('-l', 'radio');
      return run?.phase === 'paused' ? run : null;
    });
    const joined = await waybill(...ofSync('-s', '10'));
    expect(joined.stdout).toContain('run paused: lunch');
    expect(joined.code).toBe(1);
    const changed = await waybill('audio', 'configure', '-l', 'radio', '-s', '20', '-o', 'json');
    expect(json(changed)).toMatchObject({ changed: { chunkSize: 20 } });
    expect((await waybill('audio', 'resume', '-l', 'radio')).stdout).toContain('the run goes on');
    const cancelled = await waybill('audio', 'cancel', '-l', 'radio', '-o', 'json');
    const { outcome, lanes } = json<{ outcome: string; lanes: { cursor: { lastId: number } }[] }>(cancelled);
    expect(outcome).toBe('cancelled');
    expect(cancelled.code).toBe(0);
    const stoppedAt = lanes[0]?.cursor.lastId ?? 0;
    expect(stoppedAt).toBeGreaterThanOrEqual(paused.lanes[0]?.cursor.lastId ?? 0);
    expect(stoppedAt).toBeLessThan(400);
    recorder.delayMs = 0;
    const rest = await waybill(...ofSync('-s', '20'));
    expect(rest.stdout).toContain(`synced to 400 (${400 - stoppedAt} segments`);
    expect((await waybill('audio', 'cancel', '-l', 'radio')).code).toBe(1);
  });

  it('is forgotten by reset, but not while a run is open; the file keeps its own position', async () => {
    await slowRun();
    const refused = await waybill('audio', 'reset', '-l', 'radio');
    expect(refused.stderr).toContain('End it first: waybill audio cancel');
    expect(refused.code).toBe(1);
    await waybill('audio', 'cancel', '-l', 'radio');
    expect((await waybill('audio', 'reset', '-l', 'radio')).code).toBe(0);
    expect(await status('-l', 'radio')).toMatchObject({ lastRun: null, run: null });
    recorder.delayMs = 0;
    const requestsBefore = recorder.requests.length;
    expect((await waybill(...ofSync('-s', '10'))).code).toBe(0);
    expect(recorder.requests.slice(requestsBefore).join()).not.toContain('start_id=1&end_id=400');
  });

  it('is the only one, or has to be named', async () => {
    recorder.shows.set('a', recorderShow(5));
    const none = await waybill('audio', 'status');
    expect(none.stderr).toContain('There is none yet');
    expect(none.code).toBe(2);
    await waybill(...ofSync('--job', 'one'));
    await eventually('listed', async () => (await waybill('audio', 'status')).code === 0);
    await waybill('audio', 'sync', '-r', recorder.url, '-l', 'other', '--job', 'two');
    const two = await eventually('both listed', async () => {
      const ended = await waybill('audio', 'status');
      return ended.code === 2 ? ended : null;
    });
    expect(two.stderr).toContain('--job one\n  --job two');
    expect((await waybill('audio', 'status', '--job', 'two')).stdout).toContain('audio/two: runs when asked');
    expect((await waybill('status')).stdout).toMatch(/audio\/one .*completed\naudio\/two .*completed/);
    const wrong = await waybill('audio', 'status', '--job', 'three');
    expect(wrong.stderr).toContain('there is no job audio/three');
    expect(wrong.code).toBe(2);
  });

  it('shows a run that somebody started without it', async () => {
    await slowRun();
    const input = { remoteUrl: recorder.url, localDir: join(cwd, 'other'), chunkSize: 10, heartbeatSeconds: 2 };
    await server.client.workflow.start('audioSync', {
      workflowId: 'by-hand',
      taskQueue: `waybill-audio@${host}`,
      args: [input],
    });
    await eventually('it is told', async () => (await status('-l', 'radio')).beside.includes('by-hand'));
  });
});

describe('what is copied', () => {
  beforeEach(async () => {
    recorder.shows.set('a', recorderShow(25));
    expect((await waybill(...ofSync())).code).toBe(0);
  });

  it('is verified: equal, then behind, then drifted', async () => {
    const equal = await waybill('audio', 'verify', '-l', 'radio');
    expect(equal.stdout).toBe('a: equal\n  = 25 matched\n');
    expect(equal.code).toBe(0);
    recorder.shows.get('a')?.segments.push(segmentOf(26));
    expect((await waybill('audio', 'verify', '-l', 'radio')).stdout).toContain('> 1 not synced yet');
    const database = new Database(copy('a'));
    database.prepare('UPDATE segments SET audio_data = ? WHERE id = 12').run(Buffer.from('other'));
    database.prepare('DELETE FROM segments WHERE id = 14').run();
    database.close();
    const drifted = await waybill('audio', 'verify', '-l', 'radio');
    expect(drifted.stdout).toContain('a: DIFFERS\n  = 23 matched\n  * 1 differing\n  - 1 missing locally');
    expect(drifted.stdout).toContain('differs 12');
    expect(drifted.code).toBe(1);
  });

  it('goes on from a replaced source once that is accepted', async () => {
    recorder.shows.set('a', recorderShow(30, { uniqueId: 'db_Replaced0001' }));
    const refused = await waybill(...ofSync());
    expect(refused.stdout).toContain('FAILED SourceReplaced');
    expect(refused.code).toBe(1);
    const rebased = await waybill('audio', 'rebase', '-l', 'radio', '--show', 'a');
    expect(rebased.stdout).toBe('a: goes on after 25 from db_Replaced0001, formerly db_a1B2c3D4e5F6\n');
    expect(rebased.code).toBe(0);
    expect((await waybill(...ofSync())).stdout).toContain('a  synced to 30 (5 segments');
  });

  it('survives its worker: killed in the middle, the next one goes on', async () => {
    rmSync(copy('a'));
    await slowRun('-n', 'show');
    await end(worker.child, 'SIGKILL');
    worker = startWorker();
    recorder.delayMs = 0;
    const { code, stdout } = await waybill(...ofSync('-s', '10', '-n', 'show', '--unreachable-after', '60'));
    expect(stdout).toMatch(/show +synced to 400/);
    expect(code).toBe(0);
  });
});

describe('the sender’s side', () => {
  it('serves a folder until it is told to end, and retention trims it', async () => {
    const dir = newFolder('recordings');
    const old = Date.now() - 400 * 3_600_000;
    makeRecording(join(dir, 'night.sqlite'), {
      name: 'night',
      segments: 20,
      bytesPerSegment: 400,
      boundaryEvery: 5,
      startMs: old,
    });
    const serving = follow('audio', 'serve', '--dir', dir, '--port', '0', '-o', 'json');
    const url = await eventually('it says where', async () => /-r (http:\S+)/.exec(serving.stderr())?.[1]);
    expect((await waybill('audio', 'sync', '-r', url, '-l', 'radio')).stdout).toContain('night  synced to 20');
    expect(existsSync(copy('night'))).toBe(true);
    const dry = await waybill('audio', 'retention', '--dir', dir, '--dry-run');
    expect(dry.stdout).toBe('night  would delete 15 segments, kept from 16\n');
    expect(dry.code).toBe(0);
    const repeated = await waybill('audio', 'retention', '--dir', dir, '--interval', '3600');
    expect(repeated.stdout).toContain('now and every 1 h');
    await eventually('it has been done', async () =>
      (await waybill('audio', 'retention', '--dir', dir, '--dry-run')).stdout.includes('would delete 0'),
    );
    expect((await waybill('audio', 'retention', '--dir', dir, '--stop')).code).toBe(0);
    serving.child.kill('SIGTERM');
    expect((await serving.ended).code).toBe(0);
  });
});

it('doctor is content when everything is there', async () => {
  const { code, stdout } = await run(['doctor'], { env: { ...env, WAYBILL_AUDIO_LOCAL_DIR: cwd } });
  expect(stdout).toMatch(/ok +search attributes/);
  expect(stdout).toMatch(new RegExp(`ok +worker of waybill-audio@${host}`));
  expect(stdout).toMatch(/ok +audio\.local_dir .*free/);
  expect(code).toBe(0);
});
