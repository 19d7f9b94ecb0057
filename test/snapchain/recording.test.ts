/** A real node's recording, read: every byte decodes, every hash and root comes out, and the live set is truth.json's. */
import fc from 'fast-check';
import { heightOfEvent, sequenceOfEvent } from '../../activities/snapchain/event';
import { loadHashing, signatureChecks } from '../../activities/snapchain/hashing';
import { MerkleTree, shardRoot, type AccountRoot } from '../../activities/snapchain/merkle';
import type { Entry } from '../../activities/snapchain/page';
import { fnameKey, messageKey, onChainKey, virtualShards } from '../../activities/snapchain/trie-key';
import { Model } from './model';
import { entriesOf, eventsOf, leavesOf, pagesOf, snapshots, truth } from './recorded';

beforeAll(loadHashing);

const shards = [1, 2];
const expected = {
  messages: truth.messages,
  sha256: truth.sha256_of_sorted_hashes,
  byType: truth.byType,
  onChain: truth.onchain,
  fids: truth.fids,
  names: truth.names_in_snapshot,
};
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

describe.each(snapshots)('the snapshot of shard $shard at height $height', ({ shard, height, numItems, root }) => {
  it('has every leaf that it says, in ascending order of keys', () => {
    const keys = leavesOf(shard, height).map(({ trieKey }) => trieKey);
    expect(keys).toHaveLength(numItems);
    const misplaced = keys.filter((key, at) => at > 0 && Buffer.compare(keys[at - 1] as Buffer, key) !== -1);
    expect(misplaced).toEqual([]);
  });

  it('proves itself: each account’s root and count, each virtual shard’s, and the shard’s in the block’s header', () => {
    const roots = new Map<number, Buffer>();
    const whole = new MerkleTree(null);
    let accounts = 0;
    for (let virtualShard = 0; virtualShard < virtualShards; virtualShard += 1) {
      const pages = pagesOf(shard, height, virtualShard);
      const tree = new MerkleTree(virtualShard);
      for (const { trieKey } of pages.flatMap(({ leaves }) => leaves)) {
        tree.add(trieKey);
        whole.add(trieKey);
      }
      roots.set(virtualShard, tree.finish());
      const told = pages.flatMap(({ accountRoots }) => accountRoots).sort((a, b) => a.fid - b.fid);
      expect(plain(tree.takeAccounts())).toEqual(plain(told));
      accounts += told.length;
    }
    expect(accounts).toBe(24);
    expect(shardRoot(roots)).toEqual(root);
    expect(whole.finish()).toEqual(root);
    const counts = whole.takeAccounts().map(({ numMessages }) => numMessages);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(numItems);
  });

  it('has only leaves whose keys can be built from their records', () => {
    const keys = leavesOf(shard, height).map(({ trieKey }) => trieKey.toString('hex'));
    expect(entriesOf(shard, height).map((entry) => keyOf(entry).toString('hex'))).toEqual(keys);
  });

  it('has only messages that their signers signed', () => {
    const checks = signatureChecks({ sampleRatio: 1 });
    const messages = entriesOf(shard, height).flatMap((entry) => (entry.kind === 'message' ? [entry.message] : []));
    expect(messages.filter((message) => !checks.passes(message))).toEqual([]);
    expect(checks.checked).toBe(messages.length);
    expect(messages.length).toBeGreaterThan(900);
  });
});

const plain = (roots: readonly AccountRoot[]): unknown[] =>
  roots.map(({ fid, root, numMessages }) => [fid, root.toString('hex'), numMessages]);

function keyOf({ key, ...entry }: Entry): Buffer {
  if (entry.kind === 'message') return messageKey(key.fid, entry.message.type, entry.message.hash);
  if (entry.kind === 'fname') return fnameKey(key.fid, entry.proof.name);
  return onChainKey(entry.event.fid, entry.event.type, entry.event.transactionHash, entry.event.logIndex);
}

describe.each(shards)('the log of shard %s', (shard) => {
  let read: ReturnType<typeof eventsOf> | undefined;
  const log = (): ReturnType<typeof eventsOf> => (read ??= eventsOf(shard));

  it('ascends, block after block', () => {
    const heads = log().map(({ head }) => head);
    expect(heads.filter(({ id }, at) => at > 0 && id <= (heads[at - 1]?.id ?? 0))).toEqual([]);
    expect(new Set(heads.map(({ shardIndex }) => shardIndex))).toEqual(new Set([shard]));
    expect(heads.filter(({ id, blockNumber }) => heightOfEvent(id) !== blockNumber)).toEqual([]);
    const heights = [...new Set(heads.map(({ blockNumber }) => blockNumber))];
    expect(heights).toEqual(heights.map((_, at) => at + 1));
  });

  it('begins each block with its confirmation, which counts its events, itself among them', () => {
    const types = new Map<number, number[]>();
    for (const { head } of log()) types.set(head.blockNumber, [...(types.get(head.blockNumber) ?? []), head.type]);
    const confirmed: number[] = [];
    for (const { head, event } of log()) {
      if (event.kind !== 'blockConfirmed') continue;
      confirmed.push(event.blockNumber);
      const told = [...event.countsByType].flatMap(([type, count]) => Array.from({ length: count }, () => type));
      const found = types.get(event.blockNumber) ?? [];
      expect([sequenceOfEvent(head.id), event.totalEvents, event.shardIndex]).toEqual([0, found.length, shard]);
      expect(told.sort((a, b) => a - b)).toEqual(found.sort((a, b) => a - b));
    }
    expect(confirmed).toEqual([...types.keys()]);
  });

  it('has all kinds of events that the recorded network knew', () => {
    const kinds = new Set(log().map(({ event }) => event.kind));
    const pruned = shard === 1 ? ['prune'] : [];
    expect([...kinds].sort()).toEqual(['blockConfirmed', 'merge', 'onChain', ...pruned, 'usernameProof']);
  });
});

describe('the live set', () => {
  const heights = (shard: number): number[] =>
    snapshots.filter((each) => each.shard === shard).map((each) => each.height);
  const newest = (shard: number): number => Math.max(...heights(shard));
  const oldest = (shard: number): number => Math.min(...heights(shard));

  it('comes from the newest snapshots', () => {
    const model = new Model(2);
    for (const shard of shards)
      for (const entry of entriesOf(shard, newest(shard))) model.scan(entry, shard, newest(shard));
    expect(model.outcome()).toEqual(expected);
  });

  it('comes from the events alone', () => {
    const model = new Model(2);
    for (const shard of shards) for (const { head, event } of eventsOf(shard)) model.apply(event, shard, head.id);
    expect(model.outcome()).toEqual(expected);
  });

  it('is not yet in the older snapshots', () => {
    const model = new Model(2);
    for (const shard of shards)
      for (const entry of entriesOf(shard, oldest(shard))) model.scan(entry, shard, oldest(shard));
    expect(model.outcome().messages).toBeLessThan(expected.messages);
  });

  it('comes from an old snapshot and the events from its block on, however the two are interleaved and rewound', () => {
    const logs = shards.map((shard) => ({
      shard,
      entries: entriesOf(shard, oldest(shard)),
      log: eventsOf(shard).filter(({ head }) => head.blockNumber >= oldest(shard)),
    }));
    const steps = fc.array(fc.record({ leaves: fc.nat(400), events: fc.nat(400), back: fc.nat(150) }), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(steps, (plan) => {
        const model = new Model(2);
        for (const { shard, entries, log } of logs) {
          let [scanned, applied] = [0, 0];
          const run = (leaves: number, events: number): void => {
            for (const entry of entries.slice(scanned, (scanned += leaves))) model.scan(entry, shard, oldest(shard));
            for (const { head, event } of log.slice(applied, (applied += events))) model.apply(event, shard, head.id);
          };
          for (const { leaves, events, back } of plan) {
            run(leaves, events);
            applied = Math.max(0, Math.min(applied, log.length) - back);
          }
          run(entries.length, log.length);
        }
        expect(model.outcome()).toEqual(expected);
      }),
      { numRuns: 40, seed },
    );
  });

  it('comes from a snapshot of any height, scanned late, and the events from there on', () => {
    const logs = new Map(shards.map((shard) => [shard, eventsOf(shard)]));
    const tips = shards.map((shard) => logs.get(shard)?.at(-1)?.head.blockNumber ?? 0);
    const cut = fc.record({
      height: fc.integer({ min: 1, max: Math.min(...tips) }),
      before: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const { messages, sha256, byType } = expected;
    fc.assert(
      fc.property(cut, ({ height, before }) => {
        const model = new Model(2);
        for (const [shard, log] of logs) {
          const then = new Model(2);
          const from = log.findIndex(({ head }) => head.blockNumber > height);
          const past = from === -1 ? log : log.slice(0, from);
          for (const { head, event } of past) then.apply(event, shard, head.id);
          // The tail begins at the snapshot's own block; part of it is there before the scan is.
          const tail = log.filter(({ head }) => head.blockNumber >= height);
          const early = Math.floor(tail.length * before);
          for (const { head, event } of tail.slice(0, early)) model.apply(event, shard, head.id);
          for (const message of then.live(shard)) model.scanMessage(message, shard, height);
          for (const { head, event } of tail.slice(early)) model.apply(event, shard, head.id);
        }
        expect(model.outcome()).toMatchObject({ messages, sha256, byType });
      }),
      { numRuns: 100, seed },
    );
  });
});
