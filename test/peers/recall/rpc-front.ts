/** The chain as clients meet it: JSON-RPC with fendermint's rules for nonces; all else is anvil's own answer. */
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hex } from 'viem';
import type { Anvil, BlockTime } from './anvil';
import { createCheckState, Refusal, type CheckState } from './check-state';
import type { Faults } from './faults';
import { answerJson, cutAnswer, startHttpFront } from './http-front';
import type { KnownKey } from './sender';

export interface RpcFront {
  readonly url: string;
  /** Requests by method. */
  readonly requests: Map<string, number>;
  readonly checkState: CheckState;
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

/** What the front answers itself. The actors are no EVM contracts: they have no code there. */
const ownMethods = ['eth_sendRawTransaction', 'eth_getTransactionCount', 'eth_getTransactionByHash', 'eth_getCode'];
const invalidRequest = -32600;
const serverError = -32000;

export async function startRpcFront(
  anvil: Anvil,
  faults: Faults,
  options: { readonly known: readonly KnownKey[]; readonly blocks: BlockTime; readonly roundTripMs: number },
): Promise<RpcFront> {
  const requests = new Map<string, number>();
  const checkState = createCheckState(anvil, faults, options);

  const own = async ({ method, params }: Call): Promise<unknown> => {
    const [first] = params as [string];
    if (method === 'eth_sendRawTransaction') return await checkState.submit(first as Hex);
    if (method === 'eth_getCode') return '0x';
    if (method === 'eth_getTransactionCount')
      return params[1] === 'pending' ? `0x${(await checkState.pendingNonce(first)).toString(16)}` : undefined;
    const waiting = checkState.waiting(first as Hex);
    if (waiting === null) return undefined;
    const { hash, sender, nonce } = waiting;
    return { hash, from: sender, nonce: `0x${nonce.toString(16)}`, blockHash: null, blockNumber: null };
  };

  /** Undefined: it is anvil's to answer. */
  const ownAnswer = async (call: Call): Promise<string | undefined> => {
    requests.set(call.method, (requests.get(call.method) ?? 0) + 1);
    if (!ownMethods.includes(call.method)) return undefined;
    const answer = { jsonrpc: '2.0', id: call.id };
    try {
      const result = await own(call);
      return result === undefined ? undefined : JSON.stringify({ ...answer, result });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return JSON.stringify({ ...answer, error: { code: serverError, message: error.message, data: null } });
    }
  };

  const answerTo = async (body: string): Promise<string> => {
    const asked = parsed(body);
    if (asked === null) return refused('no JSON-RPC request');
    if (!Array.isArray(asked)) return (await ownAnswer(asked)) ?? (await anvil.forward(body));
    if (asked.every(({ method }) => !ownMethods.includes(method))) {
      // Reads alone go on as they are: what the front adds costs little.
      for (const { method } of asked) requests.set(method, (requests.get(method) ?? 0) + 1);
      return await anvil.forward(body);
    }
    const answers: string[] = [];
    for (const call of asked) answers.push((await ownAnswer(call)) ?? (await anvil.forward(JSON.stringify(call))));
    return `[${answers.join(',')}]`;
  };

  const front = await startHttpFront(async (request, response) => {
    const body = await bodyOf(request);
    const lateMs = faults.lateness() + options.roundTripMs;
    if (lateMs > 0) await sleep(lateMs);
    if (faults.happens('unavailable')) return void response.writeHead(503).end('service unavailable');
    const said = await answerTo(body);
    if (body.includes('"eth_sendRawTransaction"') && faults.happens('loseAnswer')) return void response.destroy();
    if (faults.happens('cut')) return cutAnswer(response, said);
    answerJson(response, 200, said);
  });

  const stop = async (): Promise<void> => {
    await front.stop();
    await checkState.forget();
  };
  return {
    url: front.url,
    requests,
    checkState,
    start: front.start,
    stop,
    restart: () => checkState.forget(),
    end: async () => {
      await front.stop();
      await checkState.stop();
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const refused = (message: string): string =>
  JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: invalidRequest, message } });

/** Null for what is no request, nor a batch of them. */
function parsed(body: string): Call | Call[] | null {
  let asked: unknown;
  try {
    asked = JSON.parse(body);
  } catch {
    return null;
  }
  const calls = Array.isArray(asked) ? (asked as unknown[]) : [asked];
  const isCall = (call: unknown): boolean =>
    typeof call === 'object' && call !== null && 'method' in call && typeof call.method === 'string';
  if (calls.length === 0 || !calls.every(isCall)) return null;
  const whole = (call: Call): Call => ({ ...call, params: Array.isArray(call.params) ? call.params : [] });
  return Array.isArray(asked) ? (asked as Call[]).map(whole) : whole(asked as Call);
}
