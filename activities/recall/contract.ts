/** What the recall workflows and their activities say to each other. Pure. Names here stand in histories: add, never rename. */
import { z } from 'zod';
import { pace, type LegInput, type LegResult } from '../shared/contract';
import type { Plan } from './steps';

export type * from './steps';

/** Objects of one plan. Larger means fewer events in history, and more to upload again when a worker dies. */
export const batchSizeDefault = 500;
export const batchSizeMax = 1000;
/** What the object API takes at most in one upload, in bytes. */
export const objectBytesLimit = 5_000_000_000;
/** One epoch is one block, about a second. The network refuses less. */
export const ttlEpochsMin = 3600;
/** What an ordinary account is granted at most, and what the network takes when nobody says. */
export const ttlEpochsDefault = 86_400;

export const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, { error: 'an address, 0x and 40 hexadecimal digits' });
const uuid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, { error: 'a UUID' });
const instant = z.iso.datetime({ offset: true, error: 'a time as in RFC 3339, such as 2026-01-31T12:00:00Z' });

/**
 * Input of `recallSync`. Where the rows are, the S3 keys and the wallets' keys are the worker's configuration: the
 * input names a network and says which rows, and how.
 */
export const recallSettings = z.strictObject({
  /** A name in the worker's networks file, or one that is built in: testnet, localnet. */
  network: z.string().min(1).default('testnet'),
  /** Empty: created once for this job, and found again by the job's name in its metadata. */
  bucket: z
    .union([z.literal(''), address], { error: 'a bucket address, or nothing for one of the job’s own' })
    .default(''),
  /** The job's name: what a bucket of its own is found by. */
  name: z.string().min(1).max(100).default('default'),
  batchSize: z.int().min(1).max(batchSizeMax).default(batchSizeDefault),
  /** Objects uploaded at the same time. */
  uploads: z.int().min(1).max(64).default(16),
  /** Rows created at or after this; null for all. */
  since: instant.nullable().default(null),
  /** Rows created before this; null for all. */
  until: instant.nullable().default(null),
  /** Only these; empty for all. */
  competitions: z.array(uuid).max(100).default([]),
  agents: z.array(uuid).max(100).default([]),
  dataTypes: z.array(z.string().min(1)).max(100).default([]),
  /** Rows younger than this wait, in seconds: clocks differ, and clients stamp rows before they insert them. */
  settleSeconds: z.int().min(0).max(3600).default(10),
  /** Hours between sweeps for rows that slipped in behind the cursor; 0 for never. */
  reconcileHours: z
    .number()
    .min(0)
    .max(24 * 365)
    .default(24),
  /** How long objects live, in epochs. */
  ttl: z.int().min(ttlEpochsMin).default(ttlEpochsDefault),
  /** Larger objects are parked, in bytes. */
  objectBytesMax: z.int().min(1).max(objectBytesLimit).default(objectBytesLimit),
  /** False: a key that holds other bytes is parked, not overwritten. */
  overwrite: z.boolean().default(true),
  /** An object that the network has not resolved after this is tried again, in seconds. */
  resolveSeconds: z.int().min(1).max(86_400).default(600),
  ...pace,
});
export type RecallSettings = z.output<typeof recallSettings>;

const position = z.strictObject({ createdAt: z.string(), id: z.string() });

/** `recallRenew`: the same rows; what expires within the margin is extended, what is gone is brought again. */
export const renewSettings = recallSettings.extend({
  /** Objects with less than this to live are extended, in epochs. */
  margin: z
    .int()
    .min(60)
    .default(6 * 3600),
});
export type RenewSettings = z.output<typeof renewSettings>;

/** `recallVerify`: source rows against the chain's record, and against the bytes the network gives back. */
export const verifySettings = recallSettings.extend({
  /** The share of rows that is looked at, picked by id: the same rows every time. */
  sample: z.number().gt(0).max(1).default(1),
  /** Read every object back from the network and hash it. */
  bytes: z.boolean().default(false),
  /** Differing objects named; the counts are always whole. */
  differencesMax: z.int().min(0).max(1000).default(100),
  /** Where the job stands: rows beyond are not missing, only not sent yet. Null: none is expected to wait. */
  syncedTo: position.nullable().default(null),
});
export type VerifySettings = z.output<typeof verifySettings>;

/** A row's place in the order of reading. The time is PostgreSQL's own text in UTC: a Date would cut its microseconds. */
export interface RowPosition {
  readonly createdAt: string;
  readonly id: string;
}

/** Where one wallet's share of the rows stands. */
export interface RecallCursor {
  /** `host:port/database.schema.table`: a cursor is of one source. */
  readonly source: string;
  /** `chain id/bucket`: and of one destination. */
  readonly target: string;
  /** The filters as one text; other filters begin anew, and what is there is skipped. */
  readonly scope: string;
  /** Every settled row up to here is there, or parked. Null before the first. */
  readonly after: RowPosition | null;
  /** Transactions before this one (xid8) have been seen whole: only later ones can have slipped in behind `after`. */
  readonly horizon: string;
  /** A sweep by id in progress. */
  readonly sweep: { readonly afterId: string; readonly horizon: string } | null;
  /** ISO 8601: when the last sweep ended, or the reading began. */
  readonly sweptAt: string;
  /** The bucket was not empty when the reading began: rows may be there under the keys they had then. */
  readonly rewalk: boolean;
  /** Broadcast, or about to be, and not seen in a block: sent again, unchanged, before anything else. */
  readonly pending: readonly Plan[];
}

/** `0xabc… 1/2` */
export interface LaneName {
  readonly wallet: string;
  /** From 1. */
  readonly share: number;
  readonly of: number;
}

export function laneName({ wallet, share, of }: LaneName): string {
  return `${wallet} ${share}/${of}`;
}

/** Throws TypeError. */
export function parseLane(lane: string): LaneName {
  const [, wallet, share, of] = /^(0x[0-9a-fA-F]{40}) (\d+)\/(\d+)$/.exec(lane) ?? [];
  if (wallet === undefined) throw new TypeError(`${lane}: a lane is named '<wallet> <share>/<of>'`);
  return { wallet, share: Number(share), of: Number(of) };
}

/** After rclone check, seen from the source. */
export interface RecallVerdict {
  readonly matched: number;
  readonly differing: number;
  readonly missing: number;
  /** Missing, but beyond where the job stands: not drift, only not sent yet. */
  readonly notYetSynced: number;
  /** There, but the row's own bytes cannot be read any more. */
  readonly unproved: number;
  readonly bytesRead: number;
  /** First ids of each kind, as `missing <id>: why`. */
  readonly samples: readonly string[];
}
export interface VerifyCursor {
  /** Rows are compared by id; empty before the first. */
  readonly afterId: string;
  readonly verdict: RecallVerdict;
}
export type VerifyInput = LegInput<VerifyCursor, VerifySettings>;
export type VerifyResult = LegResult<VerifyCursor>;

/** `measureRows`: what a run would send. Counts: objects, bytes, present. */
export interface MeasureCursor {
  readonly after: RowPosition | null;
  readonly largestBytes: number;
}
export const dryRunSettings = recallSettings.extend({
  /** Where the job stands, by lane: what is before it is not counted. */
  from: z.record(z.string(), position.nullable()).default({}),
});
export type DryRunSettings = z.output<typeof dryRunSettings>;
export type MeasureInput = LegInput<MeasureCursor, DryRunSettings>;
export type MeasureResult = LegResult<MeasureCursor>;

/** `recallSurvey`: `margin`: with so few epochs left an object counts as soon to go. */
export const surveySettings = z.strictObject({
  settings: renewSettings,
  /** Where the job stands, by lane. */
  cursors: z.record(z.string(), z.object({ after: position.nullable() }).nullable()).default({}),
});
export type SurveyInput = z.output<typeof surveySettings>;

/** Failures that only a person can mend. Every one blocks the run. */
export const recallFailures = [
  /** The database, its credentials, a missing table or column. */
  'SourceRefused',
  /** The cursor is of another source or another bucket than the configuration names. */
  'SourceReplaced',
  'TargetReplaced',
  /** S3 credentials, bucket, region. */
  'StoreRefused',
  /** No such network, another chain id behind its address, an answer that is no JSON-RPC. */
  'NetworkRefused',
  /** A private key that is none, a wallet the worker has no key of. */
  'WalletRefused',
  /** No such bucket, or not ours to write to. */
  'BucketRefused',
  /** No tokens left for gas. */
  'WalletEmpty',
  'CreditExhausted',
  'CapacityReached',
  'TtlRefused',
  'DelegationMissing',
  /** The chain wants a nonce that was settled long ago: it was reset or rolled back. */
  'ChainRewound',
] as const;
export type RecallFailure = (typeof recallFailures)[number];
