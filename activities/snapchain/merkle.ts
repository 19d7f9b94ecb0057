/**
 * The Merkle roots of a trie from its keys in ascending order, in one pass and in memory that grows with the trie's depth
 * only. A root proves that no leaf is missing, too many or of another hash.
 *
 * The rule, with depth counted in half bytes: from depth 12 on a node with one key is a leaf, and its hash that of the key
 * spread to a half byte a byte; any other node's hash is that of its children's hashes in ascending order.
 */
import { RecordRefused } from '../shared/failures';
import { blake3, digestOf, hashBytes } from './hashing';
import { accountKeyBytes } from './trie-key';

const accountDepth = accountKeyBytes * 2;
/** A virtual shard is the node of a key's first byte. */
const virtualShardDepth = 2;
/** Above this depth even a lone key has its whole path. */
const leafDepthMin = 12;
const keyBytesMax = 42; // an on-chain event's
const depthMax = keyBytesMax * 2;
const branches = 16;

/** The hash of a trie, or a part of it, that has no leaves. */
export const emptyRoot = Buffer.alloc(0);

export interface AccountRoot {
  readonly fid: number;
  readonly root: Buffer;
  readonly numMessages: number;
}

/** Where a tree stands, as small JSON (measured: 1 to 5 kB). Made by `save`, taken by `MerkleTree.resume`. */
export interface MerkleState {
  /** Null: of a whole shard. */
  readonly virtualShard: number | null;
  /** The last key, in hex; null before the first. */
  readonly key: string | null;
  /** Half bytes the last key shares with the one before. */
  readonly shared: number;
  /** Of each depth, the hashes of complete children, joined, in base64. */
  readonly children: readonly string[];
  readonly accountLeaves: number;
  readonly leaves: number;
}

/** Children of the node that is open at one depth. */
interface OpenNode {
  readonly hashes: Buffer;
  /** The first so many of them: a view costs as much as half a hash. */
  readonly first: readonly Uint8Array[];
  count: number;
}

/** Views of the first n units of some bytes, by n. */
const views = (bytes: Uint8Array, unit: number): readonly Uint8Array[] =>
  Array.from(
    { length: bytes.length / unit + 1 },
    (_, count) => new Uint8Array(bytes.buffer, bytes.byteOffset, count * unit),
  );

export class MerkleTree {
  readonly #open: OpenNode[] = [];
  readonly #closed: AccountRoot[] = [];
  /** The last key: where its leaf hangs is known only when the next one comes. A copy, for its page may be gone by then. */
  #key: Buffer | null = null;
  #shared = 0;
  #accountLeaves = 0;
  #leaves = 0;
  #root: Buffer | null = null;
  readonly #nibbles = views(new Uint8Array(depthMax), 2);

  readonly #depth: number;

  /** With a virtual shard's number it takes that one's keys only, and its root is that node's; with null a whole shard's. */
  constructor(readonly virtualShard: number | null) {
    this.#depth = virtualShard === null ? 0 : virtualShardDepth;
  }

  static resume(state: MerkleState): MerkleTree {
    const tree = new MerkleTree(state.virtualShard);
    tree.#key = state.key === null ? null : Buffer.from(state.key, 'hex');
    tree.#shared = state.shared;
    tree.#accountLeaves = state.accountLeaves;
    tree.#leaves = state.leaves;
    state.children.forEach((text, at) => {
      const hashes = Buffer.from(text, 'base64');
      for (let from = 0; from < hashes.length; from += hashBytes)
        tree.#child(at, hashes.subarray(from, from + hashBytes));
    });
    return tree;
  }

  save(): MerkleState {
    return {
      virtualShard: this.virtualShard,
      key: this.#key?.toString('hex') ?? null,
      shared: this.#shared,
      children: this.#open.map(({ hashes, count }) => hashes.toString('base64', 0, count * hashBytes)),
      accountLeaves: this.#accountLeaves,
      leaves: this.#leaves,
    };
  }

  /** Leaves so far. */
  get leaves(): number {
    return this.#leaves;
  }

  /** Takes the next key. Throws RecordRefused if it does not come after the last one, or cannot stand beside it. */
  add(key: Buffer): void {
    if (this.#root !== null) throw new Error('add a key to a Merkle tree: it has been finished');
    if (key.length <= leafDepthMin / 2 || key.length > keyBytesMax)
      throw new RecordRefused(
        `trie key ${key.toString('hex')}: ${key.length} bytes; a key has from 7 to ${keyBytesMax}`,
      );
    if (this.virtualShard !== null && key[0] !== this.virtualShard)
      throw new RecordRefused(`trie key ${key.toString('hex')} is not of virtual shard ${this.virtualShard}`);
    const last = this.#key;
    if (last === null) this.#shared = 0;
    else {
      const shared = sharedNibbles(last, key);
      if (shared === Math.min(last.length, key.length) * 2 || nibbleAt(last, shared) > nibbleAt(key, shared))
        throw new RecordRefused(`trie key ${key.toString('hex')} does not come after ${last.toString('hex')}`);
      this.#hang(last, shared);
      this.#shared = shared;
    }
    this.#keep(key);
    this.#leaves += 1;
    this.#accountLeaves += 1;
  }

  /** Accounts that are complete since this was last asked: a key of a later fid has come, or the end. */
  takeAccounts(): AccountRoot[] {
    return this.#closed.splice(0);
  }

  /** Ends the tree and gives its root: of the shard or virtual shard, as the depth was chosen. May be asked again. */
  finish(): Buffer {
    if (this.#root !== null) return this.#root;
    if (this.#key === null) this.#root = emptyRoot;
    else {
      this.#hang(this.#key, this.#depth);
      this.#root = Buffer.from(this.#hash(this.#depth));
    }
    return this.#root;
  }

  /** Gives the last key its leaf, then closes every node that the next key, which shares so much, is not in. */
  #hang(key: Buffer, shared: number): void {
    const leafDepth = Math.max(leafDepthMin, this.#shared + 1, shared + 1);
    this.#child(leafDepth - 1, this.#leafHash(key));
    for (let depth = leafDepth - 1; depth > shared; depth -= 1) {
      const hash = this.#hash(depth);
      if (depth === accountDepth) this.#closeAccount(key, hash);
      this.#child(depth - 1, hash);
    }
  }

  #closeAccount(key: Buffer, hash: Uint8Array): void {
    const root = Buffer.from(hash);
    this.#closed.push({ fid: key.readUInt32BE(1), root, numMessages: this.#accountLeaves });
    this.#accountLeaves = 0;
  }

  #keep(key: Buffer): void {
    const last = this.#key;
    // Most keys have the length of the one before.
    if (last?.length === key.length) last.set(key);
    else this.#key = Buffer.from(key);
  }

  #leafHash(key: Buffer): Uint8Array {
    const nibbles = this.#nibbles[key.length] as Uint8Array;
    for (let at = 0; at < key.length; at += 1) {
      const byte = key[at] as number;
      nibbles[at * 2] = byte >> 4;
      nibbles[at * 2 + 1] = byte & 15;
    }
    return digestOf(nibbles);
  }

  #child(depth: number, hash: Uint8Array): void {
    while (this.#open.length <= depth) {
      const hashes = Buffer.alloc(branches * hashBytes);
      this.#open.push({ hashes, first: views(hashes, hashBytes), count: 0 });
    }
    const node = this.#open[depth] as OpenNode;
    node.hashes.set(hash, node.count * hashBytes);
    node.count += 1;
  }

  #hash(depth: number): Uint8Array {
    const node = this.#open[depth] as OpenNode;
    const hash = digestOf(node.first[node.count] as Uint8Array);
    node.count = 0;
    return hash;
  }
}

const nibbleAt = (key: Buffer, depth: number): number => {
  const byte = key[depth >> 1] as number;
  return depth % 2 === 0 ? byte >> 4 : byte & 15;
};

/** Half bytes from the start in which two keys agree. */
function sharedNibbles(left: Buffer, right: Buffer): number {
  const length = Math.min(left.length, right.length);
  let at = 0;
  while (at < length && left[at] === right[at]) at += 1;
  if (at === length) return length * 2;
  return at * 2 + ((left[at] as number) >> 4 === (right[at] as number) >> 4 ? 1 : 0);
}

/** A shard's root from the roots of its virtual shards, by their number; those that are missing or empty have no leaves. */
export function shardRoot(roots: ReadonlyMap<number, Buffer>): Buffer {
  const upper: Buffer[] = [];
  for (let high = 0; high < branches; high += 1) {
    const lower: Buffer[] = [];
    for (let low = 0; low < branches; low += 1) {
      const root = roots.get(high * branches + low);
      if (root !== undefined && root.length > 0) lower.push(root);
    }
    if (lower.length > 0) upper.push(blake3(Buffer.concat(lower)));
  }
  return upper.length === 0 ? emptyRoot : blake3(Buffer.concat(upper));
}
