/** The audio job on a real Temporal server: runs, messages, and a cursor that no way out of a run loses. */
import { join } from 'node:path';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import type { ShowCursor } from '../../activities/audio/contract';
import type { Progress } from '../../workflows/shared/messages';
import type { LaneState, RunResult } from '../../workflows/shared/run-state';
import { recorderShow, segmentOf, startRecorder, type Recorder } from '../peers/recorder';
import { audioActivities } from '../support/activity';
import { newFolder, removeFolders } from '../support/folders';
import { idsOf } from '../support/show-rows';
import {
  createJob,
  eventually,
  startTemporal,
  startWorker,
  triggerRun,
  type TemporalServer,
} from '../support/temporal';

const taskQueue = 'waybill-audio@test';
let server: TemporalServer;
let recorder: Recorder;
let worker: { stop(): Promise<void> };
let localDir: string;
let jobCount = 0;

const newWorker = (): Promise<{ stop(): Promise<void> }> =>
  startWorker(server, { taskQueue, activities: audioActivities() });

beforeAll(async () => {
  server = await startTemporal();
  worker = await newWorker();
});
afterAll(async () => {
  await worker.stop();
  await server.stop();
  removeFolders();
});
beforeEach(async () => {
  recorder = await startRecorder();
  localDir = newFolder('recv');
  jobCount += 1;
});
afterEach(async () => recorder.stop());

const ids = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const file = (show: string): string => join(localDir, `${show}.sqlite`);
const input = (more: object = {}): object => ({
  remoteUrl: recorder.url,
  localDir,
  chunkSize: 10,
  heartbeatSeconds: 2,
  ...more,
});
const job = (more: object = {}) =>
  createJob(server.client, `audio/test-${jobCount}`, taskQueue, 'audioSync', input(more));
const progressOf = (run: WorkflowHandle): Promise<Progress> => run.query<Progress>('progress');
const resultOf = async (run: WorkflowHandle): Promise<RunResult<ShowCursor>> =>
  (await run.result()) as RunResult<ShowCursor>;
const lane = (state: { lanes: readonly LaneState<unknown>[] }, name: string): LaneState<ShowCursor> =>
  state.lanes.find((each) => each.lane === name) as LaneState<ShowCursor>;
const until = (run: WorkflowHandle, what: string, check: (progress: Progress) => boolean): Promise<Progress> =>
  eventually(what, async () => {
    const progress = await progressOf(run);
    return check(progress) ? progress : null;
  });
/** A run that has something in the file and still much to do. */
async function midRun(more: object = {}): Promise<{ run: WorkflowHandle; schedule: Awaited<ReturnType<typeof job>> }> {
  recorder.shows.set('show', recorderShow(400));
  recorder.delayMs = 60;
  const schedule = await job(more);
  const run = await triggerRun(server.client, schedule);
  await eventually('some segments have arrived', async () => recorder.requests.length > 6);
  return { run, schedule };
}

describe('a run', () => {
  it('syncs every show that the sender lists, and reports each', async () => {
    recorder.shows.set('a', recorderShow(25));
    recorder.shows.set('b', recorderShow(12));
    const result = await resultOf(await triggerRun(server.client, await job()));
    expect(result).toMatchObject({ state: 'completed', counts: { segments: 37 }, parked: [] });
    expect(result.lanes.map(({ lane: show, status, cursor }) => [show, status, cursor?.lastId])).toEqual([
      ['a', 'done', 25],
      ['b', 'done', 12],
    ]);
    expect(idsOf(file('a'))).toEqual(ids(1, 25));
  });

  it('takes shows in the order given, and several at once when told', async () => {
    for (const show of ['x', 'y', 'z']) recorder.shows.set(show, recorderShow(30));
    await resultOf(await triggerRun(server.client, await job({ shows: ['z', 'x'] })));
    const asked = recorder.requests.map((request) => /shows\/(\w)\//.exec(request)?.[1]);
    expect(asked.lastIndexOf('z')).toBeLessThan(asked.indexOf('x'));
    expect(asked).not.toContain('y');
    recorder.requests.length = 0;
    recorder.delayMs = 50;
    recorder.shows.set('z', recorderShow(60));
    recorder.shows.set('x', recorderShow(60));
    jobCount += 1;
    await resultOf(await triggerRun(server.client, await job({ shows: ['z', 'x'], parallel: 2 })));
    const both = recorder.requests.map((request) => /shows\/(\w)\//.exec(request)?.[1]);
    expect(both.indexOf('x')).toBeLessThan(both.lastIndexOf('z'));
  });

  it('gives each show its own result: the trouble of one stops no other', async () => {
    recorder.shows.set('good', recorderShow(15));
    recorder.shows.set('copy', recorderShow(5, { isRecipient: true }));
    recorder.shows.set('new', recorderShow(5, { version: '4' }));
    const result = await resultOf(
      await triggerRun(server.client, await job({ shows: ['gone', 'copy', 'new', 'good'] })),
    );
    expect(result.lanes.map(({ lane: show, status, failure }) => [show, status, failure?.type])).toEqual([
      ['gone', 'failed', 'ShowGone'],
      ['copy', 'failed', 'ShowRefused'],
      ['new', 'failed', 'VersionUnsupported'],
      ['good', 'done', undefined],
    ]);
  });

  it('parks a malformed segment and goes on; `retry` brings it home', async () => {
    recorder.shows.set('show', recorderShow(30));
    recorder.shows.set('slow', recorderShow(400));
    recorder.rewrite = (rows) => rows.replace(/("id":7,[^}]*"audio_data":)\[[^\]]*\]/, '$1"no"');
    const run = await triggerRun(server.client, await job({ shows: ['show', 'slow'], chunkSize: 30 }));
    recorder.delayMs = 100;
    const parked = await until(run, 'segment 7 is parked', (progress) => progress.parked.length === 1);
    expect(parked.parked).toMatchObject([{ lane: 'show', id: '7' }]);
    recorder.rewrite = null;
    await run.executeUpdate('retry', { args: [{ lane: 'show' }] });
    recorder.delayMs = 0;
    expect(await resultOf(run)).toMatchObject({ parked: [], counts: { segments: 430, parked: 0 } });
    expect(idsOf(file('show'))).toEqual(ids(1, 30));
  });

  it('started with a wrong input fails at once and names the key', async () => {
    const failure: unknown = await server.client.workflow
      .execute('audioSync', {
        taskQueue,
        workflowId: `bare-${jobCount}`,
        args: [{ remoteUrl: 'ftp://x', localDir: 'relative', chunkSize: 0 }],
      })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(WorkflowFailedError);
    expect(String((failure as WorkflowFailedError).cause?.message)).toMatch(/remoteUrl: .*localDir: .*chunkSize: /);
  });

  it('shows its state in the details and search attributes', async () => {
    const { run } = await midRun();
    const listed = () =>
      eventually('the run is listed', async () => {
        for await (const each of server.client.workflow.list({
          query: `SyncJob = 'audio' AND SyncState = 'running' AND WorkflowId = '${run.workflowId}'`,
        }))
          return each;
        return null;
      });
    await listed();
    recorder.delayMs = 0;
    await run.result();
    const { raw } = await run.describe();
    const attributes = raw.workflowExecutionInfo?.searchAttributes?.indexedFields ?? {};
    expect(Buffer.from(attributes['SyncState']?.data ?? []).toString()).toBe('"completed"');
    const metadata = await run.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
    expect(metadata.currentDetails).toContain('| show | done | lastId 400, targetId 400 |');
  });
});

describe('messages', () => {
  it('pause keeps what was done and stops asking; resume goes on from there', async () => {
    const { run } = await midRun();
    await run.executeUpdate('pause', { args: [{ reason: 'the line is needed' }] });
    const paused = await until(
      run,
      'the leg has handed in its cursor',
      (progress) => (lane(progress, 'show').cursor?.lastId ?? 0) > 0,
    );
    expect(paused).toMatchObject({ phase: 'paused', reason: 'the line is needed' });
    const asked = recorder.requests.length;
    expect(lane(await progressOf(run), 'show').cursor?.lastId).toBe(idsOf(file('show')).at(-1));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(recorder.requests).toHaveLength(asked);
    recorder.delayMs = 0;
    await run.executeUpdate('resume');
    expect((await resultOf(run)).counts['segments']).toBe(400);
    expect(idsOf(file('show'))).toEqual(ids(1, 400));
  });

  it('configure changes the run in progress, and refuses what is wrong before it is in history', async () => {
    const { run } = await midRun();
    await expect(run.executeUpdate('configure', { args: [{ chunkSize: 0 }] })).rejects.toThrow();
    await expect(run.executeUpdate('configure', { args: [{ chunk: 5 }] })).rejects.toThrow();
    expect(await run.executeUpdate('configure', { args: [{ chunkSize: 100 }] })).toMatchObject({
      settings: { chunkSize: 100 },
    });
    await eventually('the next leg asks for 100 at a time', async () =>
      recorder.requests.some((request) => request.includes('limit=100')),
    );
    recorder.delayMs = 0;
    await resultOf(run);
    expect(idsOf(file('show'))).toEqual(ids(1, 400));
  });

  it('a trouble that only a person can mend blocks the run, says what to do, and keeps the cursor', async () => {
    const { run } = await midRun();
    recorder.intercept = ({ response }) => {
      response.writeHead(401, { 'content-length': 0 }).end();
      return true;
    };
    const blocked = await until(run, 'the run is blocked', (progress) => progress.phase === 'blocked');
    expect(blocked).toMatchObject({
      blockedBy: 'SenderAuthRefused',
      reason: expect.stringContaining('[audio.credentials.NAME]'),
    });
    expect(lane(blocked, 'show').cursor?.lastId).toBe(idsOf(file('show')).at(-1));
    recorder.intercept = null;
    recorder.delayMs = 0;
    await run.executeUpdate('resume');
    expect((await resultOf(run)).state).toBe('completed');
    expect(idsOf(file('show'))).toEqual(ids(1, 400));
  });
});

describe('the cursor of a job survives', () => {
  /** Everything a next run is given: proved by its first leg, which begins where the last one ended. */
  async function nextRunBegins(
    schedule: Awaited<ReturnType<typeof job>>,
    lastId: number,
  ): Promise<RunResult<ShowCursor>> {
    recorder.delayMs = 0;
    const run = await triggerRun(server.client, schedule);
    const result = await resultOf(run);
    const history = await run.fetchHistory();
    const scheduled = history.events?.find(
      (event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'copySegments',
    );
    const given = JSON.parse(
      Buffer.from(scheduled?.activityTaskScheduledEventAttributes?.input?.payloads?.[0]?.data ?? []).toString(),
    ) as { cursor: ShowCursor };
    expect(given.cursor).toEqual({ lastId, targetId: null });
    return result;
  }

  it('a cancel: the run ends with its cursor as its result, and the next begins there', async () => {
    const { run, schedule } = await midRun();
    await run.cancel();
    const cancelled = await resultOf(run);
    expect(cancelled.state).toBe('cancelled');
    const lastId = lane(cancelled, 'show').cursor?.lastId ?? 0;
    expect(lastId).toBeGreaterThan(0);
    expect(idsOf(file('show')).at(-1)).toBe(lastId);
    expect((await nextRunBegins(schedule, lastId)).lifetime['segments']).toBe(400);
  });

  it('continue-as-new: legs, counts and cursor go on', async () => {
    recorder.shows.set('show', recorderShow(400));
    recorder.delayMs = 100;
    const run = await triggerRun(server.client, await job({ legSeconds: 1, legsPerRun: 2 }));
    const firstRun = (await run.describe()).runId;
    const result = await resultOf(run);
    expect(result).toMatchObject({ state: 'completed', counts: { segments: 400 } });
    expect((await run.describe()).runId).not.toBe(firstRun);
    expect(idsOf(file('show'))).toEqual(ids(1, 400));
  });

  it('a failed run in between, and the deletion of every finished run’s history', async () => {
    recorder.shows.set('show', recorderShow(30));
    const schedule = await job();
    const first = await triggerRun(server.client, schedule);
    await resultOf(first);
    const firstRun = await first.describe();
    recorder.delayMs = 5000;
    const failed = await triggerRun(server.client, schedule);
    const failedRun = await failed.describe();
    await failed.terminate('as a failed run');
    for (const { workflowId, runId } of [firstRun, failedRun]) {
      await server.client.workflowService.deleteWorkflowExecution({
        namespace: 'default',
        workflowExecution: { workflowId, runId },
      });
      const run = server.client.workflow.getHandle(workflowId, runId);
      await eventually('the history is gone', () =>
        run.describe().then(
          () => false,
          () => true,
        ),
      );
    }
    recorder.shows.get('show')?.segments.push(segmentOf(31));
    const result = await nextRunBegins(schedule, 30);
    expect(result).toMatchObject({ counts: { segments: 1 }, lifetime: { segments: 31 } });
  });

  it('a worker that is stopped in mid-run, and one that comes after', async () => {
    const { run } = await midRun();
    await worker.stop();
    const kept = idsOf(file('show')).length;
    expect(kept).toBeLessThan(400);
    recorder.requests.length = 0;
    recorder.delayMs = 0;
    worker = await newWorker();
    expect((await resultOf(run)).counts['segments']).toBe(400);
    const asked = recorder.requests.filter((request) => request.includes('segments?'));
    // Nothing is asked for again but the fingerprint of the last segment we have.
    expect(asked.find((request) => request.endsWith('limit=10'))).toContain(`start_id=${kept + 1}&`);
  });

  it('a server that is killed and comes back, with the schedule and its last result', async () => {
    const { run, schedule } = await midRun();
    await server.kill();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await server.start();
    recorder.delayMs = 0;
    const again = server.client.workflow.getHandle(run.workflowId);
    expect((await resultOf(again)).counts['segments']).toBe(400);
    expect(idsOf(file('show'))).toEqual(ids(1, 400));
    await nextRunBegins(server.client.schedule.getHandle(schedule.scheduleId), 400);
  });

  it('a run that somebody starts beside the job: both end, the file is whole', async () => {
    const { run } = await midRun();
    const beside = await server.client.workflow.start('audioSync', {
      taskQueue,
      workflowId: `beside-${jobCount}`,
      args: [input()],
    });
    recorder.delayMs = 0;
    await Promise.all([run.result(), beside.result()]);
    expect(idsOf(file('show'))).toEqual(ids(1, 400));
  });
});

describe('verify', () => {
  const verify = async (more: object = {}): Promise<RunResult<{ verdict: object }>> =>
    (await server.client.workflow.execute('audioVerify', {
      taskQueue,
      workflowId: `verify-${jobCount}-${Math.random()}`,
      args: [{ remoteUrl: recorder.url, localDir, chunkSize: 10, ...more }],
    })) as RunResult<{ verdict: object }>;

  it('finds a true copy true, and every kind of drift by id', async () => {
    recorder.shows.set('show', recorderShow(40));
    await resultOf(await triggerRun(server.client, await job()));
    expect((await verify()).lanes[0]?.cursor?.verdict).toMatchObject({
      matched: 40,
      differing: 0,
      missingLocally: 0,
      missingAtSource: 0,
      metadata: [],
    });

    const show = recorder.shows.get('show');
    if (show === undefined) throw new Error('no show');
    show.segments = [...show.segments.slice(5), segmentOf(41), segmentOf(42)].map((each) =>
      each.id === 20 ? segmentOf(20, 3) : each,
    );
    show.bitrate = '32';
    expect((await verify()).lanes[0]?.cursor?.verdict).toEqual({
      show: 'show',
      matched: 34,
      differing: 1,
      missingLocally: 2,
      missingAtSource: 5,
      notYetSynced: 2,
      metadata: ['bitrate: 16 here, 32 at the sender'],
      samples: [
        'missing at source 1',
        'missing at source 2',
        'missing at source 3',
        'missing at source 4',
        'missing at source 5',
        'differs 20',
        'missing locally 41',
        'missing locally 42',
      ],
    });
  });
});
