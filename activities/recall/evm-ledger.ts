/** A wallet's queue on the chain, over JSON-RPC. Blocks are read whole, once: receipts one by one would cost more than sending. */
import type { Hex } from 'viem';
import { z } from 'zod';
import { parseInput } from '../shared/contract';
import type { Ledger, MinedTransaction } from './destination';
import { objectAddedTopic } from './facade';
import { RpcError, type JsonRpc } from './json-rpc';
import { wordsOf } from './trouble';

const hex = z.string().regex(/^0x[0-9a-f]*$/i, { error: 'hexadecimal digits after 0x' });
const quantity = hex.transform(Number);
const bytes = hex.transform((text) => text as Hex);
const block = z.object({
  transactions: z.array(
    z.object({ hash: bytes, from: hex, to: hex.nullish(), nonce: quantity, input: bytes, blockNumber: quantity }),
  ),
});
const receipt = z.object({ transactionHash: bytes, status: quantity });
const logs = z.array(z.object({ transactionHash: bytes }));
type BlockTransaction = z.output<typeof block>['transactions'][number];

/**
 * Blocks asked for in one go at first, and at most: full ones are about half a megabyte each, and reading them holds up
 * whatever runs beside; nearly empty ones come twice as many at a time.
 */
const blocksAtOnce = { first: 1, most: 32 };
const fewTransactions = 100;

export const toHex = (value: number | bigint): Hex => `0x${value.toString(16)}`;

export function createLedger(rpc: JsonRpc): Ledger {
  return {
    block: async (signal) => parseInput(quantity, await rpc.one('eth_blockNumber', [], signal)),
    nonce: async (address, at, signal) =>
      parseInput(quantity, await rpc.one('eth_getTransactionCount', [address, at], signal)),
    send: async (signed, signal) => {
      await rpc.one('eth_sendRawTransaction', [signed], signal);
    },
    isKnown: async (hashes, signal) => {
      const calls = hashes.map((hash) => ({ method: 'eth_getTransactionByHash', params: [hash] }));
      return (await rpc.many(calls, signal)).map((answer) => accepted(answer) !== null);
    },
    minedBy: async (address, from, to, signal) => {
      const wallet = address.toLowerCase();
      const mined: MinedTransaction[] = [];
      let span = blocksAtOnce.first;
      for (let first = from; first <= to;) {
        const numbers = Array.from({ length: Math.min(span, to - first + 1) }, (_, index) => first + index);
        first += numbers.length;
        const calls = numbers.map((number) => ({ method: 'eth_getBlockByNumber', params: [toHex(number), true] }));
        const answers = await rpc.many(calls, signal);
        const ours = answers
          .flatMap((answer, index) => transactionsOf(accepted(answer), numbers[index]))
          .filter((transaction) => transaction.from.toLowerCase() === wallet);
        if (ours.length < fewTransactions) span = Math.min(2 * span, blocksAtOnce.most);
        const outcomes = await outcomesOf(rpc, ours, signal);
        for (const { hash, to: target, nonce, input, blockNumber } of ours) {
          const succeeded = outcomes.get(hash);
          if (succeeded === undefined)
            throw new Error(`block ${blockNumber} has no receipt yet of transaction ${hash}`);
          mined.push({ hash, nonce, to: target ?? '', data: input, block: blockNumber, succeeded });
        }
      }
      return mined;
    },
    whyFailed: async (from, { to, data, block: number }, signal) => {
      // What failed it may have come before it in its own block, which only the state after shows.
      for (const at of [number - 1, number]) {
        try {
          await rpc.one('eth_call', [{ from, to, data }, toHex(at)], signal);
        } catch (error) {
          if (error instanceof RpcError) return wordsOf(error);
          throw error;
        }
      }
      return null;
    },
    estimate: async (call, signal) => BigInt(parseInput(hex, await rpc.one('eth_estimateGas', [call], signal))),
  };
}

function transactionsOf(answer: unknown, number: number | undefined): BlockTransaction[] {
  if (answer === null) throw new Error(`the node counts block ${number} and does not give it yet`);
  return parseInput(block, answer).transactions;
}

/**
 * Hashes of those that succeeded, and of those that have a receipt at all. What a transaction has logged it has not
 * reverted, and logs are a tenth of the receipts: these are asked for only where there is no log.
 */
async function outcomesOf(
  rpc: JsonRpc,
  ours: readonly BlockTransaction[],
  signal: AbortSignal,
): Promise<Map<Hex, boolean>> {
  const outcomes = new Map<Hex, boolean>();
  if (ours.length === 0) return outcomes;
  const numbers = ours.map(({ blockNumber }) => blockNumber);
  const [fromBlock, toBlock] = [Math.min(...numbers), Math.max(...numbers)].map(toHex);
  const address = [...new Set(ours.map(({ to }) => to ?? ''))].filter((each) => each !== '');
  const asked = { method: 'eth_getLogs', params: [{ address, fromBlock, toBlock, topics: [objectAddedTopic] }] };
  const [logged] = await rpc.many([asked], signal);
  // A node that gives no logs, or not of so many blocks, has the receipts all the same.
  if (!(logged instanceof RpcError))
    for (const { transactionHash } of parseInput(logs, logged)) outcomes.set(transactionHash, true);
  const others = ours.filter(({ hash }) => !outcomes.has(hash));
  const calls = others.map(({ hash }) => ({ method: 'eth_getTransactionReceipt', params: [hash] }));
  for (const answer of await rpc.many(calls, signal)) {
    if (accepted(answer) === null) continue;
    const { transactionHash, status } = parseInput(receipt, answer);
    outcomes.set(transactionHash, status === 1);
  }
  return outcomes;
}

/** The result of a call of a batch. Throws RpcError. */
function accepted(answer: unknown): unknown {
  if (answer instanceof RpcError) throw answer;
  return answer;
}
