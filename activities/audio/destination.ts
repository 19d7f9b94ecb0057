/**
 * Where segments go: one SQLite file a show, interchangeable with the original's (its tables and keys, untouched).
 *
 * What must hold: rows and `last_synced_id` move in one transaction, and only if this writer still is the file's writer
 * and the position is where it left it. So of two overlapping attempts one is refused by the file itself. Our own notes
 * (writer, holes) are in tables of ours, which the original never looks at.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { codeOf } from '../shared/failures';
import { permanent } from './failures';
import { checkNoTwin, checkRecipient, type FileUnderCheck } from './show-checks';
import { SqliteArchive, type Writer } from './sqlite-archive';
import { openReadOnly, recipientSchema, schemaVersion, showPath, ShowPathRefused } from './show-file';
import type { Segment } from './segment-parser';
import type { SegmentBatch } from './source';
import { explained } from './sqlite-trouble';

export interface Appended {
  readonly segments: number;
  readonly bytes: number;
  /** Ids that the sender no longer has, stepped over. */
  readonly missing: number;
}

/** One show's file, open for one leg. Every method throws permanent DiskFull, DirectoryUnwritable, ShowFileCorrupt. */
export interface ShowArchive {
  readonly path: string;
  /** What is different between file and sender without being wrong; null if nothing. */
  readonly warning: string | null;
  /** Everything up to here is in the file, or recorded as a hole. Parked ids count as stepped over. */
  readonly position: number;
  /**
   * Keeps a batch in one transaction and moves the position to its last id. Batches are appended in order; appending
   * one twice throws. Throws StaleWriter when another writer has taken the file: ask Temporal for a new attempt.
   */
  append(batch: SegmentBatch): Appended;
  /** Records ids that will not come (parked) and moves past them. Recording a hole twice is harmless. */
  stepOver(fromId: number, toId: number, reason: string): void;
  /** Puts a segment that was stepped over into its place. Harmless if it is there. */
  insertLate(segment: Segment): void;
  close(): void;
}

/** Blocks the thread, hence short: a locked file is the world's trouble, and Temporal waits better than we do. */
const busyTimeoutMs = 500;
export interface OpenArchive extends Omit<FileUnderCheck, 'path'> {
  readonly dir: string;
  readonly writer: Writer;
}

/**
 * Opens the show's file for this writer, made first if there is none. Nothing on disk changes unless every check passed.
 * Throws permanent ShowNameRefused, SourceReplaced, FormatChanged, NotARecipient, ShowFileCorrupt, DirectoryUnwritable.
 */
export function openShowArchive(options: OpenArchive): ShowArchive {
  return explained(join(options.dir, `${options.show}.sqlite`), () => {
    makeFolder(options.dir);
    const path = placed(options);
    checkNoTwin(options.dir, options.show);
    if (!existsSync(path)) create(path, options);
    const looking = openReadOnly(path, { busyTimeoutMs });
    let warning: string | null;
    try {
      warning = checkRecipient(looking, { ...options, path });
    } finally {
      looking.close();
    }
    const database = openWritable(path);
    try {
      return new SqliteArchive(database, path, options, warning);
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/** Not mkdir's `recursive`: on a file system that refuses with ENOENT (/proc) Node 20 never returns from it. */
function makeFolder(dir: string): void {
  if (existsSync(dir)) return;
  makeFolder(dirname(dir));
  mkdirSync(dir);
}

function placed({ dir, show }: OpenArchive): string {
  try {
    return showPath(dir, show);
  } catch (error) {
    if (error instanceof ShowPathRefused) throw permanent('ShowNameRefused', error.message, error);
    throw error;
  }
}

/** Whole or not at all: made under another name, then linked, so that a crash or a rival leaves no half of a file. */
function create(path: string, { show, source }: OpenArchive): void {
  const unfinished = `${path}.${randomUUID()}.new`;
  const database = new Database(unfinished);
  try {
    database.pragma('synchronous = FULL');
    const metadata: [string, string][] = [
      ['version', schemaVersion],
      ['unique_id', `local_${randomUUID()}`],
      ['name', show],
      ['audio_format', source.audioFormat],
      ['split_interval', source.splitInterval],
      ['bitrate', source.bitrate],
      ['sample_rate', source.sampleRate],
      ['is_recipient', 'true'],
      ['source_unique_id', source.uniqueId],
      ['last_synced_id', '0'],
      ['last_boundary_end_id', '0'],
    ];
    database.transaction(() => {
      for (const table of recipientSchema) database.exec(table);
      const insert = database.prepare('INSERT INTO metadata (key, value) VALUES (?, ?)');
      for (const row of metadata) insert.run(...row);
    })();
    database.close();
    linkUnlessThere(unfinished, path);
  } finally {
    if (database.open) database.close();
    unlinkSync(unfinished);
  }
}

function linkUnlessThere(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    // A rival's file is as good as ours; the checks that follow look at it.
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

function openWritable(path: string): Database.Database {
  const database = new Database(path, { fileMustExist: true, timeout: busyTimeoutMs });
  database.pragma('journal_mode = WAL');
  // The sender may delete what we say we have: a commit is on disk before it is told to anyone.
  database.pragma('synchronous = FULL');
  return database;
}
