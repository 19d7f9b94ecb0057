/** The tables' versions: numbered files, applied once each and in order, by one process at a time, never taken back. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PoolClient } from 'pg';
import { permanent } from './failures';

const folder = join(__dirname, 'migrations');
export const schema = 'snapchain';
/** Of PostgreSQL's advisory locks: any number that nobody else takes. */
const lock = 0x736e_6170;

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

const known: readonly Migration[] = readdirSync(folder)
  .filter((name) => name.endsWith('.sql'))
  .sort()
  .map((name) => {
    const sql = readFileSync(join(folder, name), 'utf8');
    return { name, sql, sha256: createHash('sha256').update(sql).digest('hex') };
  });

/** Names of those that were applied now. Throws DatabaseRefused for tables that are newer than this program, or not its own. */
export async function migrate(client: PoolClient): Promise<readonly string[]> {
  await client.query('SELECT pg_advisory_lock($1)', [lock]);
  try {
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${schema}.migrations (name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
    );
    const { rows } = await client.query<{ name: string; sha256: string }>(
      `SELECT name, sha256 FROM ${schema}.migrations ORDER BY name`,
    );
    for (const { name, sha256 } of rows) checkApplied(name, sha256);
    const applied = new Set(rows.map(({ name }) => name));
    const missing = known.filter(({ name }) => !applied.has(name));
    for (const migration of missing) await apply(client, migration);
    return missing.map(({ name }) => name);
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [lock]).catch(() => undefined);
  }
}

function checkApplied(name: string, sha256: string): void {
  const own = known.find((each) => each.name === name);
  if (own === undefined)
    throw permanent(
      'DatabaseRefused',
      `schema ${schema} has ${name}, which this program does not know: use a newer one`,
    );
  if (own.sha256 !== sha256)
    throw permanent(
      'DatabaseRefused',
      `schema ${schema} was made by another ${name} than this program's: give the job a database of its own`,
    );
}

async function apply(client: PoolClient, { name, sql, sha256 }: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(`SET LOCAL statement_timeout = 0; SET LOCAL search_path TO ${schema}`);
    await client.query(sql);
    await client.query(`INSERT INTO ${schema}.migrations (name, sha256) VALUES ($1, $2)`, [name, sha256]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
