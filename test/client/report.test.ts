/** A run in words: while it goes, when it has ended, and looked at later. No server, no clock. */
import { audio } from '../../client/audio/command';
import { audioKnowledge } from '../../client/audio/knowledge';
import { exit } from '../../client/exit';
import type { Outcome } from '../../client/follow';
import { statusLines, type JobStatus } from '../../client/job-status';
import { didNothing, reportOf } from '../../client/report';
import { createViewer, progressLine } from '../../client/run-view';
import { lanesOf, type Snapshot } from '../../client/snapshot';
import { failureLines } from '../../client/verbs/failures';
import type { LaneState, RunResult } from '../../workflows/shared/run-state';

const lane = (name: string, more: Partial<LaneState<unknown>> = {}): LaneState<unknown> => ({
  lane: name,
  cursor: { lastId: 202, targetId: 202 },
  counts: { segments: 202, bytes: 4_200_000 },
  status: 'done',
  note: 'synced to 202',
  ...more,
});
const failedLane = lane('jazz_fm', {
  cursor: null,
  counts: {},
  status: 'failed',
  failure: { type: 'ShowGone', reason: 'no such show' },
});
const ended = (lanes: LaneState<unknown>[], more: Partial<RunResult<unknown>> = {}): Outcome => {
  const counts = { segments: 202, bytes: 4_200_000 };
  const result = { state: 'completed', lanes, parked: [], counts, lifetime: {}, startedAt: '2026-11-21T00:00:00Z' };
  return { kind: 'ended', result: { ...result, ...more } };
};
const subject = {
  job: audio,
  knowledge: audioKnowledge,
  id: 'audio/radio',
  name: 'radio',
  workflowId: 'audio/radio-1',
};
const report = (outcome: Outcome): ReturnType<typeof reportOf> => reportOf(outcome, subject);
const parkedItem = { lane: 'harbour_radio', id: '7', reason: 'not base64', attempts: 2 };

describe('the report of a run', () => {
  it('has a line a show', () => {
    const { lines, code } = report(
      ended([
        lane('harbour_radio'),
        lane('night', { counts: {} }),
        lane('sea', {
          counts: { segments: 1, bytes: 40, missing: 3 },
          note: 'synced to 202; the sender is now at 210',
        }),
        lane('empty', { cursor: null, counts: {}, note: 'no segments at the sender' }),
        lane('known', { status: 'idle' }),
      ]),
    );
    expect(lines).toEqual([
      'harbour_radio  synced to 202 (202 segments, 4.2 MB, 0 holes)',
      'night          up to date at 202',
      'sea            synced to 202 (1 segment, 40 B, 3 holes); the sender is now at 210',
      'empty          no segments at the sender',
    ]);
    expect(code).toBe(exit.ok);
  });

  it('ends with 5 if some went through, with 1 if none did', () => {
    const some = report(ended([lane('harbour_radio'), failedLane]));
    expect(some.lines[1]).toBe('jazz_fm        FAILED ShowGone: no such show');
    expect(some.code).toBe(exit.partial);
    expect(report(ended([failedLane])).code).toBe(exit.failed);
    expect(report(ended([lane('harbour_radio')], { parked: [parkedItem] })).code).toBe(exit.partial);
  });

  it('says where a cancelled run stopped', () => {
    const stopped = lane('harbour_radio', { status: 'waiting', cursor: { lastId: 99, targetId: 202 } });
    const { lines, remarks, code } = report(ended([stopped], { state: 'cancelled' }));
    expect(lines[0]).toContain('stopped at 99');
    expect(remarks).toEqual(['cancelled; the next run goes on from there']);
    expect(code).toBe(exit.failed);
  });

  it.each([
    ['SenderAuthRefused', exit.configuration],
    ['DirectoryUnwritable', exit.configuration],
    ['DiskFull', exit.failed],
    ['TooManyParked', exit.failed],
  ])('of a run blocked by %s ends with %d, and says how to go on', (type, code) => {
    const blocked = report({ kind: 'blocked', type, reason: 'mend it' });
    expect(blocked.code).toBe(code);
    expect(blocked.lines).toEqual([`run BLOCKED ${type}: mend it`]);
    expect(blocked.remarks.join()).toContain('waybill audio resume --job radio');
  });

  it('of one that is only no longer followed says how to follow, see and end it', () => {
    const { code, remarks } = report({ kind: 'detached' });
    expect(code).toBe(exit.interrupted);
    expect(remarks.join('\n')).toMatch(/audio run --job radio\n.*status --job radio\n.*cancel --job radio/);
    expect(report({ kind: 'unreachable', reason: 'refused' }).code).toBe(exit.unreachable);
  });

  it('knows a run that had nothing to do', () => {
    expect(didNothing(ended([lane('a')], { counts: {} }))).toBe(true);
    expect(didNothing(ended([lane('a')]))).toBe(false);
    expect(didNothing({ kind: 'detached' })).toBe(false);
  });
});

describe('progress', () => {
  const snapshot = (lastId: number, legBytes: number): Snapshot => ({
    status: 'RUNNING',
    progress: {
      phase: 'running',
      lanes: [
        lane('done_show'),
        lane('show', { status: 'running', cursor: { lastId: 1, targetId: 101 }, counts: { bytes: 5000 } }),
      ],
      parked: [],
    } as unknown as Snapshot['progress'],
    pending: [
      {
        type: 'copySegments',
        attempt: 1,
        leg: {
          ...{ lane: 'show', cursor: { lastId, targetId: 101 }, counts: { segments: lastId - 1, bytes: legBytes } },
          ...{ drained: false, parked: [], recovered: [] },
        },
        failure: null,
        waiting: false,
        queue: 'waybill-audio@studio',
      },
    ],
    legs: [],
    parts: [],
    waiting: false,
    taskAttempt: 0,
  });

  it('adds the leg in hand to what the workflow knows, and tells rate and time left', () => {
    const view = createViewer(audioKnowledge.place);
    view(snapshot(11, 1_000_000), 0);
    const seen = view(snapshot(51, 5_000_000), 2000);
    expect(seen.lanes[1]).toMatchObject({ position: 51, target: 101, bytesPerSecond: 2_000_000, secondsLeft: 2.5 });
    expect(progressLine(seen, 'show')).toBe('running: 1 of 2 shows done, show 51 of 101 (3 s left), 9.2 MB, 2.0 MB/s');
  });

  it('adds a leg that is a workflow of its own just the same, and only to its lane', () => {
    const leg = { lane: 'show', cursor: { lastId: 21, targetId: 101 }, counts: { bytes: 700 }, drained: false };
    const told = { ...snapshot(1, 0), pending: [], legs: [{ ...leg, parked: [], recovered: [] }] };
    expect(lanesOf(told).map(({ cursor, counts }) => [cursor, counts['bytes']])).toEqual([
      [{ lastId: 202, targetId: 202 }, 4_200_000],
      [{ lastId: 21, targetId: 101 }, 5700],
    ]);
  });

  it('says what it waits for while there are no shows', () => {
    const nobody = { ...snapshot(1, 0), progress: null, pending: [] };
    expect(progressLine(createViewer(audioKnowledge.place)(nobody, 0), 'show')).toBe('waiting for a worker');
  });
});

it('failures are a line each', () => {
  expect(failureLines([failedLane], [parkedItem])).toEqual([
    'jazz_fm        ShowGone            no such show',
    'harbour_radio  parked 7 (tried 2)  not base64',
  ]);
});

describe('the status of a job', () => {
  const now = new Date('2026-11-21T00:01:00Z');
  const status: JobStatus = {
    job: 'audio/radio',
    name: 'radio',
    intervalSeconds: 60,
    nextAt: '2026-11-21T00:01:40Z',
    paused: null,
    settings: {},
    summary: 'every show of http://recorder:3000 into /srv/radio',
    queue: 'waybill-audio@studio',
    workers: ['1@studio'],
    run: null,
    lastRun: null,
    beside: [],
  };
  const lines = (more: Partial<JobStatus>): string =>
    statusLines({ ...status, ...more }, audio, audioKnowledge, now).join('\n');

  it('says when it runs', () => {
    expect(lines({})).toContain('audio/radio: every 1 min, next in 40 s');
    expect(lines({ intervalSeconds: null })).toContain('audio/radio: runs when asked');
    expect(lines({ paused: 'disk' })).toContain('audio/radio: PAUSED: disk');
  });

  it('says who is missing, and what runs beside it', () => {
    expect(lines({ workers: [] })).toContain(
      'NO WORKER takes tasks of waybill-audio@studio: `waybill worker --job audio`',
    );
    expect(lines({ beside: ['by-hand'] })).toContain('BESIDE the job: by-hand');
  });

  it('shows the run with its positions and its trouble', () => {
    const run = {
      ...{ workflowId: 'audio/radio-1', startedAt: '2026-11-21T00:00:00Z', phase: 'running', reason: null },
      ...{ lanes: [lane('harbour_radio', { status: 'running', cursor: { lastId: 50, targetId: 202 } }), failedLane] },
      ...{ counts: { segments: 50, bytes: 6_000_000 }, parked: [parkedItem] },
      trouble: [{ activity: 'copySegments', attempt: 4, message: 'refused' }],
    };
    const text = lines({ run });
    expect(text).toContain('run audio/radio-1: running');
    expect(text).toContain('since 1 min: 50 segments, 6.0 MB, 0 holes, 100 kB/s');
    expect(text).toMatch(/harbour_radio +running +50 of 202/);
    expect(text).toMatch(/jazz_fm +failed +- .*ShowGone: no such show/);
    expect(text).toContain('copySegments, attempt 4: refused');
    expect(text).toContain('1 record parked: waybill audio failures --job radio');
  });
});
