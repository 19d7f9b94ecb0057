/** The 23 ways in which a real sender, a real disk and a real network were seen to be awkward (reference: audio, 9). */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import Database from 'better-sqlite3';
import type { AudioSettings, CopySegmentsResult } from '../../activities/audio/contract';
import { createRecording, appendSegments, openForRecording } from '../../activities/audio/recording';
import type { LegInput } from '../../activities/shared/contract';
import { recorderShow, segmentOf, sendJson, startRecorder, type Recorder } from '../peers/recorder';
import { audioActivities, legOf, runActivity, type LegRun } from '../support/activity';
import { newFolder, removeFolders } from '../support/folders';
import { idsOf, showContent } from '../support/show-rows';

let recorder: Recorder;
let localDir: string;
let path: string;
let runs = 0;
const activities = audioActivities();

beforeEach(async () => {
  recorder = await startRecorder();
  recorder.shows.set('show', recorderShow(40));
  localDir = newFolder('recv');
  path = join(localDir, 'show.sqlite');
});
afterEach(async () => {
  await recorder.stop();
  removeFolders();
});

type Rest = Partial<LegInput<unknown, unknown>>;
function sync(
  settings: Partial<AudioSettings> = {},
  rest: Rest = {},
  run: LegRun = {},
  show = 'show',
): Promise<CopySegmentsResult> {
  const leg = legOf(show, { remoteUrl: recorder.url, localDir, chunkSize: 10, ...settings }, rest);
  runs += 1;
  return runActivity(activities.copySegments, leg, { runId: `run ${runs}`, ...run });
}

async function failureOf(promise: Promise<unknown>): Promise<ApplicationFailure> {
  const error: unknown = await promise.then(
    () => 'nothing was thrown',
    (thrown: unknown) => thrown,
  );
  expect(error).toHaveProperty('message');
  return error as ApplicationFailure;
}

async function permanentFailure(promise: Promise<unknown>, type: string): Promise<string> {
  const failure = await failureOf(promise);
  expect({ type: failure.type, nonRetryable: failure.nonRetryable, message: failure.message }).toMatchObject({
    type,
    nonRetryable: true,
  });
  return failure.message;
}

async function retryableFailure(promise: Promise<unknown>): Promise<string> {
  const failure = await failureOf(promise);
  expect(failure.nonRetryable).not.toBe(true);
  return failure.message;
}

const ids = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const drop = (from: number, to: number): void => {
  const show = recorder.shows.get('show');
  if (show !== undefined) show.segments = show.segments.filter(({ id }) => id < from || id > to);
};
const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

describe('1: holes', () => {
  it('smaller and larger than a chunk are stepped over, recorded and counted', async () => {
    drop(5, 7);
    drop(15, 33);
    const result = await sync();
    expect(result).toMatchObject({ drained: true, counts: { segments: 18, missing: 22 }, cursor: { lastId: 40 } });
    expect(idsOf(path)).toEqual([...ids(1, 4), ...ids(8, 14), ...ids(34, 40)]);
    expect(showContent(path).holes).toMatchObject([
      { from_id: 5, to_id: 7 },
      { from_id: 15, to_id: 33 },
    ]);
  });

  it('that retention made while we were away are recorded as such', async () => {
    await sync();
    recorder.shows.set('show', recorderShow(90));
    drop(1, 60);
    await sync();
    expect(idsOf(path)).toEqual([...ids(1, 40), ...ids(61, 90)]);
    expect(showContent(path).holes).toEqual([{ from_id: 41, to_id: 60, reason: 'deleted by retention at the sender' }]);
  });

  it('that retention makes in mid-sync do not stop it', async () => {
    recorder.intercept = ({ segmentRequest }) => {
      if (segmentRequest === 2) drop(1, 30);
      return false;
    };
    expect(await sync()).toMatchObject({ drained: true });
    expect(idsOf(path)).toEqual([...ids(1, 10), ...ids(31, 40)]);
  });

  it('at the end, under a max id that never comes, end the run and are asked for again by the next', async () => {
    const show = recorderShow(40, { claimedMaxId: 80 });
    recorder.shows.set('show', show);
    expect(await sync()).toMatchObject({ drained: true, note: expect.stringContaining('nothing from 41 to 80') });
    show.segments.push(segmentOf(55));
    await sync();
    expect(idsOf(path)).toEqual([...ids(1, 40), 55]);
  });
});

it('2: a first chunk that failed on a sender whose min id is 500 does not send the next run to id 1', async () => {
  drop(1, 39);
  const show = recorderShow(560);
  show.segments = show.segments.slice(499);
  recorder.shows.set('show', show);
  recorder.intercept = ({ segmentRequest, response }) => {
    if (segmentRequest !== 1) return false;
    sendJson(response, 500, { error: 'Failed to query segments: database is locked' });
    return true;
  };
  expect(await retryableFailure(sync())).toContain('database is locked');
  await sync();
  expect(idsOf(path)).toEqual(ids(500, 560));
  expect(recorder.requests.filter((request) => request.includes('segments?'))[1]).toContain('start_id=500');
});

describe('3: creation', () => {
  it('leaves a whole file or none: no half-made one has the show’s name', async () => {
    await sync();
    expect(readdirSync(localDir)).toEqual(['show.sqlite']);
    expect(showContent(path).metadata).toMatchObject({
      version: '1',
      unique_id: expect.stringMatching(/^local_[0-9a-f-]{36}$/),
      name: 'show',
      audio_format: 'opus',
      split_interval: '10',
      bitrate: '16',
      sample_rate: '48000',
      is_recipient: 'true',
      source_unique_id: 'db_a1B2c3D4e5F6',
      last_synced_id: '40',
      last_boundary_end_id: '30',
    });
  });

  it.each([
    ['only a version row', ['version']],
    ['a unique id and no source', ['version', 'unique_id']],
  ])('that the original left with %s is refused with the remedy', async (_, keys) => {
    const database = new Database(path);
    database.exec('CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL)');
    database.exec(
      'CREATE TABLE segments (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp_ms INTEGER NOT NULL, is_timestamp_from_source INTEGER NOT NULL DEFAULT 0, audio_data BLOB NOT NULL)',
    );
    for (const key of keys) database.prepare('INSERT INTO metadata VALUES (?, 1)').run(key);
    database.close();
    const before = sha256(path);
    expect(await permanentFailure(sync(), 'ShowFileCorrupt')).toMatch(/Delete it and sync again/);
    expect(sha256(path)).toBe(before);
  });
});

describe('4: a sender restored from an older backup', () => {
  it('with a lower max id is refused, not called up to date', async () => {
    await sync();
    recorder.shows.set('show', recorderShow(30));
    expect(await permanentFailure(sync(), 'SourceRewound')).toMatch(/ends at segment 30.*rebase/);
  });

  it('that has given ids out again is found by the fingerprint of our last segment', async () => {
    await sync();
    recorder.shows.set('show', recorderShow(45, { seed: 9 }));
    const before = showContent(path);
    expect(await permanentFailure(sync(), 'SourceRewound')).toMatch(/segment 40 is another/);
    expect(showContent(path)).toEqual(before);
  });
});

describe('5: a replaced sender', () => {
  it('is refused at the start', async () => {
    await sync();
    recorder.shows.set('show', recorderShow(50, { uniqueId: 'db_REPLACED0000' }));
    expect(await permanentFailure(sync(), 'SourceReplaced')).toMatch(/db_a1B2c3D4e5F6.*db_REPLACED0000.*rebase/);
  });

  it('is found before success is reported when it was replaced in mid-sync', async () => {
    recorder.intercept = ({ segmentRequest }) => {
      const show = recorder.shows.get('show');
      if (segmentRequest === 3 && show !== undefined) show.uniqueId = 'db_REPLACED0000';
      return false;
    };
    expect(await permanentFailure(sync(), 'SourceReplaced')).toMatch(/became db_REPLACED0000 during the sync/);
  });

  it('that still has our segments is continued in place by a rebase', async () => {
    await sync();
    recorder.shows.set('show', recorderShow(50, { uniqueId: 'db_REPLACED0000' }));
    const rebased = await runActivity(activities.rebaseShow, {
      remoteUrl: recorder.url,
      localDir,
      show: 'show',
      credentials: '',
      bandwidthLimit: 0,
    });
    expect(rebased).toMatchObject({ keptAside: null, lastId: 40 });
    await sync();
    expect(idsOf(path)).toEqual(ids(1, 50));
  });

  it('that shares nothing with us gets a new file, and the old copy is kept whole beside it', async () => {
    await sync();
    recorder.shows.set('show', recorderShow(12, { uniqueId: 'db_REPLACED0000', seed: 5 }));
    const rebased = await runActivity(activities.rebaseShow, {
      remoteUrl: recorder.url,
      localDir,
      show: 'show',
      credentials: '',
      bandwidthLimit: 0,
    });
    expect(rebased.keptAside).toMatch(/show\.local_.*\.sqlite$/);
    await sync();
    expect(idsOf(path)).toEqual(ids(1, 12));
    expect(idsOf(rebased.keptAside ?? '')).toEqual(ids(1, 40));
  });
});

describe('6: metadata', () => {
  it.each([
    ['format', { format: 'aac' }],
    ['bitrate', { bitrate: '32' }],
  ])('a changed %s is refused', async (key, change) => {
    await sync();
    recorder.shows.set('show', recorderShow(50, change));
    expect(await permanentFailure(sync(), 'FormatChanged')).toContain(key);
  });

  it('a changed split_interval is a warning, and refused only when strict', async () => {
    await sync();
    recorder.shows.set('show', recorderShow(50, { splitInterval: '30' }));
    expect(await permanentFailure(sync({ strict: true }), 'FormatChanged')).toContain('split_interval');
    expect(await sync()).toMatchObject({
      drained: true,
      note: expect.stringContaining('split_interval was 10 and is now 30'),
    });
  });

  it('a version other than 1 is refused', async () => {
    recorder.shows.set('show', recorderShow(4, { version: '4' }));
    expect(await permanentFailure(sync(), 'VersionUnsupported')).toContain('"4"');
    expect(existsSync(path)).toBe(false);
  });
});

describe('7: what the sender answers', () => {
  it('base64 is decoded, not stored as if it were audio', async () => {
    recorder.encoding = 'base64';
    await sync();
    expect(showContent(path).rows.map(({ audio_data }) => audio_data)).toEqual(
      ids(1, 40).map((id) => segmentOf(id).audio),
    );
  });

  it.each(['"hello"', '"AQ"', '[1,300]', '{"0":1}'])('audio that is %s is never stored', async (audio) => {
    recorder.rewrite = (rows) => rows.replace(/"audio_data":\[[^\]]*\]/, `"audio_data":${audio}`);
    expect(await retryableFailure(sync())).toMatch(/segment 1/);
    expect(idsOf(path)).toEqual([]);
  });

  it('a page of HTML is not taken for data', async () => {
    recorder.intercept = ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please log in</html>');
      return true;
    };
    expect(await permanentFailure(sync(), 'NotASender')).toMatch(/text\/html instead of JSON/);
    expect(existsSync(path)).toBe(false);
  });

  it('an error is reported in the sender’s own words and asked again', async () => {
    recorder.intercept = ({ segmentRequest, response }) => {
      if (segmentRequest !== 3) return false;
      sendJson(response, 500, { error: 'Failed to query segments: disk I/O error' });
      return true;
    };
    const first = await sync();
    expect(first).toMatchObject({
      drained: false,
      cursor: { lastId: 20 },
      note: expect.stringContaining('disk I/O error'),
    });
    expect(await sync({}, { cursor: first.cursor })).toMatchObject({ drained: true });
    expect(idsOf(path)).toEqual(ids(1, 40));
  });
});

describe('8: rows that are out of order, doubled or outside the range', () => {
  const doubled = (rows: string): string =>
    JSON.stringify((JSON.parse(rows) as unknown[]).flatMap((row, index) => (index === 2 ? [row, row] : [row])));
  const descending = (rows: string): string => JSON.stringify((JSON.parse(rows) as unknown[]).reverse());
  const beyond = (rows: string): string =>
    JSON.stringify(
      (JSON.parse(rows) as { id: number }[]).map((row, index, all) =>
        index === all.length - 1 ? { ...row, id: 99 } : row,
      ),
    );
  it.each([
    ['doubled', doubled],
    ['descending', descending],
    ['past the end', beyond],
  ])('%s: nothing of the chunk is committed', async (_, rewrite) => {
    recorder.rewrite = (rows, request) => (request === 2 ? rewrite(rows) : rows);
    expect(await sync()).toMatchObject({
      drained: false,
      cursor: { lastId: 10 },
      note: expect.stringContaining('must ascend'),
    });
    expect(idsOf(path)).toEqual(ids(1, 10));
  });
});

it('9: a body that is cut off commits nothing of its chunk and is asked for again', async () => {
  recorder.intercept = ({ segmentRequest, response }) => {
    if (segmentRequest !== 2) return false;
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 5000 });
    response.write('[{"id":11,"timestamp_ms":1,"is_timestamp_from_source":0,"audio_data":[1,2,3]},{"id":12,"timest');
    setTimeout(() => response.destroy(), 20);
    return true;
  };
  const first = await sync();
  expect(first).toMatchObject({ drained: false, cursor: { lastId: 10 }, note: expect.stringContaining('broke off') });
  expect(idsOf(path)).toEqual(ids(1, 10));
  await sync({}, { cursor: first.cursor });
  expect(idsOf(path)).toEqual(ids(1, 40));
});

describe('10: names', () => {
  it.each(['../escaped', '/abs', '..', '.hidden', 'a/b', 'a\\b', 'nul\0', 'x'.repeat(201)])(
    '%j is refused before anything is asked or written',
    async (name) => {
      const leg = { ...legOf('show', { remoteUrl: recorder.url, localDir }), lane: name };
      await permanentFailure(runActivity(activities.copySegments, leg), 'ShowNameRefused');
      expect(recorder.requests).toEqual([]);
      expect(readdirSync(localDir)).toEqual([]);
    },
  );

  it.each(['what? #1', '100 %', 'odd name é', 'a+b&c=d'])(
    '%j is encoded in addresses and is its own file',
    async (name) => {
      recorder.shows.set(name, recorderShow(5));
      await sync({}, {}, {}, name);
      expect(readdirSync(localDir)).toEqual([`${name}.sqlite`]);
    },
  );

  it('a link under the show’s name is not followed', async () => {
    const elsewhere = join(newFolder('elsewhere'), 'target.sqlite');
    writeFileSync(elsewhere, '');
    symlinkSync(elsewhere, path);
    expect(await permanentFailure(sync(), 'ShowNameRefused')).toContain('link');
    expect(readFileSync(elsewhere)).toHaveLength(0);
  });

  it('two names equal but for case: the second is refused', async () => {
    recorder.shows.set('Show', recorderShow(5));
    await sync();
    expect(await permanentFailure(sync({}, {}, {}, 'Show'), 'ShowNameRefused')).toContain('differs only in case');
    expect(readdirSync(localDir)).toEqual(['show.sqlite']);
  });
});

describe('11: other writers', () => {
  it('a locked file is waited for', async () => {
    await sync();
    recorder.shows.set('show', recorderShow(45));
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    expect(await retryableFailure(sync())).toMatch(/Another process writes this file/);
    other.exec('COMMIT');
    other.close();
    await sync();
    expect(idsOf(path)).toEqual(ids(1, 45));
  });

  it('an attempt that was given up is refused by the file once its successor has it', async () => {
    let released = (): void => undefined;
    const held = new Promise<void>((resolve) => (released = resolve));
    recorder.intercept = ({ segmentRequest, path: target, response }) => {
      if (segmentRequest !== 2) return false;
      void held.then(() =>
        sendJson(
          response,
          200,
          JSON.stringify([{ id: 11, timestamp_ms: 1, is_timestamp_from_source: 0, audio_data: [66] }]),
        ),
      );
      return target.length > 0;
    };
    const zombie = sync({}, {}, { attempt: 1, runId: 'run' });
    while (!existsSync(path) || idsOf(path).length < 10) await new Promise((resolve) => setTimeout(resolve, 10));
    const successor = await sync({}, {}, { attempt: 2, runId: 'run' });
    expect(successor.drained).toBe(true);
    released();
    const refused = await zombie;
    expect(refused).toMatchObject({
      drained: false,
      note: expect.stringContaining('another run or attempt writes this file'),
    });
    expect(await retryableFailure(sync({}, {}, { attempt: 1, runId: 'run' }))).toContain(
      'attempt 2 of this leg writes it now',
    );
    expect(showContent(path).rows.map(({ audio_data }) => audio_data)).toEqual(
      ids(1, 40).map((id) => segmentOf(id).audio),
    );
  });
});

it('12: a recording is never a sync target, and is not touched', async () => {
  const recording = createRecording(path, {
    name: 'show',
    audioFormat: 'opus',
    splitInterval: 10,
    bitrate: 16,
    sampleRate: 48000,
  });
  appendSegments(recording, [{ timestamp_ms: 1, is_timestamp_from_source: 1, audio_data: Buffer.from([1]) }]);
  recording.close();
  const before = sha256(path);
  expect(await permanentFailure(sync(), 'NotARecipient')).toMatch(/is a recording/);
  expect(sha256(path)).toBe(before);
  expect(readdirSync(localDir)).toEqual(['show.sqlite']);
});

it('13: a show that is gone at the sender is that show’s result; its local file stays', async () => {
  await sync();
  recorder.shows.delete('show');
  expect(await permanentFailure(sync(), 'ShowGone')).toContain("Show 'show' not found");
  expect(idsOf(path)).toEqual(ids(1, 40));
});

it('14: a slow answer is waited for as long as bytes come; silence ends it', async () => {
  const slowly = audioActivities({ idleTimeoutMs: 300 });
  recorder.rewrite = null;
  recorder.intercept = ({ segmentRequest, response }) => {
    if (segmentRequest !== 1) return false;
    const text = JSON.stringify([{ id: 1, timestamp_ms: 1, is_timestamp_from_source: 1, audio_data: [1, 2, 3] }]);
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length });
    const pieces = text.match(/.{1,10}/g) ?? [];
    const next = (): void => {
      const piece = pieces.shift();
      if (piece === undefined) response.end();
      else response.write(piece, () => setTimeout(next, 100));
    };
    next();
    return true;
  };
  const leg = legOf('show', { remoteUrl: recorder.url, localDir });
  expect(await runActivity(slowly.copySegments, leg)).toMatchObject({ drained: true });
  recorder.intercept = ({ segmentRequest }) => segmentRequest > 0;
  recorder.shows.set('show', recorderShow(50));
  expect(await retryableFailure(runActivity(slowly.copySegments, leg))).toMatch(/silent for 0.3 s/);
});

it('15: a transaction is capped in bytes, not in rows: a chunk of large segments commits on the way', async () => {
  recorder.encoding = 'base64';
  recorder.shows.set('show', recorderShow(12, { bytes: 3 << 20 }));
  const positions: number[] = [];
  await sync(
    { chunkSize: 12 },
    {},
    { onHeartbeat: (details) => positions.push((details as CopySegmentsResult).cursor?.lastId ?? 0) },
  );
  expect(new Set(positions)).toEqual(new Set([0, 3, 6, 9, 12]));
});

it('16: a full disk blocks with the remedy, keeps the position, and goes on when there is room', async () => {
  await sync();
  recorder.shows.set('show', recorderShow(80, { bytes: 4000 }));
  recorder.shows.get('show')?.segments.splice(0, 40, ...recorderShow(40).segments);
  // A page limit makes SQLite itself say SQLITE_FULL; it belongs to a connection, so each gets it at its first pragma.
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this` below
  const pragma = Database.prototype.pragma;
  jest.spyOn(Database.prototype, 'pragma').mockImplementation(function (this: Database.Database, ...args) {
    pragma.call(this, 'max_page_count = 12');
    return pragma.apply(this, args);
  });
  expect(await permanentFailure(sync(), 'DiskFull')).toMatch(/Make room, then resume/);
  jest.restoreAllMocks();
  expect(showContent(path).metadata['last_synced_id']).toBe('40');
  await sync();
  expect(idsOf(path)).toEqual(ids(1, 80));
});

it('17: a missing last_synced_id is not guessed; rebase recovers it from the last segment when asked', async () => {
  await sync();
  const database = new Database(path);
  database.exec("DELETE FROM metadata WHERE key = 'last_synced_id'");
  database.close();
  recorder.shows.set('show', recorderShow(45));
  expect(await permanentFailure(sync(), 'ShowFileCorrupt')).toMatch(/rebase/);
  await runActivity(activities.rebaseShow, {
    remoteUrl: recorder.url,
    localDir,
    show: 'show',
    credentials: '',
    bandwidthLimit: 0,
  });
  await sync();
  expect(idsOf(path)).toEqual(ids(1, 45));
});

it('18: the target is fixed at the start, and the report says how far the sender is now', async () => {
  recorder.intercept = ({ segmentRequest }) => {
    const show = recorder.shows.get('show');
    if (segmentRequest > 0 && show !== undefined) show.segments.push(segmentOf(show.segments.length + 1));
    return false;
  };
  const result = await sync();
  expect(result).toMatchObject({
    drained: true,
    cursor: { lastId: 40, targetId: 40 },
    note: expect.stringMatching(/sender is now at 4\d/),
  });
  expect(idsOf(path)).toEqual(ids(1, 40));
});

it('19: a chunk size of 0 or over 5000 is refused by name', () => {
  expect(() => legOf('show', { remoteUrl: recorder.url, localDir, chunkSize: 0 })).toThrow(/chunkSize/);
  expect(() => legOf('show', { remoteUrl: recorder.url, localDir, chunkSize: 5001 })).toThrow(/chunkSize/);
});

it('20: a trailing slash in the address makes no difference', async () => {
  await sync({ remoteUrl: `${recorder.url}//` });
  expect(idsOf(path)).toEqual(ids(1, 40));
});

describe('21: a sender with nothing for us', () => {
  it('an empty show is nothing to do, not a failure, and makes no file', async () => {
    recorder.shows.set('show', recorderShow(0));
    expect(await sync()).toMatchObject({ drained: true, note: 'no segments at the sender' });
    expect(readdirSync(localDir)).toEqual([]);
  });

  it('a recipient is refused', async () => {
    recorder.shows.set('show', recorderShow(5, { isRecipient: true }));
    expect(await permanentFailure(sync(), 'ShowRefused')).toContain('Cannot sync from a recipient database');
  });
});

it('22: the index that the original’s recorder adds before it refuses a copy does not bother us', async () => {
  await sync();
  const database = new Database(path);
  database.exec('CREATE INDEX idx_segments_boundary ON segments(is_timestamp_from_source, timestamp_ms)');
  database.close();
  recorder.shows.set('show', recorderShow(45));
  await sync();
  expect(idsOf(path)).toEqual(ids(1, 45));
  expect(() => openForRecording(path)).toThrow('Cannot record to a recipient database');
});

it('23: a file of ours can be continued as the original does it, and one of the original’s by us', async () => {
  await sync();
  const original = new Database(path);
  // src/sync.rs: plain INSERT of each row, then the two positions, in one transaction.
  original.transaction(() => {
    for (const { id, timestampMs, flag, audio } of ids(41, 45).map((id) => segmentOf(id))) {
      original
        .prepare('INSERT INTO segments (id, timestamp_ms, is_timestamp_from_source, audio_data) VALUES (?, ?, ?, ?)')
        .run(id, timestampMs, flag, audio);
    }
    original.prepare("UPDATE metadata SET value = '45' WHERE key = 'last_synced_id'").run();
  })();
  original.exec('DROP TABLE waybill_writer; DROP TABLE waybill_holes');
  original.close();
  recorder.shows.set('show', recorderShow(60));
  await sync();
  expect(showContent(path).rows.map(({ audio_data }) => audio_data)).toEqual(
    ids(1, 60).map((id) => segmentOf(id).audio),
  );
  expect(Object.keys(showContent(path).metadata).sort()).toEqual([
    'audio_format',
    'bitrate',
    'is_recipient',
    'last_boundary_end_id',
    'last_synced_id',
    'name',
    'sample_rate',
    'source_unique_id',
    'split_interval',
    'unique_id',
    'version',
  ]);
});

describe('a malformed segment', () => {
  const poison =
    (id: number) =>
    (rows: string): string =>
      rows.replace(new RegExp(`("id":${id},[^}]*"audio_data":)\\[[^\\]]*\\]`), '$1"not audio"');

  it('is parked after three refusals, the others arrive, and a retry brings it home when it is mended', async () => {
    recorder.rewrite = poison(17);
    const cursor = (await sync()).cursor;
    expect(cursor.lastId).toBe(10);
    expect(await retryableFailure(sync({}, { cursor }, { attempt: 3 }))).toContain('segment 17');
    const result = await sync({}, { cursor }, { attempt: 4 });
    expect(result).toMatchObject({ drained: true, counts: { segments: 29, parked: 1 } });
    expect(result.parked).toMatchObject([{ lane: 'show', id: '17', reason: expect.stringContaining('strict base64') }]);
    expect(idsOf(path)).toEqual([...ids(1, 16), ...ids(18, 40)]);

    const again = await sync({}, { retry: result.parked });
    expect(again.parked).toMatchObject([{ id: '17', attempts: 2 }]);
    recorder.rewrite = null;
    expect(await sync({}, { retry: result.parked })).toMatchObject({ recovered: ['17'], parked: [] });
    expect(showContent(path)).toMatchObject({ holes: [] });
    expect(idsOf(path)).toEqual(ids(1, 40));
  });

  it('at the very end is stepped over for good: the next run goes on behind it', async () => {
    recorder.rewrite = poison(40);
    const { cursor } = await sync();
    const parked = await sync({}, { cursor }, { attempt: 4 });
    expect(parked).toMatchObject({ drained: true, cursor: { lastId: 40 } });
    recorder.shows.set('show', recorderShow(45));
    expect(await sync()).toMatchObject({ drained: true });
    expect(idsOf(path)).toEqual([...ids(1, 39), ...ids(41, 45)]);
  });
});

it('a folder that is none is a clear refusal', async () => {
  const file = join(newFolder('file'), 'in-the-way');
  writeFileSync(file, 'x');
  expect(await permanentFailure(sync({ localDir: join(file, 'shows') }), 'DirectoryUnwritable')).toMatch(
    /correct local_dir/,
  );
});

it('a file that is no database is refused and left alone', async () => {
  writeFileSync(path, 'this is not a database, only a text of some length to look like a file');
  const before = sha256(path);
  await permanentFailure(sync(), 'ShowFileCorrupt');
  expect(sha256(path)).toBe(before);
});

it('a folder on a file system that refuses new folders is a clear refusal, and comes at once', async () => {
  expect(await permanentFailure(sync({ localDir: '/proc/waybill/shows' }), 'DirectoryUnwritable')).toMatch(
    /correct local_dir/,
  );
});

it('a slow answer is committed as it comes, so that a pause or a crash in the middle of it loses little', async () => {
  recorder.shows.set('show', recorderShow(12, { bytes: 20_000 }));
  const positions = new Set<number>();
  await sync(
    { bandwidthLimit: 150_000, chunkSize: 100 },
    {},
    { onHeartbeat: (details) => positions.add((details as CopySegmentsResult).cursor?.lastId ?? 0) },
  );
  expect(positions.size).toBeGreaterThan(3);
  expect(idsOf(path)).toEqual(ids(1, 12));
});
