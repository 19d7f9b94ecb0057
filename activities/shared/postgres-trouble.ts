/** What PostgreSQL refuses, sorted: what a person must mend is said with the remedy, and never with the password. */
import { codeOf, isPermanent, permanent, reasonOf, RecordRefused } from './failures';

/** Who uses a database: where its settings are, and the failure's type that a person's trouble with it has. */
export interface PostgresUser {
  /** `recall.database` */
  readonly key: string;
  readonly refused: string;
  /** What of the database it uses, for messages: `.object_index`. */
  readonly of?: string;
}

/** SQLSTATE, or a code of Node's TLS, by what mends it; $ is the settings' key. */
const remedies: Readonly<Record<string, string>> = {
  '28P01': 'correct the password in $.url',
  '28000': 'correct user, password or pg_hba.conf',
  '3D000': 'correct the database’s name in $.url',
  '42501': 'GRANT the role USAGE on the table’s schema and SELECT on the table',
  '42P01': 'correct $.table',
  '42703': 'the table lacks a column that the job reads',
  '3F000': 'correct the schema in $.table',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'give sslrootcert in $.url',
  SELF_SIGNED_CERT_IN_CHAIN: 'give sslrootcert in $.url',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'give sslrootcert in $.url',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the server’s certificate is of another host: correct $.url',
};

/** What the driver itself refuses has no code: told by its words. */
const driverRefusals: readonly (readonly [RegExp, string])[] = [
  [/password must be a (non-empty )?string/, 'give a password in $.url'],
  [/does not support SSL connections/, 'take sslmode out of $.url'],
];

/** `host:port/database`: what may be shown of an address. Throws the user's failure for one that cannot be read. */
export function identityOf(url: string, { key, refused, of = '' }: PostgresUser): string {
  // The parser's own error holds the whole address, and with it the password.
  if (!URL.canParse(url))
    throw permanent(
      refused,
      `${key}.url is no address: it is postgresql://user:password@host:port/database, signs such as # and / in a password written as %23 and %2F`,
    );
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}:${port || '5432'}${pathname}${of}`;
}

export function postgresTrouble(error: unknown, what: string, { key, refused }: PostgresUser): unknown {
  if (isPermanent(error) || error instanceof RecordRefused) return error;
  // Of several addresses of one host the error has no message of its own.
  const reason = reasonOf(error) || codeOf(error);
  const remedy = remedies[codeOf(error)] ?? driverRefusals.find(([words]) => words.test(reason))?.[1];
  if (remedy !== undefined) return permanent(refused, `${what}: ${reason}: ${remedy.replaceAll('$', key)}`);
  return new Error(`${what}: ${reason}`, { cause: error });
}
