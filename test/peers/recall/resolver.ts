/**
 * Validators, in short: a blob that was added is pending as soon as it is seen, resolved after a while if its bytes are here and as
 * long as was said, and failed if they do not come.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { toEventSelector, type Hex } from 'viem';
import { operate } from './actors';
import { blobsAddress, type Anvil } from './anvil';
import type { Faults } from './faults';
import type { ObjectFront } from './object-front';

const pollMs = 100;
/** Blobs in a transaction of the operator. */
const togetherMax = 200;
const added = toEventSelector('BlobAdded(address,bytes32,uint256,uint256,uint256)');

export interface ResolverOptions {
  /** From a blob's adding to its resolving. */
  readonly resolveMs: number;
  /** How long bytes that are not here are waited for. */
  readonly absentMs: number;
}

export interface Resolver {
  /** Looks at all blobs again: what was decided and not mined is decided anew. */
  rewind(): void;
  stop(): Promise<void>;
}

interface Seen {
  readonly size: number;
  readonly atMs: number;
}

export function startResolver(
  anvil: Anvil,
  objects: Pick<ObjectFront, 'blobs' | 'nodeId'>,
  faults: Faults,
  { resolveMs, absentMs }: ResolverOptions,
): Resolver {
  const waiting = new Map<Hex, Seen>();
  let next = 0;
  let running = true;

  const inSlices = async (hashes: readonly Hex[], send: (some: readonly Hex[]) => Promise<unknown>): Promise<void> => {
    for (let from = 0; from < hashes.length; from += togetherMax) await send(hashes.slice(from, from + togetherMax));
  };
  const see = async (): Promise<void> => {
    const last = Number(await anvil.call<string>('eth_blockNumber'));
    if (last < next) return;
    const logs = await anvil.call<{ data: Hex }[]>('eth_getLogs', {
      address: blobsAddress,
      topics: [added],
      fromBlock: `0x${next.toString(16)}`,
      toBlock: `0x${last.toString(16)}`,
    });
    // A hash, then a size, a word each.
    const fresh = logs.map(({ data }) => [data.slice(0, 66) as Hex, Number(`0x${data.slice(66, 130)}`)] as const);
    for (const [hash, size] of fresh) waiting.set(hash, { size, atMs: performance.now() });
    await inSlices([...new Set(fresh.map(([hash]) => hash))], (some) =>
      operate(anvil, 'pend', [some, `0x${objects.nodeId}`]),
    );
    next = last + 1;
  };
  const decide = async (): Promise<void> => {
    const resolved: Hex[] = [];
    const failed: Hex[] = [];
    for (const [hash, { size, atMs }] of waiting) {
      const isHere = objects.blobs.get(hash)?.size === size;
      if (performance.now() - atMs < (isHere ? resolveMs : Math.max(resolveMs, absentMs))) continue;
      waiting.delete(hash);
      (isHere && !faults.happens('failBlob') ? resolved : failed).push(hash);
    }
    await inSlices(resolved, (some) => operate(anvil, 'finalize', [some, true]));
    await inSlices(failed, (some) => operate(anvil, 'finalize', [some, false]));
  };
  const ended = (async () => {
    while (running) {
      await sleep(pollMs);
      // A chain that is away for a while is looked at again.
      await see().catch(() => undefined);
      await decide().catch(() => undefined);
    }
  })();
  return {
    rewind: () => {
      next = 0;
    },
    stop: async () => {
      running = false;
      await ended;
    },
  };
}
