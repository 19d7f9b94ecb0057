/**
 * The port to a snapchain node. Every answer says which node gave it: whoever continues where another node left off goes
 * back to the start of a block, or of a virtual shard. Asking changes nothing at a node, so everything may be repeated.
 *
 * All of it throws NodeFailure, whose kind says what to do, and RecordRefused for an answer that cannot be understood; when
 * the signal aborts, its reason.
 */
import type { EventHead } from './event';
import type { AccountRoot } from './merkle';
import type { Leaf } from './page';
import type { GaslessKey } from './wire';

export interface NodeInfo {
  readonly node: string;
  readonly version: string;
  /** Data shards, numbered from 1. Shard 0, of blocks, is not among them. */
  readonly numShards: number;
  /** In no order, with shard 0. */
  readonly shards: readonly ShardInfo[];
}

export interface ShardInfo {
  readonly shardIndex: number;
  readonly maxHeight: number;
  readonly numMessages: number;
  readonly numFids: number;
  /** Bytes. */
  readonly approxSize: number;
  /** Blocks the node is behind. */
  readonly blockDelay: number;
}

export interface Snapshot {
  readonly node: string;
  readonly shardIndex: number;
  /** Its content is that of this height, or slightly newer: never older. */
  readonly height: number;
  readonly timestamp: number;
  /** Leaves of the trie. */
  readonly numItems: number;
  /** Of the trie at `height`; empty when there were no leaves. */
  readonly shardRoot: Buffer;
}

export interface PageRequest {
  readonly shardIndex: number;
  readonly height: number;
  readonly virtualShard: number;
  /** Null begins. A token holds for this virtual shard of this snapshot only, and for any node that has it. */
  readonly pageToken: string | null;
}

export interface NodePage {
  readonly node: string;
  /** For messages about its leaves. */
  readonly where: string;
  /** Ascending by key, but unchecked: MerkleTree checks. */
  readonly leaves: readonly Leaf[];
  readonly accountRoots: readonly AccountRoot[];
  /** Where to begin again after this page; null after the last. */
  readonly nextPageToken: string | null;
  /** On the wire. */
  readonly bytes: number;
}

export interface NodeEvents {
  readonly node: string;
  /** Strictly ascending from the id that was asked. Empty: the log ends before it. */
  readonly events: readonly EventHead[];
  /** True if there may be more by now. */
  readonly isFull: boolean;
}

/** What of a fid can be asked for. Adds and removes come together; what gave way does not come. */
export type FidStore =
  'casts' | 'reactions' | 'links' | 'verifications' | 'userData' | 'storageLends' | 'linkCompactStates';

export interface Block {
  readonly height: number;
  readonly timestamp: number;
  readonly hash: Buffer;
}

export interface SnapchainNode {
  info(signal?: AbortSignal): Promise<NodeInfo>;
  /** The newest a node has. NodeFailure shardUnknown: it has none (yet). */
  newestSnapshot(shardIndex: number, signal?: AbortSignal): Promise<Snapshot>;
  /**
   * Pages of one virtual shard from a token on, all from one node, each asked for while the one before is worked on. One
   * that fails throws after those before it were given out; ask again from the last one's token, perhaps of another node.
   */
  pages(from: PageRequest, signal?: AbortSignal): AsyncGenerator<NodePage>;
  /** One page of a shard's log. An id that is not there is no trouble: the next ones come. */
  events(from: { shardIndex: number; startId: number; count?: number }, signal?: AbortSignal): Promise<NodeEvents>;
  doorbell(shardIndex: number): Doorbell;
  /** Fids registered in a shard, page by page. */
  fids(shardIndex: number, signal?: AbortSignal): AsyncGenerator<readonly number[]>;
  /** A fid's live messages of one store as bytes, page by page: decode each by itself. Read after the call, so newer. */
  messagesOf(fid: number, store: FidStore, signal?: AbortSignal): AsyncGenerator<readonly Buffer[]>;
  /** Fnames and the proofs inside username proof messages, but not those messages: no call gives them by fid. */
  nameProofsOf(fid: number, signal?: AbortSignal): Promise<readonly Buffer[]>;
  /** One type at a time, see `onChainTypes`. */
  onChainEventsOf(fid: number, eventType: number, signal?: AbortSignal): AsyncGenerator<readonly Buffer[]>;
  /** A fid's keys of key messages as they are now; null of a node that does not offer them. */
  gaslessKeysOf(fid: number, signal?: AbortSignal): Promise<readonly GaslessKey[] | null>;
  /** Of each key message that was proposed for a block, whose it is; null if the node has the block no more. */
  keyMessagesIn(at: { shardIndex: number; height: number }, signal?: AbortSignal): Promise<readonly number[] | null>;
  /** The subtree now under a key's first bytes: its root and leaves; null if it has none. 5 bytes are an account. */
  subtree(at: { shardIndex: number; prefix: Buffer }, signal?: AbortSignal): Promise<Subtree | null>;
  /** Shard 0's blocks from `start` up to, not with, `stop`. */
  blocks(range: { start: number; stop: number }, signal?: AbortSignal): AsyncGenerator<Block>;
  close(): void;
}

export interface Subtree {
  readonly node: string;
  readonly root: Buffer;
  readonly numMessages: number;
}

/** Says that it is worth asking for events. It may ring late or not at all, so it only ever shortens a wait. */
export interface Doorbell {
  /** True once the shard was heard to be beyond this height; false after so long. Throws only the signal's reason. */
  rings(beyondHeight: number, withinMs: number, signal?: AbortSignal): Promise<boolean>;
  close(): void;
}
