/** Bytes out of the row: small ones together, large ones in slices, so that no object is held whole. */
import type { PoolClient } from 'pg';
import { RecordRefused } from '../shared/failures';
import type { ObjectBytes, ObjectRow } from './source';
import type { TableShape } from './table-shape';

/** Of one slice, in bytes: what a query brings into memory. */
const sliceBytes = 4 * 1024 * 1024;
/** Up to this size a row comes whole. */
const wholeBytesMax = 1024 * 1024;
/** What a row may have become since its size was read, and still come with others. */
const togetherBytesMax = 8 * 1024 * 1024;

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

/** Absent ones are left out. One that has grown beyond what may be held is refused when it is read, not before. */
export async function openSmallRows(
  rows: readonly ObjectRow[],
  { bytes, size, relation, name, contentType, id: key, idType }: TableShape,
  withClient: WithClient,
): Promise<Map<string, ObjectBytes>> {
  const sql = `SELECT o.id::text AS id, ${size} AS size, CASE WHEN ${size} <= ${togetherBytesMax} THEN ${bytes} END AS bytes
                 FROM ${relation} WHERE ${key} = ANY($1::${idType}[])`;
  const ids = rows.map(({ id }) => id);
  const found = await withClient((client) =>
    client.query<{ id: string; size: number; bytes: Buffer | null }>(sql, [ids]),
  );
  return new Map(
    found.rows.map(({ id, size: length, bytes: content }) => [
      id,
      {
        size: length,
        contentType,
        etag: null,
        stream: once(content, `row ${id} of ${name} has grown to ${length} bytes`),
      },
    ]),
  );
}

async function* once(content: Uint8Array | null, grown: string): AsyncGenerator<Uint8Array> {
  if (content === null) throw new RecordRefused(grown);
  yield content;
}

/**
 * A connection is held for one slice at a time only: an upload may take longer than a database likes a transaction to be
 * open. A row that changes in between is found out by its transaction, which every slice tells; where rows have none, by
 * the digest of the whole, which costs the server a reading of it.
 */
async function* slices(
  id: string,
  size: number,
  { bytes, size: sizeNow, relation, name, hasXmin, id: key, idType }: TableShape,
  withClient: WithClient,
): AsyncGenerator<Uint8Array> {
  const version = hasXmin ? 'o.xmin::text' : `encode(sha256(${bytes}), 'hex')`;
  const sql = `SELECT substring(${bytes} FROM $2 FOR $3) AS slice, ${sizeNow} AS size, ${version} AS version
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
