/** A run's state: plain JSON, carried whole by continue-as-new, shown by `progress`, and left as the run's result. */
import type { Counts, ParkedItem } from '../../activities/shared/contract';

/** One independent stretch of a job: audio's shows, snapchain's virtual shards; a job without any has one lane. */
export interface LaneState<Cursor> {
  lane: string;
  cursor: Cursor | null;
  /** Of this run. */
  counts: Counts;
  /** idle: known from earlier runs, no part of this one; kept for the cursor. */
  status: 'waiting' | 'running' | 'done' | 'failed' | 'idle';
  failure?: { type: string; reason: string };
  note?: string;
}

export type RunPhase = 'planning' | 'running' | 'paused' | 'blocked' | 'completed' | 'cancelled';

export interface RunState<Cursor, Settings> {
  phase: RunPhase;
  /** Why it is paused or blocked, and what to do; null while it moves. */
  reason: string | null;
  /** The failure type behind `blocked`. */
  blockedBy: string | null;
  settings: Settings;
  lanes: LaneState<Cursor>[];
  parked: ParkedItem[];
  /** Keys of parked items that the next legs are to try again. */
  retrying: string[];
  /** Over every run of the job, this one included. */
  lifetime: Counts;
  legCount: number;
  /** ISO 8601, the workflow's clock; survives continue-as-new. */
  startedAt: string;
  planned: boolean;
}

/** What a run leaves: the next run of its schedule begins from it. */
export interface RunResult<Cursor> {
  readonly state: 'completed' | 'cancelled';
  readonly lanes: readonly LaneState<Cursor>[];
  readonly parked: readonly ParkedItem[];
  readonly counts: Counts;
  readonly lifetime: Counts;
  readonly startedAt: string;
}

/**
 * A job's input: its settings, and what continue-as-new, or the run that this one is a part of, hands on. People give
 * settings only.
 */
export type RunInput<Cursor, Settings> = Settings & {
  readonly carried?: RunState<Cursor, Settings>;
  /** Where an interrupted run of the same lanes stood. */
  readonly from?: readonly { readonly lane: string; readonly cursor: Cursor | null }[];
};

export const parkedKey = (item: Pick<ParkedItem, 'lane' | 'id'>): string => JSON.stringify([item.lane, item.id]);

/** False while a parked item's own backoff lasts. */
export const isDue = ({ retryAt }: ParkedItem, now: number): boolean =>
  retryAt === undefined || Date.parse(retryAt) <= now;
