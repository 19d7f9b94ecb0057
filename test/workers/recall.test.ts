/** A worker for recall as an operator has it: which queues it serves, what it says when nothing is configured, what it keeps. */
import { privateKeyToAddress } from 'viem/accounts';
import { newFolder, removeFolders } from '../support/folders';
import { workerProcess, type NodeProcess } from '../support/processes';
import { eventually, startTemporal, type TemporalServer } from '../support/temporal';
import { run as command } from '../client/command';
import type { Progress } from '../../workflows/shared/messages';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';

/** Of no wallet that anybody uses. */
const owner = 'ab'.repeat(32);
const delegate = 'cd'.repeat(32);
const walletQueueOf = (key: string): string => `waybill-recall@${privateKeyToAddress(`0x${key}`).toLowerCase()}`;

let server: TemporalServer;
let worker: NodeProcess | null = null;

beforeAll(async () => {
  server = await startTemporal();
}, 60_000);
afterAll(async () => {
  await server.stop();
  removeFolders();
});
afterEach(async () => {
  await worker?.kill();
  worker = null;
});

async function startWorker(
  env: Record<string, string>,
): Promise<{ states: Record<string, string>; said: () => string }> {
  const process = workerProcess(server.address, 'anywhere', {
    WAYBILL_WORKER_JOBS: 'recall',
    WAYBILL_WORKER_LISTEN: '127.0.0.1:0',
    ...env,
  });
  worker = process;
  await process.start();
  const url = /"health":"([^"]+)"/.exec(process.said())?.[1] ?? '';
  const states = await eventually('it is ready', async () => {
    const response = await fetch(`${url}/readyz`);
    return response.ok && ((await response.json()) as Record<string, string>);
  });
  return { states, said: () => process.said() };
}

it('serves the job’s queue and one for each wallet, and drains them together', async () => {
  const keys = join(newFolder('keys'), 'delegates');
  writeFileSync(keys, `0x${delegate}\n${owner}\n`);
  const { states, said } = await startWorker({
    RECALL_PRIVATE_KEY: owner,
    WAYBILL_RECALL_RECALL_DELEGATE_KEYS_FILE: keys,
    WAYBILL_RECALL_DATABASE_URL: 'postgres://me:open-sesame@127.0.0.1:9/data',
  });
  expect(states).toEqual({
    'waybill-recall': 'RUNNING',
    [walletQueueOf(owner)]: 'RUNNING',
    [walletQueueOf(delegate)]: 'RUNNING',
  });
  expect(await worker?.stop()).toBe(0);
  expect(said()).toContain('"drained"');
  expect(said()).not.toMatch(/open-sesame|abababab|cdcdcdcd/i);
});

it('that shall not sign serves no wallet', async () => {
  const { states } = await startWorker({ RECALL_PRIVATE_KEY: owner, WAYBILL_RECALL_RECALL_SIGN: 'false' });
  expect(states).toEqual({ 'waybill-recall': 'RUNNING' });
});

it('that shall do nothing else serves its wallets alone; one without keys is told their addresses', async () => {
  const { states } = await startWorker({ RECALL_PRIVATE_KEY: owner, WAYBILL_RECALL_RECALL_SIGN: 'only' });
  expect(states).toEqual({ [walletQueueOf(owner)]: 'RUNNING' });
  await worker?.stop();
  const address = walletQueueOf(owner).split('@')[1] ?? '';
  const other = await startWorker({ WAYBILL_RECALL_RECALL_ADDRESSES: address });
  expect(other.states).toEqual({ 'waybill-recall': 'RUNNING' });
  expect(await worker?.stop()).toBe(0);
});

it('that shall do nothing else and has no key ends with 3', async () => {
  const { code, stderr } = await command(['worker', '--job', 'recall', '--listen', ''], {
    env: { TEMPORAL_ADDRESS: server.address, WAYBILL_RECALL_RECALL_SIGN: 'only' },
  });
  expect(stderr).toContain('there is no key to sign with');
  expect(code).toBe(3);
});

it('whose addresses are not those of its keys ends with 3', async () => {
  const env = { RECALL_PRIVATE_KEY: owner, WAYBILL_RECALL_RECALL_ADDRESSES: `0x${'12'.repeat(20)}` };
  const { code, stderr } = await command(['worker', '--job', 'recall', '--listen', ''], {
    env: { TEMPORAL_ADDRESS: server.address, ...env },
  });
  expect(stderr).toContain('recall.recall.addresses');
  expect(code).toBe(3);
});

describe('with nothing configured', () => {
  const blockedBy = async (env: Record<string, string>): Promise<[string | null, string | null]> => {
    await startWorker(env);
    const workflowId = `recall/unconfigured-${Object.keys(env).length}`;
    const run = await server.client.workflow.start('recallSync', {
      workflowId,
      taskQueue: 'waybill-recall',
      args: [{}],
    });
    const progress = await eventually('the run is blocked', async () => {
      const told = await run.query<Progress>('progress');
      return told.phase === 'blocked' && told;
    });
    await run.terminate();
    return [progress.blockedBy, progress.reason];
  };

  it('it starts all the same, and a run says which key is missing', async () => {
    const [type, reason] = await blockedBy({});
    expect(type).toBe('WalletRefused');
    expect(reason).toContain('set recall.recall.private_key_file, or RECALL_PRIVATE_KEY');
  });

  it('a run with a wallet says which database is missing', async () => {
    const [type, reason] = await blockedBy({ RECALL_PRIVATE_KEY: owner });
    expect(type).toBe('SourceRefused');
    expect(reason).toContain('set recall.database.url, or WAYBILL_RECALL_DATABASE_URL');
  });
});

it('that is given a key beyond the curve ends with 3, without repeating it', async () => {
  const key = 'ff'.repeat(32);
  const { code, stderr } = await command(['worker', '--job', 'recall', '--listen', ''], {
    env: { TEMPORAL_ADDRESS: server.address, RECALL_PRIVATE_KEY: key },
  });
  expect(stderr).toContain('recall.recall.private_key');
  expect(stderr).not.toContain('ffffffff');
  expect(code).toBe(3);
});

it('says in its log what of the original’s file does nothing', async () => {
  const file = join(newFolder('config'), 'config.toml');
  writeFileSync(file, '[database]\nurl = "postgres://db/data"\n[sync_storage]\ndb_path = ":memory:"\n');
  const { said } = await startWorker({ WAYBILL_CONFIG: file });
  expect(said()).toContain('[recall.sync_storage]');
});
