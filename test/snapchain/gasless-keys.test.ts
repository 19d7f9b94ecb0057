/** Keys of key messages: no page can be served that has one, no log tells of them, and yet the tables know them all. */
import * as bodies from '../peers/snapchain/bodies';
import type { SignedMessage } from '../peers/snapchain/messages';
import { countsOf, gaslessKeysOf } from '../peers/snapchain/truth';
import {
  database,
  more,
  node,
  parts,
  quarantine,
  scanAll,
  setUp,
  shards,
  useNetworkCase,
  verify,
  world,
} from '../support/network-case';
import { knownKeys, outcomeOf, tailShard } from '../support/snapchain-case';

useNetworkCase();

const known = (): Promise<string[]> => knownKeys(database.client);

/** A block with these messages, and one more after it: only then a log says that it has all of the first. */
const block = (...messages: SignedMessage[]): void => {
  node.ledger.applyBlock(messages.map((message) => ({ kind: 'message', message }) as const));
  node.ledger.applyBlock([]);
};
const now = (): number => node.ledger.timestampAt((node.ledger.shards[0]?.height ?? 0) + 1);
const tip = (): number => Math.max(...node.ledger.shards.map(({ height }) => height)) * 16_384;
const [fid, nonce] = [1001, 10_000];
const key = Buffer.alloc(32, 7);

it('key messages poison their pages: everybody is read all the same, and proved but for these', async () => {
  await setUp({ keysPerMille: 8 });
  const { verdicts } = await scanAll();
  expect(countsOf(node.ledger).byType['KEY_ADD']).toBeGreaterThan(0);
  const wanted = countsOf(node.ledger, { keyMessages: false });
  expect(await outcomeOf(database.client)).toEqual(wanted);
  expect(await known()).toEqual(gaslessKeysOf(node.ledger));
  expect(verdicts.flatMap(({ unproved }) => unproved)).toEqual([]);
  const checked = await verify();
  expect(checked.map(({ differing }) => differing)).toEqual([0, 0]);
  expect(checked.reduce((sum, { proved }) => sum + proved, 0)).toBe(wanted.fids);
  expect(checked.reduce((sum, { withKeys }) => sum + withKeys, 0)).toBeGreaterThan(0);
});

it('the log alone tells of every key, by what its blocks count', async () => {
  await setUp({ keysPerMille: 20 });
  more(2);
  node.ledger.applyBlock([]);
  for (const shard of shards) expect((await tailShard(parts.activities, shard, 0)).gap).toBeNull();
  const wanted = gaslessKeysOf(node.ledger);
  expect(wanted.length).toBeGreaterThan(5);
  expect(countsOf(node.ledger).byType['KEY_REMOVE']).toBeGreaterThan(0);
  expect(await known()).toEqual(wanted);
});

it('a key that comes, is replaced by another and goes, goes through the tables and their view of signers', async () => {
  await setUp();
  await scanAll();
  const home = node.ledger.home(fid).index;
  const start = tip();
  const signers = async (): Promise<boolean[]> => {
    const text = 'SELECT gasless FROM farcaster.signers WHERE fid = $1 ORDER BY gasless';
    return (await database.client.query<{ gasless: boolean }>(text, [fid])).rows.map(({ gasless }) => gasless);
  };
  const before = await signers();
  block(world.sign(fid, bodies.keyAdd(key, nonce, [1], 60), now()));
  await tailShard(parts.activities, home, start);
  expect(await known()).toEqual(gaslessKeysOf(node.ledger));
  expect(await signers()).toEqual([...before, true]);
  block(
    world.sign(fid, bodies.keyRemove(key, nonce + 1), now()),
    world.sign(fid, bodies.keyAdd(Buffer.alloc(32, 8), nonce + 2, [1, 2], 60), now()),
  );
  // Twice over, and from the start again, it comes out the same.
  for (const from of [start, start, tip()]) await tailShard(parts.activities, home, from);
  expect(await known()).toEqual(gaslessKeysOf(node.ledger));
  expect(await signers()).toEqual([...before, true]);
  block(world.sign(fid, bodies.keyRemove(Buffer.alloc(32, 8), nonce + 3), now()));
  await tailShard(parts.activities, home, start);
  expect(await known()).toEqual([]);
  expect(await signers()).toEqual(before);
});

it('a block that nobody gives any more is said, verify finds what is missing, and repair brings it', async () => {
  await setUp();
  await scanAll();
  const start = tip();
  node.faults.set([{ method: 'GetShardChunks', fault: { kind: 'garbage' } }]);
  block(world.sign(fid, bodies.keyAdd(key, nonce, [1], 60), now()));
  await tailShard(parts.activities, node.ledger.home(fid).index, start);
  expect(await known()).toEqual([]);
  expect((await quarantine()).map(({ place, reason }) => [place, reason])).toEqual([
    [`block:${tip() / 16_384 - 1}`, expect.stringMatching(/GetShardChunks.*cannot be read/)],
  ]);
  const found = await verify();
  expect(found.reduce((sum, { differing }) => sum + differing, 0)).toBe(1);
  expect(found.flatMap(({ samples }) => samples)).toEqual([
    `fid ${fid}: the tables have gasless keys 0 (node: 1, not all the same)`,
  ]);
  expect((await verify({ repair: true })).reduce((sum, { repaired }) => sum + repaired, 0)).toBe(1);
  expect(await known()).toEqual(gaslessKeysOf(node.ledger));
  expect((await verify()).reduce((sum, verdict) => sum + verdict.differing, 0)).toBe(0);
});

it('a selection without keys asks for none', async () => {
  await setUp({ keysPerMille: 20 });
  for (const shard of shards) await tailShard(parts.activities, shard, 0, { types: ['casts'] });
  expect(await known()).toEqual([]);
  expect(node.calls.get('GetShardChunks')).toBeUndefined();
  expect(node.calls.get('GetSignersByFid')).toBeUndefined();
});
