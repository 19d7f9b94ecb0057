/** A database of the demo's own: the snapchain job's schemas have fixed names. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

export interface DemoDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

export async function makeDatabase(serverUrl: string): Promise<DemoDatabase> {
  const name = `waybill_demo_${randomBytes(4).toString('hex')}`;
  const administer = async (sql: string): Promise<void> => {
    const client = new Client({ connectionString: serverUrl });
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  await administer(`CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => administer(`DROP DATABASE ${name} WITH (FORCE)`) };
}
