/** Who may record where: a recipient's file stays as it is, to the byte; a recording is what the original would make. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { appendSegments, createRecording, openForRecording, recipientRefusal } from '../../activities/audio/recording';
import {
  openReadOnly,
  readMetadata,
  recipientSchema,
  showPath,
  ShowPathRefused,
} from '../../activities/audio/show-file';
import { makeRecording } from '../support/recordings';

let dir: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'recording-'));
  path = join(dir, 'show.sqlite');
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

const metadata = { name: 'show', audioFormat: 'opus', splitInterval: 10, bitrate: 16, sampleRate: 48000 } as const;
const fileState = () => [readdirSync(dir), createHash('sha256').update(readFileSync(path)).digest('hex')];

function makeRecipient(journalMode: 'WAL' | 'DELETE', version = '1'): void {
  const database = new Database(path);
  database.pragma(`journal_mode = ${journalMode}`);
  for (const statement of recipientSchema) database.exec(statement);
  const rows = { version, unique_id: 'local_1', name: 'show', is_recipient: 'true', source_unique_id: 'db_1' };
  const insert = database.prepare('INSERT INTO metadata VALUES (?, ?)');
  for (const row of Object.entries(rows)) insert.run(row);
  database.close();
}

describe('a recipient database', () => {
  it.each(['WAL', 'DELETE'] as const)(
    'in %s mode is refused for recording in the original’s words, untouched',
    (mode) => {
      makeRecipient(mode);
      const before = fileState();
      expect(before[0]).toEqual(['show.sqlite']);
      expect(() => openForRecording(path, metadata)).toThrow(
        'Cannot record to a recipient database. This database is configured for syncing only.',
      );
      expect(() => openForRecording(path)).toThrow(recipientRefusal);
      expect(() => createRecording(path, metadata)).toThrow('the file exists');
      expect(fileState()).toEqual(before);
    },
  );

  it('of a version we do not know is refused as a recipient all the same', () => {
    makeRecipient('WAL', '4');
    expect(() => openForRecording(path, metadata)).toThrow(recipientRefusal);
  });

  it('is refused while its receiver has it open, and the receiver goes on', () => {
    makeRecipient('WAL');
    const receiver = new Database(path);
    receiver.exec("INSERT INTO segments VALUES (7, 1, 0, x'00')");
    expect(() => openForRecording(path, metadata)).toThrow(recipientRefusal);
    receiver.exec("INSERT INTO segments VALUES (8, 2, 0, x'00')");
    expect(receiver.prepare('SELECT COUNT(*) FROM segments').pluck().get()).toBe(2);
    receiver.close();
  });
});

describe('a recording', () => {
  it('has the original’s tables, index, metadata and journal', () => {
    createRecording(path, metadata).close();
    const database = new Database(path);
    const names = database.prepare('SELECT name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name').pluck().all();
    expect(names).toEqual(['idx_segments_boundary', 'metadata', 'segments', 'sqlite_sequence']);
    expect(database.pragma('journal_mode', { simple: true })).toBe('wal');
    const { unique_id, ...rest } = Object.fromEntries(readMetadata(database));
    expect(unique_id).toMatch(/^db_[A-Za-z0-9]{12}$/);
    expect(rest).toEqual({
      version: '1',
      name: 'show',
      audio_format: 'opus',
      split_interval: '10',
      bitrate: '16',
      sample_rate: '48000',
      is_recipient: 'false',
    });
    database.close();
  });

  it('has the very schema of a recording that the original made', () => {
    createRecording(path, metadata).close();
    expect(schemaOf(path)).toEqual(schemaOf(join(__dirname, '../data/audio/harbour_radio.sqlite')));
  });

  it('goes on where it was, with ids never used before', () => {
    const segment = { timestamp_ms: 1, is_timestamp_from_source: 1, audio_data: Buffer.from([1]) } as const;
    const first = openForRecording(path, metadata);
    expect(appendSegments(first, [segment, segment])).toEqual([1, 2]);
    first.exec('DELETE FROM segments');
    first.close();
    const second = openForRecording(path, metadata);
    expect(appendSegments(second, [segment])).toEqual([3]);
    second.close();
  });

  it('whose creation was cut short is made whole', () => {
    const database = new Database(path);
    database.exec(
      "CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL); INSERT INTO metadata VALUES ('version', '1')",
    );
    database.close();
    openForRecording(path, { ...metadata, uniqueId: 'db_given' }).close();
    expect(metadataAt(path).get('unique_id')).toBe('db_given');
  });

  it.each([
    [{ ...metadata, name: 'other' }, "Config mismatch: database has name 'show' but config specifies 'other'"],
    [{ ...metadata, bitrate: 32 }, "Config mismatch: database has bitrate '16' but config specifies '32'"],
  ])('that does not fit the wish %# is refused, untouched', (wish, message) => {
    createRecording(path, metadata).close();
    const before = fileState();
    expect(() => openForRecording(path, wish)).toThrow(message);
    expect(fileState()).toEqual(before);
  });

  it('is not made of a file that is none, nor out of nothing without metadata', () => {
    expect(() => openForRecording(path)).toThrow('Create it first');
    writeFileSync(path, 'no database'.repeat(200));
    const before = fileState();
    expect(() => openForRecording(path, metadata)).toThrow('file is not a database');
    expect(fileState()).toEqual(before);
  });

  it('made from a seed is the same audio every time, with the ids and holes asked for', () => {
    const recipe = {
      name: 'show',
      segments: 5,
      bytesPerSegment: 100,
      boundaryEvery: 2,
      ids: [3, 4, 9, 10, 500],
      holes: [9],
    };
    const made = [path, join(dir, 'again.sqlite')].map((file) => makeRecording(file, { ...recipe, seed: 3 }));
    const rowsAt = (file: string) => withReader(file, (database) => database.prepare('SELECT * FROM segments').all());
    expect(made[0]?.ids).toEqual([3, 4, 10, 500]);
    expect(rowsAt(path)).toEqual(rowsAt(join(dir, 'again.sqlite')));
    expect(rowsAt(path)).toMatchObject([{ id: 3, is_timestamp_from_source: 1 }, { id: 4 }, { id: 10 }, { id: 500 }]);
  });
});

describe('looking at a show', () => {
  it('cannot write, and leaves nothing beside a quiet file in WAL mode', () => {
    makeRecording(path, { name: 'show', segments: 3 });
    const before = fileState();
    const database = openReadOnly(path);
    expect(() => database.exec('DELETE FROM segments')).toThrow(/readonly/);
    expect(readMetadata(database).get('name')).toBe('show');
    database.close();
    expect(fileState()).toEqual(before);
  });

  it('takes away nothing that a recorder has open', () => {
    const recorder = createRecording(path, metadata);
    appendSegments(recorder, [{ timestamp_ms: 1, is_timestamp_from_source: 1, audio_data: Buffer.from([1]) }]);
    const before = readdirSync(dir);
    expect(metadataAt(path).get('name')).toBe('show');
    expect(readdirSync(dir)).toEqual(before);
    recorder.close();
  });

  it('never makes a file that is not there', () => {
    expect(() => openReadOnly(path)).toThrow();
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe('the place of a show', () => {
  it('is in the folder, whatever the way to the folder', () => {
    symlinkSync(dir, join(dir, 'way'));
    expect(showPath(join(dir, 'way'), 'odd name é')).toBe(showPath(dir, 'odd name é'));
  });

  it.each(['', '.', '..', '../up', 'a/b', 'a\\b', '.hidden', 'a\0b', 'x'.repeat(201)])('is refused for %j', (name) => {
    expect(() => showPath(dir, name)).toThrow(ShowPathRefused);
  });

  it('is refused where a link stands, even one that leads nowhere', () => {
    symlinkSync(join(dir, 'nowhere'), join(dir, 'linked.sqlite'));
    expect(() => showPath(dir, 'linked')).toThrow('is a link');
  });
});

function withReader<Result>(file: string, read: (database: Database.Database) => Result): Result {
  const database = openReadOnly(file);
  try {
    return read(database);
  } finally {
    database.close();
  }
}

const metadataAt = (file: string) => withReader(file, readMetadata);

function schemaOf(file: string): unknown[] {
  const rows = withReader(file, (database) =>
    database.prepare('SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name').pluck().all(),
  );
  return rows.map((sql) => String(sql).replace(/\s+/g, ' '));
}
