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
import { codeOf, permanent } from '../shared/failures';
import { checkNoTwin, checkRecipient, type FileUnderCheck } from './show-checks';
import { openReadOnly, recipientSchema, schemaVersion, showPath, ShowPathRefused } from './show-file';
import type { Segment } from './segment-parser';
import type { SegmentBatch } from './source';
import { explained } from './sqlite-trouble';

/** Who writes. A later attempt of the same run outranks an earlier one; another run takes over when it comes. */
export interface Writer {
  readonly run: string;
  readonly attempt: number;
}

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

/** Another attempt or run writes this file now. The writes of this one are refused by the file: nothing is lost. */
export class StaleWriter extends Error {
  override name = 'StaleWriter';
}

/** Blocks the thread, hence short: a locked file is the world's trouble, and Temporal waits better than we do. */
const busyTimeoutMs = 500;
/** From this size on, a segment's bytes are given back to the system before SQLite makes its second copy of them. */
const largeSegmentBytes = 16 << 20;

const writerTable =
  'CREATE TABLE IF NOT EXISTS waybill_writer (id INTEGER PRIMARY KEY CHECK (id = 1), run TEXT NOT NULL, attempt INTEGER NOT NULL)';
const ownTables = [
  writerTable,
  `CREATE TABLE IF NOT EXISTS waybill_holes (from_id INTEGER PRIMARY KEY, to_id INTEGER NOT NULL, reason TEXT NOT NULL,
     recorded_at TEXT NOT NULL)`,
];

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
      return archive(database, path, options, warning);
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

function archive(
  database: Database.Database,
  path: string,
  { writer, source }: OpenArchive,
  warning: string | null,
): ShowArchive {
  const get = database.prepare<[string], string>('SELECT value FROM metadata WHERE key = ?').pluck();
  const set = database.prepare<[string, string]>('UPDATE metadata SET value = ? WHERE key = ?');
  const insertSql = 'INSERT INTO segments (id, timestamp_ms, is_timestamp_from_source, audio_data) VALUES (?, ?, ?, ?)';
  const insert = database.prepare<[number, number, number, Buffer]>(insertSql);
  const lastSynced = (): number => Number(get.get('last_synced_id'));

  takeOver(database, writer, path);
  const hole = database.prepare<[number, number, string, string]>(
    'INSERT OR REPLACE INTO waybill_holes VALUES (?, ?, ?, ?)',
  );
  const parkedAfter = database
    .prepare<[number], number>("SELECT to_id FROM waybill_holes WHERE from_id = ? AND reason LIKE 'parked%'")
    .pluck();
  const current = database.prepare<[], Writer>('SELECT run, attempt FROM waybill_writer');

  /** The position: the file's last id, and past the parked ids that adjoin it. */
  const positionFrom = (id: number): number => {
    for (let to = parkedAfter.get(id + 1); to !== undefined; to = parkedAfter.get(id + 1)) id = to;
    return id;
  };
  let position = positionFrom(lastSynced());

  const fenced = <T>(change: () => T): T =>
    explained(path, () =>
      database
        .transaction(() => {
          const owner = current.get();
          if (
            owner?.run !== writer.run ||
            owner.attempt !== writer.attempt ||
            positionFrom(lastSynced()) !== position
          ) {
            throw new StaleWriter(`${path}: another run or attempt writes this file now (${owner?.run ?? 'nobody'})`);
          }
          return change();
        })
        .immediate(),
    );

  const put = (segment: Segment, batch: SegmentBatch | null): void => {
    const values: [number, number, number, Buffer] = [
      segment.id,
      segment.timestampMs,
      segment.isTimestampFromSource,
      segment.audio,
    ];
    if (batch === null || segment.audio.length < largeSegmentBytes || segment !== batch.segments.at(-1)) {
      insert.run(...values);
      return;
    }
    const large = database.prepare(insertSql).bind(...values);
    batch.release();
    large.run();
  };

  const append = (batch: SegmentBatch): Appended => {
    const first = batch.segments[0];
    const last = batch.segments.at(-1);
    if (first === undefined || last === undefined) return { segments: 0, bytes: 0, missing: 0 };
    const bytes = batch.segments.reduce((sum, { audio }) => sum + audio.length, 0);
    const isNewFile = position === 0;
    const missing = fenced(() => {
      let count = 0;
      let previous = position;
      for (const segment of batch.segments) {
        if (segment.id > previous + 1 && !(isNewFile && segment === first)) {
          const reason = segment.id <= source.minId ? 'deleted by retention at the sender' : 'absent at the sender';
          hole.run(previous + 1, segment.id - 1, reason, new Date().toISOString());
          count += segment.id - 1 - previous;
        }
        if (segment.isTimestampFromSource === 1) set.run(String(previous), 'last_boundary_end_id');
        previous = segment.id;
        put(segment, batch);
      }
      set.run(String(previous), 'last_synced_id');
      return count;
    });
    position = last.id;
    return { segments: batch.segments.length, bytes, missing };
  };

  return {
    path,
    warning,
    get position() {
      return position;
    },
    append,
    stepOver: (fromId, toId, reason) => {
      fenced(() => hole.run(fromId, toId, reason, new Date().toISOString()));
      position = positionFrom(lastSynced());
    },
    insertLate: (segment) => {
      fenced(() => {
        if (database.prepare('SELECT 1 FROM segments WHERE id = ?').get(segment.id) === undefined) put(segment, null);
        database.prepare('DELETE FROM waybill_holes WHERE from_id = ? AND to_id = ?').run(segment.id, segment.id);
        // The hole may have been what the position stood on.
        if (segment.id > lastSynced()) set.run(String(segment.id), 'last_synced_id');
      });
      position = positionFrom(lastSynced());
    },
    close: () => database.close(),
  };
}

/** From here on the file refuses whoever was writing it. Call inside a transaction. */
export function dismissWriter(database: Database.Database): void {
  database.exec(writerTable);
  database.exec('DELETE FROM waybill_writer');
}

/** From here on the file refuses every earlier writer. An attempt that was given up cannot take the file back. */
function takeOver(database: Database.Database, writer: Writer, path: string): void {
  database
    .transaction(() => {
      for (const table of ownTables) database.exec(table);
      const owner = database.prepare<[], Writer>('SELECT run, attempt FROM waybill_writer').get();
      if (owner?.run === writer.run && owner.attempt > writer.attempt) {
        throw new StaleWriter(
          `${path}: attempt ${owner.attempt} of this leg writes it now; this is attempt ${writer.attempt}`,
        );
      }
      database.prepare('INSERT OR REPLACE INTO waybill_writer VALUES (1, ?, ?)').run(writer.run, writer.attempt);
    })
    .immediate();
}
