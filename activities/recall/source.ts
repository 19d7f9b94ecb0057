/**
 * The source, as a port: rows of `object_index` in an order that loses none, and the bytes of each as a stream. The
 * real one is postgres-source.ts; what it promises is proved by one suite, run on it and on the fake.
 */
import type { RecallSettings, RowPosition } from './contract';

/** A row without its bytes. */
export interface ObjectRow {
  /** UUID, lower case. */
  readonly id: string;
  /** PostgreSQL's own text in UTC, with microseconds. */
  readonly createdAt: string;
  /** `[competition_id/][agent_id/]<data_type>/`: the key up to the id. */
  readonly folder: string;
  /** True if competition_id or agent_id is null: it may have been set when the row was first seen. */
  readonly keyMayHaveChanged: boolean;
  /** Row mode: bytes of `data`, exact. S3 mode: `size_bytes`, or null where the column is null. */
  readonly size: number | null;
  /** S3 mode; null in row mode. */
  readonly objectKey: string | null;
  /** Row mode: sha256 of the bytes as the database computes it, hexadecimal, where it was asked for. Null otherwise. */
  readonly sha256: string | null;
}

/** Which rows count. */
export type RowFilter = Pick<RecallSettings, 'since' | 'until' | 'competitions' | 'agents' | 'dataTypes'> & {
  /** From 1: of the wallets' shares, by id. */
  readonly share: number;
  readonly of: number;
};

export interface Watermark {
  /** No row before this can still appear by a transaction that is open now. PostgreSQL's text in UTC. */
  readonly before: string;
  /** pg_snapshot's xmin (xid8 as text): every transaction below it has ended. */
  readonly horizon: string;
  /** False where the role may not see other sessions, or on a replica: `before` then rests on `settleSeconds` alone. */
  readonly exact: boolean;
}

/** An object's bytes, with what is known of them before they flow. */
export interface ObjectBytes {
  /** Exact; the stream fails if it turns out to be otherwise. */
  readonly size: number;
  readonly contentType: string;
  /** S3 mode: the ETag without quotes; null in row mode. */
  readonly etag: string | null;
  /** May be read once. Throws RecordRefused when size, ETag (where it is an MD5) or row disagree with what came. */
  readonly stream: AsyncIterable<Uint8Array>;
}

export interface ObjectSource {
  /** `host:port/database.table`, the table as it is configured, no secrets: what a cursor is bound to. */
  readonly identity: string;
  readonly mode: 'row' | 's3';
  /**
   * Checks the table, its columns and our rights. Throws SourceRefused, naming what is missing and the statement that
   * would mend it; throws plain errors for trouble of the world.
   */
  check(signal: AbortSignal): Promise<void>;
  /**
   * Taken before the pages that rely on it: what is committed by then they see, what is open then lies beyond `before` or,
   * should it be dated back, at or after the horizon.
   */
  watermark(settleSeconds: number, signal: AbortSignal): Promise<Watermark>;
  /**
   * Rows after `after` and before `before`, by (created_at, id), at most `limit`. Never skips: rows with equal times
   * come in the order of their ids. `digest`: with sha256 (row mode).
   */
  page(
    filter: RowFilter,
    range: { after: RowPosition | null; before: string; limit: number; digest: boolean },
    signal: AbortSignal,
  ): Promise<ObjectRow[]>;
  /**
   * Rows by id after `afterId` (empty: from the first), at most `limit`. `since`: only those written by transactions from that
   * horizon on, perhaps with some older (where the table has no xmin, as a view has none: all); `upTo`: only rows at or
   * before that position.
   */
  sweep(
    filter: RowFilter,
    range: { afterId: string; since: string | null; upTo: RowPosition | null; limit: number; digest: boolean },
    signal: AbortSignal,
  ): Promise<ObjectRow[]>;
  /** Rows by id, in that order; those that are gone are left out. */
  rows(ids: readonly string[], digest: boolean, signal: AbortSignal): Promise<ObjectRow[]>;
  /**
   * The bytes of a row. Holds at most 1 MiB whole: beyond, row mode reads `data` in slices of a few MiB and S3 mode streams,
   * from when the first is asked for. Throws RecordRefused where the object or the row is gone, StoreRefused where the
   * store refuses us.
   */
  open(row: ObjectRow, signal: AbortSignal): Promise<ObjectBytes>;
  /**
   * The same for many small rows at once (row mode: one query); absent ones are left out, refused ones throw when they are
   * read. Held in memory: the caller asks for 8 MiB at most.
   */
  openSmall(rows: readonly ObjectRow[], signal: AbortSignal): Promise<Map<string, ObjectBytes>>;
  /** What S3 says of an object without its bytes: size, ETag. Row mode: null. */
  head(row: ObjectRow, signal: AbortSignal): Promise<{ size: number; etag: string } | null>;
  /** Rows, bytes (where sizes are known) and the oldest, after `after`. */
  backlog(
    filter: RowFilter,
    after: RowPosition | null,
    signal: AbortSignal,
  ): Promise<{ rows: number; bytes: number; oldestCreatedAt: string | null }>;
  close(): Promise<void>;
}
