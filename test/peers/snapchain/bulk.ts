/**
 * A snapshot of any size, for measuring: made fid by fid from a seed and written to a file as the pages that will be
 * served, so five million messages take disk and not memory. Hashes, keys and roots are real; signatures as told.
 */
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { FrozenAccount, type Leaf } from './account';
import * as bodies from './bodies';
import { chunkBytes } from './blocks';
import { encode } from './bytes';
import type { Ledger } from './ledger';
import { farcasterEpoch, signerOf, signMessage } from './messages';
import { randomOf } from './random';
import { CallError, codes, encodePage, encodeToken, type PageRoot, type SnapshotView } from './snapshot';
import { accountKey, homeShardOf, messageKey, onChainKey, rootOver, virtualShardOf } from './trie';

export interface BulkOptions {
  readonly seed: number;
  readonly messages: number;
  readonly messagesPerFid?: number;
  readonly firstFid?: number;
  /** Where the pages go: about 330 bytes a message. It is unlinked at `close`. */
  readonly file: string;
  /** Real signatures cost some 40 microseconds each. */
  readonly signed?: boolean;
  readonly pageSize?: number;
}

export interface Bulk {
  readonly views: readonly SnapshotView[];
  /** Live messages by type number, of all shards. */
  readonly byType: Readonly<Record<number, number>>;
  readonly messages: number;
  readonly fids: number;
  readonly fileBytes: number;
  close(): void;
}

interface Place {
  readonly at: number;
  readonly length: number;
}

const onChainPerFid = 2;

/** A fid with its registration, its key and its messages: nothing in it was ever replaced. */
function accountOf(
  fid: number,
  count: number,
  timestamp: number,
  options: BulkOptions,
  byType: Record<number, number>,
): FrozenAccount {
  const key = accountKey(fid);
  const random = randomOf(options.seed ^ Math.imul(fid, 0x9e3779b1));
  const below = (limit: number): number => Math.floor(random() * limit);
  const signer = signerOf(options.seed, fid);
  const owner = Buffer.from(Array.from({ length: 20 }, () => below(256)));
  const leaves: Leaf[] = [];
  for (let logIndex = 0; logIndex < onChainPerFid; logIndex += 1) {
    const transactionHash = Buffer.from(Array.from({ length: 32 }, () => below(256)));
    const body: bodies.OnChainBody =
      logIndex === 0
        ? { kind: 'idRegister', to: owner, recovery: owner }
        : { kind: 'signer', key: signer.publicKey, change: 'add' };
    const event = {
      fid,
      blockNumber: 120_000_000,
      blockTimestamp: timestamp + farcasterEpoch,
      transactionHash,
      logIndex,
      body,
    };
    const leafKey = onChainKey(key, bodies.onChainTypeOf(event), transactionHash, logIndex);
    leaves.push({ key: leafKey, kind: 'onChain', wire: bodies.onChainBytes(event), messageType: 0 });
  }
  const target = Buffer.alloc(20);
  for (let nth = 0; nth < count; nth += 1) {
    const share = below(100);
    target.writeUInt32BE(fid, 0);
    target.writeUInt32BE(nth, 4);
    let body: bodies.Body;
    if (share < 35) body = bodies.castAdd({ text: `cast ${nth} of ${fid}: ${'gm '.repeat(below(20))}` });
    else if (share < 80) body = bodies.reactionAdd(1 + (nth % 2), { fid: 1 + below(1_000_000), hash: target });
    else body = bodies.linkAdd('follow', 1 + nth);
    const message = signMessage(body, {
      fid,
      timestamp: timestamp - below(10_000_000),
      signer,
      unsigned: !options.signed,
    });
    byType[message.type] = (byType[message.type] ?? 0) + 1;
    leaves.push({
      key: messageKey(key, message.type, message.hash),
      kind: 'message',
      wire: message.wire,
      messageType: message.type,
    });
  }
  leaves.sort((a, b) => (a.key < b.key ? -1 : 1));
  return new FrozenAccount(fid, key, leaves);
}

/** Collects leaves into pages and writes each as it fills. */
class PageFile {
  readonly places = new Map<string, Place>();
  readonly #fd: number;
  bytes = 0;

  constructor(readonly path: string) {
    this.#fd = openSync(path, 'w+');
  }

  write(name: string, page: Buffer): void {
    writeSync(this.#fd, page, 0, page.length, this.bytes);
    this.places.set(name, { at: this.bytes, length: page.length });
    this.bytes += page.length;
  }

  read({ at, length }: Place): Buffer {
    const page = Buffer.allocUnsafe(length);
    readSync(this.#fd, page, 0, length, at);
    return page;
  }

  close(): void {
    closeSync(this.#fd);
    unlinkSync(this.path);
  }
}

/** Writes one virtual shard's accounts, which come in order of their fids. */
function writePages(file: PageFile, name: string, accounts: Iterable<FrozenAccount>, pageSize: number): void {
  let leaves: Leaf[] = [];
  let roots: PageRoot[] = [];
  let token = '';
  for (const account of accounts) {
    for (let from = 0; from < account.leaves.length;) {
      const given = account.leaves.slice(from, from + pageSize - leaves.length);
      from += given.length;
      leaves.push(...given);
      roots.push({ fid: account.fid, root: account.root, count: account.leaves.length });
      if (leaves.length < pageSize) continue;
      const next = encodeToken((leaves.at(-1) as Leaf).key);
      file.write(`${name} ${token}`, encodePage({ leaves, roots, token: next }));
      [leaves, roots, token] = [[], [], next];
    }
  }
  file.write(`${name} ${token}`, encodePage({ leaves, roots, token: undefined }));
}

/** Makes the snapshots of every shard at the ledger's height, which must have its first block. */
export function makeBulk(ledger: Ledger, options: BulkOptions): Bulk {
  const { messages, messagesPerFid = 100, firstFid = 1, pageSize = 1000 } = options;
  const fids = Math.ceil(messages / messagesPerFid);
  const file = new PageFile(options.file);
  const byType: Record<number, number> = {};
  const byPlace = new Map<string, number[]>();
  for (let fid = firstFid; fid < firstFid + fids; fid += 1) {
    const name = `${homeShardOf(fid, ledger.shards.length)} ${virtualShardOf(fid)}`;
    const list = byPlace.get(name);
    if (list) list.push(fid);
    else byPlace.set(name, [fid]);
  }
  const views = ledger.shards.map(({ index, height }) => {
    const timestamp = ledger.timestampAt(height);
    const roots = new Map<string, Buffer>();
    let items = 0;
    const accountsOf = function* (members: readonly number[]): Generator<FrozenAccount> {
      for (const fid of members) {
        const last = fid === firstFid + fids - 1 ? messages - (fids - 1) * messagesPerFid : messagesPerFid;
        const account = accountOf(fid, last, timestamp, options, byType);
        roots.set(account.key, account.root);
        items += account.leaves.length;
        yield account;
      }
    };
    for (let virtualShard = 0; virtualShard < 256; virtualShard += 1) {
      const name = `${index} ${virtualShard}`;
      writePages(file, name, accountsOf(byPlace.get(name) ?? []), pageSize);
    }
    const root = rootOver([...roots.keys()].sort(), roots);
    return bulkView(ledger, file, { shard: index, height, timestamp, items, root });
  });
  return { views, byType, messages, fids, fileBytes: file.bytes, close: () => file.close() };
}

function bulkView(
  ledger: Ledger,
  file: PageFile,
  facts: { shard: number; height: number; timestamp: number; items: number; root: Buffer },
): SnapshotView {
  const { shard, height, timestamp, items, root } = facts;
  const block = ledger.shard(shard)?.blocks[height - 1];
  if (!block) throw new Error(`make a snapshot of shard ${shard}: the ledger has no block yet. Apply one first.`);
  const metadata = encode((out) =>
    out
      .uint(1, shard)
      .uint(2, height)
      .uint(3, timestamp)
      .nested(5, chunkBytes(shard, block, root))
      .uint(7, items),
  );
  return {
    shard,
    height,
    metadata,
    page: (virtualShard, token) => {
      const place = file.places.get(`${shard} ${virtualShard} ${token}`);
      if (!place)
        throw new CallError(codes.internal, 'Failed to get transactions: Internal error: Trie error: Node not found');
      return file.read(place);
    },
  };
}
