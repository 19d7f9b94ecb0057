/** One sync as users run it: Temporal, a worker process as deployed, a feed process; measured from outside of both. */
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { openReadOnly } from '../../activities/audio/show-file';
import { taskQueue } from '../../workflows/shared/names';
import { cpuSecondsOf, memoryOf, startUntil, type Child } from '../measure/processes';
import type { Temporal } from '../measure/temporal';
import { showFile } from './peer';
import { showName, warmUpName, type Show } from './show';

export interface SyncCost {
  readonly wallSeconds: number;
  /** Of the receiving worker, from the workflow's start to its end: the worker's own start is not in it. */
  readonly cpuSeconds: number;
  readonly senderCpuSeconds: number;
  /** Before the sync, and the most there ever was. */
  readonly idleMiB: number;
  readonly peakMiB: number;
  /** Part of the wall time in which no leg ran. */
  readonly temporalShare: number;
}

export interface SyncSetting {
  readonly temporal: Temporal;
  readonly show: Show;
  readonly feed: Child;
  readonly feedUrl: string;
  readonly localDir: string;
  readonly chunk: number;
}

const host = 'bench';
const worker = join(__dirname, '..', '..', 'workers', 'main.js');

/** A fresh worker and an empty folder each time. Throws when not everything arrived: no figure is better than a wrong one. */
export async function measureSync(setting: SyncSetting): Promise<SyncCost> {
  const { temporal, show, feed, localDir } = setting;
  const child = await startWorker(temporal.address);
  try {
    await (await startRun(temporal.client, setting, warmUpName)).result();
    const idleMiB = memoryOf(child.pid).rssMiB;
    const before = { worker: cpuSecondsOf(child.pid), feed: cpuSecondsOf(feed.pid) };
    const started = performance.now();
    const run = await startRun(temporal.client, setting, showName);
    await run.result();
    const wallSeconds = (performance.now() - started) / 1000;
    const cpuSeconds = cpuSecondsOf(child.pid) - before.worker;
    const senderCpuSeconds = cpuSecondsOf(feed.pid) - before.feed;
    checkCopy(showFile(localDir), show);
    const { peakMiB } = memoryOf(child.pid);
    const temporalShare = await shareWithoutLegs(run);
    return { wallSeconds, cpuSeconds, senderCpuSeconds, idleMiB, peakMiB, temporalShare };
  } finally {
    await child.stop();
    rmSync(localDir, { recursive: true, force: true });
  }
}

function startWorker(address: string): Promise<Child> {
  const settings = {
    TEMPORAL_ADDRESS: address,
    WAYBILL_WORKER_HOST: host,
    WAYBILL_WORKER_JOBS: 'audio',
    WAYBILL_WORKER_LISTEN: '',
    WAYBILL_WORKER_LOG_LEVEL: 'info',
  };
  return startUntil('"RUNNING"', [process.execPath, worker], { ...process.env, ...settings });
}

async function startRun(
  client: Client,
  { feedUrl, localDir, chunk }: SyncSetting,
  show: string,
): Promise<WorkflowHandle> {
  return await client.workflow.start('audioSync', {
    taskQueue: taskQueue('audio', host),
    workflowId: `audio/${show}-${randomUUID()}`,
    args: [{ remoteUrl: feedUrl, localDir, shows: [show], chunkSize: chunk }],
  });
}

/** A bench that did not copy is a failure. */
function checkCopy(path: string, show: Show): void {
  const copy = openReadOnly(path);
  try {
    copy.prepare('ATTACH ? AS source').run(showFile(show.dir));
    const { segments, bytes } = copy
      .prepare<[], { segments: number; bytes: number }>(
        'SELECT count(*) AS segments, total(length(audio_data)) AS bytes FROM segments',
      )
      .get() ?? { segments: 0, bytes: 0 };
    const same = copy
      .prepare<[], number>('SELECT count(*) FROM segments JOIN source.segments AS theirs USING (id, audio_data)')
      .pluck()
      .get();
    if (segments === show.segments && bytes === show.audioBytes && same === segments) return;
    throw new Error(
      `the sync did not copy: ${segments} segments, ${bytes} bytes, ${same} equal; ${show.segments} of ${show.audioBytes} bytes were sent`,
    );
  } finally {
    copy.close();
  }
}

interface Timestamp {
  readonly seconds?: { toString(): string } | null;
  readonly nanos?: number | null;
}

/** From the history: 1 - (time inside copySegments) / (time of the run). */
async function shareWithoutLegs(run: WorkflowHandle): Promise<number> {
  const events = (await run.fetchHistory()).events ?? [];
  const at = (time: Timestamp | null | undefined): number =>
    Number(String(time?.seconds ?? 0)) * 1000 + (time?.nanos ?? 0) / 1e6;
  const startOf = new Map(events.map((event) => [String(event.eventId), at(event.eventTime)]));
  let legsMs = 0;
  for (const { activityTaskCompletedEventAttributes: completed, eventTime } of events)
    if (completed) legsMs += at(eventTime) - (startOf.get(String(completed.startedEventId)) ?? 0);
  return 1 - legsMs / (at(events.at(-1)?.eventTime) - at(events[0]?.eventTime));
}
