/** Bytes out of the row: small ones together, large ones in slices of one snapshot, so that no object is held whole. */
import type { PoolClient } from 'pg';
import { RecordRefused } from '../shared/failures';
import type { ObjectBytes, ObjectRow } from './source';
import type { TableShape } from './table-shape';

/** Of one slice, in bytes: what a query brings into memory. */
const sliceBytes = 4 * 1024 * 1024;
/** Up to this size a row comes whole. */
const wholeBytesMax = 1024 * 1024;

type WithClient = <R>(work: (client: PoolClient) => Promise<R>) => Promise<R>;

export async function openRow(row: ObjectRow, shape: TableShape, withClient: WithClient): Promise<ObjectBytes> {
  const size = row.size ?? 0;
  if (size <= wholeBytesMax) {
    const bytes = (await openSmallRows([row], shape, withClient)).get(row.id);
    if (bytes === undefined) throw new RecordRefused(`row ${row.id} is gone from ${shape.name}`);
    return bytes;
  }
  return { size, contentType: shape.contentType, etag: null, stream: slices(row.id, size, shape, withClient) };
}

export async function openSmallRows(
  rows: readonly ObjectRow[],
  { bytes, relation, contentType, id: key, idType }: TableShape,
  withClient: WithClient,
): Promise<Map<string, ObjectBytes>> {
  const sql = `SELECT id::text AS id, ${bytes} AS bytes FROM ${relation} WHERE ${key} = ANY($1::${idType}[])`;
  const ids = rows.map(({ id }) => id);
  const found = await withClient((client) => client.query<{ id: string; bytes: Buffer }>(sql, [ids]));
  return new Map(
    found.rows.map(({ id, bytes: content }) => [
      id,
      { size: content.length, contentType, etag: null, stream: once(content) },
    ]),
  );
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}

/**
 * A connection is held for one slice at a time only: an upload may take longer than a database likes a transaction to be
 * open. A row that changes in between is found out by its transaction, which every slice tells.
 */
async function* slices(
  id: string,
  size: number,
  { bytes, relation, name, hasXmin, id: key, idType }: TableShape,
  withClient: WithClient,
): AsyncGenerator<Uint8Array> {
  const version = hasXmin ? 'xmin::text' : `''`;
  const sql = `SELECT substring(${bytes} FROM $2 FOR $3) AS slice, octet_length(${bytes}) AS size, ${version} AS version
                 FROM ${relation} WHERE ${key} = $1::${idType}`;
  let first: string | null = null;
  for (let from = 0; from < size; from += sliceBytes) {
    const { rows } = await withClient((client) =>
      client.query<{ slice: Buffer; size: number; version: string }>(sql, [id, from + 1, sliceBytes]),
    );
    const [found] = rows;
    if (found === undefined) throw new RecordRefused(`row ${id} is gone from ${name}`);
    first ??= found.version;
    if (found.size !== size || found.version !== first)
      throw new RecordRefused(`row ${id} of ${name} changed while it was read`);
    yield found.slice;
  }
}
