/**
 * A leg from the inside: where it starts, when it is over, and how each way out of it keeps what it did.
 *
 * Heartbeats carry the leg's result so far, so that a killed worker's successor starts there. A leg that made progress
 * and then met trouble returns its progress; only a leg that made none throws. So attempts count on one cursor, and
 * a pause in the middle of a backoff finds nothing unsaved.
 */
import { setMaxListeners } from 'node:events';
import { CancelledFailure } from '@temporalio/common';
import { Context } from '@temporalio/activity';
import { addCounts, isLegResult, type Counts, type LegInput, type LegResult, type ParkedItem } from './contract';
import { isPermanent, reasonOf, RecordRefused, withResult } from './failures';

export interface Leg<Cursor> {
  /** Where to start: what the last attempt of this leg kept, or else what the workflow gave. */
  readonly cursor: Cursor | null;
  /** Aborted when the run is paused or cancelled, the worker drains, or the attempt was given up. */
  readonly signal: AbortSignal;
  /** After three refusals at one cursor: work record by record, and park the one that cannot pass. */
  readonly itemByItem: boolean;
  /** False once the leg should return: its time is spent. Throws when the leg was cancelled. */
  hasTime(): boolean;
  /** Says that a long wait is still a living one. Progress is `kept`'s to tell. */
  readonly alive: () => void;
  /** Tells Temporal what the destination has kept. Call after every commit, never before. */
  kept(cursor: Cursor, counts: Counts): void;
  park(item: ParkedItem): void;
  recover(id: string): void;
}

const aliveEveryMs = 1000;
/** Refused records at one cursor before a leg goes record by record; a network that is down does not count. */
const refusalsMax = 3;

/**
 * Runs one leg. `move` returns true when the lane is drained.
 * Throws: CancelledFailure and permanent failures with the result so far as their details; anything else that `move`
 * threw, when nothing was kept.
 */
export async function runLeg<Cursor>(
  input: LegInput<Cursor, unknown>,
  move: (leg: Leg<Cursor>) => Promise<{ drained: boolean; note?: string }>,
): Promise<LegResult<Cursor>> {
  const context = Context.current();
  // Whatever a leg does at once listens to it.
  setMaxListeners(0, context.cancellationSignal);
  const told: unknown = context.info.heartbeatDetails;
  let { refusals = 0, ...result } = isLegResult(told) ? (told as LegResult<Cursor>) : nothingYet(input);
  // What an attempt that was killed had kept is this one's to hand in.
  let moved = JSON.stringify(result) !== JSON.stringify(nothingYet(input));
  let beatAt = 0;
  const beat = (): void => {
    beatAt = performance.now();
    context.heartbeat(refusals > 0 ? { ...result, refusals } : result);
  };
  const update = (change: Partial<LegResult<Cursor>>): void => {
    result = { ...result, ...change };
    moved = true;
    refusals = 0;
    beat();
  };
  const until = performance.now() + input.budgetMs;
  const leg: Leg<Cursor> = {
    cursor: result.cursor,
    signal: context.cancellationSignal,
    itemByItem: refusals >= refusalsMax,
    hasTime: () => {
      context.cancellationSignal.throwIfAborted();
      return performance.now() < until;
    },
    alive: () => {
      if (performance.now() - beatAt < aliveEveryMs) return;
      beat();
    },
    kept: (cursor, counts) => update({ cursor, counts: addCounts(result.counts, counts) }),
    park: (item) => update({ parked: [...result.parked.filter(({ id }) => id !== item.id), item] }),
    recover: (id) => update({ recovered: [...result.recovered, id] }),
  };
  beat();
  try {
    const end = await move(leg);
    return { ...result, ...end };
  } catch (error) {
    // A draining worker hands its progress in as the leg's result: the next worker starts a new leg, nothing is retried.
    if (context.cancellationDetails?.workerShutdown && moved) return result;
    if (context.cancellationSignal.aborted) throw new CancelledFailure(`leg stopped: ${reasonOf(error)}`, [result]);
    if (isPermanent(error) && moved) throw withResult(error, result);
    if (error instanceof RecordRefused && !moved) {
      refusals += 1;
      beat();
    }
    if (isPermanent(error) || !moved) throw error;
    context.log.warn('leg ended early, its progress kept', { error: reasonOf(error) });
    return { ...result, note: reasonOf(error) };
  }
}

function nothingYet<Cursor>({ lane, cursor }: LegInput<Cursor, unknown>): LegResult<Cursor> {
  return { lane, cursor: cursor as Cursor, counts: {}, drained: false, parked: [], recovered: [] };
}
