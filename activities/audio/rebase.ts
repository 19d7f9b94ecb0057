/**
 * A show's source was replaced, and a person says that this was meant.
 *
 * If the new source still holds our last segment, byte for byte, it is the same recording under another identity and the
 * copy goes on in place. If not, its ids mean other audio: the old copy is put aside whole, and the next run begins a new
 * file. Nothing is ever deleted or mixed.
 */
import { existsSync, renameSync } from 'node:fs';
import Database from 'better-sqlite3';
import { permanent } from './failures';
import type { RebaseResult, RebaseSettings } from './contract';
import { digestOfSegment, digestReader } from './digest';
import { checkIsCopy } from './show-checks';
import { dismissWriter } from './sqlite-archive';
import { readMetadata, showPath } from './show-file';
import type { SegmentFeed, SourceMetadata } from './source';
import { explained } from './sqlite-trouble';

export async function rebaseShow(feed: SegmentFeed, { localDir, show }: RebaseSettings): Promise<RebaseResult> {
  const source = await feed.metadata(show);
  if (source === null) throw permanent('ShowGone', `${show}: the sender has no segments to continue from`);
  const path = explained(localDir, () => showPath(localDir, show));
  if (!existsSync(path))
    throw permanent('SettingsRefused', `${path}: no such copy, so nothing to rebase. A sync will make it.`);
  const database = explained(path, () => new Database(path, { fileMustExist: true, timeout: 500 }));
  try {
    const local = explained(path, () => readMetadata(database));
    explained(path, () => checkIsCopy(database, local, { path }));
    const lastId = database.prepare<[], number | null>('SELECT MAX(id) FROM segments').pluck().get() ?? 0;
    const result = { show, fromUniqueId: local.get('source_unique_id') ?? '', toUniqueId: source.uniqueId, lastId };
    if (await continues(feed, show, lastId, database, source)) {
      explained(path, () => adopt(database, source, lastId));
      return { ...result, keptAside: null };
    }
    explained(path, () => settle(database));
    return { ...result, keptAside: putAside(path, local.get('unique_id') ?? 'copy') };
  } finally {
    if (database.open) database.close();
  }
}

/** Same format, and our last segment is there unchanged. */
async function continues(
  feed: SegmentFeed,
  show: string,
  lastId: number,
  database: Database.Database,
  source: SourceMetadata,
): Promise<boolean> {
  const local = readMetadata(database);
  if (
    local.get('audio_format') !== source.audioFormat ||
    local.get('bitrate') !== source.bitrate ||
    source.maxId < lastId
  )
    return false;
  if (lastId === 0) return true;
  const ours = digestReader(database)(lastId);
  for await (const { segments } of feed.segments(show, { startId: lastId, endId: lastId, limit: 1 })) {
    if (segments.some((segment) => digestOfSegment(segment) === ours)) return true;
  }
  return false;
}

/** Identity and position in one transaction; whoever was writing is refused from here on. */
function adopt(database: Database.Database, source: SourceMetadata, lastId: number): void {
  const set = database.prepare('INSERT OR REPLACE INTO metadata (key, value) VALUES (?, ?)');
  database
    .transaction(() => {
      dismissWriter(database);
      set.run('source_unique_id', source.uniqueId);
      set.run('last_synced_id', String(lastId));
    })
    .immediate();
}

/** Everything into the one file that is about to be renamed, and no writer left on it. */
function settle(database: Database.Database): void {
  database.transaction(() => dismissWriter(database)).immediate();
  database.pragma('journal_mode = DELETE');
  database.close();
}

function putAside(path: string, uniqueId: string): string {
  const aside = path.replace(/\.sqlite$/, `.${uniqueId.replace(/[^A-Za-z0-9_-]/g, '')}.sqlite`);
  if (existsSync(aside))
    throw permanent('DirectoryUnwritable', `${aside} exists already: move it away, then rebase again.`);
  explained(path, () => renameSync(path, aside));
  return aside;
}
