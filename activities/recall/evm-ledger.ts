/** A wallet's queue on the chain, over JSON-RPC. Blocks are read whole, once: receipts one by one would cost more than sending. */
import type { Hex } from 'viem';
import { z } from 'zod';
import { parseInput } from '../shared/contract';
import type { Ledger, MinedTransaction } from './destination';
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
type BlockTransaction = z.output<typeof block>['transactions'][number];

/**
 * Blocks asked for in one go at first, and at most: full ones are about half a megabyte each, and reading them holds up
 * whatever runs beside; nearly empty ones come twice as many at a time.
 */
const blocksAtOnce = { first: 4, most: 32 };
const fewTransactions = 100;
const methodNotFound = -32601;

export const toHex = (value: number | bigint): Hex => `0x${value.toString(16)}`;

export function createLedger(rpc: JsonRpc): Ledger {
  const statusesOf = createStatuses(rpc);
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
        const statuses = await statusesOf(ours, signal);
        for (const { hash, to: target, nonce, input, blockNumber } of ours) {
          const status = statuses.get(hash);
          if (status === undefined) throw new Error(`block ${blockNumber} has no receipt yet of transaction ${hash}`);
          mined.push({ hash, nonce, to: target ?? '', data: input, block: blockNumber, succeeded: status === 1 });
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

/** Status by hash, of whole blocks at once; one by one where the node cannot. */
function createStatuses(rpc: JsonRpc) {
  let givesBlocks = true;
  return async (ours: readonly BlockTransaction[], signal: AbortSignal): Promise<Map<Hex, number>> => {
    const receipts = async (method: string, params: readonly string[]): Promise<unknown[]> =>
      await rpc.many(
        params.map((each) => ({ method, params: [each] })),
        signal,
      );
    let answers: unknown[] = [];
    if (givesBlocks) {
      const blocks = [...new Set(ours.map(({ blockNumber }) => toHex(blockNumber)))];
      answers = await receipts('eth_getBlockReceipts', blocks);
      givesBlocks = !answers.some((answer) => answer instanceof RpcError && isUnknownMethod(answer));
    }
    if (!givesBlocks)
      answers = await receipts(
        'eth_getTransactionReceipt',
        ours.map(({ hash }) => hash),
      );
    const found = answers.map(accepted).flat(1);
    return new Map(
      found
        .filter((each) => each !== null)
        .map((each) => parseInput(receipt, each))
        .map(({ transactionHash, status }) => [transactionHash, status]),
    );
  };
}

const isUnknownMethod = ({ rpcCode, message }: RpcError): boolean =>
  rpcCode === methodNotFound || /method .*not (found|supported|available)|unsupported method/i.test(message);

/** The result of a call of a batch. Throws RpcError. */
function accepted(answer: unknown): unknown {
  if (answer instanceof RpcError) throw answer;
  return answer;
}
