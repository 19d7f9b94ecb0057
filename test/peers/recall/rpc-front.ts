/**
 * The chain as clients meet it: fendermint's rules for nonces before anvil's. Exact sequence or an error; a gap of up to ten is
 * kept in memory, acknowledged, and sent on once, when the missing one is in a block. What a restart forgets is forgotten.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { keccak256, parseTransaction, recoverTransactionAddress, type Hex, type TransactionSerialized } from 'viem';
import type { Anvil } from './anvil';
import type { Faults } from './faults';

/** fendermint's max_nonce_gap. */
const gapMax = 10;
const blockPollMs = 100;

export interface RpcFront {
  readonly url: string;
  /** Requests by method. */
  readonly requests: Map<string, number>;
  /** Dead: connections are refused, the mempool and the gap buffer are gone. */
  stop(): Promise<void>;
  /** On the same port again. */
  start(): Promise<void>;
  /** Forgets accepted transactions that are in no block. */
  restart(): Promise<void>;
  /** For good. */
  end(): Promise<void>;
}

interface Call {
  readonly id: unknown;
  readonly method: string;
  readonly params: unknown[];
}

class Refusal extends Error {}

export async function startRpcFront(anvil: Anvil, faults: Faults): Promise<RpcFront> {
  const requests = new Map<string, number>();
  /** The next nonce of a sender: what CheckTx compares with. */
  const checkState = new Map<string, number>();
  const buffered = new Map<string, Map<number, Hex>>();
  const senders = new Map<Hex, string>();
  let server: Server | null = null;
  let port = 0;
  let lastBlock = Number(await anvil.call<string>('eth_blockNumber'));
  let watching = true;

  const expectedNonce = async (sender: string): Promise<number> => {
    const known = checkState.get(sender);
    if (known !== undefined) return known;
    const nonce = Number(await anvil.call<string>('eth_getTransactionCount', sender, 'latest'));
    checkState.set(sender, Math.max(nonce, checkState.get(sender) ?? 0));
    return checkState.get(sender) as number;
  };

  /** Every block sets it anew, from what is mined and what the mempool still has in an unbroken row. */
  const rechecked = async (sender: string): Promise<number> => {
    const nonce = Number(await anvil.call<string>('eth_getTransactionCount', sender, 'pending'));
    checkState.set(sender, nonce);
    return nonce;
  };

  const submit = async (raw: Hex): Promise<Hex> => {
    const hash = keccak256(raw);
    const { nonce = 0 } = parseTransaction(raw);
    const sender =
      senders.get(hash) ??
      (await recoverTransactionAddress({ serializedTransaction: raw as TransactionSerialized })).toLowerCase();
    senders.set(hash, sender);
    let expected = await expectedNonce(sender);
    if (nonce !== expected) expected = await rechecked(sender);
    if (nonce > expected && nonce - expected <= gapMax) {
      const waiting = buffered.get(sender) ?? new Map<number, Hex>();
      buffered.set(sender, waiting.set(nonce, raw));
      return hash;
    }
    if (nonce !== expected) throw new Refusal(`invalid sequence: expected sequence ${expected}, got ${nonce}`);
    // Acknowledged and lost on the way to CheckTx: the chain goes on wanting it.
    if (faults.happens('drop')) return hash;
    checkState.set(sender, nonce + 1);
    try {
      await anvil.call('eth_sendRawTransaction', raw);
    } catch (error) {
      checkState.set(sender, nonce);
      throw new Refusal((error as Error).message);
    }
    return hash;
  };

  /** Sent on once, as the real one does: if it fails now, it is lost. */
  const release = async (sender: string, nonce: number): Promise<void> => {
    const waiting = buffered.get(sender);
    waiting?.delete(nonce);
    for (let next = nonce + 1; waiting?.has(next) === true; next += 1) {
      const raw = waiting.get(next) as Hex;
      waiting.delete(next);
      await submit(raw).catch(() => undefined);
    }
  };

  const watch = async (): Promise<void> => {
    while (watching) {
      await sleep(blockPollMs);
      if (![...buffered.values()].some((waiting) => waiting.size > 0)) continue;
      const block = await anvil.call<string>('eth_blockNumber').then(Number, () => lastBlock);
      for (; lastBlock < block; lastBlock += 1) {
        const mined = await anvil.call<{ transactions: { from: string; nonce: string }[] } | null>(
          'eth_getBlockByNumber',
          `0x${(lastBlock + 1).toString(16)}`,
          true,
        );
        for (const { from, nonce } of mined?.transactions ?? []) await release(from.toLowerCase(), Number(nonce));
      }
    }
  };

  const isBuffered = (hash: Hex): boolean =>
    [...buffered.values()].some((waiting) => [...waiting.values()].some((raw) => keccak256(raw) === hash));

  const answer = async (call: Call): Promise<unknown> => {
    requests.set(call.method, (requests.get(call.method) ?? 0) + 1);
    const { id, method, params } = call;
    try {
      if (method === 'eth_sendRawTransaction') return { jsonrpc: '2.0', id, result: await submit(params[0] as Hex) };
      // The front remembers what it has acknowledged, mined or not.
      if (method === 'eth_getTransactionByHash' && isBuffered(params[0] as Hex))
        return { jsonrpc: '2.0', id, result: { hash: params[0] } };
      if (method === 'eth_getTransactionCount' && params[1] === 'pending')
        return {
          jsonrpc: '2.0',
          id,
          result: `0x${(await rechecked(String(params[0]).toLowerCase())).toString(16)}`,
        };
      // The actors are no EVM contracts: they have no code there.
      if (method === 'eth_getCode') return { jsonrpc: '2.0', id, result: '0x' };
      return {
        ...(JSON.parse(await anvil.forward(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))) as object),
        id,
      };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { jsonrpc: '2.0', id, error: { code: -32000, message: error.message, data: null } };
    }
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const lateMs = faults.lateness();
    if (lateMs > 0) await sleep(lateMs);
    if (faults.happens('unavailable')) return void response.writeHead(503).end('service unavailable');
    const body = Buffer.concat(chunks).toString();
    const calls = JSON.parse(body) as Call | Call[];
    const isSend = !Array.isArray(calls) && calls.method === 'eth_sendRawTransaction';
    let said: string;
    if (Array.isArray(calls)) {
      const own = calls.some(({ method }) =>
        ['eth_sendRawTransaction', 'eth_getTransactionCount', 'eth_getTransactionByHash', 'eth_getCode'].includes(
          method,
        ),
      );
      for (const { method } of calls) requests.set(method, (requests.get(method) ?? 0) + (own ? 0 : 1));
      // Reads alone go on as they are: what the front adds costs little.
      if (own) {
        const answers: unknown[] = [];
        for (const call of calls) answers.push(await answer(call));
        said = JSON.stringify(answers);
      } else said = await anvil.forward(body);
    } else said = JSON.stringify(await answer(calls));
    if (isSend && faults.happens('loseAnswer')) return void response.destroy();
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(said) })
      .end(said);
  };

  const forget = async (): Promise<void> => {
    checkState.clear();
    buffered.clear();
    await anvil.call('anvil_dropAllTransactions');
  };

  const start = async (): Promise<void> => {
    const created = createServer((request, response) => {
      serve(request, response).catch(() => response.destroy());
    });
    created.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve, reject) => {
      created.once('error', reject);
      created.listen(port, '127.0.0.1', resolve);
    });
    port = (created.address() as AddressInfo).port;
    server = created;
  };
  const stop = async (): Promise<void> => {
    const closing = server;
    server = null;
    if (closing === null) return;
    const closed = new Promise((resolve) => closing.close(resolve));
    closing.closeAllConnections();
    await closed;
    await forget().catch(() => undefined);
  };
  await start();
  void watch().catch(() => undefined);
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    start,
    stop,
    restart: forget,
    end: async () => {
      watching = false;
      await stop();
    },
  };
}
