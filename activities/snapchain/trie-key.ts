/** Keys of a shard's trie: what a key says of its leaf, which keys a fid's leaves have, and where a fid lives. */
import { createHash } from 'node:crypto';
import { RecordRefused } from '../shared/failures';
import { hashBytes } from './hashing';
import { messageTypes, onChainTypes } from './wire';

/** Of all data shards' tries; a node serves a trie by these. */
export const virtualShards = 256;

export const accountKeyBytes = 5;
const typeAt = accountKeyBytes;
const restAt = typeAt + 1;
const messageKeyBytes = restAt + hashBytes;
const transactionHashBytes = 32;
const onChainKeyBytes = restAt + transactionHashBytes + 4;
const fnameType = 7;
const fnameBytes = 20;
const fnameKeyBytes = restAt + fnameBytes;
/** A message's type stands shifted by this, which keeps it clear of the seven others. */
const messageTypeShift = 3;

/** The byte that stands for a message's type. */
export const messageTypeByte = (type: number): number => type << messageTypeShift;
/** The byte after a fid. */
export const typeOf = (key: Buffer): number => key[typeAt] as number;
/** Every such byte that is known here, ascending as in a trie, and what it stands for. */
export const trieTypes: ReadonlyMap<number, string> = new Map([
  ...Object.entries(onChainTypes).map(([name, type]) => [type, name] as const),
  [fnameType, 'fname'],
  ...Object.entries(messageTypes).map(([name, type]) => [messageTypeByte(type), name] as const),
]);

interface Place {
  readonly virtualShard: number;
  readonly fid: number;
}

export type TrieKey = Place &
  (
    | { readonly kind: 'message'; readonly messageType: number; readonly hash: Buffer }
    | {
        readonly kind: 'onChain';
        readonly eventType: number;
        readonly transactionHash: Buffer;
        readonly logIndex: number;
      }
    | { readonly kind: 'fname'; readonly name: string }
  );

const fidBuffer = Buffer.alloc(4);

// Leaves of a fid come together, and asking for its place costs as much as hashing two messages.
let lastFid = -1;
let lastRoute = 0;

/** The number that both kinds of shard are taken from. */
function routeOf(fid: number): number {
  if (fid !== lastFid) {
    fidBuffer.writeUInt32BE(fid);
    lastRoute = createHash('sha256').update(fidBuffer).digest().readUInt32BE(0);
    lastFid = fid;
  }
  return lastRoute;
}

/** The data shard, from 1, whose word on a fid counts: other shards hold copies of some of its records. */
export const homeShardOf = (fid: number, numShards: number): number => (routeOf(fid) % numShards) + 1;

export const virtualShardOf = (fid: number): number => routeOf(fid) % virtualShards;

/**
 * Reads a key, and checks that its fid belongs into its virtual shard. Bytes are views of `key`.
 * Throws RecordRefused, naming `where` and the key.
 */
export function parseTrieKey(key: Buffer, where: string): TrieKey {
  const refused = (reason: string): RecordRefused =>
    new RecordRefused(`${where}: trie key ${key.toString('hex') || '(empty)'}: ${reason}`);
  if (key.length <= restAt) throw refused(`${key.length} bytes are too few`);
  const virtualShard = key[0] as number;
  const fid = key.readUInt32BE(1);
  const type = key[typeAt] as number;
  if (virtualShardOf(fid) !== virtualShard)
    throw refused(`fid ${fid} belongs into virtual shard ${virtualShardOf(fid)}, not ${virtualShard}`);
  const expected = type > fnameType ? messageKeyBytes : type === fnameType ? fnameKeyBytes : onChainKeyBytes;
  if (key.length !== expected) throw refused(`${key.length} bytes instead of the ${expected} of type ${type}`);
  if (type > fnameType) {
    const messageType = type >> messageTypeShift;
    if (messageType << messageTypeShift !== type) throw refused(`type ${type} is no message type`);
    return { virtualShard, fid, kind: 'message', messageType, hash: key.subarray(restAt) };
  }
  if (type === fnameType) return { virtualShard, fid, kind: 'fname', name: nameIn(key.subarray(restAt)) };
  if (type === 0) throw refused('type 0 is none');
  const transactionHash = key.subarray(restAt, restAt + transactionHashBytes);
  const logIndex = key.readUInt32BE(restAt + transactionHashBytes);
  return { virtualShard, fid, kind: 'onChain', eventType: type, transactionHash, logIndex };
}

/** Shorter names are filled up with zeros. */
function nameIn(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end === -1 ? fnameBytes : end);
}

/** What every key of a fid begins with; the node there is its account, whose hash is the account's root. */
export function accountKey(fid: number): Buffer {
  const key = Buffer.allocUnsafe(accountKeyBytes);
  key.writeUInt8(virtualShardOf(fid), 0);
  key.writeUInt32BE(fid, 1);
  return key;
}

export function messageKey(fid: number, messageType: number, hash: Buffer): Buffer {
  return Buffer.concat([accountKey(fid), Buffer.of(messageTypeByte(messageType)), hash]);
}

export function onChainKey(fid: number, eventType: number, transactionHash: Buffer, logIndex: number): Buffer {
  const index = Buffer.allocUnsafe(4);
  index.writeUInt32BE(logIndex);
  return Buffer.concat([accountKey(fid), Buffer.of(eventType), transactionHash, index]);
}

/** Throws RangeError for a name that has no key: longer than 20 bytes. */
export function fnameKey(fid: number, name: string): Buffer {
  const key = Buffer.alloc(fnameKeyBytes);
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length > fnameBytes)
    throw new RangeError(`fname ${JSON.stringify(name)} has more than ${fnameBytes} bytes`);
  accountKey(fid).copy(key);
  key.writeUInt8(fnameType, typeAt);
  bytes.copy(key, restAt);
  return key;
}
