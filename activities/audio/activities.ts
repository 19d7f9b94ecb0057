/** The audio job's activities: the table of contents of this folder. Bytes are read and written inside one of them. */
import { activityInfo, cancellationSignal, heartbeat, log } from '@temporalio/activity';
import { permanent } from './failures';
import { copySegments } from './copy';
import {
  showsMax,
  type ListShowsResult,
  type RebaseResult,
  type RetentionOutcome,
  type SenderSettings,
} from './contract';
import type {
  CopySegmentsInput,
  CopySegmentsResult,
  RebaseSettings,
  RetentionSettings,
  VerifyInput,
  VerifyResult,
} from './contract';
import { rebaseShow } from './rebase';
import { deleteExpired } from './retention';
import { httpSegmentFeed, type SegmentFeed } from './source';
import { verifySegments } from './verify';

/** What the worker's configuration gives this job. Secrets stay here: a history names the table, never the token. */
export interface AudioConfiguration {
  readonly credentials: Readonly<
    Record<string, { readonly token?: string | undefined; readonly caFile?: string | undefined }>
  >;
  readonly idleTimeoutMs: number;
}

/** Opens a sender. `alive` is called as bytes arrive. Throws permanent CredentialsMissing. */
export type OpenFeed = (sender: SenderSettings, signal: AbortSignal, alive: () => void) => SegmentFeed;

export interface AudioActivities {
  /** Every show the sender lists. Safe to repeat: changes nothing. */
  listShows(input: SenderSettings): Promise<ListShowsResult>;
  /** One leg of one show. Safe to repeat: the file's position moves with its rows, and the fence refuses the outdated. */
  copySegments(input: CopySegmentsInput): Promise<CopySegmentsResult>;
  /** One leg of one show's comparison. Safe to repeat: changes nothing. */
  verifySegments(input: VerifyInput): Promise<VerifyResult>;
  /** Safe to repeat: a file that already belongs to the new source is left alone. */
  rebaseShow(input: RebaseSettings): Promise<RebaseResult>;
  /** Safe to repeat: what is gone is gone, by the same rule. */
  deleteExpired(input: RetentionSettings): Promise<readonly RetentionOutcome[]>;
}

export function createAudioActivities(configuration: AudioConfiguration): AudioActivities {
  const openFeed: OpenFeed = (sender, signal, alive) => {
    const { token, caFile } = credentialsOf(configuration, sender.credentials);
    return httpSegmentFeed({
      remoteUrl: sender.remoteUrl,
      idleTimeoutMs: configuration.idleTimeoutMs,
      bandwidthLimit: sender.bandwidthLimit,
      signal,
      alive,
      ...(token === undefined ? {} : { token }),
      ...(caFile === undefined ? {} : { caFile }),
    });
  };
  return {
    listShows: (input) => listShows(openFeed, input),
    copySegments: (input) => copySegments(openFeed, input),
    verifySegments: (input) => verifySegments(openFeed, input),
    rebaseShow: (input) =>
      rebaseShow(
        openFeed(input, cancellationSignal(), () => heartbeat()),
        input,
      ),
    deleteExpired: async (input) => expire(input),
  };
}

function credentialsOf({ credentials }: AudioConfiguration, name: string): AudioConfiguration['credentials'][string] {
  if (name === '') return {};
  const found = credentials[name];
  if (found !== undefined) return found;
  const known = Object.keys(credentials).join(', ') || 'none';
  const where = 'in the worker’s waybill.toml';
  throw permanent(
    'CredentialsMissing',
    `credentials "${name}": no table [audio.credentials.${name}] ${where} (there: ${known}). Add it and restart the worker.`,
  );
}

async function listShows(openFeed: OpenFeed, input: SenderSettings): Promise<ListShowsResult> {
  const shows = await openFeed(input, cancellationSignal(), () => undefined).listShows();
  if (shows.length <= showsMax) return { shows: [...new Set(shows)] };
  throw permanent(
    'SettingsRefused',
    `${input.remoteUrl} lists ${shows.length} shows; a job takes ${showsMax}. Name them by shows, in several jobs.`,
  );
}

function expire(input: RetentionSettings): RetentionOutcome[] {
  const nowMs = activityInfo().currentAttemptScheduledTimestampMs;
  const outcomes = deleteExpired({ ...input, nowMs });
  for (const outcome of outcomes) log.info(input.dryRun ? 'retention would delete' : 'retention', { ...outcome });
  return outcomes;
}
