/** A run as of now: what its workflow says, and what the legs in hand have done since they last reported to it. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { addCounts, isLegResult, type Counts, type LegResult } from '../activities/shared/contract';
import { legProgressQuery, progressQuery, type Progress } from '../workflows/shared/messages';
import { partName } from '../workflows/shared/names';
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
  /** Whose workers are to take it; empty where an older server does not say. */
  readonly queue: string;
}

export interface Snapshot {
  readonly status: string;
  /** Null while no worker answers, and for workflows that have no `progress`. */
  readonly progress: Progress | null;
  /** The run's own activities, and those of legs that are child workflows. */
  readonly pending: readonly PendingActivity[];
  /** What legs that are child workflows have kept so far, by their own words. */
  readonly legs: readonly LegResult<unknown>[];
  /** Legs that are runs of their own, with lanes of their own. */
  readonly parts: readonly Part[];
  /** Nothing moves before a worker takes a task. */
  readonly waiting: boolean;
  /** Tries of the workflow's own task, or a leg's; above one, its code fails. */
  readonly taskAttempt: number;
}

export interface Part {
  readonly workflowId: string;
  readonly lanes: readonly LaneState<unknown>[];
}

/** A worker that is there answers in milliseconds. */
const queryMsMax = 2000;
/** A leg's answer is worth less: what it has kept is told by the run as well, a little later. */
const legQueryMsMax = 1000;
const describeMsMax = 5000;

/** Throws when Temporal cannot be reached or does not know the run. */
export async function takeSnapshot(
  client: Client,
  workflowId: string,
  asked: { progress: boolean },
): Promise<Snapshot> {
  // Asked first: counts may then lag behind for a moment, but are never counted twice.
  const progress = asked.progress ? await askProgress(client, workflowId) : null;
  const run = await describeTasks(client, workflowId);
  const children = await Promise.all(run.children.map((child) => legSnapshot(client, child, asked)));
  const tasks = [run, ...children.flatMap(({ tasks: each }) => (each === null ? [] : [each]))];
  const moving = tasks.filter(({ taskState, pending }) => taskState !== null || pending.length > 0);
  return {
    status: run.status,
    progress,
    pending: tasks.flatMap(({ pending }) => pending),
    legs: children.flatMap(({ leg }) => (leg === null ? [] : [leg])),
    parts: children.flatMap(({ part }) => (part === null ? [] : [part])),
    waiting: moving.length > 0 && moving.every(waits),
    taskAttempt: Math.max(...tasks.map(({ taskAttempt }) => taskAttempt)),
  };
}

interface Child {
  readonly workflowId: string;
  /** Absent: the latest of this id. */
  readonly runId?: string;
}

/** The open tasks of one workflow execution. */
interface Tasks {
  readonly status: string;
  readonly pending: readonly PendingActivity[];
  readonly children: readonly Child[];
  /** Null: none is due. */
  readonly taskState: number | null;
  readonly taskAttempt: number;
}

/** A due workflow task comes first: before it is taken nothing of its workflow goes on. */
function waits({ taskState, pending }: Tasks): boolean {
  return taskState === null ? pending.every(({ waiting }) => waiting) : taskState === taskScheduled;
}

async function describeTasks(client: Client, workflowId: string, runId?: string): Promise<Tasks> {
  const description = await client.connection.withDeadline(Date.now() + describeMsMax, () =>
    client.workflow.getHandle(workflowId, runId).describe(),
  );
  const { pendingActivities, pendingChildren, pendingWorkflowTask } = description.raw;
  return {
    status: description.status.name,
    pending: (pendingActivities ?? []).map((activity) => pendingActivity(client, activity)),
    children: (pendingChildren ?? []).map((child) => ({
      workflowId: child.workflowId ?? '',
      runId: child.runId ?? '',
    })),
    taskState: pendingWorkflowTask ? Number(pendingWorkflowTask.state) : null,
    taskAttempt: pendingWorkflowTask?.attempt ?? 0,
  };
}

/** A leg that ends meanwhile, or does not answer, is left out: the run itself soon tells what it came to. */
async function legSnapshot(
  client: Client,
  { workflowId, runId }: Child,
  asked: { progress: boolean },
): Promise<{ leg: LegResult<unknown> | null; part: Part | null; tasks: Tasks | null }> {
  const [answer, tasks] = await Promise.allSettled([
    asked.progress ? askLeg(client, workflowId, runId) : null,
    describeTasks(client, workflowId, runId),
  ]);
  // Gone on as new: the run that its parent started is over, and has its id.
  if (runId !== undefined && tasks.status === 'fulfilled' && tasks.value.status === 'CONTINUED_AS_NEW')
    return await legSnapshot(client, { workflowId }, asked);
  const open = tasks.status === 'fulfilled' && tasks.value.status === 'RUNNING' ? tasks.value : null;
  const told = answer.status === 'fulfilled' ? answer.value : null;
  return {
    leg: isLegResult(told) ? told : null,
    part:
      open !== null && isProgress(told)
        ? { workflowId, lanes: lanesOf({ progress: told, pending: open.pending, legs: [], parts: [] }) }
        : null,
    // Its activities' heartbeats are its own affair: its answer has what they came to.
    tasks: open === null ? null : { ...open, pending: open.pending.map((each) => ({ ...each, leg: null })) },
  };
}

const isProgress = (value: unknown): value is Progress =>
  typeof value === 'object' && value !== null && 'lanes' in value && 'phase' in value;

async function askLeg(client: Client, workflowId: string, runId: string | undefined): Promise<unknown> {
  const ask = (): Promise<unknown> => client.workflow.getHandle(workflowId, runId).query(legProgressQuery);
  return await client.connection.withDeadline(Date.now() + legQueryMsMax, ask);
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
  const { activityType, attempt, heartbeatDetails, lastFailure, nextAttemptScheduleTime, state, activityOptions } =
    activity;
  const payload = heartbeatDetails?.payloads?.[0];
  const details: unknown = payload ? client.options.loadedDataConverter.payloadConverter.fromPayload(payload) : null;
  return {
    type: activityType?.name ?? '',
    attempt: attempt ?? 1,
    leg: isLegResult(details) ? details : null,
    failure: lastFailure ? { type: failureType(lastFailure), message: failureMessage(lastFailure) } : null,
    waiting: Number(state) === activityScheduled && secondsOf(nextAttemptScheduleTime) * 1000 < Date.now(),
    queue: activityOptions?.taskQueue?.name ?? '',
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
export function lanesOf({
  progress,
  pending,
  legs,
  parts,
}: Pick<Snapshot, 'progress' | 'pending' | 'legs' | 'parts'>): LaneState<unknown>[] {
  const lanes = (progress?.lanes ?? []).map((lane) => ({ ...lane }));
  const running = lanes.filter(({ status }) => status === 'running');
  for (const leg of [...pending.map((activity) => activity.leg), ...legs]) {
    if (leg === null) continue;
    const lane = lanes.find((each) => each.lane === leg.lane) ?? (running.length === 1 ? running[0] : undefined);
    if (lane === undefined) continue;
    lane.cursor = leg.cursor ?? lane.cursor;
    lane.counts = addCounts(lane.counts, leg.counts);
  }
  for (const part of parts) {
    // Its id ends with the name of its lane, and its lanes are what that one's cursor is made of.
    const lane = lanes.find((each) => part.workflowId.endsWith(`/${partName(each.lane)}`));
    if (lane === undefined) continue;
    lane.cursor = {
      ...(lane.cursor as object),
      lanes: part.lanes.map(({ lane: name, cursor }) => ({ lane: name, cursor })),
    };
    lane.counts = addCounts(lane.counts, countsOf(part.lanes));
  }
  return lanes;
}

export function countsOf(lanes: readonly { counts: Counts }[]): Counts {
  return lanes.reduce<Counts>((sum, { counts }) => addCounts(sum, counts), {});
}
