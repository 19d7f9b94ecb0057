/** A database of the measurement's own, with the job's tables when they are asked for. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

export interface BenchDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

export async function createDatabase(): Promise<BenchDatabase> {
  const common = process.env['WAYBILL_TEST_POSTGRES_URL'] ?? '';
  const name = `bench_${randomBytes(4).toString('hex')}`;
  const administer = async (sql: string): Promise<void> => {
    const client = new Client({ connectionString: common });
    await client.connect();
    await client.query(sql);
    await client.end();
  };
  await administer(`CREATE DATABASE ${name}`);
  const url = new URL(common);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => administer(`DROP DATABASE ${name} WITH (FORCE)`) };
}
