/** A real node's recording into real tables: from the snapshot, from the log, from an old snapshot and the log, in any order. */
import { recordTypes, type ScanCursor, type TailCursor } from '../../activities/snapchain/contract';
import { firstEventOf } from '../../activities/snapchain/event';
import { sweptTables } from '../../activities/snapchain/tables';
import { replayRecording, type ReplayNode } from '../peers/snapchain/replay';
import { runActivity } from '../support/activity';
import {
  createTestDatabase,
  outcomeOf,
  scanShard,
  snapchainParts,
  tailShard,
  type SnapchainParts,
  type TestDatabase,
} from '../support/snapchain-case';
import { truth } from './recorded';

const shards = [1, 2];
const expected = {
  messages: truth.messages,
  sha256: truth.sha256_of_sorted_hashes,
  byType: truth.byType,
  onChain: truth.onchain,
  fids: truth.fids,
  names: truth.names_in_snapshot,
};

let node: ReplayNode;
let database: TestDatabase;
let parts: SnapchainParts;
beforeEach(async () => {
  node = await replayRecording('test/data/snapchain/devnet-recording.ndjson.gz');
  database = await createTestDatabase();
  parts = await snapchainParts([node.address], database.url);
});
afterEach(async () => {
  await parts.close();
  await node.stop();
  await database.drop();
});

const scan = (shard: number, more?: object): Promise<ScanCursor[]> => scanShard(parts.activities, shard, more);
const tail = (shard: number, startId: number): Promise<TailCursor> => tailShard(parts.activities, shard, startId);

const expectTruth = async (): Promise<void> => expect(await outcomeOf(database.client)).toEqual(expected);
const quarantined = async (): Promise<unknown[]> =>
  (await database.client.query<{ place: string; reason: string }>('SELECT place, reason FROM snapchain.quarantine'))
    .rows;

it('from the snapshot alone, every account and both shards proved', async () => {
  for (const shard of shards) {
    const lanes = await scan(shard);
    const verdict = await runActivity(parts.activities.concludeScan, { shard, isWhole: true, lanes });
    expect(verdict).toMatchObject({ shardRoot: 'proved', unproved: [] });
  }
  await expectTruth();
  expect(await quarantined()).toEqual([]);
  const { rows } = await database.client.query<{ count: number }>('SELECT count(*)::int AS count FROM snapchain.fids');
  expect(rows[0]?.count).toBe(truth.fids);
});

it('from the log alone', async () => {
  for (const shard of shards) expect((await tail(shard, 0)).gap).toBeNull();
  await expectTruth();
});

it('from an old snapshot and the log after it, in either order, and twice over', async () => {
  node.when = 'earlier';
  for (const shard of shards) await tail(shard, firstEventOf(80));
  for (const shard of shards) await scan(shard);
  await expectTruth();
  for (const shard of shards) await tail(shard, firstEventOf(40));
  await expectTruth();
  node.when = 'latest';
  for (const shard of shards) await scan(shard);
  await expectTruth();
  node.when = 'earlier';
  for (const shard of shards) await scan(shard);
  await expectTruth();
});

it('dead rows are kept while an older row could come, and no longer', async () => {
  const dead = async (): Promise<number> => {
    const tables = sweptTables
      .filter((name) => name !== 'fnames')
      .map((name) => `SELECT fid, ver FROM snapchain.${name} WHERE state = 0`);
    const { rows } = await database.client.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM (${tables.join(' UNION ALL ')}) AS dead
         JOIN (SELECT shard_id, min(ver) AS read FROM snapchain.fids GROUP BY 1) AS shards ON dead.ver <= shards.read`,
    );
    return rows[0]?.count ?? -1;
  };
  for (const shard of shards) await tail(shard, 0);
  for (const shard of shards) {
    const lanes = await scan(shard);
    if (shard === 1) expect(await dead()).toBeGreaterThan(100);
    await runActivity(parts.activities.concludeScan, { shard, isWhole: true, lanes });
  }
  expect(await dead()).toBe(0);
  await expectTruth();
});

it('scan and tail at the same time', async () => {
  node.when = 'earlier';
  await Promise.all(shards.flatMap((shard) => [scan(shard), tail(shard, firstEventOf(80))]));
  await expectTruth();
});

it('accounts in the tables prove against themselves: what is read back makes the roots', async () => {
  for (const shard of shards) await scan(shard);
  const { destination } = await parts.deps.ready(new AbortController().signal);
  const { rows } = await database.client.query<{ fid: string; num_messages: string }>(
    'SELECT fid, num_messages FROM snapchain.fids ORDER BY fid',
  );
  const accounts = await destination.accountKeys(
    rows.map(({ fid }) => Number(fid)),
    new AbortController().signal,
  );
  expect(accounts.map(({ fid, keys }) => [fid, keys.length])).toEqual(
    rows.map(({ fid, num_messages: count }) => [Number(fid), Number(count)]),
  );
});

// The recording has no keys of messages: they have tests of their own.
it.each(recordTypes.filter((type) => type !== 'gasless_keys'))('only %s, if nothing else is wanted', async (type) => {
  for (const shard of shards) await scan(shard, { types: [type] });
  const { rows } = await database.client.query<{ table: string; some: boolean }>(
    recordTypes
      .map((name) => `SELECT '${name}' AS "table", EXISTS (SELECT 1 FROM snapchain.${name}) AS some`)
      .join(' UNION ALL '),
  );
  expect(rows.filter(({ some }) => some).map(({ table }) => table)).toEqual([type]);
});

it('what readers see is live, and has times as times', async () => {
  for (const shard of shards) await scan(shard);
  const count = async (view: string): Promise<number> => {
    const { rows } = await database.client.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM farcaster.${view}`,
    );
    return rows[0]?.count ?? -1;
  };
  expect(await count('casts')).toBe(truth.byType['CAST_ADD']);
  expect(await count('reactions')).toBe(truth.byType['REACTION_ADD']);
  expect(await count('links')).toBe(truth.byType['LINK_ADD']);
  expect(await count('verifications')).toBe(truth.byType['VERIFICATION_ADD_ETH_ADDRESS']);
  expect(await count('fids')).toBe(truth.fids);
  expect(await count('fnames')).toBe(truth.names_in_snapshot);
  for (const view of ['user_profiles', 'user_profile_snapshots', 'user_activity_timeline', 'signers', 'storage_units'])
    expect(await count(view)).toBeGreaterThan(0);
  expect(await count('frame_actions')).toBe(0);
});
