/** The Merkle tree in one pass against its definition, read literally: the same roots for whatever keys there are. */
import fc from 'fast-check';
import { RecordRefused } from '../../activities/shared/failures';
import { blake3, loadHashing } from '../../activities/snapchain/hashing';
import { emptyRoot, MerkleTree, shardRoot, type MerkleState } from '../../activities/snapchain/merkle';
import { accountKey } from '../../activities/snapchain/trie-key';

beforeAll(loadHashing);

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** One half byte a byte, as latin1, which sorts and compares as bytes do. */
const spread = (key: Buffer): string => [...key].map((byte) => String.fromCharCode(byte >> 4, byte & 15)).join('');

function defined(keys: readonly string[], depth: number): Buffer {
  if (depth >= 12 && keys.length === 1) return blake3(Buffer.from(keys[0] as string, 'latin1'));
  const children = Array.from({ length: 16 }, (_, nibble) => keys.filter((key) => key.charCodeAt(depth) === nibble));
  const hashes = children.filter(({ length }) => length > 0).map((child) => defined(child, depth + 1));
  return blake3(Buffer.concat(hashes));
}

function definedRoot(keys: readonly Buffer[], depth: number): Buffer {
  return keys.length === 0 ? emptyRoot : defined(keys.map(spread), depth);
}

/** Keys that share as much as keys can: few fids, few types, hashes that differ late. */
const fid = fc.constantFrom(1, 2, 3, 1002, 1003, 1006, 70_000, 4_294_967_295);
const tail = fc.oneof(
  fc.uint8Array({ minLength: 20, maxLength: 20 }),
  fc.tuple(fc.constantFrom(0, 1, 16, 255), fc.nat(19), fc.nat(255)).map(([fill, at, byte]) => {
    const hash = new Uint8Array(20).fill(fill);
    hash[at] = byte;
    return hash;
  }),
);
const key = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fid, fc.constantFrom(8, 16, 24, 120), tail) },
  { weight: 1, arbitrary: fc.tuple(fid, fc.constant(7), tail) },
  {
    weight: 1,
    arbitrary: fc.tuple(
      fid,
      fc.constantFrom(1, 3, 4),
      tail.map((rest) => [...rest, ...rest.slice(0, 16)]),
    ),
  },
);
const keys = fc
  .array(key, { maxLength: 60 })
  .map((parts) => parts.map(([of, type, rest]) => Buffer.concat([accountKey(of), Buffer.of(type), Buffer.from(rest)])))
  .map((all) => [...new Map(all.map((each) => [each.toString('hex'), each])).values()].sort(Buffer.compare));

const hex = (bytes: Buffer): string => bytes.toString('hex');

describe('the tree', () => {
  it('has the roots of the definition: the shard’s, each virtual shard’s, each account’s with its count', () => {
    fc.assert(
      fc.property(keys, (all) => {
        const whole = new MerkleTree(null);
        all.forEach((each) => whole.add(each));
        expect(hex(whole.finish())).toBe(hex(definedRoot(all, 0)));
        const accounts = [...new Set(all.map((each) => each.readUInt32BE(1)))].map((of) => {
          const own = all.filter((each) => each.readUInt32BE(1) === of);
          return [of, hex(definedRoot(own, 10)), own.length];
        });
        expect(whole.takeAccounts().map(({ fid: of, root, numMessages }) => [of, hex(root), numMessages])).toEqual(
          accounts,
        );
        const roots = new Map<number, Buffer>();
        for (const virtualShard of new Set(all.map((each) => each[0] as number))) {
          const own = all.filter((each) => each[0] === virtualShard);
          const tree = new MerkleTree(virtualShard);
          own.forEach((each) => tree.add(each));
          roots.set(virtualShard, tree.finish());
          expect(hex(tree.finish())).toBe(hex(definedRoot(own, 2)));
        }
        expect(hex(shardRoot(roots))).toBe(hex(definedRoot(all, 0)));
      }),
      { numRuns: 500, seed },
    );
  });

  it('goes on from its saved state, cut after any key, as if it had not been cut', () => {
    fc.assert(
      fc.property(keys, fc.array(fc.nat(60), { maxLength: 4 }), (all, cuts) => {
        let tree = new MerkleTree(null);
        const accounts: unknown[] = [];
        all.forEach((each, at) => {
          if (cuts.includes(at)) {
            accounts.push(...tree.takeAccounts());
            tree = MerkleTree.resume(JSON.parse(JSON.stringify(tree.save())) as MerkleState);
          }
          tree.add(each);
        });
        expect(hex(tree.finish())).toBe(hex(definedRoot(all, 0)));
        accounts.push(...tree.takeAccounts());
        const whole = new MerkleTree(null);
        all.forEach((each) => whole.add(each));
        whole.finish();
        expect(accounts).toEqual(whole.takeAccounts());
        expect(tree.leaves).toBe(all.length);
      }),
      { numRuns: 300, seed },
    );
  });

  it('has another root when a leaf is missing, or differs in a bit', () => {
    const some = fc.sample(keys, { numRuns: 50, seed }).filter(({ length }) => length > 1);
    expect(some.length).toBeGreaterThan(10);
    for (const all of some) {
      const root = hex(definedRoot(all, 0));
      const missing = new MerkleTree(null);
      all.slice(1).forEach((each) => missing.add(each));
      expect(hex(missing.finish())).not.toBe(root);
      const changed = Buffer.from(all.at(-1) as Buffer);
      changed[changed.length - 1] = (changed[changed.length - 1] as number) ^ 1;
      const differing = new MerkleTree(null);
      const others = [...all.slice(0, -1), changed].sort(Buffer.compare);
      if (new Set(others.map(hex)).size < others.length) continue;
      others.forEach((each) => differing.add(each));
      expect(hex(differing.finish())).not.toBe(root);
    }
  });

  it('keeps no more than its depth, however many keys come', () => {
    const account = accountKey(7);
    const tree = new MerkleTree(account[0] as number);
    const sizes: number[] = [];
    for (let at = 0; at < 20_000; at += 1) {
      const rest = Buffer.alloc(20);
      rest.writeUInt32BE(at * 200_000);
      tree.add(Buffer.concat([account, Buffer.of(8), rest]));
      if (at % 1000 === 999) sizes.push(JSON.stringify(tree.save()).length);
    }
    expect(Math.max(...sizes)).toBeLessThan(8192);
  });

  it('without keys has the empty root', () => {
    expect(new MerkleTree(3).finish()).toEqual(emptyRoot);
    expect(shardRoot(new Map([[3, emptyRoot]]))).toEqual(emptyRoot);
  });
});

describe('keys are refused', () => {
  const at = (rest: number): Buffer => Buffer.concat([accountKey(7), Buffer.of(8), Buffer.alloc(20, rest)]);
  const after = (...added: Buffer[]): MerkleTree => {
    const tree = new MerkleTree(accountKey(7)[0] as number);
    added.forEach((each) => tree.add(each));
    return tree;
  };

  it.each([
    ['the same once more', at(5)],
    ['a smaller one', at(4)],
    ['one that goes on from the last', Buffer.concat([at(5), Buffer.of(1)])],
    ['one without a record', accountKey(7)],
    ['one of another virtual shard', Buffer.concat([Buffer.of(255), at(6).subarray(1)])],
  ])('%s', (_, wrong) => {
    const tree = after(at(1), at(5));
    expect(() => tree.add(wrong)).toThrow(RecordRefused);
    expect(() => tree.add(wrong)).toThrow(wrong.toString('hex'));
    // The tree stands where it stood.
    tree.add(at(9));
    expect(tree.finish()).toEqual(after(at(1), at(5), at(9)).finish());
  });

  it('one of another virtual shard, even if it is the first', () => {
    expect(() => new MerkleTree(3).add(at(1))).toThrow('is not of virtual shard 3');
  });
});
