/** Recordings made up from a seed: the same seed gives the same bytes, so that two ends can be compared anywhere. */
import { createCipheriv, createHash } from 'node:crypto';
import { appendSegments, createRecording } from '../../activities/audio/recording';
import type { AudioFormat } from '../../activities/audio/recording';
import type { SegmentRow } from '../../activities/audio/show-file';

export interface RecordingRecipe {
  readonly name: string;
  /** How many segments are recorded, before any is deleted. */
  readonly segments: number;
  /** Bytes a segment; about 21,000 is 10 s of Opus at 16 kbit/s. */
  readonly bytesPerSegment?: number;
  /** Every how many segments a connection begins; the first always does. 0: only the first. */
  readonly boundaryEvery?: number;
  readonly seed?: number;
  /** The segments' ids, ascending, `segments` of them; 1, 2, 3 … if absent. */
  readonly ids?: readonly number[];
  /** Ids deleted afterwards, as retention or a crash leaves holes. */
  readonly holes?: readonly number[];
  /** When the first segment began, in milliseconds since 1970. */
  readonly startMs?: number;
  /** Seconds a segment, 10 by default. */
  readonly splitInterval?: number;
  readonly audioFormat?: AudioFormat;
  readonly uniqueId?: string;
}

export interface MadeRecording {
  readonly path: string;
  readonly uniqueId: string;
  /** Ids in the file, ascending. */
  readonly ids: readonly number[];
  readonly audioBytes: number;
}

const recordingStartMs = 1_794_652_248_423;

/** Writes the file in one transaction, closed and without `-wal` when it returns. */
export function makeRecording(path: string, recipe: RecordingRecipe): MadeRecording {
  const seed = recipe.seed ?? 1;
  const splitInterval = recipe.splitInterval ?? 10;
  const uniqueId = recipe.uniqueId ?? uniqueIdOf(seed, recipe.name);
  const format = {
    opus: { bitrate: 16, sampleRate: 48000 },
    aac: { bitrate: 32, sampleRate: 16000 },
    wav: { bitrate: 0, sampleRate: 48000 },
  };
  const audioFormat = recipe.audioFormat ?? 'opus';
  const database = createRecording(path, {
    name: recipe.name,
    audioFormat,
    splitInterval,
    ...format[audioFormat],
    uniqueId,
  });
  try {
    // A made-up recording is not anybody's only copy: without the waits for the disk it is made ten times as fast.
    database.pragma('synchronous = OFF');
    const made = database.transaction(() => {
      const ids = appendSegments(database, makeSegments(recipe, seed, splitInterval));
      if (recipe.ids) renumber(database, recipe.ids);
      const remove = database.prepare('DELETE FROM segments WHERE id = ?');
      for (const hole of recipe.holes ?? []) remove.run(hole);
      const holes = new Set(recipe.holes);
      return (recipe.ids ?? ids).filter((id) => !holes.has(id));
    })();
    return { path, uniqueId, ids: made, audioBytes: made.length * (recipe.bytesPerSegment ?? 21_000) };
  } finally {
    database.close();
  }
}

/** From the high end, where no id is taken yet. */
function renumber(database: ReturnType<typeof createRecording>, ids: readonly number[]): void {
  const update = database.prepare('UPDATE segments SET id = ? WHERE id = ?');
  for (let index = ids.length - 1; index >= 0; index--) update.run(ids[index], index + 1);
  database.prepare("UPDATE sqlite_sequence SET seq = ? WHERE name = 'segments'").run(ids.at(-1) ?? 0);
}

function* makeSegments(recipe: RecordingRecipe, seed: number, splitInterval: number): Generator<SegmentRow> {
  const { segments, bytesPerSegment = 21_000, boundaryEvery = 0, startMs = recordingStartMs } = recipe;
  for (let index = 0; index < segments; index++) {
    const isBoundary = index === 0 || (boundaryEvery > 0 && index % boundaryEvery === 0);
    yield {
      timestamp_ms: startMs + index * splitInterval * 1000,
      is_timestamp_from_source: isBoundary ? 1 : 0,
      audio_data: opusLike(bytesPerSegment, seed, index),
    };
  }
}

/** Packets of 40 bytes of noise behind their length, as the recorder stores Opus: [u16 little-endian length][packet]. */
export function opusLike(bytes: number, seed: number, index: number): Buffer {
  const key = createHash('md5').update(`${seed}/${index}`).digest();
  const audio = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
  for (let at = 0; at + 2 <= bytes; at += 42) audio.writeUInt16LE(Math.min(40, bytes - at - 2), at);
  return audio;
}

function uniqueIdOf(seed: number, name: string): string {
  return 'db_' + createHash('sha256').update(`${seed}/${name}`).digest('base64').replace(/[+/=]/g, '').slice(0, 12);
}
