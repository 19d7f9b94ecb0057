/** What keeps objects where they are, and proves it: renewal, verification, a dry run, the survey of `status`. */
import type { RecallCursor, Survey, VerifyCursor } from '../../activities/recall/contract';
import type { RunResult } from '../../workflows/shared/run-state';
import { removeFolders } from '../support/folders';
import { startRecallJob, type RecallJob } from '../support/recall-job';
import { startTemporal, type TemporalServer } from '../support/temporal';

let server: TemporalServer;
let job: RecallJob;

beforeAll(async () => {
  server = await startTemporal();
});
afterAll(async () => {
  await server.stop();
  removeFolders();
});
beforeEach(async () => {
  job = await startRecallJob({ server });
  await job.rows.add(Array.from({ length: 40 }, (_, index) => 100 + index));
});
afterEach(() => job.end());

const sends = (): number => job.peer.rpc.requests.get('eth_sendRawTransaction') ?? 0;
const workflow = <R>(type: string, input: object): Promise<R> => job.workflow(type, input) as Promise<R>;
const renew = (margin: number): Promise<RunResult<RecallCursor>> => workflow('recallRenew', { margin, ttl: 3600 });
const verdict = async (input: object = {}): Promise<VerifyCursor['verdict']> => {
  const { lanes } = await workflow<RunResult<VerifyCursor>>('recallVerify', input);
  return lanes[0]?.cursor?.verdict as VerifyCursor['verdict'];
};

it('renewal extends what expires within the margin, without an upload, and leaves the rest', async () => {
  await job.run({ ttl: 3600 });
  const uploads = job.peer.objects.uploads;
  const before = await job.content();
  expect((await renew(600)).counts).toMatchObject({ present: 40 });
  await job.peer.mine(3200);
  const renewed = await renew(600);
  expect(renewed.counts).toMatchObject({ objects: 40, renewed: 40 });
  expect(job.peer.objects.uploads).toBe(uploads);
  const after = await job.content();
  for (const [index, { expiry, blobHash }] of after.entries()) {
    expect(expiry).toBeGreaterThan((before[index]?.expiry ?? 0) + 3000);
    expect(blobHash).toBe(before[index]?.blobHash);
  }
}, 120_000);

it('renewal brings again what has gone', async () => {
  await job.run({ ttl: 3600 });
  await job.peer.mine(3700);
  expect(await verdict()).toMatchObject({ matched: 0, missing: 40 });
  expect((await renew(600)).counts).toMatchObject({ objects: 40 });
  expect(await verdict({ bytes: true })).toMatchObject({ matched: 40, missing: 0, differing: 0 });
}, 120_000);

it('verify tells matched, missing, differing and not yet synced apart', async () => {
  await job.run();
  expect(await verdict()).toMatchObject({ matched: 40, differing: 0, missing: 0 });
  const { bytesRead } = await verdict({ bytes: true });
  expect(bytesRead).toBe([...job.rows.made.values()].reduce((sum, { size }) => sum + size, 0));
  const [changed] = [...job.rows.made.values()];
  await job.rows.client.query(`UPDATE ${job.rows.table} SET data = data || '\\x00' WHERE id = $1`, [changed?.id]);
  await job.rows.add([77]);
  job.peer.faults.next.corrupt = 1;
  const found = await verdict({ bytes: true });
  expect(found).toMatchObject({ matched: 38, differing: 2, missing: 1 });
  expect(found.samples.join('\n')).toContain(changed?.id);
  expect(found.samples.join('\n')).toMatch(/its bytes have sha256/);
  const sampled = await verdict({ sample: 0.5 });
  expect(sampled.matched).toBeLessThan(38);
  expect(sampled.matched).toBeGreaterThan(4);
}, 120_000);

it('a dry run counts what would go, and sends nothing', async () => {
  const { counts } = await workflow<RunResult<unknown>>('recallDryRun', {});
  const bytes = [...job.rows.made.values()].reduce((sum, { size }) => sum + size, 0);
  expect(counts).toMatchObject({ objects: 40, bytes });
  expect(sends()).toBe(0);
  await job.run();
  await job.rows.add([500, 600]);
  const after = await workflow<RunResult<unknown>>('recallDryRun', {});
  expect(after.counts).toMatchObject({ objects: 2, bytes: 1100, present: 40 });
});

it('the survey knows backlog, credit and expiry', async () => {
  const first = await job.run({ ttl: 3600 });
  const lane = first.lanes[0];
  await job.rows.add([500, 600]);
  const survey = await workflow<Survey>('recallSurvey', {
    settings: { ...job.input({ ttl: 3600 }), margin: 7200 },
    cursors: { [lane?.lane ?? '']: lane?.cursor },
  });
  expect(survey.backlog).toMatchObject({ rows: 2, bytes: 1100 });
  expect(survey.wallets).toHaveLength(1);
  expect(survey.wallets[0]?.runwayBytes).toBeGreaterThan(1e9);
  expect(survey.expiry.present).toBe(survey.expiry.sampled);
  expect(survey.expiry.withinMargin).toBe(survey.expiry.sampled);
  expect(survey.expiry.soonestEpochs).toBeLessThanOrEqual(3600);
});

it('what the source lacks is said by name, and blocks the run', async () => {
  await job.rows.client.query(`ALTER TABLE ${job.rows.table} RENAME COLUMN data TO body`);
  const run = await job.begin();
  await expect(run.query('progress')).resolves.toBeDefined();
  const blocked = await job.untilBlocked(run);
  expect(blocked).toMatchObject({ blockedBy: 'SourceRefused', reason: expect.stringContaining('no column data') });
  await job.rows.client.query(`ALTER TABLE ${job.rows.table} RENAME COLUMN body TO data`);
  await run.executeUpdate('resume');
  expect(((await run.result()) as RunResult<RecallCursor>).counts).toMatchObject({ objects: 40 });
});
