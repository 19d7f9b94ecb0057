/** A segment's fingerprint: sha256 over its timestamp, its boundary flag and its bytes. Equal here, equal everywhere. */
import { createHash } from 'node:crypto';
import type Database from 'better-sqlite3';
import type { Segment } from './segment-parser';
import { openReadOnly } from './show-file';

/** Bytes of one value held at a time; a segment can be 128 MiB. */
const sliceBytes = 8 << 20;

interface Row {
  readonly timestampMs: number;
  readonly flag: number;
  readonly bytes: number;
}

export function digestOfSegment({ timestampMs, isTimestampFromSource, audio }: Segment): string {
  return createHash('sha256').update(`${timestampMs} ${isTimestampFromSource} `).update(audio).digest('hex');
}

/** Reads digests out of one open file. Null: no such segment. */
export function digestReader(database: Database.Database): (id: number) => string | null {
  const row = database.prepare<[number], Row>(
    'SELECT timestamp_ms AS timestampMs, is_timestamp_from_source AS flag, length(audio_data) AS bytes FROM segments WHERE id = ?',
  );
  const slice = database
    .prepare<[number, number, number], Buffer>('SELECT substr(audio_data, ?, ?) FROM segments WHERE id = ?')
    .pluck();
  return (id) => {
    const found = row.get(id);
    if (found === undefined) return null;
    const hash = createHash('sha256').update(`${found.timestampMs} ${found.flag} `);
    for (let start = 0; start < found.bytes; start += sliceBytes)
      hash.update(slice.get(start + 1, sliceBytes, id) ?? Buffer.alloc(0));
    return hash.digest('hex');
  };
}

export function digestOf(path: string, id: number): string | null {
  const database = openReadOnly(path);
  try {
    return digestReader(database)(id);
  } finally {
    database.close();
  }
}
