/** Rows of object_index to a bucket on the Recall network, and what keeps them there: renewal, verification. */
import { proxyActivities } from '@temporalio/workflow';
import type { z } from 'zod';
import type { RecallActivities } from '../activities/recall/activities';
import {
  dryRunSettings,
  laneName,
  parseLane,
  recallSettings,
  renewSettings,
  surveySettings,
  verifySettings,
  type DryRunSettings,
  type LaneMode,
  type LaneResult,
  type MeasureCursor,
  type RecallCursor,
  type RecallSettings,
  type VerifyCursor,
  type VerifySettings,
  type RenewSettings,
  type Survey,
} from '../activities/recall/contract';
import { parseInput } from '../activities/shared/contract';
import { setUpNetwork, withWallet } from './recall/wallet';
import { runLegs, type LegJob } from './shared/leg-loop';
import { quickRead, repeatableLeg } from './shared/policies';
import { parsed } from './shared/run';
import type { RunInput, RunResult } from './shared/run-state';

const { openRecall, surveyRecall } = proxyActivities<RecallActivities>(quickRead);

/** A lane for each wallet, with its share of the rows; the bucket and the approvals are there when this returns. */
async function wallets(settings: RecallSettings): Promise<readonly string[]> {
  const opened = await openRecall(settings);
  if (opened.bucket === null || opened.unapproved.length > 0) await setUpNetwork(opened, settings);
  return opened.wallets.map((wallet, index) => laneName({ wallet, share: index + 1, of: opened.wallets.length }));
}

function walletJob<S extends RecallSettings>(
  mode: LaneMode,
  parse: (input: unknown) => S,
  beginRun: (cursor: RecallCursor) => RecallCursor,
): LegJob<RecallCursor, S> {
  return {
    kind: 'recall',
    parse,
    plan: wallets,
    leg: (input) => {
      const margin = mode === 'renew' ? (input.settings as unknown as RenewSettings).margin : 0;
      return withWallet<LaneResult>(parseLane(input.lane).wallet, 'recallLane', { ...input, mode, margin });
    },
    // Each wallet is one writer: more at once than there are wallets there cannot be.
    parallel: () => 16,
    beginRun,
    laneFailures: [],
  };
}

const sync = walletJob(
  'sync',
  (input) => parseInput(recallSettings, input),
  (cursor) => cursor,
);

/** Brings every settled row to the bucket, resolved and readable, and what slipped in behind the cursor. */
export function recallSync(input: RunInput<RecallCursor, RecallSettings>): Promise<RunResult<RecallCursor>> {
  return runLegs(sync, input);
}

const renew = walletJob(
  'renew',
  (input) => parseInput(renewSettings, input),
  // Every renewal looks at every row; only what may be in flight is carried over.
  (cursor) => ({ ...cursor, after: null, sweep: null }),
);

/** Extends what expires within the margin; uploads only what the network no longer has. Run by a schedule. */
export function recallRenew(input: RunInput<RecallCursor, RenewSettings>): Promise<RunResult<RecallCursor>> {
  return runLegs(renew, input);
}

const verify: LegJob<VerifyCursor, VerifySettings> = {
  kind: 'recall',
  parse: (input) => parseInput(verifySettings, input),
  plan: async () => ['rows'],
  leg: (input) => {
    const summary = `rows after ${input.cursor?.afterId ?? 'the beginning'}`;
    return proxyActivities<RecallActivities>({ ...repeatableLeg(input.settings), summary }).verifyObjects(input);
  },
  parallel: () => 1,
  beginRun: () => null,
  laneFailures: [],
};

/** Compares source rows with the chain's record and, if asked, with the bytes. Changes nothing. */
export function recallVerify(input: RunInput<VerifyCursor, VerifySettings>): Promise<RunResult<VerifyCursor>> {
  return runLegs(verify, input);
}

const dryRun: LegJob<MeasureCursor, DryRunSettings> = {
  kind: 'recall',
  parse: (input) => parseInput(dryRunSettings, input),
  plan: async (settings) => {
    const opened = await openRecall(settings);
    return opened.wallets.map((wallet, index) => laneName({ wallet, share: index + 1, of: opened.wallets.length }));
  },
  leg: (input) => proxyActivities<RecallActivities>(repeatableLeg(input.settings)).measureRows(input),
  parallel: () => 1,
  beginRun: () => null,
  laneFailures: [],
};

/** Counts what a run would send, and what of it is there already. Sends nothing. */
export function recallDryRun(input: RunInput<MeasureCursor, DryRunSettings>): Promise<RunResult<MeasureCursor>> {
  return runLegs(dryRun, input);
}

/** Backlog, credit and expiry, as `status` shows them. */
export async function recallSurvey(input: z.input<typeof surveySettings>): Promise<Survey> {
  return await surveyRecall(parsed(surveySettings, input));
}
