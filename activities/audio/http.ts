/**
 * GET from a recording server: streamed, with an idle timeout instead of a total one, optional bearer token, own CA and
 * bandwidth limit. Status and content type are looked at before a byte of the body: the original took error pages for data.
 */
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../shared/failures';
import { permanent } from './failures';
import { letGo } from './young-garbage';

export interface HttpOptions {
  /** Without a trailing slash. */
  readonly remoteUrl: string;
  readonly token?: string;
  /** PEM file of the authority that signed the sender's certificate. */
  readonly caFile?: string;
  /** A connection that says nothing for this long is given up; a slow one never is. */
  readonly idleTimeoutMs: number;
  /** Bytes a second; 0 is unlimited. */
  readonly bandwidthLimit: number;
  readonly signal: AbortSignal;
  /** Called as bytes arrive. */
  readonly alive: () => void;
}

/** An answer whose headers have come. Its body is read once, by one of the three. */
export interface Answer {
  readonly status: number;
  /** `GET http://…`, for messages. */
  readonly what: string;
  body(): AsyncGenerator<Buffer>;
  /** Throws permanent NotASender for what is not JSON. */
  json(bytesMax: number): Promise<unknown>;
  /** The server's own words: `error` of a JSON answer, and the text's beginning. */
  problem(): Promise<{ error: string | null; text: string }>;
  /** What this status and these words mean for the run: permanent or worth another try. */
  classify(error: string | null, text: string): Error;
  refusal(): Promise<Error>;
}

const problemBytesMax = 4096;

export function httpReader(options: HttpOptions): (path: string) => Promise<Answer> {
  const transport = options.remoteUrl.startsWith('https:') ? https : http;
  const agent = new transport.Agent({
    keepAlive: true,
    maxSockets: 1,
    ...(options.caFile === undefined ? {} : { ca: readCa(options.caFile) }),
  });
  options.signal.addEventListener('abort', () => agent.destroy(), { once: true });
  return async (path) => {
    const url = `${options.remoteUrl}${path}`;
    const what = `GET ${url}`;
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const headers = {
        accept: 'application/json',
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      };
      const request = transport.get(url, { agent, headers, signal: options.signal, timeout: options.idleTimeoutMs });
      request.on('response', resolve);
      request.on('timeout', () => request.destroy(new Error(`silent for ${options.idleTimeoutMs / 1000} s`)));
      request.on('error', (error) => reject(unreachable(what, error)));
    });
    return answer(what, response, options);
  };
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw permanent(
      'CredentialsMissing',
      `read ca_file ${file}: ${reasonOf(error)}. Correct it in [audio.credentials].`,
      error,
    );
  }
}

function unreachable(what: string, error: Error & { code?: string }): Error {
  // With several addresses tried, Node leaves the message empty and the reasons inside.
  const reason = error instanceof AggregateError ? error.errors.map(reasonOf).join(', ') : error.message;
  const remedy = error.code === 'ECONNREFUSED' ? ' Is the sender running there?' : '';
  return new Error(`${what}: ${reason}.${remedy}`, { cause: error });
}

function answer(what: string, response: http.IncomingMessage, options: HttpOptions): Answer {
  const status = response.statusCode ?? 0;
  const type = response.headers['content-type'] ?? '';
  const isJson = /^application\/json\b/i.test(type);
  const body = (): AsyncGenerator<Buffer> => {
    if (!isJson) response.destroy();
    if (!isJson) throw notJson(what, type);
    return streamed(what, response, options);
  };
  const problem = async (): Promise<{ error: string | null; text: string }> => {
    const text = (
      await collected(streamed(what, response, options), problemBytesMax).catch(() => Buffer.alloc(0))
    ).toString();
    return { error: isJson ? errorOf(text) : null, text: text.slice(0, 200).replace(/\s+/g, ' ') };
  };
  const classify = (error: string | null, text: string): Error =>
    classified({ what, status, type, location: response.headers.location }, error, text);
  return {
    status,
    what,
    body,
    json: async (bytesMax) => {
      const bytes = await collected(body(), bytesMax);
      if (bytes.length > bytesMax)
        throw permanent('NotASender', `${what}: more than ${bytesMax} bytes. Check remote_url.`);
      try {
        return JSON.parse(bytes.toString()) as unknown;
      } catch (error) {
        throw permanent('NotASender', `${what}: broken JSON (${reasonOf(error)}). Check remote_url.`, error);
      }
    },
    problem,
    classify,
    refusal: async () => {
      const { error, text } = await problem();
      return classify(error, text);
    },
  };
}

function notJson(what: string, type: string): Error {
  if (type === 'application/x-segment-stream') {
    return permanent(
      'VersionUnsupported',
      `${what}: a binary segment stream, the interface of newer senders. Waybill speaks version 1.`,
    );
  }
  const remedy = 'This is not a recording server, or something stands between (a login page?). Check remote_url.';
  return permanent('NotASender', `${what}: ${type === '' ? 'no content type' : type} instead of JSON. ${remedy}`);
}

interface Status {
  readonly what: string;
  readonly status: number;
  readonly type: string;
  readonly location: string | undefined;
}

function classified({ what, status, type, location }: Status, error: string | null, text: string): Error {
  const said = `${what}: ${status} ${error ?? text}`.trimEnd();
  if (status === 401 || status === 407 || (status === 403 && error === null)) {
    return permanent(
      'SenderAuthRefused',
      `${said}. Put the sender's token into [audio.credentials.NAME] of the worker's waybill.toml and name it by credentials.`,
    );
  }
  if (status === 403)
    return permanent('ShowRefused', `${said}. The sender's file is itself a copy: sync from where it was recorded.`);
  if (status === 404 && error !== null)
    return permanent('ShowGone', `${said}. The sender has no such show any more; nothing local is deleted.`);
  if (status === 404) return permanent('NotASender', `${said}. No sync API at this address: check remote_url.`);
  if (status >= 300 && status < 400)
    return permanent(
      'NotASender',
      `${said} redirects to ${location ?? 'elsewhere'}. Use the final address as remote_url.`,
    );
  if (status === 400) return permanent('NotASender', `${said}. The server does not take version 1 requests (${type}).`);
  return new Error(`${said}. Asked again until it answers.`);
}

function errorOf(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && 'error' in value ? String(value.error) : null;
  } catch {
    return null;
  }
}

async function collected(chunks: AsyncGenerator<Buffer>, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    length += chunk.length;
    if (length > bytesMax) break;
  }
  return Buffer.concat(parts);
}

/** The body as it arrives. Reading slowly slows the sender; a body shorter than announced is an error, not an end. */
async function* streamed(what: string, response: http.IncomingMessage, options: HttpOptions): AsyncGenerator<Buffer> {
  const started = performance.now();
  let received = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      received += chunk.length;
      options.alive();
      yield chunk;
      letGo(chunk.length);
      if (options.bandwidthLimit > 0) {
        const aheadMs = (received / options.bandwidthLimit) * 1000 - (performance.now() - started);
        if (aheadMs > 5) await sleep(aheadMs, undefined, { signal: options.signal });
      }
    }
  } catch (error) {
    throw new Error(`${what}: the answer broke off after ${received} bytes (${reasonOf(error)})`, { cause: error });
  }
}
