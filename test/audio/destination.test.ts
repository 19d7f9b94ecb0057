/** What a ShowArchive promises: order, one writer, holes on record, and after any crash a state that was once committed. */
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { openShowArchive, type ShowArchive } from '../../activities/audio/destination';
import type { Segment } from '../../activities/audio/segment-parser';
import type { SegmentBatch, SourceMetadata } from '../../activities/audio/source';
import { StaleWriter, type Writer } from '../../activities/audio/sqlite-archive';
import { emptyModel, positionOf, stateOfModel, step, type Model, type Step } from '../support/archive-model';
import { newFolder, removeFolders } from '../support/folders';
import { showContent, type ShowContent } from '../support/show-rows';

const source: SourceMetadata = {
  uniqueId: 'db_a1B2c3D4e5F6',
  audioFormat: 'opus',
  splitInterval: '10',
  bitrate: '16',
  sampleRate: '48000',
  version: '1',
  minId: 1,
  maxId: 1000,
};

let dir: string;
let path: string;
const open: ShowArchive[] = [];
beforeEach(() => inNewFolder());
afterEach(() => {
  for (const archive of open.splice(0)) archive.close();
});
afterAll(removeFolders);

function inNewFolder(): void {
  dir = newFolder('archive');
  path = join(dir, 'show.sqlite');
}
function openArchive(writer: Partial<Writer> = {}, from = dir): ShowArchive {
  const options = { dir: from, show: 'show', source, strict: false };
  const archive = openShowArchive({ ...options, writer: { run: 'run/1', attempt: 1, ...writer } });
  open.push(archive);
  return archive;
}
const segment = (id: number, isTimestampFromSource: 0 | 1 = 0): Segment => {
  return { id, timestampMs: 1000 + id * 10, isTimestampFromSource, audio: Buffer.from(`audio ${id}`) };
};
const batch = (...segments: Segment[]): SegmentBatch => ({ segments, release: () => undefined });
const ids = (...wanted: number[]): SegmentBatch => batch(...wanted.map((id) => segment(id)));
const idsIn = ({ rows }: ShowContent): number[] => rows.map(({ id }) => id);

describe('append', () => {
  it('keeps a batch and moves the position to its last id', () => {
    const archive = openArchive();
    expect(archive.position).toBe(0);
    expect(archive.append(ids(1, 2, 3))).toEqual({ segments: 3, bytes: 21, missing: 0 });
    expect(archive.position).toBe(3);
    expect(showContent(path).metadata['last_synced_id']).toBe('3');
    expect(showContent(path).rows[1]).toEqual({
      id: 2,
      timestamp_ms: 1020,
      is_timestamp_from_source: 0,
      audio_data: Buffer.from('audio 2'),
    });
  });

  it('of an empty batch does nothing', () => {
    expect(openArchive().append(ids())).toEqual({ segments: 0, bytes: 0, missing: 0 });
  });

  it('of the same batch twice is refused, and changes nothing', () => {
    const archive = openArchive();
    archive.append(ids(1, 2, 3));
    const before = showContent(path);
    expect(() => archive.append(ids(1, 2, 3))).toThrow();
    expect(showContent(path)).toEqual(before);
    archive.append(ids(4));
    expect(idsIn(showContent(path))).toEqual([1, 2, 3, 4]);
  });

  it('keeps all of a batch or none', () => {
    const archive = openArchive();
    archive.append(ids(1));
    const before = showContent(path);
    expect(() => archive.append(ids(2, 5, 3, 2))).toThrow();
    expect(showContent(path)).toEqual(before);
    expect(archive.position).toBe(1);
  });

  it('records what is missing between segments, but not before the first one of a new file', () => {
    const archive = openArchive();
    expect(archive.append(ids(500, 503)).missing).toBe(2);
    expect(archive.append(ids(510)).missing).toBe(6);
    expect(showContent(path).holes).toEqual([
      { from_id: 501, to_id: 502, reason: 'absent at the sender' },
      { from_id: 504, to_id: 509, reason: 'absent at the sender' },
    ]);
  });

  it('keeps where the last connection before a boundary ended', () => {
    const archive = openArchive();
    archive.append(batch(segment(1, 1), segment(2), segment(3, 1), segment(4)));
    expect(showContent(path).metadata['last_boundary_end_id']).toBe('2');
  });
});

describe('the fence', () => {
  it('refuses an attempt once a later one has opened the file, and the later one goes on', () => {
    const first = openArchive({ attempt: 1 });
    first.append(ids(1, 2));
    const second = openArchive({ attempt: 2 });
    expect(() => first.append(ids(3))).toThrow(StaleWriter);
    expect(() => first.stepOver(3, 3, 'parked')).toThrow(StaleWriter);
    expect(() => first.insertLate(segment(3))).toThrow(StaleWriter);
    expect(second.position).toBe(2);
    second.append(ids(3));
    expect(idsIn(showContent(path))).toEqual([1, 2, 3]);
  });

  it('does not let an attempt that was given up take the file back', () => {
    openArchive({ attempt: 2 });
    expect(() => openArchive({ attempt: 1 })).toThrow(StaleWriter);
  });

  it('lets another run take over, and refuses the one before', () => {
    const first = openArchive({ run: 'run/1', attempt: 7 });
    const second = openArchive({ run: 'run/2', attempt: 1 });
    expect(() => first.append(ids(1))).toThrow(StaleWriter);
    second.append(ids(1));
  });
});

describe('parked segments', () => {
  it('are stepped over, also by who opens the file later', () => {
    const archive = openArchive();
    archive.append(ids(1, 2));
    archive.stepOver(3, 3, 'parked: malformed');
    archive.stepOver(3, 3, 'parked: malformed');
    archive.stepOver(4, 4, 'parked: malformed');
    expect(archive.position).toBe(4);
    expect(openArchive({ attempt: 2 }).position).toBe(4);
    expect(showContent(path).metadata['last_synced_id']).toBe('2');
  });

  it('come to their place late, once', () => {
    const archive = openArchive();
    archive.append(ids(1));
    archive.stepOver(2, 2, 'parked: malformed');
    archive.append(ids(3));
    archive.insertLate(segment(2));
    archive.insertLate(segment(2));
    expect(idsIn(showContent(path))).toEqual([1, 2, 3]);
    expect(showContent(path).holes).toEqual([]);
    expect(archive.position).toBe(3);
  });

  it('that came late at the end carry the position on over those parked after them', () => {
    const archive = openArchive();
    archive.append(ids(1));
    for (const id of [2, 3]) archive.stepOver(id, id, 'parked: malformed');
    archive.insertLate(segment(2));
    expect(archive.position).toBe(3);
    archive.append(ids(4));
    expect(idsIn(showContent(path))).toEqual([1, 2, 4]);
    expect(showContent(path).holes).toEqual([{ from_id: 3, to_id: 3, reason: 'parked: malformed' }]);
  });
});

/** An archive and its model, taken through the same steps. */
function rehearsal(): { take(next: Step): void; model: Model; archive(): ShowArchive } {
  const model = emptyModel();
  let attempt = 1;
  let archive = openArchive({ attempt });
  const next = (): ShowArchive => {
    attempt += 1;
    return openArchive({ attempt });
  };
  const append = (segments: { gap: number; flag: 0 | 1 }[]): void => {
    const start = positionOf(model);
    let previous = start;
    const made = segments.map(({ gap, flag }, index) => {
      const id = previous + 1 + gap;
      if (gap > 0 && !(start === 0 && index === 0)) model.holes.set(previous + 1, { to: id - 1, parked: false });
      if (flag === 1) model.boundaryEnd = previous;
      model.rows.set(id, flag);
      previous = id;
      return segment(id, flag);
    });
    archive.append(batch(...made));
    model.lastSynced = previous;
  };
  const late = (which: number): void => {
    const parked = [...model.holes].filter(([, hole]) => hole.parked).map(([id]) => id);
    const id = parked[which % Math.max(1, parked.length)];
    if (id === undefined) return;
    archive.insertLate(segment(id));
    model.holes.delete(id);
    model.rows.set(id, 0);
    model.lastSynced = Math.max(model.lastSynced, id);
  };
  const take = (each: Step): void => {
    const position = positionOf(model);
    switch (each.kind) {
      case 'append':
        return append(each.segments);
      case 'refused': {
        const good = Array.from({ length: each.good }, (_, index) => segment(position + 1 + index, 1));
        expect(() => archive.append(batch(...good, segment(position + 1)))).toThrow();
        return;
      }
      case 'park':
        archive.stepOver(position + 1, position + 1, 'parked: malformed');
        model.holes.set(position + 1, { to: position + 1, parked: true });
        return;
      case 'late':
        return late(each.which);
      case 'reopen':
        archive.close();
        archive = next();
        return;
      case 'overtaken': {
        const before = archive;
        archive = next();
        expect(() => before.append(ids(position + 1))).toThrow(StaleWriter);
        before.close();
      }
    }
  };
  return { take, model, archive: () => archive };
}

const stateOf = (file: string): string => {
  const { rows, holes, metadata } = showContent(file);
  return JSON.stringify([
    rows.map(({ id, is_timestamp_from_source: flag, audio_data: audio }) => [id, flag, audio.toString()]),
    holes.map(({ from_id: from, to_id: to, reason }) => [from, to, reason.startsWith('parked')]),
    [metadata['last_synced_id'], metadata['last_boundary_end_id']],
  ]);
};
describe('whatever comes, in whatever order', () => {
  it('the file holds what the model holds, and stands where it stands', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        inNewFolder();
        const { take, model, archive } = rehearsal();
        for (const each of steps) {
          take(each);
          expect(stateOf(path)).toBe(stateOfModel(model));
          expect(archive().position).toBe(positionOf(model));
        }
        for (const each of open.splice(0)) each.close();
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it('a crash, with its last writes cut off anywhere, leaves a state that was committed once', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 10 }), fc.nat(), (steps, cut) => {
        inNewFolder();
        const { take, model, archive } = rehearsal();
        const committed = [stateOfModel(model)];
        for (const each of steps) {
          take(each);
          committed.push(stateOfModel(model));
        }
        const crashed = crashedCopy(cut);
        expect(committed).toContain(stateOf(join(crashed, 'show.sqlite')));
        // And who comes after goes on from there.
        const after = openArchive({ run: 'run/2' }, crashed);
        after.append(ids(after.position + 1));
        archive().close();
        for (const each of open.splice(0)) each.close();
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});

/** The file as a kill -9 leaves it, its write-ahead log torn at some byte. Returns its folder. */
function crashedCopy(cut: number): string {
  const folder = newFolder('crashed');
  copyFileSync(path, join(folder, 'show.sqlite'));
  if (existsSync(`${path}-wal`)) {
    const log = readFileSync(`${path}-wal`);
    writeFileSync(join(folder, 'show.sqlite-wal'), log.subarray(0, cut % (log.length + 1)));
  }
  return folder;
}
