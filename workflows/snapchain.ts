/** Farcaster's shards into PostgreSQL: a snapshot proved, the log followed beside it; and what proves the tables later. */
import { continueAsNew, proxyActivities } from '@temporalio/workflow';
import type { SnapchainActivities } from '../activities/snapchain/activities';
import {
  scanSettings,
  shardFailures,
  snapchainSettings,
  tailSettings,
  verifySettings,
  type ScanCursor,
  type ScanSettings,
  type ScanVerdict,
  type ShardCursor,
  type SnapchainSettings,
  type Survey,
  type TailCursor,
  type TailSettings,
  type VerifyCursor,
  type VerifySettings,
} from '../activities/snapchain/contract';
import { parseInput } from '../activities/shared/contract';
import { runLegs, type LegJob } from './shared/leg-loop';
import { quickRead, repeatableLeg } from './shared/policies';
import { settingsOf } from './shared/run';
import type { RunInput, RunResult } from './shared/run-state';
import { planShards, runShard, scanBeyond } from './snapchain/shards';

const { openShards, openScan, concludeScan, surveySnapchain } = proxyActivities<SnapchainActivities>(quickRead);

const sync: LegJob<ShardCursor, SnapchainSettings> = {
  kind: 'snapchain',
  parse: (input) => parseInput(snapchainSettings, input),
  plan: async (settings) => planShards(settings, await openShards(settings)),
  leg: runShard,
  // A lane here is a workflow of its own, which waits for most of its life.
  parallel: () => 512,
  endless: true,
  beginRun: (cursor) => cursor,
  laneFailures: shardFailures,
};

/** Every shard: its history from a snapshot, and its log from there on without end. One shard's trouble stops no other. */
export function snapchainSync(input: RunInput<ShardCursor, SnapchainSettings>): Promise<RunResult<ShardCursor>> {
  return runLegs(sync, input);
}

const scan: LegJob<ScanCursor, ScanSettings> = {
  kind: 'snapchain',
  parse: (input) => parseInput(scanSettings, input),
  plan: async (settings) => (await openScan(settings)).stretches,
  leg: (input) => {
    const { virtualShard = 0, to = 0, height = 0 } = input.cursor ?? {};
    const summary = `virtual shard ${virtualShard} of ${to} at height ${height}`;
    return proxyActivities<SnapchainActivities>({ ...repeatableLeg(input.settings), summary }).scanVirtualShards(input);
  },
  parallel: (settings) => settings.parallel,
  beginRun: () => null,
  laneFailures: [],
  failsBlocked: ({ isPart }) => isPart,
};

/** One shard's newest snapshot, each account proved, and the shard's root. */
export async function snapchainScan(
  input: RunInput<ScanCursor, ScanSettings>,
): Promise<RunResult<ScanCursor> & { readonly verdict?: ScanVerdict }> {
  const result = await runLegs(scan, input);
  if (result.state !== 'completed') return result;
  const settings = settingsOf(scan, input);
  const { shard, fids } = settings;
  const lanes = result.lanes.flatMap(({ cursor }) => cursor ?? []);
  const verdict = await concludeScan({ shard, isWhole: fids.length === 0, lanes });
  // Each account proved, and yet not all of the shard: once more from its start, and if it differs again, that is said.
  if (verdict.shardRoot === 'differs' && !settings.isReread) await continueAsNew({ ...settings, isReread: true });
  return { ...result, verdict };
}

const tail: LegJob<TailCursor, TailSettings> = {
  kind: 'snapchain',
  parse: (input) => {
    const settings = parseInput(tailSettings, input);
    return { ...settings, legSeconds: settings.tailSeconds };
  },
  plan: async ({ shard }) => [`shard ${shard}`],
  leg: async (input) => {
    const summary = `events from ${input.cursor?.nextId ?? input.settings.startId ?? 'the newest snapshot'}`;
    const result = await proxyActivities<SnapchainActivities>({
      ...repeatableLeg(input.settings),
      summary,
    }).tailEvents(input);
    const { gap } = result.cursor;
    if (gap === null) return result;
    await scanBeyond(input.settings, gap);
    return { ...result, cursor: { ...result.cursor, gap: null } };
  },
  parallel: () => 1,
  beginRun: (cursor) => cursor,
  laneFailures: [],
  failsBlocked: ({ isPart }) => isPart,
};

/** One shard's log, without end; a hole in it starts a scan. */
export function snapchainTail(input: RunInput<TailCursor, TailSettings>): Promise<RunResult<TailCursor>> {
  return runLegs(tail, input);
}

const verify: LegJob<VerifyCursor, VerifySettings> = {
  kind: 'snapchain',
  parse: (input) => parseInput(verifySettings, input),
  plan: async (settings) => {
    const opened = await openShards({ ...settings, shards: settings.shards.filter((shard) => shard > 0) });
    return opened.map(({ shard }) => `shard ${shard}`);
  },
  leg: (input) => {
    const summary = `${input.lane} after fid ${input.cursor?.afterFid ?? 0}`;
    return proxyActivities<SnapchainActivities>({ ...repeatableLeg(input.settings), summary }).verifyAccounts(input);
  },
  parallel: (settings) => settings.parallel,
  beginRun: () => null,
  laneFailures: shardFailures,
};

/** Accounts in the tables against the node's roots; with `repair` what differs is read anew. */
export function snapchainVerify(input: RunInput<VerifyCursor, VerifySettings>): Promise<RunResult<VerifyCursor>> {
  return runLegs(verify, input);
}

/** Heights and sizes, as `status` shows them. */
export async function snapchainSurvey(): Promise<Survey> {
  return await surveySnapchain();
}
