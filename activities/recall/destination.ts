/**
 * The destination, as a port: a bucket on the Recall network, which is two things, a chain (what is where, until when, paid by
 * whom) and an object API (bytes). Reads and uploads only; transactions are the wallet lane's. The real one is
 * recall-network.ts.
 */
import type { Hex } from 'viem';

/** What a bucket holds under a key: live, and resolved by the network. */
export interface ChainObject {
  readonly blobHash: Hex;
  readonly recoveryHash: Hex;
  readonly size: number;
  /** Epoch at which it goes. */
  readonly expiry: number;
  /** As it was added: sha256, source-id, content-type, etag. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** An unknown blob says `failed` on chain with size 0: here it is `unknown`. */
export type BlobStatus = 'added' | 'pending' | 'resolved' | 'failed' | 'unknown';

export interface CreditAccount {
  /** Byte-epochs. */
  readonly creditFree: bigint;
  readonly creditCommitted: bigint;
  readonly capacityUsed: number;
  /** Epochs. */
  readonly maxTtl: number;
  /** Addresses this account has approved to spend its credit. */
  readonly approved: readonly string[];
  /** Wei. */
  readonly balance: bigint;
}

export interface Uploaded {
  /** Of the entangled hash sequence: deterministic, but not to be computed by a client. */
  readonly blobHash: Hex;
  readonly recoveryHash: Hex;
}

/** A transaction as a block has it. */
export interface MinedTransaction {
  readonly hash: Hex;
  readonly nonce: number;
  readonly to: string;
  readonly data: Hex;
  readonly block: number;
  readonly succeeded: boolean;
}

/** The chain as a queue of a wallet's transactions. What the node refuses is thrown as RpcError, in its own words. */
export interface Ledger {
  block(signal: AbortSignal): Promise<number>;
  /** Of the next transaction: by the latest block, or with all that the node has accepted. */
  nonce(address: string, at: 'latest' | 'pending', signal: AbortSignal): Promise<number>;
  /** One signed transaction. Accepted is not mined. */
  send(signed: Hex, signal: AbortSignal): Promise<void>;
  /** Whether the node knows each, mined or not. */
  isKnown(hashes: readonly Hex[], signal: AbortSignal): Promise<boolean[]>;
  /** A wallet's transactions in the blocks from..to, both inclusive. */
  minedBy(address: string, from: number, to: number, signal: AbortSignal): Promise<MinedTransaction[]>;
  /** Why a transaction failed: run once more on the state before its block. Null: it would succeed. */
  whyFailed(from: string, transaction: MinedTransaction, signal: AbortSignal): Promise<string | null>;
  /** Gas that a call takes by the chain's estimate. */
  estimate(call: { from: string; to: string; data: Hex }, signal: AbortSignal): Promise<bigint>;
}

/** What the chain has on record. */
export interface ChainReads {
  /** Latest block, and what a transaction should offer now: a multiple of the base fee, which costs nothing until needed. */
  tip(signal: AbortSignal): Promise<{ block: number; maxFeePerGas: bigint; maxPriorityFeePerGas: bigint }>;
  /** The bucket that `owner` made under `name`; null if there is none. The oldest, should there be two. */
  bucketOf(owner: string, name: string, signal: AbortSignal): Promise<string | null>;
  /** True if the bucket holds nothing at all. */
  isEmpty(bucket: string, signal: AbortSignal): Promise<boolean>;
  account(address: string, signal: AbortSignal): Promise<CreditAccount>;
  /** Free capacity of the whole subnet, in bytes. */
  capacityFree(signal: AbortSignal): Promise<number>;
  /** By key, in order; null where there is nothing live and resolved. Batched: fifty keys cost one request. */
  objects(bucket: string, keys: readonly string[], signal: AbortSignal): Promise<(ChainObject | null)[]>;
  /** In order. */
  blobs(hashes: readonly string[], signal: AbortSignal): Promise<BlobStatus[]>;
  /**
   * Keys under which objects of these ids (the key's last part) were added within the last `epochs`: what a key was when its
   * row was first seen; the newest, should there be several. Reads the bucket's ObjectAdded events.
   */
  keysOf(bucket: string, ids: readonly string[], epochs: number, signal: AbortSignal): Promise<Map<string, string>>;
}

export interface RecallNetwork extends ChainReads {
  readonly ledger: Ledger;
  readonly chainId: number;
  /** Throws NetworkRefused if another chain answers at this address. Asked once. */
  check(signal: AbortSignal): Promise<void>;
  /** The node that takes our uploads: 32 bytes. Kept for a minute. */
  node(signal: AbortSignal): Promise<Hex>;
  /**
   * Streams one object up. Throws RecordRefused for what the API says of this object (too large, malformed) and for bytes
   * that are fewer or more than `size`, NetworkRefused where there is no such API, plain errors for the world's. Uploading
   * the same bytes twice gives the same hashes and costs nothing.
   */
  upload(size: number, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Uploaded>;
  /** Size by HEAD; null if it cannot be read (missing, or not resolved yet). */
  readable(bucket: string, key: string, signal: AbortSignal): Promise<{ size: number } | null>;
  /** The object's bytes from the network; null if it cannot be read. */
  read(bucket: string, key: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | null>;
  /** Gas that adding this object would take, as the chain estimates it. Throws the chain's refusal, classified. */
  estimateAdd(from: string, bucket: string, call: Hex, signal: AbortSignal): Promise<bigint>;
}
