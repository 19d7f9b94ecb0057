/** `run`: one run of a job, started or joined, followed to its end. */
import type { Client } from '@temporalio/client';
import { taskQueue } from '../../workflows/shared/names';
import { chooseJob, wantedJob, type WantedJob } from '../choose';
import { withTemporal } from '../connect';
import { CommandError, exit } from '../exit';
import { followShown } from '../following';
import { shellWord } from '../format';
import { ensureJob, openRuns, triggerJob, type RunRef } from '../job';
import { didNothing, reportOf } from '../report';
import { takeSnapshot } from '../snapshot';
import { configureRun, resumeRun } from '../steering';
import type { Call, JobCommand, JobKnowledge, Settings } from '../verb';

export async function runJob(job: JobCommand, call: Call): Promise<number> {
  const knowledge = await job.load();
  knowledge.check(call);
  return await withTemporal(call, async ({ client }) => {
    const wanted = await wantedJob(client, job, knowledge, call);
    return await runWanted(client, job, knowledge, call, wanted);
  });
}

/** A run of a job that is there, as it is. */
export async function runExisting(client: Client, job: JobCommand, call: Call): Promise<number> {
  const knowledge = await job.load();
  const { id, name, description } = await chooseJob(client, job, knowledge, call);
  const run = await triggerJob(client, id);
  const queue = description.action.taskQueue;
  return await followToTheEnd(client, job, knowledge, call, { id, name, queue, run });
}

async function runWanted(
  client: Client,
  job: JobCommand,
  knowledge: JobKnowledge,
  call: Call,
  wanted: WantedJob,
): Promise<number> {
  const { id, name, host, settings, description } = wanted;
  const open = description === null ? [] : await openRuns(client, description);
  const joined = open[0];
  if (joined !== undefined) await join(client, job, knowledge, call, wanted, joined);
  else await ensureJob(client, { kind: job.kind, name, host, settings, summary: knowledge.summary(settings) });
  const run = joined ?? (await triggerJob(client, id));
  if (joined === undefined) call.output.say(`${id}: a run begins`);
  const queue = description?.action.taskQueue ?? taskQueue(job.kind, host);
  return await followToTheEnd(client, job, knowledge, call, { id, name, queue, run });
}

async function followToTheEnd(
  client: Client,
  job: JobCommand,
  knowledge: JobKnowledge,
  call: Call,
  { id, name, queue, run }: { id: string; name: string; queue: string; run: RunRef },
): Promise<number> {
  const { output } = call;
  const { workflowId } = run;
  if (call.options['detach'] === true) {
    const look = `waybill ${job.kind} status --job ${shellWord(name)} --watch`;
    output.answer({ job: id, run: workflowId, outcome: 'started' }, [workflowId]);
    output.say(`started; look at it: ${look}`);
    return exit.ok;
  }
  const outcome = await followShown(client, job, call, { workflowId, queue, knowledge });
  const report = reportOf(outcome, { job, knowledge, id, name: shellWord(name), workflowId });
  const nothing = call.options['failIfNothing'] === true && report.code === exit.ok && didNothing(outcome);
  const code = nothing ? exit.nothing : report.code;
  output.answer({ ...report.data, exitCode: code }, report.lines);
  for (const remark of report.remarks) output.say(remark);
  return code;
}

/** Takes part in the run that is open. New settings reach it only where it is blocked and waits for exactly that. */
async function join(
  client: Client,
  job: JobCommand,
  knowledge: JobKnowledge,
  call: Call,
  { id, name, host, settings, description }: WantedJob,
  { workflowId }: RunRef,
): Promise<void> {
  const { progress } = await takeSnapshot(client, workflowId, { progress: true });
  const now = (progress?.settings ?? description?.action.args?.[0] ?? {}) as Settings;
  const differing = differences(now, settings);
  if (progress?.phase === 'blocked') {
    if (differing.length > 0) {
      await ensureJob(client, { kind: job.kind, name, host, settings, summary: knowledge.summary(settings) });
      await configureRun(client, workflowId, settings);
    }
    await resumeRun(client, workflowId);
    const how = differing.length === 0 ? 'as it was' : `with ${differing.join(', ')}`;
    return call.output.say(`${id}: the run was blocked (${progress.reason ?? ''}); resumed ${how}`);
  }
  if (differing.length > 0) {
    const verb = (word: string): string => `waybill ${job.kind} ${word} --job ${shellWord(name)}`;
    throw new CommandError(
      exit.failed,
      `${id}: a run is under way with other settings: ${differing.join(', ')}.\n` +
        `Change it in place: ${verb('configure')} and the flags; or end it: ${verb('cancel')}, then run again.`,
    );
  }
  call.output.say(`${id}: a run is under way already; following it`);
}

/** `chunkSize is 100, asked 50`, for each key that differs. */
export function differences(now: Settings, asked: Settings): string[] {
  return [...new Set([...Object.keys(now), ...Object.keys(asked)])]
    .filter((key) => key !== 'carried' && JSON.stringify(now[key]) !== JSON.stringify(asked[key]))
    .map((key) => `${key} is ${JSON.stringify(now[key]) ?? 'unset'}, asked ${JSON.stringify(asked[key]) ?? 'unset'}`);
}
