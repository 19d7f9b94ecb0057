/** `status`: one job, or all of them, once or again and again. Reads only. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { chooseJob, type ChosenJob } from '../choose';
import { withTemporal } from '../connect';
import { exit } from '../exit';
import { table } from '../format';
import { onInterrupt } from '../interrupt';
import { describeJob, listJobs } from '../job';
import { gatherStatus, statusLines, whenLine, type JobStatus } from '../job-status';
import { jobs } from '../jobs';
import type { Call, JobCommand, Surveyed } from '../verb';

const watchEveryMs = 2000;
/** What is asked of the two ends costs them something. */
const surveyEveryMs = 30_000;
const firstSteps = Object.values(jobs)
  .map(({ kind, runAlias = 'run' }) => `\`waybill ${kind} ${runAlias} --help\``)
  .join(', ');

export async function jobStatus(job: JobCommand, call: Call): Promise<number> {
  const knowledge = await job.load();
  return await withTemporal(call, async ({ client }) => {
    const { id } = await chooseJob(client, job, knowledge, call);
    let surveyed: Surveyed = { data: {}, lines: [] };
    let surveyedAt = Number.NEGATIVE_INFINITY;
    return await watched(call, async () => {
      const chosen = await chooseJob(client, job, knowledge, { ...call, options: { ...call.options, job: id } });
      const status = await gatherStatus(client, job, knowledge, chosen);
      if (knowledge.survey !== undefined && performance.now() - surveyedAt > surveyEveryMs) {
        surveyed = await knowledge.survey(client, chosen, status);
        surveyedAt = performance.now();
      }
      const lines = statusLines(status, job, knowledge, new Date());
      return { data: { ...status, ...surveyed.data }, lines: [...lines, ...surveyed.lines] };
    });
  });
}

export async function allStatus(call: Call): Promise<number> {
  return await withTemporal(call, async ({ client, address, namespace }) =>
    watched(call, async () => {
      const all = await everyStatus(client);
      const lines = table(all.map(glance));
      return {
        data: { address, namespace, jobs: all },
        lines: lines.length > 0 ? lines : [`no jobs yet: ${firstSteps}`],
      };
    }),
  );
}

async function everyStatus(client: Client): Promise<JobStatus[]> {
  const all: JobStatus[] = [];
  for (const { kind, id, name } of await listJobs(client)) {
    const description = await describeJob(client, id);
    if (description === null) continue;
    const chosen: ChosenJob = { id, name, description };
    all.push(await gatherStatus(client, jobs[kind], await jobs[kind].load(), chosen));
  }
  return all;
}

function glance(status: JobStatus): string[] {
  const { job, run, lastRun, workers, beside } = status;
  const last = lastRun === null ? 'has not run' : `last run ${lastRun.status}`;
  const lanes = (run ?? lastRun)?.lanes ?? [];
  const failed = lanes.filter((lane) => lane.status === 'failed').length;
  const parked = (run ?? lastRun)?.parked.length ?? 0;
  const notes = [
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(parked > 0 ? [`${parked} parked`] : []),
    ...(workers.length === 0 ? ['NO WORKER'] : []),
    ...(beside.length > 0 ? [`${beside.length} beside`] : []),
  ];
  return [job, whenLine(status, new Date()), run === null ? last : (run.phase ?? 'no answer'), notes.join(', ')];
}

async function watched(call: Call, look: () => Promise<{ data: object; lines: string[] }>): Promise<number> {
  const { output, options } = call;
  if (options['watch'] !== true) {
    const { data, lines } = await look();
    output.answer(data, lines);
    return exit.ok;
  }
  const interrupt = onInterrupt();
  while (!interrupt.signal.aborted) {
    const { data, lines } = await look();
    // Up and clear: a terminal shows the newest only.
    if (process.stdout.isTTY) process.stdout.write('\u001b[H\u001b[2J');
    output.answer(data, lines);
    await sleep(watchEveryMs, undefined, { signal: interrupt.signal }).catch(() => undefined);
  }
  interrupt.dispose();
  return exit.ok;
}
