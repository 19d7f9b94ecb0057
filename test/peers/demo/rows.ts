/** What a trading competition leaves behind in an hour: objects of four kinds in S3, and a row about each in PostgreSQL. */
import { randomBytes, randomUUID } from 'node:crypto';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Client } from 'pg';

export interface StoreAddress {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Rows {
  /** schema.table */
  readonly table: string;
  readonly s3Bucket: string;
  readonly objects: number;
  readonly bytes: number;
  /** Table and S3 bucket are gone afterwards. */
  drop(): Promise<void>;
}

const region = 'us-east-1';
const count = 60;
const [smallest, largest] = [1_000, 2_000_000];
const putsMax = 8;
const kinds = ['trade', 'agent_score', 'agent_score_history', 'portfolio_snapshot'] as const;
const competition = 'c0ffee00-0000-4000-8000-000000000001';
const agents = ['alpha', 'breakout', 'carry', 'delta', 'echo'].map((name, index) => ({
  name,
  id: `a9e70000-0000-4000-8000-00000000000${index + 1}`,
}));

/** In a schema and an S3 bucket of its own: the servers may be somebody's. */
export async function makeRows(databaseUrl: string, address: StoreAddress): Promise<Rows> {
  const unique = randomBytes(4).toString('hex');
  const [schema, s3Bucket] = [`waybill_demo_${unique}`, `waybill-demo-${unique}`];
  const client = new Client({ connectionString: databaseUrl });
  // A server that ends before us is no reason to crash: the next query says so.
  client.on('error', () => undefined);
  await client.connect();
  const s3 = storeAt(address);
  const drop = async (): Promise<void> => {
    // Both are tried, whatever becomes of the other.
    const dropped = await Promise.allSettled([
      client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`),
      empty(s3, s3Bucket),
    ]);
    s3.destroy();
    await client.end();
    for (const result of dropped) if (result.status === 'rejected') throw result.reason;
  };
  try {
    await createTable(client, schema);
    await s3.send(new CreateBucketCommand({ Bucket: s3Bucket }));
    const made = Array.from({ length: count }, (_, index) => objectAt(index));
    for (let from = 0; from < made.length; from += putsMax)
      await Promise.all(made.slice(from, from + putsMax).map((object) => put(s3, s3Bucket, object)));
    await insert(client, schema, made);
    const bytes = made.reduce((sum, { content }) => sum + content.length, 0);
    return { table: `${schema}.object_index`, s3Bucket, objects: made.length, bytes, drop };
  } catch (error) {
    // What failed first is what counts.
    await drop().catch(() => undefined);
    throw error;
  }
}

interface MadeObject {
  readonly id: string;
  readonly objectKey: string;
  readonly agentId: string;
  readonly kind: string;
  readonly content: Buffer;
}

/** Sizes from the smallest to the largest by equal ratios, mixed: most are small, a few are large, as in truth. */
function objectAt(index: number): MadeObject {
  // 7 and 60 have no common factor: every size comes once.
  const step = ((index * 7) % count) / (count - 1);
  const size = Math.round(smallest * (largest / smallest) ** step);
  const kind = kinds[index % kinds.length] ?? 'trade';
  const agent = agents[index % agents.length] ?? { name: '', id: '' };
  const id = randomUUID();
  return {
    id,
    agentId: agent.id,
    kind,
    objectKey: `${competition}/${agent.name}/${kind}/${id}.json`,
    content: documentOf(kind, agent.name, index, size),
  };
}

/** JSON of exactly this size: records while there is room, blanks for the rest. */
function documentOf(kind: string, agent: string, seed: number, size: number): Buffer {
  const head = `{"kind":"${kind}","agent":"${agent}","records":[\n`;
  const tail = ']}';
  const records: string[] = [];
  let room = size - head.length - tail.length;
  for (let number = 0; ; number += 1) {
    const record = JSON.stringify({ n: number, price: 1 + ((seed * 7919 + number * 104_729) % 90_001) / 1000 });
    const separated = `${number === 0 ? '' : ',\n'}${record}`;
    if (separated.length > room) break;
    records.push(separated);
    room -= separated.length;
  }
  return Buffer.from(`${head}${records.join('')}${' '.repeat(room)}${tail}`);
}

async function createTable(client: Client, schema: string): Promise<void> {
  await client.query(`CREATE SCHEMA ${schema}`);
  await client.query(`CREATE TYPE ${schema}.sync_data_type AS ENUM (${kinds.map((kind) => `'${kind}'`).join(', ')})`);
  await client.query(`CREATE TABLE ${schema}.object_index (
    id uuid PRIMARY KEY, object_key text UNIQUE NOT NULL, competition_id uuid, agent_id uuid,
    data_type ${schema}.sync_data_type NOT NULL, size_bytes bigint, metadata jsonb, event_timestamp timestamptz,
    created_at timestamptz NOT NULL)`);
  await client.query(`CREATE INDEX ON ${schema}.object_index (created_at)`);
}

/** Made in the last hour, one a minute. */
async function insert(client: Client, schema: string, made: readonly MadeObject[]): Promise<void> {
  await client.query(
    `INSERT INTO ${schema}.object_index
       (id, object_key, competition_id, agent_id, data_type, size_bytes, event_timestamp, created_at)
     SELECT id, key, $1, agent, kind::${schema}.sync_data_type, size, at, at
       FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::bigint[]) WITH ORDINALITY
              AS made (id, key, agent, kind, size, number),
            LATERAL (SELECT now() - ($7 + 1 - number) * interval '1 minute' AS at) AS minute`,
    [
      competition,
      made.map(({ id }) => id),
      made.map(({ objectKey }) => objectKey),
      made.map(({ agentId }) => agentId),
      made.map(({ kind }) => kind),
      made.map(({ content }) => content.length),
      made.length,
    ],
  );
}

function storeAt({ endpoint, accessKeyId, secretAccessKey }: StoreAddress): S3Client {
  return new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
}

async function put(s3: S3Client, bucket: string, { objectKey, content }: MadeObject): Promise<void> {
  const object = { Bucket: bucket, Key: objectKey, Body: content, ContentType: 'application/json' };
  await s3.send(new PutObjectCommand(object));
}

/** Removes the bucket with all that is in it; one that never came to be is no error. */
async function empty(s3: S3Client, bucket: string): Promise<void> {
  try {
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket }));
    const keys = Contents.map(({ Key }) => ({ Key }));
    if (keys.length > 0) await s3.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: keys } }));
    await s3.send(new DeleteBucketCommand({ Bucket: bucket }));
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'NoSuchBucket') throw error;
  }
}
