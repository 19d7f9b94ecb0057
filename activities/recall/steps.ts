/** What the steps of a leg say to each other: types, and nothing else. Names here stand in histories: add, never rename. */
import type { LegInput, LegResult, ParkedItem } from '../shared/contract';
import type { RecallCursor, RecallFailure, RecallSettings } from './contract';

/** Which rows: new ones and what slipped in behind, or all of them, to extend their lives. */
export type LaneMode = 'sync' | 'renew';

/** One leg of one wallet. The lane is named `<address> <share>/<of>`. */
export interface LaneInput extends LegInput<RecallCursor, RecallSettings> {
  readonly mode: LaneMode;
  /** Renewal only, in epochs. */
  readonly margin: number;
}
export type LaneResult = LegResult<RecallCursor>;

/**
 * Objects that are uploaded and wait for their transactions: all that the transactions say, but for the nonces. An
 * object is one text, `<folder> <size> <base64url of id ‖ blob hash ‖ recovery hash ‖ sha256 ‖ ETag>` (16, 32, 32, 32 and 0
 * or 16 bytes), because a batch stands in history twice. `packObject` and `unpackObject` in plan.ts.
 */
export interface Batch {
  readonly bucket: string;
  /** The node that took the uploads: 32 bytes, hexadecimal. */
  readonly node: string;
  /** `[key up to the id, content type]`; an object names its folder by index. */
  readonly folders: readonly (readonly [string, string])[];
  readonly objects: readonly string[];
  /** Epochs. */
  readonly ttl: number;
  readonly overwrite: boolean;
  readonly bytes: number;
  /** Of each transaction; wei as decimal text. Fixed here, so that every attempt signs the same bytes. */
  readonly gasLimit: string;
  readonly maxFeePerGas: string;
  readonly maxPriorityFeePerGas: string;
}

/** A batch with its nonces: `firstNonce` and on. In history before anything of it is signed. */
export interface Plan extends Batch {
  readonly wallet: string;
  readonly chainId: number;
  readonly firstNonce: number;
  /** A block before the first broadcast: its transactions are looked for from there on. */
  readonly fromBlock: number;
}

/** `stageObjects`: reads, compares, uploads; sends nothing. */
export interface StageInput {
  readonly lane: string;
  readonly mode: LaneMode;
  readonly margin: number;
  readonly cursor: RecallCursor | null;
  readonly settings: RecallSettings;
  /** Objects that failed before, to be tried before anything new. */
  readonly retry: readonly ParkedItem[];
  readonly budgetMs: number;
}

export interface StageResult {
  /** Where the next stage begins; nothing up to here is forgotten once this batch is settled. `pending` is empty. */
  readonly cursor: RecallCursor;
  readonly batch: Batch | null;
  readonly counts: Readonly<Record<string, number>>;
  readonly parked: readonly ParkedItem[];
  /** Of `retry`: those that turned out to be there already. Those in the batch are recovered when it is settled. */
  readonly recovered: readonly string[];
  /** Attempts so far of the retried objects that are in the batch, by id. */
  readonly attempts: Readonly<Record<string, number>>;
  /** Nothing is left up to the watermark. */
  readonly drained: boolean;
  readonly note?: string;
}

/** `openWallet`: what the chain says of a wallet of which nothing is in flight. */
export interface OpenWalletInput {
  readonly wallet: string;
  readonly settings: RecallSettings;
}
export interface OpenedWallet {
  readonly chainId: number;
  readonly nonce: number;
  readonly block: number;
}

/** `broadcastPlan`: signs and sends in the order of nonces. Repeating it sends the same bytes. */
export interface BroadcastInput {
  readonly plan: Plan;
  readonly settings: Pick<RecallSettings, 'network'>;
}
export interface BroadcastResult {
  /** A block number after the last was accepted. */
  readonly block: number;
  /** Set when the chain wants an earlier nonce than the plan's first: what was sent before is lost and must come first. */
  readonly wants?: number;
  /** Offsets in the plan whose nonce somebody else's transaction has used. Ours can never be mined: the rows are read again. */
  readonly taken: readonly number[];
  /** What the plan adds, as one text (`planDigest`): `confirmPlan` compares it with what was mined. */
  readonly digest: string;
}

/** `confirmPlan`: receipts, resolution and readability of a plan. The plan itself is on chain, in its transactions. */
export interface ConfirmInput {
  readonly wallet: string;
  readonly bucket: string;
  readonly firstNonce: number;
  readonly count: number;
  readonly fromBlock: number;
  /** Of the broadcast's result: without it, another program's objects in the same bucket pass for the plan's. */
  readonly digest?: string;
  readonly settings: Pick<RecallSettings, 'network' | 'resolveSeconds'>;
}
export interface ConfirmResult {
  readonly confirmed: number;
  readonly bytes: number;
  readonly failed: readonly FailedObject[];
  /** Set when the wallet's nonce has stood still: broadcast the plan again. Nothing else is set then. */
  readonly stalled?: true;
  /** Set when somebody else's transactions were mined under nonces of the plan: its rows are to be read again. */
  readonly foreign?: true;
}
export interface FailedObject {
  readonly id: string;
  readonly reason: string;
  /** again: may well work with a new transaction; park: will not; otherwise a failure type that blocks the run. */
  readonly fate: 'again' | 'park' | RecallFailure;
}

/** `openRecall`: who writes where. Creates nothing. */
export interface OpenedRecall {
  readonly chainId: number;
  /** The first wallet: owner of the bucket. */
  readonly owner: string;
  /** All wallets of the worker's configuration, the owner first. */
  readonly wallets: readonly string[];
  /** Null: there is none yet that is the job's own. */
  readonly bucket: string | null;
  /** Delegates that the owner has not approved yet. */
  readonly unapproved: readonly string[];
}

/** `planSetup`, then `sendSetup`: transactions that come before any object: a bucket, approvals. Planned like objects, under the same lane. */
export interface SetupPlan {
  readonly wallet: string;
  readonly chainId: number;
  readonly firstNonce: number;
  readonly fromBlock: number;
  readonly calls: readonly SetupCall[];
  readonly gasLimit: string;
  readonly maxFeePerGas: string;
  readonly maxPriorityFeePerGas: string;
}
/** What `planSetup` is asked for; what is there already is left out of its plan. */
export interface SetupInput {
  readonly wallet: string;
  readonly calls: readonly SetupCall[];
  readonly settings: RecallSettings;
}
export type SetupCall =
  | { readonly kind: 'createBucket'; readonly owner: string; readonly name: string }
  | { readonly kind: 'approveCredit'; readonly to: string };

/** `surveyRecall`: the figures of `status` that no run's state holds. */
export interface Survey {
  /** Rows settled or not, after the cursor. */
  readonly backlog: { readonly rows: number; readonly bytes: number; readonly oldestCreatedAt: string | null };
  readonly bucket: string | null;
  readonly block: number;
  readonly wallets: readonly WalletSurvey[];
  /** Of a sample of the rows that should be there. */
  readonly expiry: {
    readonly sampled: number;
    readonly present: number;
    readonly missing: number;
    /** Epochs the first of them has left; null if none is present. */
    readonly soonestEpochs: number | null;
    readonly withinMargin: number;
  };
}
export interface WalletSurvey {
  readonly address: string;
  /** Decimal texts: wei, and byte-epochs of credit. */
  readonly balance: string;
  readonly creditFree: string;
  readonly creditCommitted: string;
  readonly maxTtl: number;
  /** Bytes that the free credit still pays for at the job's TTL. */
  readonly runwayBytes: number;
}
