/** A run that is paused, cancelled, blocked, or not alone with its wallet: nothing is lost, nothing is sent twice. */
import type { WorkflowHandle } from '@temporalio/client';
import type { RunResult } from '../../workflows/shared/run-state';
import type { RecallCursor } from '../../activities/recall/contract';
import { removeFolders } from '../support/folders';
import {
  expectComplete,
  progressOf,
  startRecallJob,
  until,
  type CaseOptions,
  type RecallJob,
} from '../support/recall-job';
import { eventually, startTemporal, type TemporalServer } from '../support/temporal';

let server: TemporalServer;
let job: RecallJob;

beforeAll(async () => {
  server = await startTemporal();
});
afterAll(async () => {
  await server.stop();
  removeFolders();
});
afterEach(() => job.end());

const open = async (options: CaseOptions = {}): Promise<void> => {
  job = await startRecallJob({ server, ...options });
};
const sizes = (count: number): number[] => Array.from({ length: count }, (_, index) => 50 + index);
const sends = (): number => job.peer.rpc.requests.get('eth_sendRawTransaction') ?? 0;
const resultOf = async (run: WorkflowHandle): Promise<RunResult<RecallCursor>> =>
  (await run.result()) as RunResult<RecallCursor>;
/** Some transactions are out, and many are not. */
const midRun = async (count: number): Promise<WorkflowHandle> => {
  await job.rows.add(sizes(count));
  const run = await job.begin({ batchSize: 25 });
  await eventually('transactions are on their way', async () => sends() > 60);
  return run;
};

it('pause stops it, the cursor stands behind what is settled, resume goes on', async () => {
  await open();
  const run = await midRun(600);
  await run.executeUpdate('pause', { args: [{ reason: 'a test' }] });
  await until(run, 'the lane has handed in', ({ lanes }) => lanes[0]?.status === 'waiting');
  const { lanes, counts } = await progressOf(run);
  const cursor = lanes[0]?.cursor as RecallCursor;
  expect(cursor.pending).toEqual([]);
  const before = sends();
  expect(before).toBeLessThan(600);
  // What was sent was settled: no more, no less is counted.
  expect(counts['objects']).toBe(before - 1);
  await run.executeUpdate('resume');
  expect((await resultOf(run)).counts).toMatchObject({ objects: 600 });
  await expectComplete(job);
});

it('a cancelled run leaves its cursor to the next one', async () => {
  await open();
  const run = await midRun(500);
  await run.cancel();
  const result = await resultOf(run);
  expect(result.state).toBe('cancelled');
  const { objects = 0 } = result.counts;
  expect(objects).toBeLessThan(500);
  expect((await job.run()).counts).toEqual({ objects: 500 - objects, bytes: expect.any(Number) });
  await expectComplete(job);
});

it('a plan that cannot be settled while the chain is dead is carried, and sent unchanged', async () => {
  await open();
  const run = await midRun(300);
  await job.peer.rpc.stop();
  await run.executeUpdate('pause');
  await eventually(
    'the lane has handed in its plans',
    async () => ((await progressOf(run)).lanes[0]?.cursor as RecallCursor | null)?.pending.length ?? 0,
    40,
  );
  await job.peer.rpc.start();
  await run.executeUpdate('resume');
  await resultOf(run);
  await expectComplete(job);
});

it('used-up credit blocks the run and says how far it lasts; it goes on when there is some', async () => {
  await open();
  const [wallet] = job.peer.wallets;
  await job.rows.add(Array.from({ length: 40 }, () => 1000));
  await job.peer.setCredit(wallet?.address ?? '', 10n * 1000n * 86_400n);
  const run = await job.begin({ batchSize: 10 });
  const blocked = await until(run, 'it is blocked', ({ phase }) => phase === 'blocked');
  expect(blocked.blockedBy).toBe('CreditExhausted');
  // It is found out before anything is sent, or by the chain's own refusal: the remedy and the runway are said either way.
  expect(blocked.reason).toMatch(/enough for \d+ bytes at a TTL of 86400 epochs/);
  expect(blocked.reason).toContain('buyCredit');
  await job.peer.setCredit(wallet?.address ?? '', 10n ** 15n);
  await run.executeUpdate('resume');
  const result = await resultOf(run);
  expect(result.parked).toEqual([]);
  await expectComplete(job);
});

it('a TTL that the account may not have, and a full network, block the run with their remedies', async () => {
  await open();
  await job.rows.add(sizes(5));
  const run = await job.begin({ ttl: 200_000 });
  const blocked = await until(run, 'it is blocked', ({ phase }) => phase === 'blocked');
  expect(blocked).toMatchObject({ blockedBy: 'TtlRefused', reason: expect.stringContaining('recall.sync.ttl') });
  await job.peer.setCapacity(10n);
  await run.executeUpdate('configure', { args: [{ ttl: 86_400 }] });
  await run.executeUpdate('resume');
  const full = await until(run, 'it is blocked again', ({ blockedBy }) => blockedBy === 'CapacityReached');
  expect(full.reason).toContain('10 bytes left');
  await job.peer.setCapacity(0n);
  await run.executeUpdate('resume');
  await resultOf(run);
  await expectComplete(job);
});

it('another program on the same wallet costs time, not objects', async () => {
  await open();
  const [wallet] = job.peer.wallets;
  if (wallet === undefined) throw new Error('the network has a wallet');
  const run = await midRun(200);
  await job.peer.foreignTransaction(wallet);
  await job.peer.rpc.restart();
  await resultOf(run);
  const found = await job.content();
  expect(found).toHaveLength(200);
});

it('two jobs of one wallet take turns, and both arrive', async () => {
  await open();
  await job.rows.add(sizes(120));
  const other = await job.beside({ name: 'other', batchSize: 20 });
  const run = await job.begin({ batchSize: 20 });
  const [first, second] = await Promise.all([resultOf(run), resultOf(other)]);
  expect([first.counts['objects'], second.counts['objects']]).toEqual([120, 120]);
  const mined = await job.peer.minedBy(job.peer.wallets[0]?.address ?? '');
  expect(mined.map(({ nonce }) => nonce)).toEqual(mined.map((_, index) => index));
  // 120 objects and a bucket, twice.
  expect(mined).toHaveLength(242);
}, 120_000);

it('several wallets share the rows: one bucket, each its own nonces', async () => {
  await open({ wallets: 3 });
  await job.rows.add(sizes(150));
  const result = await job.run();
  expect(result.lanes).toHaveLength(3);
  expect(result.counts).toMatchObject({ objects: 150 });
  for (const { counts } of result.lanes) expect(counts['objects'] ?? 0).toBeGreaterThan(20);
  await expectComplete(job);
});

it('a run beside the job is harmless', async () => {
  await open();
  await job.rows.add(sizes(80));
  const [result, stray] = await Promise.all([
    job.run({ batchSize: 20 }),
    resultOf(await job.beside({ batchSize: 20 })),
  ]);
  expect((result.counts['objects'] ?? 0) + (stray.counts['objects'] ?? 0)).toBe(80);
  await expectComplete(job);
}, 120_000);
