/** One activity run without a server: its attempt and heartbeat given, its heartbeats, result and failure seen. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { audioSettings, type AudioSettings, type CopySegmentsInput } from '../../activities/audio/contract';
import {
  createAudioActivities,
  type AudioActivities,
  type AudioConfiguration,
} from '../../activities/audio/activities';
import type { LegInput } from '../../activities/shared/contract';

export interface LegRun {
  attempt?: number;
  heartbeatDetails?: unknown;
  runId?: string;
  onHeartbeat?: (details: unknown, environment: MockActivityEnvironment) => void;
}

/** Runs one activity as a worker would. Throws what it throws. */
export async function runActivity<I, O>(activity: (input: I) => Promise<O>, input: I, run: LegRun = {}): Promise<O> {
  const info = {
    attempt: run.attempt ?? 1,
    heartbeatDetails: run.heartbeatDetails,
    activityId: '1',
    ...(run.runId === undefined ? {} : { workflowExecution: { workflowId: 'audio/test', runId: run.runId } }),
  };
  const environment = new MockActivityEnvironment(info, { logger: new DefaultLogger('ERROR') });
  if (run.onHeartbeat !== undefined)
    environment.on('heartbeat', (details: unknown) => run.onHeartbeat?.(details, environment));
  return await environment.run(activity, input);
}

export function audioActivities(configuration: Partial<AudioConfiguration> = {}): AudioActivities {
  return createAudioActivities({ credentials: {}, idleTimeoutMs: 2000, ...configuration });
}

export function legOf(
  lane: string,
  settings: Partial<AudioSettings>,
  rest: Partial<LegInput<unknown, unknown>> = {},
): CopySegmentsInput {
  return {
    lane,
    cursor: null,
    settings: audioSettings.parse(settings),
    retry: [],
    budgetMs: 60_000,
    ...rest,
  } as CopySegmentsInput;
}
