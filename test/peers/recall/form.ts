/** An upload as it comes, in bounded memory: `size`, then `data`, whose bytes go straight to their place. What follows is not read. */
import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, rmSync, type WriteStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';

/** Larger uploads go to a file. */
const memoryBytesMax = 64 * 1024;
const objectBytesMax = 5_000_000_000;
/** Of all that is not the object. */
const formBytesMax = 1024 * 1024;
/** Sent by the network's own tools, and of no effect. */
const ignoredFields = ['chain_id', 'msg', 'source', 'hash'];

export interface StoredBlob {
  readonly size: number;
  /** Hexadecimal, of the bytes. */
  readonly sha256: string;
  /** Bytes, or the file that has them. */
  readonly content: Buffer | string;
}

/** What the API says no with. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Throws Refused. `path`: where a large one is written; nothing is left there of one that was refused or cut off. */
export async function readUpload(request: IncomingMessage, path: string): Promise<StoredBlob> {
  const boundary = /boundary=(?:"([^"]+)"|([^;]+))/.exec(request.headers['content-type'] ?? '');
  if (boundary === null) throw new Refused(400, 'invalid multipart form');
  const sink = new Sink(path);
  try {
    await new Form(boundary[1] ?? boundary[2] ?? '', sink).read(request);
    return await sink.end();
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

class Form {
  private rest: Buffer = Buffer.alloc(0);
  private size: number | null = null;
  private readonly close: Buffer;

  constructor(
    boundary: string,
    private readonly sink: Sink,
  ) {
    this.close = Buffer.from(`\r\n--${boundary}`);
  }

  async read(request: IncomingMessage): Promise<void> {
    let inData = false;
    // The connection outlives an upload that is not read to its end.
    const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const chunk of chunks) {
      this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
      while (!inData) {
        const field = this.field();
        if (field === null) break;
        inData = field === 'data';
      }
      if (!inData) {
        if (this.rest.length > formBytesMax) throw new Refused(400, 'invalid multipart form');
        continue;
      }
      const end = this.rest.indexOf(this.close);
      if (end >= 0) return await this.sink.write(this.rest.subarray(0, end));
      // The boundary may begin in this chunk's tail.
      const sure = this.rest.length - this.close.length;
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
    const name = /name="([^"]*)"/.exec(this.rest.subarray(0, head).toString())?.[1] ?? '';
    if (name === 'data') {
      if (this.size === null) throw new Refused(400, 'missing size in form');
      if (this.size > objectBytesMax) throw new Refused(413, 'blob size exceeds maximum');
      this.rest = this.rest.subarray(head + 4);
      return 'data';
    }
    if (name !== 'size' && !ignoredFields.includes(name)) throw new Refused(400, 'unknown form field');
    const end = this.rest.indexOf(this.close, head + 4);
    if (end < 0) return null;
    if (name === 'size') this.size = sizeOf(this.rest.subarray(head + 4, end).toString());
    this.rest = this.rest.subarray(end + 2);
    return 'taken';
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
    if (this.size > objectBytesMax) throw new Refused(413, 'blob size exceeds maximum');
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

  async discard(): Promise<void> {
    if (this.file === null) return;
    const closed = once(this.file, 'close');
    this.file.destroy();
    await closed;
    rmSync(this.path, { force: true });
  }
}
