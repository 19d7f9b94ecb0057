/** Before a byte of a local file changes: is it this show's copy? Each "no" is the show's own failure, with its remedy. */
import { readdirSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { permanent } from './failures';
import { readMetadata, schemaVersion, type ShowMetadata } from './show-file';
import type { SourceMetadata } from './source';

export interface FileUnderCheck {
  readonly path: string;
  readonly show: string;
  readonly source: SourceMetadata;
  /** A changed split_interval refuses the show. */
  readonly strict: boolean;
}

/** Throws a permanent show failure, or returns what is different without being wrong, for the report. */
export function checkRecipient(database: Database.Database, file: FileUnderCheck): string | null {
  const local = readMetadata(database);
  checkIsCopy(database, local, file);
  const source = local.get('source_unique_id');
  if (source !== file.source.uniqueId) {
    const what = `${file.path} was copied from ${source ?? 'nobody'}, the sender's ${file.show} is ${file.source.uniqueId}`;
    throw permanent(
      'SourceReplaced',
      `${what}. If the source was replaced on purpose: waybill audio rebase --show ${file.show}`,
    );
  }
  checkPosition(database, local, file);
  checkFormat(local, file);
  return differences(local, file);
}

/** An existing file may only be continued if it is a whole copy: never a recording, never a half-made one. */
export function checkIsCopy(
  database: Database.Database,
  local: ShowMetadata,
  { path }: Pick<FileUnderCheck, 'path'>,
): void {
  const hasSource = local.has('source_unique_id');
  if (local.get('is_recipient') === 'true' && hasSource) {
    const version = local.get('version');
    if (version === schemaVersion) return;
    throw permanent(
      'ShowFileCorrupt',
      `${path}: version ${version ?? 'missing'}, ${schemaVersion} expected. Move the file away and sync again.`,
    );
  }
  const segments = database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'segments'").get();
  const empty = segments === undefined || database.prepare('SELECT 1 FROM segments LIMIT 1').get() === undefined;
  if (empty && local.get('is_recipient') !== 'false') {
    throw permanent(
      'ShowFileCorrupt',
      `${path} holds no segment and its creation was never finished. Delete it and sync again.`,
    );
  }
  throw permanent(
    'NotARecipient',
    `${path} is a recording, not a copy: it is never written by a sync. Choose another local_dir.`,
  );
}

function checkPosition(database: Database.Database, local: ShowMetadata, { path, show }: FileUnderCheck): void {
  const position = Number(local.get('last_synced_id') ?? Number.NaN);
  const maxId = database.prepare<[], number | null>('SELECT MAX(id) FROM segments').pluck().get() ?? 0;
  const recover = `To go on from its last segment ${maxId}: waybill audio rebase --show ${show}`;
  if (!Number.isSafeInteger(position) || position < 0)
    throw permanent('ShowFileCorrupt', `${path}: no last_synced_id. ${recover}`);
  if (maxId > position)
    throw permanent('ShowFileCorrupt', `${path}: segment ${maxId} is beyond last_synced_id ${position}. ${recover}`);
}

function checkFormat(local: ShowMetadata, { path, show, source, strict }: FileUnderCheck): void {
  const must: [string, string][] = [
    ['audio_format', source.audioFormat],
    ['bitrate', source.bitrate],
  ];
  if (strict) must.push(['split_interval', source.splitInterval]);
  for (const [key, remote] of must) {
    if (local.get(key) === remote) continue;
    const what = `${show}: ${key} is ${local.get(key) ?? 'missing'} in ${path} and ${remote} at the sender`;
    throw permanent(
      'FormatChanged',
      `${what}. One file holds one format: move it away, the next run starts a new one.`,
    );
  }
}

function differences(local: ShowMetadata, { source }: FileUnderCheck): string | null {
  const may: [string, string][] = [
    ['split_interval', source.splitInterval],
    ['sample_rate', source.sampleRate],
  ];
  const changed = may.filter(([key, remote]) => local.has(key) && local.get(key) !== remote);
  if (changed.length === 0) return null;
  return changed
    .map(([key, remote]) => `${key} was ${local.get(key) ?? ''} and is now ${remote} at the sender`)
    .join('; ');
}

/** Two names that one file system may take for the same file: the second is refused. */
export function checkNoTwin(dir: string, show: string): void {
  const folded = fold(`${show}.sqlite`);
  const twin = readdirSync(dir).find((name) => name !== `${show}.sqlite` && fold(name) === folded);
  if (twin === undefined) return;
  throw permanent(
    'ShowNameRefused',
    `${show}: ${dir} already has ${twin}, which differs only in case or composition. Rename one at the sender.`,
  );
}

const fold = (name: string): string => name.normalize('NFC').toLowerCase();
