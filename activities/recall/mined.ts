/** Waiting for blocks: until every nonce of a row is used, and then what used them; or until it is plain that none will be. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger, MinedTransaction } from './destination';
import type { Watch } from './watch';

const lookEveryMs = 500;
/** The wallet's nonce has stood still for this many blocks, or this long: is what was accepted still there? */
const stillBlocksMax = 5;
const stillMsMax = 15_000;
/** Accepted and not mined for so long: the node's word is doubted. */
const haltedMsMax = 60_000;
/** Blocks read at once, newest last: a row is at most some ten blocks long. */
const blocksAtOnce = 100;
/** Looks at all blocks there are without finding a nonce that is used. */
const missesMax = 20;

export interface MinedRow {
  readonly wallet: string;
  readonly firstNonce: number;
  readonly count: number;
  /** Before the first of them was sent. */
  readonly fromBlock: number;
}

/**
 * The transactions of all nonces of the row, in their order, whoever made them. Null when the node has lost some: sending the
 * row again brings them back. Throws when the chain makes no blocks.
 */
export async function untilMined(ledger: Ledger, row: MinedRow, watch: Watch): Promise<MinedTransaction[] | null> {
  const { wallet, firstNonce, count } = row;
  const { signal } = watch;
  let still = { nonce: -1, block: 0, at: 0 };
  for (;;) {
    const nonce = await ledger.nonce(wallet, 'latest', signal);
    if (nonce >= firstNonce + count) return await readRow(ledger, row, watch);
    const block = await ledger.block(signal);
    const now = performance.now();
    if (nonce !== still.nonce) still = { nonce, block, at: now };
    else if (block - still.block >= stillBlocksMax || now - still.at >= stillMsMax) {
      const hasAll = (await ledger.nonce(wallet, 'pending', signal)) >= firstNonce + count;
      if (!hasAll) return null;
      if (now - still.at >= haltedMsMax) {
        // It may only think so; being sent what it has costs a node nothing.
        if (block > still.block) return null;
        throw new Error(
          `${wallet}: transaction ${nonce} is accepted; the chain stands still at block ${block} for ${haltedMsMax / 1000} s`,
        );
      }
    }
    watch.at({ nonce, block });
    await sleep(lookEveryMs, undefined, { signal });
  }
}

async function readRow(ledger: Ledger, row: MinedRow, watch: Watch): Promise<MinedTransaction[]> {
  const { wallet, firstNonce, count, fromBlock } = row;
  const found = new Map<number, MinedTransaction>();
  let next = fromBlock;
  for (let misses = 0; misses <= missesMax; misses += 1) {
    const latest = await ledger.block(watch.signal);
    while (next <= latest && found.size < count) {
      const to = Math.min(latest, next + blocksAtOnce - 1);
      for (const transaction of await ledger.minedBy(wallet, next, to, watch.signal))
        if (transaction.nonce >= firstNonce && transaction.nonce < firstNonce + count)
          found.set(transaction.nonce, transaction);
      watch.at({ readingBlock: to });
      next = to + 1;
    }
    if (found.size === count) return [...found.values()].sort((left, right) => left.nonce - right.nonce);
    await sleep(lookEveryMs, undefined, { signal: watch.signal });
  }
  throw new Error(
    `${wallet}: nonces ${firstNonce} to ${firstNonce + count - 1} are used, but blocks ${fromBlock} to ${next - 1} have ${found.size} of them`,
  );
}
