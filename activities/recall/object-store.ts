/**
 * The bytes in S3, streamed. Size and ETag are what the store said at the beginning, or the stream fails: an object that is
 * replaced while it is read is never taken for one.
 */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { GetObjectCommand, HeadObjectCommand, S3Client, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { reasonOf, RecordRefused } from '../shared/failures';
import { permanent } from './failures';
import type { ObjectBytes, ObjectRow } from './source';

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
  head(row: ObjectRow, signal: AbortSignal): Promise<{ size: number; etag: string }>;
  close(): void;
}

const connectionsMax = 64;
const silenceMsMax = 60_000;
const md5 = /^[0-9a-f]{32}$/;

/** By the store's error names: ours to say what mends it. */
const refusals: Readonly<Record<string, string>> = {
  AccessDenied: 'allow s3:GetObject on it',
  Forbidden: 'allow s3:GetObject on it',
  InvalidAccessKeyId: 'correct recall.s3.access_key_id',
  SignatureDoesNotMatch: 'correct recall.s3.secret_access_key',
  NoSuchBucket: 'correct recall.s3.bucket',
  PermanentRedirect: 'correct recall.s3.region or endpoint',
  AuthorizationHeaderMalformed: 'correct recall.s3.region',
  CredentialsProviderError:
    'give recall.s3.access_key_id and secret_access_key, or AWS credentials as the AWS SDK finds them',
  ExpiredToken: 'renew the credentials',
};

export function createObjectStore(settings: StoreSettings): ObjectStore {
  const { bucket, endpoint, region, accessKeyId, secretAccessKey, pathStyle } = settings;
  const client = new S3Client({
    region: region ?? 'us-east-1',
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
      socketTimeout: silenceMsMax,
      httpAgent: { keepAlive: true, maxSockets: connectionsMax },
      httpsAgent: { keepAlive: true, maxSockets: connectionsMax },
    },
  });
  const place = (row: ObjectRow): { Bucket: string; Key: string } => ({ Bucket: bucket, Key: row.objectKey ?? '' });
  const shown = (row: ObjectRow): string => `s3://${bucket}/${row.objectKey ?? ''}`;

  return {
    open: async (row, signal) => {
      const response = await explained(shown(row), signal, () =>
        client.send(new GetObjectCommand(place(row)), { abortSignal: signal }),
      );
      const { size, etag } = identified(row, response, shown(row));
      const contentType = response.ContentType ?? 'application/octet-stream';
      const isDigest =
        md5.test(etag) && response.ServerSideEncryption !== 'aws:kms' && response.SSECustomerAlgorithm === undefined;
      const stream = checked(response.Body as Readable, {
        size,
        md5: isDigest ? etag : null,
        shown: shown(row),
        signal,
      });
      return { size, contentType, etag, stream };
    },
    head: async (row, signal) => {
      const response = await explained(shown(row), signal, () =>
        client.send(new HeadObjectCommand(place(row)), { abortSignal: signal }),
      );
      return identified(row, response, shown(row));
    },
    close: () => client.destroy(),
  };
}

function identified(
  row: ObjectRow,
  { ContentLength: size, ETag: etag }: Pick<GetObjectCommandOutput, 'ContentLength' | 'ETag'>,
  shown: string,
): { size: number; etag: string } {
  if (size === undefined) throw new Error(`${shown}: the store tells no size`);
  if (row.size !== null && row.size !== size)
    throw new RecordRefused(`${shown} has ${size} bytes, the row's size_bytes says ${row.size}`);
  return { size, etag: (etag ?? '').replaceAll('"', '') };
}

async function* checked(
  body: Readable,
  { size, md5: digest, shown, signal }: { size: number; md5: string | null; shown: string; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const hash = digest === null ? null : createHash('md5');
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      length += chunk.length;
      hash?.update(chunk);
      yield chunk;
    }
  } finally {
    body.destroy();
  }
  if (length !== size) throw new Error(`${shown}: ${length} of ${size} bytes came`);
  const found = hash?.digest('hex') ?? null;
  if (found !== digest) throw new RecordRefused(`${shown}: its bytes have MD5 ${found}, its ETag says ${digest}`);
}

async function explained<R>(shown: string, signal: AbortSignal, work: () => Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    const name = typeof error === 'object' && error !== null && 'name' in error ? String(error.name) : '';
    if (name === 'NoSuchKey' || name === 'NotFound') throw new RecordRefused(`${shown}: there is no such object`);
    const remedy = refusals[name];
    if (remedy !== undefined) throw permanent('StoreRefused', `${shown}: ${name}: ${remedy}`);
    throw new Error(`${shown}: ${name} ${reasonOf(error)}`, { cause: error });
  }
}
