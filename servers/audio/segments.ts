/** The streamed answer: a page of rows in one snapshot, whatever their size, at the pace of whoever reads. */
import type Database from 'better-sqlite3';
import { Refusal } from './answer';
import { base64Length, createPage, integersLength, sliceBytes } from './encode';
import type { Encoding } from './encode';
import type { SegmentsQuery } from './query';
import { messageOf } from './shows';

/** A blob above this is read in parts of this size, so that JavaScript never holds the whole of it. Multiple of 3. */
const partBytes = 128 * sliceBytes; // 6 MiB
/** Up to here the audio is read before the answer begins, because only the bytes tell how long their integers are. */
const countedAudioBytesMax = 4 * 1024 * 1024; // the original's default chunk of 100 segments of 10 s is 2 MiB

/** Everything about a row but its audio; read first, so that the answer's length is known before its first byte. */
interface PlannedRow {
  readonly id: bigint;
  /** The JSON up to the audio. */
  readonly opening: string;
  /** Of audio. */
  readonly bytes: number;
}

/** Reads a row's audio, in parts of a multiple of 3 bytes but for the last; nothing of an empty row. */
type ReadAudio = (row: PlannedRow) => Iterable<Buffer>;

export interface SegmentsAnswer {
  /** Bytes of the body; null where it is chunked. */
  readonly length: number | null;
  /** The body. May be taken once; the connection must stay open until it is done. */
  readonly pages: () => Iterable<Buffer>;
}

const select = `SELECT id, timestamp_ms, is_timestamp_from_source, length(audio_data), typeof(audio_data)
  FROM segments WHERE id >= ? AND id <= ? ORDER BY id LIMIT ?`;

/**
 * Rows from `startId` to `endId`, both included, at most `limit` and never more than `limitMax` of them: a receiver
 * asks on from the last id it got, so that a smaller answer than it asked for costs it a request and nothing else.
 */
export function planSegments(
  database: Database.Database,
  query: SegmentsQuery,
  settings: { readonly encoding: Encoding; readonly limitMax: number },
): SegmentsAnswer {
  const encoding = query.encoding ?? settings.encoding;
  const rows = planRows(database, query, BigInt(settings.limitMax));
  const read = audioReader(database);
  if (encoding === 'base64') {
    const length = bodyLength(rows, (row) => base64Length(row.bytes));
    return { length, pages: () => encodeRows(rows, encoding, read) };
  }
  const audioBytes = rows.reduce((sum, row) => sum + row.bytes, 0);
  if (audioBytes > countedAudioBytesMax) return { length: null, pages: () => encodeRows(rows, encoding, read) };

  const held = new Map(rows.map((row) => [row, Buffer.concat([...read(row)])]));
  const heldOf = (row: PlannedRow) => held.get(row) as Buffer;
  const length = bodyLength(rows, (row) => integersLength(heldOf(row)));
  return { length, pages: () => encodeRows(rows, encoding, (row) => [heldOf(row)]) };
}

function planRows(database: Database.Database, query: SegmentsQuery, limitMax: bigint): PlannedRow[] {
  const statement = attempt('Failed to prepare query', () =>
    database.prepare<[bigint, bigint, bigint], [bigint, bigint, bigint, bigint, string]>(select),
  );
  if (query.limit > 2n ** 63n - 1n) {
    throw new Refusal(500, 'Failed to query segments: out of range integral type conversion attempted');
  }
  const limit = query.limit < limitMax ? query.limit : limitMax;
  const found = attempt('Failed to fetch segment', () =>
    statement.safeIntegers().raw().all(query.startId, query.endId, limit),
  );
  return found.map(([id, timestampMs, fromSource, bytes, type]) => {
    if (type !== 'blob') {
      const name = type.charAt(0).toUpperCase() + type.slice(1);
      throw new Refusal(500, `Failed to fetch segment: Invalid column type ${name} at index: 3, name: audio_data`);
    }
    const opening = `{"id":${id},"timestamp_ms":${timestampMs},"is_timestamp_from_source":${fromSource},"audio_data":`;
    return { id, opening, bytes: Number(bytes) };
  });
}

function attempt<Result>(what: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw new Refusal(500, `${what}: ${messageOf(error)}`, error);
  }
}

function bodyLength(rows: readonly PlannedRow[], audioLength: (row: PlannedRow) => number): number {
  const between = '[]'.length + Math.max(0, rows.length - 1);
  return rows.reduce((sum, row) => sum + row.opening.length + audioLength(row) + '}'.length, between);
}

function* encodeRows(rows: readonly PlannedRow[], encoding: Encoding, read: ReadAudio): Generator<Buffer> {
  const page = createPage(encoding);
  page.text('[');
  for (const [index, row] of rows.entries()) {
    if (page.full) yield page.take();
    page.text((index === 0 ? '' : ',') + row.opening);
    let sent = 0;
    for (const slice of slices(row, read)) {
      if (page.full) yield page.take();
      page.audio(slice, sent === 0, sent + slice.length === row.bytes);
      sent += slice.length;
    }
    page.text('}');
  }
  page.text(']');
  yield page.take();
}

/** A row's audio in slices; one empty slice of an empty row. */
function* slices(row: PlannedRow, read: ReadAudio): Generator<Uint8Array> {
  if (row.bytes === 0) yield new Uint8Array(0);
  for (const part of read(row)) {
    for (let at = 0; at < part.length; at += sliceBytes) yield part.subarray(at, at + sliceBytes);
  }
}

// SQLite itself reads a row's whole blob for every part of it (better-sqlite3 has no incremental blob handle) and
// frees it at once: a big segment costs its own size in memory while a part is read, and not while the reader is slow.
function audioReader(database: Database.Database): ReadAudio {
  const whole = attempt('Failed to prepare query', () =>
    database.prepare<[bigint], Buffer>('SELECT audio_data FROM segments WHERE id = ?').pluck(),
  );
  const part = attempt('Failed to prepare query', () =>
    database
      .prepare<[number, number, bigint], Buffer>('SELECT substr(audio_data, ?, ?) FROM segments WHERE id = ?')
      .pluck(),
  );
  return function* (row) {
    if (row.bytes <= partBytes) yield whole.get(row.id) as Buffer;
    else for (let at = 0; at < row.bytes; at += partBytes) yield part.get(at + 1, partBytes, row.id) as Buffer;
  };
}
