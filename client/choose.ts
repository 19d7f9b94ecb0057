/** Which job a call is about: by --job, by its place, or because there is only one. */
import type { Client, ScheduleDescription } from '@temporalio/client';
import { jobId } from '../workflows/shared/names';
import { CommandError, exit } from './exit';
import { shellWord } from './format';
import { describeJob, listJobs, settingsOf } from './job';
import type { Call, JobCommand, JobKnowledge, Settings } from './verb';

export interface ChosenJob {
  readonly id: string;
  readonly name: string;
  readonly description: ScheduleDescription;
}

/** A job that is there. Throws CommandError `usage` when there is none of that name, or several to choose from. */
export async function chooseJob(
  client: Client,
  job: JobCommand,
  knowledge: JobKnowledge,
  call: Call,
): Promise<ChosenJob> {
  const name = givenName(job, call) ?? knowledge.defaultName(call.config);
  if (name !== null) {
    const id = jobId(job.kind, name);
    const description = await describeJob(client, id);
    if (description !== null) return { id, name, description };
    // A place from the settings file is a hint; one from a flag, or a name, is meant.
    if (givenName(job, call) !== null || isPlaceGiven(job, call))
      throw new CommandError(exit.usage, `there is no job ${id}. ${await whatThereIs(client, job)}`);
  }
  const all = await listJobs(client, [job.kind]);
  const only = all.length === 1 ? all[0] : undefined;
  const description = only === undefined ? null : await describeJob(client, only.id);
  if (only === undefined || description === null)
    throw new CommandError(exit.usage, `${call.command}: which job? ${await whatThereIs(client, job)}`);
  return { id: only.id, name: only.name, description };
}

export interface WantedJob {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly settings: Settings;
  /** Null if it is to be made. */
  readonly description: ScheduleDescription | null;
}

/**
 * The job a call wants run, made already or not. Its settings are those configured; for a job that is there and is not
 * the one configured, its own, with the flags of this call on top.
 */
export async function wantedJob(
  client: Client,
  job: JobCommand,
  knowledge: JobKnowledge,
  call: Call,
): Promise<WantedJob> {
  const { config } = call;
  const configuredName = knowledge.isConfigured(config) ? knowledge.defaultName(config) : null;
  const name = givenName(job, call) ?? configuredName;
  if (name === null && !isPlaceGiven(job, call)) {
    const all = await listJobs(client, [job.kind]);
    if (all.length > 0) return await existing(client, job, knowledge, call);
  }
  const wanted = name ?? knowledge.defaultName(config);
  const description = wanted === null ? null : await describeJob(client, jobId(job.kind, wanted));
  if (description !== null && !isConfiguredFor(knowledge, call, description)) {
    refuseOtherPlace(job, knowledge, call, wanted);
    return await existing(client, job, knowledge, call);
  }
  // Throws when the ends are not both named.
  const settings = knowledge.settings(call);
  const made = wanted ?? 'default';
  return { id: jobId(job.kind, made), name: made, host: config.get('worker.host'), settings, description };
}

async function existing(client: Client, job: JobCommand, knowledge: JobKnowledge, call: Call): Promise<WantedJob> {
  const { id, name, description } = await chooseJob(client, job, knowledge, call);
  const host = 'worker.host' in call.given ? call.config.get('worker.host') : hostOf(description);
  return { id, name, host, settings: knowledge.overlay(settingsOf(description), call), description };
}

/** --job names one place and the flag another: nobody can mean that. */
function refuseOtherPlace(job: JobCommand, knowledge: JobKnowledge, call: Call, name: string | null): void {
  if (!isPlaceGiven(job, call) || knowledge.defaultName(call.config) === name) return;
  const flag = job.place?.flags.replace(/^.*(--[\w-]+).*$/, '$1') ?? '';
  throw new CommandError(
    exit.usage,
    `job ${jobId(job.kind, name ?? '')} has another destination than ${flag} names. Leave out one of the two, or choose another --job.`,
  );
}

/** The configuration speaks of this very job: same destination. */
function isConfiguredFor(knowledge: JobKnowledge, call: Call, description: ScheduleDescription): boolean {
  if (!knowledge.isConfigured(call.config)) return false;
  return knowledge.sameDestination(knowledge.settings(call), settingsOf(description));
}

/** What stands behind the @ of the job's queue. */
export function hostOf({ action }: ScheduleDescription): string {
  return action.taskQueue.split('@').slice(1).join('@');
}

/** The flag that names a job by its place was given in this call. */
function isPlaceGiven({ place }: JobCommand, call: Call): boolean {
  return place?.key !== undefined && place.key in call.given;
}

/** --job, with or without the kind in front of it. */
export function givenName(job: JobCommand, call: Call): string | null {
  const given = call.options['job'];
  if (typeof given !== 'string' || given === '') return null;
  const prefix = jobId(job.kind, '');
  return given.startsWith(prefix) ? given.slice(prefix.length) : given;
}

async function whatThereIs(client: Client, job: JobCommand): Promise<string> {
  const all = await listJobs(client, [job.kind]);
  if (all.length === 0)
    return `There is none yet: \`waybill ${job.kind} ${job.runAlias ?? 'run'} ${job.exampleFlags}\` makes one.`;
  return `There are:\n${all.map(({ name }) => `  --job ${shellWord(name)}`).join('\n')}`;
}
