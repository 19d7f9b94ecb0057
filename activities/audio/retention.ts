/** Old audio goes, by whole connections and from the low end only; what plays without a cut today plays so tomorrow. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { RetentionOutcome } from './contract';
import { isRecipient, openReadOnly, readMetadata, schemaVersion } from './show-file';

export interface Retention {
  /** Folder of recordings, `<show>.sqlite` each. */
  readonly dir: string;
  /** Audio of at least this many hours is kept. */
  readonly hours: number;
  /** Say what would go; open nothing for writing. */
  readonly dryRun: boolean;
  /** Now, in milliseconds since 1970. */
  readonly nowMs: number;
}

const hourMs = 3_600_000;
const busyTimeoutMs = 5000; // the original's: a recorder's own insert takes milliseconds

/**
 * Deletes what is older than the last boundary before the cutoff, in every recording of a folder.
 *
 * Repeating it deletes nothing more. A file that cannot be trimmed (a recipient, locked, damaged, not ours) is reported
 * with the reason in `skipped` and the next one goes on; only a folder that cannot be listed throws. The files do not
 * shrink: SQLite keeps the freed pages for the segments to come.
 */
export function deleteExpired(retention: Retention): RetentionOutcome[] {
  const cutoffMs = retention.nowMs - retention.hours * hourMs;
  return recordingFiles(retention.dir).map((file) => {
    const show = file.slice(0, -'.sqlite'.length);
    try {
      return { show, ...trim(join(retention.dir, file), cutoffMs, retention.dryRun) };
    } catch (error) {
      return { show, deleted: 0, keptFromId: null, skipped: messageOf(error) };
    }
  });
}

function recordingFiles(dir: string): string[] {
  if (!existsSync(dir)) throw new Error(`delete expired segments in ${dir}: no such folder. Check the retention's dir`);
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.sqlite'))
    .map((entry) => entry.name)
    .sort();
}

type Trimmed = Omit<RetentionOutcome, 'show'>;

/** Looks first: a file that is not ours to trim, or has nothing to trim, is never opened for writing. */
function trim(path: string, cutoffMs: number, dryRun: boolean): Trimmed {
  const reader = openReadOnly(path, { busyTimeoutMs });
  let expected: Trimmed;
  try {
    expected = reader.transaction(() => count(reader, cutoffMs))();
  } finally {
    reader.close();
  }
  if (dryRun || expected.deleted === 0) return expected;

  const writer = new Database(path, { fileMustExist: true, timeout: busyTimeoutMs });
  try {
    return writer.transaction(() => remove(writer, cutoffMs)).immediate();
  } finally {
    writer.close();
  }
}

function count(database: Database.Database, cutoffMs: number): Trimmed {
  const reason = notOurs(database);
  if (reason !== null) return { deleted: 0, keptFromId: null, skipped: reason };
  const keptFromId = boundaryBefore(database, cutoffMs);
  if (keptFromId === null) return { deleted: 0, keptFromId };
  const deleted = database.prepare<[number], number>('SELECT COUNT(*) FROM segments WHERE id < ?').pluck();
  return { deleted: deleted.get(keptFromId) ?? 0, keptFromId };
}

function remove(database: Database.Database, cutoffMs: number): Trimmed {
  const reason = notOurs(database); // again, inside the transaction: the file may have been replaced since the look
  if (reason !== null) return { deleted: 0, keptFromId: null, skipped: reason };
  const keptFromId = boundaryBefore(database, cutoffMs);
  if (keptFromId === null) return { deleted: 0, keptFromId };
  return { deleted: database.prepare('DELETE FROM segments WHERE id < ?').run(keptFromId).changes, keptFromId };
}

/** The original's rule, to the letter (src/record.rs:50-103): the newest boundary that is older than the cutoff stays. */
function boundaryBefore(database: Database.Database, cutoffMs: number): number | null {
  const boundary = database.prepare<[number], number | null>(
    'SELECT MAX(id) FROM segments WHERE is_timestamp_from_source = 1 AND timestamp_ms < ?',
  );
  return boundary.pluck().get(cutoffMs) ?? null;
}

/** Deleting is not undone, so a file must say that it is a recording, of the one layout whose rule this is. */
function notOurs(database: Database.Database): string | null {
  const metadata = readMetadata(database);
  if (isRecipient(metadata)) return 'a recipient database: its sender decides what is kept';
  if (metadata.get('is_recipient') !== 'false') return 'not a recording: its metadata has no is_recipient';
  const version = metadata.get('version');
  if (version !== schemaVersion) return `a recording of version ${version ?? 'none'}: only ${schemaVersion} is trimmed`;
  return null;
}

/** By shape, not by class: the SQLite addon is shared by all of a process, and its errors are not every realm's Error. */
function messageOf(error: unknown): string {
  const message = (error as { message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : String(error);
}
