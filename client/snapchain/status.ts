/** What `snapchain status` tells besides: where node and tables stand, how fast it goes, how far behind each shard is. */
import { WorkflowFailedError, type Client } from '@temporalio/client';
import { farcasterEpochSeconds, type Survey, type TailCursor } from '../../activities/snapchain/contract';
import type { Progress } from '../../workflows/shared/messages';
import type { ChosenJob } from '../choose';
import { isUnanswered } from '../connect';
import { bytes, duration, plural, printable } from '../format';
import type { JobStatus } from '../job-status';
import type { Surveyed } from '../verb';

/** A question to node and database takes a second or two; whoever waits for `status` does not want to wait much longer. */
const surveyMsMax = 8000;
const surveyLifetime = '30 seconds';

/** A shard's workflow as it stands now. */
interface Part {
  readonly lane: string;
  readonly phase: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly messagesPerSecond: number;
  readonly usersPerSecond: number;
  readonly done: number;
  readonly of: number;
  readonly block: number | null;
  readonly blockSeconds: number | null;
  readonly etaSeconds: number | null;
}

export async function survey(client: Client, { id, description }: ChosenJob, status: JobStatus): Promise<Surveyed> {
  const [answer, parts] = await Promise.all([
    ask(client, id, description.action.taskQueue, status),
    partsOf(client, status),
  ]);
  const lines = parts.map((part) => partLine(part, typeof answer === 'string' ? null : answer, new Date()));
  if (typeof answer === 'string')
    return {
      data: { parts, survey: null, surveyTrouble: answer },
      lines: [...lines, `  no survey: ${printable(answer)}`],
    };
  return { data: { parts, survey: answer }, lines: [...lines, ...surveyLines(answer)] };
}

async function ask(client: Client, id: string, taskQueue: string, { workers }: JobStatus): Promise<Survey | string> {
  if (workers.length === 0) return 'no worker could ask the node and the database';
  try {
    const handle = await client.workflow.start('snapchainSurvey', {
      workflowId: `${id}/survey`,
      taskQueue,
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowExecutionTimeout: surveyLifetime,
    });
    return (await client.connection.withDeadline(Date.now() + surveyMsMax, () => handle.result())) as Survey;
  } catch (error) {
    if (error instanceof WorkflowFailedError) return reasonOf(error);
    if (isUnanswered(error)) return `no answer within ${plural(surveyMsMax / 1000, 'second')}`;
    throw error;
  }
}

function reasonOf({ cause }: WorkflowFailedError): string {
  const inner = cause?.cause instanceof Error ? cause.cause : cause;
  return inner?.message ?? 'it failed';
}

/** The shards' own workflows, asked each: the run itself knows of them only what they have handed in. */
async function partsOf(client: Client, { run }: JobStatus): Promise<Part[]> {
  if (run === null) return [];
  const parts = await Promise.all(
    run.lanes.map(async ({ lane }) => {
      try {
        const child = client.workflow.getHandle(`${run.workflowId}/${lane.replaceAll(' ', '-')}`);
        return partOf(lane, await child.query<Progress>('progress'));
      } catch {
        return null;
      }
    }),
  );
  return parts.filter((part) => part !== null);
}

function partOf(lane: string, { phase, counts, lanes, startedAt }: Progress): Part {
  const seconds = Math.max(1, (Date.now() - Date.parse(startedAt)) / 1000);
  const cursors = lanes.map(({ cursor }) => cursor as { readonly roots?: readonly unknown[] } | null);
  const done = cursors.reduce((sum, cursor) => sum + (cursor?.roots?.length ?? 0), 0);
  const isScan = lane.endsWith('history');
  const tail = isScan ? null : ((lanes[0]?.cursor ?? null) as TailCursor | null);
  return {
    ...{ lane, phase, counts, done: isScan ? done : 0, of: isScan ? 256 : 0 },
    messagesPerSecond: (counts['messages'] ?? 0) / seconds,
    usersPerSecond: (counts['fids'] ?? 0) / seconds,
    block: tail?.block ?? null,
    blockSeconds: tail === null || tail.timestamp === 0 ? null : tail.timestamp + farcasterEpochSeconds,
    etaSeconds: isScan && done > 0 ? (seconds / done) * (256 - done) : null,
  };
}

function partLine(part: Part, found: Survey | null, now: Date): string {
  const { lane, phase, messagesPerSecond, usersPerSecond, done, of, block, blockSeconds, etaSeconds } = part;
  const rates = `${messagesPerSecond.toFixed(0)} messages/s${usersPerSecond > 0 ? `, ${usersPerSecond.toFixed(1)} users/s` : ''}`;
  if (of > 0)
    return `  ${lane} ${phase}: ${done} of ${of} virtual shards, ${rates}${etaSeconds === null ? '' : `, ${duration(etaSeconds)} to go`}`;
  const height = found?.shards.find(({ shard }) => lane === `shard ${shard} live`)?.height;
  const lag =
    height === undefined || block === null || block < 0
      ? ''
      : `, ${plural(Math.max(0, height - block), 'block')} behind`;
  const age = blockSeconds === null ? '' : ` (${duration(Math.max(0, now.getTime() / 1000 - blockSeconds))} old)`;
  return `  ${lane} ${phase}: block ${block ?? '-'}${age}${lag}, ${rates}`;
}

function surveyLines({ version, shards, rows, databaseBytes }: Survey): string[] {
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
  return [
    `  node ${printable(version)}: ${shards.map(({ shard, height }) => `shard ${shard} at ${height}`).join(', ')}`,
    `  tables: about ${plural(total, 'row')}, ${bytes(databaseBytes)} on disk`,
  ];
}
