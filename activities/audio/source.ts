/** Where segments come from: a recording server's sync API, version 1. All that it says is checked here and trusted after. */
import { z } from 'zod';
import { permanent } from './failures';
import { Arena } from './arena';
import { isShowName } from './contract';
import { httpReader, type Answer, type HttpOptions } from './http';
import { SegmentParser, SegmentRefused, type Segment } from './segment-parser';

/** What a sender says of a show. Numbers in settings are texts there, as in the file's metadata table. */
export interface SourceMetadata {
  readonly uniqueId: string;
  readonly audioFormat: string;
  readonly splitInterval: string;
  readonly bitrate: string;
  readonly sampleRate: string;
  readonly version: string;
  readonly minId: number;
  readonly maxId: number;
}

/** Complete segments in the sender's order. Their bytes are valid until the next batch is asked for, or `release`. */
export interface SegmentBatch {
  readonly segments: readonly Segment[];
  /** Gives the bytes' memory back early; for segments so large that a copy of them counts. */
  release(): void;
}

/** From the sender's first answer to an id range's last byte. Asking twice changes nothing at the sender. */
export interface SegmentFeed {
  /** Names of the shows that have segments, as the sender gives them: remote input, not yet file names. */
  listShows(): Promise<readonly string[]>;
  /** Null: the show exists and is empty. Throws permanent ShowGone, ShowRefused, VersionUnsupported. */
  metadata(show: string): Promise<SourceMetadata | null>;
  /**
   * Segments of `startId..endId`, at most `limit`, strictly ascending; absence of an id is a hole, not an error.
   * Throws SegmentRefused before a malformed row is given out, and what the network threw.
   */
  segments(show: string, range: SegmentRange): AsyncGenerator<SegmentBatch>;
}

export interface SegmentRange {
  readonly startId: number;
  readonly endId: number;
  readonly limit: number;
}

/** Audio held in memory before it is committed: a transaction of this size costs a twentieth of a second. */
export const batchBytes = 8 << 20;
/** On a slow line a batch is what came in this time: a pause or a crash costs no more than that. */
const batchMsMax = 1000;
const showsAnswerBytesMax = 16 << 20;
const metadataAnswerBytesMax = 1 << 20;

const text = z.union([z.string(), z.number()]).transform(String);
const wholeNumber = z.int().nonnegative();

const showsAnswer = z.object({ shows: z.array(z.object({ name: z.string() })) });
const metadataAnswer = z.object({
  unique_id: z.string().min(1),
  audio_format: text,
  split_interval: text,
  bitrate: text,
  sample_rate: text,
  version: text,
  min_id: wholeNumber,
  max_id: wholeNumber,
});

export function httpSegmentFeed(options: HttpOptions): SegmentFeed {
  const get = httpReader(options);
  let idle: Arena | null = null;
  const showPath = (show: string, rest: string): string => `/api/sync/shows/${encodeURIComponent(show)}/${rest}`;
  return {
    listShows: async () => {
      const answer = await get('/api/sync/shows');
      if (answer.status !== 200) throw await answer.refusal();
      return parsed(showsAnswer, answer, await answer.json(showsAnswerBytesMax)).shows.map(({ name }) => name);
    },
    metadata: (show) => metadata(show, () => get(showPath(show, 'metadata'))),
    async *segments(show, range) {
      const query = `start_id=${range.startId}&end_id=${range.endId}&limit=${range.limit}`;
      // From answer to answer the same one; two answers read at once would have one each.
      const arena = idle ?? new Arena();
      idle = null;
      try {
        yield* segments(range, arena, () => get(showPath(show, `segments?${query}`)));
      } finally {
        arena.release();
        idle = arena;
      }
    },
  };
}

async function metadata(show: string, get: () => Promise<Answer>): Promise<SourceMetadata | null> {
  if (!isShowName(show))
    throw permanent('ShowNameRefused', `show ${JSON.stringify(show)}: not a name to make a file of`);
  const answer = await get();
  if (answer.status !== 200) {
    const { error, text: said } = await answer.problem();
    if (answer.status === 500 && error === 'No segments found') return null;
    throw answer.classify(error, said);
  }
  const found = parsed(metadataAnswer, answer, await answer.json(metadataAnswerBytesMax));
  if (found.version !== '1') {
    const remedy = 'Waybill speaks version 1: sync with a release of the sender that serves it.';
    throw permanent('VersionUnsupported', `${answer.what}: version ${JSON.stringify(found.version)}. ${remedy}`);
  }
  return {
    uniqueId: found.unique_id,
    audioFormat: found.audio_format,
    splitInterval: found.split_interval,
    bitrate: found.bitrate,
    sampleRate: found.sample_rate,
    version: found.version,
    minId: found.min_id,
    maxId: found.max_id,
  };
}

function parsed<S extends z.ZodType>(schema: S, answer: Answer, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const wrong = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  throw permanent('NotASender', `${answer.what}: not what a recording server answers (${wrong}). Check remote_url.`);
}

async function* segments(range: SegmentRange, arena: Arena, get: () => Promise<Answer>): AsyncGenerator<SegmentBatch> {
  const answer = await get();
  if (answer.status !== 200) throw await answer.refusal();
  const parser = new SegmentParser(arena);
  const order = ascending(range, answer.what);
  const batch = (): SegmentBatch => ({ segments: order(parser.take()), release: () => parser.release() });
  try {
    let batchAt = performance.now();
    for await (const chunk of answer.body()) {
      for (let at = 0; at < chunk.length;) {
        const wanted = performance.now() - batchAt > batchMsMax ? 1 : batchBytes;
        at = parser.push(chunk, at, wanted);
        if (parser.pendingBytes < wanted || !parser.isBetweenRows) continue;
        yield batch();
        parser.release();
        batchAt = performance.now();
      }
    }
    parser.finish();
  } catch (error) {
    if (error instanceof SegmentRefused) error.message = `${answer.what}: ${error.message}`;
    throw error;
  }
  yield batch();
}

/** Ids strictly ascending within the range, and no more than asked for; else the answer is refused. */
function ascending({ startId, endId, limit }: SegmentRange, what: string): (segments: Segment[]) => Segment[] {
  let last = startId - 1;
  let count = 0;
  return (rows) => {
    for (const { id } of rows) {
      if (id <= last || id > endId) {
        throw new SegmentRefused(`${what}: segment ${id} after ${last}; ids must ascend within ${startId} to ${endId}`);
      }
      last = id;
      count += 1;
    }
    if (count > limit) throw new SegmentRefused(`${what}: ${count} segments, ${limit} were asked for`);
    return rows;
  };
}
