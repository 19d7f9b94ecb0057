/** What a running job can be asked and told. Names are wire format: `temporal workflow query|update` uses them too. */
import { defineQuery, defineUpdate } from '@temporalio/workflow';
import type { Counts, LegResult } from '../../activities/shared/contract';
import type { RunState } from './run-state';

/** A run's state, with the sums a reader wants. */
export type Progress = RunState<unknown, unknown> & { readonly counts: Counts };

export const progressQuery = defineQuery<Progress>('progress');
/** The same question to a child workflow that is a leg: its result so far, as a heartbeat tells it of an activity. */
export const legProgressQuery = defineQuery<LegResult<unknown>>('progress');
/** Stops after the batch in hand and keeps the cursor; answers when the pause is on its way. */
export const pauseUpdate = defineUpdate<Progress, [{ reason?: string } | undefined]>('pause');
/** Goes on: after pause, or after a person has mended what `blocked` named. */
export const resumeUpdate = defineUpdate<Progress>('resume');
/** Changes settings of the run in progress: any subset of the input's keys. The cursor stays. */
export const configureUpdate = defineUpdate<Progress, [Record<string, unknown>]>('configure');
/** Tries parked records and failed lanes again: all, or one lane's. */
export const retryUpdate = defineUpdate<Progress, [{ lane?: string } | undefined]>('retry');
