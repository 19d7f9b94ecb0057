/**
 * One leg of one wallet: batches, each staged, planned, broadcast in the order of nonces, and confirmed.
 *
 *   stage 1 ─► broadcast 1 ─► broadcast 2 ─► …        one at a time: nonces are a queue
 *          └─► stage 2 ──────► stage 3                beside it: the next uploads
 *                         └─► confirm 1 ─► confirm 2  beside it: receipts, resolution
 *
 * What must hold: a plan is in history before anything of it is signed; no other plan for its nonces is made while
 * it may still be mined; the cursor passes a batch only when each of its objects is readable or set aside; nothing is
 * compared with the chain while it is in flight.
 */
import { CancellationScope, condition, setHandler, sleep } from '@temporalio/workflow';
import type { LaneInput, LaneResult, StageResult } from '../../activities/recall/contract';
import type { ParkedItem } from '../../activities/shared/contract';
import { beginLane, endLane, fail, hasTime, takeAgain, type Lane } from './lane-state';
import { advance, sendPlan, settlePending, settlePlan } from './plans';
import { wantWallet, type WalletStretch } from './wallet';
import { legProgressQuery } from '../shared/messages';

/** Plans whose receipts are waited for at once: beyond that the chain is slower than we are. */
const settlingMax = 4;
/** What a pause or a cancel gives plans that are on their way; what is not mined by then is carried in the cursor. */
const settleSeconds = 15;

export async function recallLane(input: LaneInput): Promise<LaneResult & WalletStretch> {
  const lane = beginLane(input);
  setHandler(legProgressQuery, () => lane.result);
  setHandler(wantWallet, () => {
    lane.contended = true;
  });
  const asked = CancellationScope.current().cancelRequested;
  await CancellationScope.nonCancellable(async () => {
    lane.staging = new CancellationScope();
    lane.settling = new CancellationScope();
    asked.catch(async () => {
      lane.stopped = true;
      lane.staging.cancel();
      await sleep(`${settleSeconds} seconds`);
      lane.settling.cancel();
    });
    await settlePending(lane);
    await moveBatches(lane);
    await idle(lane);
  });
  return endLane(lane);
}

async function moveBatches(lane: Lane): Promise<void> {
  lane.next = hasTime(lane) ? stage(lane, lane.input.retry) : null;
  while (lane.next !== null) {
    const staged = await lane.next;
    if (staged === null) return;
    await moveBatch(lane, staged);
  }
}

/** Sends one batch; what comes next is made ready beside it, or there is nothing left to do. */
async function moveBatch(lane: Lane, staged: StageResult): Promise<void> {
  lane.cursor = staged.cursor;
  const isLast = staged.drained;
  // A sweep asks the chain for rows that may have been sent a moment ago: not before they are settled.
  const beside = !isLast && hasTime(lane) && staged.cursor.sweep?.afterId !== '';
  lane.next = beside ? stage(lane, []) : null;
  await send(lane, staged);
  if (lane.next !== null) return;
  await idle(lane);
  if (!hasTime(lane)) lane.drained = isLast;
  else if (lane.again.length > 0) lane.next = stage(lane, takeAgain(lane));
  else if (!isLast) lane.next = stage(lane, []);
  else lane.drained = true;
}

async function send(lane: Lane, staged: StageResult): Promise<void> {
  const entry = { staged, settled: staged.batch === null, refused: false };
  lane.batches.push(entry);
  if (staged.batch === null) return advance(lane);
  const { objects } = staged.batch;
  const plan = {
    ...staged.batch,
    wallet: lane.name.wallet,
    chainId: lane.chainId,
    firstNonce: lane.nonce,
    fromBlock: lane.block,
  };
  lane.nonce += objects.length;
  lane.unsettled.push(plan);
  if (!(await sendPlan(lane, plan, entry))) return;
  lane.settlingCount += 1;
  void settlePlan(lane, plan, entry).finally(() => {
    lane.settlingCount -= 1;
  });
  await condition(() => lane.settlingCount < settlingMax);
}

/** Null when it was cut short: by a pause, or by a failure that the lane then holds. */
async function stage(lane: Lane, retry: readonly ParkedItem[]): Promise<StageResult | null> {
  const { input, cursor } = lane;
  const { settings, mode, margin } = input;
  const budgetMs = Math.max(1000, lane.until - Date.now());
  try {
    return await lane.staging.run(() =>
      lane.activities.stageObjects({ lane: input.lane, mode, margin, cursor, settings, retry, budgetMs }),
    );
  } catch (error) {
    fail(lane, error);
    return null;
  }
}

/** Until everything that was sent is settled, or given up. */
async function idle(lane: Lane): Promise<void> {
  await condition(() => lane.settlingCount === 0);
}
