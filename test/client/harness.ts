/** What the tests of the verbs share: a Temporal server and a worker a file, a sender and a folder a test. */
import { join } from 'node:path';
import { recorderShow, startRecorder, type Recorder } from '../peers/recorder';
import { newFolder, removeFolders } from '../support/folders';
import { end, eventually, startTemporal, type TemporalServer } from '../support/temporal';
import { run, start, type Ended, type Started } from './command';

export interface World {
  server: TemporalServer;
  worker: Started;
  recorder: Recorder;
  /** Where the command is called from; the copies are in its `radio`. */
  cwd: string;
}

/** Call once in a file, at its top: it installs the hooks. */
export function useWorld(): World {
  jest.setTimeout(120_000);
  const world = {} as World;
  beforeAll(async () => {
    world.server = await startTemporal();
    world.worker = startWorker(world);
  });
  afterAll(async () => {
    await end(world.worker.child, 'SIGTERM');
    await world.server.stop();
    removeFolders();
  });
  beforeEach(async () => {
    world.recorder = await startRecorder();
    world.cwd = newFolder('verbs');
  });
  afterEach(async () => {
    await endEverything(world.server);
    await world.recorder.stop();
  });
  return world;
}

export function startWorker({ server }: World): Started {
  return start(['worker', '--listen', '', '--log-level', 'warn'], { env: { TEMPORAL_ADDRESS: server.address } });
}

/** What a test left would keep asking a sender that is gone, and later tests would find its job. */
async function endEverything({ client }: TemporalServer): Promise<void> {
  for await (const { scheduleId } of client.schedule.list()) await client.schedule.getHandle(scheduleId).delete();
  for await (const { workflowId } of client.workflow.list({ query: 'ExecutionStatus = "Running"' }))
    if (!workflowId.startsWith('temporal-sys'))
      await client.workflow
        .getHandle(workflowId)
        .terminate('test over')
        .catch(() => undefined);
  await eventually('the jobs are gone from the list', async () => {
    for await (const _ of client.schedule.list()) return false;
    return true;
  });
}

/** The command in the test's folder, on the file's server. */
export function waybill({ server, cwd }: World, ...args: string[]): Promise<Ended> {
  return run(args, { env: { TEMPORAL_ADDRESS: server.address }, cwd });
}

/** The same, not waited for. */
export function begin({ server, cwd }: World, ...args: string[]): Started {
  return start(args, { env: { TEMPORAL_ADDRESS: server.address }, cwd });
}

/** `audio sync` of the test's sender into `radio`. */
export function syncOf({ recorder }: World, ...more: string[]): string[] {
  return ['audio', 'sync', '-r', recorder.url, '-l', 'radio', '--heartbeat-seconds', '2', ...more];
}

export function json<T>(ended: Ended): T {
  return JSON.parse(ended.stdout) as T;
}

export const copyOf = ({ cwd }: World, show: string): string => join(cwd, 'radio', `${show}.sqlite`);

interface StatusAnswer {
  job: string;
  intervalSeconds: number | null;
  nextAt: string | null;
  workers: string[];
  run: { workflowId: string; phase: string; lanes: { lane: string; cursor: { lastId: number } | null }[] } | null;
  lastRun: { status: string; lanes: { lane: string; cursor: { lastId: number } | null }[] } | null;
  beside: string[];
}

export async function statusOf(world: World, ...which: string[]): Promise<StatusAnswer> {
  return json(await waybill(world, 'audio', 'status', '-o', 'json', ...which));
}

/** A run that has something in the file, and much left to do. */
export async function slowRun(world: World, ...more: string[]): Promise<void> {
  world.recorder.shows.set('show', recorderShow(400));
  world.recorder.delayMs = 60;
  const { code, stderr } = await waybill(world, ...syncOf(world, '-s', '10', '--detach', ...more));
  if (code !== 0) throw new Error(stderr);
  await eventually('some segments have arrived', async () => world.recorder.requests.length > 6);
}
