/** The audio job on a real Temporal server: runs, messages, and a verification that finds every kind of drift. */
import { join } from 'node:path';
import { WorkflowFailedError } from '@temporalio/client';
import type { RunResult } from '../../workflows/shared/run-state';
import { recorderShow, segmentOf } from '../peers/recorder';
import {
  anotherJob,
  file,
  ids,
  job,
  jobCount,
  lane,
  localDir,
  midRun,
  progressOf,
  recorder,
  resultOf,
  server,
  taskQueue,
  until,
  useJobCase,
} from '../support/job-case';
import { idsOf } from '../support/show-rows';
import { eventually, triggerRun } from '../support/temporal';

useJobCase();

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
    anotherJob();
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
    expect(metadata.currentDetails).toContain('- **show** done: lastId 400, targetId 400; 400 segments');
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

describe('verify', () => {
  const verify = async (more: object = {}): Promise<RunResult<{ verdict: object }>> =>
    (await server.client.workflow.execute('audioVerify', {
      taskQueue,
      workflowId: `verify-${jobCount}-${Math.random()}`,
      args: [{ remoteUrl: recorder.url, localDir, chunkSize: 10, ...more }],
    })) as RunResult<{ verdict: object }>;

  it('calls a show without a copy missing, even where there is no folder yet', async () => {
    recorder.shows.set('show', recorderShow(12));
    const [found] = (await verify({ localDir: join(localDir, 'not', 'there') })).lanes;
    expect(found?.cursor?.verdict).toMatchObject({ missingLocally: 12, matched: 0, metadata: ['no local file'] });
  });

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
