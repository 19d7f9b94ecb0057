/** What changes at a real sender while we are away or at work, and what of it must not harm a copy (edge cases 1 to 6). */
import { existsSync, readdirSync } from 'node:fs';
import Database from 'better-sqlite3';
import {
  activities,
  drop,
  ids,
  localDir,
  path,
  permanentFailure,
  recorder,
  retryableFailure,
  sha256,
  sync,
  useSyncCase,
} from '../support/sync-case';
import { recorderShow, segmentOf, sendJson } from '../peers/recorder';
import { idsOf, showContent } from '../support/show-rows';
import { runActivity } from '../support/activity';

useSyncCase();

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
