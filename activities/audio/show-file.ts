/** A show is one SQLite file. Here is what both ends know of it: its tables, its keys, its place, and how to only look. */
import { existsSync, lstatSync, openSync, readSync, closeSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { isShowName, showNameRule } from './contract';

/** The only layout that both ends of this wire understand: the row `version` of every file's metadata. */
export const schemaVersion = '1';

// The texts are save_audio_stream's own (src/record.rs and src/sync.rs at 2527cd7), so that files stay interchangeable.
export const metadataTable = 'CREATE TABLE IF NOT EXISTS metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL)';
export const segmentsTable = `CREATE TABLE IF NOT EXISTS segments (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            timestamp_ms INTEGER NOT NULL,
            is_timestamp_from_source INTEGER NOT NULL DEFAULT 0,
            audio_data BLOB NOT NULL
        )`;
/** Only a recording has it: retention looks for boundaries by it. A recipient that has it too is none the worse. */
export const boundaryIndex = `CREATE INDEX IF NOT EXISTS idx_segments_boundary
         ON segments(is_timestamp_from_source, timestamp_ms)`;

export const recordingSchema: readonly string[] = [metadataTable, segmentsTable, boundaryIndex];
export const recipientSchema: readonly string[] = [metadataTable, segmentsTable];

export type ShowMetadata = ReadonlyMap<string, string>;

/** One row of `segments`: milliseconds since 1970; 1 where a connection began, 0 inside; the encoded audio. */
export interface SegmentRow {
  readonly timestamp_ms: number;
  readonly is_timestamp_from_source: 0 | 1;
  readonly audio_data: Buffer;
}

export interface OpenReadOnlyOptions {
  /** Milliseconds to wait for another process's lock; the wait blocks this thread. */
  readonly busyTimeoutMs?: number;
}

/**
 * A connection that cannot change the file, and leaves nothing beside it that was not there before.
 *
 * A quiet file in WAL mode is the awkward one: a read-only connection must create `-wal` and `-shm` next to it and may
 * not remove them. So that one is opened writable but `query_only`, and SQLite takes both away again on close.
 * Throws SQLite's own error; a quiet WAL file in a folder that cannot be written can not be opened at all.
 */
export function openReadOnly(path: string, options: OpenReadOnlyOptions = {}): Database.Database {
  const readonly = !isQuietWal(path);
  const database = new Database(path, { readonly, fileMustExist: true, timeout: options.busyTimeoutMs ?? 5000 });
  if (readonly) return database;
  try {
    database.pragma('query_only = 1');
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** True of a file in WAL mode that nobody has open: then the file alone is the whole database. */
export function isQuietWal(path: string): boolean {
  if (existsSync(`${path}-wal`) || existsSync(`${path}-journal`)) return false;
  const writeVersion = Buffer.alloc(1);
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    // Byte 18 of the header, the "file format write version", is 2 in WAL mode (sqlite.org/fileformat2.html, 1.3.3).
    return readSync(file, writeVersion, 0, 1, 18) === 1 && writeVersion[0] === 2;
  } catch {
    return false; // absent or unreadable: SQLite will say so when it is asked to open it
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Every row of `metadata`; empty if there is no such table. Locked, damaged or foreign files throw SQLite's error. */
export function readMetadata(database: Database.Database): ShowMetadata {
  const table = database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'metadata'").get();
  if (table === undefined) return new Map();
  const rows = database.prepare<[], [string, string]>('SELECT key, value FROM metadata').raw().all();
  return new Map(rows.map(([key, value]) => [key, String(value)]));
}

/** Segments after one id up to another, and their bytes. */
export function contentBetween(path: string, afterId: number, toId: number): { segments: number; bytes: number } {
  const database = openReadOnly(path);
  try {
    return database
      .prepare<[number, number], { segments: number; bytes: number }>(
        'SELECT COUNT(*) AS segments, COALESCE(SUM(LENGTH(audio_data)), 0) AS bytes FROM segments WHERE id > ? AND id <= ?',
      )
      .get(afterId, toId) as { segments: number; bytes: number };
  } finally {
    database.close();
  }
}

/** A recipient is somebody's copy: it is never recorded to, never served, never trimmed. */
export function isRecipient(metadata: ShowMetadata): boolean {
  return metadata.get('is_recipient') === 'true';
}

/** `<dir>/<name>.sqlite`, or an error: a name is remote input, and neither it nor a link may lead out of the folder. */
export function showPath(dir: string, name: string): string {
  if (!isShowName(name)) throw new ShowPathRefused(`place show ${JSON.stringify(name)}: ${showNameRule}`);
  const parent = realpathSync(dir);
  const path = join(parent, `${name}.sqlite`);
  if (dirname(path) !== parent || basename(path) !== `${name}.sqlite`) {
    throw new ShowPathRefused(`place show ${JSON.stringify(name)}: ${path} is not in ${parent}`);
  }
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new ShowPathRefused(`place show ${JSON.stringify(name)}: ${path} is a link. Put the file itself there`);
  }
  return path;
}

/** The name is refused, not the moment: the same name is refused again. */
export class ShowPathRefused extends Error {
  override readonly name = 'ShowPathRefused';
}
