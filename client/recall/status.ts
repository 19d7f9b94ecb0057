/** What `recall status` tells of the two ends: how much waits, how long the credit lasts, how long the objects live. */
import { WorkflowFailedError, type Client } from '@temporalio/client';
import { renewSettings, type Survey, type SurveyInput } from '../../activities/recall/contract';
import type { ChosenJob } from '../choose';
import { isUnanswered } from '../connect';
import { bytes, duration, plural, printable, table } from '../format';
import { describeJob, settingsOf } from '../job';
import type { JobStatus } from '../job-status';
import { takeSnapshot } from '../snapshot';
import type { Surveyed } from '../verb';
import { cursorsOf } from './cursors';

/** A question to database and chain takes a second or two; whoever waits for `status` does not want to wait much longer. */
const surveyMsMax = 8000;
/** After that nobody reads the answer any more: the workflow ends by itself. */
const surveyLifetime = '30 seconds';

export async function survey(client: Client, { id, description }: ChosenJob, status: JobStatus): Promise<Surveyed> {
  const rate = rateOf(status, new Date());
  const answer = await ask(client, id, description.action.taskQueue, status, await marginOf(client, id));
  if (typeof answer === 'string')
    return { data: { rate, survey: null, surveyTrouble: answer }, lines: [`  no survey: ${printable(answer)}`] };
  return { data: { rate, survey: answer }, lines: surveyLines(answer, rate, new Date()) };
}

/** The renewal's own, where there is one. */
async function marginOf(client: Client, id: string): Promise<number> {
  const renewal = await describeJob(client, `${id}/renew`);
  const margin = renewal === null ? undefined : settingsOf(renewal)['margin'];
  return typeof margin === 'number' ? margin : renewSettings.parse({}).margin;
}

/** The survey, or why there is none. */
async function ask(
  client: Client,
  id: string,
  taskQueue: string,
  { workers, settings, run, lastRun }: JobStatus,
  margin: number,
): Promise<Survey | string> {
  if (workers.length === 0) return 'no worker could ask the database and the network';
  const parsed = renewSettings.safeParse({ margin, ...settings });
  if (!parsed.success) return 'the job’s settings are not those of a recall job';
  const input: SurveyInput = { settings: parsed.data, cursors: cursorsOf((run ?? lastRun)?.lanes ?? []) };
  const workflowId = `${id}/survey`;
  try {
    const handle = await client.workflow.start('recallSurvey', {
      workflowId,
      taskQueue,
      args: [input],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowExecutionTimeout: surveyLifetime,
    });
    return (await client.connection.withDeadline(Date.now() + surveyMsMax, () => handle.result())) as Survey;
  } catch (error) {
    if (error instanceof WorkflowFailedError) return reasonOf(error);
    if (isUnanswered(error)) return await whatFails(client, workflowId);
    throw error;
  }
}

function reasonOf({ cause }: WorkflowFailedError): string {
  const inner = cause?.cause instanceof Error ? cause.cause : cause;
  return inner?.message ?? 'it failed';
}

async function whatFails(client: Client, workflowId: string): Promise<string> {
  const { pending } = await takeSnapshot(client, workflowId, { progress: false });
  const failure = pending.find((activity) => activity.failure !== null)?.failure;
  return failure?.message ?? `no answer within ${plural(surveyMsMax / 1000, 'second')}`;
}

export interface Rate {
  readonly objectsPerSecond: number;
  readonly bytesPerSecond: number;
}

/**
 * Of the open run, or else the last one. A job that runs at an interval brings in what comes meanwhile: it is as fast as
 * that, however quick each run. Null if nothing has moved.
 */
export function rateOf({ run, lastRun, intervalSeconds }: JobStatus, now: Date): Rate | null {
  const told = run ?? lastRun;
  if (told === null) return null;
  const endedAt = 'endedAt' in told ? (told.endedAt ?? told.startedAt) : now.toISOString();
  const lasted = (Date.parse(endedAt) - Date.parse(told.startedAt)) / 1000;
  const seconds = Math.max(1, lasted, intervalSeconds ?? 0);
  const { objects = 0, bytes: moved = 0 } = told.counts;
  return objects === 0 ? null : { objectsPerSecond: objects / seconds, bytesPerSecond: moved / seconds };
}

export function surveyLines(
  { backlog, bucket, block, wallets, expiry }: Survey,
  rate: Rate | null,
  now: Date,
): string[] {
  const oldest = backlog.oldestCreatedAt === null ? '' : `, the oldest from ${age(backlog.oldestCreatedAt, now)} ago`;
  const pace = rate === null ? '' : `; ${speed(rate.objectsPerSecond)}, ${bytes(rate.bytesPerSecond)}/s`;
  return [
    `  waiting: ${plural(backlog.rows, 'row')}, ${bytes(backlog.bytes)}${oldest}${pace}`,
    `  bucket: ${bucket ?? 'none yet'}, at block ${block}`,
    ...table(
      wallets.map(({ address, balance, runwayBytes }) => [
        address,
        `${tokens(balance)} tokens for gas`,
        `credit for ${bytes(runwayBytes)}${runway(runwayBytes, rate)}`,
      ]),
      '    ',
    ),
    ...expiryLines(expiry),
  ];
}

const speed = (perSecond: number): string => `${perSecond.toFixed(perSecond < 10 ? 1 : 0)} objects/s`;

function runway(free: number, rate: Rate | null): string {
  return rate === null || rate.bytesPerSecond === 0 ? '' : `, ${duration(free / rate.bytesPerSecond)} at this rate`;
}

function expiryLines({ sampled, present, missing, soonestEpochs, withinMargin }: Survey['expiry']): string[] {
  if (sampled === 0) return [];
  const parts = [
    `${present} of ${plural(sampled, 'sampled object')} there`,
    // An epoch is a block, about a second.
    ...(soonestEpochs === null ? [] : [`the first to go has ${duration(soonestEpochs)} left`]),
    ...(withinMargin > 0 ? [`${withinMargin} due for renewal`] : []),
    ...(missing > 0 ? [`${missing} MISSING: \`waybill recall renew\` brings back what expired`] : []),
  ];
  return [`  expiry: ${parts.join(', ')}`];
}

/** PostgreSQL's text of a UTC time, as an age. */
function age(createdAt: string, now: Date): string {
  const [, date = '', time = ''] = /^(\d{4,}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?)/.exec(createdAt) ?? [];
  return duration((now.getTime() - Date.parse(`${date}T${time}Z`)) / 1000);
}

const weiPerToken = 10n ** 18n;

/** `1.2345` of 10^18 wei; what is less than the last digit is cut, so that a balance never looks larger than it is. */
export function tokens(wei: string): string {
  const [whole, rest] = [BigInt(wei) / weiPerToken, BigInt(wei) % weiPerToken];
  const digits = (rest / 10n ** 14n).toString().padStart(4, '0').replace(/0+$/, '');
  return digits === '' ? String(whole) : `${whole}.${digits}`;
}
