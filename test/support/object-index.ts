/** Tables of objects as they really occur, in a schema of a test's own, with rows and S3 objects at any size and speed. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Client } from 'pg';
import type { SourceSettings } from '../../activities/recall/postgres-source';

export type DataColumn = 'BYTEA' | 'TEXT' | 's3';

export interface MadeObject {
  readonly id: string;
  readonly key: string;
  readonly sha256: string;
  readonly size: number;
}

export interface ObjectIndex {
  readonly schema: string;
  readonly table: string;
  readonly settings: SourceSettings;
  /** A connection of the test's own, as the schema's owner. */
  readonly client: Client;
  /** All that was made, by id. */
  readonly made: Map<string, MadeObject>;
  /** Adds rows (and objects) of these sizes; `createdAt` by index, else now, each a microsecond on. */
  add(sizes: readonly number[], options?: AddOptions): Promise<MadeObject[]>;
  /** S3: objects by the ids of their rows, which stay. */
  removeObjects(ids: readonly string[]): Promise<void>;
  /** S3: other content under the same name. */
  replaceObject(id: string, content: Buffer): Promise<void>;
  /** A connection that the caller ends. */
  connect(): Promise<Client>;
  drop(): Promise<void>;
}

export interface AddOptions {
  readonly createdAt?: (index: number) => string;
  readonly competition?: string | null;
  readonly agent?: string | null;
  readonly dataType?: string;
  /** Through a connection, whose transaction the caller ends. */
  readonly through?: Client;
  /** S3: without the objects that the rows name. */
  readonly rowsAlone?: boolean;
}

export const neededVariable = (name: string): string => {
  const value = process.env[name];
  if (value === undefined || value === '')
    throw new Error(`${name} is not set: node scripts/services.mjs exec postgres,s3 -- npx jest …`);
  return value;
};

export interface IndexOptions {
  /**
   * A database of its own, with what is said after CREATE DATABASE's name: open transactions of other tests then hold
   * nobody's watermark back. Null: a schema of the servers' common one.
   */
  readonly ownDatabase?: string | null;
}

export async function createObjectIndex(
  column: DataColumn,
  { ownDatabase = null }: IndexOptions = {},
): Promise<ObjectIndex> {
  const schema = `recall_${randomBytes(5).toString('hex')}`;
  const common = neededVariable('WAYBILL_TEST_POSTGRES_URL');
  const url = ownDatabase === null ? common : await createDatabase(common, schema, ownDatabase);
  const connect = async (): Promise<Client> => {
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const client = await connect();
  const isS3 = column === 's3';
  await client.query(`CREATE SCHEMA ${schema}`);
  await client.query(
    `CREATE TYPE ${schema}.sync_data_type AS ENUM ('trade', 'agent_score_history', 'agent_score', 'competitions_leaderboard', 'portfolio_snapshot')`,
  );
  await client.query(`CREATE TABLE ${schema}.object_index (
    id uuid PRIMARY KEY, ${isS3 ? 'object_key text UNIQUE NOT NULL,' : ''} competition_id uuid, agent_id uuid,
    data_type ${schema}.sync_data_type NOT NULL, size_bytes bigint, metadata jsonb, event_timestamp timestamptz,
    created_at timestamptz NOT NULL DEFAULT now() ${isS3 ? '' : `, data ${column} NOT NULL`})`);
  await client.query(`CREATE INDEX ON ${schema}.object_index (created_at)`);
  const store = isS3 ? await createStore(schema.replace('_', '-')) : null;
  const made = new Map<string, MadeObject>();
  let sequence = 0;

  return {
    schema,
    table: `${schema}.object_index`,
    settings: { database: { url, maxConnections: 6, table: `${schema}.object_index` }, s3: store?.settings ?? null },
    client,
    made,
    connect,
    add: async (
      sizes,
      { createdAt, competition = competitions[0], agent, dataType = 'trade', through = client, rowsAlone = false } = {},
    ) => {
      const first = sequence;
      sequence += sizes.length;
      const objects = sizes.map((size, index) => {
        const id = randomUUID();
        const agentId = agent === undefined ? (agents[(first + index) % agents.length] ?? null) : agent;
        const content = contentOf(column, size, first + index);
        const folder = [competition, agentId, dataType].filter((part) => part !== null && part !== undefined).join('/');
        const sha256 = createHash('sha256').update(content).digest('hex');
        return { id, agentId, content, object: { id, key: `${folder}/${id}`, sha256, size: content.length } };
      });
      if (store !== null && !rowsAlone) {
        for (let from = 0; from < objects.length; from += 16)
          await Promise.all(objects.slice(from, from + 16).map(({ id, content }) => store.put(id, content)));
      }
      for (let from = 0; from < objects.length; from += 200) {
        const rows = objects.slice(from, from + 200);
        const times = rows.map((_, index) => createdAt?.(from + index) ?? null);
        await through.query(
          `INSERT INTO ${schema}.object_index (id, competition_id, agent_id, data_type, size_bytes, created_at, ${isS3 ? 'object_key' : 'data'})
           SELECT id, competition, agent, kind::${schema}.sync_data_type, size, coalesce(at, now()), content
             FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[], $7::${column === 'BYTEA' ? 'bytea' : 'text'}[])
               AS made (id, competition, agent, kind, size, at, content)`,
          [
            rows.map(({ id }) => id),
            rows.map(() => competition ?? null),
            rows.map(({ agentId }) => agentId),
            rows.map(() => dataType),
            rows.map(({ object }) => object.size),
            times,
            rows.map(({ id, content }) => (isS3 ? `objects/${id}` : column === 'TEXT' ? content.toString() : content)),
          ],
        );
      }
      for (const { object } of objects) made.set(object.id, object);
      return objects.map(({ object }) => object);
    },
    removeObjects: async (ids) => store?.remove(ids),
    replaceObject: async (id, content) => store?.put(id, content),
    drop: async () => {
      if (ownDatabase === null) await client.query(`DROP SCHEMA ${schema} CASCADE`);
      await client.end();
      if (ownDatabase !== null) await administer(common, `DROP DATABASE ${schema} WITH (FORCE)`);
      await store?.drop();
    },
  };
}

async function createDatabase(common: string, name: string, options: string): Promise<string> {
  await administer(common, `CREATE DATABASE ${name} ${options}`);
  const url = new URL(common);
  url.pathname = `/${name}`;
  return url.href;
}

async function administer(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(sql);
  await client.end();
}

export const competitions = ['0b000000-0000-4000-8000-000000000001', '0b000000-0000-4000-8000-000000000002'];
export const agents = Array.from({ length: 7 }, (_, index) => `0a000000-0000-4000-8000-00000000000${index + 1}`);

/** Different for each object, cheap at any size. TEXT is JSON with a sign of two bytes in it. */
function contentOf(column: DataColumn, size: number, seed: number): Buffer {
  if (column === 'TEXT') {
    const head = `{"object": ${seed}, "what": "é", "rest": "`;
    return Buffer.from(`${head}${'x'.repeat(Math.max(0, size - Buffer.byteLength(head) - 2))}"}`);
  }
  const content = Buffer.alloc(size, createHash('sha256').update(String(seed)).digest());
  if (size >= 8) content.writeUInt32LE(seed, size - 4);
  return content;
}

interface Store {
  readonly settings: NonNullable<SourceSettings['s3']>;
  put(id: string, content: Buffer): Promise<void>;
  remove(ids: readonly string[]): Promise<void>;
  drop(): Promise<void>;
}

async function createStore(bucket: string): Promise<Store> {
  const endpoint = neededVariable('WAYBILL_TEST_S3_URL');
  const accessKeyId = neededVariable('WAYBILL_TEST_S3_ACCESS_KEY');
  const secretAccessKey = neededVariable('WAYBILL_TEST_S3_SECRET');
  const s3 = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  return {
    settings: { bucket, endpoint, region: 'us-east-1', accessKeyId, secretAccessKey, pathStyle: true },
    put: async (id, content) => {
      await s3.send(
        new PutObjectCommand({ Bucket: bucket, Key: `objects/${id}`, Body: content, ContentType: 'application/json' }),
      );
    },
    remove: async (ids) => {
      for (const id of ids) await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: `objects/${id}` }));
    },
    drop: async () => {
      for (;;) {
        const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket }));
        if (Contents.length === 0) break;
        await s3.send(
          new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: Contents.map(({ Key }) => ({ Key })) } }),
        );
      }
      await s3.send(new DeleteBucketCommand({ Bucket: bucket }));
      s3.destroy();
    },
  };
}
