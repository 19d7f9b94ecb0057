/** What the chain says of buckets, objects, blobs and accounts: reads through the contract facades, in batches. */
import type { Hex } from 'viem';
import { z } from 'zod';
import { parseInput } from '../shared/contract';
import type { ChainReads } from './destination';
import { toHex } from './evm-ledger';
import {
  blobsAddress,
  decodeAccount,
  decodeAddedKey,
  decodeBlobStatus,
  decodeBucketNamed,
  decodeCapacityFree,
  decodeGetObject,
  decodeIsEmpty,
  encodeFirstObject,
  encodeGetAccount,
  encodeGetBlob,
  encodeGetObject,
  encodeGetStats,
  encodeListBuckets,
  machineAddress,
  objectAddedTopic,
} from './facade';
import { permanent } from './failures';
import { RpcError, type JsonRpc } from './json-rpc';
import { classified } from './trouble';

/** Over the base fee of now. Only base fee and tip are paid; a transaction that offers too little waits for ever. */
const baseFeeTimes = 10n;
const logBlocks = 2000;

const hex = z.string().regex(/^0x[0-9a-f]*$/i, { error: 'hexadecimal digits after 0x' });
const bytes = hex.transform((text) => text as Hex);
const head = z.object({ number: hex, baseFeePerGas: hex.optional() });
const logs = z.array(z.object({ data: bytes }));

export function createChainReads(rpc: JsonRpc): ChainReads {
  const block = async (signal: AbortSignal): Promise<number> =>
    Number(parseInput(hex, await rpc.one('eth_blockNumber', [], signal)));

  const views = async (to: string, calls: readonly Hex[], signal: AbortSignal): Promise<Hex[]> => {
    const answers = await rpc.many(
      calls.map((data) => ({ method: 'eth_call', params: [{ to, data }, 'latest'] })),
      signal,
    );
    return answers.map((answer) => answered(answer, to));
  };
  const view = async (to: string, data: Hex, signal: AbortSignal): Promise<Hex> =>
    (await views(to, [data], signal))[0] as Hex;

  return {
    tip: async (signal) => {
      const [latest, priority] = await rpc.many(
        [
          { method: 'eth_getBlockByNumber', params: ['latest', false] },
          { method: 'eth_maxPriorityFeePerGas', params: [] },
        ],
        signal,
      );
      if (latest instanceof RpcError) throw latest;
      const { number, baseFeePerGas = '0x0' } = parseInput(head, latest);
      const offered = priority instanceof RpcError ? 0n : BigInt(parseInput(hex, priority));
      const maxPriorityFeePerGas = offered > 0n ? offered : 1n;
      const maxFeePerGas = BigInt(baseFeePerGas) * baseFeeTimes + maxPriorityFeePerGas;
      return { block: Number(number), maxFeePerGas, maxPriorityFeePerGas };
    },
    bucketOf: async (owner, job, signal) =>
      decodeBucketNamed(await view(machineAddress, encodeListBuckets(owner), signal), job),
    isEmpty: async (bucket, signal) => decodeIsEmpty(await view(bucket, encodeFirstObject(), signal)),
    account: async (address, signal) => {
      const [data, balance] = await Promise.all([
        view(blobsAddress, encodeGetAccount(address), signal),
        rpc.one('eth_getBalance', [address, 'latest'], signal),
      ]);
      return { ...decodeAccount(data), balance: BigInt(parseInput(hex, balance)) };
    },
    capacityFree: async (signal) => decodeCapacityFree(await view(blobsAddress, encodeGetStats(), signal)),
    objects: async (bucket, keys, signal) => {
      if (keys.length === 0) return [];
      const [epoch, answers] = await Promise.all([block(signal), views(bucket, keys.map(encodeGetObject), signal)]);
      // What has expired stays on chain until the actor's next round: it is as good as gone.
      return answers.map(decodeGetObject).map((object) => (object !== null && object.expiry > epoch ? object : null));
    },
    blobs: async (hashes, signal) =>
      (await views(blobsAddress, hashes.map(encodeGetBlob), signal)).map(decodeBlobStatus),
    keysOf: async (bucket, ids, epochs, signal) => {
      const latest = await block(signal);
      return await addedKeys(rpc, { bucket, ids, from: Math.max(0, latest - epochs), to: latest }, signal);
    },
  };
}

/** An actor that is not there answers nothing at all. */
function answered(answer: unknown, to: string): Hex {
  if (answer instanceof RpcError) throw classified(answer, `reading from ${to}`);
  if (answer !== '0x') return parseInput(bytes, answer);
  throw to === machineAddress || to === blobsAddress
    ? permanent('NetworkRefused', `${to} is no Recall contract on this chain: check evm_rpc_url of the networks file`)
    : permanent('BucketRefused', `there is no bucket at ${to}: name another by --bucket, or none for the job's own`);
}

interface Events {
  readonly bucket: string;
  readonly ids: readonly string[];
  /** Blocks, both inclusive. */
  readonly from: number;
  readonly to: number;
}

/** The newest first, until all are found. */
async function addedKeys(rpc: JsonRpc, { bucket, ids, from: oldest, to: newest }: Events, signal: AbortSignal) {
  const wanted = new Set(ids);
  const found = new Map<string, string>();
  let span = logBlocks;
  for (let to = newest; to >= oldest && wanted.size > 0;) {
    const from = Math.max(oldest, to - span + 1);
    const range = { address: bucket, topics: [objectAddedTopic], fromBlock: toHex(from), toBlock: toHex(to) };
    try {
      const added = parseInput(logs, await rpc.one('eth_getLogs', [range], signal));
      for (const { data } of added.reverse()) {
        const key = decodeAddedKey(data);
        const id = key.slice(key.lastIndexOf('/') + 1);
        if (wanted.delete(id)) found.set(id, key);
      }
      to = from - 1;
    } catch (error) {
      // Too many for one answer: fewer blocks.
      if (!(error instanceof RpcError) || span === 1) throw error;
      span = Math.ceil(span / 2);
    }
  }
  return found;
}
