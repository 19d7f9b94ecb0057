/** A row of transactions to the chain, in the order of their nonces, each answer awaited before the next is sent. */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { keccak256, type Hex } from 'viem';
import type { Ledger } from './destination';
import { permanent } from './failures';
import { RpcError } from './json-rpc';
import { fateOf, withRemedy, wordsOf } from './trouble';
import type { UnsignedTransaction, Wallet } from './wallet';
import type { Watch } from './watch';

const lookEveryMs = 500;
/** Times the chain may want the same nonce again before the activity is: something else is wrong then. */
const rewindsMax = 5;
/** Looks for a mined transaction by its hash before it is held to be another's: indexes run a little behind blocks. */
const looksMax = 4;
/** How long an accepted transaction that is not known by its hash may wait for a block. */
const unknownMsMax = 60_000;

export interface Row {
  /** Nonces from here on. */
  readonly first: number;
  readonly count: number;
  /** The same for an offset every time. */
  readonly at: (offset: number) => UnsignedTransaction;
}

export interface Sent {
  /** Offsets whose nonce is another's, in order. */
  readonly taken: readonly number[];
  /** The chain lacks one before the row; nothing more was sent. */
  readonly wants?: number;
}

/**
 * Sends a row; returns when the node has accepted all of it. What it has accepted before is looked up, not sent. Throws
 * WalletEmpty and what else a person must mend; anything that is worth another try plainly.
 */
export async function sendInOrder(ledger: Ledger, wallet: Wallet, row: Row, watch: Watch): Promise<Sent> {
  const { first, count } = row;
  const taken = new Set<number>();
  const sent = (wants?: number): Sent => ({
    taken: [...taken].sort((left, right) => left - right),
    ...(wants === undefined ? {} : { wants }),
  });
  /** Where to go on: at `to`, or at what the node has lost meanwhile. */
  const lookUp = async (from: number, to: number): Promise<number> => {
    const { others, next } = await othersOf(ledger, wallet, row, { from, to, watch });
    for (const offset of others) taken.add(offset);
    return next;
  };
  const accepted = await ledger.nonce(wallet.address, 'pending', watch.signal);
  if (accepted < first) return sent(accepted);
  let offset = await lookUp(0, Math.min(accepted - first, count));
  const rewinds = new Map<number, number>();
  let signed = offset < count ? wallet.sign(row.at(offset)) : null;
  while (signed !== null) {
    watch.at({ nonce: first + offset });
    const sending = ledger.send(await signed, watch.signal).then(
      () => null,
      (error: unknown) => error,
    );
    // While the node checks this one, the next is signed: once the request is on its way, for signing holds the thread.
    await turn();
    const next = offset + 1 < count ? wallet.sign(row.at(offset + 1)) : null;
    const refusal = await sending;
    const wants = refusal === null ? first + offset + 1 : wantedNonce(refusal, wallet.address, first + offset);
    if (wants < first) return sent(wants);
    if (refusal === null) taken.delete(offset);
    if (wants <= first + offset) countRewind(rewinds, wants, wallet.address);
    let reached = Math.min(wants - first, count);
    if (refusal !== null && reached > offset) {
      reached = await lookUp(offset, reached);
      if (first + reached < wants) countRewind(rewinds, first + reached, wallet.address);
    }
    signed = reached === offset + 1 ? next : reached < count ? wallet.sign(row.at(reached)) : null;
    offset = reached;
  }
  return sent();
}

interface Found {
  /** Offsets in order. */
  readonly others: readonly number[];
  readonly next: number;
}

interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly watch: Watch;
}

/**
 * Offsets of used nonces whose transaction is not ours. Ours are known by their hashes; but a node that was restarted may hold a
 * transaction and not know its hash, or count one that it has lost: so what is not mined is sent once more, and waited for.
 */
async function othersOf(ledger: Ledger, wallet: Wallet, row: Row, { from, to, watch }: Stretch): Promise<Found> {
  const { signal } = watch;
  let unknown: { offset: number; signed: Hex; hash: Hex }[] = [];
  for (let offset = from; offset < to; offset += 1) {
    const signed = await wallet.sign(row.at(offset));
    unknown.push({ offset, signed, hash: keccak256(signed) });
    watch.at({ lookingUp: row.first + offset });
    await turn();
  }
  const until = performance.now() + unknownMsMax;
  let sentAgain = false;
  for (let looks = 0; unknown.length > 0; await sleep(lookEveryMs, undefined, { signal })) {
    // The nonce first: what it counts is mined, and by then known.
    const mined = await ledger.nonce(wallet.address, 'latest', signal);
    const known = await ledger.isKnown(
      unknown.map(({ hash }) => hash),
      signal,
    );
    unknown = unknown.filter((_, index) => known[index] !== true);
    const waiting = unknown.filter(({ offset }) => row.first + offset >= mined);
    const others = unknown.filter((each) => !waiting.includes(each)).map(({ offset }) => offset);
    const [first] = waiting;
    if (first === undefined && (looks += 1) >= looksMax) return { others, next: to };
    // Accepted, and then forgotten, as by a restart: its nonce is free again.
    if (first !== undefined && (await ledger.nonce(wallet.address, 'pending', signal)) <= row.first + first.offset)
      return { others, next: first.offset };
    if (performance.now() > until)
      throw new Error(
        `${wallet.address}: the node has accepted ${waiting.length} transactions before ${row.first + to}, does not know ours by their hashes, and does not mine them`,
      );
    if (!sentAgain) for (const { signed } of waiting) await ledger.send(signed, signal).catch(ignoreRefusal);
    sentAgain = true;
    watch.at();
  }
  return { others: [], next: to };
}

/** What a node says of a nonce that is used tells nothing of who used it. */
function ignoreRefusal(error: unknown): void {
  if (!(error instanceof RpcError)) throw error;
}

/** The nonce that the chain asks for, out of its refusal. Throws every other refusal. */
function wantedNonce(refusal: unknown, address: string, nonce: number): number {
  if (!(refusal instanceof RpcError)) throw refusal;
  const words = wordsOf(refusal);
  const [, expected] = /expected sequence (\d+), got \d+/.exec(words) ?? [];
  if (expected !== undefined) return Number(expected);
  if (/already (known|imported|exists|in (the )?(mempool|cache))/i.test(words)) return nonce + 1;
  const what = `${address}, transaction ${nonce}`;
  const fate = fateOf(words);
  if (fate === 'again' || fate === 'park') throw new Error(`${what}: ${words}`);
  throw permanent(fate, `${what}: ${withRemedy(fate, words)}`);
}

function countRewind(rewinds: Map<number, number>, wants: number, address: string): void {
  const times = (rewinds.get(wants) ?? 0) + 1;
  rewinds.set(wants, times);
  if (times > rewindsMax)
    throw new Error(`${address}: the chain wanted transaction ${wants} ${times} times; it does not keep it`);
}
