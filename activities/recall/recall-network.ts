/** The Recall network over its EVM facade and its object API. */
import type { Hex } from 'viem';
import type { RecallNetwork } from './destination';
import { createChainReads } from './evm-chain';
import { createLedger } from './evm-ledger';
import { permanent } from './failures';
import { createJsonRpc } from './json-rpc';
import type { NetworkAddress } from './networks';
import { createObjectApi } from './object-api';
import { classified } from './trouble';

const nodeKeptMs = 60_000;

export interface ClosableNetwork extends RecallNetwork {
  close(): void;
}

export function createRecallNetwork(name: string, { chainId, evmUrl, objectApiUrl }: NetworkAddress): ClosableNetwork {
  const rpc = createJsonRpc(evmUrl);
  const api = createObjectApi(objectApiUrl);
  const ledger = createLedger(rpc);
  let isChecked = false;
  let node: { id: Hex; at: number } | null = null;
  return {
    ...createChainReads(rpc),
    chainId,
    ledger,
    check: async (signal) => {
      if (isChecked) return;
      const found = Number(await rpc.one('eth_chainId', [], signal));
      if (found !== chainId)
        throw permanent(
          'NetworkRefused',
          `network ${name}: ${rpc.shown} is chain ${found}, not ${chainId}: correct the networks file`,
        );
      isChecked = true;
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
