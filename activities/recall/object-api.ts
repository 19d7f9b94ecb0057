/**
 * The network's object API: bytes in, bytes out. An upload is one streamed multipart request, `size` and then `data`; no object is
 * ever held whole. What the API says of one object is that record's trouble; silence and 5xx are the world's.
 */
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { once } from 'node:events';
import type { Hex } from 'viem';
import { z } from 'zod';
import { parseInput } from '../shared/contract';
import { RecordRefused } from '../shared/failures';
import type { Uploaded } from './destination';

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
  const base = new URL(url);
  const secure = base.protocol === 'https:';
  const agent = new (secure ? HttpsAgent : HttpAgent)({
    keepAlive: true,
    maxSockets: connectionsMax,
    scheduling: 'lifo',
  });
  const prefix = base.pathname.replace(/\/$/, '');
  const shown = base.origin;

  const start = (
    method: string,
    path: string,
    headers: Record<string, string | number>,
    signal: AbortSignal,
  ): { request: ClientRequest; answer: Promise<IncomingMessage> } => {
    const send = secure ? httpsRequest : httpRequest;
    const { hostname, port, protocol } = base;
    const options = {
      protocol,
      hostname,
      port,
      path: prefix + path,
      method,
      agent,
      headers,
      signal,
      timeout: silenceMsMax,
    };
    const request = send(options);
    request.on('timeout', () => request.destroy(new Error(`${shown}: silent for ${silenceMsMax / 1000} s`)));
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', reject);
    });
    return { request, answer };
  };

  const get = async (method: 'GET' | 'HEAD', path: string, signal: AbortSignal): Promise<IncomingMessage> => {
    const { request, answer } = start(method, path, {}, signal);
    request.end();
    return await answer;
  };

  const objectPath = (bucket: string, key: string): string =>
    `/v1/objects/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;

  /** Null where there is nothing to read. Throws for every other refusal. */
  const openObject = async (
    method: 'GET' | 'HEAD',
    bucket: string,
    key: string,
    signal: AbortSignal,
  ): Promise<IncomingMessage | null> => {
    const response = await get(method, objectPath(bucket, key), signal);
    if (response.statusCode === 200) return response;
    const words = await wordsOf(response);
    // 400 is also what it says of an object that it has not got yet.
    if (response.statusCode === 404 || /not available|not found/i.test(words)) return null;
    throw new Error(`${method} ${shown}${objectPath(bucket, key)}: HTTP ${response.statusCode} ${words}`);
  };

  return {
    node: async (signal) => {
      const response = await get('GET', '/v1/node', signal);
      const words = await wordsOf(response);
      if (response.statusCode !== 200) throw new Error(`GET ${shown}/v1/node: HTTP ${response.statusCode} ${words}`);
      return `0x${parseInput(nodeAddress, jsonOf(words, `GET ${shown}/v1/node`)).toLowerCase()}`;
    },
    upload: async (size, bytes, signal) => {
      const head = Buffer.from(
        `--${boundary}\r\n${disposition}"size"\r\n\r\n${size}\r\n` +
          `--${boundary}\r\n${disposition}"data"; filename="object"\r\ncontent-type: application/octet-stream\r\n\r\n`,
      );
      const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
      const headers = {
        'content-type': `multipart/form-data; boundary=${boundary}`,
        'content-length': head.length + size + tail.length,
      };
      const { request, answer } = start('POST', '/v1/objects', headers, signal);
      const answered = answer.then(
        (response) => ({ response, error: null }),
        (error: unknown) => ({ response: null, error }),
      );
      request.write(head);
      await pour(bytes, request, answered);
      request.end(tail);
      const { response, error } = await answered;
      if (response === null) throw error;
      const words = await wordsOf(response);
      const { statusCode = 0 } = response;
      if (statusCode === 200) return uploadedFrom(words, `POST ${shown}/v1/objects`);
      const message = `POST ${shown}/v1/objects (${size} bytes): HTTP ${statusCode} ${words}`;
      throw statusCode >= 400 && statusCode < 500 && ![401, 403, 408, 429].includes(statusCode)
        ? new RecordRefused(message)
        : new Error(message);
    },
    head: async (bucket, key, signal) => {
      const response = await openObject('HEAD', bucket, key, signal);
      if (response === null) return null;
      response.resume();
      return { size: Number(response.headers['content-length'] ?? Number.NaN) };
    },
    read: (bucket, key, signal) => openObject('GET', bucket, key, signal),
    close: () => agent.destroy(),
  };
}

/** Writes no faster than the other side takes it; stops when it has answered already, for that is a refusal. */
async function pour(
  bytes: AsyncIterable<Uint8Array>,
  request: ClientRequest,
  answered: Promise<unknown>,
): Promise<void> {
  let over = false;
  const answer = answered.then(() => {
    over = true;
  });
  try {
    for await (const chunk of bytes) {
      if (over) return;
      if (!request.write(chunk)) await Promise.race([once(request, 'drain').catch(() => undefined), answer]);
    }
  } catch (error) {
    request.destroy();
    throw error;
  }
}

async function wordsOf(response: IncomingMessage): Promise<string> {
  let words = '';
  for await (const chunk of response) if (words.length < wordsBytesMax) words += String(chunk);
  if (!response.complete) throw new Error('the answer was cut');
  return words.slice(0, wordsBytesMax);
}

function uploadedFrom(words: string, what: string): Uploaded {
  const { hash: blobHash, metadata_hash: recoveryHash } = parseInput(uploaded, jsonOf(words, what));
  return { blobHash, recoveryHash };
}

function jsonOf(words: string, what: string): unknown {
  try {
    return JSON.parse(words);
  } catch {
    throw new Error(`${what}: no JSON in the answer: ${words.slice(0, 100)}`);
  }
}

/** RFC 4648 base32 in lower case, without padding: 52 letters are 32 bytes. */
function fromBase32(text: string): Hex {
  let bits = 0n;
  for (const letter of text) bits = (bits << 5n) | BigInt('abcdefghijklmnopqrstuvwxyz234567'.indexOf(letter));
  return `0x${(bits >> 4n).toString(16).padStart(64, '0')}`;
}
