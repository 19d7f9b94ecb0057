/** A recording server's shows into one SQLite file each; and what keeps those files true: verify, rebase, retention. */
import { proxyActivities } from '@temporalio/workflow';
import type { z } from 'zod';
import type { AudioActivities } from '../activities/audio/activities';
import {
  audioSettings,
  rebaseSettings,
  retentionSettings,
  showFailures,
  verifySettings,
  type AudioSettings,
  type SenderSettings,
  type RebaseResult,
  type RetentionOutcome,
  type ShowCursor,
  type VerifyCursor,
  type VerifySettings,
} from '../activities/audio/contract';
import { parseInput } from '../activities/shared/contract';
import { runLegs, type LegJob } from './shared/leg-loop';
import { quickRead, repeatableChore, repeatableLeg } from './shared/policies';
import { parsed } from './shared/run';
import type { RunInput, RunResult } from './shared/run-state';

const { listShows } = proxyActivities<AudioActivities>(quickRead);
const { rebaseShow, deleteExpired } = proxyActivities<AudioActivities>(repeatableChore);

/** The shows asked for, in their order, or else every one that the sender lists. */
async function chosenShows(
  settings: SenderSettings & { readonly shows: readonly string[] },
): Promise<readonly string[]> {
  return settings.shows.length > 0 ? settings.shows : (await listShows(settings)).shows;
}

const sync: LegJob<ShowCursor, AudioSettings> = {
  kind: 'audio',
  parse: (input) => parseInput(audioSettings, input),
  plan: chosenShows,
  leg: (input) => {
    const summary = `${input.lane} after segment ${input.cursor?.lastId ?? 0}`;
    return proxyActivities<AudioActivities>({ ...repeatableLeg(input.settings), summary }).copySegments(input);
  },
  parallel: (settings) => settings.parallel,
  // A run ends at the sender's max id as of its own start.
  beginRun: (cursor) => ({ ...cursor, targetId: null }),
  laneFailures: showFailures,
};

/** Pulls every show up to the sender's max id at the start of the run. Show by show; a show's trouble is its own result. */
export function audioSync(input: RunInput<ShowCursor, AudioSettings>): Promise<RunResult<ShowCursor>> {
  return runLegs(sync, input);
}

const verify: LegJob<VerifyCursor, VerifySettings> = {
  kind: 'audio',
  parse: (input) => parseInput(verifySettings, input),
  plan: chosenShows,
  leg: (input) => {
    const summary = `${input.lane} from segment ${input.cursor?.nextId ?? 1}`;
    return proxyActivities<AudioActivities>({ ...repeatableLeg(input.settings), summary }).verifySegments(input);
  },
  // A verification looks at everything, every time.
  beginRun: () => null,
  parallel: (settings) => settings.parallel,
  laneFailures: showFailures,
};

/** Compares sender and files by id, sha256 and metadata. Changes nothing; the verdicts are in the lanes' cursors. */
export function audioVerify(input: RunInput<VerifyCursor, VerifySettings>): Promise<RunResult<VerifyCursor>> {
  return runLegs(verify, input);
}

/** Accepts a replaced source for one show: what comes after our last segment is then taken from the new sender. */
export async function audioRebase(input: z.input<typeof rebaseSettings>): Promise<RebaseResult> {
  return await rebaseShow(parsed(rebaseSettings, input));
}

/** Deletes what the boundary rule lets go from every recording in a folder. Run by a schedule; failure is harmless. */
export async function audioRetention(input: z.input<typeof retentionSettings>): Promise<readonly RetentionOutcome[]> {
  return await deleteExpired(parsed(retentionSettings, input));
}
