/** Plans on their way: sent in order, sent again when the chain has lost them, settled, and then passed by the cursor. */
import { ApplicationFailure, sleep } from '@temporalio/workflow';
import type { BroadcastResult, ConfirmResult, Plan, RecallCursor } from '../../activities/recall/contract';
import { addCounts, retryWaitMs, type Counts } from '../../activities/shared/contract';
import { fail, type Entry, type Lane } from './lane-state';

/** Transactions tried for one object in a leg; after that it waits, parked. */
const attemptsMax = 3;
const rebroadcastSecondsMax = 60;

/**
 * What an earlier leg could not settle comes first, unchanged: its nonces are taken until it is mined. The
 * cursor stands before its objects, and the next stage finds them there.
 */
export async function settlePending(lane: Lane): Promise<void> {
  lane.unsettled.push(...(lane.input.cursor?.pending ?? []));
  try {
    for (const plan of [...lane.unsettled]) await broadcast(lane, plan);
    for (const plan of [...lane.unsettled]) {
      const { confirmed: objects, bytes } = await confirmed(lane, plan);
      count(lane, { objects, bytes });
      lane.unsettled.shift();
    }
    const { input } = lane;
    const opened = await lane.settling.run(() =>
      lane.signing.openWallet({ wallet: lane.name.wallet, settings: input.settings }),
    );
    Object.assign(lane, opened);
  } catch (error) {
    fail(lane, error);
  }
}

/** False when it could not be sent: by a pause, or by a failure that the lane then holds. */
export async function sendPlan(lane: Lane, plan: Plan, entry: Entry): Promise<boolean> {
  try {
    const { taken } = await broadcast(lane, plan);
    if (taken.length > 0) giveUpNonces(lane, plan, entry, taken);
    return true;
  } catch (error) {
    fail(lane, error);
    return false;
  }
}

/** One at a time, whoever asks: a plan is never between another's transactions. */
function broadcast(lane: Lane, plan: Plan): Promise<BroadcastResult> {
  const sent = lane.sending.then(() => broadcastAfter(lane, plan));
  lane.sending = sent.catch(() => undefined);
  return sent;
}

async function broadcastAfter(lane: Lane, plan: Plan): Promise<BroadcastResult> {
  for (let wait = 0; ; wait = Math.min(wait * 2 + 1, rebroadcastSecondsMax)) {
    const result = await broadcastOnce(lane, plan);
    const { wants } = result;
    if (wants === undefined) return result;
    // The chain has lost what was sent before: that first, unchanged.
    const lost = lane.unsettled.filter((each) => each.firstNonce < plan.firstNonce && lastNonce(each) >= wants);
    const [earliest] = lost;
    if (earliest === undefined || wants < earliest.firstNonce) {
      throw ApplicationFailure.nonRetryable(
        `${plan.wallet}: the chain wants nonce ${wants}, which was settled before; was it reset? waybill recall reset begins anew, and skips what is there`,
        'ChainRewound',
      );
    }
    for (const each of lost) await broadcastOnce(lane, each);
    // A chain that loses it again at once is given time, and history is spared.
    if (wait > 0) await lane.settling.run(() => sleep(`${wait} seconds`));
  }
}

const lastNonce = ({ firstNonce, objects }: Plan): number => firstNonce + objects.length - 1;

async function broadcastOnce(lane: Lane, plan: Plan): Promise<BroadcastResult> {
  const { network } = lane.input.settings;
  const result = await lane.settling.run(() => lane.signing.broadcastPlan({ plan, settings: { network } }));
  lane.block = Math.max(lane.block, result.block);
  lane.digests.set(plan.firstNonce, result.digest);
  return result;
}

/** Somebody else uses this wallet. Those of ours can never be mined; their rows are read again from before this batch. */
function giveUpNonces(lane: Lane, plan: Plan, entry: Entry, taken: readonly number[]): void {
  entry.refused = true;
  lane.stopped = true;
  const nonces = taken.length === 0 ? ['some'] : taken.map((offset) => plan.firstNonce + offset);
  lane.result = {
    ...lane.result,
    note: `another program uses ${plan.wallet}: of nonces ${plan.firstNonce} to ${lastNonce(plan)} these were not ours: ${nonces.slice(0, 5).join(', ')}. Give it a wallet of its own`,
  };
}

export async function settlePlan(lane: Lane, plan: Plan, entry: Entry): Promise<void> {
  try {
    takeOutcome(lane, plan, entry, await confirmed(lane, plan));
    // The cursor does not pass it, but what has arrived has: reading again finds it there.
    if (entry.refused) count(lane, entry.counts ?? {});
    lane.unsettled = lane.unsettled.filter((each) => each !== plan);
    entry.settled = true;
    advance(lane);
  } catch (error) {
    fail(lane, error);
  }
}

/** Waits for a plan; sends all that is on its way again, in order, whenever the chain stands still. */
async function confirmed(lane: Lane, plan: Plan): Promise<ConfirmResult> {
  const { wallet, bucket, firstNonce, fromBlock, objects } = plan;
  const { network, resolveSeconds } = lane.input.settings;
  const digest = lane.digests.get(firstNonce);
  for (;;) {
    const input = {
      ...{ wallet, bucket, firstNonce, count: objects.length, fromBlock },
      ...(digest === undefined ? {} : { digest }),
      settings: { network, resolveSeconds },
    };
    const result = await lane.settling.run(() => lane.activities.confirmPlan(input));
    if (result.stalled !== true) return result;
    for (const each of lane.unsettled.filter((candidate) => candidate.firstNonce <= firstNonce))
      await broadcast(lane, each);
  }
}

function takeOutcome(lane: Lane, plan: Plan, entry: Entry, outcome: ConfirmResult): void {
  const { confirmed, bytes, failed, foreign } = outcome;
  // Others than were sent, or fewer: another program has used some of the nonces without our noticing.
  const isForeign = foreign === true || confirmed + failed.length < plan.objects.length;
  if (isForeign && !entry.refused) giveUpNonces(lane, plan, entry, []);
  entry.counts = { objects: confirmed, bytes };
  entry.parked = [];
  for (const { id, reason, fate } of failed) {
    const attempts = (entry.staged.attempts[id] ?? 0) + 1;
    const item = { lane: lane.input.lane, id, reason, attempts };
    if (fate === 'again' && attempts < attemptsMax) lane.again.push(item);
    else if (fate === 'again' || fate === 'park')
      entry.parked.push({ ...item, retryAt: new Date(Date.now() + retryWaitMs(attempts)).toISOString() });
    else {
      entry.refused = true;
      fail(lane, ApplicationFailure.nonRetryable(`object ${id}: ${reason}`, fate));
    }
  }
  const failedIds = new Set(failed.map(({ id }) => id));
  entry.recovered = Object.keys(entry.staged.attempts).filter((id) => !failedIds.has(id));
}

function count(lane: Lane, counts: Counts): void {
  lane.result = { ...lane.result, counts: addCounts(lane.result.counts, counts) };
}

/** Moves the cursor over what is settled, in the order of reading. */
export function advance(lane: Lane): void {
  for (let entry = lane.batches[0]; entry?.settled === true && !entry.refused; entry = lane.batches[0]) {
    lane.batches.shift();
    const { staged, counts = {}, parked = [], recovered = [] } = entry;
    const { result } = lane;
    const settled = new Set([...staged.parked, ...parked].map(({ id }) => id));
    lane.result = {
      ...result,
      cursor: withoutPending(staged.cursor),
      counts: addCounts(addCounts(result.counts, staged.counts), counts),
      parked: [...result.parked.filter(({ id }) => !settled.has(id)), ...staged.parked, ...parked],
      recovered: [...result.recovered, ...staged.recovered, ...recovered],
      ...(staged.note === undefined ? {} : { note: staged.note }),
    };
  }
}

const withoutPending = (cursor: RecallCursor): RecallCursor => ({ ...cursor, pending: [] });
