/** The show that is synced: noise in segments of the size that 10 s of Opus at 16 kbit/s have. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { appendSegments, createRecording } from '../../activities/audio/recording';
import type { SegmentRow } from '../../activities/audio/show-file';

export const showName = 'bench';
/** Synced first by each worker, so that what is done once in its life is not in the figures. */
export const warmUpName = 'warm-up';

export interface Show {
  readonly dir: string;
  readonly segments: number;
  readonly audioBytes: number;
}

/** 20,915 to 21,043 bytes were measured at real recordings of 10 s; other lengths scatter as much. */
const scatter = 64 / 20_979;
/** Noise is cut out of one block, at a place that moves on: as good as new noise for what is neither compressed nor hashed. */
const noiseBytesMin = 16 << 20;
const startMs = 1_794_652_248_000;

/** Writes `dir`/bench.sqlite with about `audioBytes` of audio. Noise scatters around `segmentBytes` as real segments do. */
export function makeShow(dir: string, audioBytes: number, segmentBytes: number, name = showName): Show {
  const count = Math.max(1, Math.round(audioBytes / segmentBytes));
  const spread = Math.floor(segmentBytes * scatter);
  const noise = randomBytes(Math.max(noiseBytesMin, 2 * (segmentBytes + spread)));
  let bytes = 0;
  function* segments(): Generator<SegmentRow> {
    for (let index = 0; index < count; index++) {
      const length = segmentBytes - spread + ((index * 7919) % (2 * spread + 1));
      const from = (index * 104_729) % (noise.length - length);
      bytes += length;
      yield {
        timestamp_ms: startMs + index * 10_000,
        is_timestamp_from_source: index % 500 === 0 ? 1 : 0,
        audio_data: noise.subarray(from, from + length),
      };
    }
  }
  const metadata = { name, audioFormat: 'opus', splitInterval: 10, bitrate: 16, sampleRate: 48000 } as const;
  const database = createRecording(join(dir, `${name}.sqlite`), metadata);
  try {
    database.pragma('synchronous = OFF');
    appendSegments(database, segments());
  } finally {
    database.close();
  }
  return { dir, segments: count, audioBytes: bytes };
}
