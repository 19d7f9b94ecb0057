/** The situations of the snapchain job whose histories are kept: each gives back the runs that show it; what they started is kept too. */
import type { WorkflowHandle, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { Progress } from '../../workflows/shared/messages';
import { taskQueue } from '../../workflows/shared/names';
import { Ledger } from '../peers/snapchain/ledger';
import { startSnapchainNode, type LedgerNode } from '../peers/snapchain/ledger-node';
import { loadHashing } from '../peers/snapchain/trie';
import { fill, World } from '../peers/snapchain/world';
import { createTestDatabase, snapchainParts } from '../support/snapchain-case';
import { createJob, eventually, startWorker, triggerRun, type TemporalServer } from '../support/temporal';

const queue = taskQueue('snapchain', 'any');
const scheduleId = 'snapchain/main';
const people = 6;

export interface SnapchainStage {
  readonly server: TemporalServer;
  readonly node: LedgerNode;
  /** What must not stand in a history. */
  readonly names: readonly (readonly [string, string])[];
  /** Begins the job's run, of three people. */
  begin(settings?: object): Promise<WorkflowHandle>;
  start(type: string, settings?: object): Promise<WorkflowHandleWithFirstExecutionRunId>;
  /** Blocks with new messages. */
  more(blocks: number): void;
  end(): Promise<void>;
}

export async function beginSnapchainStage(server: TemporalServer): Promise<SnapchainStage> {
  await loadHashing();
  const ledger = new Ledger({ shards: 2 });
  const world = new World({ seed: 5, fids: people });
  fill(ledger, world, { messages: 300, messagesPerBlock: 100 });
  const node = await startSnapchainNode({ ledger, pageSize: 50 });
  const database = await createTestDatabase();
  const parts = await snapchainParts([node.address], database.url);
  const worker = await startWorker(server, { taskQueue: queue, activities: parts.activities });
  const few = { fids: world.fids.slice(0, people / 2), signatureSample: 1, pollMs: 200, heartbeatSeconds: 2 };
  const settingsOf = (more: object): object => ({ ...few, tailSeconds: 2, ...more });
  return {
    server,
    node,
    names: [
      [node.address, 'node:3383'],
      [new URL(database.url).host, 'db:5432'],
      [new URL(database.url).pathname.slice(1), 'farcaster'],
    ],
    begin: async (settings = {}) => {
      const job = await createJob(server.client, scheduleId, queue, 'snapchainSync', settingsOf(settings));
      return await triggerRun(server.client, job);
    },
    start: (type, settings = {}) =>
      server.client.workflow.start(type, {
        taskQueue: queue,
        workflowId: `${scheduleId}/${type}`,
        args: [settingsOf(settings)],
      }),
    more: (blocks) => {
      for (let made = 0; made < blocks; made += 1) {
        const timestamp = ledger.timestampAt((ledger.shards[0]?.height ?? 0) + 1);
        ledger.applyBlock(world.messages(10, timestamp));
      }
    },
    end: async () => {
      await worker.stop();
      await parts.close();
      await node.stop();
      await database.drop();
    },
  };
}

export const snapchainSituations: Readonly<Record<string, (stage: SnapchainStage) => Promise<WorkflowHandle[]>>> = {
  'snapchain-history': async (stage) => [await stage.begin({ live: false })],
  /** Every stretch of the trie, not that of three people alone. */
  'snapchain-whole-shard': async (stage) => [await stage.start('snapchainScan', { shard: 1, fids: [] })],
  /** One of a shard's accounts is left out with all its traces, once. */
  'snapchain-read-again': async (stage) => {
    stage.node.faults.set([{ method: 'GetShardTransactions', shard: 1, chance: 1, fault: { kind: 'dropAccount' } }]);
    const run = await stage.start('snapchainScan', { shard: 1, fids: [] });
    await eventually('it is read again', async () => (await run.describe()).runId !== run.firstExecutionRunId);
    stage.node.faults.set([]);
    return [firstOf(stage, run)];
  },
  'snapchain-paused-and-resumed': async (stage) => {
    const run = await following(stage);
    await run.executeUpdate('pause', { args: [{ reason: 'the database is moved' }] });
    await untilWaiting(run);
    stage.more(2);
    await run.executeUpdate('resume');
    await untilLive(run, 'running');
    await run.cancel();
    return [run];
  },
  /** The tail's own history does not grow without end. */
  'snapchain-continued-as-new': async (stage) => {
    const run = await following(stage, { legsPerRun: 2, tailSeconds: 1 });
    const tail = stage.server.client.workflow.getHandle(`${run.workflowId}/shard-1-live`);
    const { runId } = await tail.describe();
    await eventually('the tail goes on as new', async () => (await tail.describe()).runId !== runId);
    await run.cancel();
    return [run];
  },
  'snapchain-hole': async (stage) => {
    const run = await following(stage);
    await run.executeUpdate('pause');
    await untilWaiting(run);
    stage.more(8);
    for (const shard of stage.node.ledger.shards) shard.log.dropBefore((shard.height - 2) * 16_384);
    stage.node.shelf.take();
    const pages = stage.node.calls.get('GetShardTransactions') ?? 0;
    await run.executeUpdate('resume');
    await eventually('a scan reads beyond it', () =>
      Promise.resolve((stage.node.calls.get('GetShardTransactions') ?? 0) > pages),
    );
    await run.cancel();
    return [run];
  },
  'snapchain-blocked-and-resumed': async (stage) => {
    stage.node.faults.set([
      { method: 'GetShardTransactions', fault: { kind: 'status', code: 16, details: 'no such token' } },
    ]);
    const run = await stage.begin({ live: false });
    await eventually('the run is blocked', async () => (await progressOf(run)).phase === 'blocked');
    stage.node.faults.set([]);
    await run.executeUpdate('resume');
    return [run];
  },
  'snapchain-verified': async (stage) => {
    await (await stage.begin({ live: false })).result();
    return [await stage.start('snapchainVerify', { settleSeconds: 0 })];
  },
  'snapchain-surveyed': async (stage) => [
    await stage.server.client.workflow.start('snapchainSurvey', {
      taskQueue: queue,
      workflowId: `${scheduleId}/survey`,
    }),
  ],
};

const progressOf = (run: WorkflowHandle): Promise<Progress> => run.query<Progress>('progress');

async function following(stage: SnapchainStage, settings: object = {}): Promise<WorkflowHandle> {
  const run = await stage.begin(settings);
  await eventually(
    'history is read',
    async () => (await progressOf(run)).lanes.filter(({ status }) => status === 'done').length === 2,
  );
  stage.more(1);
  return run;
}

const untilLive = (run: WorkflowHandle, status: string): Promise<unknown> =>
  eventually(`the tails are ${status}`, async () =>
    (await progressOf(run)).lanes.filter(({ lane }) => lane.endsWith('live')).every((lane) => lane.status === status),
  );
const untilWaiting = (run: WorkflowHandle): Promise<unknown> => untilLive(run, 'waiting');

const firstOf = (
  { server }: SnapchainStage,
  { workflowId, firstExecutionRunId }: WorkflowHandleWithFirstExecutionRunId,
): WorkflowHandle => server.client.workflow.getHandle(workflowId, firstExecutionRunId, { followRuns: false });
