/** Rows made where they lie, in the database: a hundred thousand take seconds. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

export interface Table {
  readonly url: string;
  readonly name: string;
  readonly client: Client;
  drop(): Promise<void>;
}

export async function makeTable(columns: 'data' | 'object_key'): Promise<Table> {
  const url = process.env['WAYBILL_TEST_POSTGRES_URL'] ?? '';
  const client = new Client({ connectionString: url });
  await client.connect();
  const schema = `bench_${randomBytes(4).toString('hex')}`;
  await client.query(`CREATE SCHEMA ${schema}`);
  await client.query(`CREATE TABLE ${schema}.object_index (id uuid PRIMARY KEY, competition_id uuid, agent_id uuid,
    data_type text NOT NULL, size_bytes bigint, created_at timestamptz NOT NULL,
    ${columns === 'data' ? 'data bytea NOT NULL' : 'object_key text UNIQUE NOT NULL'})`);
  await client.query(`CREATE INDEX ON ${schema}.object_index (created_at)`);
  return {
    url,
    name: `${schema}.object_index`,
    client,
    drop: async () => {
      await client.query(`DROP SCHEMA ${schema} CASCADE`);
      await client.end();
    },
  };
}

/** One competition, twenty agents, four kinds: as the rows really are. `bytes` each, all of them different. */
export async function fill({ client, name }: Table, count: number, bytes: number): Promise<void> {
  await client.query(
    `INSERT INTO ${name} (id, competition_id, agent_id, data_type, size_bytes, created_at, data)
     SELECT gen_random_uuid(), 'c0000000-0000-4000-8000-000000000001',
            ('a0000000-0000-4000-8000-0000000000' || lpad((i % 20)::text, 2, '0'))::uuid,
            (ARRAY['trade', 'agent_score', 'agent_score_history', 'portfolio_snapshot'])[1 + i % 4],
            $2::int, now() - interval '1 hour' + i * interval '1 microsecond',
            decode(left(repeat(md5(i::text), $2::int / 16 + 1), $2::int * 2), 'hex')
       FROM generate_series(1, $1::int) AS i`,
    [count, bytes],
  );
  await client.query(`ANALYZE ${name}`);
}
