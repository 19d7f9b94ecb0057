/** The Recall network over its EVM facade and its object API. */
import type { Hex } from 'viem';
import { z } from 'zod';
import { parseInput } from '../shared/contract';
import type { RecallNetwork } from './destination';
import { createLedger, toHex } from './evm-ledger';
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
import { createJsonRpc, RpcError } from './json-rpc';
import type { NetworkAddress } from './networks';
import { createObjectApi } from './object-api';
import { classified } from './trouble';

/** Over the base fee of now. Only base fee and tip are paid; a transaction that offers too little waits for ever. */
const baseFeeTimes = 10n;
const nodeKeptMs = 60_000;
const logBlocks = 2000;

const head = z.object({ number: z.string(), baseFeePerGas: z.string().optional() });
const logs = z.array(z.object({ data: z.string() }));

export interface ClosableNetwork extends RecallNetwork {
  close(): void;
}

export function createRecallNetwork(name: string, { chainId, evmUrl, objectApiUrl }: NetworkAddress): ClosableNetwork {
  const rpc = createJsonRpc(evmUrl);
  const api = createObjectApi(objectApiUrl);
  const ledger = createLedger(rpc);
  let checked = false;
  let node: { id: Hex; at: number } | null = null;

  const view = async (to: string, data: Hex, signal: AbortSignal): Promise<Hex> =>
    (await rpc.one('eth_call', [{ to, data }, 'latest'], signal)) as Hex;

  const views = async (to: string, calls: readonly Hex[], signal: AbortSignal): Promise<Hex[]> => {
    const answers = await rpc.many(
      calls.map((data) => ({ method: 'eth_call', params: [{ to, data }, 'latest'] })),
      signal,
    );
    return answers.map((answer) => {
      if (answer instanceof RpcError) throw classified(answer, `reading from ${to}`);
      return answer as Hex;
    });
  };

  return {
    chainId,
    ledger,
    check: async (signal) => {
      if (checked) return;
      const found = Number(await rpc.one('eth_chainId', [], signal));
      if (found !== chainId)
        throw permanent(
          'NetworkRefused',
          `network ${name}: ${rpc.shown} is chain ${found}, not ${chainId}: correct the networks file`,
        );
      checked = true;
    },
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
      const maxPriorityFeePerGas = priority instanceof RpcError ? 1n : BigInt(String(priority)) || 1n;
      const maxFeePerGas = BigInt(baseFeePerGas) * baseFeeTimes + maxPriorityFeePerGas;
      return { block: Number(number), maxFeePerGas, maxPriorityFeePerGas };
    },
    bucketOf: async (owner, job, signal) =>
      decodeBucketNamed(await view(machineAddress, encodeListBuckets(owner), signal), job),
    isEmpty: async (bucket, signal) => {
      try {
        return decodeIsEmpty(await view(bucket, encodeFirstObject(), signal));
      } catch (error) {
        throw classified(error, `bucket ${bucket}`);
      }
    },
    account: async (address, signal) => {
      const [data, balance] = await Promise.all([
        view(blobsAddress, encodeGetAccount(address), signal),
        rpc.one('eth_getBalance', [address, 'latest'], signal),
      ]);
      return { ...decodeAccount(data), balance: BigInt(String(balance)) };
    },
    capacityFree: async (signal) => decodeCapacityFree(await view(blobsAddress, encodeGetStats(), signal)),
    objects: async (bucket, keys, signal) => {
      if (keys.length === 0) return [];
      const [epoch, answers] = await Promise.all([
        ledger.block(signal),
        views(bucket, keys.map(encodeGetObject), signal),
      ]);
      // What has expired stays on chain until the actor's next round: it is as good as gone.
      return answers.map(decodeGetObject).map((object) => (object !== null && object.expiry > epoch ? object : null));
    },
    blobs: async (hashes, signal) =>
      (await views(blobsAddress, hashes.map(encodeGetBlob), signal)).map(decodeBlobStatus),
    keysOf: async (bucket, ids, epochs, signal) => {
      const wanted = new Set(ids);
      const found = new Map<string, string>();
      let to = await ledger.block(signal);
      const oldest = Math.max(0, to - epochs);
      for (let span = logBlocks; to >= oldest && wanted.size > 0;) {
        const from = Math.max(oldest, to - span + 1);
        const range = { address: bucket, topics: [objectAddedTopic], fromBlock: toHex(from), toBlock: toHex(to) };
        try {
          const added = parseInput(logs, await rpc.one('eth_getLogs', [range], signal));
          for (const { data } of added.reverse()) {
            const key = decodeAddedKey(data as Hex);
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
    },
    node: async (signal) => {
      if (node === null || performance.now() - node.at > nodeKeptMs)
        node = { id: await api.node(signal), at: performance.now() };
      return node.id;
    },
    upload: (size, bytes, signal) => api.upload(size, bytes, signal),
    readable: (bucket, key, signal) => api.head(bucket, key, signal),
    read: (bucket, key, signal) => api.read(bucket, key, signal),
    estimateAdd: async (from, bucket, data, signal) => {
      try {
        return await ledger.estimate({ from, to: bucket, data }, signal);
      } catch (error) {
        throw classified(error, `adding an object to ${bucket}`);
      }
    },
    close: () => {
      rpc.close();
      api.close();
    },
  };
}
