/** What a node gets wrong on its pages and in its log: read again, read otherwise, or put aside and told; the rest complete. */
import type { ScanCursor, ScanVerdict, VerifyVerdict } from '../../activities/snapchain/contract';
import { verifySettings } from '../../activities/snapchain/contract';
import { virtualShardOf } from '../../activities/snapchain/trie-key';
import type { Fault, FaultRule, PageFault } from '../peers/snapchain/faults';
import { Ledger } from '../peers/snapchain/ledger';
import { startSnapchainNode, type LedgerNode, type SnapchainNodeOptions } from '../peers/snapchain/ledger-node';
import { loadHashing } from '../peers/snapchain/trie';
import { countsOf } from '../peers/snapchain/truth';
import { fill, World } from '../peers/snapchain/world';
import { runActivity } from '../support/activity';
import {
  createTestDatabase,
  outcomeOf,
  scanShard,
  snapchainParts,
  tailShard,
  type Outcome,
  type SnapchainParts,
  type TestDatabase,
} from '../support/snapchain-case';

const shards = [1, 2];
let node: LedgerNode;
let world: World;
let database: TestDatabase;
let parts: SnapchainParts;

beforeAll(loadHashing);
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await parts.close();
  await node.stop();
  await database.drop();
});

/** A network of twenty people, and what a worker beside it has. */
async function setUp(options: Partial<SnapchainNodeOptions> & { keysPerMille?: number } = {}): Promise<void> {
  const { keysPerMille = 0, ...rest } = options;
  const ledger = new Ledger({ shards: 2 });
  world = new World({ seed: 11, fids: 20, keysPerMille });
  fill(ledger, world, { messages: 1500, messagesPerBlock: 300 });
  node = await startSnapchainNode({ ledger, pageSize: 50, ...rest });
  parts = await snapchainParts([node.address], database.url);
}

const more = (blocks: number): void => {
  for (let made = 0; made < blocks; made += 1) {
    const timestamp = node.ledger.timestampAt((node.ledger.shards[0]?.height ?? 0) + 1);
    node.ledger.applyBlock(world.messages(20, timestamp));
  }
};

/** The first person's home, and a rule for its first page. */
function struck(fault: Fault, rule: Partial<FaultRule> = {}): { shard: number; fid: number; rule: FaultRule } {
  const fid = world.fids[0] ?? 0;
  const shard = node.ledger.home(fid).index;
  const virtualShard = virtualShardOf(fid);
  return { shard, fid, rule: { method: 'GetShardTransactions', shard, virtualShard, fault, ...rule } };
}

async function scanAll(): Promise<{ cursors: ScanCursor[]; verdicts: Pick<ScanVerdict, 'shardRoot' | 'unproved'>[] }> {
  const cursors: ScanCursor[] = [];
  const verdicts = [];
  for (const shard of shards) {
    const lanes = await scanShard(parts.activities, shard);
    cursors.push(...lanes);
    verdicts.push(await runActivity(parts.activities.concludeScan, { shard, isWhole: true, lanes }));
  }
  return { cursors, verdicts };
}

const quarantine = async (): Promise<{ place: string; fid: number | null; reason: string }[]> =>
  (
    await database.client.query<{ place: string; fid: number | null; reason: string }>(
      'SELECT place, fid::int, reason FROM snapchain.quarantine ORDER BY place',
    )
  ).rows;

async function verify(more: object = {}): Promise<VerifyVerdict[]> {
  const settings = verifySettings.parse({ settleSeconds: 0, signatureSample: 1, ...more });
  const verdicts: VerifyVerdict[] = [];
  for (const shard of shards) {
    const leg = { lane: `shard ${shard}`, cursor: null, settings, retry: [], budgetMs: 60_000 };
    verdicts.push((await runActivity(parts.activities.verifyAccounts, leg)).cursor.verdict);
  }
  return verdicts;
}

const pageFaults: readonly PageFault[] = [
  'corruptHash',
  'corruptSignature',
  'corruptData',
  'corruptRoot',
  'wrongCount',
  'dropEntry',
  'duplicateEntry',
  'foreignEntry',
];

describe('a page that is wrong', () => {
  it.each(pageFaults)('once (%s) is read again, and nothing is wrong', async (kind) => {
    await setUp();
    node.faults.set([struck({ kind }, { nth: 1 }).rule]);
    const { verdicts } = await scanAll();
    expect(node.faults.done.get(kind)).toBe(1);
    expect(verdicts.map(({ shardRoot, unproved }) => [shardRoot, unproved])).toEqual([
      ['proved', []],
      ['proved', []],
    ]);
    expect(await outcomeOf(database.client)).toEqual(countsOf(node.ledger));
    expect(await quarantine()).toEqual([]);
  });

  it.each(pageFaults)('for good (%s) is told, costs a message a page at most, and verify repairs it', async (kind) => {
    await setUp();
    const { fid, rule } = struck({ kind });
    node.faults.set([rule]);
    const { cursors, verdicts } = await scanAll();
    expect(cursors.flatMap(({ unproved }) => unproved)).toContain(fid);
    const [found, wanted] = [await outcomeOf(database.client), countsOf(node.ledger)];
    // Two pages have leaves of this account or its neighbours.
    const lost = wanted.messages - found.messages;
    expect(lost).toBeLessThanOrEqual(2);
    const isWhole = lost === 0;
    // What is whole in spite of the page proves by the tables in the end.
    expect(verdicts.flatMap(({ unproved }) => unproved).includes(fid)).toBe(!isWhole);
    const aside = (await quarantine()).find((row) => row.fid === fid);
    expect(aside === undefined).toBe(isWhole);
    expect(aside?.place ?? 'trie:00').toMatch(/^(trie:[0-9a-f]+|fid:\d+)$/);
    const proved = await database.client.query('SELECT 1 FROM snapchain.fids WHERE fid = $1', [fid]);
    expect(proved.rowCount).toBe(isWhole ? 1 : 0);
    node.faults.set([]);
    const repaired = await verify({ repair: true });
    expect(repaired.map(({ differing }) => differing)).toEqual([0, 0]);
    expect(repaired.reduce((sum, verdict) => sum + verdict.repaired, 0)).toBe(isWhole ? 0 : 1);
    expect(await outcomeOf(database.client)).toEqual(wanted);
    expect((await quarantine()).filter((row) => row.fid === fid)).toEqual([]);
  });

  it('that cannot be decoded is gone around fid by fid', async () => {
    await setUp();
    const { rule } = struck({ kind: 'garbage' });
    node.faults.set([rule]);
    const { verdicts } = await scanAll();
    expect(await outcomeOf(database.client)).toEqual(countsOf(node.ledger));
    expect((await quarantine()).map(({ place }) => place)).toEqual([`virtual shard:${rule.virtualShard}`]);
    expect(verdicts.map(({ shardRoot }) => shardRoot).sort()).toEqual(['mixed', 'proved']);
  });

  it('of an account that is left out with all its traces shows in the shard’s count', async () => {
    await setUp();
    const { shard, rule } = struck({ kind: 'dropAccount' });
    node.faults.set([rule]);
    const { verdicts } = await scanAll();
    expect(verdicts.map(({ shardRoot }) => shardRoot)[shard - 1]).toBe('differs');
  });
});

it('key messages poison their pages: everybody is read all the same, and proved but for these', async () => {
  await setUp({ keysPerMille: 8 });
  const { verdicts } = await scanAll();
  const [found, wanted] = [await outcomeOf(database.client), countsOf(node.ledger)];
  const { KEY_ADD: added = 0, KEY_REMOVE: removed = 0, ...others } = wanted.byType;
  expect(added).toBeGreaterThan(0);
  expect(found.byType).toEqual(others);
  expect(found.messages).toBe(wanted.messages - added - removed);
  expect(found.onChain).toEqual(wanted.onChain);
  expect(verdicts.flatMap(({ unproved }) => unproved)).toEqual([]);
  const checked = await verify();
  expect(checked.map(({ differing }) => differing)).toEqual([0, 0]);
  expect(checked.reduce((sum, { proved }) => sum + proved, 0)).toBe(wanted.fids);
  expect(checked.reduce((sum, { withKeys }) => sum + withKeys, 0)).toBeGreaterThan(0);
});

describe('a snapshot', () => {
  it('that is lost half way is gone on from with a newer one, and what went meanwhile is swept', async () => {
    await setUp();
    await tailShard(parts.activities, 1, 0);
    await tailShard(parts.activities, 2, 0);
    node.faults.set([{ method: 'GetShardTransactions', shard: 1, nth: 100, fault: { kind: 'loseSnapshots' } }]);
    let troubles = 0;
    const lanes = await scanShard(parts.activities, 1, {}, (error) => {
      expect(String(error)).toMatch(/Shard store not found/);
      troubles += 1;
      // The tables do not hear of this but by the newer snapshot.
      more(1);
    });
    expect(troubles).toBe(1);
    const heights = new Set(lanes.flatMap(({ roots }) => roots.map(([height]) => height)));
    expect(heights.size).toBe(2);
    expect(lanes.flatMap(({ unproved }) => unproved)).toEqual([]);
    // What an older snapshot gave of the others is the tail's to mend.
    const [first] = [...heights].sort((a, b) => a - b);
    for (const shard of shards) await tailShard(parts.activities, shard, (first ?? 0) * 16_384);
    expect(await outcomeOf(database.client)).toEqual(countsOf(node.ledger));
  });

  it('that was taken late holds more than its block: every leaf is counted, and the log comes after it', async () => {
    await setUp({ snapshots: { lateBlocks: 2 } });
    node.shelf.lose();
    more(4);
    const start = Math.max(...node.shelf.list(1).map(({ height }) => height)) * 16_384;
    const { verdicts } = await scanAll();
    expect(verdicts.map(({ shardRoot }) => shardRoot)).toEqual(['counted', 'counted']);
    for (const shard of shards) await tailShard(parts.activities, shard, start);
    const [found, wanted]: [Outcome, Outcome] = [await outcomeOf(database.client), countsOf(node.ledger)];
    expect(found).toEqual(wanted);
  });
});

const unavailable: Fault = { kind: 'status', code: 14, details: 'connection refused' };

describe('the log', () => {
  it.each<Fault>([unavailable, { kind: 'reset' }, { kind: 'garbage' }])(
    'whose page fails now and then ($kind) is asked again, and nothing is left out',
    async (fault) => {
      await setUp();
      node.faults.set([{ method: 'GetEvents', every: 2, timesMax: 3, fault }]);
      for (const shard of shards) {
        let left = 8;
        for (;;)
          try {
            await tailShard(parts.activities, shard, 0);
            break;
          } catch (error) {
            if ((left -= 1) === 0) throw error;
          }
      }
      expect(await outcomeOf(database.client)).toEqual(countsOf(node.ledger));
    },
  );

  it('is gone on with at another node from the start of the block', async () => {
    await setUp();
    const other = await startSnapchainNode({ ledger: node.ledger, pageSize: 50 });
    await parts.close();
    parts = await snapchainParts([node.address, other.address], database.url);
    // A page is a thousand events, and ends in the middle of a block.
    node.faults.set([1, 2, 3].map((nth) => ({ method: 'GetEvents', nth: nth + 1, fault: unavailable })));
    const cursors = [];
    for (const shard of shards) cursors.push(await tailShard(parts.activities, shard, 0));
    expect(node.faults.done.get('status')).toBeGreaterThan(0);
    expect(other.calls.get('GetEvents')).toBeGreaterThan(0);
    expect(cursors.map((cursor) => [cursor.gap, cursor.seen])).toEqual(cursors.map(({ total }) => [null, total]));
    expect(await outcomeOf(database.client)).toEqual(countsOf(node.ledger));
    await other.stop();
  });

  it('that begins after the first event asked for has a hole, and says from where to where', async () => {
    await setUp();
    const [shard] = node.ledger.shards;
    shard?.log.dropBefore(3 * 16_384);
    const cursor = await tailShard(parts.activities, 1, 16_384);
    expect(cursor.gap).toEqual({ from: 1, to: 3 });
  });
});
