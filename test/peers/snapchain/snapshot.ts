/**
 * A shard's frozen state under a height, read page by page: leaves in ascending order, with the root and the count of
 * every fid on the page. Also how a page becomes bytes.
 */
import { encode, Writer } from './bytes';
import type { FrozenAccount, Leaf } from './account';
import { messageTypes } from './messages';
import { rootOver } from './trie';

export interface PageRoot {
  readonly fid: number;
  readonly root: Buffer;
  readonly count: number;
}

export interface Page {
  readonly leaves: readonly Leaf[];
  readonly roots: readonly PageRoot[];
  /** Undefined: nothing follows. */
  readonly token: string | undefined;
}

/** What a node shows of a snapshot. `page` throws a CallError for a bad token or an entry the node cannot read. */
export interface SnapshotView {
  readonly shard: number;
  readonly height: number;
  /** An entry of the snapshot list. */
  readonly metadata: Buffer;
  page(virtualShard: number, token: string, size: number): Page | Buffer;
}

/** An answer that is an error: gRPC's code, and the node's own words. */
export class CallError extends Error {
  override name = 'CallError';
  constructor(
    readonly code: number,
    readonly details: string,
  ) {
    super(details);
  }
}

export const codes = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
};

const failed = (why: string): CallError => new CallError(codes.internal, `Failed to get transactions: ${why}`);

/** Counts and lengths as the node's tokens have them; the one segment is the path of the last leaf given. */
export function encodeToken(lastKey: string): string {
  const bytes = Buffer.alloc(8 + lastKey.length);
  bytes.writeUInt32BE(1, 0);
  bytes.writeUInt32BE(lastKey.length, 4);
  bytes.write(lastKey, 8, 'latin1');
  return bytes.toString('base64');
}

export function decodeToken(token: string): string {
  const stray = [...token].findIndex((letter) => !/[A-Za-z0-9+/=]/.test(letter));
  const trouble = 'Internal error: Trie error: Failed to decode trie page token';
  if (stray >= 0) throw failed(`${trouble}: Invalid symbol ${token.charCodeAt(stray)}, offset ${stray}.`);
  const bytes = Buffer.from(token, 'base64');
  if (bytes.length < 8 || bytes.length < 8 + bytes.readUInt32BE(4))
    throw failed(`${trouble}: Unexpected EOF reading length`);
  return bytes.toString('latin1', 8, 8 + bytes.readUInt32BE(4));
}

const poisonNames = new Map<number, string>([
  [messageTypes.keyAdd, 'KeyAdd'],
  [messageTypes.keyRemove, 'KeyRemove'],
]);

/** A shard's accounts at one moment. */
export class Snapshot implements SnapshotView {
  readonly #byVirtualShard: FrozenAccount[][] = Array.from({ length: 256 }, () => []);
  readonly leafCount: number;
  readonly metadata: Buffer;

  constructor(
    readonly shard: number,
    readonly height: number,
    readonly timestamp: number,
    chunk: Buffer,
    accounts: readonly FrozenAccount[],
  ) {
    for (const account of accounts) {
      if (account.leaves.length > 0) this.#byVirtualShard[account.key.charCodeAt(0)]?.push(account);
    }
    for (const inside of this.#byVirtualShard) inside.sort((a, b) => a.fid - b.fid);
    this.leafCount = accounts.reduce((sum, account) => sum + account.leaves.length, 0);
    this.metadata = encode((out) =>
      out.uint(1, shard).uint(2, height).uint(3, timestamp).nested(5, chunk).uint(7, this.leafCount),
    );
  }

  accounts(): FrozenAccount[] {
    return this.#byVirtualShard.flat();
  }

  /** The shard's root over what this snapshot holds: computed when asked for. */
  root(): Buffer {
    const accounts = this.accounts();
    const roots = new Map(accounts.map((account) => [account.key, account.root]));
    return rootOver(
      accounts.map((account) => account.key),
      roots,
    );
  }

  page(virtualShard: number, token: string, size: number): Page {
    const accounts = this.#byVirtualShard[virtualShard] ?? [];
    const after = token === '' ? undefined : decodeToken(token);
    const leaves: Leaf[] = [];
    const roots: PageRoot[] = [];
    const start = after === undefined ? 0 : accounts.findIndex((account) => account.key === after.slice(0, 5));
    if (start < 0) throw failed('Internal error: Trie error: Node not found');
    for (const account of accounts.slice(start)) {
      const from = account.key === after?.slice(0, 5) ? account.leaves.findIndex((leaf) => leaf.key === after) + 1 : 0;
      if (account.key === after?.slice(0, 5) && from === 0) throw failed('Internal error: Trie error: Node not found');
      const given = account.leaves.slice(from, from + size - leaves.length);
      for (const leaf of given) {
        const poison = poisonNames.get(leaf.messageType);
        if (poison) throw failed(`Invalid message: Invalid message type for FID ${account.fid}: ${poison}`);
        leaves.push(leaf);
      }
      if (given.length > 0) roots.push({ fid: account.fid, root: account.root, count: account.leaves.length });
      if (leaves.length === size) break;
    }
    // A page that is exactly full has a token, even if nothing follows.
    const last = leaves.length === size ? leaves.at(-1) : undefined;
    return { leaves, roots: shuffled(roots), token: last && encodeToken(last.key) };
  }
}

/** The node lists roots and snapshots from a hash map: an order nobody should count on, but the same every time here. */
export function shuffled<T extends { readonly fid?: number; readonly height?: number }>(list: readonly T[]): T[] {
  const rank = (item: T): number => Math.imul((item.fid ?? item.height ?? 0) + 1, 0x9e3779b1) >>> 0;
  return [...list].sort((a, b) => rank(a) - rank(b));
}

const leafFields: Record<Leaf['kind'], number> = { message: 2, onChain: 3, fname: 4 };
const writer = new Writer();
const inner = new Writer();

/** A page as the node sends it. */
export function encodePage(page: Page): Buffer {
  for (const { key, kind, wire } of page.leaves) {
    inner.nested(1, Buffer.from(key, 'latin1'));
    // Of an fname only the proof is filled in; its id and former owner are 0.
    inner.nested(leafFields[kind], kind === 'fname' ? encode((out) => out.nested(4, wire)) : wire);
    writer.nested(1, inner.take());
  }
  for (const { fid, root, count } of page.roots) {
    writer.nested(
      2,
      encode((out) => out.uint(1, fid).bytes(2, root).uint(3, count)),
    );
  }
  if (page.token !== undefined) writer.nested(3, page.token);
  return writer.take();
}
