/**
 * The loop every job runs: lanes in order, some at once; each a row of legs until drained.
 *
 *   plan ─► move lanes ─► completed
 *            │  ▲  ▲
 *      pause ▼  │  └── configure (legs stop, settings change, legs go on)
 *         paused/blocked ── resume
 *
 * What must hold: a lane's cursor is only ever one that a leg returned, heartbeat or not; no way out of a run (pause,
 * cancel, continue-as-new, failure of a lane) drops a cursor; a lane's own failure stops no other lane.
 */
import {
  ActivityFailure,
  allHandlersFinished,
  ApplicationFailure,
  CancelledFailure,
  CancellationScope,
  ChildWorkflowFailure,
  condition,
  continueAsNew,
  isCancellation,
  TimeoutFailure,
  workflowInfo,
} from '@temporalio/workflow';
import {
  isLegResult,
  parkedMax,
  type LegInput,
  type LegResult,
  type Pace,
  type ParkedItem,
} from '../../activities/shared/contract';
import { installHandlers } from './handlers';
import { absorb, beginRun, enter, runResult, show, type Run } from './run';
import { isDue, parkedKey, type LaneState, type RunInput, type RunResult } from './run-state';

/** What makes a job: everything else about legs, messages and state is here. */
export interface LegJob<Cursor, Settings extends Pace> {
  /** The job kind, for the SyncJob search attribute. */
  readonly kind: string;
  /** Checks and completes what a person gave. Throws an error whose message names the key, the value, the allowed. */
  readonly parse: (input: unknown) => Settings;
  /** Lanes of this run, in order, with the cursors of those that do not begin at null. An activity. */
  readonly plan: (settings: Settings) => Promise<readonly PlannedLane<Cursor>[]>;
  /** One leg. An activity under `repeatableLeg`, or a child workflow that hands in a leg's result on every way out. */
  readonly leg: (input: LegInput<Cursor, Settings>) => Promise<LegResult<Cursor>>;
  readonly parallel: (settings: Settings) => number;
  /** The cursor a new run starts from, given the one that the last run left; null begins anew. */
  readonly beginRun: (cursor: Cursor) => Cursor | null;
  /** Failure types that end a lane but not the run; every other permanent failure blocks the run. */
  readonly laneFailures: readonly string[];
  /**
   * True: a leg is a run of its own that may never end, and is not waited for to continue as new: only pauses make this
   * history longer, and after one it is looked at.
   */
  readonly endless?: boolean;
  /** True: what would block the run ends it instead, its result in the failure's details: somebody above it is blocked. */
  readonly failsBlocked?: (settings: Settings) => boolean;
}

export type PlannedLane<Cursor> = string | { readonly lane: string; readonly cursor: Cursor };

export async function runLegs<Cursor, Settings extends Pace>(
  job: LegJob<Cursor, Settings>,
  input: RunInput<Cursor, Settings>,
): Promise<RunResult<Cursor>> {
  const run = beginRun(job, input);
  installHandlers(job, run);
  show(run);
  try {
    while (!run.lanesFinished()) await moveUntilInterrupted(job, run);
    enter(run, 'completed');
  } catch (error) {
    if (!isCancellation(error)) throw error;
    enter(run, 'cancelled');
  }
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  return runResult(run);
}

/** One stretch between interruptions: a pause, a block, new settings, a cancel, or the need to continue as new. */
async function moveUntilInterrupted<C, S extends Pace>(job: LegJob<C, S>, run: Run<C, S>): Promise<void> {
  if (run.state.phase === 'blocked' && job.failsBlocked?.(run.state.settings) === true) throw blockedFailure(run);
  await condition(() => run.state.phase !== 'paused' && run.state.phase !== 'blocked');
  if (isLong(job, run)) await carryOn(run);
  const scope = new CancellationScope();
  run.interrupt = () => scope.cancel();
  try {
    await scope.run(async () => {
      if (!run.state.planned) await planLanes(job, run);
      const takers = Array.from({ length: job.parallel(run.state.settings) }, () => takeLanes(job, run, scope));
      await Promise.all(takers);
    });
  } catch (error) {
    // Our own interruption ends here; a cancelled workflow goes on up.
    if (!isCancellation(error)) throw error;
  }
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('the run was cancelled');
}

/** Long enough a history: time to continue as new. */
function isLong<C, S extends Pace>({ endless = false }: LegJob<C, S>, run: Run<C, S>): boolean {
  const legsMax = endless ? Infinity : run.state.settings.legsPerRun;
  return workflowInfo().continueAsNewSuggested || run.legsHere >= legsMax;
}

async function carryOn<C, S extends Pace>(run: Run<C, S>): Promise<never> {
  await condition(allHandlersFinished);
  return await continueAsNew({ ...run.state.settings, carried: run.state });
}

async function planLanes<C, S extends Pace>(job: LegJob<C, S>, run: Run<C, S>): Promise<void> {
  try {
    const lanes = await job.plan(run.state.settings);
    // Paused or configured in the meantime: this plan is no longer the one to follow.
    if (run.state.phase !== 'planning' || CancellationScope.current().consideredCancelled) return;
    run.adopt(lanes);
    enter(run, 'running');
  } catch (error) {
    if (isCancellation(error)) throw error;
    block(run, permanentFailure(error));
  }
}

/** Takes unfinished lanes in order, each to its end; stops when interrupted, blocked or due to continue as new. */
async function takeLanes<C, S extends Pace>(
  job: LegJob<C, S>,
  run: Run<C, S>,
  scope: CancellationScope,
): Promise<void> {
  const stopped = (): boolean =>
    scope.consideredCancelled || run.state.phase !== 'running' || (job.endless !== true && isLong(job, run));
  for (let lane = run.nextLane(); lane !== undefined && !stopped(); lane = run.nextLane()) {
    lane.status = 'running';
    while (lane.status === 'running' && !stopped()) await moveLane(job, run, lane);
    if (lane.status === 'running') lane.status = 'waiting';
    show(run);
  }
}

async function moveLane<C, S extends Pace>(job: LegJob<C, S>, run: Run<C, S>, lane: LaneState<C>): Promise<void> {
  const { settings, parked } = run.state;
  const retry = parked.filter((item) => item.lane === lane.lane && isWanted(run, item));
  run.legsHere += 1;
  run.state.legCount += 1;
  // A leg may last minutes, and a page that says "waiting" all that time would be wrong.
  show(run);
  try {
    const budgetMs = settings.legSeconds * 1000;
    absorb(run, lane, await job.leg({ lane: lane.lane, cursor: lane.cursor, settings, retry, budgetMs }));
  } catch (error) {
    const kept = keptBefore(error);
    if (kept !== null) absorb(run, lane, kept as LegResult<C>);
    if (isCancellation(error) || isTimeout(error)) return;
    const failure = permanentFailure(error);
    if (job.laneFailures.includes(failure.type)) Object.assign(lane, { status: 'failed', failure });
    else block(run, failure);
  }
  if (run.state.parked.length > parkedMax) {
    block(run, {
      type: 'TooManyParked',
      reason: `more than ${parkedMax} records parked: see \`failures\`, then resume`,
    });
  }
  show(run);
}

/** Asked for by `retry`, or by its own backoff. */
function isWanted<C, S>({ state }: Run<C, S>, item: ParkedItem): boolean {
  return state.retrying.includes(parkedKey(item)) || (item.retryAt !== undefined && isDue(item, Date.now()));
}

function block<C, S extends Pace>(run: Run<C, S>, failure: { type: string; reason: string }): void {
  enter(run, 'blocked', failure);
  run.interrupt();
}

function blockedFailure<C, S extends Pace>(run: Run<C, S>): ApplicationFailure {
  const { reason, blockedBy } = run.state;
  return ApplicationFailure.create({
    message: reason ?? 'blocked',
    type: blockedBy ?? 'Unknown',
    nonRetryable: true,
    details: [runResult(run)],
  });
}

/** What a leg had kept when it was stopped or failed. Null where the server, not the leg, wrote the details. */
function keptBefore(error: unknown): LegResult<unknown> | null {
  const cause = causeOf(error);
  const kept = cause instanceof TimeoutFailure ? cause.lastHeartbeatDetails : detailsOf(cause);
  return isLegResult(kept) ? kept : null;
}

/** What an activity, or a child workflow that is a leg, ended with. */
function causeOf(error: unknown): unknown {
  return error instanceof ActivityFailure || error instanceof ChildWorkflowFailure ? error.cause : error;
}

function detailsOf(cause: unknown): unknown {
  return cause instanceof CancelledFailure || cause instanceof ApplicationFailure ? cause.details?.[0] : undefined;
}

/**
 * A leg's timeouts are tried again without end, but not once it was told to stop: a worker that was killed cannot answer
 * a pause any more, and the timeout is its answer.
 */
function isTimeout(error: unknown): boolean {
  return error instanceof ActivityFailure && error.cause instanceof TimeoutFailure;
}

/** The failure that no retry can mend: its type from the contracts' closed lists, and its message. */
function permanentFailure(error: unknown): { type: string; reason: string } {
  const cause = causeOf(error);
  if (cause instanceof ApplicationFailure) return { type: cause.type ?? 'Unknown', reason: cause.message };
  if (error instanceof ActivityFailure || error instanceof ChildWorkflowFailure)
    return { type: 'Unknown', reason: cause instanceof Error ? cause.message : error.message };
  throw error;
}
