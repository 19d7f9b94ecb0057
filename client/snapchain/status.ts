/** What `snapchain status` tells besides: where node and tables stand, how fast it goes, how far behind each shard is. */
import { WorkflowFailedError, type Client } from '@temporalio/client';
import {
  farcasterEpochSeconds,
  type ScanCursor,
  type ShardCursor,
  type Survey,
  type TailCursor,
} from '../../activities/snapchain/contract';
import type { LaneState } from '../../workflows/shared/run-state';
import type { ChosenJob } from '../choose';
import { isUnanswered } from '../connect';
import { bytes, duration, plural, printable } from '../format';
import type { JobStatus } from '../job-status';
import type { Surveyed } from '../verb';

/** A question to node and database takes a second or two; whoever waits for `status` does not want to wait much longer. */
const surveyMsMax = 8000;
const surveyLifetime = '30 seconds';
/** Of every shard's trie. */
const virtualShards = 256;

/** A shard's history or log as it stands now. */
interface Part {
  readonly lane: string;
  readonly status: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly messagesPerSecond: number;
  readonly usersPerSecond: number;
  readonly done: number;
  readonly of: number;
  readonly block: number | null;
  /** Unix time of that block. */
  readonly blockSeconds: number | null;
  readonly etaSeconds: number | null;
  /** Blocks between it and the node's newest. */
  readonly lagBlocks?: number;
}

export async function survey(client: Client, { id, description }: ChosenJob, status: JobStatus): Promise<Surveyed> {
  const answer = await ask(client, id, description.action.taskQueue, status);
  const now = new Date();
  const parts = partsOf(status, now).map((part) => withLag(part, typeof answer === 'string' ? null : answer));
  const lines = parts.map((part) => partLine(part, now));
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

function partsOf({ run }: JobStatus, now: Date): Part[] {
  if (run === null) return [];
  const seconds = Math.max(1, (now.getTime() - Date.parse(run.startedAt)) / 1000);
  return run.lanes.map((lane) => partOf(lane, seconds));
}

function partOf({ lane, status, cursor, counts }: LaneState<unknown>, seconds: number): Part {
  const { lanes } = (cursor ?? {}) as Partial<ShardCursor>;
  const isScan = lane.endsWith('history');
  const done = (lanes ?? []).reduce((sum, { cursor: at }) => sum + ((at as ScanCursor | null)?.roots?.length ?? 0), 0);
  const tail = isScan ? null : ((lanes?.[0]?.cursor ?? null) as TailCursor | null);
  const { messages = 0, fids = 0 } = counts;
  return {
    ...{ lane, status, counts, of: isScan ? virtualShards : 0 },
    done: isScan && status === 'done' ? virtualShards : done,
    messagesPerSecond: messages / seconds,
    usersPerSecond: fids / seconds,
    block: tail?.block ?? null,
    blockSeconds: tail === null || tail.timestamp === 0 ? null : tail.timestamp + farcasterEpochSeconds,
    etaSeconds: isScan && status === 'running' && done > 0 ? (seconds / done) * (virtualShards - done) : null,
  };
}

function withLag(part: Part, found: Survey | null): Part {
  const height = found?.shards.find(({ shard }) => part.lane === `shard ${shard} live`)?.height;
  if (height === undefined || part.block === null || part.block < 0) return part;
  return { ...part, lagBlocks: Math.max(0, height - part.block) };
}

function partLine(part: Part, now: Date): string {
  const { lane, status, messagesPerSecond, usersPerSecond, done, of, block, blockSeconds, etaSeconds } = part;
  const rates = `${messagesPerSecond.toFixed(0)} messages/s${usersPerSecond > 0 ? `, ${usersPerSecond.toFixed(1)} users/s` : ''}`;
  if (of > 0)
    return `  ${lane} ${status}: ${done} of ${of} virtual shards, ${rates}${etaSeconds === null ? '' : `, ${duration(etaSeconds)} to go`}`;
  const lag = part.lagBlocks === undefined ? '' : `, ${plural(part.lagBlocks, 'block')} behind`;
  const age = blockSeconds === null ? '' : ` (${duration(Math.max(0, now.getTime() / 1000 - blockSeconds))} old)`;
  return `  ${lane} ${status}: block ${block ?? '-'}${age}${lag}, ${rates}`;
}

function surveyLines({ version, shards, rows, databaseBytes }: Survey): string[] {
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
  return [
    `  node ${printable(version)}: ${shards.map(({ shard, height }) => `shard ${shard} at ${height}`).join(', ')}`,
    `  tables: about ${plural(total, 'row')}, ${bytes(databaseBytes)} on disk`,
  ];
}
