/** What `status` asks beyond a run's own state: how far behind, how much credit, how long the objects still live. Reads only. */
import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { RecallDeps } from './activities';
import { parseLane, type SurveyInput } from './contract';
import type { Survey, WalletSurvey } from './steps';
import { runwayBytes } from './credit';
import type { RecallNetwork } from './destination';
import type { ObjectSource, RowFilter } from './source';

/** Rows whose expiry is looked up: from some places in the order of ids, a few from each. */
const samplePlaces = 4;
const samplePlaceRows = 50;

export async function surveyRecall(deps: RecallDeps, { settings, cursors }: SurveyInput): Promise<Survey> {
  const signal = Context.current().cancellationSignal;
  const source = deps.source();
  const network = deps.network(settings.network);
  const owner = deps.addresses()[0];
  const [{ block }, bucket, ...wallets] = await Promise.all([
    network.tip(signal),
    settings.bucket || network.bucketOf(owner, settings.name, signal),
    ...deps.addresses().map((address) => walletOf(network, address, settings.ttl, signal)),
  ]);
  const lanes = await Promise.all(
    Object.entries(cursors).map(async ([lane, cursor]) => {
      const filter = filterOf(settings, lane);
      return await source.backlog(filter, cursor?.after ?? null, signal);
    }),
  );
  const all = lanes.length > 0 ? lanes : [await source.backlog(filterOf(settings, null), null, signal)];
  const oldest = all.flatMap(({ oldestCreatedAt }) => oldestCreatedAt ?? []).sort()[0];
  return {
    backlog: {
      rows: all.reduce((sum, { rows }) => sum + rows, 0),
      bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
      oldestCreatedAt: oldest ?? null,
    },
    bucket,
    block,
    wallets,
    expiry:
      bucket === null
        ? nothingSampled
        : await expiryOf({ source, network, bucket, block, signal }, { settings, cursors }),
  };
}

function filterOf(
  { since, until, competitions, agents, dataTypes }: SurveyInput['settings'],
  lane: string | null,
): RowFilter {
  const { share, of } = lane === null ? { share: 1, of: 1 } : parseLane(lane);
  return { since, until, competitions, agents, dataTypes, share, of };
}

async function walletOf(
  network: RecallNetwork,
  address: string,
  ttl: number,
  signal: AbortSignal,
): Promise<WalletSurvey> {
  const account = await network.account(address, signal);
  return {
    address,
    balance: String(account.balance),
    creditFree: String(account.creditFree),
    creditCommitted: String(account.creditCommitted),
    maxTtl: account.maxTtl,
    runwayBytes: runwayBytes(account, ttl),
  };
}

const nothingSampled: Survey['expiry'] = { sampled: 0, present: 0, missing: 0, soonestEpochs: null, withinMargin: 0 };

interface Sampling {
  readonly source: ObjectSource;
  readonly network: RecallNetwork;
  readonly bucket: string;
  readonly block: number;
  readonly signal: AbortSignal;
}

/** Only of rows that should be there: at or before where their lane stands. */
async function expiryOf(
  { source, network, bucket, block, signal }: Sampling,
  { settings, cursors }: SurveyInput,
): Promise<Survey['expiry']> {
  const keys = new Set<string>();
  for (const [lane, cursor] of Object.entries(cursors)) {
    const upTo = cursor?.after ?? null;
    if (upTo === null) continue;
    for (const afterId of ['', ...Array.from({ length: samplePlaces - 1 }, () => randomUUID())]) {
      const range = { afterId, since: null, upTo, limit: samplePlaceRows, digest: false };
      const rows = await source.sweep(filterOf(settings, lane), range, signal);
      for (const { folder, id } of rows) keys.add(folder + id);
    }
  }
  const objects = (await network.objects(bucket, [...keys], signal)).filter((object) => object !== null);
  const left = objects.map(({ expiry }) => expiry - block);
  return {
    sampled: keys.size,
    present: objects.length,
    missing: keys.size - objects.length,
    soonestEpochs: left.length === 0 ? null : left.reduce((least, epochs) => Math.min(least, epochs)),
    withinMargin: left.filter((epochs) => epochs <= settings.margin).length,
  };
}
