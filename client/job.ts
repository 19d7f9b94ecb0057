/**
 * A job is a Schedule, a run is its workflow. What a program, or the command, can do with one.
 *
 * What must hold: every trigger is SKIP, said aloud. The SDK's default, ALLOW_ALL, starts a run beside the one in progress
 * that is neither given the last run's result nor leaves its own.
 */
import {
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  type Client,
  type ScheduleDescription,
  type ScheduleHandle,
} from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { jobId, jobKinds, syncWorkflow, taskQueue, type JobKind } from '../workflows/shared/names';

export interface Job {
  readonly kind: JobKind;
  readonly name: string;
  /** Whose worker does it. */
  readonly host: string;
  /** The workflow's input. */
  readonly settings: object;
  /** What its runs are, if not the kind's own sync. */
  readonly workflowType?: string;
  /** One line for the UI. */
  readonly summary: string;
}

/** Starts missed while Temporal was away are not made up for: the next run moves everything there is anyway. */
const catchupWindow = '1 minute';
/** From a trigger to its run takes milliseconds; a busy server a second or two. */
const startMsMax = 15_000;
const pollMs = 100;

/** Null if there is no such job. */
export async function describeJob(client: Client, id: string): Promise<ScheduleDescription | null> {
  try {
    return await client.schedule.getHandle(id).describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  }
}

export interface ListedJob {
  readonly kind: JobKind;
  readonly name: string;
  readonly id: string;
}

/** By name. A job that was made in the last second may be missing: lists follow behind. */
export async function listJobs(client: Client, kinds: readonly JobKind[] = jobKinds): Promise<ListedJob[]> {
  const found: ListedJob[] = [];
  for await (const { scheduleId: id, action } of client.schedule.list()) {
    // What is repeated beside a job, such as a renewal, starts another workflow.
    const kind = kinds.find((each) => id.startsWith(jobId(each, '')) && action?.workflowType === syncWorkflow[each]);
    if (kind !== undefined) found.push({ kind, id, name: id.slice(jobId(kind, '').length) });
  }
  return found.sort((left, right) => (left.id < right.id ? -1 : 1));
}

/** Makes the job, or gives it these settings. An interval it has stays, unless `intervalSeconds` says otherwise. */
export async function ensureJob(
  client: Client,
  job: Job,
  intervalSeconds?: number,
): Promise<'created' | 'changed' | 'kept'> {
  const id = jobId(job.kind, job.name);
  const spec = intervalSeconds === undefined ? undefined : { intervals: [{ every: intervalSeconds * 1000 }] };
  const action = actionOf(job);
  try {
    const policies = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow };
    await client.schedule.create({ scheduleId: id, spec: spec ?? {}, policies, action });
    return 'created';
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
  const handle = client.schedule.getHandle(id);
  const before = await handle.describe();
  const same = isDeepStrictEqual(before.action.args, action.args) && before.action.taskQueue === action.taskQueue;
  if (same && spec === undefined) return 'kept';
  await handle.update((previous) => ({ ...previous, spec: spec ?? previous.spec, action }));
  return 'changed';
}

function actionOf({ kind, name, host, settings, summary, workflowType }: Job): {
  type: 'startWorkflow';
  workflowType: string;
  workflowId: string;
  taskQueue: string;
  args: [object];
  staticSummary: string;
} {
  return {
    type: 'startWorkflow',
    workflowType: workflowType ?? syncWorkflow[kind],
    workflowId: jobId(kind, name),
    taskQueue: taskQueue(kind, host),
    args: [settings],
    staticSummary: summary,
  };
}

export interface RunRef {
  readonly workflowId: string;
  /** The first of the runs that continue each other. */
  readonly firstRunId: string;
}

/** The job's runs that have not ended, the oldest first. More than one: somebody triggered with another overlap policy. */
export async function openRuns(client: Client, description: ScheduleDescription): Promise<RunRef[]> {
  const { runningActions, recentActions } = description.info;
  const last = recentActions.at(-1)?.action;
  const candidates = new Map(
    [...runningActions, ...(last === undefined ? [] : [last])].map(({ workflow }) => [workflow.workflowId, workflow]),
  );
  const open: RunRef[] = [];
  for (const { workflowId, firstExecutionRunId } of candidates.values())
    if (await isOpen(client, workflowId)) open.push({ workflowId, firstRunId: firstExecutionRunId });
  return open;
}

/** False as well if there is no such run. */
export async function isOpen(client: Client, workflowId: string): Promise<boolean> {
  try {
    const { status } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING' || status.name === 'PAUSED';
  } catch (error) {
    // The history is gone: retention outlived it.
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') return false;
    throw error;
  }
}

/** The last run that was started, ended or not; null if there was none. */
export function lastRun({ info }: ScheduleDescription): RunRef | null {
  const last = info.recentActions.at(-1)?.action.workflow;
  return last === undefined ? null : { workflowId: last.workflowId, firstRunId: last.firstExecutionRunId };
}

/** Starts a run, or finds the one that another trigger has just started. */
export async function triggerJob(client: Client, id: string): Promise<RunRef> {
  const handle = client.schedule.getHandle(id);
  const known = new Set(
    (await handle.describe()).info.recentActions.map(({ action }) => action.workflow.firstExecutionRunId),
  );
  const until = performance.now() + startMsMax;
  while (performance.now() < until) {
    const skippedBefore = (await handle.describe()).info.numActionsSkippedOverlap;
    await handle.trigger(ScheduleOverlapPolicy.SKIP);
    const run = await startedRun(client, handle, { known, skippedBefore, until });
    if (run !== null) return run;
  }
  throw new Error(`job ${id}: triggered, but no run began within ${startMsMax / 1000} s. See the schedule in the UI.`);
}

/** Null when the trigger was skipped although nothing is open: the schedule had not yet heard that its last run ended. */
async function startedRun(
  client: Client,
  handle: ScheduleHandle,
  { known, skippedBefore, until }: { known: ReadonlySet<string>; skippedBefore: number; until: number },
): Promise<RunRef | null> {
  while (performance.now() < until) {
    const description = await handle.describe();
    const { recentActions, numActionsSkippedOverlap } = description.info;
    const fresh = recentActions.findLast(({ action }) => !known.has(action.workflow.firstExecutionRunId));
    if (fresh !== undefined) {
      const { workflowId, firstExecutionRunId } = fresh.action.workflow;
      return { workflowId, firstRunId: firstExecutionRunId };
    }
    if (numActionsSkippedOverlap > skippedBefore) return (await openRuns(client, description))[0] ?? null;
    await sleep(pollMs);
  }
  return null;
}

/** Gives the job its interval and starts a first run at once, unless one is open. */
export async function startJob(client: Client, job: Job, intervalSeconds: number): Promise<RunRef> {
  await ensureJob(client, job, intervalSeconds);
  const id = jobId(job.kind, job.name);
  const open = await openRuns(client, await client.schedule.getHandle(id).describe());
  return open[0] ?? (await triggerJob(client, id));
}

/** Takes the interval away and keeps the job. A run in progress goes on. Throws ScheduleNotFoundError. */
export async function stopJob(client: Client, id: string): Promise<void> {
  await client.schedule.getHandle(id).update((previous) => ({ ...previous, spec: {} }));
}

/** The same job without the last run's result. The caller has made sure that no run is open. */
export async function resetJob(client: Client, id: string): Promise<void> {
  const handle = client.schedule.getHandle(id);
  const { spec, action, policies, state } = await handle.describe();
  await handle.delete();
  const until = performance.now() + startMsMax;
  for (;;) {
    try {
      await client.schedule.create({
        scheduleId: id,
        spec,
        action,
        policies: { ...policies, overlap: ScheduleOverlapPolicy.SKIP },
        state: { paused: state.paused, ...(state.note === undefined ? {} : { note: state.note }) },
      });
      return;
    } catch (error) {
      // The old one is still on its way out.
      if (!(error instanceof ScheduleAlreadyRunning) || performance.now() > until) throw error;
      await sleep(pollMs);
    }
  }
}

/** The settings a job's runs are started with. */
export function settingsOf({ action }: ScheduleDescription): Readonly<Record<string, unknown>> {
  return (action.args?.[0] ?? {}) as Record<string, unknown>;
}

/** Seconds from one start to the next; null if it only runs when asked. */
export function intervalOf({ spec }: ScheduleDescription): number | null {
  const every = spec.intervals?.[0]?.every;
  return every === undefined ? null : every / 1000;
}
