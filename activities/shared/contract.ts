/** What the leg loop and every job's legs say to each other. Pure: safe inside workflow code. Names here stand in histories. */
import { z } from 'zod';

/**
 * How a run is paced; part of every job's input. The defaults are the measured ones: a 60 s leg costs Temporal under 0.1 %
 * of the time, and a 30 s heartbeat timeout outlives a server's restart without a second attempt.
 */
export const pace = {
  legSeconds: z.int().min(1).max(600).default(60),
  heartbeatSeconds: z.int().min(2).max(300).default(30),
  /** Legs after which a run continues as new even if the server does not ask for it: bounds the time of a replay. */
  legsPerRun: z.int().min(1).max(2000).default(500),
};
export interface Pace {
  readonly legSeconds: number;
  readonly heartbeatSeconds: number;
  readonly legsPerRun: number;
}

/** More parked records than this is an outage, not a few bad records: the run blocks instead of parking on. */
export const parkedMax = 1000;

/** Things done, by kind. Sums over legs and runs; keys are a job's own (audio: segments, bytes, holes). */
export type Counts = Readonly<Record<string, number>>;

/** A record set aside so that it stops nobody else. `attempts` counts the tries that ended in `reason`. */
export interface ParkedItem {
  readonly lane: string;
  readonly id: string;
  readonly reason: string;
  readonly attempts: number;
  /** ISO 8601: comes back by itself from then on, in this run or a later one. Absent: with every new run, and by `retry`. */
  readonly retryAt?: string;
}

/** A first wait of half a minute, doubled with each attempt: an outage is over, a lost cause costs little. */
export const retryWaitMs = (attempts: number): number => Math.min(30_000 * 2 ** (attempts - 1), 6 * 3600_000);

/** What one leg starts from. `cursor` is null when the lane never moved. */
export interface LegInput<Cursor, Settings> {
  readonly lane: string;
  readonly cursor: Cursor | null;
  readonly settings: Settings;
  /** Parked records of this lane that `retry` asked for, to be tried before anything new. */
  readonly retry: readonly ParkedItem[];
  /** The leg returns once this time is spent, or earlier when drained. */
  readonly budgetMs: number;
}

/**
 * What one leg kept. Everything before `cursor` is in the destination; `drained` means there was nothing left to do.
 * Also the shape of every heartbeat and of a cancelled leg's details, so that no way out of a leg loses its progress.
 */
export interface LegResult<Cursor> {
  /** Heartbeats of several lanes are told apart by it. */
  readonly lane: string;
  readonly cursor: Cursor;
  readonly counts: Counts;
  readonly drained: boolean;
  /** Records set aside by this leg (new, or retried in vain). */
  readonly parked: readonly ParkedItem[];
  /** Ids of parked records that a retry has brought home. */
  readonly recovered: readonly string[];
  /** One line for people: what this lane came to, or what slowed it. */
  readonly note?: string;
  /** Heartbeats only: attempts in a row that ended at this cursor with a refused record. */
  readonly refusals?: number;
}

/** True of anything shaped like a leg's result: a cancelled activity's details may be the server's own text instead. */
export function isLegResult(value: unknown): value is LegResult<unknown> {
  return typeof value === 'object' && value !== null && 'cursor' in value && 'counts' in value && 'drained' in value;
}

export function addCounts(left: Counts, right: Counts): Counts {
  const sum: Record<string, number> = { ...left };
  for (const [key, value] of Object.entries(right)) sum[key] = (sum[key] ?? 0) + value;
  return sum;
}

/** Parses input from outside. The error's message names each key, what is allowed there, and nothing else of the input. */
export function parseInput<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const wrong = result.error.issues.map((issue) => `${issue.path.join('.') || 'input'}: ${issue.message}`);
  throw new TypeError(wrong.join('; '));
}
