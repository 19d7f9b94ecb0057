/**
 * A plan's end: each of its transactions in a block and not reverted, each blob resolved, each object readable. The plan
 * itself is not asked for: it is on the chain, in its transactions.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { isPermanent } from '../shared/failures';
import type { RecallDeps } from './activities';
import type { BlobStatus, MinedTransaction, RecallNetwork } from './destination';
import { describeRunway } from './credit';
import { decodeAddObject } from './facade';
import { untilMined } from './mined';
import { inParallel } from './parallel';
import { digestOf, type AddedObject } from './plan';
import type { ConfirmInput, ConfirmResult, FailedObject } from './steps';
import { fateOf, withRemedy } from './trouble';
import { watched, type Watch } from './watch';

const lookEveryMs = 500;
/** From resolved on chain to readable at the API. */
const readableMsMax = 30_000;
/** Few: they are asked beside a broadcast, whose answers should not queue behind theirs. */
const questionsAtOnce = 4;

interface Added extends AddedObject {
  readonly id: string;
  /** Epochs. */
  readonly ttl: number;
  readonly transaction: MinedTransaction;
}

export async function confirmPlan(deps: RecallDeps, input: ConfirmInput): Promise<ConfirmResult> {
  return await watched(async (watch) => {
    const network = deps.network(input.settings.network);
    await network.check(watch.signal);
    const mined = await untilMined(network.ledger, input, watch);
    if (mined === null) return { confirmed: 0, bytes: 0, failed: [], stalled: true };
    const added = await addedBy(mined, input.bucket);
    // Not all are objects of this bucket, or not those of the plan.
    const isForeign = added.length < mined.length || (input.digest ?? digestOf(added)) !== digestOf(added);
    const reverted = await whyReverted(network, { wallet: input.wallet, owner: deps.addresses()[0] }, added, watch);
    const unresolved = await untilResolved(network, input, without(added, reverted), watch);
    const resolved = without(added, [...reverted, ...unresolved]);
    const unread = await untilReadable(network, input, resolved, watch);
    const confirmed = without(resolved, unread);
    return {
      confirmed: confirmed.length,
      bytes: confirmed.reduce((sum, { size }) => sum + size, 0),
      failed: [...reverted, ...unresolved, ...unread],
      ...(isForeign ? { foreign: true } : {}),
    };
  });
}

/** Gives way after each: beside it the next plan is broadcast, which half a second of decoding would hold up. */
async function addedBy(mined: readonly MinedTransaction[], bucket: string): Promise<Added[]> {
  const added: Added[] = [];
  for (const transaction of mined) {
    const call = transaction.to.toLowerCase() === bucket.toLowerCase() ? decodeAddObject(transaction.data) : null;
    await turn();
    if (call === null) continue;
    const { key, blobHash, size, ttl } = call;
    added.push({ id: key.slice(key.lastIndexOf('/') + 1), key, blobHash, size, ttl, transaction });
  }
  return added;
}

function without(added: readonly Added[], failed: readonly FailedObject[]): Added[] {
  const ids = new Set(failed.map(({ id }) => id));
  return added.filter(({ id }) => !ids.has(id));
}

async function whyReverted(
  network: RecallNetwork,
  { wallet, owner }: { readonly wallet: string; readonly owner: string },
  added: readonly Added[],
  { signal, at }: Watch,
): Promise<FailedObject[]> {
  const reverted = added.filter(({ transaction }) => !transaction.succeeded);
  return await inParallel(reverted, { limit: questionsAtOnce, signal }, async ({ id, ttl, transaction }) => {
    const words = await network.ledger.whyFailed(wallet, transaction, signal);
    const fate = words === null ? 'again' : fateOf(words);
    const said = words ?? 'reverted, and would not now: too little gas, or what it needed came later';
    const runway =
      fate === 'CreditExhausted' ? `; ${describeRunway(owner, await network.account(owner, signal), ttl)}` : '';
    const reason = fate === 'again' || fate === 'park' ? said : withRemedy(fate, said) + runway;
    at();
    return { id, fate, reason: `transaction ${transaction.hash}: ${reason}` };
  });
}

/** Those that did not come to be resolved. All are asked about when the last of them is: a plan is settled as a whole. */
async function untilResolved(
  network: RecallNetwork,
  { settings }: ConfirmInput,
  added: readonly Added[],
  { signal, at }: Watch,
): Promise<FailedObject[]> {
  const failed: FailedObject[] = [];
  const until = performance.now() + settings.resolveSeconds * 1000;
  let waiting = added;
  while (waiting.length > 0) {
    const isOver = performance.now() > until;
    const hashes = waiting.map(({ blobHash }) => blobHash);
    const statuses = await network.blobs(hashes, signal);
    for (const [index, { id }] of waiting.entries())
      if (statuses[index] === 'failed')
        failed.push({ id, fate: 'again', reason: 'the network could not resolve its blob' });
      else if (isOver && statuses[index] !== 'resolved')
        failed.push({ id, fate: 'again', reason: `not resolved within ${settings.resolveSeconds} s` });
    waiting = isOver ? [] : waiting.filter((_, index) => isOnItsWay(statuses[index]));
    const last = waiting.at(-1);
    // One is asked about until it is done: five hundred questions twice a second would keep the node from its work.
    while (last !== undefined && performance.now() <= until) {
      at({ unresolved: waiting.length });
      await sleep(lookEveryMs, undefined, { signal });
      const [status] = await network.blobs([last.blobHash], signal);
      if (!isOnItsWay(status)) break;
    }
  }
  return failed;
}

const isOnItsWay = (status: BlobStatus | undefined): boolean => status !== 'resolved' && status !== 'failed';

/** Those that cannot be read, though the chain says they can. */
async function untilReadable(
  network: RecallNetwork,
  { bucket, settings }: ConfirmInput,
  resolved: readonly Added[],
  { signal, at }: Watch,
): Promise<FailedObject[]> {
  const until = performance.now() + Math.min(readableMsMax, settings.resolveSeconds * 1000);
  const outcomes = await inParallel(resolved, { limit: questionsAtOnce, signal }, async ({ id, key, size }) => {
    for (;;) {
      at();
      const isOver = performance.now() > until;
      const found = await network.readable(bucket, key, signal).catch((error: unknown) => {
        // One answer in hundreds is no reason to begin again with all of them.
        if (isOver || signal.aborted || isPermanent(error)) throw error;
        return null;
      });
      if (found?.size === size) return null;
      if (isOver) {
        const reason =
          found === null ? 'resolved, but not to be read' : `${size} bytes were sent, ${found.size} are there`;
        return { id, fate: 'again', reason } as const;
      }
      await sleep(lookEveryMs, undefined, { signal });
    }
  });
  return outcomes.filter((outcome) => outcome !== null);
}
