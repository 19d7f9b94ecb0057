/**
 * The network's object API: bytes in, bytes out. An upload is one streamed multipart request, `size` and then `data`; no object is
 * ever held whole. What the API says of one object is that record's trouble; silence and 5xx are the world's.
 */
import { once, setMaxListeners } from 'node:events';
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { urlToHttpOptions } from 'node:url';
import type { Hex } from 'viem';
import { z } from 'zod';
import { parseInput } from '../shared/contract';
import { codeOf, RecordRefused } from '../shared/failures';
import type { Uploaded } from './destination';
import { permanent } from './failures';

export interface ObjectApi {
  node(signal: AbortSignal): Promise<Hex>;
  upload(size: number, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Uploaded>;
  head(bucket: string, key: string, signal: AbortSignal): Promise<{ size: number } | null>;
  read(bucket: string, key: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | null>;
  close(): void;
}

/** A server that takes and says nothing for this long is given up. An upload's hashing is done within it. */
const silenceMsMax = 120_000;
const connectionsMax = 64;
/** The API's own words are short. */
const wordsBytesMax = 64 * 1024;
const boundary = 'waybill-4b1f0c7a';
const disposition = 'content-disposition: form-data; name=';

const hash = z
  .string()
  .regex(/^[a-z2-7]{52}$/)
  .transform(fromBase32);
const uploaded = z.object({ hash, metadata_hash: hash });
const nodeId = z.string().regex(/^[0-9a-f]{64}$/i);
/** Older versions nest it. */
const nodeAddress = z.union([
  z.object({ node_id: nodeId }).transform(({ node_id: id }) => id),
  z.object({ info: z.object({ node_id: nodeId }) }).transform(({ info }) => info.node_id),
]);

export function createObjectApi(url: string): ObjectApi {
  const connections = createConnections(url);
  return {
    node: async (signal) => {
      const response = await connections.get('GET', '/v1/node', signal);
      const words = await wordsOf(response);
      const what = `GET ${connections.shown}/v1/node`;
      if (response.statusCode !== 200) throw new Error(`${what}: HTTP ${response.statusCode} ${words}`);
      return `0x${answerAs(nodeAddress, words, what).toLowerCase()}`;
    },
    upload: (size, bytes, signal) => upload(connections, size, bytes, signal),
    head: async (bucket, key, signal) => {
      const response = await openObject(connections, 'HEAD', objectPath(bucket, key), signal);
      if (response === null) return null;
      // To its end, although it is empty: so the next question finds the connection free.
      await wordsOf(response);
      return { size: Number(response.headers['content-length'] ?? Number.NaN) };
    },
    read: (bucket, key, signal) => openObject(connections, 'GET', objectPath(bucket, key), signal),
    close: () => connections.close(),
  };
}

interface Connections {
  /** Scheme and host, for messages. */
  readonly shown: string;
  start(
    method: string,
    path: string,
    headers: Record<string, string | number>,
    signal: AbortSignal,
  ): { request: ClientRequest; answer: Promise<IncomingMessage> };
  get(method: 'GET' | 'HEAD', path: string, signal: AbortSignal): Promise<IncomingMessage>;
  close(): void;
}

function createConnections(url: string): Connections {
  const base = new URL(url);
  const secure = base.protocol === 'https:';
  const kept = { keepAlive: true, maxSockets: connectionsMax, scheduling: 'lifo' } as const;
  const agent = secure ? new HttpsAgent(kept) : new HttpAgent(kept);
  const send = secure ? httpsRequest : httpRequest;
  const host = urlToHttpOptions(base);
  const prefix = base.pathname.replace(/\/$/, '');
  const shown = base.origin;
  const start: Connections['start'] = (method, path, headers, signal) => {
    // Requests of an activity share its signal: more than ten at once are no leak.
    setMaxListeners(0, signal);
    const request = send({ ...host, method, agent, headers, signal, path: prefix + path, timeout: silenceMsMax });
    request.on('timeout', () => request.destroy(new Error(`silent for ${silenceMsMax / 1000} s`)));
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', (error) => {
        const reason = error.message || codeOf(error);
        reject(signal.aborted ? error : new Error(`${method} ${shown}${path}: ${reason}`, { cause: error }));
      });
    });
    return { request, answer };
  };
  return {
    shown,
    start,
    get: async (method, path, signal) => {
      for (;;) {
        const { request, answer } = start(method, path, {}, signal);
        request.end();
        try {
          return await answer;
        } catch (error) {
          // The other side may have closed a connection that rested; on a new one nothing is asked twice.
          if (signal.aborted || !request.reusedSocket) throw error;
        }
      }
    },
    close: () => agent.destroy(),
  };
}

const objectPath = (bucket: string, key: string): string =>
  `/v1/objects/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;

/** Null where there is nothing to read. Throws for every other refusal. */
async function openObject(
  connections: Connections,
  method: 'GET' | 'HEAD',
  path: string,
  signal: AbortSignal,
): Promise<IncomingMessage | null> {
  const response = await connections.get(method, path, signal);
  if (response.statusCode === 200) return response;
  const words = await wordsOf(response);
  // 400 is also what it says of an object that it has not got yet.
  if (response.statusCode === 404 || /not available|not found/i.test(words)) return null;
  throw new Error(`${method} ${connections.shown}${path}: HTTP ${response.statusCode} ${words}`);
}

async function upload(
  connections: Connections,
  size: number,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<Uploaded> {
  const head = Buffer.from(
    `--${boundary}\r\n${disposition}"size"\r\n\r\n${size}\r\n` +
      `--${boundary}\r\n${disposition}"data"; filename="object"\r\ncontent-type: application/octet-stream\r\n\r\n`,
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const headers = {
    'content-type': `multipart/form-data; boundary=${boundary}`,
    'content-length': head.length + size + tail.length,
  };
  const what = `POST ${connections.shown}/v1/objects (${size} bytes)`;
  const { request, answer } = connections.start('POST', '/v1/objects', headers, signal);
  const answered = answer.then(
    (response) => ({ response, error: null }),
    (error: unknown) => ({ response: null, error }),
  );
  request.write(head);
  const poured = await pour(bytes, size, request, answered);
  if (poured === size) request.end(tail);
  const { response, error } = await answered;
  if (response === null) throw error;
  const words = await wordsOf(response);
  // It has answered before it had all: what it still expects must not be the next request.
  if (poured < size) request.destroy();
  const { statusCode = 0 } = response;
  if (statusCode !== 200 || poured < size) throw refusal(statusCode, `${what}: HTTP ${statusCode} ${words}`);
  const { hash: blobHash, metadata_hash: recoveryHash } = answerAs(uploaded, words, what);
  return { blobHash, recoveryHash };
}

/**
 * Writes no faster than the other side takes it, and stops when that has answered already. Returns how many bytes were written.
 * Throws RecordRefused if there are fewer or more than were announced: the object has changed since.
 */
async function pour(
  bytes: AsyncIterable<Uint8Array>,
  size: number,
  request: ClientRequest,
  answered: Promise<unknown>,
): Promise<number> {
  let isAnswered = false;
  let poured = 0;
  const answer = answered.then(() => {
    isAnswered = true;
  });
  try {
    for await (const chunk of bytes) {
      if (isAnswered) return poured;
      if (poured + chunk.length > size)
        throw new RecordRefused(`it has more than the ${size} bytes that were announced`);
      poured += chunk.length;
      if (!request.write(chunk)) await Promise.race([once(request, 'drain').catch(() => undefined), answer]);
    }
    if (poured < size && !isAnswered) throw new RecordRefused(`it ended after ${poured} of ${size} bytes`);
    return poured;
  } catch (error) {
    request.destroy();
    throw error;
  }
}

/** What the API says of these bytes is the record's trouble; that it is no object API a person's; the rest is the world's. */
function refusal(status: number, message: string): Error {
  if ([400, 413, 422].includes(status)) return new RecordRefused(message);
  if ([404, 405].includes(status))
    return permanent('NetworkRefused', `${message}. Is this the network's object API? Check object_api_url`);
  return new Error(message);
}

async function wordsOf(response: IncomingMessage): Promise<string> {
  let words = '';
  for await (const chunk of response) if (words.length < wordsBytesMax) words += String(chunk);
  return words.slice(0, wordsBytesMax);
}

function answerAs<S extends z.ZodType>(shape: S, words: string, what: string): z.output<S> {
  try {
    return parseInput(shape, JSON.parse(words));
  } catch {
    throw new Error(`${what}: an answer of another shape: ${words.slice(0, 100)}`);
  }
}

/** RFC 4648 base32 in lower case, without padding: 52 letters are 32 bytes. */
function fromBase32(text: string): Hex {
  let bits = 0n;
  for (const letter of text) bits = (bits << 5n) | BigInt('abcdefghijklmnopqrstuvwxyz234567'.indexOf(letter));
  return `0x${(bits >> 4n).toString(16).padStart(64, '0')}`;
}
