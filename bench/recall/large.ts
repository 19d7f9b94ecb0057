/** One large object from S3: what the worker's memory has to say to it. */
import { randomBytes, randomUUID } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { Temporal } from '../measure/temporal';
import type { Peer } from './peer';
import { makeTable } from './rows';
import { measureRun, startWorker, type SyncFigures } from './sync';

const partBytes = 50_000_000;

export async function measureLarge(dir: string, temporal: Temporal, peer: Peer, bytes: number): Promise<SyncFigures> {
  const bucket = `bench-${randomBytes(4).toString('hex')}`;
  const [endpoint, accessKeyId, secretAccessKey] = ['URL', 'ACCESS_KEY', 'SECRET'].map(
    (name) => process.env[`WAYBILL_TEST_S3_${name}`] ?? '',
  ) as [string, string, string];
  const s3 = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  await put(s3, bucket, bytes);
  s3.destroy();
  const table = await makeTable('object_key');
  await table.client.query(
    `INSERT INTO ${table.name} VALUES ($1, NULL, NULL, 'trade', $2, now() - interval '1 minute', 'large')`,
    [randomUUID(), bytes],
  );
  const worker = await startWorker(dir, temporal, peer, table, {
    WAYBILL_RECALL_S3_BUCKET: bucket,
    WAYBILL_RECALL_S3_ENDPOINT: endpoint,
    WAYBILL_RECALL_S3_REGION: 'us-east-1',
    WAYBILL_RECALL_S3_ACCESS_KEY_ID: accessKeyId,
    WAYBILL_RECALL_S3_SECRET_ACCESS_KEY: secretAccessKey,
  });
  const figures = await measureRun(temporal.client, worker, { name: 'large' });
  await worker.stop();
  await table.drop();
  if (figures.result.counts['bytes'] !== bytes)
    throw new Error(
      `of ${bytes} bytes ${figures.result.counts['bytes'] ?? 0} arrived: ${figures.result.parked[0]?.reason ?? ''}`,
    );
  return figures;
}

async function put(s3: S3Client, bucket: string, bytes: number): Promise<void> {
  const place = { Bucket: bucket, Key: 'large' };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(place));
  const part = randomBytes(partBytes);
  const parts: { ETag: string | undefined; PartNumber: number }[] = [];
  for (let from = 0, number = 1; from < bytes; from += partBytes, number += 1) {
    part.writeUInt32LE(number);
    const ContentLength = Math.min(partBytes, bytes - from);
    const { ETag } = await s3.send(
      new UploadPartCommand({
        ...place,
        UploadId,
        PartNumber: number,
        Body: part.subarray(0, ContentLength),
        ContentLength,
      }),
    );
    parts.push({ ETag, PartNumber: number });
  }
  await s3.send(new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts: parts } }));
}
