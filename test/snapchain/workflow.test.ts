/** The whole job on a real Temporal server: history and log as workflows of their own, paused, resumed, cancelled, gone on with. */
import type { ScheduleHandle, WorkflowHandle } from '@temporalio/client';
import type { ShardCursor } from '../../activities/snapchain/contract';
import { virtualShardOf } from '../../activities/snapchain/trie-key';
import type { Progress } from '../../workflows/shared/messages';
import { taskQueue } from '../../workflows/shared/names';
import type { RunResult } from '../../workflows/shared/run-state';
import { Ledger } from '../peers/snapchain/ledger';
import { startSnapchainNode, type LedgerNode } from '../peers/snapchain/ledger-node';
import { loadHashing } from '../peers/snapchain/trie';
import { countsOf } from '../peers/snapchain/truth';
import { fill, World } from '../peers/snapchain/world';
import { removeFolders } from '../support/folders';
import {
  createTestDatabase,
  outcomeOf,
  snapchainParts,
  type SnapchainParts,
  type TestDatabase,
} from '../support/snapchain-case';
import {
  createJob,
  eventually,
  startTemporal,
  startWorker,
  triggerRun,
  type TemporalServer,
} from '../support/temporal';

const queue = taskQueue('snapchain', 'any');
let server: TemporalServer;
let node: LedgerNode;
let world: World;
let database: TestDatabase;
let parts: SnapchainParts;
let worker: { stop(): Promise<void> };
let cases = 0;

beforeAll(async () => {
  await loadHashing();
  server = await startTemporal();
});
afterAll(async () => {
  await server.stop();
  removeFolders();
});
beforeEach(async () => {
  const ledger = new Ledger({ shards: 2 });
  world = new World({ seed: 7, fids: 40 });
  fill(ledger, world, { messages: 3000, messagesPerBlock: 300 });
  node = await startSnapchainNode({ ledger, pageSize: 50 });
  database = await createTestDatabase();
  parts = await snapchainParts([node.address], database.url);
  worker = await startWorker(server, { taskQueue: queue, activities: parts.activities });
});
afterEach(async () => {
  for await (const { workflowId } of server.client.workflow.list({ query: 'ExecutionStatus = "Running"' }))
    await server.client.workflow
      .getHandle(workflowId)
      .terminate()
      .catch(() => undefined);
  await worker.stop();
  await parts.close();
  await node.stop();
  await database.drop();
});

const settings = { signatureSample: 1, pollMs: 100, heartbeatSeconds: 2, tailSeconds: 2 };
const jobOf = (more: object = {}): Promise<ScheduleHandle> =>
  createJob(server.client, `snapchain/case-${(cases += 1)}`, queue, 'snapchainSync', { ...settings, ...more });
const progressOf = (run: WorkflowHandle): Promise<Progress> => run.query<Progress>('progress');
const more = (count: number): void => {
  for (let made = 0; made < count; made += 1) {
    const timestamp = node.ledger.timestampAt((node.ledger.shards[0]?.height ?? 0) + 1);
    node.ledger.applyBlock(world.messages(20, timestamp));
  }
};
const untilEqual = (): Promise<unknown> =>
  eventually('the tables are the network’s state', async () => {
    const [found, wanted] = [await outcomeOf(database.client), countsOf(node.ledger)];
    return JSON.stringify(found.sha256) === JSON.stringify(wanted.sha256) && found.messages === wanted.messages;
  });

it('history alone ends, both shards proved; run again it has nothing to do', async () => {
  const job = await jobOf({ live: false });
  const result = (await (await triggerRun(server.client, job)).result()) as RunResult<ShardCursor>;
  expect(result.state).toBe('completed');
  expect(result.lanes.map(({ lane, status }) => [lane, status])).toEqual([
    ['shard 1 history', 'done'],
    ['shard 2 history', 'done'],
  ]);
  for (const { cursor } of result.lanes) expect(cursor?.verdict).toMatchObject({ shardRoot: 'proved', unproved: [] });
  expect(await outcomeOf(database.client)).toEqual(countsOf(node.ledger));
  const pages = node.calls.get('GetShardTransactions');
  await (await triggerRun(server.client, job)).result();
  expect(node.calls.get('GetShardTransactions')).toBe(pages);
});

it('follows what happens meanwhile; a pause keeps every cursor, and a cancelled run hands them to the next', async () => {
  const job = await jobOf();
  const run = await triggerRun(server.client, job);
  await eventually(
    'history is read',
    async () => (await progressOf(run)).lanes.filter(({ status }) => status === 'done').length === 2,
  );
  more(20);
  await untilEqual();
  await run.executeUpdate('pause');
  await eventually('the tails have handed in', async () =>
    (await progressOf(run)).lanes
      .filter(({ lane }) => lane.endsWith('live'))
      .every(({ status }) => status === 'waiting'),
  );
  more(5);
  await run.executeUpdate('resume');
  await untilEqual();
  await run.cancel();
  const result = (await run.result()) as RunResult<ShardCursor>;
  expect(result.state).toBe('cancelled');
  more(10);
  const pages = node.calls.get('GetShardTransactions');
  const next = await triggerRun(server.client, job);
  await untilEqual();
  expect(node.calls.get('GetShardTransactions')).toBe(pages);
  await next.terminate();
}, 90_000);

it('a log that has a hole beyond retention is made good by a scan of its own', async () => {
  const job = await jobOf();
  const run = await triggerRun(server.client, job);
  await eventually(
    'history is read',
    async () => (await progressOf(run)).lanes.filter(({ status }) => status === 'done').length === 2,
  );
  await run.executeUpdate('pause');
  await eventually('the tails have handed in', async () =>
    (await progressOf(run)).lanes
      .filter(({ lane }) => lane.endsWith('live'))
      .every(({ status }) => status === 'waiting'),
  );
  more(12);
  // The node keeps only the last blocks' events; what came between is in a new snapshot.
  for (const shard of node.ledger.shards) shard.log.dropBefore((shard.height - 2) * 16_384);
  node.shelf.take();
  await run.executeUpdate('resume');
  await untilEqual();
  await run.terminate();
}, 90_000);

it('a tail goes on as new again and again, nothing is missed, and a cancel reaches it all the same', async () => {
  const job = await jobOf({ legsPerRun: 2, tailSeconds: 1 });
  const run = await triggerRun(server.client, job);
  await eventually(
    'history is read',
    async () => (await progressOf(run)).lanes.filter(({ status }) => status === 'done').length === 2,
  );
  const tail = server.client.workflow.getHandle(`${run.workflowId}/shard-1-live`);
  const seen = new Set<string>();
  await eventually('the tail has gone on three times', async () => {
    more(1);
    return seen.add((await tail.describe()).runId).size > 3;
  });
  await untilEqual();
  await run.cancel();
  const result = (await run.result()) as RunResult<ShardCursor>;
  expect(result.state).toBe('cancelled');
  // What a cancelled run hands in is where its tails stood.
  const live = result.lanes.filter(({ lane }) => lane.endsWith('live'));
  for (const { cursor } of live)
    expect(cursor?.lanes).toEqual([expect.objectContaining({ cursor: expect.anything() as object })]);
}, 90_000);

it('what only a person can mend blocks the run, which goes on where it stood, with nothing left out', async () => {
  const refusal = { kind: 'status', code: 16, details: 'no such token' } as const;
  node.faults.set([{ method: 'GetShardTransactions', shard: 2, fault: refusal }]);
  const run = await triggerRun(server.client, await jobOf({ live: false }));
  await eventually('the run is blocked', async () => (await progressOf(run)).phase === 'blocked');
  const { blockedBy, reason } = await progressOf(run);
  expect([blockedBy, reason]).toEqual(['NodeRefused', expect.stringContaining('no such token')]);
  node.faults.set([]);
  await run.executeUpdate('resume');
  const result = (await run.result()) as RunResult<ShardCursor>;
  expect(result.lanes.map(({ status }) => status)).toEqual(['done', 'done']);
  expect(await outcomeOf(database.client)).toEqual(countsOf(node.ledger));
});

it('a shard whose root differs is read once more by itself', async () => {
  const fid = world.fids[0] ?? 0;
  const shard = node.ledger.home(fid).index;
  const rule = { method: 'GetShardTransactions', shard, virtualShard: virtualShardOf(fid), nth: 1 };
  node.faults.set([{ ...rule, fault: { kind: 'dropAccount' } }]);
  const run = await triggerRun(server.client, await jobOf({ live: false }));
  const result = (await run.result()) as RunResult<ShardCursor>;
  expect(node.faults.done.get('dropAccount')).toBe(1);
  expect(result.lanes.map(({ cursor }) => cursor?.verdict?.shardRoot)).toEqual(['proved', 'proved']);
  expect(await outcomeOf(database.client)).toEqual(countsOf(node.ledger));
});
