/**
 * kill -9 of the worker, of the Temporal server and of the sender, in mid-sync, at seeded moments: the copy ends up the
 * same as an undisturbed one, and what is done again is what was in flight. All are real processes.
 *
 * WAYBILL_CHAOS_ROUNDS=50 for a longer go, WAYBILL_CHAOS_SEED=n to see again what a failure printed.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import type { RunResult } from '../../workflows/shared/run-state';
import { newFolder, removeFolders } from '../support/folders';
import { startFront, type Front } from '../support/front';
import { senderProcess, workerProcess, type NodeProcess } from '../support/processes';
import { makeRecording } from '../support/recordings';
import { showContent } from '../support/show-rows';
import { freePort } from '../../workers/free-port';
import { createJob, eventually, startTemporal, triggerRun, type TemporalServer } from '../support/temporal';

const rounds = Number(process.env['WAYBILL_CHAOS_ROUNDS'] ?? 12);
const seed = Number(process.env['WAYBILL_CHAOS_SEED'] ?? Date.now() % 1_000_000);
/** Each has processes of its own, so a kill in one is nothing to the others. */
const stacksMax = 3;
const roundSecondsMax = 120;

const segments = 500;
/** An undisturbed sync takes about 6 s at this pace, a chunk a quarter of a second. */
const bytesPerSecond = 230_000;
const chunkSize = 20;

type Victim = 'worker' | 'temporal' | 'sender';
interface Kill {
  readonly victim: Victim;
  /** When this share of the sync's bytes has passed. */
  readonly at: number;
  readonly pauseMs: number;
}
interface Stack {
  readonly host: string;
  temporal: TemporalServer;
  readonly front: Front;
  readonly worker: NodeProcess;
  readonly sender: NodeProcess;
}
interface Round {
  readonly kills: readonly Kill[];
  readonly seconds: number;
  readonly bytes: number;
  readonly redone: number;
  readonly result: RunResult<unknown>;
  readonly copy: Copy;
}
interface Copy {
  readonly rows: readonly (readonly [id: number, timestampMs: number, flag: number, sha256: string])[];
  readonly metadata: Record<string, string>;
  readonly holes: readonly object[];
  readonly soundness: unknown;
}

let recordings: string;
let stacks: Stack[];
let undisturbed: Round;

beforeAll(async () => {
  recordings = newFolder('recordings');
  const recipe = { name: 'show', segments, bytesPerSegment: 2000, boundaryEvery: 60 };
  makeRecording(join(recordings, 'show.sqlite'), recipe);
  stacks = await Promise.all(Array.from({ length: Math.min(stacksMax, rounds) }, (_, index) => startStack(index)));
  undisturbed = await play(stacks[0] as Stack, 'undisturbed', []);
}, 120_000);
afterAll(async () => {
  for (const { worker, front, sender, temporal } of stacks) {
    await worker.kill();
    await front.stop();
    await sender.kill();
    await temporal.stop();
  }
  removeFolders();
}, 60_000);

async function startStack(index: number): Promise<Stack> {
  const host = `chaos-${index}`;
  const port = await freePort();
  const temporal = await startTemporal();
  const sender = senderProcess(recordings, port);
  const worker = workerProcess(temporal.address, host, { WAYBILL_WORKER_HEARTBEAT_THROTTLE_SECONDS: '0.2' });
  await Promise.all([sender.start(), worker.start()]);
  return { host, temporal, front: await startFront({ port }, bytesPerSecond), worker, sender };
}

/** One sync from nothing to its end, with these kills in it. */
async function play(stack: Stack, name: string, kills: readonly Kill[]): Promise<Round> {
  const localDir = newFolder('recv');
  stack.front.reset();
  const settings = { remoteUrl: stack.front.url, localDir, chunkSize, heartbeatSeconds: 2, legSeconds: 3 };
  const { client } = stack.temporal;
  const job = await createJob(client, `audio/${name}`, `waybill-audio@${stack.host}`, 'audioSync', settings);
  const { workflowId } = await triggerRun(client, job);
  const startedAt = performance.now();
  const restarts = new Map<Victim, Promise<void>>();
  for (const kill of kills) {
    await restarts.get(kill.victim);
    restarts.set(kill.victim, (await strike(stack, kill)).up);
  }
  await Promise.all(restarts.values());
  const result = await eventually(`${name} ends`, () => resultOf(stack, workflowId), roundSecondsMax);
  const { bytes, handedOn } = stack.front;
  return {
    kills,
    seconds: (performance.now() - startedAt) / 1000,
    bytes,
    redone: [...handedOn.values()].reduce((sum, times) => sum + times - 1, 0),
    result,
    copy: copyOf(join(localDir, 'show.sqlite')),
  };
}

/** Kills when the moment has come, and starts again after the pause; `up` resolves when the victim is. */
async function strike(stack: Stack, { victim, at, pauseMs }: Kill): Promise<{ up: Promise<void> }> {
  await stack.front.reached(at * undisturbed.bytes);

  await stack[victim].kill();
  if (victim === 'sender') stack.front.cut();
  return { up: sleep(pauseMs).then(() => stack[victim].start()) };
}

async function resultOf({ temporal }: Stack, workflowId: string): Promise<RunResult<unknown> | null> {
  const run = temporal.client.workflow.getHandle(workflowId);
  const status = await run.describe().then(
    (description) => description.status.name,
    () => 'UNKNOWN', // the server has just come back
  );
  return status === 'RUNNING' || status === 'UNKNOWN' ? null : ((await run.result()) as RunResult<unknown>);
}

function copyOf(path: string): Copy {
  const { rows, metadata, holes } = showContent(path);
  const database = new Database(path, { readonly: true });
  const soundness = database.pragma('integrity_check', { simple: true });
  database.close();
  const sha256 = (audio: Buffer): string => createHash('sha256').update(audio).digest('hex');
  return {
    rows: rows.map((row) => [row.id, row.timestamp_ms, row.is_timestamp_from_source, sha256(row.audio_data)]),
    metadata: { ...metadata, unique_id: (metadata['unique_id'] ?? '').replace(/^local_[0-9a-f-]{36}$/, 'local_*') },
    holes,
    soundness,
  };
}

/** One to three kills; now and then two at the same moment. */
function planOf(round: number): Kill[] {
  const random = randomOf(seed * 1000 + round);
  const victims: readonly Victim[] = ['worker', 'temporal', 'sender'];
  const count = 1 + Math.floor(random() * 3);
  const moments = Array.from({ length: count }, () => 0.05 + random() * 0.85).sort((left, right) => left - right);
  return moments.map((moment, index) => ({
    victim: victims[Math.floor(random() * victims.length)] as Victim,
    at: index > 0 && random() < 0.25 ? (moments[index - 1] as number) : moment,
    pauseMs: Math.floor(random() * 2500),
  }));
}

/** mulberry32: the same numbers from the same seed, everywhere. */
function randomOf(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const rate = (): number => undisturbed.bytes / undisturbed.seconds;
const redoneMs = ({ bytes }: Round): number => ((bytes - undisturbed.bytes) / rate()) * 1000;

function report(round: number, played: Round): void {
  const kills = played.kills.map(
    ({ victim, at, pauseMs }) => `${victim} at ${(at * 100).toFixed(0)}% for ${pauseMs} ms`,
  );
  const lost = (played.seconds - undisturbed.seconds).toFixed(1);
  const counted = Number(played.result.counts['segments']) - segments;
  process.stderr.write(
    `chaos ${seed}/${round}: ${kills.join(', ')}: re-done ${redoneMs(played).toFixed(0)} ms, ` +
      `${played.redone} segments asked twice; ${lost} s lost; counted ${counted >= 0 ? '+' : ''}${counted}\n`,
  );
}

it('an undisturbed sync asks for nothing twice', () => {
  expect(undisturbed.redone).toBe(0);
  expect(undisturbed.copy.rows).toHaveLength(segments);
  expect(undisturbed.copy).toMatchObject({ holes: [], soundness: 'ok', metadata: { unique_id: 'local_*' } });
});

it(
  `after each of ${rounds} rounds of kill -9 the copy is the undisturbed one, with little done twice (seed ${seed})`,
  async () => {
    const queue = Array.from({ length: rounds }, (_, round) => round);
    const played: Round[] = [];
    const work = async (stack: Stack): Promise<void> => {
      for (let round = queue.shift(); round !== undefined; round = queue.shift()) {
        const result = await play(stack, `round-${round}`, planOf(round));
        report(round, result);
        played.push(result);
      }
    };
    await Promise.all(stacks.map(work));
    for (const { copy, result, ...round } of played) {
      expect(copy).toEqual(undisturbed.copy);
      expect(result).toMatchObject({ state: 'completed', parked: [], lanes: [{ status: 'done' }] });
      // What a killed attempt could not say, the file knows; only what came before a run's first heartbeat may be missed.
      expect(result.counts['segments']).toBeLessThanOrEqual(segments);
      expect(result.counts['segments']).toBeGreaterThanOrEqual(segments - 2 * chunkSize);
      // The promise is two seconds of the sync; it is in fact one chunk in flight for each kill.
      expect(redoneMs({ copy, result, ...round })).toBeLessThan(2000);
    }
    summarize(played);
  },
  (roundSecondsMax * 1000 * rounds) / stacksMax + 60_000,
);

it('SIGTERM in mid-leg: the worker hands its leg in and ends in seconds, and nothing that it kept is asked for again', async () => {
  const [stack] = stacks as [Stack];
  const { temporal, front, worker } = stack;
  const localDir = newFolder('recv');
  front.reset();
  const settings = { remoteUrl: front.url, localDir, chunkSize };
  const job = await createJob(temporal.client, 'audio/drained', `waybill-audio@${stack.host}`, 'audioSync', settings);
  const run = await triggerRun(temporal.client, job);
  await front.reached(0.45 * undisturbed.bytes);
  const startedAt = performance.now();
  expect(await worker.stop()).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(5000);
  const kept = copyOf(join(localDir, 'show.sqlite')).rows.length;
  expect(kept).toBeGreaterThan(0);
  expect(kept).toBeLessThan(segments);
  const askedBefore = front.asked.length;

  await worker.start();
  const result = (await run.result()) as RunResult<unknown>;
  expect(result).toMatchObject({ state: 'completed', counts: { segments } });
  const { events = [] } = await run.fetchHistory();
  const legs = (events ?? []).filter((event) => event.activityTaskCompletedEventAttributes).length;
  expect(legs).toBe(3); // the list's plan, the drained leg, the one after it
  expect((events ?? []).some((event) => event.activityTaskFailedEventAttributes)).toBe(false);
  expect((events ?? []).some((event) => event.activityTaskTimedOutEventAttributes)).toBe(false);
  const attempts = (events ?? []).map((event) => event.activityTaskStartedEventAttributes?.attempt ?? 1);
  expect(Math.max(...attempts)).toBe(1);
  expect(front.asked[askedBefore]).toContain(`start_id=${kept + 1}&`);
  expect([...front.handedOn].filter(([id, times]) => times > 1 && id <= kept)).toEqual([]);
  expect(copyOf(join(localDir, 'show.sqlite'))).toEqual(undisturbed.copy);
}, 60_000);

function summarize(played: readonly Round[]): void {
  const spread = (values: readonly number[]): string => {
    const sorted = [...values].sort((left, right) => left - right);
    return `median ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)}, most ${sorted.at(-1)?.toFixed(0)}`;
  };
  const kills = played.reduce((sum, round) => sum + round.kills.length, 0);
  process.stderr.write(
    `chaos ${seed}: ${played.length} rounds, ${kills} kills; re-done ms: ${spread(played.map(redoneMs))}; ` +
      `segments asked twice: ${spread(played.map(({ redone }) => redone))}; ` +
      `seconds lost: ${spread(played.map(({ seconds }) => seconds - undisturbed.seconds))}\n`,
  );
}
