/** What a recall situation is played on: a job on real servers, the moments in its runs that are waited for, its runs' children. */
import type { Client, WorkflowHandle } from '@temporalio/client';
import { mnemonicToAccount } from 'viem/accounts';
import type { LegResult } from '../../activities/shared/contract';
import { walletId } from '../../workflows/shared/names';
import { startRecallJob, until, type CaseOptions, type RecallJob } from '../support/recall-job';
import { eventually, type TemporalServer } from '../support/temporal';

export interface RecallStage {
  readonly server: TemporalServer;
  /** Starts the job that the situation is about, once. */
  job(options?: CaseOptions): Promise<RecallJob>;
}

/** Of the emulated network's first two wallets, which the situations use. */
export const walletAccounts = [0, 1].map((addressIndex) =>
  mnemonicToAccount('test test test test test test test test test test test junk', { addressIndex }),
);

/** In the middle of each object of TEXT: the bytes of no row may be in a history. */
export const contentMark = '"what": "é"';

export async function beginStage(server: TemporalServer): Promise<RecallStage & { end(): Promise<void> }> {
  let job: RecallJob | null = null;
  return {
    server,
    job: async (options = {}) => (job ??= await startRecallJob({ column: 'TEXT', server, ...options })),
    end: async () => await job?.end(),
  };
}

/** Rows of a few bytes each: what counts in a history is how many there are. */
export const fewBytes = (count: number): number[] => Array.from({ length: count }, (_, index) => 60 + index);

/** Answers of the network come late, by up to so much; 0 is none. */
export function slow({ peer: { faults } }: RecallJob, delayMs: number): void {
  faults.chances.delay = delayMs > 0 ? 1 : 0;
  faults.delayMs = delayMs;
}

/** The lane of the job's first wallet, once it has settled a batch and while it has more to do. */
export async function untilMidLane({ server: { client }, peer }: RecallJob): Promise<void> {
  const lane = client.workflow.getHandle(walletId(peer.wallets[0]?.address ?? ''));
  await eventually('the lane has settled a batch', async () => {
    const told = await lane.query<LegResult<unknown>>('progress').catch(() => null);
    return (told?.counts['objects'] ?? 0) > 0;
  });
}

export const untilPhase = async (run: WorkflowHandle, phase: string): Promise<void> => {
  await until(run, `the run is ${phase}`, (progress) => progress.phase === phase);
};

/** The run has told another workflow that it wants the wallet. */
export async function untilSignalled(run: WorkflowHandle): Promise<void> {
  await eventually('the one who has the wallet is asked for it', async () => {
    const { events } = await run.fetchHistory();
    return (events ?? []).some((event) => event.externalWorkflowExecutionSignaledEventAttributes);
  });
}

/** A workflow beside the job's own, with an input made of the job's. */
export async function startBeside(
  job: RecallJob,
  type: string,
  inputOf: (settings: object) => object = (settings) => settings,
): Promise<WorkflowHandle> {
  const { action } = await (await job.job()).describe();
  return await job.server.client.workflow.start(type, {
    taskQueue: action.taskQueue,
    workflowId: `${action.workflowId}/${type}`,
    args: [inputOf(action.args?.[0] as object)],
  });
}

/** The runs that led to this one by continuing as new, the first one first, and this one. */
export async function chainOf(client: Client, run: WorkflowHandle): Promise<WorkflowHandle[]> {
  const { events } = await run.fetchHistory();
  const before = events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId ?? '';
  if (before === '') return [run];
  const earlier = client.workflow.getHandle(run.workflowId, before, { followRuns: false });
  return [...(await chainOf(client, earlier)), run];
}
