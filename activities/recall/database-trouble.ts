/** What PostgreSQL refuses, sorted: what a person must mend is said with the remedy, and never with the password. */
import { codeOf, isPermanent, reasonOf, RecordRefused } from '../shared/failures';
import { permanent } from './failures';

/** SQLSTATE, or a code of Node's TLS, by what mends it. */
const remedies: Readonly<Record<string, string>> = {
  '28P01': 'correct the password in recall.database.url',
  '28000': 'correct user, password or pg_hba.conf',
  '3D000': 'correct the database’s name in recall.database.url',
  '42501': 'GRANT the role USAGE on the table’s schema and SELECT on the table',
  '42P01': 'correct recall.database.table',
  '42703': 'the table lacks a column that the job reads',
  '3F000': 'correct the schema in recall.database.table',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'give sslrootcert in recall.database.url',
  SELF_SIGNED_CERT_IN_CHAIN: 'give sslrootcert in recall.database.url',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'give sslrootcert in recall.database.url',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the server’s certificate is of another host: correct recall.database.url',
};

/** What the driver itself refuses has no code: told by its words. */
const driverRefusals: readonly (readonly [RegExp, string])[] = [
  [/password must be a (non-empty )?string/, 'give a password in recall.database.url'],
  [/does not support SSL connections/, 'take sslmode out of recall.database.url'],
];

/** `host:port/database`: what may be shown of an address. Throws SourceRefused for one that cannot be read. */
export function identityOf(url: string): string {
  // The parser's own error holds the whole address, and with it the password.
  if (!URL.canParse(url))
    throw permanent(
      'SourceRefused',
      'recall.database.url is no address: it is postgresql://user:password@host:port/database, signs such as # and / in a password written as %23 and %2F',
    );
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}:${port || '5432'}${pathname}`;
}

export function databaseTrouble(error: unknown, what: string): unknown {
  if (isPermanent(error) || error instanceof RecordRefused) return error;
  // Of several addresses of one host the error has no message of its own.
  const reason = reasonOf(error) || codeOf(error);
  const remedy = remedies[codeOf(error)] ?? driverRefusals.find(([words]) => words.test(reason))?.[1];
  if (remedy !== undefined) return permanent('SourceRefused', `${what}: ${reason}: ${remedy}`);
  return new Error(`${what}: ${reason}`, { cause: error });
}
