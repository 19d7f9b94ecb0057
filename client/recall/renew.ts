/**
 * `recall renew`: what is about to expire, extended; once, or at an interval. It is a schedule of its own beside the job's,
 * so that two renewals never overlap and each is given what the last one left in flight.
 */
import type { Client } from '@temporalio/client';
import { renewSettings } from '../../activities/recall/contract';
import { taskQueue } from '../../workflows/shared/names';
import { settingsFor } from '../beside';
import { wantedJob, type WantedJob } from '../choose';
import { withTemporal } from '../connect';
import { CommandError, exit } from '../exit';
import { followShown } from '../following';
import { duration, plural, shellWord } from '../format';
import {
  describeJob,
  ensureJob,
  intervalOf,
  openRuns,
  settingsOf,
  startJob,
  stopJob,
  triggerJob,
  type Job,
} from '../job';
import { reportOf } from '../report';
import type { Call } from '../verb';
import { recall } from './command';
import { recallKnowledge } from './knowledge';

export async function renew(call: Call): Promise<number> {
  const { interval, stop } = call.options;
  if (stop === true && interval !== undefined)
    throw new CommandError(exit.usage, `${call.command}: --interval and --stop: one of the two`);
  recallKnowledge.check(call);
  return await withTemporal(call, async ({ client }) => {
    const wanted = await wantedJob(client, recall, recallKnowledge, call);
    const id = `${wanted.id}/renew`;
    if (stop === true) return await end(client, call, id);
    const job = await renewalOf(client, call, wanted, id);
    if (typeof interval === 'number') return await repeat(client, call, wanted, job, interval);
    return await once(client, call, wanted, job);
  });
}

/** The job's settings of now, and a margin that stays until somebody says another. */
async function renewalOf(client: Client, call: Call, { name, host, settings }: WantedJob, id: string): Promise<Job> {
  const before = await describeJob(client, id);
  const stored = before === null ? undefined : settingsOf(before)['margin'];
  const key = 'recall.renew.margin';
  const margin = stored === undefined || call.config.isSet(key) ? call.config.get(key) : stored;
  return {
    kind: 'recall',
    name: `${name}/renew`,
    host,
    workflowType: 'recallRenew',
    settings: settingsFor(renewSettings, settings, { margin }),
    summary: `renew ${recallKnowledge.summary(settings)}`.slice(0, 200),
  };
}

async function once(client: Client, call: Call, { id, name }: WantedJob, job: Job): Promise<number> {
  const renewId = `${id}/renew`;
  const description = await describeJob(client, renewId);
  const open = description === null ? undefined : (await openRuns(client, description))[0];
  if (open !== undefined) call.output.say(`${renewId}: a renewal is under way already; following it`);
  else await ensureJob(client, job);
  const { workflowId } = open ?? (await triggerJob(client, renewId));
  if (call.options['detach'] === true) {
    call.output.answer({ job: renewId, run: workflowId, outcome: 'started' }, [workflowId]);
    call.output.say(`started; look at it: ${commandOf(name)('status')} --watch`);
    return exit.ok;
  }
  const queue = taskQueue('recall', job.host);
  const outcome = await followShown(client, recall, call, { workflowId, queue, knowledge: recallKnowledge });
  const subject = { job: recall, knowledge: recallKnowledge, id: renewId, name, workflowId, command: commandOf(name) };
  const report = reportOf(outcome, subject);
  call.output.answer({ ...report.data, exitCode: report.code }, report.lines);
  for (const remark of report.remarks) call.output.say(remark);
  return report.code;
}

/** To follow a renewal is to renew; everything else is done to it as to any job. */
function commandOf(name: string): (verb: string) => string {
  return (verb) =>
    verb === 'run'
      ? `waybill recall renew --job ${shellWord(name)}`
      : `waybill recall ${verb} --job ${shellWord(`${name}/renew`)}`;
}

async function repeat(client: Client, call: Call, { id, name }: WantedJob, job: Job, seconds: number): Promise<number> {
  const { margin } = job.settings as { readonly margin: number };
  const run = await startJob(client, job, seconds);
  call.output.answer({ job: `${id}/renew`, intervalSeconds: seconds, margin, run: run.workflowId }, [
    `${id}/renew: now and every ${duration(seconds)}`,
  ]);
  // An epoch is about a second: what is not yet within the margin must still live when the next one comes.
  if (seconds >= margin)
    call.output.say(
      `the margin is ${plural(margin, 'epoch')}, the interval ${plural(seconds, 'second')}: objects can expire in between. Give a larger --margin or a shorter --interval.`,
    );
  call.output.say(`look at it: ${commandOf(name)('status')}; end it: ${commandOf(name)('run')} --stop`);
  return exit.ok;
}

async function end(client: Client, call: Call, id: string): Promise<number> {
  const description = await describeJob(client, id);
  const interval = description === null ? null : intervalOf(description);
  if (interval === null) throw new CommandError(exit.failed, `${id}: was not being repeated.`);
  await stopJob(client, id);
  call.output.answer({ job: id, stopped: true }, [`${id}: no longer every ${duration(interval)}`]);
  return exit.ok;
}
