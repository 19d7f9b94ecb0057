/** What PostgreSQL refuses, sorted: what a person must mend is said with the remedy, and never with the password. */
import { codeOf, isPermanent, reasonOf, RecordRefused } from '../shared/failures';
import { permanent } from './failures';

/** SQLSTATE, by what mends it. */
const remedies: Readonly<Record<string, string>> = {
  '28P01': 'correct the password in recall.database.url',
  '28000': 'correct user, password or pg_hba.conf',
  '3D000': 'correct the database’s name in recall.database.url',
  '42501': 'GRANT the role what it needs to read the table',
  '42P01': 'correct recall.database.table',
  '42703': 'the table lacks a column that the job reads',
  '3F000': 'correct the schema in recall.database.table',
};

/** `host:port/database`: what may be shown of an address. */
export function identityOf(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}:${port || '5432'}${pathname}`;
}

export function databaseTrouble(error: unknown, what: string): unknown {
  if (isPermanent(error) || error instanceof RecordRefused) return error;
  const remedy = remedies[codeOf(error)];
  if (remedy !== undefined) return permanent('SourceRefused', `${what}: ${reasonOf(error)}: ${remedy}`);
  return new Error(`${what}: ${reasonOf(error)}`, { cause: error });
}
