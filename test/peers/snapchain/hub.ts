/** HubService's calls with one answer: what a node tells of itself, its events, its blocks, and everything of a fid. */
import type { Account } from './account';
import { byAge } from './account';
import { blockBytes } from './blocks';
import { encode, type Fields } from './bytes';
import type { Ledger } from './ledger';
import { farcasterEpoch, messageTypes, type SignedMessage } from './messages';
import { onChainTypes, type OnChainRecord } from './records';
import type { ShardState } from './shard';
import { CallError, codes } from './snapshot';
import { nodeHash } from './trie';

export interface HubOptions {
  readonly version: string;
  readonly peerId: string;
}

type Unary = (request: Fields) => Buffer;

const pageSizeDefault = 10_000;
const eventPageSizeDefault = 1000;
/** What a node gives as the token of a list of events that is at its end: one null for the one shard that was asked. */
const eventsDone = '[null]';

export function hubCalls(ledger: Ledger, options: HubOptions): Map<string, Unary> {
  const shardOf = (index: number): ShardState => {
    const shard = ledger.shard(index);
    if (!shard) throw new CallError(codes.unknown, 'invalid_internal_state/Invalid shard id');
    return shard;
  };
  const calls: Record<string, Unary> = {
    GetInfo: () => infoBytes(ledger, options),
    GetEvents: (request) => eventsBytes(ledger, request, shardOf),
    GetEvent: (request) => {
      const [event] = shardOf(request.uint(5)).log.read(request.uint(1), request.uint(1) + 1, 1);
      if (!event) throw new CallError(codes.internal, 'not_found/Event not found');
      return ledger.encode(request.uint(5), event);
    },
    GetShardChunks: (request) => {
      const shard = shardOf(request.uint(1));
      return encode((out) => {
        for (const height of heights(request, shard.height)) out.nested(1, ledger.chunk(shard.index, height));
      });
    },
    GetFids: (request) => {
      const { items, token } = pageOf(shardOf(request.uint(4)).registeredFids(), request, {
        size: 1,
        token: 2,
        reverse: 3,
      });
      return encode((out) => out.packed(1, items).bytes(2, token));
    },
    GetTrieMetadataByPrefix: (request) => trieBytes(shardOf(request.uint(1)), request.bytes(2)),
    ...fidCalls(ledger),
  };
  return new Map(Object.entries(calls).map(([name, call]) => [`HubService/${name}`, call]));
}

/** The heights a request for blocks means: its stop is not one of them. */
function heights(request: Fields, last: number): number[] {
  const first = Math.max(1, request.uint(2));
  const stop = Math.min(last + 1, request.optionalUint(3) ?? last + 1);
  return Array.from({ length: Math.max(0, stop - first) }, (_, at) => first + at);
}

/** Blocks of shard 0, as GetBlocks streams them. Its chain keeps the pace of the slowest data shard. */
export function zeroBlocks(ledger: Ledger, request: Fields, network: number): Buffer[] {
  const last = Math.min(...ledger.shards.map((shard) => shard.height));
  return heights(request, last).map((height) => blockBytes(height, ledger.timestampAt(height), network));
}

function messagesOf(shard: ShardState): number {
  let count = 0;
  for (const account of shard.accounts.values()) {
    count += account.slots.size + account.borrowed.size + account.onChain.size + account.fnames.size;
  }
  return count;
}

function infoBytes(ledger: Ledger, options: HubOptions): Buffer {
  const shards = ledger.shards.map((shard) => ({
    index: shard.index,
    height: shard.height,
    messages: messagesOf(shard),
    registrations: shard.registeredFids().length,
  }));
  const sum = (of: 'messages' | 'registrations'): number => shards.reduce((total, shard) => total + shard[of], 0);
  return encode((out) => {
    out.bytes(1, options.version);
    out.nested(
      5,
      encode((stats) => stats.uint(1, sum('messages')).uint(2, sum('registrations'))),
    );
    out.bytes(6, options.peerId).uint(8, shards.length);
    out.nested(
      9,
      encode((info) => info.uint(2, Math.min(...shards.map((shard) => shard.height)))),
    );
    for (const { index, height, messages, registrations } of shards) {
      out.nested(
        9,
        encode((info) => info.uint(1, index).uint(2, height).uint(3, messages).uint(4, registrations)),
      );
    }
  });
}

function eventsBytes(ledger: Ledger, request: Fields, shardOf: (index: number) => ShardState): Buffer {
  const index = request.optionalUint(2);
  const shards = index === undefined ? ledger.shards : [shardOf(index)];
  const size = request.optionalUint(4) ?? eventPageSizeDefault;
  const stop = request.optionalUint(3);
  const reverse = request.uint(6) === 1;
  const tokens = request.has(5) ? (JSON.parse(request.text(5)) as (number[] | null)[]) : [];
  const next: (number[] | null)[] = [];
  return encode((out) => {
    shards.forEach((shard, at) => {
      // A null, or no token, begins at the start again: a shard that was at its end is read anew.
      const resume = tokens[at] ? Number(Buffer.from(tokens[at]).readBigUInt64BE()) : undefined;
      const last = reverse ? resume : undefined;
      const first = reverse ? request.uint(1) : (resume ?? request.uint(1));
      const all = reverse
        ? shard.log.read(first, last ?? stop, shard.log.length).reverse()
        : shard.log.read(first, stop, size + 1);
      const given = all.slice(0, size);
      const following = all[size];
      const edge = reverse ? given.at(-1) : following;
      next.push(following && edge ? [...idBytes(edge.id)] : null);
      for (const event of given) out.nested(1, ledger.encode(shard.index, event));
    });
    out.nested(2, next.every((token) => token === null) && shards.length === 1 ? eventsDone : JSON.stringify(next));
  });
}

function idBytes(id: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(id));
  return bytes;
}

function trieBytes(shard: ShardState, prefix: Buffer): Buffer {
  const path = prefix.toString('latin1');
  const keys = [...shard.accounts.values()]
    .filter((account) => account.key.startsWith(path.slice(0, 5)))
    .flatMap((account) => account.freeze().leaves.map((leaf) => leaf.key))
    .filter((key) => key.startsWith(path))
    .sort();
  if (keys.length === 0) throw new CallError(codes.internal, 'Node not found');
  const hash = nodeHash(keys, path.length * 2).toString('hex');
  return encode((out) => out.bytes(1, prefix).uint(2, keys.length).bytes(3, hash));
}

interface PageFields {
  readonly size: number;
  readonly token: number;
  readonly reverse: number;
}

/** One page of a list. The token is the place in it; empty when nothing follows. */
function pageOf<T>(list: readonly T[], request: Fields, fields: PageFields): { items: T[]; token: Buffer } {
  const ordered = request.uint(fields.reverse) === 1 ? [...list].reverse() : list;
  const from = request.bytes(fields.token).length === 4 ? request.bytes(fields.token).readUInt32BE() : 0;
  const size = request.optionalUint(fields.size) ?? pageSizeDefault;
  const token = Buffer.alloc(from + size < ordered.length ? 4 : 0);
  if (token.length > 0) token.writeUInt32BE(from + size);
  return { items: ordered.slice(from, from + size), token };
}

/** The app that asks for every key here. */
export const requestFid = 9152;
/** Of a fid. */
const gaslessKeysMax = 1000;

const usual: PageFields = { size: 2, token: 3, reverse: 4 };

/** Adds and removes of a store, by time and hash. */
function storeCall(account: (fid: number) => Account | undefined, store: string): Unary {
  return (request) => {
    const all = [...(account(request.uint(1))?.slots.values() ?? [])].map((held) => held.message);
    const [start, stop] = [request.optionalUint(5) ?? 0, request.optionalUint(6) ?? Infinity];
    const chosen = all.filter((each) => each.slot[0] === store && each.timestamp >= start && each.timestamp <= stop);
    return messagesBytes(chosen.sort(byAge), request);
  };
}

function messagesBytes(messages: readonly SignedMessage[], request: Fields): Buffer {
  const { items, token } = pageOf(messages, request, usual);
  return encode((out) => {
    for (const message of items) out.nested(1, message.wire);
    out.bytes(2, token);
  });
}

function fidCalls(ledger: Ledger): Record<string, Unary> {
  const account = (fid: number): Account | undefined => ledger.home(fid).accounts.get(fid);
  const heldOf = (fid: number): SignedMessage[] =>
    [...(account(fid)?.slots.values() ?? [])].map((held) => held.message);
  const onChainOf = (fid: number) => [...(account(fid)?.onChain.values() ?? [])].map(({ record }) => record);
  return {
    GetAllCastMessagesByFid: storeCall(account, 'c'),
    GetAllReactionMessagesByFid: storeCall(account, 'r'),
    GetAllLinkMessagesByFid: storeCall(account, 'l'),
    GetAllVerificationMessagesByFid: storeCall(account, 'v'),
    GetAllUserDataMessagesByFid: storeCall(account, 'u'),
    GetAllLendStorageMessagesByFid: storeCall(account, 's'),
    GetLinkCompactStateMessageByFid: storeCall(account, 'k'),
    GetUserNameProofsByFid: (request) =>
      encode((out) => {
        const fid = request.uint(1);
        for (const { proof } of account(fid)?.fnames.values() ?? []) out.nested(1, proof.wire);
        for (const { detail } of heldOf(fid)) if (detail?.proof) out.nested(1, detail.proof);
      }),
    GetOnChainEvents: (request) => {
      const records = onChainOf(request.uint(1)).filter((record) => record.type === request.uint(2));
      const { items, token } = pageOf(records, request, { size: 3, token: 4, reverse: 5 });
      return encode((out) => {
        for (const record of items) out.nested(1, record.wire);
        out.bytes(2, token);
      });
    },
    GetSignersByFid: (request) => signersBytes(request, onChainOf(request.uint(1)), heldOf(request.uint(1))),
  };
}

/** Keys that may sign for a fid now: from the chain the last word of each, then of messages those added and not removed. */
function signersBytes(request: Fields, records: readonly OnChainRecord[], held: readonly SignedMessage[]): Buffer {
  const fid = request.uint(1);
  const onChain = new Map<string, Buffer>();
  for (const { type, signer, wire } of records) {
    if (type !== onChainTypes.signer || !signer) continue;
    const key = Buffer.from(signer.key, 'latin1');
    const bytes = encode((each) => each.uint(1, 1).bytes(2, key).uint(3, 1).uint(4, fid).nested(12, wire));
    if (signer.change === 1) onChain.set(signer.key, bytes);
    else onChain.delete(signer.key);
  }
  const gasless = held
    .filter((message) => message.type === messageTypes.keyAdd)
    .map(({ slot, detail, timestamp }) => {
      const addedAt = timestamp + farcasterEpoch;
      const ttl = detail?.ttlSeconds ?? 0;
      return encode((each) =>
        each
          .uint(1, 2)
          .bytes(2, Buffer.from(slot.slice(1), 'latin1'))
          .uint(3, 1)
          .uint(4, fid)
          .present(5, addedAt)
          .present(6, addedAt)
          .present(7, ttl)
          .present(8, addedAt + ttl)
          .packed(9, detail?.scopes ?? [])
          .present(10, requestFid)
          .present(11, detail?.nonce ?? 0),
      );
    });
  const { items, token } = pageOf([...onChain.values(), ...gasless], request, usual);
  return encode((out) => {
    for (const each of items) out.nested(1, each);
    out.bytes(2, token).uint(3, gasless.length).uint(4, gaslessKeysMax);
  });
}
