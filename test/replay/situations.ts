/** The situations whose histories are kept: each plays one on a real server and gives back the run that shows it. */
import { join } from 'node:path';
import type { Client, ScheduleHandle, WorkflowHandle } from '@temporalio/client';
import type { Progress } from '../../workflows/shared/messages';
import { recorderShow, segmentOf, type Recorder } from '../peers/recorder';
import { makeRecording } from '../support/recordings';
import { createJob, eventually, triggerRun } from '../support/temporal';

export interface Stage {
  readonly client: Client;
  readonly recorder: Recorder;
  readonly localDir: string;
  readonly taskQueue: string;
  /** The situation's own: no two share a job. */
  readonly name: string;
}

/** The credentials' name stands in histories; the token behind it must not. */
export const credentials = 'studio';
export const token = 'a-token-that-no-history-knows';

export const situations: Readonly<Record<string, (stage: Stage) => Promise<WorkflowHandle>>> = {
  /** The second run of a job: it begins from the first one's result, takes what is new, and is done. */
  'caught-up': async (stage) => {
    stage.recorder.intercept = ({ response }) => {
      if (stage.recorder.authorizations.at(-1) === `Bearer ${token}`) return false;
      response.writeHead(401, { 'content-length': 0 }).end();
      return true;
    };
    stage.recorder.shows.set('a', recorderShow(25)).set('b', recorderShow(12));
    const schedule = await job(stage, { credentials });
    await (await triggerRun(stage.client, schedule)).result();
    stage.recorder.shows.get('b')?.segments.push(segmentOf(13));
    return await triggerRun(stage.client, schedule);
  },
  'paused-and-resumed': async (stage) => {
    const run = await midRun(stage);
    await run.executeUpdate('pause', { args: [{ reason: 'the line is needed' }] });
    await until(run, 'the leg has handed in its cursor', ({ lanes }) => lanes[0]?.cursor !== null);
    return await resumed(stage, run);
  },
  'blocked-and-resumed': async (stage) => {
    const run = await midRun(stage);
    stage.recorder.intercept = ({ response }) => {
      response.writeHead(401, { 'content-length': 0 }).end();
      return true;
    };
    await until(run, 'the run is blocked', ({ phase }) => phase === 'blocked');
    stage.recorder.intercept = null;
    return await resumed(stage, run);
  },
  configured: async (stage) => {
    const run = await midRun(stage);
    await run.executeUpdate('configure', { args: [{ chunkSize: 50 }] });
    stage.recorder.delayMs = 0;
    return run;
  },
  cancelled: async (stage) => {
    const run = await midRun(stage);
    await run.cancel();
    return run;
  },
  /** The run that ends by handing its state on … */
  'continued-as-new': async (stage) => (await continued(stage)).first,
  /** … and the one that begins from it. */
  'carried-on': async (stage) => (await continued(stage)).last,
  'parked-and-retried': async (stage) => {
    stage.recorder.shows.set('show', recorderShow(30)).set('slow', recorderShow(400));
    stage.recorder.rewrite = (rows) => rows.replace(/("id":7,[^}]*"audio_data":)\[[^\]]*\]/, '$1"no"');
    const run = await triggerRun(stage.client, await job(stage, { shows: ['show', 'slow'], chunkSize: 30 }));
    stage.recorder.delayMs = 100;
    await until(run, 'segment 7 is parked', ({ parked }) => parked.length === 1);
    stage.recorder.rewrite = null;
    await run.executeUpdate('retry', { args: [{ lane: 'show' }] });
    stage.recorder.delayMs = 0;
    return run;
  },
  'show-failed': async (stage) => {
    stage.recorder.shows.set('good', recorderShow(15));
    return await triggerRun(stage.client, await job(stage, { shows: ['gone', 'good'] }));
  },
  verified: async (stage) => {
    await synced(stage);
    const show = stage.recorder.shows.get('show');
    show?.segments.splice(4, 1, segmentOf(5, 3));
    return await start(stage, 'audioVerify', { ...ends(stage), chunkSize: 10 });
  },
  rebased: async (stage) => {
    await synced(stage);
    stage.recorder.shows.set('show', recorderShow(25, { uniqueId: 'db_z9Y8x7W6v5U4' }));
    return await start(stage, 'audioRebase', { ...ends(stage), show: 'show' });
  },
  retention: async (stage) => {
    const recipe = { name: 'show', segments: 30, boundaryEvery: 10, bytesPerSegment: 100, startMs: 1_700_000_000_000 };
    makeRecording(join(stage.localDir, 'show.sqlite'), recipe);
    return await start(stage, 'audioRetention', { dir: stage.localDir, hours: 1 });
  },
};

const ends = ({ recorder, localDir }: Stage): object => ({ remoteUrl: recorder.url, localDir });

const job = (stage: Stage, more: object = {}): Promise<ScheduleHandle> =>
  createJob(stage.client, `audio/${stage.name}`, stage.taskQueue, 'audioSync', {
    ...ends(stage),
    chunkSize: 10,
    heartbeatSeconds: 10,
    ...more,
  });

const start = ({ client, taskQueue, name }: Stage, type: string, input: object): Promise<WorkflowHandle> =>
  client.workflow.start(type, { taskQueue, workflowId: `audio/${name}`, args: [input] });

const until = (run: WorkflowHandle, what: string, check: (progress: Progress) => boolean): Promise<true> =>
  eventually(what, async () => check(await run.query<Progress>('progress')) || null, 30);

/** A run that has something in the file and still much to do. */
async function midRun(stage: Stage, more: object = {}): Promise<WorkflowHandle> {
  stage.recorder.shows.set('show', recorderShow(400));
  stage.recorder.delayMs = 60;
  const run = await triggerRun(stage.client, await job(stage, more));
  await eventually('some segments have arrived', async () => stage.recorder.requests.length > 6);
  return run;
}

async function resumed({ recorder }: Stage, run: WorkflowHandle): Promise<WorkflowHandle> {
  recorder.delayMs = 0;
  await run.executeUpdate('resume');
  return run;
}

async function synced(stage: Stage): Promise<void> {
  stage.recorder.shows.set('show', recorderShow(20));
  await (await triggerRun(stage.client, await job(stage))).result();
}

async function continued(stage: Stage): Promise<{ first: WorkflowHandle; last: WorkflowHandle }> {
  const { client } = stage;
  const last = await midRun(stage, { legSeconds: 1, legsPerRun: 2 });
  const { runId } = await last.describe();
  await last.result();
  return { first: client.workflow.getHandle(last.workflowId, runId, { followRuns: false }), last };
}
