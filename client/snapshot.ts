/** A run as of now: what its workflow says, and what the legs in hand have done since they last reported to it. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { addCounts, isLegResult, type Counts, type LegResult } from '../activities/shared/contract';
import { progressQuery, type Progress } from '../workflows/shared/messages';
import type { LaneState } from '../workflows/shared/run-state';
import { isUnanswered } from './connect';

export interface PendingActivity {
  readonly type: string;
  readonly attempt: number;
  /** What the leg has kept so far, by its last heartbeat. */
  readonly leg: (LegResult<unknown> & { readonly lane?: string }) | null;
  readonly failure: { readonly type: string; readonly message: string } | null;
  /** It is due and no worker has taken it. */
  readonly waiting: boolean;
}

export interface Snapshot {
  readonly status: string;
  /** Null while no worker answers, and for workflows that have no `progress`. */
  readonly progress: Progress | null;
  readonly pending: readonly PendingActivity[];
  /** A task of the run waits for a worker to take it. */
  readonly waiting: boolean;
  /** Tries of the workflow's own task; above one, its code fails. */
  readonly taskAttempt: number;
}

/** A worker that is there answers in milliseconds. */
const queryMsMax = 2000;
const describeMsMax = 5000;

/** Throws when Temporal cannot be reached or does not know the run. */
export async function takeSnapshot(
  client: Client,
  workflowId: string,
  asked: { progress: boolean },
): Promise<Snapshot> {
  // Asked first: counts may then lag behind for a moment, but are never counted twice.
  const progress = asked.progress ? await askProgress(client, workflowId) : null;
  const description = await client.connection.withDeadline(Date.now() + describeMsMax, () =>
    client.workflow.getHandle(workflowId).describe(),
  );
  const { pendingActivities, pendingWorkflowTask } = description.raw;
  const pending = (pendingActivities ?? []).map((activity) => pendingActivity(client, activity));
  const taskWaits = Number(pendingWorkflowTask?.state) === taskScheduled;
  const allWait = pending.length > 0 && pending.every(({ waiting }) => waiting);
  return {
    status: description.status.name,
    progress,
    pending,
    waiting: taskWaits || (!pendingWorkflowTask && allWait),
    taskAttempt: pendingWorkflowTask?.attempt ?? 0,
  };
}

async function askProgress(client: Client, workflowId: string): Promise<Progress | null> {
  try {
    const ask = (): Promise<Progress> => client.workflow.getHandle(workflowId).query(progressQuery);
    return await client.connection.withDeadline(Date.now() + queryMsMax, ask);
  } catch (error) {
    if (isUnanswered(error)) return null;
    throw error;
  }
}

type RawActivity = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];
type RawFailure = NonNullable<RawActivity['lastFailure']>;

// temporal.api.enums.v1: PENDING_WORKFLOW_TASK_STATE_SCHEDULED, PENDING_ACTIVITY_STATE_SCHEDULED
const taskScheduled = 1;
const activityScheduled = 1;

function pendingActivity(client: Client, activity: RawActivity): PendingActivity {
  const { activityType, attempt, heartbeatDetails, lastFailure, nextAttemptScheduleTime, state } = activity;
  const payload = heartbeatDetails?.payloads?.[0];
  const details: unknown = payload ? client.options.loadedDataConverter.payloadConverter.fromPayload(payload) : null;
  return {
    type: activityType?.name ?? '',
    attempt: attempt ?? 1,
    leg: isLegResult(details) ? details : null,
    failure: lastFailure ? { type: failureType(lastFailure), message: failureMessage(lastFailure) } : null,
    waiting: Number(state) === activityScheduled && secondsOf(nextAttemptScheduleTime) * 1000 < Date.now(),
  };
}

function secondsOf(time: RawActivity['nextAttemptScheduleTime']): number {
  return Number(time?.seconds ?? 0);
}

function failureType(failure: RawFailure): string {
  return failure.applicationFailureInfo?.type ?? (failure.timeoutFailureInfo ? 'Timeout' : '');
}

/** The message and, where that says more, its cause's. */
function failureMessage({ message, cause }: RawFailure): string {
  const own = message ?? '';
  const inner = cause?.message ?? '';
  return inner === '' || own.includes(inner) ? own : `${own}: ${inner}`;
}

/** The run's lanes, the legs in hand added. */
export function lanesOf({ progress, pending }: Snapshot): LaneState<unknown>[] {
  const lanes = (progress?.lanes ?? []).map((lane) => ({ ...lane }));
  const running = lanes.filter(({ status }) => status === 'running');
  for (const { leg } of pending) {
    if (leg === null) continue;
    const lane = lanes.find((each) => each.lane === leg.lane) ?? (running.length === 1 ? running[0] : undefined);
    if (lane === undefined) continue;
    lane.cursor = leg.cursor ?? lane.cursor;
    lane.counts = addCounts(lane.counts, leg.counts);
  }
  return lanes;
}

export function countsOf(lanes: readonly { counts: Counts }[]): Counts {
  return lanes.reduce<Counts>((sum, { counts }) => addCounts(sum, counts), {});
}
