/** Sender and file compared by id, sha256 and metadata, in batches. Reads only: the report is all it leaves. */
import { existsSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { reasonOf } from '../shared/failures';
import { runLeg, type Leg } from '../shared/leg';
import { permanent } from './failures';
import type { OpenFeed } from './activities';
import type { ShowVerdict, VerifyCursor, VerifyInput, VerifyResult } from './contract';
import { digestOfSegment, digestReader } from './digest';
import { SegmentRefused, type Segment } from './segment-parser';
import { openReadOnly, readMetadata, showPath } from './show-file';
import type { SegmentFeed, SourceMetadata } from './source';
import { explained } from './sqlite-trouble';

/** The local side of a comparison; absent if there is no file. */
interface Local {
  readonly position: number;
  readonly digest: (id: number) => string | null;
  /** Ids of ours from..to, both inclusive: how many, and the first few. */
  count(fromId: number, toId: number): number;
  first(fromId: number, toId: number, limit: number): number[];
  readonly maxId: number;
}

const nothingFound: Omit<ShowVerdict, 'show'> = {
  matched: 0,
  differing: 0,
  missingLocally: 0,
  missingAtSource: 0,
  notYetSynced: 0,
  metadata: [],
  samples: [],
};

export function verifySegments(openFeed: OpenFeed, input: VerifyInput): Promise<VerifyResult> {
  return runLeg<VerifyCursor>(input, async (leg) => {
    const { lane: show, settings } = input;
    const feed = openFeed(settings, leg.signal, leg.alive);
    const source = await feed.metadata(show);
    const path = copyPath(settings.localDir, show);
    if (source === null) return emptyShow(leg, show, path !== null);
    const database = path === null ? null : explained(path, () => openReadOnly(path, { busyTimeoutMs: 500 }));
    try {
      const file = path ?? settings.localDir;
      const local = database === null ? noFile : explained(file, () => localSide(database));
      const metadata =
        database === null ? ['no local file'] : explained(file, () => metadataDifferences(database, source));
      const first = { nextId: 1, targetId: source.maxId, verdict: { show, ...nothingFound, metadata } };
      return { drained: await compare({ show, feed, leg, local, input }, leg.cursor ?? first) };
    } finally {
      database?.close();
    }
  });
}

/** Null: there is no copy, and perhaps not even the folder. */
function copyPath(localDir: string, show: string): string | null {
  if (!existsSync(localDir)) return null;
  const path = showPath(localDir, show);
  return existsSync(path) ? path : null;
}

function emptyShow(leg: Leg<VerifyCursor>, show: string, isHere: boolean): { drained: true; note: string } {
  const metadata = isHere ? ['the sender has no segments'] : [];
  leg.kept({ nextId: 1, targetId: 0, verdict: { show, ...nothingFound, metadata } }, {});
  return { drained: true, note: 'no segments at the sender' };
}

interface Comparison {
  readonly show: string;
  readonly feed: SegmentFeed;
  readonly leg: Leg<VerifyCursor>;
  readonly local: Local;
  readonly input: VerifyInput;
}

async function compare({ show, feed, leg, local, input }: Comparison, from: VerifyCursor): Promise<boolean> {
  const { chunkSize, differencesMax } = input.settings;
  let { nextId, verdict } = from;
  const { targetId } = from;
  const keep = (next: number, tally: Tally): void => {
    nextId = next;
    verdict = withTally(verdict, tally, differencesMax);
    leg.kept({ nextId, targetId, verdict }, { compared: tally.matched + tally.differing.length });
  };
  while (nextId <= targetId) {
    if (!leg.hasTime()) return false;
    let count = 0;
    try {
      for await (const { segments } of feed.segments(show, { startId: nextId, endId: targetId, limit: chunkSize })) {
        const last = segments.at(-1);
        if (last === undefined) continue;
        count += segments.length;
        keep(last.id + 1, tallyOf(segments, nextId, local));
      }
    } catch (error) {
      if (error instanceof SegmentRefused && leg.itemByItem)
        throw permanent('SegmentMalformed', `${reasonOf(error)}: nothing after ${nextId - 1} could be compared`, error);
      throw error;
    }
    if (count === 0) break;
  }
  // What we have beyond the sender's last segment.
  const rest = {
    ...emptyTally(),
    missingAtSource: local.first(nextId, local.maxId, differencesMax),
    missingAtSourceCount: local.count(nextId, local.maxId),
  };
  keep(Math.max(targetId, local.maxId) + 1, rest);
  return true;
}

interface Tally {
  matched: number;
  differing: number[];
  missingLocally: number[];
  notYetSynced: number;
  missingAtSource: number[];
  missingAtSourceCount: number;
}

const emptyTally = (): Tally => ({
  matched: 0,
  differing: [],
  missingLocally: [],
  notYetSynced: 0,
  missingAtSource: [],
  missingAtSourceCount: 0,
});

function tallyOf(segments: readonly Segment[], fromId: number, local: Local): Tally {
  const tally = emptyTally();
  let expected = fromId;
  for (const segment of segments) {
    const gap = segment.id > expected ? local.count(expected, segment.id - 1) : 0;
    if (gap > 0) tally.missingAtSource.push(...local.first(expected, segment.id - 1, 10));
    tally.missingAtSourceCount += gap;
    expected = segment.id + 1;
    const ours = local.digest(segment.id);
    if (ours === null) {
      tally.missingLocally.push(segment.id);
      if (segment.id > local.position) tally.notYetSynced += 1;
    } else if (ours === digestOfSegment(segment)) tally.matched += 1;
    else tally.differing.push(segment.id);
  }
  return tally;
}

function withTally(verdict: ShowVerdict, tally: Tally, samplesMax: number): ShowVerdict {
  const samples = [
    ...verdict.samples,
    ...tally.differing.map((id) => `differs ${id}`),
    ...tally.missingLocally.map((id) => `missing locally ${id}`),
    ...tally.missingAtSource.map((id) => `missing at source ${id}`),
  ];
  return {
    ...verdict,
    matched: verdict.matched + tally.matched,
    differing: verdict.differing + tally.differing.length,
    missingLocally: verdict.missingLocally + tally.missingLocally.length,
    missingAtSource: verdict.missingAtSource + tally.missingAtSourceCount,
    notYetSynced: verdict.notYetSynced + tally.notYetSynced,
    samples: samples.slice(0, samplesMax),
  };
}

const noFile: Local = { position: 0, maxId: 0, digest: () => null, count: () => 0, first: () => [] };

function localSide(database: Database.Database): Local {
  const count = database
    .prepare<[number, number], number>('SELECT COUNT(*) FROM segments WHERE id BETWEEN ? AND ?')
    .pluck();
  const first = database
    .prepare<[number, number, number], number>('SELECT id FROM segments WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?')
    .pluck();
  return {
    position: Number(readMetadata(database).get('last_synced_id') ?? 0),
    maxId: database.prepare<[], number | null>('SELECT MAX(id) FROM segments').pluck().get() ?? 0,
    digest: digestReader(database),
    count: (fromId, toId) => count.get(fromId, toId) ?? 0,
    first: (fromId, toId, limit) => first.all(fromId, toId, limit),
  };
}

function metadataDifferences(database: Database.Database, source: SourceMetadata): string[] {
  const local = readMetadata(database);
  const pairs: [string, string][] = [
    ['is_recipient', 'true'],
    ['source_unique_id', source.uniqueId],
    ['version', source.version],
    ['audio_format', source.audioFormat],
    ['split_interval', source.splitInterval],
    ['bitrate', source.bitrate],
    ['sample_rate', source.sampleRate],
  ];
  return pairs
    .filter(([key, remote]) => local.get(key) !== remote)
    .map(([key, remote]) => `${key}: ${local.get(key) ?? 'missing'} here, ${remote} at the sender`);
}
