/**
 * `object_index` in PostgreSQL, with the bytes in the row or in S3. Times and ids stay PostgreSQL's own texts, in UTC and in the
 * order of the database: a Date would cut a time's microseconds.
 */
import type { QueryResultRow } from 'pg';
import { Postgres, type PostgresSettings } from '../shared/postgres';
import type { RowPosition } from './contract';
import { permanent } from './failures';
import { createObjectStore, type ObjectStore, type StoreSettings } from './object-store';
import { openRow, openSmallRows } from './row-bytes';
import { after, atOrBefore, filterSql, Parameters } from './row-query';
import type { ObjectBytes, ObjectRow, ObjectSource, RowFilter, Watermark } from './source';
import { readShape, type TableShape } from './table-shape';
import { readWatermark, writtenSince } from './watermark';

export interface DatabaseSettings extends PostgresSettings {
  /** A name on the search path, or schema.table. */
  readonly table: string;
}

export interface SourceSettings {
  readonly database: DatabaseSettings;
  /** Null: the bytes are in the row. */
  readonly s3: StoreSettings | null;
}

interface Fields extends QueryResultRow {
  id: string;
  created_at: string;
  competition_id: string | null;
  agent_id: string | null;
  data_type: string;
  size: string | null;
  object_key: string | null;
  sha256?: string | null;
}

export const createPostgresSource = (settings: SourceSettings): ObjectSource => new PostgresSource(settings);

class PostgresSource implements ObjectSource {
  readonly identity: string;
  readonly mode: 'row' | 's3';
  private readonly database: Postgres;
  private readonly table: string;
  private readonly store: ObjectStore | null;
  private shape: TableShape | null = null;

  constructor({ database, s3 }: SourceSettings) {
    this.database = new Postgres(database, {
      key: 'recall.database',
      refused: 'SourceRefused',
      of: `.${database.table}`,
    });
    this.table = database.table;
    this.identity = this.database.identity;
    this.mode = s3 === null ? 'row' : 's3';
    this.store = s3 === null ? null : createObjectStore(s3);
  }

  async check(signal: AbortSignal): Promise<void> {
    // Looked at again each time: a table is altered while workers live.
    this.shape = null;
    const { name, relation, mayLackTime } = await this.shaped(signal);
    if (!mayLackTime) return;
    const sql = `SELECT 1 FROM ${relation} WHERE o.created_at IS NULL LIMIT 1`;
    const { rows } = await this.database.use(signal, (client) => client.query(sql));
    if (rows.length > 0)
      throw permanent(
        'SourceRefused',
        `${name} has rows without created_at, which no reading in its order can reach: give them one, and the column NOT NULL`,
      );
  }

  watermark(settleSeconds: number, signal: AbortSignal): Promise<Watermark> {
    return this.database.use(signal, (client) => readWatermark(client, settleSeconds));
  }

  page(
    filter: RowFilter,
    range: { after: RowPosition | null; before: string; limit: number; digest: boolean },
    signal: AbortSignal,
  ): Promise<ObjectRow[]> {
    return this.select(signal, range.digest, (parameters, shape) => {
      const conditions = [
        ...(range.after === null ? [] : after(range.after, parameters, shape)),
        `o.created_at < ${parameters.add(range.before)}::${shape.createdAt}`,
        ...filterSql(filter, parameters, shape),
      ];
      return { conditions, order: `ORDER BY o.created_at, ${shape.id}`, limit: range.limit };
    });
  }

  sweep(
    filter: RowFilter,
    range: { afterId: string; since: string | null; upTo: RowPosition | null; limit: number; digest: boolean },
    signal: AbortSignal,
  ): Promise<ObjectRow[]> {
    return this.select(signal, range.digest, (parameters, shape) => {
      const conditions = filterSql(filter, parameters, shape);
      if (range.afterId !== '') conditions.push(`${shape.id} > ${parameters.add(range.afterId)}::${shape.idType}`);
      if (range.upTo !== null) conditions.push(atOrBefore(range.upTo, parameters, shape));
      if (range.since !== null && shape.hasXmin) conditions.push(writtenSince(parameters.add(range.since)));
      return { conditions, order: `ORDER BY ${shape.id}`, limit: range.limit };
    });
  }

  async rows(ids: readonly string[], digest: boolean, signal: AbortSignal): Promise<ObjectRow[]> {
    const rows = await this.select(signal, digest, (parameters, { id, idType }) => ({
      conditions: [`${id} = ANY(${parameters.add(ids)}::${idType}[])`],
      order: '',
      limit: ids.length,
    }));
    const byId = new Map(rows.map((row) => [row.id, row]));
    return ids.flatMap((id) => byId.get(id) ?? []);
  }

  async open(row: ObjectRow, signal: AbortSignal): Promise<ObjectBytes> {
    if (this.store !== null) return await this.store.open(row, signal);
    return await openRow(row, await this.shaped(signal), (work) => this.database.use(signal, work));
  }

  async openSmall(rows: readonly ObjectRow[], signal: AbortSignal): Promise<Map<string, ObjectBytes>> {
    if (this.store !== null) return await this.store.openSmall(rows, signal);
    return await openSmallRows(rows, await this.shaped(signal), (work) => this.database.use(signal, work));
  }

  async head(row: ObjectRow, signal: AbortSignal): Promise<{ size: number; etag: string } | null> {
    return this.store === null ? null : await this.store.head(row, signal);
  }

  async backlog(
    filter: RowFilter,
    position: RowPosition | null,
    signal: AbortSignal,
  ): Promise<{ rows: number; bytes: number; oldestCreatedAt: string | null }> {
    const shape = await this.shaped(signal);
    const parameters = new Parameters();
    const conditions = filterSql(filter, parameters, shape);
    if (position !== null) conditions.unshift(...after(position, parameters, shape));
    const sql = `SELECT count(*)::text AS rows, coalesce(sum(${shape.size}), 0)::text AS bytes, min(o.created_at)::text AS oldest
                   FROM ${shape.relation} WHERE ${conditions.join(' AND ') || 'true'}`;
    const { rows } = await this.database.use(signal, (client) =>
      client.query<{ rows: string; bytes: string; oldest: string | null }>(sql, parameters.values),
    );
    const [sums] = rows;
    return { rows: Number(sums?.rows ?? 0), bytes: Number(sums?.bytes ?? 0), oldestCreatedAt: sums?.oldest ?? null };
  }

  async close(): Promise<void> {
    this.store?.close();
    await this.database.close();
  }

  private async shaped(signal: AbortSignal): Promise<TableShape> {
    this.shape ??= await this.database.use(signal, (client) => readShape(client, this.table, this.mode));
    return this.shape;
  }

  private async select(
    signal: AbortSignal,
    digest: boolean,
    which: (parameters: Parameters, shape: TableShape) => { conditions: string[]; order: string; limit: number },
  ): Promise<ObjectRow[]> {
    const shape = await this.shaped(signal);
    const parameters = new Parameters();
    const { conditions, order, limit } = which(parameters, shape);
    const sha256 = digest && shape.bytes !== null ? `, encode(sha256(${shape.bytes}), 'hex') AS sha256` : '';
    // The rows are chosen first: bytes are measured and hashed of those alone, whatever else was sorted to find them.
    const sql = `SELECT ${shape.columns}${sha256} FROM (
                   SELECT * FROM ${shape.relation} WHERE ${conditions.join(' AND ') || 'true'} ${order} LIMIT ${limit}
                 ) AS o ${order}`;
    const { rows } = await this.database.use(signal, (client) => client.query<Fields>(sql, parameters.values));
    return rows.map(rowOf);
  }
}

function rowOf({
  id,
  created_at: createdAt,
  competition_id: competition,
  agent_id: agent,
  ...rest
}: Fields): ObjectRow {
  const folder = [competition, agent, rest.data_type].filter((part) => part !== null).join('/');
  return {
    id,
    createdAt,
    folder: `${folder}/`,
    keyMayHaveChanged: competition === null || agent === null,
    size: rest.size === null ? null : Number(rest.size),
    objectKey: rest.object_key,
    sha256: rest.sha256 ?? null,
  };
}
