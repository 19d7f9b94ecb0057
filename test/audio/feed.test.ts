/** The feed against what the original sender was recorded to answer, byte for byte, and in the other encoding. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { appendSegments, createRecording } from '../../activities/audio/recording';
import { startAudioFeed } from '../../servers/audio-feed';
import type { AudioFeed, AudioFeedSettings } from '../../servers/audio-feed';
import { ask, decodeAudio, readAudio, readRecordedAnswers, startFeedProcess } from '../support/feed';
import { makeRecording, opusLike } from '../support/recordings';

const recorded = readRecordedAnswers(join(__dirname, '../data/audio/sender-responses.txt'));
const audio = Buffer.from([3, 0, 1, 255, 128]);

let root: string;
let dir: string;
const feeds: AudioFeed[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'feed-'));
  dir = join(root, 'shows');
  mkdirSync(dir);
});

afterEach(async () => {
  await Promise.all(feeds.splice(0).map((feed) => feed.close()));
  rmSync(root, { recursive: true, force: true });
});

async function serve(settings: Partial<AudioFeedSettings> = {}): Promise<string> {
  const log = { info: () => undefined, warn: () => undefined };
  const feed = await startAudioFeed({ dir, host: '127.0.0.1', port: 0, encoding: 'integers', log, ...settings });
  feeds.push(feed);
  return feed.url;
}

describe('the original sender, byte for byte', () => {
  const traversal = recorded.filter(({ target }) => target.includes('%2F'));
  const same = recorded.filter((answer) => !traversal.includes(answer));

  it('is recorded in full', () => {
    expect(same).toHaveLength(27);
    expect(traversal).toHaveLength(1);
  });

  it.each(same)('is what $method $target gets', async ({ method, target, head, body, headers }) => {
    makeRecordedShows();
    const answer = await ask(await serve(), method, target, headers);
    expect(answer.head).toEqual(head);
    expect(answer.body.toString()).toBe(body);
  });

  it.each(traversal)('is not what a name that leads out of the folder gets: $target', async ({ target }) => {
    makeRecordedShows();
    const { status, text } = await ask(await serve(), 'GET', target);
    expect([status, text]).toEqual([404, `{"error":"Show '../outside/secret' not found"}`]);
  });

  it('answers HEAD with the head of GET and nothing after it', async () => {
    makeRecordedShows();
    const url = await serve();
    for (const { target } of same.filter(({ method }) => method === 'GET')) {
      const [get, head] = [await ask(url, 'GET', target), await ask(url, 'HEAD', target)];
      expect(head.head).toEqual(get.head);
      expect(head.body).toHaveLength(0);
    }
  });
});

describe('a query', () => {
  const unreadable = 'Failed to deserialize query string: ';
  it.each([
    ['start_id=1', 'missing field `end_id`'],
    ['start_id=&end_id=1', 'start_id: cannot parse integer from empty string'],
    ['start_id=%2B&end_id=1', 'start_id: invalid digit found in string'],
    ['start_id=1&end_id=-9223372036854775809', 'end_id: number too small to fit in target type'],
    ['start_id=1&end_id=9223372036854775808', 'end_id: number too large to fit in target type'],
    ['start_id=1&end_id=2&limit=18446744073709551616', 'limit: number too large to fit in target type'],
    ['start_id=1&start_id=1&end_id=2', 'duplicate field `start_id`'],
    ['start_id=1&end_id=2&encoding=hex', 'encoding: unknown variant `hex`, expected `base64` or `integers`'],
  ])('%s is refused in words', async (query, reason) => {
    const { status, text } = await ask(await serve(), 'GET', `/api/sync/shows/any/segments?${query}`);
    expect([status, text]).toEqual([400, unreadable + reason]);
  });

  it.each([
    ['start_id=%2B2&end_id=3', [2, 3]],
    ['start_id=-9223372036854775808&end_id=9223372036854775807&limit=2', [1, 2]],
    ['start_id=3&end_id=3&unknown=field', [3]],
  ])('%s is understood', async (query, ids) => {
    makeRecording(join(dir, 'show.sqlite'), { name: 'show', segments: 4, bytesPerSegment: 10 });
    const { text } = await ask(await serve(), 'GET', `/api/sync/shows/show/segments?${query}`);
    expect((JSON.parse(text) as { id: number }[]).map(({ id }) => id)).toEqual(ids);
  });

  it('gets no more segments than limitMax, whatever it asks for', async () => {
    makeRecording(join(dir, 'show.sqlite'), { name: 'show', segments: 20, bytesPerSegment: 10 });
    const target = '/api/sync/shows/show/segments?start_id=1&end_id=20&limit=9999';
    const { text } = await ask(await serve({ limitMax: 7 }), 'GET', target);
    expect(JSON.parse(text)).toHaveLength(7);
  });
});

describe('audio_data', () => {
  const target = '/api/sync/shows/show/segments?start_id=1&end_id=400&limit=400';
  const sizes = [0, 1, 2, 3, 4, 49_151, 49_152, 49_153, 98_304, 1_000_000];

  it.each(['base64', 'integers'] as const)('is exact as %s for every size around a slice', async (encoding) => {
    const blobs = sizes.map((size, index) => opusLike(size, 7, index));
    recordBlobs('show', blobs);
    const { text, length } = await ask(await serve({ encoding }), 'GET', target);
    expect(length).toBe(Buffer.byteLength(text));
    expect(decodeAudio(text).map(sha256)).toEqual(blobs.map(sha256));
  });

  it('is base64 or integers as the request asks, whatever the feed was started with', async () => {
    recordBlobs('show', [audio]);
    const url = await serve({ encoding: 'base64' });
    expect((await ask(url, 'GET', `${target}&encoding=integers`)).text).toContain('"audio_data":[3,0,1,255,128]}');
    expect((await ask(url, 'GET', target)).text).toContain(`"audio_data":"${audio.toString('base64')}"}`);
  });

  it('goes out chunked as integers when counting it first would cost too much, and is the same', async () => {
    const blobs = Array.from({ length: 300 }, (_, index) => opusLike(21_000, 8, index));
    recordBlobs('show', blobs);
    const { text, length } = await ask(await serve({ encoding: 'integers' }), 'GET', target);
    expect(length).toBeNull();
    expect(decodeAudio(text).map(sha256)).toEqual(blobs.map(sha256));
  });

  it('is refused where it is text, as an original receiver once stored base64', async () => {
    makeRecording(join(dir, 'show.sqlite'), { name: 'show', segments: 1, bytesPerSegment: 10 });
    alter('show', "UPDATE segments SET audio_data = 'AwABAg=='");
    const { status, text } = await ask(await serve(), 'GET', target);
    expect(status).toBe(500);
    expect(text).toBe('{"error":"Failed to fetch segment: Invalid column type Text at index: 3, name: audio_data"}');
  });

  it.each(['base64', 'integers'] as const)(
    'of a 64 MiB segment never stands in memory as text: SQLite’s own copy and a few parts do, as %s',
    async (encoding) => {
      const blob = opusLike(64 * 1024 * 1024, 9, 0);
      recordBlobs('show', [audio, blob]);
      const feed = await startFeedProcess(dir, encoding);
      try {
        await readAudio(segmentUrl(feed.url, 1), encoding, () => undefined);
        const before = await feed.peakBytes();
        const digest = createHash('sha256');
        await readAudio(segmentUrl(feed.url, 2), encoding, (bytes) => digest.update(bytes));
        expect(digest.digest('hex')).toBe(createHash('sha256').update(blob).digest('hex'));
        // The text alone would be 85 or 225 MiB, on top of the audio itself.
        expect(((await feed.peakBytes()) - before) / 2 ** 20).toBeLessThan(64 + 96);
      } finally {
        feed.stop();
      }
    },
    60_000,
  );
});

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

const segmentUrl = (url: string, id: number) => `${url}/api/sync/shows/show/segments?start_id=${id}&end_id=${id}`;

function recordBlobs(name: string, blobs: readonly Buffer[]): void {
  const path = join(dir, `${name}.sqlite`);
  const database = createRecording(path, {
    name,
    audioFormat: 'opus',
    splitInterval: 10,
    bitrate: 16,
    sampleRate: 48000,
  });
  appendSegments(
    database,
    blobs.map((audio_data, index) => ({ timestamp_ms: index, is_timestamp_from_source: 0, audio_data })),
  );
  database.close();
}

function alter(name: string, statement: string): void {
  const database = new Database(join(dir, `${name}.sqlite`));
  database.exec(statement);
  database.close();
}

/** The folder that the original was recorded on. */
function makeRecordedShows(): void {
  makeSmallShow(join(dir, 'myradio.sqlite'), 'myradio', 'db_a1B2c3D4e5F6', 25);
  makeSmallShow(join(dir, 'odd name é.sqlite'), 'odd name é', 'db_iK2ZWeqhFWCE', 2);
  makeSmallShow(join(dir, 'recip.sqlite'), 'recip', 'db_iK2ZWeqhFWCE', 2);
  alter('recip', "UPDATE metadata SET value = 'true' WHERE key = 'is_recipient'");
  makeSmallShow(join(dir, 'empty.sqlite'), 'empty', 'db_iK2ZWeqhFWCE', 0);
  alter('nometa', 'CREATE TABLE unrelated (x)');
  writeFileSync(join(dir, 'garbage.sqlite'), 'this is no database, and was never one\n'.repeat(100));
  mkdirSync(join(root, 'outside'));
  makeSmallShow(join(root, 'outside/secret.sqlite'), 'secret', 'db_iK2ZWeqhFWCE', 2);
}

function makeSmallShow(path: string, name: string, uniqueId: string, segments: number): void {
  const made = { name, uniqueId, audioFormat: 'opus', splitInterval: 10, bitrate: 16, sampleRate: 48000 } as const;
  const database = createRecording(path, made);
  const rows = Array.from({ length: segments }, (_, index) => ({
    timestamp_ms: 1_794_652_248_423 + index * 10_000,
    is_timestamp_from_source: index === 0 ? (1 as const) : (0 as const),
    audio_data: audio,
  }));
  appendSegments(database, rows);
  database.close();
}
