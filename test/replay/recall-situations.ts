/** The situations of the recall job whose histories are kept: each gives back the runs that show it; their children are kept as well. */
import type { WorkflowHandle } from '@temporalio/client';
import { renewSettings } from '../../activities/recall/contract';
import type { PeerWallet } from '../peers/recall/network';
import { until, type RecallJob } from '../support/recall-job';
import {
  chainOf,
  fewBytes,
  slow,
  startBeside,
  untilMidLane,
  untilPhase,
  untilSignalled,
  type RecallStage,
} from './recall-stage';

/** Late enough that a lane of a few batches can be caught in the middle. */
const lateMs = 150;

export const recallSituations: Readonly<Record<string, (stage: RecallStage) => Promise<WorkflowHandle[]>>> = {
  /** The first run of a job: no bucket yet, and several batches. */
  'recall-first': async (stage) => {
    const job = await stage.job();
    await job.rows.add(fewBytes(8));
    return [await job.begin({ batchSize: 3 })];
  },
  /** The next one begins from its result, and takes what is new. */
  'recall-caught-up': async (stage) => {
    const job = await synced(stage);
    await job.rows.add(fewBytes(2));
    return [await job.begin()];
  },
  'recall-swept': async (stage) => {
    const job = await synced(stage);
    await job.rows.add(fewBytes(2), { createdAt: (index) => `2020-01-01 00:00:00.00000${index}+00` });
    return [await job.begin({ reconcileHours: 0.0001 })];
  },
  'recall-paused-and-resumed': async (stage) => {
    const { job, run } = await midLane(stage);
    await run.executeUpdate('pause', { args: [{ reason: 'the wallet is needed' }] });
    await untilKept(run);
    slow(job, 0);
    await run.executeUpdate('resume');
    return [run];
  },
  'recall-cancelled': async (stage) => {
    const { job, run } = await midLane(stage);
    await run.cancel();
    slow(job, 0);
    return [run];
  },
  'recall-configured': async (stage) => {
    const { job, run } = await midLane(stage);
    await run.executeUpdate('configure', { args: [{ batchSize: 8 }] });
    slow(job, 0);
    return [run];
  },
  'recall-continued-as-new': async (stage) => {
    const { job, run } = await midLane(stage, { legSeconds: 1, legsPerRun: 1 });
    slow(job, 0);
    await run.result();
    return (await chainOf(job.server.client, run)).slice(0, 1);
  },
  /** The credit is used up in the middle; somebody buys more. */
  'recall-blocked-and-resumed': async (stage) => {
    const { job, run } = await midLane(stage);
    const [wallet] = job.peer.wallets;
    await job.peer.setCredit(wallet?.address ?? '', 0n);
    await untilPhase(run, 'blocked');
    slow(job, 0);
    await job.peer.setCredit(wallet?.address ?? '', 10n ** 15n);
    await run.executeUpdate('resume');
    return [run];
  },
  /** The first run parks an object, and sends another one twice; the second, told to, brings the first home. */
  'recall-parked-and-retried': async (stage) => {
    const job = await stage.job();
    await job.rows.add(fewBytes(4));
    job.peer.faults.next.refuseUpload = 1;
    job.peer.faults.next.failBlob = 1;
    const first = await job.begin();
    await first.result();
    await job.stopWorker();
    const second = await job.begin();
    const retried = second.executeUpdate('retry');
    await job.startWorker();
    await retried;
    return [first, second];
  },
  /** The chain dies under a plan, and the run is paused: the plan waits in the cursor, and goes first when the chain is back. */
  'recall-plan-carried': async (stage) => {
    const { job, run } = await midLane(stage);
    await job.peer.rpc.stop();
    await run.executeUpdate('pause');
    await untilKept(run, (pending) => pending.length > 0);
    await job.peer.rpc.start();
    slow(job, 0);
    await run.executeUpdate('resume');
    return [run];
  },
  /** The chain forgets what waits for a block: it is sent again, unchanged. */
  'recall-sent-again': async (stage) => {
    const { job, run } = await midLane(stage);
    await job.peer.rpc.restart();
    job.peer.faults.next.evict = 1;
    slow(job, 0);
    return [run];
  },
  /** Another program uses the wallet: what had its nonce is read and sent anew. */
  'recall-nonce-taken': async (stage) => {
    const { job, run } = await midLane(stage);
    await job.peer.foreignTransaction(job.peer.wallets[0] as PeerWallet);
    slow(job, 0);
    return [run];
  },
  /** The owner makes the bucket and approves the delegate; each brings its share. */
  'recall-two-wallets': async (stage) => {
    const job = await stage.job({ wallets: 2 });
    await job.rows.add(fewBytes(8));
    return [await job.begin({ batchSize: 3 })];
  },
  /** A renewal wants the wallet in the middle of a sync: the sync hands it over, and goes on afterwards. */
  'recall-contended': async (stage) => {
    const { job, run } = await midLane(stage);
    const renewal = await startBeside(job, 'recallRenew', (input) => ({ ...input, margin: 60 }));
    await untilSignalled(renewal);
    slow(job, 0);
    await renewal.result();
    return [run, renewal];
  },
  /** What is there is extended; what is not is brought. */
  'recall-renewed': async (stage) => {
    const job = await synced(stage, { ttl: 7200 });
    await job.rows.add(fewBytes(2));
    return [await startBeside(job, 'recallRenew', (input) => ({ ...input, ttl: 7200, margin: 86_400 }))];
  },
  'recall-verified': async (stage) => {
    const job = await synced(stage);
    await job.rows.add(fewBytes(2));
    return [await startBeside(job, 'recallVerify', (input) => ({ ...input, bytes: true }))];
  },
  'recall-dry-run': async (stage) => {
    const job = await synced(stage);
    await job.rows.add(fewBytes(2));
    return [await startBeside(job, 'recallDryRun')];
  },
  'recall-surveyed': async (stage) => {
    const job = await synced(stage);
    const settingsOf = (input: object): object => renewSettings.parse(input);
    return [await startBeside(job, 'recallSurvey', (input) => ({ settings: settingsOf(input), cursors: {} }))];
  },
};

async function synced(stage: RecallStage, settings: object = {}): Promise<RecallJob> {
  const job = await stage.job();
  await job.rows.add(fewBytes(4));
  await job.run(settings);
  return job;
}

/** A run whose lane has settled a batch, and is slow with the others: more than can be on their way at once. */
async function midLane(stage: RecallStage, settings: object = {}): Promise<{ job: RecallJob; run: WorkflowHandle }> {
  const job = await stage.job();
  await job.rows.add(fewBytes(9));
  slow(job, lateMs);
  const run = await job.begin({ batchSize: 1, ...settings });
  await untilMidLane(job);
  return { job, run };
}

/** The leg has come back: what it had is in the run's state. */
async function untilKept(
  run: WorkflowHandle,
  check: (pending: readonly unknown[]) => boolean = () => true,
): Promise<void> {
  await until(run, 'the leg has handed in its cursor', ({ phase, lanes: [lane] }) => {
    const cursor = lane?.cursor as { readonly pending: readonly unknown[] } | null | undefined;
    return phase === 'paused' && lane?.status === 'waiting' && !!cursor && check(cursor.pending);
  });
}
