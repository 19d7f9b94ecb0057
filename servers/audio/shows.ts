/** The shows of a folder as the wire tells of them: what is listed, what a name leads to, what is refused and how. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { isShowName } from '../../activities/audio/contract';
import { isQuietWal, isRecipient, openReadOnly, readMetadata, showPath } from '../../activities/audio/show-file';
import type { ShowMetadata } from '../../activities/audio/show-file';
import { Refusal } from './answer';

/** Field names are the wire's. */
export interface ListedShow {
  readonly name: string;
  readonly database_file: string;
  readonly min_id: number;
  readonly max_id: number;
}

// Less than the original's 5 s: here the wait holds up every other request, and a receiver comes again anyway.
const busyTimeoutMs = 1000;

/**
 * Every recording with a name and at least one segment, by file name. Recipients, links and what cannot be read are
 * left out, as the original does; `leftOut` is told why, for a file that cannot be read.
 */
export function listShows(dir: string, leftOut: (file: string, reason: string) => void): ListedShow[] {
  const shows: ListedShow[] = [];
  for (const file of showFiles(dir)) {
    try {
      const show = listed(join(dir, file), file);
      if (show !== null) shows.push(show);
    } catch (error) {
      leftOut(file, messageOf(error));
    }
  }
  return shows;
}

function showFiles(dir: string): string[] {
  if (!existsSync(dir)) throw new Refusal(500, 'Output directory not found');
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.sqlite'))
    .map((entry) => entry.name);
}

function listed(path: string, file: string): ListedShow | null {
  const database = openShow(path);
  try {
    const metadata = readMetadata(database);
    const name = metadata.get('name');
    if (name === undefined || isRecipient(metadata)) return null;
    const range = idRange(database);
    return range && { name, database_file: file, ...range };
  } finally {
    database.close();
  }
}

/**
 * The file behind a name: the file of that name; failing that, the listed recording that calls itself so, because a
 * renamed file is listed by its old name and the original then answers 404. A name that is no show's name, such as one
 * that leads out of the folder, is answered like one that nobody has.
 */
export function findShow(dir: string, name: string): string {
  const notFound = new Refusal(404, `Show '${name}' not found`);
  if (!isShowName(name) || !existsSync(dir)) throw notFound;
  let path: string;
  try {
    path = showPath(dir, name);
  } catch {
    throw notFound; // a link
  }
  if (existsSync(path)) return path;
  const renamed = listShows(dir, () => undefined).find((show) => show.name === name);
  if (renamed === undefined) throw notFound;
  return join(dir, renamed.database_file);
}

/** What a request reads: one connection, one snapshot, its metadata. The caller closes the connection. */
export interface OpenedShow {
  readonly database: Database.Database;
  readonly metadata: ShowMetadata;
}

/** The show's file, read in one transaction from here on. A recipient is refused; a foreign file has no metadata. */
export function openForRequest(path: string): OpenedShow {
  const database = openShow(path);
  try {
    database.exec('BEGIN');
    const metadata = metadataOrNone(database);
    if (isRecipient(metadata)) throw new Refusal(403, 'Cannot sync from a recipient database');
    return { database, metadata };
  } catch (error) {
    database.close();
    if (error instanceof Refusal) throw error;
    throw new Refusal(500, `Failed to open database: ${openFailure(path, error)}`, error);
  }
}

function openShow(path: string): Database.Database {
  try {
    return openReadOnly(path, { busyTimeoutMs });
  } catch (error) {
    throw new Refusal(500, `Failed to open database: ${messageOf(error)}`, error);
  }
}

/** The original takes a file that is no database for one without metadata. A locked or damaged one we do not. */
function metadataOrNone(database: Database.Database): ShowMetadata {
  try {
    return readMetadata(database);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'SQLITE_NOTADB') return new Map();
    throw error;
  }
}

/** SQLite's "attempt to write a readonly database" of a folder that is only read needs a word on what to do. */
function openFailure(path: string, error: unknown): string {
  const code = String((error as { code?: unknown }).code);
  if (!isQuietWal(path) || !/^SQLITE_(READONLY|CANTOPEN)/.test(code)) return messageOf(error);
  return (
    `${messageOf(error)}. The file is in WAL mode and its folder cannot be written, where SQLite must put its -shm. ` +
    'Make the folder writable for the feed, or give the file PRAGMA journal_mode=DELETE'
  );
}

/** The ten fields of the wire, in its order. */
export function describeShow({ database, metadata }: OpenedShow): object {
  const required = (key: string): string => {
    const value = metadata.get(key);
    if (value === undefined) throw new Refusal(500, `Missing ${key} metadata`);
    return value;
  };
  const description = {
    unique_id: required('unique_id'),
    name: required('name'),
    audio_format: required('audio_format'),
    split_interval: required('split_interval'),
    bitrate: required('bitrate'),
    sample_rate: required('sample_rate'),
    version: required('version'),
    is_recipient: false, // a recipient was refused before
  };
  const range = idRange(database);
  if (range === null) throw new Refusal(500, 'No segments found');
  return { ...description, ...range };
}

function idRange(database: Database.Database): { min_id: number; max_id: number } | null {
  const [min_id, max_id] = database
    .prepare<[], [number | null, number | null]>('SELECT MIN(id), MAX(id) FROM segments')
    .raw()
    .get() ?? [null, null];
  return min_id === null || max_id === null ? null : { min_id, max_id };
}

/** By shape, not by class: the SQLite addon is shared by all of a process, and its errors are not every realm's Error. */
export function messageOf(error: unknown): string {
  const message = (error as { message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : String(error);
}
