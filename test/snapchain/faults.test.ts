/** What a node gets wrong on its pages and in its log: read again, read otherwise, or put aside and told; the rest complete. */
import { tailSettings } from '../../activities/snapchain/contract';
import { virtualShardOf } from '../../activities/snapchain/trie-key';
import type { Fault, FaultRule, PageFault } from '../peers/snapchain/faults';
import { startSnapchainNode } from '../peers/snapchain/ledger-node';
import { countsOf } from '../peers/snapchain/truth';
import { runActivity } from '../support/activity';
import {
  database,
  more,
  node,
  parts,
  quarantine,
  replaceParts,
  scanAll,
  setUp,
  shards,
  useNetworkCase,
  verify,
  world,
} from '../support/network-case';
import { outcomeOf, scanShard, tailShard, type Outcome } from '../support/snapchain-case';

useNetworkCase();

/** The first person's home, and a rule for its first page. */
function struck(fault: Fault, rule: Partial<FaultRule> = {}): { shard: number; fid: number; rule: FaultRule } {
  const fid = world.fids[0] ?? 0;
  const shard = node.ledger.home(fid).index;
  const virtualShard = virtualShardOf(fid);
  return { shard, fid, rule: { method: 'GetShardTransactions', shard, virtualShard, fault, ...rule } };
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
    await replaceParts([node.address, other.address]);
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

  it('that lacks an event which its block counts is said to', async () => {
    await setUp();
    node.ledger.shard(1)?.log.lose(2 * 16_384 + 3);
    const settings = tailSettings.parse({ shard: 1, startId: 0, live: false });
    const leg = { lane: 'shard 1', cursor: null, settings, retry: [], budgetMs: 10_000 };
    const { note } = await runActivity(parts.activities.tailEvents, leg);
    expect(note).toBe('block 2: the log lacks 1 of the events that it counts, key messages: 0. See verify --repair');
  });

  it('that begins after the first event asked for has a hole, and says from where to where', async () => {
    await setUp();
    const [shard] = node.ledger.shards;
    shard?.log.dropBefore(3 * 16_384);
    const cursor = await tailShard(parts.activities, 1, 16_384);
    expect(cursor.gap).toEqual({ from: 1, to: 3 });
  });
});
