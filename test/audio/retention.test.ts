/** The original's rule to the segment, and that no file's trouble is another's. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { deleteExpired } from '../../activities/audio/retention';
import { makeRecording } from '../support/recordings';

const hourMs = 3_600_000;
const startMs = 1_800_000_000_000;
let dir: string;

beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'retention-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const file = (name: string) => join(dir, `${name}.sqlite`);

/** Segments 1 to 30 of an hour each; connections begin at 1, 11 and 21, so after 0, 10 and 20 hours. */
const record = (name: string) =>
  makeRecording(file(name), {
    name,
    segments: 30,
    bytesPerSegment: 100,
    boundaryEvery: 10,
    startMs,
    splitInterval: 3600,
  });

/** Retention of 5 hours, so many hours after the recording began. */
const trimAt = (hour: number, dryRun = false, extraMs = 0) =>
  deleteExpired({ dir, hours: 5, dryRun, nowMs: startMs + hour * hourMs + extraMs });

function idsOf(name: string): unknown[] {
  const database = new Database(file(name));
  try {
    return database.prepare('SELECT id FROM segments ORDER BY id').pluck().all();
  } finally {
    database.close();
  }
}

function alter(name: string, statement: string): void {
  const database = new Database(file(name));
  database.exec(statement);
  database.close();
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const hashOf = (name: string) =>
  createHash('sha256')
    .update(readFileSync(file(name)))
    .digest('hex');

describe('the boundary', () => {
  it('is the newest that is older than the cutoff: all of its connection stays, all before it goes', () => {
    record('show');
    expect(trimAt(22)).toEqual([{ show: 'show', deleted: 10, keptFromId: 11 }]);
    expect(idsOf('show')).toEqual(range(11, 30));
  });

  it('counts only once the cutoff is past it, by a millisecond', () => {
    record('show');
    expect(trimAt(15)).toEqual([{ show: 'show', deleted: 0, keptFromId: 1 }]);
    expect(trimAt(15, false, 1)).toEqual([{ show: 'show', deleted: 10, keptFromId: 11 }]);
  });

  it('is none while everything is young: nothing goes', () => {
    record('show');
    expect(trimAt(5)).toEqual([{ show: 'show', deleted: 0, keptFromId: null }]);
    expect(idsOf('show')).toEqual(range(1, 30));
  });

  it('keeps the last connection, however old', () => {
    record('show');
    expect(trimAt(100_000)).toEqual([{ show: 'show', deleted: 20, keptFromId: 21 }]);
    expect(idsOf('show')).toEqual(range(21, 30));
  });

  it('is found by id where clocks went backwards, as the original finds it', () => {
    record('show');
    alter('show', `UPDATE segments SET timestamp_ms = ${startMs} WHERE id = 21`);
    expect(trimAt(7)).toEqual([{ show: 'show', deleted: 20, keptFromId: 21 }]);
  });
});

it('deletes nothing more when it is repeated', () => {
  record('show');
  trimAt(22);
  expect(trimAt(22)).toEqual([{ show: 'show', deleted: 0, keptFromId: 11 }]);
});

it('only tells what would go when it is a dry run', () => {
  record('show');
  const before = hashOf('show');
  expect(trimAt(22, true)).toEqual([{ show: 'show', deleted: 10, keptFromId: 11 }]);
  expect([hashOf('show'), readdirSync(dir)]).toEqual([before, ['show.sqlite']]);
});

it('leaves a recipient as it is, to the byte, and says why', () => {
  record('copy');
  alter('copy', "UPDATE metadata SET value = 'true' WHERE key = 'is_recipient'");
  const before = hashOf('copy');
  expect(trimAt(100)).toMatchObject([
    { show: 'copy', deleted: 0, skipped: expect.stringContaining('recipient') as string },
  ]);
  expect([hashOf('copy'), readdirSync(dir)]).toEqual([before, ['copy.sqlite']]);
});

it.each([
  ['says not what it is', "DELETE FROM metadata WHERE key = 'is_recipient'", 'not a recording'],
  ['is of a later version', "UPDATE metadata SET value = '4' WHERE key = 'version'", 'version 4'],
  ['has no segments table', 'DROP TABLE segments', 'no such table: segments'],
])('leaves a file alone that %s', (_, statement, reason) => {
  record('show');
  alter('show', statement);
  expect(trimAt(100)).toMatchObject([{ show: 'show', deleted: 0, skipped: expect.stringContaining(reason) as string }]);
});

it('goes on to the next file past one that is damaged or locked, and throws for none', () => {
  for (const name of ['a locked', 'c fine', 'd cut']) record(name);
  writeFileSync(file('b garbage'), 'no database'.repeat(500));
  writeFileSync(file('d cut'), readFileSync(file('d cut')).subarray(0, 5000));
  symlinkSync(file('c fine'), file('e link'));
  writeFileSync(join(dir, 'notes.txt'), 'not a show');
  const recorder = new Database(file('a locked'));
  recorder.exec('BEGIN IMMEDIATE');
  const outcomes = trimAt(22);
  recorder.close();
  expect(outcomes).toEqual([
    { show: 'a locked', deleted: 0, keptFromId: null, skipped: 'database is locked' },
    { show: 'b garbage', deleted: 0, keptFromId: null, skipped: 'file is not a database' },
    { show: 'c fine', deleted: 10, keptFromId: 11 },
    {
      show: 'd cut',
      deleted: 0,
      keptFromId: null,
      skipped: expect.stringMatching(/malformed|not a database|disk I\/O/) as string,
    },
  ]);
  expect(idsOf('a locked')).toEqual(range(1, 30));
}, 20_000);

it('says which folder is not there', () => {
  expect(() => deleteExpired({ dir: join(dir, 'gone'), hours: 1, dryRun: false, nowMs: 0 })).toThrow('no such folder');
});
