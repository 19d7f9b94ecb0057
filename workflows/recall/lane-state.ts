/** A wallet's leg in memory: what is settled, what is on its way, and why it ends. */
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
} from '@temporalio/workflow';
import type { RecallActivities } from '../../activities/recall/activities';
import {
  parseLane,
  type LaneInput,
  type LaneName,
  type LaneResult,
  type Plan,
  type RecallCursor,
  type StageResult,
} from '../../activities/recall/contract';
import { retryWaitMs, type Counts, type ParkedItem } from '../../activities/shared/contract';
import type { WalletStretch } from './wallet';
import { walletQueue } from '../shared/names';
import { heartbeatingStep } from '../shared/policies';

/** One stage's work, in the order of reading. */
export interface Entry {
  readonly staged: StageResult;
  settled: boolean;
  /** Its rows must be read again: the cursor does not pass it. */
  refused: boolean;
  counts?: Counts;
  parked?: ParkedItem[];
  recovered?: readonly string[];
}

export interface Lane {
  readonly input: LaneInput;
  readonly name: LaneName;
  readonly activities: RecallActivities;
  /** On the wallet's own queue, which has one slot. */
  readonly signing: RecallActivities;
  /** Milliseconds since 1970, the workflow's clock. */
  readonly until: number;
  /** What the parent may keep; its cursor is behind everything that is not settled. */
  result: LaneResult;
  /** Where the next stage begins. */
  cursor: RecallCursor | null;
  chainId: number;
  nonce: number;
  block: number;
  /** The stage that runs, or has run, beside the broadcasts. */
  next: Promise<StageResult | null> | null;
  batches: Entry[];
  /** Planned, and perhaps signed, and not settled. */
  unsettled: Plan[];
  /** Of each plan's objects, by its first nonce: what the chain must turn out to have. */
  readonly digests: Map<number, string>;
  settlingCount: number;
  /** Failed in this leg, to be tried again in it. */
  again: ParkedItem[];
  sending: Promise<unknown>;
  staging: CancellationScope;
  settling: CancellationScope;
  stopped: boolean;
  contended: boolean;
  drained: boolean;
  failure: ApplicationFailure | null;
}

export function beginLane(input: LaneInput): Lane {
  const { lane, cursor, settings, budgetMs } = input;
  const name = parseLane(lane);
  const step = heartbeatingStep(settings);
  return {
    input,
    name,
    activities: proxyActivities<RecallActivities>(step),
    signing: proxyActivities<RecallActivities>({ ...step, taskQueue: walletQueue(name.wallet) }),
    until: Date.now() + budgetMs,
    result: { lane, cursor: cursor as RecallCursor, counts: {}, drained: false, parked: [], recovered: [] },
    cursor: cursor === null ? null : { ...cursor, pending: [] },
    chainId: 0,
    nonce: 0,
    block: 0,
    next: null,
    batches: [],
    unsettled: [],
    digests: new Map(),
    settlingCount: 0,
    again: [],
    sending: Promise.resolve(),
    staging: CancellationScope.current(),
    settling: CancellationScope.current(),
    stopped: false,
    contended: false,
    drained: false,
    failure: null,
  };
}

export const hasTime = (lane: Lane): boolean => !lane.stopped && !lane.contended && Date.now() < lane.until;

/** An interruption ends the leg; anything else also fails it, the first one with its reason. */
export function fail(lane: Lane, error: unknown): void {
  lane.stopped = true;
  if (isCancellation(error)) return;
  const cause = error instanceof ActivityFailure ? error.cause : error;
  lane.failure ??=
    cause instanceof ApplicationFailure ? cause : ApplicationFailure.nonRetryable(String(cause ?? error), 'Unknown');
}

export function takeAgain(lane: Lane): readonly ParkedItem[] {
  const items = lane.again;
  lane.again = [];
  return items;
}

/** The leg's result, whatever way it ended. Throws the failure that ended it, the result in its details. */
export function endLane(lane: Lane): LaneResult & WalletStretch {
  const waiting = lane.again.map((item) => ({
    ...item,
    retryAt: new Date(Date.now() + retryWaitMs(item.attempts)).toISOString(),
  }));
  const { result, unsettled, batches } = lane;
  // Nothing is settled yet, but something is on its way: the cursor is where the reading began.
  const cursor: RecallCursor | null = result.cursor ?? originOf(batches[0]?.staged.cursor);
  const whole: LaneResult = {
    ...result,
    cursor: (cursor === null ? null : { ...cursor, pending: unsettled }) as RecallCursor,
    parked: [...result.parked, ...waiting],
    drained: lane.drained && batches.length === 0 && waiting.length === 0,
  };
  const { failure, contended } = lane;
  if (failure === null) return { ...whole, contended };
  const { message, type } = failure;
  throw ApplicationFailure.create({ message, type: type ?? 'Unknown', nonRetryable: true, details: [whole] });
}

function originOf(cursor: RecallCursor | undefined): RecallCursor | null {
  return cursor === undefined ? null : { ...cursor, after: null, sweep: null };
}
