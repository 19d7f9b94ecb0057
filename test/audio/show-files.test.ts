/** What a real disk and other programs do to a show’s file (edge cases 10 to 13, 16, 17, 22, 23). */
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import {
  activities,
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
import { legOf, runActivity } from '../support/activity';
import { newFolder } from '../support/folders';
import { appendSegments, createRecording, openForRecording } from '../../activities/audio/recording';

useSyncCase();

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

it('16: a full disk blocks with the remedy, keeps the position, and goes on when there is room', async () => {
  await sync();
  recorder.shows.set('show', recorderShow(80, { bytes: 4000 }));
  recorder.shows.get('show')?.segments.splice(0, 40, ...recorderShow(40).segments);
  // A page limit makes SQLite itself say SQLITE_FULL; it belongs to a connection, so each gets it at its first pragma.
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
