/** What the table really looks like: its columns as PostgreSQL has them, and the SQL that reads each as the job needs it. */
import type { PoolClient } from 'pg';
import { permanent } from './failures';

export interface TableShape {
  /** Quoted, with its schema. */
  readonly relation: string;
  /** `database.schema.table`, for people. */
  readonly name: string;
  /** A table's rows know which transaction wrote them; a view's do not. */
  readonly hasXmin: boolean;
  /** SQL of a row's columns, in the order of `RowFields`. */
  readonly columns: string;
  /** SQL of the bytes of `data`: bytea, whatever the column is. Null in S3 mode. */
  readonly bytes: string | null;
  /** SQL of an object's size; NULL where nothing tells it. */
  readonly size: string;
  readonly contentType: string;
  /** created_at may be NULL. */
  readonly mayLackTime: boolean;
  readonly createdAt: string;
  /** SQL of the id as it is ordered and indexed, and its type: UUIDs by their bytes, texts likewise. */
  readonly id: string;
  readonly idType: string;
}

const oldestServer = 140_000;
const uuid = /^(uuid|text|character varying)$/;
const columnTypes: Readonly<Record<string, RegExp>> = {
  id: uuid,
  competition_id: uuid,
  agent_id: uuid,
  created_at: /^timestamp with(out)? time zone/,
  size_bytes: /^(bigint|integer|numeric)/,
  data: /^(bytea|text|character varying|json|jsonb)/,
  object_key: /^(text|character varying)/,
};

interface Column {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
}

/** Throws SourceRefused, naming what is missing and what would mend it. */
export async function readShape(client: PoolClient, table: string, mode: 'row' | 's3'): Promise<TableShape> {
  const { rows: servers } = await client.query<{ version: number; database: string; path: string; role: string }>(
    `SELECT current_setting('server_version_num')::int AS version, current_database() AS database,
            current_setting('search_path') AS path, current_user AS role`,
  );
  const { version = 0, database = '', path = '', role = '' } = servers[0] ?? {};
  if (version < oldestServer)
    throw permanent(
      'SourceRefused',
      `PostgreSQL ${version}: at least 14 is needed, which tells its snapshots as pg_snapshot`,
    );
  const { rows: found } = await client.query<{
    oid: number;
    schema: string;
    name: string;
    kind: string;
    readable: boolean;
  }>(
    `SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
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
  const full = `${relation.schema}.${relation.name}`;
  if (!relation.readable)
    throw permanent('SourceRefused', `role ${role} may not read ${full}: GRANT SELECT ON ${full} TO ${role}`);
  const { rows: columns } = await client.query<Column>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, NOT attnotnull AS nullable FROM pg_attribute
      WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped`,
    [relation.oid],
  );
  checkColumns(full, columns, mode);
  return shapeOf({ ...relation, database }, columns, mode);
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
  const wrong = columns.filter(
    ({ name, type }) => [...needed, 'size_bytes'].includes(name) && columnTypes[name]?.test(type) === false,
  );
  if (wrong.length > 0)
    throw permanent(
      'SourceRefused',
      `${table}: ${wrong.map(({ name, type }) => `${name} is ${type}`).join(', ')}, which is nothing to read it by`,
    );
}

function shapeOf(
  { schema, name, kind, database }: { schema: string; name: string; kind: string; database: string },
  columns: readonly Column[],
  mode: 'row' | 's3',
): TableShape {
  const typeOf = (column: string): string | undefined => columns.find((each) => each.name === column)?.type;
  const isBytea = typeOf('data') === 'bytea';
  const bytes = mode === 's3' ? null : isBytea ? 'data' : `convert_to(data::text, 'UTF8')`;
  const size = bytes === null ? (typeOf('size_bytes') === undefined ? 'NULL' : 'size_bytes') : `octet_length(${bytes})`;
  return {
    relation: `${quoted(schema)}.${quoted(name)}`,
    name: `${database}.${schema}.${name}`,
    hasXmin: kind === 'r' || kind === 'p',
    columns: [
      'id::text AS id',
      'created_at::text AS created_at',
      'competition_id::text AS competition_id',
      'agent_id::text AS agent_id',
      'data_type::text AS data_type',
      `${size}::text AS size`,
      `${mode === 's3' ? 'object_key' : 'NULL::text'} AS object_key`,
    ].join(', '),
    bytes,
    size,
    mayLackTime: columns.some(({ name: column, nullable }) => column === 'created_at' && nullable),
    contentType: isBytea ? 'application/octet-stream' : 'application/json',
    // A time without zone is taken for UTC, as every session of ours is.
    id: typeOf('id') === 'uuid' ? 'id' : 'id COLLATE "C"',
    idType: typeOf('id') === 'uuid' ? 'uuid' : 'text',
    createdAt: typeOf('created_at') === 'timestamp with time zone' ? 'timestamptz' : 'timestamp',
  };
}
