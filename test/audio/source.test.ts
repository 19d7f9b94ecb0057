/** What a SegmentFeed promises, asked of every kind of sender there is: the emulated original and ours, in both encodings. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { httpSegmentFeed, type SegmentFeed, type SegmentRange } from '../../activities/audio/source';
import { startAudioFeed } from '../../servers/audio-feed';
import { startRecorder, type RecorderShow } from '../peers/recorder';
import { newFolder, removeFolders } from '../support/folders';
import { makeRecording } from '../support/recordings';
import { showContent } from '../support/show-rows';

type Encoding = 'integers' | 'base64';
interface Sender {
  readonly url: string;
  stop(): Promise<void>;
}

/** Not every id is there: retention took the first two, crashes some in between. */
const ids = [...range(3, 9), ...range(15, 24), ...range(26, 60)];
const awkwardName = 'Rádio 100% & more';
let dir: string;

beforeAll(() => {
  dir = newFolder('recordings');
  mkdirSync(dir, { recursive: true });
  const make = (name: string, recipe: { segments: number; ids?: number[]; bytesPerSegment?: number }): void => {
    makeRecording(join(dir, `${name}.sqlite`), { name, boundaryEvery: 10, bytesPerSegment: 500, ...recipe });
  };
  make('show', { segments: ids.length, ids });
  make('empty', { segments: 0 });
  make('large', { segments: 3, bytesPerSegment: 9_000_000 });
  make('silent', { segments: 1, bytesPerSegment: 0 });
  make(awkwardName, { segments: 1 });
  make('copy', { segments: 5 });
  const copy = new Database(join(dir, 'copy.sqlite'));
  copy.exec("UPDATE metadata SET value = 'true' WHERE key = 'is_recipient'");
  copy.close();
});
afterAll(removeFolders);

const names = ['show', 'empty', 'large', 'silent', awkwardName, 'copy'];
const path = (name: string): string => join(dir, `${name}.sqlite`);

async function emulated(encoding: Encoding): Promise<Sender> {
  const recorder = await startRecorder();
  recorder.encoding = encoding;
  for (const name of names) recorder.shows.set(name, heldInMemory(path(name)));
  return recorder;
}

function heldInMemory(file: string): RecorderShow {
  const { metadata, rows } = showContent(file);
  const text = (key: string): string => metadata[key] ?? '';
  return {
    uniqueId: text('unique_id'),
    format: text('audio_format'),
    splitInterval: text('split_interval'),
    bitrate: text('bitrate'),
    sampleRate: text('sample_rate'),
    version: text('version'),
    isRecipient: text('is_recipient') === 'true',
    segments: rows.map(({ id, timestamp_ms: timestampMs, is_timestamp_from_source: flag, audio_data: audio }) => {
      return { id, timestampMs, flag: flag as 0 | 1, audio };
    }),
  };
}

async function real(encoding: Encoding): Promise<Sender> {
  const log = { info: () => undefined, warn: () => undefined };
  const feed = await startAudioFeed({ dir, host: '127.0.0.1', port: 0, encoding, log });
  return { url: feed.url, stop: () => feed.close() };
}

describe.each([
  ['the emulated original, integers', () => emulated('integers')],
  ['the emulated original, base64', () => emulated('base64')],
  ['our feed, integers', () => real('integers')],
  ['our feed, base64', () => real('base64')],
])('%s', (_, start) => {
  let sender: Sender;
  let feed: SegmentFeed;
  const done = new AbortController();

  beforeAll(async () => {
    sender = await start();
    const { signal } = done;
    const alive = (): void => undefined;
    feed = httpSegmentFeed({ remoteUrl: sender.url, idleTimeoutMs: 5000, bandwidthLimit: 0, signal, alive });
  });
  afterAll(async () => {
    done.abort();
    await sender.stop();
  });

  /** Everything of a range, copied out: a batch's bytes are its own only until the next. */
  async function all(show: string, asked: SegmentRange): Promise<{ id: number; audio: Buffer }[]> {
    const found: { id: number; audio: Buffer; timestampMs: number; flag: number }[] = [];
    for await (const { segments } of feed.segments(show, asked)) {
      for (const { id, audio, timestampMs, isTimestampFromSource: flag } of segments)
        found.push({ id, audio: Buffer.from(audio), timestampMs, flag });
    }
    return found;
  }
  const idsIn = async (startId: number, endId: number, limit = 1000): Promise<number[]> =>
    (await all('show', { startId, endId, limit })).map(({ id }) => id);

  it('lists the shows that have segments, and no copies', async () => {
    expect([...(await feed.listShows())].sort()).toEqual(['show', 'large', 'silent', awkwardName].sort());
  });

  it('describes a show', async () => {
    const { metadata } = showContent(path('show'));
    expect(await feed.metadata('show')).toEqual({
      uniqueId: metadata['unique_id'],
      audioFormat: 'opus',
      splitInterval: '10',
      bitrate: '16',
      sampleRate: '48000',
      version: '1',
      minId: 3,
      maxId: 60,
    });
  });

  it('has nothing to describe where there is no segment', async () => {
    expect(await feed.metadata('empty')).toBeNull();
  });

  it('refuses for good a show that is not there, a copy, and a name that is none', async () => {
    await expect(feed.metadata('gone')).rejects.toMatchObject({ type: 'ShowGone', nonRetryable: true });
    await expect(feed.metadata('copy')).rejects.toMatchObject({ type: 'ShowRefused', nonRetryable: true });
    await expect(feed.metadata('../show')).rejects.toMatchObject({ type: 'ShowNameRefused', nonRetryable: true });
    await expect(all('gone', { startId: 1, endId: 2, limit: 1 })).rejects.toMatchObject({ type: 'ShowGone' });
  });

  it('gives a range with both its ends, ascending, and no more than the limit', async () => {
    expect(await idsIn(26, 30)).toEqual([26, 27, 28, 29, 30]);
    expect(await idsIn(26, 60, 3)).toEqual([26, 27, 28]);
    expect(await idsIn(60, 60)).toEqual([60]);
  });

  it('leaves out what is not there: a hole is no error', async () => {
    expect(await idsIn(1, 60)).toEqual(ids);
    expect(await idsIn(8, 16, 4)).toEqual([8, 9, 15, 16]);
    expect(await idsIn(10, 14)).toEqual([]);
    expect(await idsIn(61, 1000)).toEqual([]);
    expect(await idsIn(30, 20)).toEqual([]);
  });

  it('gives every segment as it was recorded, and the same again', async () => {
    const { rows } = showContent(path('show'));
    const expected = rows.map((row) => ({
      id: row.id,
      audio: row.audio_data,
      timestampMs: row.timestamp_ms,
      flag: row.is_timestamp_from_source,
    }));
    for (let time = 0; time < 2; time += 1)
      expect(await all('show', { startId: 1, endId: 60, limit: 1000 })).toEqual(expected);
  });

  it('gives large ones in several batches, byte for byte, and silent ones as empty', async () => {
    const large = await all('large', { startId: 1, endId: 3, limit: 3 });
    const { rows } = showContent(path('large'));
    expect(large.map(({ audio }, index) => audio.equals(rows[index]?.audio_data ?? Buffer.of()))).toEqual([
      true,
      true,
      true,
    ]);
    expect((await all('silent', { startId: 1, endId: 1, limit: 1 })).map(({ audio }) => audio.length)).toEqual([0]);
  });

  it('finds a show whose name needs escaping', async () => {
    expect(await feed.metadata(awkwardName)).toMatchObject({ maxId: 1 });
    expect(await all(awkwardName, { startId: 1, endId: 1, limit: 1 })).toHaveLength(1);
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
