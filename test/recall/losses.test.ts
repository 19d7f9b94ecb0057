/** What the original loses, as tests: rows that commit late, rows of one moment, failures, rows set into the past. */
import type { Client } from 'pg';
import { removeFolders } from '../support/folders';
import { expectComplete, startRecallJob, type RecallJob } from '../support/recall-job';
import { startTemporal, type TemporalServer } from '../support/temporal';

let server: TemporalServer;
let job: RecallJob;
const sessions: Client[] = [];

beforeAll(async () => {
  server = await startTemporal();
});
afterAll(async () => {
  await server.stop();
  removeFolders();
});
beforeEach(async () => {
  job = await startRecallJob({ server });
});
afterEach(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.end()));
  await job.end();
});

const session = async (): Promise<Client> => {
  const client = await job.rows.connect();
  sessions.push(client);
  return client;
};
const sizes = (count: number): number[] => Array.from({ length: count }, (_, index) => 50 + index);

it('rows of a transaction that was open while later ones were read arrive', async () => {
  const late = await session();
  await late.query('BEGIN');
  await job.rows.add(sizes(5), { through: late });
  await job.rows.add(sizes(20));
  const first = await job.run();
  // Nothing at or above the open transaction's start is read, whoever wrote it.
  expect(first.counts['objects'] ?? 0).toBe(0);
  await job.rows.add(sizes(10));
  await late.query('COMMIT');
  const second = await job.run();
  expect(second.counts).toMatchObject({ objects: 35 });
  await expectComplete(job);
});

it('a transaction that has begun, and writes only later, holds the reading up as well', async () => {
  const late = await session();
  await late.query('BEGIN');
  await late.query('SELECT now()');
  await job.rows.add(sizes(20));
  expect((await job.run()).counts['objects'] ?? 0).toBe(0);
  await job.rows.add(sizes(5), { through: late });
  await late.query('COMMIT');
  expect((await job.run()).counts).toMatchObject({ objects: 25 });
  await expectComplete(job);
});

it('rows of one microsecond, over the borders of pages, arrive once each', async () => {
  const moment = '2026-01-31 12:00:00.123456+00';
  await job.rows.add(sizes(180), { createdAt: () => moment });
  const result = await job.run({ batchSize: 7 });
  expect(result.counts).toMatchObject({ objects: 180 });
  await expectComplete(job);
});

it('rows of one millisecond, which a JavaScript date cannot tell apart, arrive once each', async () => {
  await job.rows.add(sizes(120), {
    createdAt: (index) => `2026-01-31 12:00:00.123${String(index * 3).padStart(3, '0')}+00`,
  });
  expect((await job.run({ batchSize: 11 })).counts).toMatchObject({ objects: 120 });
  await expectComplete(job);
});

it('rows that a client dates into the past, behind the cursor, arrive with the next sweep', async () => {
  await job.rows.add(sizes(20));
  await job.run();
  await job.rows.add(sizes(15), { createdAt: (index) => `2020-01-01 00:00:00.${String(index).padStart(6, '0')}+00` });
  // Not due yet: the cursor is beyond them.
  expect((await job.run()).counts['objects'] ?? 0).toBe(0);
  const swept = await job.run({ reconcileHours: 0.0001 });
  expect(swept.counts).toMatchObject({ objects: 15 });
  await expectComplete(job);
  expect((await job.run({ reconcileHours: 0.0001 })).counts['objects'] ?? 0).toBe(0);
});

it('an object that the network fails to resolve is sent again, and arrives', async () => {
  await job.rows.add(sizes(30));
  job.peer.faults.next.failBlob = 4;
  const result = await job.run();
  expect(result.parked).toEqual([]);
  expect(result.counts).toMatchObject({ objects: 30 });
  const content = await job.content();
  expect(content.filter(({ added }) => added === 2)).toHaveLength(4);
});

it('an object whose upload is refused is parked with its reason; retry brings it home', async () => {
  await job.rows.add(sizes(10));
  job.peer.faults.next.refuseUpload = 1;
  const first = await job.run();
  expect(first.parked).toHaveLength(1);
  expect(first.parked[0]).toMatchObject({ attempts: 1, reason: expect.stringContaining('failed to entangle') });
  expect(first.counts).toMatchObject({ objects: 9 });
  // Its own wait is not over: a run does not come back to it by itself.
  expect((await job.run()).parked).toHaveLength(1);
  await job.stopWorker();
  const run = await job.begin();
  const retried = run.executeUpdate('retry');
  await job.startWorker();
  await retried;
  expect(await run.result()).toMatchObject({ parked: [], counts: { objects: 1 } });
  await expectComplete(job);
});

it('rows that are in flight when the worker is lost arrive once', async () => {
  await job.rows.add(sizes(400));
  const run = await job.begin({ batchSize: 50 });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await job.stopWorker();
  await job.startWorker();
  await run.result();
  await expectComplete(job);
});

it('a row whose agent is set to null afterwards keeps the key it was sent under', async () => {
  await job.rows.add(sizes(12));
  await job.run();
  await job.rows.client.query(`UPDATE ${job.rows.table} SET agent_id = NULL`);
  const swept = await job.run({ reconcileHours: 0.0001 });
  expect(swept.counts['objects'] ?? 0).toBe(0);
  expect(swept.counts['present']).toBe(12);
  await expectComplete(job);
});

it('an empty object and one over the limit are parked; the others arrive', async () => {
  const [empty] = await job.rows.add([0, 10, 20, 5000]);
  const result = await job.run({ objectBytesMax: 4000 });
  const parked = result.parked.map(({ id }) => id);
  expect(parked).toHaveLength(2);
  expect(parked).toContain(empty?.id);
  await expectComplete(job, parked);
});
