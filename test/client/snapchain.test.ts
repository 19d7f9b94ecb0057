/** The verbs of snapchain as typed, with a worker as a process, an emulated node and PostgreSQL. */
import { Ledger } from '../peers/snapchain/ledger';
import { startSnapchainNode, type LedgerNode } from '../peers/snapchain/ledger-node';
import { loadHashing } from '../peers/snapchain/trie';
import { countsOf } from '../peers/snapchain/truth';
import { fill, live, World } from '../peers/snapchain/world';
import { newFolder, removeFolders } from '../support/folders';
import { workerProcess, type NodeProcess } from '../support/processes';
import { createTestDatabase, outcomeOf, type TestDatabase } from '../support/snapchain-case';
import { eventually, startTemporal, type TemporalServer } from '../support/temporal';
import { run as command, type Ended } from './command';

let server: TemporalServer;
let database: TestDatabase;
let node: LedgerNode;
let world: World;
let worker: NodeProcess;
let cwd: string;

beforeAll(async () => {
  [server, database] = await Promise.all([startTemporal(), createTestDatabase(), loadHashing()]);
  const ledger = new Ledger({ shards: 2 });
  world = new World({ seed: 5, fids: 30, keysPerMille: 2 });
  fill(ledger, world, { messages: 2000, messagesPerBlock: 500 });
  node = await startSnapchainNode({ ledger, snapshots: { intervalBlocks: 50 } });
  worker = workerProcess(server.address, 'anywhere', { WAYBILL_WORKER_JOBS: 'snapchain', ...settings() });
  await worker.start();
  cwd = newFolder('snapchain');
}, 120_000);
afterAll(async () => {
  await worker.kill();
  await node.stop();
  await database.drop();
  await server.stop();
  removeFolders();
});

const settings = (): Record<string, string> => ({
  WAYBILL_SNAPCHAIN_SYNC_SNAPCHAIN_ENDPOINT: node.address,
  WAYBILL_SNAPCHAIN_DATABASE_URL: database.url,
});
const snapchain = (...args: string[]): Promise<Ended> =>
  command(['snapchain', ...args], { env: { TEMPORAL_ADDRESS: server.address, ...settings() }, cwd });
const json = <T>({ stdout }: Ended): T => JSON.parse(stdout) as T;
const counts = () => countsOf(node.ledger, { keyMessages: false });

interface Status {
  readonly parts: readonly { readonly lane: string; readonly block: number | null; readonly lagBlocks?: number }[];
  readonly survey: { readonly shards: readonly object[] } | null;
}
const status = async (): Promise<Status> => json(await snapchain('status', '-o', 'json'));

it('history alone is read, proved, told, and not read again', async () => {
  const first = await snapchain('run', '--follow', 'false');
  expect(first.stdout).toMatch(
    /^shard 1 history {2}done at snapshot of height \d+, shard root (proved|mixed) \(\d+ messages/m,
  );
  expect(first.code).toBe(0);
  expect(await outcomeOf(database.client)).toEqual(counts());
  const pages = node.calls.get('GetShardTransactions');
  const again = await snapchain('run', '--follow', 'false', '--fail-if-nothing', '-o', 'json');
  expect([again.code, node.calls.get('GetShardTransactions')]).toEqual([9, pages]);
  const told = await snapchain('status');
  expect(told.stdout).toMatch(/last run: completed[^]*shard 1 history[^]*tables: about/);
});

it('verify proves, finds what was taken away, and repairs it', async () => {
  const equal = await snapchain('verify', '-o', 'json');
  expect(json(equal)).toMatchObject({ outcome: 'completed', equal: true, failed: [], exitCode: 0 });
  await database.client.query('DELETE FROM snapchain.casts WHERE hash = (SELECT min(hash) FROM snapchain.casts)');
  const differs = await snapchain('verify');
  expect(differs.stdout).toMatch(
    /shard \d: DIFFERS\n {2}= \d+ accounts proved\n {2}\* 1 differing[^]*cast\w+ \d+ \(node: \d+\)/,
  );
  expect(differs.code).toBe(1);
  const repaired = await snapchain('verify', '--repair', '-o', 'json');
  expect(
    json<{ verdicts: { repaired: number }[] }>(repaired)
      .verdicts.map((each) => each.repaired)
      .sort(),
  ).toEqual([0, 1]);
  expect(repaired.code).toBe(0);
  expect(await outcomeOf(database.client)).toEqual(counts());
}, 120_000);

it('it follows until it is cancelled, is paused and resumed on the way, and the next run goes on', async () => {
  const blocks = live(node.ledger, world, { blocksPerSecond: 5, messagesPerBlock: 5 });
  expect((await snapchain('run', '--detach')).code).toBe(0);
  const isAhead = async (): Promise<Status | null> => {
    const told = await status();
    const parts = told.parts.filter(({ lane }) => lane.endsWith('live'));
    return parts.length === 2 && parts.every(({ block, lagBlocks }) => (block ?? 0) > 10 && (lagBlocks ?? 99) < 20)
      ? told
      : null;
  };
  expect((await eventually('both logs are followed', isAhead, 60)).survey?.shards).toHaveLength(3);
  expect((await snapchain('pause', '--reason', 'lunch')).code).toBe(0);
  expect((await snapchain('status')).stdout).toContain('paused: lunch');
  expect((await snapchain('resume')).code).toBe(0);
  const cancelled = await snapchain('cancel');
  expect(cancelled.stdout).toMatch(/shard 2 live {5}stopped at block \d+/);
  blocks.stop();
  await blocks.done;
  node.ledger.applyBlock([]);
  const next = await snapchain('run', '--follow', 'false');
  expect(next.code).toBe(0);
  expect((await snapchain('run', '--detach')).code).toBe(0);
  await eventually('the rest is there', async () => (await outcomeOf(database.client)).sha256 === counts().sha256, 60);
  expect((await snapchain('cancel')).code).toBe(0);
}, 180_000);

it('what cannot be is refused in words, before anything begins', async () => {
  for (const [flags, code, words] of [
    [['--type', 'songs'], 2, 'allowed: records out of: casts,'],
    [['--shard', 'x'], 2, '--shard'],
    [['--history', 'maybe'], 2, 'allowed: true or false'],
    [['--job', 'other', '--shard', '9', '--follow', 'false'], 3, 'shard_ids 9: the node has shards 0 to 2'],
  ] as const) {
    const { code: exitCode, stdout, stderr } = await snapchain('run', ...flags);
    expect([exitCode, `${stdout}${stderr}`]).toEqual([code, expect.stringContaining(words)]);
  }
});

it('a node that is away is named, by the run and by doctor', async () => {
  await node.goAway();
  const away = await snapchain('run', '--follow', 'false', '--unreachable-after', '2');
  expect([away.code, away.stderr]).toEqual([4, expect.stringContaining('connect ECONNREFUSED')]);
  const doctor = await command(['doctor'], { env: { TEMPORAL_ADDRESS: server.address, ...settings() }, cwd });
  expect([doctor.code, doctor.stdout]).toEqual([
    1,
    expect.stringMatching(/^NO {2}node .*ECONNREFUSED[^]*^ok {2}database/m),
  ]);
  await node.comeBack();
  expect((await snapchain('cancel')).code).toBe(0);
});
