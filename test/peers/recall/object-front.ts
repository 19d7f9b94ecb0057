/**
 * The object API, answer for answer: streamed multipart in, Range out, errors as `{code, message}`. A blob's hash is of
 * its entangled form, which a client cannot compute: here a hash of a hash under names of its own.
 */
import { createHash, randomBytes, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdtempSync, rmSync, type WriteStream } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Faults } from './faults';

/** Larger uploads go to a file. */
const memoryBytesMax = 64 * 1024;
const objectBytesMax = 5_000_000_000;

export interface StoredBlob {
  readonly size: number;
  /** Hexadecimal, of the bytes. */
  readonly sha256: string;
  /** Bytes, or the file that has them. */
  content: Buffer | string;
}

/** What the chain says of a key: null if there is nothing to give out. */
export type Lookup = (bucket: string, key: string) => Promise<{ blobHash: string; contentType: string | null } | null>;

export interface ObjectFront {
  readonly url: string;
  readonly nodeId: string;
  /** By blob hash, 0x. */
  readonly blobs: Map<string, StoredBlob>;
  uploads: number;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** For good; the bytes are removed. */
  end(): Promise<void>;
}

class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function startObjectFront(faults: Faults, lookUp: Lookup): Promise<ObjectFront> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-recall-peer-'));
  const nodeId = randomBytes(32).toString('hex');
  const blobs = new Map<string, StoredBlob>();
  let server: Server | null = null;
  let port = 0;
  let files = 0;

  const upload = async (request: IncomingMessage): Promise<object> => {
    const boundary = /boundary=(?:"([^"]+)"|([^;]+))/.exec(request.headers['content-type'] ?? '');
    if (boundary === null) throw new Refused(400, 'invalid multipart form');
    const name = boundary[1] ?? boundary[2] ?? '';
    const sink = new Sink(join(folder, String((files += 1))));
    await new Form(name, sink).read(request);
    const blob = await sink.end();
    const digest = Buffer.from(blob.sha256, 'hex');
    const hash = createHash('sha256').update('hash sequence').update(digest).digest();
    const recovery = createHash('sha256').update('parity').update(digest).digest();
    const key = `0x${hash.toString('hex')}`;
    if (blobs.has(key) && typeof blob.content === 'string') rmSync(blob.content);
    else blobs.set(key, blob);
    front.uploads += 1;
    return { hash: base32(hash), metadata_hash: base32(recovery) };
  };

  const give = async (request: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    const [bucket = '', ...parts] = path.split('/');
    const found = await lookUp(bucket, parts.map(decodeURIComponent).join('/'));
    const blob = found === null ? undefined : blobs.get(found.blobHash);
    if (found === null || blob === undefined) throw new Refused(404, 'Not Found');
    const { start, end, partial } = rangeOf(request.headers.range, blob.size);
    response.writeHead(partial ? 206 : 200, {
      'content-type': found.contentType ?? 'application/octet-stream',
      'content-length': end - start + 1,
      'accept-ranges': 'bytes',
      ...(partial ? { 'content-range': `bytes ${start}-${end}/${blob.size}` } : {}),
    });
    if (request.method === 'HEAD') return void response.end();
    const bytes =
      typeof blob.content === 'string'
        ? createReadStream(blob.content, { start, end })
        : Readable.from([blob.content.subarray(start, end + 1)]);
    bytes.on('error', () => response.destroy());
    bytes.pipe(response);
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const lateMs = faults.lateness();
    if (lateMs > 0) await sleep(lateMs);
    if (faults.happens('unavailable')) {
      request.resume();
      return void response.writeHead(503).end('service unavailable');
    }
    const path = request.url ?? '';
    try {
      if (request.method === 'GET' && path === '/health') return void response.writeHead(200).end();
      if (request.method === 'GET' && path === '/v1/node')
        return json(response, 200, { node_id: nodeId, relay_url: null, direct_addresses: [] });
      if (request.method === 'POST' && path === '/v1/objects') {
        if (faults.happens('refuseUpload')) throw new Refused(400, 'failed to entangle the object');
        return json(response, 200, await upload(request));
      }
      const [, object] = /^\/v1\/objects\/(.+?)(?:\?.*)?$/.exec(path) ?? [];
      if (object !== undefined && (request.method === 'GET' || request.method === 'HEAD'))
        return await give(request, response, object);
      throw new Refused(404, 'Not Found');
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      request.resume();
      json(response, error.status, { code: error.status, message: error.message });
    }
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
  };
  await start();
  const front: ObjectFront = {
    url: `http://127.0.0.1:${port}`,
    nodeId,
    blobs,
    uploads: 0,
    start,
    stop,
    end: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return front;
}

function json(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

function rangeOf(header: string | undefined, size: number): { start: number; end: number; partial: boolean } {
  if (header === undefined) return { start: 0, end: size - 1, partial: false };
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === undefined || (first === '' && last === '')) throw new Refused(400, 'invalid range header');
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start > end) throw new Refused(400, 'invalid range header');
  return { start, end, partial: true };
}

/** The fields of a form as they come: `size`, then `data`, whose bytes go straight to the sink. What follows is not read. */
class Form {
  private rest: Buffer = Buffer.alloc(0);
  private size: number | null = null;

  constructor(
    private readonly boundary: string,
    private readonly sink: Sink,
  ) {}

  async read(request: IncomingMessage): Promise<void> {
    let inData = false;
    const close = Buffer.from(`\r\n--${this.boundary}`);
    for await (const chunk of request as AsyncIterable<Buffer>) {
      this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
      while (!inData && this.field() === 'data') inData = true;
      if (!inData) {
        if (this.rest.length > 1024 * 1024) throw new Refused(400, 'invalid multipart form');
        continue;
      }
      const at = this.rest.indexOf(close);
      if (at >= 0) {
        await this.sink.write(this.rest.subarray(0, at));
        request.resume();
        return;
      }
      // The boundary may begin in this chunk's tail.
      const sure = this.rest.length - close.length;
      if (sure <= 0) continue;
      await this.sink.write(this.rest.subarray(0, sure));
      this.rest = Buffer.from(this.rest.subarray(sure));
    }
    throw new Refused(400, inData ? 'incomplete form data' : 'missing data in form');
  }

  /** Takes one whole small field; 'data' once its head is taken; null when more must come. */
  private field(): 'data' | 'taken' | null {
    const head = this.rest.indexOf('\r\n\r\n');
    if (head < 0) return null;
    const name = /name="([^"]*)"/.exec(this.rest.subarray(0, head).toString())?.[1];
    if (name === 'data') {
      if (this.size === null) throw new Refused(400, 'missing size in form');
      if (this.size > objectBytesMax) throw new Refused(413, 'blob size exceeds maximum');
      this.rest = this.rest.subarray(head + 4);
      return 'data';
    }
    const end = this.rest.indexOf(`\r\n--${this.boundary}`, head + 4);
    if (end < 0) return null;
    const value = this.rest.subarray(head + 4, end).toString();
    if (name === 'size') this.size = sizeOf(value);
    else if (!['chain_id', 'msg', 'source', 'hash'].includes(name ?? '')) throw new Refused(400, 'unknown form field');
    this.rest = this.rest.subarray(end + 2);
    return this.field();
  }
}

function sizeOf(value: string): number {
  if (!/^\d+$/.test(value)) throw new Refused(400, 'cannot parse size');
  return Number(value);
}

/** Bytes kept: in memory while they are few. */
class Sink {
  private readonly hash: Hash = createHash('sha256');
  private readonly chunks: Buffer[] = [];
  private size = 0;
  private file: WriteStream | null = null;

  constructor(private readonly path: string) {}

  async write(bytes: Buffer): Promise<void> {
    this.hash.update(bytes);
    this.size += bytes.length;
    this.chunks.push(bytes);
    if (this.size <= memoryBytesMax) return;
    this.file ??= createWriteStream(this.path);
    for (const chunk of this.chunks.splice(0)) if (!this.file.write(chunk)) await once(this.file, 'drain');
  }

  async end(): Promise<StoredBlob> {
    const blob = { size: this.size, sha256: this.hash.digest('hex') };
    if (this.file === null) return { ...blob, content: Buffer.concat(this.chunks) };
    this.file.end();
    await once(this.file, 'finish');
    return { ...blob, content: this.path };
  }
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
