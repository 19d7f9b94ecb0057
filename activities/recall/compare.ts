/** Rows against what the bucket holds: who is there with the same bytes, who with others, who is not. Reads only. */
import { createHash } from 'node:crypto';
import { RecordRefused, reasonOf } from '../shared/failures';
import type { ChainObject, RecallNetwork } from './destination';
import { inParallel } from './parallel';
import type { ObjectRow, ObjectSource } from './source';

export interface Comparing {
  readonly source: ObjectSource;
  readonly network: RecallNetwork;
  readonly bucket: string;
  /** Rows may be there under the keys they had when they were first seen: looks this many epochs back. 0: they are not. */
  readonly lookBackEpochs: number;
  /** Objects of the store asked about at once. */
  readonly parallel: number;
  readonly signal: AbortSignal;
  readonly alive: () => void;
}

export type Comparison =
  | { readonly kind: 'absent' }
  /** Proved: by sha256, or by the ETag under which we hashed it. */
  | { readonly kind: 'same'; readonly object: ChainObject; readonly folder: string }
  | { readonly kind: 'differs'; readonly object: ChainObject; readonly folder: string; readonly why: string }
  /** There, but the row's own bytes cannot be read any more. */
  | { readonly kind: 'unproved'; readonly object: ChainObject; readonly folder: string; readonly why: string };

/** In the order of the rows. */
export async function compareRows(comparing: Comparing, rows: readonly ObjectRow[]): Promise<Comparison[]> {
  const { source, signal, parallel } = comparing;
  const places = await placesOf(comparing, rows);
  const there = rows.filter((_, index) => places[index] !== null);
  const digests =
    source.mode === 'row' && there.length > 0
      ? new Map(
          (
            await source.rows(
              there.map(({ id }) => id),
              true,
              signal,
            )
          ).map((row) => [row.id, row.sha256]),
        )
      : new Map<string, string | null>();
  return await inParallel(rows, { limit: parallel, signal }, async (row, index) => {
    const place = places[index] ?? null;
    if (place === null) return { kind: 'absent' };
    comparing.alive();
    return { ...place, ...(await sameBytes(comparing, row, place.object, digests.get(row.id) ?? null)) };
  });
}

interface Place {
  readonly object: ChainObject;
  readonly folder: string;
}

/** Under the key that the row has now, or else under one that it had. */
async function placesOf(comparing: Comparing, rows: readonly ObjectRow[]): Promise<(Place | null)[]> {
  const { network, bucket, lookBackEpochs, signal } = comparing;
  const objects = await network.objects(
    bucket,
    rows.map(({ folder, id }) => folder + id),
    signal,
  );
  const places = rows.map(({ folder }, index) => {
    const object = objects[index] ?? null;
    return object === null ? null : { object, folder };
  });
  const moved = rows.filter((row, index) => places[index] === null && row.keyMayHaveChanged);
  if (lookBackEpochs === 0 || moved.length === 0) return places;
  const keys = await network.keysOf(
    bucket,
    moved.map(({ id }) => id),
    lookBackEpochs,
    signal,
  );
  const found = [...keys];
  const former = await network.objects(
    bucket,
    found.map(([, key]) => key),
    signal,
  );
  const byId = new Map(found.map(([id, key], index) => [id, { object: former[index] ?? null, key }]));
  return rows.map(({ id }, index) => {
    const known = byId.get(id);
    if (places[index] !== null || known === undefined || known.object === null) return places[index] ?? null;
    return { object: known.object, folder: known.key.slice(0, -id.length) };
  });
}

type Sameness = { kind: 'same' } | { kind: 'differs' | 'unproved'; why: string };

async function sameBytes(
  { source, signal, alive }: Comparing,
  row: ObjectRow,
  { size, metadata }: ChainObject,
  digest: string | null,
): Promise<Sameness> {
  const recorded = metadata['sha256'];
  if (recorded === undefined) return { kind: 'differs', why: 'it was added without a sha256' };
  if (row.size !== null && row.size !== size)
    return { kind: 'differs', why: `the source has ${row.size} bytes, the bucket ${size}` };
  try {
    if (source.mode === 's3') {
      const head = await source.head(row, signal);
      if (head !== null && head.size !== size)
        return { kind: 'differs', why: `the source has ${head.size} bytes, the bucket ${size}` };
      if (head !== null && metadata['etag'] === head.etag) return { kind: 'same' };
    }
    const ours = digest ?? (await digestOf(source, row, signal, alive));
    return ours === recorded ? { kind: 'same' } : { kind: 'differs', why: `sha256 ${ours} here, ${recorded} there` };
  } catch (error) {
    if (!(error instanceof RecordRefused)) throw error;
    return { kind: 'unproved', why: reasonOf(error) };
  }
}

async function digestOf(source: ObjectSource, row: ObjectRow, signal: AbortSignal, alive: () => void): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of (await source.open(row, signal)).stream) {
    hash.update(chunk);
    alive();
  }
  return hash.digest('hex');
}
