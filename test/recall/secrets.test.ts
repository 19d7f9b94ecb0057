/**
 * No private key, S3 secret, database password or byte of an object in any history, description, log or answer: real workers
 * with all of them configured, runs that succeed and runs that fail in every way, and then everything that was said is read.
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { WorkflowHandle } from '@temporalio/client';
import { walletId } from '../../workflows/shared/names';
import type { Progress } from '../../workflows/shared/messages';
import type { RunResult } from '../../workflows/shared/run-state';
import { freePort } from '../../workers/free-port';
import { run as command } from '../client/command';
import { startPasswordRefuser } from '../peers/password-refuser';
import { startRecallNetwork, type RecallPeer } from '../peers/recall/network';
import { newFolder, removeFolders } from '../support/folders';
import { createObjectIndex, type DataColumn, type ObjectIndex } from '../support/object-index';
import { workerProcess, type NodeProcess } from '../support/processes';
import { createJob, eventually, startTemporal, triggerRun, type TemporalServer } from '../support/temporal';
import { formsOf, leaks, temporalTraces, type Trace } from '../support/traces';

const marked = (name: string): string => `${name}-${randomBytes(12).toString('hex')}`;
/** PostgreSQL lets the tests in without a password: this one is sent nowhere but where it is asked for, and configured everywhere. */
const password = marked('password');
const wrongSecret = marked('secret');
const content = marked('content');
const queue = 'waybill-recall';
const rowCount = 12;

interface Case {
  readonly server: TemporalServer;
  readonly peer: RecallPeer;
  readonly rows: ObjectIndex;
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, Buffer>>;
  /** What was to be seen on the way, and is not there any more at the end. */
  readonly seen: Trace[];
}

let current: Case;
let worker: NodeProcess | null = null;

afterAll(removeFolders);

async function startCase(column: DataColumn): Promise<Case> {
  const [server, peer, rows] = await Promise.all([
    startTemporal(),
    startRecallNetwork({ blockSeconds: 0.2, resolveMs: 50 }),
    createObjectIndex(column),
  ]);
  const networks = join(newFolder('networks'), 'networks.toml');
  writeFileSync(networks, peer.networksToml('emulated'));
  const [owner, delegate] = peer.wallets.map(({ privateKey }) => privateKey) as [string, string];
  const { database, s3 } = rows.settings;
  const bytesOf = (key: string): Buffer => Buffer.from(key.slice(2), 'hex');
  return {
    ...{ server, peer, rows, seen: [] },
    env: {
      RECALL_PRIVATE_KEY: owner,
      WAYBILL_RECALL_RECALL_DELEGATE_KEYS: delegate,
      WAYBILL_RECALL_RECALL_CONFIG_PATH: networks,
      WAYBILL_RECALL_DATABASE_URL: withPassword(database.url),
      WAYBILL_RECALL_DATABASE_TABLE: database.table,
      WAYBILL_WORKER_LOG_LEVEL: 'debug',
      ...(s3 === null ? {} : storeSettings(s3)),
    },
    secrets: {
      'the owner’s key': bytesOf(owner),
      'the owner’s key in words': Buffer.from(owner.slice(2)),
      'the delegate’s key': bytesOf(delegate),
      'the delegate’s key in words': Buffer.from(delegate.slice(2)),
      'the database’s password': Buffer.from(password),
      'bytes of an object': Buffer.from(content),
      'the wrong S3 secret': Buffer.from(wrongSecret),
      ...(s3 === null ? {} : { 'the S3 secret': Buffer.from(s3.secretAccessKey ?? '') }),
    },
  };
}

function withPassword(url: string): string {
  const address = new URL(url);
  address.password = password;
  return address.href;
}

function storeSettings(s3: NonNullable<ObjectIndex['settings']['s3']>): Record<string, string> {
  return {
    WAYBILL_RECALL_S3_BUCKET: s3.bucket,
    WAYBILL_RECALL_S3_ENDPOINT: s3.endpoint ?? '',
    WAYBILL_RECALL_S3_REGION: s3.region ?? '',
    WAYBILL_RECALL_S3_ACCESS_KEY_ID: s3.accessKeyId ?? '',
    WAYBILL_RECALL_S3_SECRET_ACCESS_KEY: s3.secretAccessKey ?? '',
  };
}

/** Rows whose bytes begin with the mark; they are found by it wherever they are shown. */
async function addMarked({ rows }: Case, count: number): Promise<void> {
  const made = await rows.add(Array.from({ length: count }, () => 1));
  const { s3 } = rows.settings;
  const bytes = made.map((_, index) => Buffer.from(`${content} of ${index}`));
  await rows.client.query(
    `UPDATE ${rows.table} SET size_bytes = length(made.bytes)${s3 === null ? ', data = made.bytes' : ''}
       FROM unnest($1::uuid[], $2::bytea[]) AS made (row_id, bytes) WHERE id = made.row_id`,
    [made.map(({ id }) => id), bytes],
  );
  if (s3 === null) return;
  const { bucket: Bucket, endpoint, region, accessKeyId, secretAccessKey } = s3 as Required<typeof s3>;
  const store = new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
  for (const [index, { id }] of made.entries())
    await store.send(new PutObjectCommand({ Bucket, Key: `objects/${id}`, Body: bytes[index] as Buffer }));
  store.destroy();
}

/** A worker with these settings over the case's, in the place of the one before. */
async function startWorker(more: Readonly<Record<string, string>> = {}): Promise<void> {
  await stopWorker();
  worker = workerProcess(current.server.address, 'anywhere', {
    WAYBILL_WORKER_JOBS: 'recall',
    ...current.env,
    ...more,
  });
  await worker.start();
}

async function stopWorker(): Promise<void> {
  if (worker === null) return;
  await worker.kill();
  current.seen.push({ of: 'the worker’s log', text: worker.said() });
  worker = null;
}

const settings = (name: string): object => ({
  ...{ network: 'emulated', name, settleSeconds: 0, heartbeatSeconds: 2, objectBytesMax: 10_000 },
});

async function begin(name: string): Promise<WorkflowHandle> {
  const job = await createJob(current.server.client, `recall/${name}`, queue, 'recallSync', settings(name));
  return await triggerRun(current.server.client, job);
}

const untilPhase = (run: WorkflowHandle, phase: string): Promise<Progress> =>
  eventually(`the run is ${phase}`, async () => {
    const progress = await run.query<Progress>('progress');
    return progress.phase === phase && progress;
  });

/** An activity of some run has failed and will be tried again: its failure is in no history yet. */
const untilTried = (what: string): Promise<string> =>
  eventually(what, async () => {
    const traces = await temporalTraces(current.server.client);
    const texts = traces.filter(({ of }) => of.startsWith('the description')).map(({ text }) => text);
    const found = texts.find((text) => text.includes('lastFailure ') && text.includes('ECONNREFUSED'));
    current.seen.push(...traces);
    return found;
  });

async function ask(...args: string[]): Promise<string> {
  const env = { ...current.env, TEMPORAL_ADDRESS: current.server.address };
  const { code, stdout, stderr } = await command(args, { env });
  current.seen.push({ of: `waybill ${args.join(' ')}`, text: `${stdout}\n${stderr}` });
  return `${code} ${stdout}${stderr}`;
}

/** The lane's batch is uploaded and stands in history, and nothing of it is mined: the chain is dead. */
async function chainDiesUnderBatch({ server, peer }: Case): Promise<void> {
  const lane = server.client.workflow.getHandle(walletId(peer.wallets[0]?.address ?? ''));
  await eventually('a batch is staged', async () => {
    const { events } = await lane.fetchHistory().catch(() => ({ events: [] }));
    const scheduled = (events ?? []).map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name);
    return scheduled.includes('broadcastPlan');
  });
  await peer.rpc.stop();
}

describe.each<DataColumn>(['BYTEA', 's3'])('with objects in %s', (column) => {
  beforeAll(async () => {
    current = await startCase(column);
    await addMarked(current, rowCount);
    await current.rows.add([20_000]);
  }, 60_000);
  afterAll(async () => {
    await stopWorker();
    await current.rows.drop();
    await current.peer.stop();
    await current.server.stop();
  });

  it('a run that loses its chain and its credit ends well, with what is parked', async () => {
    await startWorker();
    const { peer } = current;
    Object.assign(peer.faults, { delayMs: 600 }).chances.delay = 1;
    const run = await begin('whole');
    await chainDiesUnderBatch(current);
    await untilTried('the dead chain is tried');
    for (const { address } of peer.wallets) await peer.setCredit(address, 0n);
    peer.faults.chances.delay = 0;
    await peer.rpc.start();
    expect((await untilPhase(run, 'blocked')).blockedBy).toBe('CreditExhausted');
    expect(await ask('recall', 'status', '--job', 'whole', '-o', 'json')).toContain('"phase": "blocked"');
    await eventually('transactions that were mined and did nothing are told of', async () => {
      const traces = await temporalTraces(current.server.client);
      current.seen.push(...traces);
      return traces.some(({ text }) => /transaction 0x[0-9a-f]{64}: insufficient credit/.test(text));
    });
    for (const { address } of peer.wallets) await peer.setCredit(address, 10n ** 15n);
    peer.faults.next.refuseUpload = 1;
    await run.executeUpdate('resume');
    const result = (await run.result()) as RunResult<unknown>;
    expect(result.parked.map(({ reason }) => reason).sort()).toEqual([
      expect.stringContaining('20000 bytes, the limit is 10000'),
      expect.stringContaining('failed to entangle'),
    ]);
    expect(result.counts['objects']).toBe(rowCount - 1);
  }, 120_000);

  it('what the command tells of it is told', async () => {
    expect(await ask('recall', 'failures', '--job', 'whole', '-o', 'json')).toContain('failed to entangle');
    expect(await ask('recall', 'failures', '--job', 'whole')).toContain('failed to entangle');
    expect(await ask('recall', 'status', '--job', 'whole', '-o', 'json')).toContain('"survey"');
    expect(await ask('recall', 'status', '--job', 'whole')).toContain('last run: completed');
    expect(await ask('recall', 'verify', '--job', 'whole', '--bytes', '-o', 'json')).toContain('"verdict"');
    // It brings what was refused; the object over the limit stays parked.
    expect(await ask('recall', 'renew', '--job', 'whole', '-o', 'json')).toMatch(/^5 .*"objects": 1,/s);
    expect(await ask('config', 'show', '-o', 'json')).toContain('********');
  }, 120_000);

  it('a run whose database refuses the password is blocked', async () => {
    const refuser = await startPasswordRefuser();
    await startWorker({ WAYBILL_RECALL_DATABASE_URL: `postgres://postgres:${password}@127.0.0.1:${refuser.port}/x` });
    const blocked = await untilPhase(await begin('refused'), 'blocked');
    expect(refuser.passwords).toContain(password);
    expect(blocked).toMatchObject({ blockedBy: 'SourceRefused', reason: expect.stringContaining('password') });
    await ask('recall', 'status', '--job', 'refused', '-o', 'json');
    await refuser.stop();
  }, 60_000);

  it('a run whose database is away tries again', async () => {
    const port = await freePort();
    await startWorker({ WAYBILL_RECALL_DATABASE_URL: `postgres://postgres:${password}@127.0.0.1:${port}/x` });
    const run = await begin('away');
    expect(await untilTried('the database is tried')).toContain(String(port));
    await ask('recall', 'status', '--job', 'away', '-o', 'json');
    await run.terminate();
  }, 60_000);

  if (column === 's3') {
    it('a run whose store refuses the secret is blocked', async () => {
      await addMarked(current, 2);
      await startWorker({ WAYBILL_RECALL_S3_SECRET_ACCESS_KEY: wrongSecret });
      const blocked = await untilPhase(await begin('unsigned'), 'blocked');
      expect(blocked.blockedBy).toBe('StoreRefused');
      await ask('recall', 'failures', '--job', 'unsigned', '-o', 'json');
    }, 60_000);
  }

  it('and nothing of all that has told a secret', async () => {
    await stopWorker();
    const traces = [...current.seen, ...(await temporalTraces(current.server.client))];
    const all = traces.map(({ text }) => text).join('\n');
    // The reader sees what is there: names of activities, addresses in payloads, the log's lines.
    for (const present of ['stageObjects', 'confirmPlan', current.peer.wallets[1]?.address ?? '', '"worker started"'])
      expect(all).toContain(present);
    expect(leaks(current.secrets, traces)).toEqual([]);
  });
});

it('a secret is found in every form, wherever it stands', () => {
  const secret = Buffer.from(password);
  const hidden = [
    password,
    password.toUpperCase(),
    secret.toString('hex'),
    ...['', 'a', 'ab', 'abc'].map((before) => Buffer.from(`${before}${password} and more`).toString('base64')),
  ];
  for (const text of hidden)
    expect(leaks({ it: secret }, [{ of: 'there', text: `x${text}y` }])).toEqual(['it in there']);
  expect(leaks({ it: secret }, [{ of: 'there', text: password.slice(1) }])).toEqual([]);
  expect(Math.min(...formsOf(secret).map((form) => form.length))).toBeGreaterThan(30);
});
