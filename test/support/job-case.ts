/** A job on a real Temporal server with a worker and an emulated sender: the stage of the run's tests. */
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import type { ShowCursor } from '../../activities/audio/contract';
import type { Progress } from '../../workflows/shared/messages';
import type { LaneState, RunResult } from '../../workflows/shared/run-state';
import { recorderShow, startRecorder, type Recorder } from '../peers/recorder';
import { audioActivities } from './activity';
import { newFolder, removeFolders } from './folders';
import { createJob, eventually, startTemporal, startWorker, triggerRun, type TemporalServer } from './temporal';

export const taskQueue = 'waybill-audio@test';
export let server: TemporalServer;
export let recorder: Recorder;
let worker: { stop(): Promise<void> };
export let localDir: string;
export let jobCount = 0;

const newWorker = (): Promise<{ stop(): Promise<void> }> =>
  startWorker(server, { taskQueue, activities: audioActivities() });

/** Call once a test file. */
export function useJobCase(): void {
  beforeAll(async () => {
    server = await startTemporal();
    worker = await newWorker();
  });
  afterAll(async () => {
    await worker.stop();
    await server.stop();
    removeFolders();
  });
  beforeEach(async () => {
    recorder = await startRecorder();
    localDir = newFolder('recv');
    jobCount += 1;
  });
  afterEach(async () => recorder.stop());
}

export const ids = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
export const file = (show: string): string => join(localDir, `${show}.sqlite`);
export const input = (more: object = {}): object => ({
  remoteUrl: recorder.url,
  localDir,
  chunkSize: 10,
  heartbeatSeconds: 2,
  ...more,
});
export const job = (more: object = {}) =>
  createJob(server.client, `audio/test-${jobCount}`, taskQueue, 'audioSync', input(more));
export const progressOf = (run: WorkflowHandle): Promise<Progress> => run.query<Progress>('progress');
export const resultOf = async (run: WorkflowHandle): Promise<RunResult<ShowCursor>> =>
  (await run.result()) as RunResult<ShowCursor>;
export const lane = (state: { lanes: readonly LaneState<unknown>[] }, name: string): LaneState<ShowCursor> =>
  state.lanes.find((each) => each.lane === name) as LaneState<ShowCursor>;
export const until = (run: WorkflowHandle, what: string, check: (progress: Progress) => boolean): Promise<Progress> =>
  eventually(what, async () => {
    const progress = await progressOf(run);
    return check(progress) ? progress : null;
  });
/** A run that has something in the file and still much to do. */
export async function midRun(
  more: object = {},
): Promise<{ run: WorkflowHandle; schedule: Awaited<ReturnType<typeof job>> }> {
  recorder.shows.set('show', recorderShow(400));
  recorder.delayMs = 60;
  const schedule = await job(more);
  const run = await triggerRun(server.client, schedule);
  await eventually('some segments have arrived', async () => recorder.requests.length > 6);
  return { run, schedule };
}

/** The worker ends, drained; another comes when asked for. */
export const stopWorker = (): Promise<void> => worker.stop();
export async function replaceWorker(): Promise<void> {
  worker = await newWorker();
}
/** A second job in the same test. */
export function anotherJob(): void {
  jobCount += 1;
}
