/** What the snapchain workflows and their activities say to each other. Pure. Names here stand in histories: add, never rename. */
import { z } from 'zod';
import { pace, type LegInput } from '../shared/contract';

/** The network's clock begins at 2021-01-01T00:00:00Z: add this for Unix seconds. */
export const farcasterEpochSeconds = 1_609_459_200;
/** Rows of one transaction, about. Measured best between 1,000 and 10,000. */
export const batchSizeDefault = 5000;
export const batchSizeMax = 20_000;
/** Of messages whose signature is checked. Their hashes are all checked, and the roots cover the hashes. */
export const signatureSampleDefault = 0.01;

/** What may be left out, by the words of the command line. Their tables stay as they are. */
export const recordTypes = [
  'casts',
  'reactions',
  'links',
  'verifications',
  'user_data',
  'username_proofs',
  'storage_lends',
  'fnames',
  'onchain_events',
  'gasless_keys',
] as const;
export type RecordType = (typeof recordTypes)[number];

const shardIds = z.array(z.int().min(0).max(255)).max(256);
const fid = z.int().min(1).max(0xffff_ffff);

/**
 * Input of `snapchainSync`. Nodes and database are the worker's configuration: the input says which shards and records,
 * and how.
 */
export const snapchainSettings = z.strictObject({
  /** Empty: every data shard that the node has. 0 is the shard of blocks. */
  shards: shardIds.default([]),
  /** A snapshot is read whole before anything else counts as complete. */
  history: z.boolean().default(true),
  /** Follow the shards' events, without end. */
  live: z.boolean().default(true),
  /** History from this event on instead of from a snapshot; null for a snapshot. */
  fromEventId: z.int().min(0).nullable().default(null),
  /** Only these; empty for all. */
  types: z.array(z.enum(recordTypes)).default([]),
  fids: z.array(fid).max(10_000).default([]),
  batchSize: z.int().min(1).max(batchSizeMax).default(batchSizeDefault),
  /** Stretches of a shard's trie that are read at the same time. */
  parallel: z.int().min(1).max(16).default(4),
  /** From 0 (none) to 1 (every message). */
  signatureSample: z.number().min(0).max(1).default(signatureSampleDefault),
  /** Keep every message's own bytes in processed_messages: about as much again as all else. */
  keepMessages: z.boolean().default(false),
  /** How long the end of a shard's log is left alone before it is asked for more, in milliseconds. Its doorbell shortens it. */
  pollMs: z.int().min(50).max(3_600_000).default(5000),
  ...pace,
  /** A leg of the tail costs six events: an hour of it 36. */
  tailSeconds: z.int().min(1).max(600).default(600),
});
export type SnapchainSettings = z.output<typeof snapchainSettings>;

/** True where a sync started it: then what blocks it ends it, and blocks the sync. */
const partOf = { isPart: z.boolean().default(false) };

/** `snapchainScan`: one shard's newest snapshot. */
export const scanSettings = snapchainSettings.extend({
  shard: z.int().min(1).max(255),
  /** A snapshot of this height at least: later events are the tail's. */
  minHeight: z.int().min(0).default(0),
  /** Read once more, for the shard's root differed. */
  isReread: z.boolean().default(false),
  ...partOf,
});
export type ScanSettings = z.output<typeof scanSettings>;

/** `snapchainTail`: one shard's log. */
export const tailSettings = snapchainSettings.extend({
  shard: z.int().min(0).max(255),
  /** Where to begin: an event's id; of shard 0 a block's height. Null: at the newest snapshot. */
  startId: z.int().min(0).nullable().default(null),
  ...partOf,
});
export type TailSettings = z.output<typeof tailSettings>;

/** `snapchainVerify`: accounts in the tables against the node's roots. */
export const verifySettings = snapchainSettings.extend({
  /** The share of fids that is looked at, picked by number: the same ones every time. */
  sample: z.number().gt(0).max(1).default(1),
  fidFrom: fid.default(1),
  fidTo: fid.default(0xffff_ffff),
  /** Read what differs anew from the node. */
  repair: z.boolean().default(false),
  differencesMax: z.int().min(0).max(1000).default(100),
  /** How long an account may be ahead of the tables before it counts as differing, in seconds. */
  settleSeconds: z.int().min(0).max(600).default(10),
});
export type VerifySettings = z.output<typeof verifySettings>;

/** Where one stretch of virtual shards stands. */
export interface ScanCursor {
  /** Of the snapshot that is read. */
  readonly height: number;
  /** Of the shard at that height, by its block; in hex. */
  readonly shardRoot: string;
  /** Leaves of the whole snapshot, as the node counts them. */
  readonly numItems: number;
  /** The next or present one; beyond `to` when the stretch is done. */
  readonly virtualShard: number;
  readonly to: number;
  /** Within it; null at its start. */
  readonly pageToken: string | null;
  /** The Merkle tree of its leaves so far (MerkleState of merkle.ts); null at its start. */
  readonly tree: unknown;
  /** Times the present one has been read again because it did not prove. */
  readonly rereads: number;
  /** Not null: the present one is read fid by fid, for a page of it cannot be served; done up to this fid. */
  readonly afterFid: number | null;
  /** Rows older than the snapshot may be there: they are swept fid by fid. */
  readonly sweep: boolean;
  /** Finished virtual shards, in order: each root in hex, empty for none, the height it is of, and its leaves. */
  readonly roots: readonly (readonly [height: number, root: string, leaves: number])[];
  /** fids whose leaves do not make the root that the node tells, even when read again. */
  readonly unproved: readonly number[];
}

/** Where the tail of one shard stands. */
export interface TailCursor {
  /** Asked for next; of shard 0 a height. */
  readonly nextId: number;
  /** Whose log it is read from: another node's is begun again at the block's start. */
  readonly node: string;
  /** The last block whose beginning was seen; -1 before the first. */
  readonly block: number;
  /** The network's seconds, of that block. */
  readonly timestamp: number;
  /** Events of that block so far, and how many it says it has. */
  readonly seen: number;
  readonly total: number;
  /** Blocks that the node does not have any more, from … to before: a scan beyond them makes it good. */
  readonly gap: { readonly from: number; readonly to: number } | null;
}

/** What a shard's lane of the parent carries: its child's lanes. */
export interface ShardCursor {
  readonly shard: number;
  /** Of the child run: where each of its lanes stands. Null once it has completed. */
  readonly lanes: readonly { readonly lane: string; readonly cursor: unknown }[] | null;
  /** History: the height of the snapshot it began from. Live: the first event's id. */
  readonly start: number;
  /** So far, over all its runs. */
  readonly messages: number;
  /** History: what the scan proved. */
  readonly verdict?: ScanVerdict;
}

export interface ScanVerdict {
  readonly height: number;
  readonly unproved: readonly number[];
  /**
   * proved: the roots of all virtual shards make the one in the block. counted: they do not, but all leaves that the node counts
   * are there, as of a snapshot that was taken after its block. mixed: they are of several snapshots.
   */
  readonly shardRoot: 'proved' | 'counted' | 'differs' | 'mixed' | 'partial';
}

export interface VerifyCursor {
  readonly afterFid: number;
  readonly verdict: VerifyVerdict;
}

export interface VerifyVerdict {
  readonly proved: number;
  readonly differing: number;
  readonly repaired: number;
  /** Of those proved: accounts with messages of keys, which no call gives: proved but for these. */
  readonly withKeys: number;
  /** First ones, as `fid 7: why`. */
  readonly samples: readonly string[];
}

/** What the plan of a sync finds out. */
export interface OpenedShard {
  readonly shard: number;
  /** Of the newest snapshot; of shard 0 the first block to ask for. */
  readonly height: number;
}

export interface OpenedScan {
  readonly shard: number;
  readonly height: number;
  readonly numItems: number;
  readonly stretches: readonly { readonly lane: string; readonly cursor: ScanCursor }[];
}

export type ScanInput = LegInput<ScanCursor, ScanSettings>;
export type TailInput = LegInput<TailCursor, TailSettings>;
export type VerifyInput = LegInput<VerifyCursor, VerifySettings>;

export interface ConcludeInput {
  readonly shard: number;
  /** Whole shards only have a root. */
  readonly isWhole: boolean;
  readonly lanes: readonly ScanCursor[];
}

/** Of the node or the database, and so of every shard: blocks the run. */
export const runFailures = ['NodeRefused', 'DatabaseRefused', 'SettingsRefused'] as const;
/** Of one shard: the others go on. */
export const shardFailures = ['ShardRefused', 'TooManyParked', 'Unknown'] as const;
export type SnapchainFailure = (typeof runFailures)[number] | (typeof shardFailures)[number];

/** As `status` shows it. */
export interface Survey {
  /** Of the node that answered. */
  readonly version: string;
  readonly shards: readonly {
    readonly shard: number;
    readonly height: number;
    readonly messages: number;
    readonly fids: number;
  }[];
  /** Rows of each table, by PostgreSQL's own estimate. */
  readonly rows: Readonly<Record<string, number>>;
  /** Of all tables with their indexes, on disk. */
  readonly databaseBytes: number;
}
