/**
 * fendermint's rules for nonces. A transaction has the exact next nonce of its sender, counted over what was accepted, or is refused.
 * Up to ten ahead it is kept in memory, acknowledged, and sent on once, when the missing one is in a block.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { keccak256, type Hex } from 'viem';
import type { Anvil, BlockTime } from './anvil';
import type { Faults } from './faults';
import { identify, type Incoming, type KnownKey } from './sender';

/** fendermint's max_nonce_gap. */
const gapMax = 10;
const blockPollMs = 50;

/** What the chain says no with. */
export class Refusal extends Error {}

interface Waiting extends Incoming {
  readonly hash: Hex;
}

export interface CheckState {
  /** Throws Refusal. */
  submit(raw: Hex): Promise<Hex>;
  /** The next nonce, over all that was accepted. */
  pendingNonce(sender: string): Promise<number>;
  /** A transaction that waits for a missing nonce. */
  waiting(hash: Hex): Waiting | null;
  /** What a restart forgets: all that is in no block. */
  forget(): Promise<void>;
  stop(): Promise<void>;
}

export function createCheckState(
  anvil: Anvil,
  faults: Faults,
  { known, blocks }: { readonly known: readonly KnownKey[]; readonly blocks: BlockTime },
): CheckState {
  const expected = new Map<string, number>();
  const buffered = new Map<string, Map<number, Waiting>>();
  /** Nonces whose transaction was lost out of the mempool: expected again after the next block. */
  const evicted = new Map<string, number>();
  const turns = new Map<string, Promise<unknown>>();
  let watching: Promise<void> | null = null;
  let stopped = false;
  let generation = 0;

  /** One transaction of a sender after the other, as a mempool takes them. */
  const inTurn = <R>(sender: string, take: () => Promise<R>): Promise<R> => {
    const turn = (turns.get(sender) ?? Promise.resolve()).then(take, take);
    turns.set(sender, turn);
    return turn;
  };

  /** What is mined, and what the mempool has behind it without a gap. Asked only where what is remembered does not fit. */
  const recheck = async (sender: string): Promise<number> => {
    const lost = evicted.get(sender);
    const nonce =
      lost === undefined
        ? Number(await anvil.call<string>('eth_getTransactionCount', sender, 'pending'))
        : (expected.get(sender) ?? lost);
    expected.set(sender, nonce);
    return nonce;
  };

  const take = async ({ raw, sender, nonce }: Incoming): Promise<Hex> => {
    const remembered = expected.get(sender);
    const next = remembered === nonce ? nonce : await recheck(sender);
    if (nonce > next && nonce - next <= gapMax) {
      const hash = keccak256(raw);
      const waiting = buffered.get(sender) ?? new Map<number, Waiting>();
      buffered.set(sender, waiting.set(nonce, { raw, sender, nonce, hash }));
      await watch();
      return hash;
    }
    if (nonce !== next) throw new Refusal(`invalid sequence: expected sequence ${next}, got ${nonce}`);
    if (faults.happens('drop')) return keccak256(raw);
    if (faults.happens('evict') && !evicted.has(sender)) {
      // Where each transaction is a block at once there is no mempool to stay in.
      if (blocks === 0) return keccak256(raw);
      evicted.set(sender, nonce);
      await watch();
    }
    const before = generation;
    expected.set(sender, nonce + 1);
    // Behind a lost one nothing can be mined: the recheck after the block throws it out too.
    if (evicted.has(sender)) return keccak256(raw);
    try {
      return await anvil.call<Hex>('eth_sendRawTransaction', raw);
    } catch (error) {
      if (before === generation) expected.set(sender, nonce);
      throw new Refusal((error as Error).message);
    }
  };

  /** Sent on once, as the real one does: if it is refused now, it is lost. */
  const release = async (sender: string, mined: number): Promise<void> => {
    const waiting = buffered.get(sender);
    waiting?.delete(mined);
    for (let nonce = mined + 1; ; nonce += 1) {
      const next = waiting?.get(nonce);
      if (next === undefined) return;
      waiting?.delete(nonce);
      await inTurn(sender, () => take(next)).catch(() => undefined);
    }
  };

  const isIdle = (): boolean => evicted.size === 0 && [...buffered.values()].every(({ size }) => size === 0);

  const afterBlock = async (number: number): Promise<void> => {
    for (const [sender, nonce] of evicted) expected.set(sender, nonce);
    evicted.clear();
    const tag = `0x${number.toString(16)}`;
    const block = await anvil.call<{ transactions: { from: string; nonce: string }[] } | null>(
      'eth_getBlockByNumber',
      tag,
      true,
    );
    for (const { from, nonce } of block?.transactions ?? []) await release(from.toLowerCase(), Number(nonce));
  };

  /** Looks at blocks while something waits for one; it has begun when this resolves. */
  const watch = async (): Promise<void> => {
    if (watching !== null) return;
    let last = Number(await anvil.call<string>('eth_blockNumber'));
    watching ??= (async () => {
      while (!stopped && !isIdle()) {
        await sleep(blockPollMs);
        const latest = await anvil.call<string>('eth_blockNumber').then(Number, () => last);
        while (last < latest) await afterBlock((last += 1)).catch(() => undefined);
      }
      watching = null;
    })();
  };

  return {
    submit: async (raw) => {
      const incoming = await identify(raw, known, (sender, nonce) => expected.get(sender) === nonce).catch((error) => {
        throw new Refusal(`failed to decode transaction: ${(error as Error).message}`);
      });
      return await inTurn(incoming.sender, () => take(incoming));
    },
    pendingNonce: (sender) => inTurn(sender.toLowerCase(), () => recheck(sender.toLowerCase())),
    waiting: (hash) =>
      [...buffered.values()].flatMap((waiting) => [...waiting.values()]).find((each) => each.hash === hash) ?? null,
    forget: async () => {
      generation += 1;
      const senders = [...expected.keys()];
      for (const state of [expected, buffered, evicted]) state.clear();
      // Only clients': what the network itself has sent is not in this node's mempool.
      await Promise.all(senders.map((sender) => anvil.call('anvil_removePoolTransactions', sender)));
      expected.clear();
    },
    stop: async () => {
      stopped = true;
      await watching;
    },
  };
}
