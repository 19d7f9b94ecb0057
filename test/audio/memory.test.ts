/** What a worker process holds in memory while it copies: bounded, however long a show is and however large a segment. */
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { ShowCursor } from '../../activities/audio/contract';
import type { Encoding } from '../../servers/audio/encode';
import type { RunResult } from '../../workflows/shared/run-state';
import { startFeedProcess } from '../support/feed';
import { newFolder, removeFolders } from '../support/folders';
import { workerProcess } from '../support/processes';
import { makeRecording } from '../support/recordings';
import { startTemporal, type TemporalServer } from '../support/temporal';

const host = 'memory';
const encodings: readonly Encoding[] = ['integers', 'base64'];
let server: TemporalServer;

beforeAll(async () => {
  server = await startTemporal();
});
afterAll(async () => {
  await server.stop();
  removeFolders();
});

interface Copied {
  readonly result: RunResult<ShowCursor>;
  readonly path: string;
  /** The most memory that the worker process ever had: its start, Node and Temporal's SDK included. */
  readonly peakMiB: number;
}

/** One run by a worker of its own, started for it. */
async function copied(dir: string, encoding: Encoding, chunkSize: number): Promise<Copied> {
  // Of this job alone: what the others' libraries take is theirs.
  const worker = workerProcess(server.address, host, { WAYBILL_WORKER_JOBS: 'audio' });
  const feed = await startFeedProcess(dir, encoding);
  const localDir = newFolder('recv');
  try {
    await worker.start();
    const run = await server.client.workflow.start('audioSync', {
      taskQueue: `waybill-audio@${host}`,
      workflowId: `audio/memory-${randomUUID()}`,
      args: [{ remoteUrl: feed.url, localDir, shows: ['show'], chunkSize }],
    });
    const result = (await run.result()) as RunResult<ShowCursor>;
    const leg = (await run.fetchHistory()).events?.find(({ activityTaskStartedEventAttributes: leg }) => leg);
    // A worker calls itself PID@HOST.
    const pid = parseInt(leg?.activityTaskStartedEventAttributes?.identity ?? '', 10);
    return { result, path: join(localDir, 'show.sqlite'), peakMiB: peakMiBOf(pid) };
  } finally {
    await worker.stop();
    feed.stop();
  }
}

function peakMiBOf(pid: number): number {
  const kibibytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) / 1024;
}

function sha256Of(path: string, id: number): string {
  const database = new Database(path, { fileMustExist: true });
  try {
    const audio = database.prepare<[number], Buffer>('SELECT audio_data FROM segments WHERE id = ?').pluck().get(id);
    return createHash('sha256')
      .update(audio ?? '')
      .digest('hex');
  } finally {
    database.close();
  }
}

describe('20,000 segments, 500 an answer', () => {
  const dir = newFolder('send');
  beforeAll(() => {
    makeRecording(join(dir, 'show.sqlite'), { name: 'show', segments: 20_000, bytesPerSegment: 4096 });
  });

  it.each(encodings)('come as %s with at most 256 MiB', async (encoding) => {
    const { result, path, peakMiB } = await copied(dir, encoding, 500);
    expect(result.lanes).toMatchObject([{ status: 'done', cursor: { lastId: 20_000 } }]);
    expect(result.counts).toEqual({ segments: 20_000, bytes: 20_000 * 4096 });
    expect(sha256Of(path, 20_000)).toBe(sha256Of(join(dir, 'show.sqlite'), 20_000));
    expect(peakMiB).toBeLessThanOrEqual(256);
  });
});

describe('one segment of 128 MiB, between two small ones', () => {
  const bytes = 128 << 20;
  const dir = newFolder('send');
  beforeAll(() => {
    const path = join(dir, 'show.sqlite');
    makeRecording(path, { name: 'show', segments: 3, bytesPerSegment: 21_000, splitInterval: 0 });
    const database = new Database(path);
    database.prepare('UPDATE segments SET audio_data = randomblob(?) WHERE id = 2').run(bytes);
    database.close();
  });

  it.each(encodings)('comes as %s with at most 512 MiB, every bit of it', async (encoding) => {
    const { result, path, peakMiB } = await copied(dir, encoding, 100);
    expect(result.lanes).toMatchObject([{ status: 'done', cursor: { lastId: 3 } }]);
    expect(result.counts).toEqual({ segments: 3, bytes: bytes + 2 * 21_000 });
    for (const id of [1, 2, 3]) expect(sha256Of(path, id)).toBe(sha256Of(join(dir, 'show.sqlite'), id));
    expect(peakMiB).toBeLessThanOrEqual(512);
  });
});
