/** A recording: the file that a recorder appends to and a sender serves. A recipient's file is never made one. */
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { isRecipient, openReadOnly, readMetadata, recordingSchema, schemaVersion } from './show-file';
import type { SegmentRow, ShowMetadata } from './show-file';

/** save_audio_stream's own words (src/record.rs), by which its users know what happened. */
export const recipientRefusal = 'Cannot record to a recipient database. This database is configured for syncing only.';

export type AudioFormat = 'opus' | 'aac' | 'wav';

export interface RecordingMetadata {
  readonly name: string;
  readonly audioFormat: AudioFormat;
  /** Seconds a segment; 0: one segment a connection, however long. */
  readonly splitInterval: number;
  /** Kilobits a second; 0 for wav. */
  readonly bitrate: number;
  /** Samples a second. */
  readonly sampleRate: number;
  /** 'db_' and 12 letters or digits; made up if absent. */
  readonly uniqueId?: string;
}

/** A new recording, open for appending. An existing file is refused, whatever it holds. */
export function createRecording(path: string, metadata: RecordingMetadata): Database.Database {
  if (existsSync(path)) throw new Error(`create recording ${path}: the file exists. Open it for recording instead`);
  return initialise(path, metadata);
}

/**
 * The recording at `path`, open for appending; made first, with `metadata`, where there is none.
 *
 * What the file is is found out before it is opened for writing: a recipient is refused with `recipientRefusal`, and
 * neither a byte of it nor a file beside it has changed. So is a file that does not fit `metadata`.
 */
export function openForRecording(path: string, metadata?: RecordingMetadata): Database.Database {
  const found = existsSync(path) ? lookAt(path) : (new Map() as ShowMetadata);
  if (isRecipient(found)) throw new Error(recipientRefusal);
  if (!isStarted(found)) {
    if (metadata === undefined) throw new Error(`open ${path} for recording: no recording is there. Create it first`);
    return initialise(path, metadata);
  }
  requireFit(path, found, metadata);
  return openWritable(path);
}

/** All of them or none, with the next free ids, in order. Returns the ids given. */
export function appendSegments(database: Database.Database, segments: Iterable<SegmentRow>): number[] {
  const insert = database.prepare(
    'INSERT INTO segments (timestamp_ms, is_timestamp_from_source, audio_data) VALUES (?, ?, ?)',
  );
  return database.transaction(() => {
    const ids: number[] = [];
    for (const { timestamp_ms, is_timestamp_from_source, audio_data } of segments) {
      ids.push(Number(insert.run(timestamp_ms, is_timestamp_from_source, audio_data).lastInsertRowid));
    }
    return ids;
  })();
}

function lookAt(path: string): ShowMetadata {
  const database = openReadOnly(path);
  try {
    return readMetadata(database);
  } finally {
    database.close();
  }
}

/** As the original tells: a file counts as somebody's once it has any of these. Less is a creation that was cut short. */
function isStarted(found: ShowMetadata): boolean {
  return found.has('name') || found.has('audio_format') || found.has('split_interval');
}

function requireFit(path: string, found: ShowMetadata, wanted: RecordingMetadata | undefined): void {
  const version = found.get('version');
  if (version !== schemaVersion) {
    throw new Error(
      `Unsupported database version: '${version ?? 'none'}'. This application only supports version '${schemaVersion}'`,
    );
  }
  for (const key of ['unique_id', 'name', 'audio_format', 'split_interval', 'bitrate']) {
    if (!found.has(key)) throw new Error(`open ${path} for recording: Database is missing ${key} in metadata`);
  }
  if (wanted === undefined) return;
  for (const [key, value] of metadataRows(wanted)) {
    if (!['name', 'audio_format', 'split_interval', 'bitrate'].includes(key) || found.get(key) === value) continue;
    throw new Error(`Config mismatch: database has ${key} '${found.get(key)}' but config specifies '${value}'`);
  }
}

function openWritable(path: string): Database.Database {
  const database = new Database(path, { timeout: 5000 });
  try {
    database.pragma('journal_mode = WAL');
    // better-sqlite3 is built with NORMAL for WAL; a recorder wants each segment on disk when it is told so.
    database.pragma('synchronous = FULL');
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** Tables and all metadata in one transaction, so that a crash leaves either nothing or a whole recording. */
function initialise(path: string, metadata: RecordingMetadata): Database.Database {
  const database = openWritable(path);
  try {
    database.transaction(() => {
      for (const statement of recordingSchema) database.exec(statement);
      const insert = database.prepare('INSERT OR REPLACE INTO metadata (key, value) VALUES (?, ?)');
      for (const row of metadataRows(metadata)) insert.run(row);
    })();
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** In the original's order; every value is text. */
function metadataRows(metadata: RecordingMetadata): [string, string][] {
  return [
    ['version', schemaVersion],
    ['unique_id', metadata.uniqueId ?? newUniqueId()],
    ['name', metadata.name],
    ['audio_format', metadata.audioFormat],
    ['split_interval', String(metadata.splitInterval)],
    ['bitrate', String(metadata.bitrate)],
    ['sample_rate', String(metadata.sampleRate)],
    ['is_recipient', 'false'],
  ];
}

function newUniqueId(): string {
  const alphanumerics = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  return 'db_' + Array.from({ length: 12 }, () => alphanumerics[randomInt(alphanumerics.length)]).join('');
}
