/**
 * One JSON document there and one back, over one host's kept-alive connections. Asking twice must be harmless for whoever uses
 * it: a kept connection that the other side has closed meanwhile is asked once more on another.
 */
import { setMaxListeners } from 'node:events';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { codeOf } from '../shared/failures';

/** The answer's status was not 200, and its text no JSON-RPC. */
export class HttpRefusal extends Error {
  override name = 'HttpRefusal';
  constructor(
    shown: string,
    readonly status: number,
    text: string,
  ) {
    super(`POST ${shown}: HTTP ${status}: ${text.slice(0, 200).replace(/\s+/g, ' ')}`);
  }
}

export interface Poster {
  /** Scheme and host, for messages: a path or a query may hold a provider's key. */
  readonly shown: string;
  /** The answer's text. Throws HttpRefusal, or what the connection died of. */
  post(body: string, signal: AbortSignal): Promise<string>;
  close(): void;
}

/** A node that is silent for this long is asked again. */
const silenceMsMax = 30_000;
const connectionsMax = 16;
const answerBytesMax = 256 * 1024 * 1024;
const staleCodes = ['ECONNRESET', 'EPIPE'];

class StaleConnection extends Error {}

export function createPoster(url: string): Poster {
  const target = new URL(url);
  const secure = target.protocol === 'https:';
  const options = { keepAlive: true, maxSockets: connectionsMax, scheduling: 'lifo' } as const;
  const agent = secure ? new HttpsAgent(options) : new HttpAgent(options);
  const send = secure ? httpsRequest : httpRequest;
  const shown = target.origin;

  const postOnce = (body: string, signal: AbortSignal): Promise<string> =>
    new Promise((resolve, reject) => {
      // Requests of an activity share its signal: more than ten at once are no leak.
      setMaxListeners(0, signal);
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const request = send(target, { method: 'POST', agent, headers, signal, timeout: silenceMsMax }, (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length > answerBytesMax)
            request.destroy(new Error(`POST ${shown}: an answer of over ${answerBytesMax} bytes`));
        });
        response.on('error', (error) => reject(new Error(`POST ${shown}: the answer broke off: ${error.message}`)));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          // A node may say what it refuses with any status: what it says counts, if it is JSON-RPC.
          if (response.statusCode === 200 || text.includes('"jsonrpc"')) resolve(text);
          else reject(new HttpRefusal(shown, response.statusCode ?? 0, text));
        });
      });
      request.on('timeout', () => request.destroy(new Error(`silent for ${silenceMsMax / 1000} s`)));
      request.on('error', (error) => {
        if (signal.aborted) reject(error);
        else if (request.reusedSocket && staleCodes.includes(codeOf(error))) reject(new StaleConnection());
        else reject(new Error(`POST ${shown}: ${wordsOf(error)}`, { cause: error }));
      });
      request.end(body);
    });

  return {
    shown,
    post: async (body, signal) => {
      for (;;) {
        try {
          return await postOnce(body, signal);
        } catch (error) {
          // Every kept connection may be as old as this one; a new one is no longer stale.
          if (!(error instanceof StaleConnection)) throw error;
        }
      }
    },
    close: () => agent.destroy(),
  };
}

/** With several addresses tried, Node leaves the message empty and the reasons inside. */
function wordsOf(error: Error): string {
  if (error.message !== '') return error.message;
  return 'errors' in error && Array.isArray(error.errors) ? error.errors.map(String).join(', ') : codeOf(error);
}
