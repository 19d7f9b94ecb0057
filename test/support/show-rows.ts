/** What is in a show's file, as plain values to compare. */
import Database from 'better-sqlite3';

export interface ShowRow {
  id: number;
  timestamp_ms: number;
  is_timestamp_from_source: number;
  audio_data: Buffer;
}

export interface ShowContent {
  metadata: Record<string, string>;
  rows: ShowRow[];
  holes: { from_id: number; to_id: number; reason: string }[];
}

export function showContent(path: string): ShowContent {
  const database = new Database(path, { fileMustExist: true });
  try {
    const metadata = Object.fromEntries(
      database.prepare<[], [string, string]>('SELECT key, value FROM metadata').raw().all(),
    );
    const rows = database.prepare<[], ShowRow>('SELECT * FROM segments ORDER BY id').all();
    const own = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'waybill_holes'").get() !== undefined;
    const holes = own
      ? database
          .prepare<[], { from_id: number; to_id: number; reason: string }>(
            'SELECT from_id, to_id, reason FROM waybill_holes ORDER BY from_id',
          )
          .all()
      : [];
    return { metadata, rows, holes };
  } finally {
    database.close();
  }
}

export const idsOf = (path: string): number[] => showContent(path).rows.map(({ id }) => id);
