/** A job’s cursor survives every way out of a run: pause, cancel, kills, continue-as-new, failure, and a deleted history. */
import { Context } from '@temporalio/activity';
import type { ShowCursor } from '../../activities/audio/contract';
import type { RunResult } from '../../workflows/shared/run-state';
import { recorderShow, segmentOf } from '../peers/recorder';
import {
  file,
  ids,
  input,
  job,
  jobCount,
  lane,
  midRun,
  recorder,
  replaceWorker,
  resultOf,
  server,
  stopWorker,
  taskQueue,
  until,
  useJobCase,
} from '../support/job-case';
import { audioActivities } from '../support/activity';
import { idsOf } from '../support/show-rows';
import { eventually, startWorker, triggerRun } from '../support/temporal';

useJobCase();

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
    const deleted = [firstRun, failedRun];
    for (const { workflowId, runId } of deleted) {
      await server.client.workflowService.deleteWorkflowExecution({
        namespace: 'default',
        workflowExecution: { workflowId, runId },
      });
    }
    // The server takes its time, half a minute and more, to do what it was told.
    for (const { workflowId, runId } of deleted) {
      const run = server.client.workflow.getHandle(workflowId, runId);
      const isGone = (): Promise<boolean> =>
        run.describe().then(
          () => false,
          () => true,
        );
      await eventually('the history is gone', isGone, 100);
    }
    recorder.shows.get('show')?.segments.push(segmentOf(31));
    const result = await nextRunBegins(schedule, 30);
    expect(result).toMatchObject({ counts: { segments: 1 }, lifetime: { segments: 31 } });
  }, 150_000);

  it('a worker that is stopped in mid-run, and one that comes after', async () => {
    const { run } = await midRun();
    await stopWorker();
    const kept = idsOf(file('show')).length;
    expect(kept).toBeLessThan(400);
    recorder.requests.length = 0;
    recorder.delayMs = 0;
    await replaceWorker();
    expect((await resultOf(run)).counts['segments']).toBe(400);
    const asked = recorder.requests.filter((request) => request.includes('segments?'));
    // Nothing is asked for again but the fingerprint of the last segment we have.
    expect(asked.find((request) => request.endsWith('limit=10'))).toContain(`start_id=${kept + 1}&`);
  });

  it('a pause that reaches a run whose worker was killed: the timeout is the leg’s answer, not the end of the run', async () => {
    recorder.shows.set('show', recorderShow(40));
    // A worker that takes the leg, says how far it is, and is never heard of again.
    await stopWorker();
    const kept = {
      lane: 'show',
      cursor: { lastId: 10, targetId: 40 },
      counts: { segments: 10 },
      drained: false,
      parked: [],
      recovered: [],
    };
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => (end = resolve));
    const activities = audioActivities();
    const silent = {
      ...activities,
      copySegments: async (): Promise<never> => {
        Context.current().heartbeat(kept);
        await over;
        throw new Error('nobody listens any more');
      },
    };
    const dying = await startWorker(server, { taskQueue, activities: silent });
    const schedule = await job();
    const run = await triggerRun(server.client, schedule);
    await eventually('the leg has begun', async () =>
      ((await run.describe()).raw.pendingActivities ?? []).some(
        ({ heartbeatDetails }) => heartbeatDetails !== null && heartbeatDetails !== undefined,
      ),
    );
    await run.executeUpdate('pause', { args: [] });
    const paused = await until(run, 'the leg has timed out', (progress) => lane(progress, 'show').status === 'waiting');
    expect(paused).toMatchObject({ phase: 'paused', blockedBy: null });
    expect(lane(paused, 'show').cursor).toEqual(kept.cursor);
    end();
    await dying.stop();
    await replaceWorker();
    await run.executeUpdate('resume');
    expect((await resultOf(run)).state).toBe('completed');
    expect(idsOf(file('show'))).toEqual(ids(1, 40));
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
