/** A dry run: what a run would send and what of it is there, page by page. Reads only. */
import { runLeg } from '../shared/leg';
import type { RecallDeps } from './activities';
import { compareRows } from './compare';
import { parseLane, type MeasureCursor, type MeasureInput, type MeasureResult } from './contract';
import { inParallel } from './parallel';
import type { ObjectRow, ObjectSource } from './source';

const pageRows = 500;

export function measureRows(deps: RecallDeps, input: MeasureInput): Promise<MeasureResult> {
  return runLeg<MeasureCursor>(input, async (leg) => {
    const { settings, lane } = input;
    const { signal, alive } = leg;
    const { share, of } = parseLane(lane);
    const source = deps.source();
    await source.check(signal);
    const network = deps.network(settings.network);
    const bucket = settings.bucket || (await network.bucketOf(deps.addresses()[0], settings.name, signal));
    const { before } = await source.watermark(settings.settleSeconds, signal);
    const { since, until, competitions, agents, dataTypes, ttl, uploads } = settings;
    const filter = { since, until, competitions, agents, dataTypes, share, of };
    let { after, largestBytes } = leg.cursor ?? { after: settings.from[lane] ?? null, largestBytes: 0 };
    while (leg.hasTime()) {
      const rows = await source.page(filter, { after, before, limit: pageRows, digest: false }, signal);
      const wanted =
        bucket === null
          ? rows
          : await absentOf(rows, { source, network, bucket, lookBackEpochs: ttl, parallel: uploads, signal, alive });
      const sizes = await inParallel(wanted, { limit: uploads, signal }, (row) => sizeOf(source, row, signal));
      const last = rows.at(-1);
      if (last !== undefined) after = { createdAt: last.createdAt, id: last.id };
      largestBytes = sizes.reduce((most, size) => Math.max(most, size), largestBytes);
      const bytes = sizes.reduce((sum, size) => sum + size, 0);
      leg.kept({ after, largestBytes }, { objects: wanted.length, bytes, present: rows.length - wanted.length });
      if (rows.length < pageRows) return { drained: true };
    }
    return { drained: false };
  });
}

async function absentOf(rows: ObjectRow[], comparing: Parameters<typeof compareRows>[0]): Promise<ObjectRow[]> {
  const compared = await compareRows(comparing, rows);
  return rows.filter((_, index) => ['absent', 'differs'].includes(compared[index]?.kind ?? ''));
}

async function sizeOf(source: ObjectSource, row: ObjectRow, signal: AbortSignal): Promise<number> {
  return row.size ?? (await source.head(row, signal))?.size ?? 0;
}
