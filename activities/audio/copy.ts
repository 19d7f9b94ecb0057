/** One leg of one show: from the file's position towards the sender's max id as of the run's start, chunk by chunk. */
import { activityInfo, log } from '@temporalio/activity';
import type { ParkedItem } from '../shared/contract';
import { reasonOf } from '../shared/failures';
import { runLeg, type Leg } from '../shared/leg';
import { permanent } from './failures';
import type { OpenFeed } from './activities';
import type { CopySegmentsInput, CopySegmentsResult, ShowCursor } from './contract';
import { openShowArchive, type ShowArchive } from './destination';
import { digestOf, digestOfSegment } from './digest';
import { SegmentRefused } from './segment-parser';
import { contentBetween } from './show-file';
import type { SegmentFeed, SourceMetadata } from './source';

interface Copy {
  readonly show: string;
  readonly chunkSize: number;
  readonly feed: SegmentFeed;
  readonly archive: ShowArchive;
  readonly leg: Leg<ShowCursor>;
  readonly targetId: number;
  source: SourceMetadata;
}

export function copySegments(openFeed: OpenFeed, input: CopySegmentsInput): Promise<CopySegmentsResult> {
  return runLeg<ShowCursor>(input, (leg) => copyLeg(openFeed, input, leg));
}

async function copyLeg(
  openFeed: OpenFeed,
  input: CopySegmentsInput,
  leg: Leg<ShowCursor>,
): Promise<{ drained: boolean; note?: string }> {
  const { lane: show, settings } = input;
  const feed = openFeed(settings, leg.signal, leg.alive);
  const source = await feed.metadata(show);
  if (source === null) return { drained: true, note: 'no segments at the sender' };
  const { workflowExecution, activityId, attempt } = activityInfo();
  const writer = { run: `${workflowExecution?.runId ?? ''}/${activityId}`, attempt };
  const archive = openShowArchive({ dir: settings.localDir, show, source, strict: settings.strict, writer });
  try {
    const targetId = leg.cursor?.targetId ?? source.maxId;
    const copy: Copy = { show, chunkSize: settings.chunkSize, feed, archive, leg, targetId, source };
    if (archive.warning !== null) log.warn('show differs from its copy', { show, warning: archive.warning });
    if (leg.cursor === null || leg.cursor.targetId === null) await checkFingerprint(copy);
    countUnsaid(copy, attempt);
    for (const item of input.retry) await retryParked(copy, item);
    if (leg.itemByItem) await oneByOne(copy);
    const drained = await pull(copy);
    if (!drained) return { drained };
    return { drained, note: await lastLook(copy) };
  } finally {
    archive.close();
  }
}

/**
 * Is our last segment still the sender's? A sender that was restored from an older backup gives its ids out again, and a
 * copy that trusted ids alone would call itself complete.
 */
async function checkFingerprint({ show, feed, archive, source }: Copy): Promise<void> {
  const lastId = archive.position;
  if (lastId === 0) return;
  const remedy = `If that was meant: waybill audio rebase --show ${show}`;
  if (source.maxId < lastId) {
    throw permanent(
      'SourceRewound',
      `${show}: the sender ends at segment ${source.maxId}, ${archive.path} at ${lastId}; was the sender restored from a backup? ${remedy}`,
    );
  }
  const ours = digestOf(archive.path, lastId);
  // Nothing to compare: deleted by retention at the sender, or never here (parked).
  if (ours === null) return;
  for await (const { segments } of feed.segments(show, { startId: lastId, endId: lastId, limit: 1 })) {
    for (const segment of segments) {
      if (digestOfSegment(segment) === ours) continue;
      throw permanent(
        'SourceRewound',
        `${show}: segment ${lastId} is another at the sender than in ${archive.path}; was the sender restored from a backup? ${remedy}`,
      );
    }
  }
}

/** A killed attempt may have kept more than its last heartbeat could say: the file knows, and the counts stay true. */
function countUnsaid({ archive, leg, targetId }: Copy, attempt: number): void {
  if (leg.cursor === null || leg.cursor.lastId >= archive.position) return;
  // What another run or program brought since the last run is not this one's.
  if (leg.cursor.targetId === null && attempt === 1) return;
  const unsaid = contentBetween(archive.path, leg.cursor.lastId, archive.position);
  leg.kept({ lastId: archive.position, targetId }, { ...unsaid });
}

/** True when nothing is left up to the target. Every batch is kept in the file before it is told to Temporal. */
async function pull(copy: Copy): Promise<boolean> {
  const { feed, archive, leg, show, targetId } = copy;
  while (archive.position < targetId) {
    if (!leg.hasTime()) return false;
    const startId = Math.max(archive.position + 1, copy.source.minId);
    const count = startId > targetId ? 0 : await pullChunk(copy, { startId, endId: targetId, limit: copy.chunkSize });
    if (count > 0) continue;
    // Nothing up to the target: deleted since it was named, or never there. Ids are never given again, so this is the end.
    const now = await feed.metadata(show);
    if (now === null || now.minId <= startId) return true;
    copy.source = now;
    if (now.minId > targetId) return true;
  }
  return true;
}

async function pullChunk(
  { feed, archive, leg, show, targetId }: Copy,
  range: { startId: number; endId: number; limit: number },
): Promise<number> {
  let count = 0;
  for await (const batch of feed.segments(show, range)) {
    const { segments, bytes, missing } = archive.append(batch);
    count += segments;
    if (segments > 0)
      leg.kept({ lastId: archive.position, targetId }, { segments, bytes, ...(missing > 0 ? { missing } : {}) });
  }
  return count;
}

/** After repeated refusals of a chunk: its good segments one at a time, and the malformed one parked. */
async function oneByOne(copy: Copy): Promise<void> {
  const { archive, targetId, chunkSize, leg, show } = copy;
  for (let count = 0; count < chunkSize && archive.position < targetId && leg.hasTime(); count += 1) {
    const startId = Math.max(archive.position + 1, copy.source.minId);
    try {
      if ((await pullChunk(copy, { startId, endId: targetId, limit: 1 })) === 0) return;
    } catch (error) {
      if (!(error instanceof SegmentRefused)) throw error;
      const id = await refusedId(copy, startId);
      archive.stepOver(id, id, `parked: ${error.message}`);
      leg.park({ lane: show, id: String(id), reason: error.message, attempts: 1 });
      leg.kept({ lastId: archive.position, targetId }, { parked: 1 });
      return;
    }
  }
}

/** The first id from `startId` on that has a segment: the one that was refused. Halving, for ids may be far apart. */
async function refusedId(copy: Copy, startId: number): Promise<number> {
  let low = startId;
  let high = copy.targetId;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    if (await isEmpty(copy, low, middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function isEmpty({ feed, show }: Copy, startId: number, endId: number): Promise<boolean> {
  try {
    for await (const { segments } of feed.segments(show, { startId, endId, limit: 1 }))
      if (segments.length > 0) return false;
    return true;
  } catch (error) {
    if (error instanceof SegmentRefused) return false;
    throw error;
  }
}

async function retryParked({ feed, archive, leg, show, targetId }: Copy, item: ParkedItem): Promise<void> {
  const id = Number(item.id);
  let bytes: number | null = null;
  try {
    for await (const { segments } of feed.segments(show, { startId: id, endId: id, limit: 1 })) {
      for (const segment of segments) {
        archive.insertLate(segment);
        bytes = segment.audio.length;
      }
    }
  } catch (error) {
    if (!(error instanceof SegmentRefused)) throw error;
    leg.park({ ...item, reason: reasonOf(error), attempts: item.attempts + 1 });
    return;
  }
  // Gone at the sender: the hole stays on record in the file, and nobody can bring it home any more.
  leg.recover(item.id);
  const counts = bytes === null ? { missing: 1 } : { segments: 1, bytes };
  leg.kept({ lastId: archive.position, targetId }, { ...counts, parked: -1 });
}

/** Before success is reported: is the sender still the one we began with? Returns the line for the report. */
async function lastLook({ feed, show, source, archive, targetId, leg }: Copy): Promise<string> {
  leg.kept({ lastId: archive.position, targetId }, {});
  const now = await feed.metadata(show);
  if (now !== null && now.uniqueId !== source.uniqueId) {
    throw permanent(
      'SourceReplaced',
      `${show}: the sender became ${now.uniqueId} during the sync, it was ${source.uniqueId}. Check what came: waybill audio verify -n ${show}; then waybill audio rebase --show ${show}`,
    );
  }
  const notes = [
    archive.position < targetId
      ? `nothing from ${archive.position + 1} to ${targetId} at the sender`
      : `synced to ${archive.position}`,
  ];
  if (now !== null && now.maxId > targetId) notes.push(`the sender is now at ${now.maxId}`);
  if (archive.warning !== null) notes.push(archive.warning);
  return notes.join('; ');
}
