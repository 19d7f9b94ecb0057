/**
 * The bytes in S3. Small objects come whole; larger ones are streamed, of the very version whose size and ETag were told
 * before: an object that is replaced while it is read is never taken for one.
 */
import { createHash } from 'node:crypto';
import { addAbortSignal, type Readable } from 'node:stream';
import { GetObjectCommand, HeadObjectCommand, S3Client, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { RecordRefused } from '../shared/failures';
import { permanent } from './failures';
import { inParallel } from './parallel';
import type { ObjectBytes, ObjectRow } from './source';
import { ObjectAbsent, storeTrouble } from './store-trouble';

export interface StoreSettings {
  readonly bucket: string;
  readonly endpoint?: string;
  readonly region?: string;
  /** Both, or neither: then the AWS SDK's own chain finds them. */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly pathStyle?: boolean;
}

export interface ObjectStore {
  open(row: ObjectRow, signal: AbortSignal): Promise<ObjectBytes>;
  openSmall(rows: readonly ObjectRow[], signal: AbortSignal): Promise<Map<string, ObjectBytes>>;
  head(row: ObjectRow, signal: AbortSignal): Promise<{ size: number; etag: string }>;
  close(): void;
}

const connectionsMax = 64;
/** Objects asked for at once by one who wants many. */
const smallAtOnce = 16;
const connectMsMax = 10_000;
const silenceMsMax = 60_000;
/** Up to this size, in bytes, an object comes whole with the first answer. */
const wholeBytesMax = 1024 * 1024;
const unknownType = 'application/octet-stream';
const md5 = /^[0-9a-f]{32}$/;

/** Throws StoreRefused for half a pair of credentials. */
export const createObjectStore = (settings: StoreSettings): ObjectStore => new S3Store(settings);

class S3Store implements ObjectStore {
  private readonly bucket: string;
  private readonly client: S3Client;

  constructor({ bucket, endpoint, region, accessKeyId, secretAccessKey, pathStyle }: StoreSettings) {
    if ((accessKeyId === undefined) !== (secretAccessKey === undefined))
      throw permanent('StoreRefused', 'recall.s3.access_key_id and secret_access_key: give both, or neither');
    this.bucket = bucket;
    const agent = { keepAlive: true, maxSockets: connectionsMax };
    // A server that is not Amazon's asks for some region, and does not care which.
    const place = region ?? (endpoint === undefined ? undefined : 'us-east-1');
    this.client = new S3Client({
      ...(place === undefined ? {} : { region: place }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(accessKeyId === undefined || secretAccessKey === undefined
        ? {}
        : { credentials: { accessKeyId, secretAccessKey } }),
      forcePathStyle: pathStyle ?? endpoint !== undefined,
      // What is tried again, and how often, is Temporal's.
      maxAttempts: 1,
      // The store's own checksums are for those who send; a reader has the ETag.
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: connectMsMax,
        socketTimeout: silenceMsMax,
        httpAgent: agent,
        httpsAgent: agent,
      },
    });
  }

  async open(row: ObjectRow, signal: AbortSignal): Promise<ObjectBytes> {
    if (row.size !== null && row.size <= wholeBytesMax) return await this.whole(row, signal);
    // Not the bytes yet: whoever finds the object too large does not want them, and would leave a connection waiting.
    const { response, ...known } = await this.headed(row, signal);
    return { ...known, stream: this.streamed(row, { ...known, digest: digestIn(response) }, signal) };
  }

  /** What is refused, other than by being absent, throws when it is read: it stops no other. */
  async openSmall(rows: readonly ObjectRow[], signal: AbortSignal): Promise<Map<string, ObjectBytes>> {
    const found = new Map<string, ObjectBytes>();
    await inParallel(rows, { limit: smallAtOnce, signal }, async (row) => {
      try {
        found.set(row.id, await this.open(row, signal));
      } catch (error) {
        if (!(error instanceof RecordRefused)) throw error;
        if (error instanceof ObjectAbsent) return;
        found.set(row.id, { size: row.size ?? 0, contentType: unknownType, etag: null, stream: held(error) });
      }
    });
    return found;
  }

  async head(row: ObjectRow, signal: AbortSignal): Promise<{ size: number; etag: string }> {
    const { size, etag } = await this.headed(row, signal);
    return { size, etag };
  }

  close(): void {
    this.client.destroy();
  }

  private async headed(row: ObjectRow, signal: AbortSignal): Promise<Identity & { response: Described }> {
    const response = await this.asked(row, signal, (place) =>
      this.client.send(new HeadObjectCommand(place), { abortSignal: signal }),
    );
    return { ...identified(row, response, this.shown(row)), response };
  }

  private async got(row: ObjectRow, signal: AbortSignal, ifMatch?: string): Promise<GetObjectCommandOutput> {
    const only = ifMatch === undefined ? {} : { IfMatch: `"${ifMatch}"` };
    return await this.asked(row, signal, (place) =>
      this.client.send(new GetObjectCommand({ ...place, ...only }), { abortSignal: signal }),
    );
  }

  private async whole(row: ObjectRow, signal: AbortSignal): Promise<ObjectBytes> {
    const response = await this.got(row, signal);
    const shown = this.shown(row);
    const body = response.Body as Readable;
    try {
      const known = identified(row, response, shown);
      const chunks: Uint8Array[] = [];
      for await (const chunk of checked(body, { ...known, digest: digestIn(response), shown }, signal))
        chunks.push(chunk);
      return { ...known, stream: held(Buffer.concat(chunks)) };
    } finally {
      body.destroy();
    }
  }

  private async *streamed(
    row: ObjectRow,
    known: Identity & { digest: string | null },
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const shown = this.shown(row);
    const response = await this.got(row, signal, known.etag === '' ? undefined : known.etag);
    const body = response.Body as Readable;
    try {
      const now = identified(row, response, shown);
      if (now.size !== known.size || now.etag !== known.etag)
        throw new RecordRefused(`${shown}: it was replaced while it was read`);
      yield* checked(body, { ...known, shown }, signal);
    } finally {
      body.destroy();
    }
  }

  private async asked<R>(
    row: ObjectRow,
    signal: AbortSignal,
    ask: (place: { Bucket: string; Key: string }) => Promise<R>,
  ): Promise<R> {
    signal.throwIfAborted();
    if (row.objectKey === null || row.objectKey === '')
      throw new RecordRefused(`row ${row.id} has no object_key: it names no object in s3://${this.bucket}`);
    try {
      return await ask({ Bucket: this.bucket, Key: row.objectKey });
    } catch (error) {
      signal.throwIfAborted();
      throw storeTrouble(error, this.shown(row));
    }
  }

  private shown(row: ObjectRow): string {
    return `s3://${this.bucket}/${row.objectKey ?? ''}`;
  }
}

interface Identity {
  readonly size: number;
  readonly etag: string;
  readonly contentType: string;
}
type Described = Pick<
  GetObjectCommandOutput,
  'ContentLength' | 'ETag' | 'ContentType' | 'ServerSideEncryption' | 'SSECustomerAlgorithm'
>;

function identified(row: ObjectRow, response: Described, shown: string): Identity {
  const { ContentLength: size, ETag: etag, ContentType: contentType } = response;
  if (size === undefined) throw new Error(`${shown}: the store tells no size`);
  if (row.size !== null && row.size !== size)
    throw new RecordRefused(`${shown} has ${size} bytes, the row's size_bytes says ${row.size}`);
  return { size, etag: (etag ?? '').replaceAll('"', ''), contentType: contentType ?? unknownType };
}

/** The MD5 that an ETag is: neither of an upload in parts, nor where the store encrypts by a key of its own. */
function digestIn({ ETag, ServerSideEncryption: encryption, SSECustomerAlgorithm }: Described): string | null {
  const etag = (ETag ?? '').replaceAll('"', '');
  const isEncrypted = (encryption ?? '').startsWith('aws:kms') || SSECustomerAlgorithm !== undefined;
  return md5.test(etag) && !isEncrypted ? etag : null;
}

async function* checked(
  body: Readable,
  { size, digest, shown }: { size: number; digest: string | null; shown: string },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const hash = digest === null ? null : createHash('md5');
  let length = 0;
  // A reading that waits for a silent store ends with the signal, too.
  addAbortSignal(signal, body);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      hash?.update(chunk);
      yield chunk;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw storeTrouble(error, `${shown}, after ${length} of ${size} bytes`);
  }
  if (length !== size) throw new Error(`${shown}: ${length} of ${size} bytes came`);
  const found = hash?.digest('hex') ?? null;
  if (found !== digest) throw new RecordRefused(`${shown}: its bytes have MD5 ${found}, its ETag says ${digest}`);
}

async function* held(content: Uint8Array | RecordRefused): AsyncGenerator<Uint8Array> {
  if (content instanceof RecordRefused) throw content;
  if (content.length > 0) yield content;
}
