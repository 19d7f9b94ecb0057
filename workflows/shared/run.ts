/** One run in memory: its state, and the few things about it that are not carried on. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { ApplicationFailure, setCurrentDetails, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { z } from 'zod';
import { addCounts, parseInput, type Counts, type LegResult, type Pace } from '../../activities/shared/contract';
import { currentDetails } from './details';
import type { LegJob, PlannedLane } from './leg-loop';
import { syncJobAttribute, syncStateAttribute } from './names';
import {
  isDue,
  parkedKey,
  type LaneState,
  type RunInput,
  type RunPhase,
  type RunResult,
  type RunState,
} from './run-state';

const syncJob = defineSearchAttributeKey(syncJobAttribute, SearchAttributeType.KEYWORD);
const syncState = defineSearchAttributeKey(syncStateAttribute, SearchAttributeType.KEYWORD);

export interface Run<Cursor, Settings> {
  readonly state: RunState<Cursor, Settings>;
  /** Legs since the last continue-as-new. */
  legsHere: number;
  /** Ends the legs in flight; each hands in its cursor. */
  interrupt: () => void;
  lanesFinished(): boolean;
  nextLane(): LaneState<Cursor> | undefined;
  /** Takes the planned lanes, keeping the cursors of those already known, part of this run or not. */
  adopt(lanes: readonly PlannedLane<Cursor>[]): void;
}

/** Begins from what continue-as-new carried, or else from what the schedule's last run left. */
export function beginRun<C, S extends Pace>(job: LegJob<C, S>, input: RunInput<C, S>): Run<C, S> {
  const { carried, from } = input;
  const state = carried ?? firstState<C, S>(job, settingsOf(job, input), from as RunInput<C, S>['from']);
  if (carried === undefined) upsertSearchAttributes([{ key: syncJob, value: job.kind }]);
  return {
    state,
    legsHere: 0,
    interrupt: () => undefined,
    lanesFinished: () =>
      state.planned && !state.lanes.some(({ status }) => status === 'waiting' || status === 'running'),
    nextLane: () => state.lanes.find((lane) => lane.status === 'waiting'),
    adopt: (lanes) => {
      const known = new Map(state.lanes.map((lane) => [lane.lane, lane]));
      const planned = lanes
        .map((lane) => (typeof lane === 'string' ? { lane, cursor: null } : lane))
        .map(({ lane, cursor }) => known.get(lane) ?? newLane<C>(lane, cursor));
      const idle = state.lanes.filter((lane) => !planned.includes(lane));
      for (const lane of planned) if (lane.status === 'idle') lane.status = 'waiting';
      for (const lane of idle) lane.status = 'idle';
      state.lanes = [...planned, ...idle];
      state.planned = true;
    },
  };
}

/** What people gave, or what the run before this one had. Throws as `parseSettings`. */
export function settingsOf<C, S extends Pace>(job: LegJob<C, S>, input: RunInput<C, S>): S {
  const given = Object.entries(input).filter(([key]) => key !== 'carried' && key !== 'from');
  return input.carried?.settings ?? parseSettings(job, Object.fromEntries(given));
}

/** Throws a non-retryable SettingsRefused: a run that was started wrongly fails at once and says why. */
export function parseSettings<C, S extends Pace>(job: LegJob<C, S>, given: unknown): S {
  return orRefused(`input of ${job.kind}: `, () => job.parse(given));
}

/** The same for a workflow that is no run of legs. */
export function parsed<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  return orRefused('', () => parseInput(schema, input));
}

function orRefused<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw ApplicationFailure.nonRetryable(`${what}${reason}`, 'SettingsRefused');
  }
}

function firstState<C, S extends Pace>(job: LegJob<C, S>, settings: S, from: RunInput<C, S>['from']): RunState<C, S> {
  const last = workflowInfo().lastResult as RunResult<C> | undefined;
  const lanes =
    from?.map(({ lane, cursor }) => newLane(lane, cursor)) ??
    (last?.lanes ?? []).map(({ lane, cursor }) => newLane(lane, cursor === null ? null : job.beginRun(cursor)));
  const parked = [...(last?.parked ?? [])];
  return {
    phase: 'planning',
    reason: null,
    blockedBy: null,
    settings,
    lanes,
    parked,
    // A run is the backoff of what the last one parked, unless it has one of its own.
    retrying: parked.filter((item) => isDue(item, Date.now())).map(parkedKey),
    lifetime: last?.lifetime ?? {},
    legCount: 0,
    startedAt: new Date().toISOString(),
    planned: false,
  };
}

function newLane<C>(lane: string, cursor: C | null): LaneState<C> {
  return { lane, cursor, counts: {}, status: 'waiting' };
}

/** Takes over what a leg kept. The only place where a cursor moves. */
export function absorb<C, S>(run: Run<C, S>, lane: LaneState<C>, result: LegResult<C>): void {
  const { state } = run;
  lane.cursor = result.cursor;
  lane.counts = addCounts(lane.counts, result.counts);
  state.lifetime = addCounts(state.lifetime, result.counts);
  if (result.note !== undefined) lane.note = result.note;
  const settled = new Set([
    ...result.parked.map(parkedKey),
    ...result.recovered.map((id) => parkedKey({ lane: lane.lane, id })),
  ]);
  state.parked = [...state.parked.filter((item) => !settled.has(parkedKey(item))), ...result.parked];
  state.retrying = state.retrying.filter((key) => !settled.has(key));
  if (result.drained) lane.status = 'done';
}

export function enter<C, S>(run: Run<C, S>, phase: RunPhase, why?: { type?: string; reason: string }): void {
  const { state } = run;
  state.phase = phase;
  state.reason = why?.reason ?? null;
  state.blockedBy = phase === 'blocked' ? (why?.type ?? null) : null;
  show(run);
}

const shownState = new WeakMap<object, RunPhase>();

/** Tells the UI: details at every turn (no events), the search attribute only when it changes (one event). */
export function show<C, S>(run: Run<C, S>): void {
  const { state } = run;
  setCurrentDetails(currentDetails(state, runCounts(state), new Date()));
  if (shownState.get(state) === state.phase) return;
  shownState.set(state, state.phase);
  upsertSearchAttributes([{ key: syncState, value: state.phase }]);
}

export function runCounts(state: RunState<unknown, unknown>): Counts {
  return state.lanes.reduce<Counts>((sum, lane) => addCounts(sum, lane.counts), {});
}

export function runResult<C, S>({ state }: Run<C, S>): RunResult<C> {
  return {
    // One that was blocked and ends for it has not come to its end either.
    state: state.phase === 'completed' ? 'completed' : 'cancelled',
    lanes: state.lanes,
    parked: state.parked,
    counts: runCounts(state),
    lifetime: state.lifetime,
    startedAt: state.startedAt,
  };
}
