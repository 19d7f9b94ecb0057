/** Everything there is to know of a job, gathered once; and as lines for people. */
import type { Client, ScheduleDescription } from '@temporalio/client';
import { addCounts, type Counts, type ParkedItem } from '../activities/shared/contract';
import { syncWorkflow } from '../workflows/shared/names';
import type { LaneState } from '../workflows/shared/run-state';
import type { ChosenJob } from './choose';
import { isRunResult } from './follow';
import { bytes, duration, plural, printable, shellWord, table, withoutPassword } from './format';
import { intervalOf, lastRun, openRuns, settingsOf } from './job';
import { pollersOf, workerRemedy } from './pollers';
import { lanesOf, takeSnapshot } from './snapshot';
import type { JobCommand, JobKnowledge } from './verb';

export interface RunStatus {
  readonly workflowId: string;
  readonly startedAt: string;
  /** Null while no worker answers. */
  readonly phase: string | null;
  readonly reason: string | null;
  readonly lanes: readonly LaneState<unknown>[];
  readonly counts: Counts;
  readonly parked: readonly ParkedItem[];
  /** Activities that failed and will be tried again. */
  readonly trouble: readonly { readonly activity: string; readonly attempt: number; readonly message: string }[];
}

export interface LastRunStatus {
  readonly workflowId: string;
  readonly status: string;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly lanes: readonly LaneState<unknown>[];
  readonly counts: Counts;
  readonly parked: readonly ParkedItem[];
}

export interface JobStatus {
  readonly job: string;
  readonly name: string;
  readonly intervalSeconds: number | null;
  readonly nextAt: string | null;
  readonly paused: string | null;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly summary: string;
  readonly queue: string;
  readonly workers: readonly string[];
  readonly run: RunStatus | null;
  readonly lastRun: LastRunStatus | null;
  /** Runs that somebody started without the job, or past its overlap policy. */
  readonly beside: readonly string[];
}

export async function gatherStatus(
  client: Client,
  job: JobCommand,
  knowledge: JobKnowledge,
  { id, name, description }: ChosenJob,
): Promise<JobStatus> {
  const queue = description.action.taskQueue;
  const settings = settingsOf(description);
  const open = await openRuns(client, description);
  const current = open[0];
  const last = lastRun(description);
  const [run, lastStatus, workers, strangers] = await Promise.all([
    current === undefined ? null : runStatus(client, current.workflowId),
    last === null || last.workflowId === current?.workflowId ? null : lastRunStatus(client, last.workflowId),
    pollersOf(client, queue),
    bareRuns(client, job, queue),
  ]);
  return {
    job: id,
    name,
    intervalSeconds: intervalOf(description),
    nextAt: nextOf(description),
    paused: description.state.paused ? (description.state.note ?? '') : null,
    settings,
    summary: knowledge.summary(settings),
    queue,
    workers,
    run,
    lastRun: lastStatus,
    beside: [...open.slice(1).map(({ workflowId }) => workflowId), ...strangers],
  };
}

function nextOf({ info, state, spec }: ScheduleDescription): string | null {
  return state.paused || (spec.intervals ?? []).length === 0 ? null : (info.nextActionTimes[0]?.toISOString() ?? null);
}

async function runStatus(client: Client, workflowId: string): Promise<RunStatus> {
  const snapshot = await takeSnapshot(client, workflowId, { progress: true });
  const { progress, pending } = snapshot;
  const { startTime } = await client.workflow.getHandle(workflowId).describe();
  const lanes = lanesOf(snapshot);
  return {
    workflowId,
    startedAt: progress?.startedAt ?? startTime.toISOString(),
    phase: progress?.phase ?? null,
    reason: progress?.reason ?? null,
    lanes,
    counts: lanes.reduce<Counts>((sum, lane) => addCounts(sum, lane.counts), {}),
    parked: progress?.parked ?? [],
    trouble: pending.flatMap(({ type, attempt, failure }) =>
      failure === null ? [] : [{ activity: type, attempt, message: failure.message }],
    ),
  };
}

async function lastRunStatus(client: Client, workflowId: string): Promise<LastRunStatus | null> {
  const handle = client.workflow.getHandle(workflowId);
  try {
    const { status, startTime, closeTime } = await handle.describe();
    const result: unknown = status.name === 'COMPLETED' ? await handle.result() : null;
    const nothing = { state: status.name.toLowerCase(), lanes: [], counts: {}, parked: [] };
    const { state, lanes, counts, parked } = isRunResult(result) ? result : nothing;
    // A run that continued as new began before its last workflow did.
    const startedAt = isRunResult(result) ? result.startedAt : startTime.toISOString();
    return { workflowId, status: state, startedAt, endedAt: closeTime?.toISOString() ?? null, lanes, counts, parked };
  } catch (error) {
    // Older than Temporal keeps histories.
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') return null;
    throw error;
  }
}

/** Open runs on this queue that no schedule started. Lists follow behind by a moment. */
async function bareRuns(client: Client, { kind }: JobCommand, queue: string): Promise<string[]> {
  const query = `WorkflowType = "${syncWorkflow[kind]}" AND ExecutionStatus = "Running" AND TaskQueue = "${queue}" AND TemporalScheduledById IS NULL`;
  const found: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query })) found.push(workflowId);
  return found;
}

export function statusLines(status: JobStatus, job: JobCommand, knowledge: JobKnowledge, now: Date): string[] {
  const { run, lastRun: last, workers, queue, beside } = status;
  const verb = (word: string): string => `waybill ${job.kind} ${word} --job ${shellWord(status.name)}`;
  return [
    `${status.job}: ${whenLine(status, now)}`,
    `  ${withoutPassword(status.summary)}`,
    ...(workers.length > 0
      ? [`  worker: ${workers.join(', ')}`]
      : [`  NO WORKER takes tasks of ${queue}: ${workerRemedy(job.kind, queue)}, or \`waybill dev\``]),
    ...(run === null ? ['  no run is open'] : runLines(run, job, knowledge, now)),
    ...(last === null ? [] : lastLines(last, job, knowledge, now)),
    ...((run ?? last)?.parked.length
      ? [`  ${plural((run ?? last)?.parked.length ?? 0, 'record')} parked: ${verb('failures')}`]
      : []),
    ...beside.map((id) => `  BESIDE the job: ${id} runs too; harmless, but it neither takes nor leaves the position`),
  ];
}

export function whenLine({ intervalSeconds, nextAt, paused }: JobStatus, now: Date): string {
  if (paused !== null) return `PAUSED${paused === '' ? '' : `: ${printable(paused)}`}`;
  if (intervalSeconds === null) return 'runs when asked';
  const next = nextAt === null ? '' : `, next in ${duration((Date.parse(nextAt) - now.getTime()) / 1000)}`;
  return `every ${duration(intervalSeconds)}${next}`;
}

function runLines(run: RunStatus, { lane }: JobCommand, knowledge: JobKnowledge, now: Date): string[] {
  const seconds = Math.max(1, (now.getTime() - Date.parse(run.startedAt)) / 1000);
  const reason = run.reason === null ? '' : `: ${printable(run.reason)}`;
  const rate = run.counts['bytes'] === undefined ? '' : `, ${bytes(run.counts['bytes'] / seconds)}/s`;
  return [
    `  run ${run.workflowId}: ${run.phase ?? 'no worker answers'}${reason}`,
    `  since ${duration(seconds)}: ${knowledge.counts(run.counts)}${rate}`,
    ...laneTable(run.lanes, lane, knowledge),
    ...run.trouble.map(({ activity, attempt, message }) => `  ${activity}, attempt ${attempt}: ${printable(message)}`),
  ];
}

function lastLines(last: LastRunStatus, { lane }: JobCommand, knowledge: JobKnowledge, now: Date): string[] {
  const ago = last.endedAt === null ? '' : `, ${duration((now.getTime() - Date.parse(last.endedAt)) / 1000)} ago`;
  return [
    `  last run: ${last.status}${ago}: ${knowledge.counts(last.counts)}`,
    ...laneTable(last.lanes, lane, knowledge),
  ];
}

function laneTable(lanes: readonly LaneState<unknown>[], word: string, knowledge: JobKnowledge): string[] {
  if (lanes.length === 0) return [];
  const rows = lanes.map(({ lane, status, cursor, counts, failure, note }) => {
    const { position, target } = knowledge.place(cursor, counts);
    const number = position === null ? '-' : `${position}${target === null ? '' : ` of ${target}`}`;
    const place = knowledge.standing === undefined ? number : (knowledge.standing(cursor) ?? '-');
    const wrong = failure === undefined ? (note ?? '') : `${failure.type}: ${failure.reason}`;
    return [printable(lane), status, place, knowledge.counts(counts), printable(wrong)];
  });
  return table([[word, 'status', 'position', 'done', ''], ...rows], '    ');
}
