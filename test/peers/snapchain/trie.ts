/**
 * The trie as the reference defines it, in the plainest way: keys as latin1 strings (their order is the order of their
 * bytes), where a fid lives, and the Merkle rule by recursion over all keys of a subtree.
 */
import { createHash } from 'node:crypto';
import { createBLAKE3, type IHasher } from 'hash-wasm';

let hasher: IHasher | undefined;

/** Loads the hash function: everything here and in messages.ts needs it to have been called once. */
export async function loadHashing(): Promise<void> {
  hasher ??= await createBLAKE3(160);
}

/** blake3 cut to 20 bytes, the network's one hash. */
export function blake3(bytes: Uint8Array): Buffer {
  if (!hasher) throw new Error('hash with blake3: not loaded. Await loadHashing() first.');
  const digest = hasher.init().update(bytes).digest('binary');
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length);
}

export function fidBytes(fid: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(fid);
  return bytes;
}

const places = new Map<number, number>();
const placesMax = 2_000_000; // 100 MB at most; beyond it they are computed again

function placeOf(fid: number): number {
  const known = places.get(fid);
  if (known !== undefined) return known;
  const place = createHash('sha256').update(fidBytes(fid)).digest().readUInt32BE(0);
  if (places.size < placesMax) places.set(fid, place);
  return place;
}

export const homeShardOf = (fid: number, shards: number): number => (placeOf(fid) % shards) + 1;
export const virtualShardOf = (fid: number): number => placeOf(fid) % 256;

/** The 5 bytes that every key of a fid begins with: the root of its account is the node there. */
export function accountKey(fid: number): string {
  return String.fromCharCode(virtualShardOf(fid)) + fidBytes(fid).toString('latin1');
}

export const messageKey = (account: string, type: number, hash: string): string =>
  account + String.fromCharCode(type * 8) + hash;

export function onChainKey(account: string, type: number, transactionHash: Buffer, logIndex: number): string {
  return (
    account + String.fromCharCode(type) + transactionHash.toString('latin1') + fidBytes(logIndex).toString('latin1')
  );
}

const fnameType = 7;

export function fnameKey(account: string, name: string): string {
  return account + String.fromCharCode(fnameType) + name.padEnd(20, '\0');
}

function nibblesOf(key: string): Buffer {
  const nibbles = Buffer.allocUnsafe(key.length * 2);
  for (let at = 0; at < key.length; at += 1) {
    const byte = key.charCodeAt(at);
    nibbles[at * 2] = byte >> 4;
    nibbles[at * 2 + 1] = byte & 15;
  }
  return nibbles;
}

const nibbleAt = (key: string, depth: number): number => {
  const byte = key.charCodeAt(depth >> 1);
  return depth % 2 === 0 ? byte >> 4 : byte & 15;
};

/** Below this depth a lone key is a leaf by itself; above it the path is always written out. */
const leafDepthMin = 12;

/**
 * The hash of the node at `depth` that holds `keys` (ascending, all of one path so far). `known` gives the hash of
 * nodes already computed: at depth 10 those of whole accounts, keyed by their 5 bytes.
 */
export function nodeHash(keys: readonly string[], depth: number, known?: ReadonlyMap<string, Buffer>): Buffer {
  if (keys.length === 0) return Buffer.alloc(0);
  const [first] = keys as [string];
  if (depth >= leafDepthMin && keys.length === 1) return blake3(nibblesOf(first));
  if (depth === 10 && known) {
    const account = known.get(first.slice(0, 5));
    if (account) return account;
  }
  const children: Buffer[] = [];
  let start = 0;
  for (let at = 1; at <= keys.length; at += 1) {
    const key = keys[at];
    if (key !== undefined && nibbleAt(key, depth) === nibbleAt(keys[start] as string, depth)) continue;
    children.push(nodeHash(keys.slice(start, at), depth + 1, known));
    start = at;
  }
  return blake3(Buffer.concat(children));
}

const accountDepth = 10;

/** An account's root, from all its keys in ascending order. */
export const accountRoot = (keys: readonly string[]): Buffer => nodeHash(keys, accountDepth);

/** The root over accounts, from their 5-byte keys in ascending order and their roots. `depth` 2 is a virtual shard. */
export const rootOver = (accounts: readonly string[], roots: ReadonlyMap<string, Buffer>, depth = 0): Buffer =>
  nodeHash(accounts, depth, roots);
