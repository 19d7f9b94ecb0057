/**
 * The destination, as a port: Farcaster's state in tables. Every write may be repeated, and come in any order: a row gives
 * way only to a later version of itself.
 */
import type { TableName } from './tables';
import type { RowSink } from './rows';

/** What one transaction is to write. */
export interface Batch extends RowSink {
  readonly rows: number;
  /** Bytes, about. */
  readonly size: number;
  /** After the rows: what these fids have that is older than `ver` is dead, in all tables or in these. */
  sweep(fids: readonly number[], ver: number, of?: readonly TableName[]): void;
  /** For people; the counts are added to what is there. */
  progress(line: ProgressLine): void;
}

export interface ProgressLine {
  readonly shard: number;
  readonly part: 'history' | 'live';
  readonly height: number;
  readonly messages: number;
  readonly status: string;
}

export interface AccountKeys {
  readonly fid: number;
  /** In ascending order. */
  readonly keys: readonly Buffer[];
}

export interface Destination {
  /** `host:port/database`, no secrets. */
  readonly identity: string;
  /** Brings the tables to this program's version; names of the steps taken. Throws DatabaseRefused where they are newer. */
  migrate(signal: AbortSignal): Promise<readonly string[]>;
  /** True if no record is in any table. */
  isEmpty(signal: AbortSignal): Promise<boolean>;
  /** `isNew`: rows like these are hardly there yet. A hint: they may be. */
  batch(hint?: { readonly isNew: boolean }): Batch;
  /** All of it, or nothing. Repeating it changes nothing. */
  write(batch: Batch, signal: AbortSignal): Promise<void>;
  /**
   * Takes a shard's dead rows of this version or older away, for as long as it may take. Only a scan of an older snapshot, or an
   * attempt of one, could bring what they were kept for. Names stay: other shards tell of them too.
   */
  forgetDead(
    of: { readonly shard: number; readonly ver: number; readonly until: number },
    signal: AbortSignal,
  ): Promise<number>;
  /** The trie keys that the tables' living rows of these fids make, but for key messages, which no table has. */
  accountKeys(fids: readonly number[], signal: AbortSignal): Promise<readonly AccountKeys[]>;
  /** Of these fids those that have gasless keys by the tables: the keys, in ascending order. */
  gaslessKeys(fids: readonly number[], signal: AbortSignal): Promise<ReadonlyMap<number, readonly Buffer[]>>;
  /** To which block a shard's log is in the tables; null if it was never read. */
  liveHeight(shard: number, signal: AbortSignal): Promise<number | null>;
  /** Rows of each table, and the bytes of the whole on disk. Rows are PostgreSQL's own estimates. */
  size(
    signal: AbortSignal,
  ): Promise<{ readonly rows: Readonly<Partial<Record<TableName, number>>>; readonly bytes: number }>;
  close(): Promise<void>;
}
