/**
 * What a stage reads, and in which order: new rows up to the watermark by (created_at, id); then, when it is due, a sweep
 * by id over what transactions since the last one have written behind the cursor. Renewal is one sweep over all rows.
 */
import type { RecallDeps } from './activities';
import { parseLane, type RecallCursor, type RecallSettings, type StageInput } from './contract';
import type { RecallNetwork } from './destination';
import { permanent } from './failures';
import type { ObjectRow, ObjectSource, RowFilter, Watermark } from './source';

/** Where the watermark rests on the clock alone, what commits late is found by sweeping this often. */
const inexactSweepMs = 10 * 60_000;

export interface Reading {
  readonly source: ObjectSource;
  readonly network: RecallNetwork;
  readonly settings: RecallSettings;
  readonly wallet: string;
  /** Whose credit pays. */
  readonly owner: string;
  readonly bucket: string;
  readonly renewal: boolean;
  /** Renewal: what has fewer epochs left is extended. */
  readonly margin: number;
  readonly filter: RowFilter;
  readonly watermark: Watermark;
  readonly block: number;
  readonly cursor: RecallCursor;
  readonly lookBackEpochs: number;
  readonly note: { readonly note?: string };
}

/** Takes the watermark first: pages read after it see all that was settled by it. Throws SourceReplaced, TargetReplaced. */
export async function openReading(
  deps: RecallDeps,
  input: Pick<StageInput, 'lane' | 'mode' | 'margin' | 'settings'>,
  from: RecallCursor | null,
  signal: AbortSignal,
): Promise<Reading> {
  const { settings, mode, margin } = input;
  const { wallet, share, of } = parseLane(input.lane);
  const source = deps.source();
  await source.check(signal);
  const network = deps.network(settings.network);
  await network.check(signal);
  const owner = deps.addresses()[0];
  const bucket = settings.bucket || (await network.bucketOf(owner, settings.name, signal));
  if (bucket === null)
    throw permanent(
      'BucketRefused',
      `${owner} has no bucket named ${settings.name}; was it deleted? Name one by --bucket`,
    );
  const [watermark, { block }] = await Promise.all([
    source.watermark(settings.settleSeconds, signal),
    network.tip(signal),
  ]);
  const { since, until, competitions, agents, dataTypes } = settings;
  const filter = { since, until, competitions, agents, dataTypes, share, of };
  const born = {
    source: source.identity,
    target: `${network.chainId}/${bucket.toLowerCase()}`,
    scope: JSON.stringify(filter),
  };
  if (from !== null) checkOrigin(from, born);
  const cursor =
    from !== null && from.scope === born.scope
      ? from
      : { ...born, ...fresh(watermark), rewalk: !(await network.isEmpty(bucket, signal)) };
  const renewal = mode === 'renew';
  return {
    ...{ source, network, settings, wallet, owner, bucket, renewal, margin, filter, watermark, block, cursor },
    // A row's key may have been another when it was first seen; where nothing was ever sent there is none to look for.
    lookBackEpochs: renewal || cursor.rewalk || cursor.sweep !== null ? settings.ttl : 0,
    note: watermark.exact
      ? {}
      : {
          note: 'the database role cannot see other sessions (GRANT pg_read_all_stats), or it is a replica: rows that commit late come with the next sweep',
        },
  };
}

const fresh = ({ horizon }: Watermark): Pick<RecallCursor, 'after' | 'horizon' | 'sweep' | 'sweptAt' | 'pending'> => ({
  after: null,
  horizon,
  sweep: null,
  sweptAt: new Date().toISOString(),
  pending: [],
});

function checkOrigin(from: RecallCursor, now: { source: string; target: string }): void {
  const remedy = 'Give it a job of its own (--job NAME), or `waybill recall reset`: what is there already is skipped';
  if (from.source !== now.source)
    throw permanent(
      'SourceReplaced',
      `this job reads ${from.source}, the configuration names ${now.source}. ${remedy}`,
    );
  if (from.target !== now.target)
    throw permanent(
      'TargetReplaced',
      `this job writes to ${from.target}, the configuration names ${now.target}. ${remedy}`,
    );
}

export interface Page {
  readonly rows: readonly ObjectRow[];
  /** The cursor once a row is done. */
  readonly after: (row: ObjectRow) => RecallCursor;
  /** Set when there is nothing beyond these rows. */
  readonly end: { readonly cursor: RecallCursor; readonly drained: boolean } | null;
}

export async function nextPage(
  reading: Reading,
  cursor: RecallCursor,
  limit: number,
  signal: AbortSignal,
): Promise<Page> {
  if (reading.renewal) return await sweepPage(reading, cursor.sweep ?? newSweep(reading), cursor, limit, signal);
  if (cursor.sweep !== null) return await sweepPage(reading, cursor.sweep, cursor, limit, signal);
  return await newPage(reading, cursor, limit, signal);
}

async function newPage(
  { source, filter, watermark, settings }: Reading,
  cursor: RecallCursor,
  limit: number,
  signal: AbortSignal,
): Promise<Page> {
  const rows = await source.page(
    filter,
    { after: cursor.after, before: watermark.before, limit, digest: false },
    signal,
  );
  const after = ({ createdAt, id }: ObjectRow): RecallCursor => ({ ...cursor, after: { createdAt, id } });
  const last = rows.at(-1);
  const reached = last === undefined ? cursor : after(last);
  if (rows.length === limit) return { rows, after, end: null };
  const sweep = isSweepDue(settings, watermark, reached) ? { afterId: '', horizon: watermark.horizon } : null;
  return { rows, after, end: { cursor: { ...reached, sweep }, drained: sweep === null } };
}

function isSweepDue(
  { reconcileHours }: RecallSettings,
  { exact }: Watermark,
  { after, sweptAt }: RecallCursor,
): boolean {
  if (reconcileHours === 0 || after === null) return false;
  const everyMs = reconcileHours * 3_600_000;
  return Date.now() - Date.parse(sweptAt) >= (exact ? everyMs : Math.min(everyMs, inexactSweepMs));
}

const newSweep = ({ watermark }: Reading): NonNullable<RecallCursor['sweep']> => ({
  afterId: '',
  horizon: watermark.horizon,
});

async function sweepPage(
  { source, filter, watermark, renewal }: Reading,
  sweep: NonNullable<RecallCursor['sweep']>,
  cursor: RecallCursor,
  limit: number,
  signal: AbortSignal,
): Promise<Page> {
  const range = renewal ? { since: null, upTo: null } : { since: cursor.horizon, upTo: cursor.after };
  const rows = await source.sweep(
    // Renewal leaves to the sync what has not settled.
    renewal ? { ...filter, until: earlier(filter.until, watermark.before) } : filter,
    { ...range, afterId: sweep.afterId, limit, digest: false },
    signal,
  );
  const after = ({ id }: ObjectRow): RecallCursor => ({ ...cursor, sweep: { ...sweep, afterId: id } });
  if (rows.length === limit) return { rows, after, end: null };
  const sweptAt = new Date().toISOString();
  return { rows, after, end: { cursor: { ...cursor, sweep: null, horizon: sweep.horizon, sweptAt }, drained: true } };
}

const earlier = (until: string | null, before: string): string =>
  until !== null && Date.parse(until) < Date.parse(before) ? until : before;
