/** What the table really looks like: its columns as PostgreSQL has them, and the SQL that reads each as the job needs it. */
import type { PoolClient } from 'pg';
import { permanent } from './failures';

export interface TableShape {
  /**
   * Quoted, with its schema, as `o`. Columns are always `o.…`: in ORDER BY a bare created_at would be the text of that name
   * among what is selected, whose order is the collation's.
   */
  readonly relation: string;
  /** `database.schema.table`, for people. */
  readonly name: string;
  /** A table's rows know which transaction wrote them; a view's do not. */
  readonly hasXmin: boolean;
  /** SQL of a row's columns. */
  readonly columns: string;
  /** SQL of the bytes of `data`: bytea, whatever the column is; a text's are UTF-8. Null in S3 mode. */
  readonly bytes: string | null;
  /** SQL of an object's size; NULL where nothing tells it. In row mode never: what is NULL has no bytes. */
  readonly size: string;
  readonly contentType: string;
  /** created_at may be NULL. */
  readonly mayLackTime: boolean;
  readonly createdAt: string;
  /** SQL of the id as it is ordered and indexed, and its type: UUIDs by their bytes, texts likewise. */
  readonly id: string;
  readonly idType: string;
  /** SQL by which they are compared with ids in lower case, and the type. */
  readonly competition: { readonly sql: string; readonly type: string };
  readonly agent: { readonly sql: string; readonly type: string };
}

const oldestServer = 140_000;

/** What each column may be, by the names of PostgreSQL's types. Any type is read as text as data_type. */
const columnTypes: Readonly<Record<string, { readonly names: RegExp; readonly said: string }>> = {
  id: { names: /^(uuid|text|character varying)/, said: 'uuid or text' },
  competition_id: { names: /^(uuid|text|character varying)/, said: 'uuid or text' },
  agent_id: { names: /^(uuid|text|character varying)/, said: 'uuid or text' },
  created_at: { names: /^timestamp/, said: 'timestamptz or timestamp' },
  size_bytes: { names: /^(bigint|integer)/, said: 'bigint or integer' },
  data: { names: /^(bytea|text|character varying|jsonb?)/, said: 'bytea, text or json' },
  object_key: { names: /^(text|character varying)/, said: 'text' },
};

interface Server {
  readonly version: number;
  readonly release: string;
  readonly database: string;
  readonly path: string;
  readonly role: string;
  readonly encoding: string;
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
}

/** Throws SourceRefused, naming what is missing and what would mend it. */
export async function readShape(client: PoolClient, table: string, mode: 'row' | 's3'): Promise<TableShape> {
  const { rows: servers } = await client.query<Server>(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS release,
            current_database() AS database, current_setting('search_path') AS path, quote_ident(current_user) AS role,
            current_setting('server_encoding') AS encoding`,
  );
  const [server] = servers;
  if (server === undefined) throw new Error('the server does not say what it is');
  const { database, path, role } = server;
  if (server.version < oldestServer)
    throw permanent('SourceRefused', `PostgreSQL ${server.release} at ${database}: 14 or later is needed`);
  const { rows: found } = await client.query<{
    oid: number;
    schema: string;
    name: string;
    full: string;
    kind: string;
    readable: boolean;
  }>(
    `SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
            quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS full,
            has_table_privilege(c.oid, 'SELECT') AS readable
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`,
    [quoted(table)],
  );
  const [relation] = found;
  if (relation === undefined)
    throw permanent(
      'SourceRefused',
      `database ${database} has no table ${table} on the search path ${path}: correct recall.database.table or the role's search_path`,
    );
  const { full } = relation;
  if (!relation.readable)
    throw permanent('SourceRefused', `role ${role} may not read ${full}: GRANT SELECT ON ${full} TO ${role}`);
  const { rows: columns } = await client.query<Column>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, NOT attnotnull AS nullable FROM pg_attribute
      WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped`,
    [relation.oid],
  );
  checkColumns(full, columns, mode);
  return shapeOf({ ...relation, ...server }, columns, mode);
}

/** A plain name, or schema.table; each part as it is written. */
const quoted = (table: string): string =>
  table
    .split('.')
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join('.');

function checkColumns(table: string, columns: readonly Column[], mode: 'row' | 's3'): void {
  const own = mode === 's3' ? 'object_key' : 'data';
  const needed = ['id', 'competition_id', 'agent_id', 'data_type', 'created_at', own];
  const missing = needed.filter((name) => !columns.some((column) => column.name === name));
  const remedies = [
    ...(missing.includes('object_key')
      ? ['with [recall.s3] objects are in S3 under object_key; take it out if they are in `data`']
      : []),
    ...(missing.includes('data') ? ['without [recall.s3] objects are in `data`; configure it if they are in S3'] : []),
  ];
  if (missing.length > 0)
    throw permanent('SourceRefused', [`${table} has no column ${missing.join(', ')}`, ...remedies].join(': '));
  const wrong = columns.flatMap(({ name, type }) => {
    const allowed = [...needed, 'size_bytes'].includes(name) ? columnTypes[name] : undefined;
    return allowed === undefined || allowed.names.test(type) ? [] : `${name} is ${type}, not ${allowed.said}`;
  });
  if (wrong.length > 0)
    throw permanent('SourceRefused', `${table}: ${wrong.join('; ')}: alter it, or name another table`);
}

function shapeOf(
  { schema, name, kind, database, encoding }: { schema: string; name: string; kind: string } & Server,
  columns: readonly Column[],
  mode: 'row' | 's3',
): TableShape {
  const typeOf = (column: string): string | undefined => columns.find((each) => each.name === column)?.type;
  const sized = typeOf('size_bytes') === undefined ? 'NULL' : 'o.size_bytes';
  const { bytes, size } = mode === 's3' ? { bytes: null, size: sized } : dataOf(typeOf('data') ?? '', encoding);
  const idOf = (column: string): { sql: string; type: string } =>
    typeOf(column) === 'uuid' ? { sql: `o.${column}`, type: 'uuid' } : { sql: `lower(o.${column})`, type: 'text' };
  return {
    relation: `${quoted(schema)}.${quoted(name)} AS o`,
    name: `${database}.${schema}.${name}`,
    hasXmin: kind === 'r' || kind === 'p',
    columns: [
      'o.id::text AS id',
      'o.created_at::text AS created_at',
      'o.competition_id::text AS competition_id',
      'o.agent_id::text AS agent_id',
      'o.data_type::text AS data_type',
      `(${size})::text AS size`,
      `${mode === 's3' ? 'o.object_key' : 'NULL::text'} AS object_key`,
    ].join(', '),
    bytes,
    size,
    contentType: typeOf('data') === 'bytea' ? 'application/octet-stream' : 'application/json',
    mayLackTime: columns.some(({ name: column, nullable }) => column === 'created_at' && nullable),
    // A time without zone is taken for UTC, as every session of ours is.
    createdAt: typeOf('created_at')?.endsWith('with time zone') === true ? 'timestamptz' : 'timestamp',
    id: typeOf('id') === 'uuid' ? 'o.id' : 'o.id COLLATE "C"',
    idType: typeOf('id') === 'uuid' ? 'uuid' : 'text',
    competition: idOf('competition_id'),
    agent: idOf('agent_id'),
  };
}

function dataOf(type: string, encoding: string): { bytes: string; size: string } {
  if (type === 'bytea') return { bytes: `coalesce(o.data, '')`, size: 'coalesce(octet_length(o.data), 0)' };
  // A database without an encoding has bytes that nobody vouches for: they are taken as they are.
  const target = encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8';
  const bytes = `convert_to(coalesce(o.data::text, ''), '${target}')`;
  // Of a text that need not be converted the length is known without reading it.
  const isStoredSo = encoding === target;
  return { bytes, size: isStoredSo ? 'coalesce(octet_length(o.data::text), 0)' : `octet_length(${bytes})` };
}
