/**
 * JSON-RPC 2.0. Reads go out in batches; what must keep its order goes out alone. An answer is a result or an RpcError;
 * everything else (no answer, no JSON, a 5xx) is the world's trouble.
 */
import { createPoster, HttpRefusal, type Poster } from './http-post';

export interface Call {
  readonly method: string;
  readonly params: readonly unknown[];
}

/** The node understood and refused. `data`: what came with it as text, such as the bytes of a revert; often empty. */
export class RpcError extends Error {
  override name = 'RpcError';
  constructor(
    readonly method: string,
    readonly rpcCode: number,
    message: string,
    readonly data: string,
  ) {
    super(message);
  }
}

export interface JsonRpc {
  /** Scheme and host of the node, for messages. */
  readonly shown: string;
  /** Throws RpcError. */
  one(method: string, params: readonly unknown[], signal: AbortSignal): Promise<unknown>;
  /** In order; refused ones as RpcError in their place. A node that takes no batches is asked one by one. */
  many(calls: readonly Call[], signal: AbortSignal): Promise<unknown[]>;
  close(): void;
}

/** Calls in one request, and requests at once: few, for beside them a wallet's transactions wait for the same node. */
const batchMax = 50;
const batchesAtOnce = 2;
/** What a server says, by HTTP or in one error for all, that cannot read an array where it expects an object. */
const noBatchStatuses = [400, 405, 415, 422, 501];
const noBatchCodes = [-32700, -32600, -32601, -32602];

export function createJsonRpc(url: string): JsonRpc {
  const poster = createPoster(url);
  const { shown } = poster;
  let id = 0;
  let takesBatches = true;

  const one = async (method: string, params: readonly unknown[], signal: AbortSignal): Promise<unknown> => {
    const text = await poster.post(JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params }), signal);
    const answer = outcomeOf(method, parsed(text, shown));
    if (answer instanceof RpcError) throw answer;
    return answer;
  };

  const batch = async (calls: readonly Call[], signal: AbortSignal): Promise<unknown[]> => {
    if (!takesBatches || calls.length === 1)
      return await Promise.all(calls.map(({ method, params }) => one(method, params, signal).catch(refusal)));
    const first = id + 1;
    const body = calls.map(({ method, params }) => ({ jsonrpc: '2.0', id: ++id, method, params }));
    const answers = await batchAnswers(poster, JSON.stringify(body), signal);
    if (answers === null) {
      takesBatches = false;
      return await batch(calls, signal);
    }
    const byId = new Map(answers.map((answer) => [idOf(answer), answer]));
    return calls.map(({ method }, index) => {
      const answer = byId.get(first + index);
      if (answer === undefined) throw new Error(`${shown}: ${method} was not answered in a batch of ${calls.length}`);
      return outcomeOf(method, answer);
    });
  };

  const many = async (calls: readonly Call[], signal: AbortSignal): Promise<unknown[]> => {
    const results: unknown[] = [];
    for (let from = 0; from < calls.length; from += batchMax * batchesAtOnce) {
      const slices = Array.from({ length: batchesAtOnce }, (_, index) => from + index * batchMax)
        .map((start) => calls.slice(start, start + batchMax))
        .filter((slice) => slice.length > 0);
      results.push(...(await Promise.all(slices.map((slice) => batch(slice, signal)))).flat(1));
    }
    return results;
  };

  return { shown, one, many, close: () => poster.close() };
}

/** Null: the node takes no batches. */
async function batchAnswers(poster: Poster, body: string, signal: AbortSignal): Promise<unknown[] | null> {
  let text: string;
  try {
    text = await poster.post(body, signal);
  } catch (error) {
    if (error instanceof HttpRefusal && noBatchStatuses.includes(error.status)) return null;
    throw error;
  }
  const answers = parsed(text, poster.shown);
  if (Array.isArray(answers)) return answers as unknown[];
  const refused = outcomeOf('a batch', answers);
  if (refused instanceof RpcError && noBatchCodes.includes(refused.rpcCode)) return null;
  throw refused instanceof RpcError ? refused : new Error(`${poster.shown}: one answer to a batch`);
}

function idOf(answer: unknown): unknown {
  return typeof answer === 'object' && answer !== null && 'id' in answer ? answer.id : null;
}

function refusal(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  throw error;
}

function parsed(text: string, shown: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${shown}: no JSON in the answer: ${text.slice(0, 100)}`);
  }
}

function outcomeOf(method: string, answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null) throw new Error(`${method}: the answer is no JSON-RPC`);
  if ('error' in answer && answer.error !== null && typeof answer.error === 'object') {
    const { code, message, data } = answer.error as { code?: number; message?: string; data?: unknown };
    const said = typeof data === 'string' ? data : data === undefined || data === null ? '' : JSON.stringify(data);
    return new RpcError(method, Number(code ?? 0), message ?? 'no message', said);
  }
  if (!('result' in answer)) throw new Error(`${method}: the answer has neither result nor error`);
  return answer.result;
}
