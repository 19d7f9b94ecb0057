/**
 * The object API, answer for answer: streamed multipart in, Range out, errors as `{code, message}`. A blob's hash is of
 * its entangled form, which a client cannot compute: here a hash of a hash under names of its own.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Faults } from './faults';
import { readUpload, Refused, type StoredBlob } from './form';
import { answerJson, cutAnswer, startHttpFront } from './http-front';

/** What the chain says of a key: null if there is nothing to give out. */
export type Lookup = (bucket: string, key: string) => Promise<{ blobHash: string; contentType: string | null } | null>;

export interface ObjectFront {
  readonly url: string;
  readonly nodeId: string;
  /** By blob hash, 0x. */
  readonly blobs: ReadonlyMap<string, StoredBlob>;
  /** Answered with a hash. */
  uploads: number;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** For good; the bytes are removed. */
  end(): Promise<void>;
}

export interface ObjectFrontOptions {
  /** Older versions nest the node's address under `info`. Default flat. */
  readonly nodeShape?: 'flat' | 'nested';
}

export async function startObjectFront(
  faults: Faults,
  lookUp: Lookup,
  { nodeShape = 'flat' }: ObjectFrontOptions = {},
): Promise<ObjectFront> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-recall-peer-'));
  const nodeId = randomBytes(32).toString('hex');
  const node = { node_id: nodeId, relay_url: null, direct_addresses: [] };
  const blobs = new Map<string, StoredBlob>();
  let files = 0;
  let uploads = 0;

  const upload = async (request: IncomingMessage): Promise<object> => {
    if (faults.happens('refuseUpload')) throw new Refused(400, 'failed to entangle the object');
    if (faults.happens('failUpload')) throw new Refused(500, 'failed to add the blob to the store');
    const blob = await readUpload(request, join(folder, String((files += 1))));
    const digest = Buffer.from(blob.sha256, 'hex');
    const hash = createHash('sha256').update('hash sequence').update(digest).digest();
    const recovery = createHash('sha256').update('parity').update(digest).digest();
    const key = `0x${hash.toString('hex')}`;
    if (blobs.has(key) && typeof blob.content === 'string') rmSync(blob.content);
    else blobs.set(key, blob);
    uploads += 1;
    return { hash: base32(hash), metadata_hash: base32(recovery) };
  };

  const give = async (request: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    const [bucket = '', ...parts] = path.split('/');
    const found = await lookUp(bucket, parts.map(decoded).join('/'));
    const blob = found === null ? undefined : blobs.get(found.blobHash);
    if (found === null || blob === undefined) throw new Refused(404, 'Not Found');
    const range = rangeOf(request.headers.range, blob.size);
    const { start, end } = range ?? { start: 0, end: blob.size - 1 };
    response.writeHead(range === null ? 200 : 206, {
      'content-type': found.contentType ?? 'application/octet-stream',
      'content-length': end - start + 1,
      'accept-ranges': 'bytes',
      ...(range === null ? {} : { 'content-range': `bytes ${start}-${end}/${blob.size}` }),
    });
    if (request.method === 'HEAD') return void response.end();
    if (faults.happens('cut')) {
      for await (const chunk of contentOf(blob, start, (start + end) >> 1)) response.write(chunk);
      return void response.write('', () => response.destroy());
    }
    const bytes = contentOf(blob, start, end);
    await pipeline(faults.happens('corrupt') ? corrupted(bytes) : bytes, response);
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? '';
    const [, object] = /^\/v1\/objects\/(.+?)(?:\?.*)?$/.exec(path) ?? [];
    if (request.method === 'GET' && path === '/health') return void response.writeHead(200).end();
    if (object !== undefined && (request.method === 'GET' || request.method === 'HEAD'))
      return await give(request, response, object);
    let said: object;
    if (request.method === 'GET' && path === '/v1/node') said = nodeShape === 'flat' ? node : { info: node };
    else if (request.method === 'POST' && path === '/v1/objects') said = await upload(request);
    else throw new Refused(404, 'Not Found');
    if (faults.happens('cut')) cutAnswer(response, JSON.stringify(said));
    else answerJson(response, 200, JSON.stringify(said));
  };

  const front = await startHttpFront(async (request, response) => {
    const lateMs = faults.lateness();
    if (lateMs > 0) await sleep(lateMs);
    try {
      if (faults.happens('unavailable')) response.writeHead(503).end('service unavailable');
      else await answer(request, response);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      answerJson(response, error.status, JSON.stringify({ code: error.status, message: error.message }));
    }
    // What an answer did not wait for is let in: the client may still be writing it.
    request.resume();
  });
  return {
    url: front.url,
    nodeId,
    blobs,
    get uploads() {
      return uploads;
    },
    start: front.start,
    stop: front.stop,
    end: async () => {
      await front.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Both ends included. */
export function contentOf({ content }: StoredBlob, start: number, end: number): Readable {
  if (typeof content === 'string') return createReadStream(content, { start, end });
  return Readable.from([content.subarray(start, end + 1)]);
}

async function* corrupted(bytes: Readable): AsyncGenerator<Buffer> {
  let isFirst = true;
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    const copy = Buffer.from(chunk);
    if (isFirst && copy.length > 0) copy[0] = (copy[0] ?? 0) ^ 1;
    isFirst = false;
    yield copy;
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refused(400, 'invalid key');
  }
}

/** Null: all of it. */
function rangeOf(header: string | undefined, size: number): { start: number; end: number } | null {
  if (header === undefined) return null;
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === undefined || (first === '' && last === '')) throw new Refused(400, 'invalid range header');
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start > end) throw new Refused(400, 'invalid range header');
  return { start, end };
}

/** RFC 4648, lower case, no padding. */
function base32(bytes: Buffer): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += 'abcdefghijklmnopqrstuvwxyz234567'[(value >>> (bits - 5)) & 31] ?? '';
  }
  return bits > 0 ? text + ('abcdefghijklmnopqrstuvwxyz234567'[(value << (5 - bits)) & 31] ?? '') : text;
}
