/** One show at an emulated sender, an empty folder, and legs of a sync between them: the stage of the edge cases. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApplicationFailure } from '@temporalio/common';
import type { AudioSettings, CopySegmentsResult } from '../../activities/audio/contract';
import type { LegInput } from '../../activities/shared/contract';
import { recorderShow, startRecorder, type Recorder } from '../peers/recorder';
import { audioActivities, legOf, runActivity, type LegRun } from './activity';
import { newFolder, removeFolders } from './folders';

export let recorder: Recorder;
export let localDir: string;
/** Of the show named show. */
export let path: string;
let runs = 0;
export const activities = audioActivities();

/** Call once a test file. */
export function useSyncCase(): void {
  beforeEach(async () => {
    recorder = await startRecorder();
    recorder.shows.set('show', recorderShow(40));
    localDir = newFolder('recv');
    path = join(localDir, 'show.sqlite');
  });
  afterEach(async () => {
    await recorder.stop();
    removeFolders();
  });
}

type Rest = Partial<LegInput<unknown, unknown>>;
export function sync(
  settings: Partial<AudioSettings> = {},
  rest: Rest = {},
  run: LegRun = {},
  show = 'show',
): Promise<CopySegmentsResult> {
  const leg = legOf(show, { remoteUrl: recorder.url, localDir, chunkSize: 10, ...settings }, rest);
  runs += 1;
  return runActivity(activities.copySegments, leg, { runId: `run ${runs}`, ...run });
}

async function failureOf(promise: Promise<unknown>): Promise<ApplicationFailure> {
  const error: unknown = await promise.then(
    () => 'nothing was thrown',
    (thrown: unknown) => thrown,
  );
  expect(error).toHaveProperty('message');
  return error as ApplicationFailure;
}

export async function permanentFailure(promise: Promise<unknown>, type: string): Promise<string> {
  const failure = await failureOf(promise);
  expect({ type: failure.type, nonRetryable: failure.nonRetryable, message: failure.message }).toMatchObject({
    type,
    nonRetryable: true,
  });
  return failure.message;
}

export async function retryableFailure(promise: Promise<unknown>): Promise<string> {
  const failure = await failureOf(promise);
  expect(failure.nonRetryable).not.toBe(true);
  return failure.message;
}

export const ids = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
export const drop = (from: number, to: number): void => {
  const show = recorder.shows.get('show');
  if (show !== undefined) show.segments = show.segments.filter(({ id }) => id < from || id > to);
};
export const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
