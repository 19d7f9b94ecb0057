/** What `npm start` runs: the jobs on real servers, from the rows to the proof; told to stop, or without the servers, too. */
import { spawn } from 'node:child_process';
import { chmodSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { Client } from 'pg';
import { anvilPath } from '../peers/recall/anvil';
import { newFolder, removeFolders } from '../support/folders';
import { neededVariable } from '../support/object-index';
import { temporalPath } from '../support/temporal';
import type { Ended } from './command';

jest.setTimeout(120_000);

const root = join(__dirname, '..', '..');
let temporary: string;

beforeEach(() => {
  temporary = newFolder('demo');
  // Root's servers run as nobody, and must be able to pass through.
  chmodSync(temporary, 0o755);
});
afterAll(removeFolders);

/** In a temporary directory of the test's own. `onRecall` is called once, when the recall job is about to run. */
function npmStart(
  more: Readonly<Record<string, string | undefined>> = {},
  onRecall: (end: () => void) => void = () => undefined,
): Promise<Ended> {
  const child = spawn(process.execPath, ['scripts/bootstrap.mjs', 'start'], {
    cwd: root,
    env: { ...process.env, TMPDIR: temporary, ANVIL_PATH: anvilPath(), TEMPORAL_CLI_PATH: temporalPath(), ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  let isTold = false;
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    if (isTold || !stderr.includes('$ waybill recall run')) return;
    isTold = true;
    onRecall(() => child.kill('SIGTERM'));
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** All that a demo makes on the servers and in the temporary directory, but the folder that it says it leaves. */
async function traces(): Promise<string[]> {
  const client = new Client({ connectionString: neededVariable('WAYBILL_TEST_POSTGRES_URL') });
  const s3 = new S3Client({
    endpoint: neededVariable('WAYBILL_TEST_S3_URL'),
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: neededVariable('WAYBILL_TEST_S3_ACCESS_KEY'),
      secretAccessKey: neededVariable('WAYBILL_TEST_S3_SECRET'),
    },
  });
  await client.connect();
  const { rows } = await client.query<{ name: string }>(
    `SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'waybill_demo_%'
      UNION ALL SELECT 'database ' || datname FROM pg_database WHERE datname LIKE 'waybill_demo_%'`,
  );
  const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
  await client.end();
  s3.destroy();
  const buckets = Buckets.map(({ Name = '' }) => Name).filter((name) => name.startsWith('waybill-demo-'));
  const files = readdirSync(temporary).filter((name) => /^waybill-(demo-ends|recall)-/.test(name));
  return [...rows.map(({ name }) => name), ...buckets, ...files].sort();
}

it('syncs and proves recordings, rows with their objects, and a node’s shards, and leaves nothing', async () => {
  const before = await traces();
  const during: Promise<string[]>[] = [];
  const { code, stdout, stderr } = await npmStart({}, () => during.push(traces()));
  expect(stderr).toMatch(/\$ waybill recall verify --bytes -c \S+waybill\.toml/);
  expect(stdout).toMatch(/harbour_radio: equal\n {2}= 58 matched/);
  expect(stdout).toMatch(/synced to \S+ \S+ \(60 objects, 16\.5 MB\)/);
  expect(stdout).toMatch(/equal\n {2}= 60 matched \(16\.5 MB read back\)/);
  expect(stdout).toMatch(/waiting: 0 rows[^]*bucket: 0x[0-9a-f]{40}[^]*60 of 60 sampled objects there/i);
  expect(stdout).toMatch(
    /shard 1 history {2}done at snapshot of height \d+, shard root proved[^]*shard 2: equal\n {2}= \d+ accounts/,
  );
  expect(stderr).not.toMatch(/warning|"level":/i);
  expect(code).toBe(0);
  // There was something to leave: what the test would not see, it could not miss.
  const made = (await Promise.all(during)).flat().filter((name) => !before.includes(name));
  for (const kind of [
    /^waybill_demo_/,
    /^waybill-demo-[0-9a-f]{8}$/,
    /^waybill-demo-ends-/,
    /^database waybill_demo_/,
    /^waybill-recall-chain-/,
  ])
    expect(made).toContainEqual(expect.stringMatching(kind));
  expect(await traces()).toEqual(before);
});

it('leaves nothing when it is told to stop in the middle, and says so by its exit code', async () => {
  const before = await traces();
  const { code, stdout } = await npmStart({}, (end) => end());
  expect(code).toBe(130);
  expect(stdout).not.toContain('read back');
  expect(await traces()).toEqual(before);
});

it('shows recordings alone where there is no database, and says what would help', async () => {
  const { code, stdout, stderr } = await npmStart({
    WAYBILL_SERVICES: 'external',
    WAYBILL_TEST_POSTGRES_URL: undefined,
  });
  expect(stdout).toMatch(/harbour_radio: equal/);
  expect(stderr).toMatch(
    /The recall and snapchain jobs are left out[^]*set WAYBILL_TEST_POSTGRES_URL to a running one/,
  );
  expect(stderr).not.toMatch(/\$ waybill (recall|snapchain)/);
  expect(code).toBe(0);
});
