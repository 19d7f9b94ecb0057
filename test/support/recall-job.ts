/** A recall job on real servers: rows in PostgreSQL, an emulated network, Temporal, a worker in this process. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ScheduleHandle, WorkflowHandle } from '@temporalio/client';
import { createRecallActivities } from '../../activities/recall/activities';
import type { RecallCursor } from '../../activities/recall/contract';
import { networkAddress } from '../../activities/recall/networks';
import { createPostgresSource } from '../../activities/recall/postgres-source';
import { createRecallNetwork } from '../../activities/recall/recall-network';
import { createWallet } from '../../activities/recall/wallet';
import { taskQueue, walletQueue } from '../../workflows/shared/names';
import type { Progress } from '../../workflows/shared/messages';
import type { RunResult } from '../../workflows/shared/run-state';
import { startRecallNetwork, type BucketObject, type NetworkOptions, type RecallPeer } from '../peers/recall/network';
import { newFolder } from './folders';
import { createObjectIndex, type DataColumn, type ObjectIndex } from './object-index';
import { createJob, eventually, startTemporal, startWorker, triggerRun, type TemporalServer } from './temporal';

export const queue = taskQueue('recall', 'any');

export interface RecallJob {
  readonly server: TemporalServer;
  readonly peer: RecallPeer;
  readonly rows: ObjectIndex;
  /** Makes the job, the first time; settings of later calls are given to it. */
  job(settings?: object): Promise<ScheduleHandle>;
  /** One run to its end. */
  run(settings?: object): Promise<RunResult<RecallCursor>>;
  begin(settings?: object): Promise<WorkflowHandle>;
  /** A run that is not the job's: started bare. */
  beside(settings?: object): Promise<WorkflowHandle>;
  /** One of the job's other workflows, to its end. */
  workflow(type: string, input: object): Promise<unknown>;
  /** The workflow's input. */
  input(settings?: object): object;
  untilBlocked(run: WorkflowHandle): Promise<Progress>;
  /** The one bucket of the first wallet. */
  bucket(): Promise<string>;
  content(): Promise<BucketObject[]>;
  stopWorker(): Promise<void>;
  startWorker(): Promise<void>;
  end(): Promise<void>;
}

export interface CaseOptions {
  readonly column?: DataColumn;
  readonly network?: NetworkOptions;
  /** How many of the network's wallets the worker has; default 1. */
  readonly wallets?: number;
  readonly server?: TemporalServer;
}

let cases = 0;

export async function startRecallJob({
  column = 'BYTEA',
  network = {},
  wallets = 1,
  server: given,
}: CaseOptions = {}): Promise<RecallJob> {
  cases += 1;
  const name = `case-${process.pid}-${cases}`;
  const [server, peer, rows] = await Promise.all([
    given ?? startTemporal(),
    startRecallNetwork({ blockSeconds: 0.2, resolveMs: 50, wallets: Math.max(2, wallets), ...network }),
    createObjectIndex(column),
  ]);
  const networks = join(newFolder('networks'), 'networks.toml');
  writeFileSync(networks, peer.networksToml('emulated'));
  const keys = peer.wallets.slice(0, wallets).map(({ privateKey }) => createWallet(privateKey));
  const source = createPostgresSource(rows.settings);
  const chain = createRecallNetwork('emulated', networkAddress('emulated', networks));
  const activities = createRecallActivities({
    source: () => source,
    network: () => chain,
    wallets: keys,
    addresses: () => keys.map(({ address }) => address) as [string, ...string[]],
  });
  let workers: { stop(): Promise<void> }[] = [];
  const startAll = async (): Promise<void> => {
    workers = await Promise.all([
      startWorker(server, { taskQueue: queue, activities }),
      ...keys.map(({ address }) =>
        startWorker(server, {
          taskQueue: walletQueue(address),
          activities,
          maxConcurrentActivityTaskExecutions: 1,
          workflowBundle: undefined as never,
        }),
      ),
    ]);
  };
  const stopAll = async (): Promise<void> => {
    await Promise.all(workers.splice(0).map((worker) => worker.stop()));
  };
  await startAll();

  let job: ScheduleHandle | null = null;
  let strays = 0;
  const input = (settings: object = {}): object => ({
    network: 'emulated',
    name,
    settleSeconds: 0,
    heartbeatSeconds: 2,
    batchSize: 50,
    ...settings,
  });
  const made = async (settings: object = {}): Promise<ScheduleHandle> => {
    if (job === null) job = await createJob(server.client, `recall/${name}`, queue, 'recallSync', input(settings));
    else await job.update((previous) => ({ ...previous, action: { ...previous.action, args: [input(settings)] } }));
    return job;
  };
  const begin = async (settings: object = {}): Promise<WorkflowHandle> =>
    triggerRun(server.client, await made(settings));
  const bucket = async (): Promise<string> => (await peer.bucketsOf(keys[0]?.address ?? ''))[0] ?? '';
  return {
    server,
    peer,
    rows,
    job: made,
    begin,
    input,
    beside: async (settings = {}) =>
      await server.client.workflow.start('recallSync', {
        taskQueue: queue,
        workflowId: `beside-${name}-${(strays += 1)}`,
        args: [input(settings)],
      }),
    workflow: async (type, given) =>
      (await server.client.workflow.execute(type, {
        taskQueue: queue,
        workflowId: `${type}-${name}-${(strays += 1)}`,
        args: [type === 'recallSurvey' ? given : input(given)],
      })) as unknown,
    untilBlocked: (run) => until(run, 'it is blocked', ({ phase }) => phase === 'blocked'),
    run: async (settings = {}) => (await (await begin(settings)).result()) as RunResult<RecallCursor>,
    bucket,
    content: async () => await peer.contentOf(await bucket()),
    stopWorker: stopAll,
    startWorker: startAll,
    end: async () => {
      await stopAll();
      // A wallet is the same in every case: a run that a failed test has left would keep it from the next.
      for await (const { workflowId } of server.client.workflow.list({ query: 'ExecutionStatus = "Running"' }))
        await server.client.workflow
          .getHandle(workflowId)
          .terminate()
          .catch(() => undefined);
      await source.close();
      chain.close();
      await rows.drop();
      await peer.stop();
      if (given === undefined) await server.stop();
    },
  };
}

export const progressOf = (run: WorkflowHandle): Promise<Progress> => run.query<Progress>('progress');

export const until = (run: WorkflowHandle, what: string, check: (progress: Progress) => boolean): Promise<Progress> =>
  eventually(what, async () => {
    const progress = await progressOf(run);
    return check(progress) ? progress : null;
  });

/** Every row is there once, under its key, byte for byte; no nonce twice, none skipped. */
export async function expectComplete(
  { rows, peer, content }: Pick<RecallJob, 'rows' | 'peer' | 'content'>,
  but: readonly string[] = [],
): Promise<void> {
  const found = await content();
  const byKey = new Map(found.map((object) => [object.key, object]));
  const wanted = [...rows.made.values()].filter(({ id }) => !but.includes(id));
  const wrong = wanted.filter(({ key, sha256, size }) => {
    const there = byKey.get(key);
    return there === undefined || there.sha256 !== sha256 || there.size !== size || there.added !== 1;
  });
  expect({ wrong: wrong.length, first: wrong[0], there: byKey.get(wrong[0]?.key ?? '') ?? null }).toEqual({
    wrong: 0,
    first: undefined,
    there: null,
  });
  expect(found.length).toBe(wanted.length);
  for (const { address } of peer.wallets) {
    const mined = await peer.minedBy(address);
    expect(mined.map(({ nonce }) => nonce)).toEqual(mined.map((_, index) => index));
  }
}
