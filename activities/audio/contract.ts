/** What the audio workflows and their activities say to each other. Pure. Names here stand in histories: add, never rename. */
import { z } from 'zod';
import { pace, type LegInput, type LegResult } from '../shared/contract';

/** Segments asked for in one request; the original's default. */
export const chunkSizeDefault = 100;
/** Above this the original sender holds over a gigabyte of JSON in memory for one answer of 300 s segments. */
export const chunkSizeMax = 5000;
/** A run's state carries a line a show; this keeps it well under Temporal's 2 MiB payload limit. */
export const showsMax = 1000;
const showNameBytesMax = 200;

/** True if a name, which is remote input, may become the file `<dir>/<name>.sqlite`. */
export function isShowName(name: string): boolean {
  if (name === '' || name.startsWith('.') || utf8Length(name) > showNameBytesMax) return false;
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is refused
  return !/[\u0000-\u001f\u007f/\\]/.test(name) && name.isWellFormed();
}

export const showNameRule = `a show's name becomes a file name: 1 to ${showNameBytesMax} bytes, no '/', '\\' or control characters, no leading '.'`;

/** Bytes of `text` in UTF-8, without Buffer, which workflow code does not have. */
function utf8Length(text: string): number {
  let length = 0;
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    length += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return length;
}

const remoteUrl = z
  .url({ protocol: /^https?$/, error: 'an http:// or https:// address, such as http://recorder:3000' })
  .refine((url) => !/^[a-z]+:\/\/[^/]*@/i.test(url), {
    error: 'no user or password in the address: it would be kept in histories; put a token in [audio.credentials.NAME]',
  })
  .transform((url) => url.replace(/\/+$/, ''));

const showName = z.string().refine(isShowName, { error: showNameRule });

/** Input of `audioSync`: one small object, everything but the two ends has a default. */
export const audioSettings = z.strictObject({
  remoteUrl,
  localDir: z.string().startsWith('/', { error: 'an absolute path on the worker’s host' }),
  /** In this order. Empty: every show that the sender lists. */
  shows: z.array(showName).max(showsMax).default([]),
  chunkSize: z.int().min(1).max(chunkSizeMax).default(chunkSizeDefault),
  /** Shows synced at the same time. */
  parallel: z.int().min(1).max(16).default(1),
  /** Name of the [audio.credentials.NAME] table in the worker's configuration; empty for none. */
  credentials: z.string().default(''),
  /** Bytes a second off the wire, of each show; 0 = unlimited. */
  bandwidthLimit: z.int().min(0).default(0),
  /** A changed split_interval refuses the show instead of being reported. */
  strict: z.boolean().default(false),
  ...pace,
});
export type AudioSettings = z.output<typeof audioSettings>;

/** What it takes to ask a sender. */
export type SenderSettings = Pick<AudioSettings, 'remoteUrl' | 'credentials' | 'bandwidthLimit'>;

/** Where one show stands. The file's own `last_synced_id` is the truth; this is what Temporal knows of it. */
export interface ShowCursor {
  readonly lastId: number;
  /** The sender's max id when this run first saw the show: a run ends there, whatever is recorded meanwhile. */
  readonly targetId: number | null;
}

export type CopySegmentsInput = LegInput<ShowCursor, AudioSettings>;
export type CopySegmentsResult = LegResult<ShowCursor>;

export interface ListShowsResult {
  readonly shows: readonly string[];
}

export const verifySettings = audioSettings
  .pick({ remoteUrl: true, localDir: true, shows: true, chunkSize: true, credentials: true, bandwidthLimit: true })
  .extend({
    ...pace,
    /** Shows compared at the same time. */
    parallel: z.int().min(1).max(16).default(1),
    /** Differing ids named a show; the counts are always whole. */
    differencesMax: z.int().min(0).max(1000).default(100),
  });
export type VerifySettings = z.output<typeof verifySettings>;

/** After rclone check: what is equal, what differs, what is only on one side. */
export interface ShowVerdict {
  readonly show: string;
  readonly matched: number;
  readonly differing: number;
  readonly missingLocally: number;
  readonly missingAtSource: number;
  /** Of missingLocally, the ids beyond our position: not drift, only not synced yet. */
  readonly notYetSynced: number;
  readonly metadata: readonly string[];
  /** First ids of each kind, as `differs 12`, `missing 14`. */
  readonly samples: readonly string[];
}

export interface VerifyCursor {
  readonly nextId: number;
  /** The sender's max id when the comparison of this show began. */
  readonly targetId: number;
  readonly verdict: ShowVerdict;
}
export type VerifyInput = LegInput<VerifyCursor, VerifySettings>;
export type VerifyResult = LegResult<VerifyCursor>;

export const rebaseSettings = audioSettings
  .pick({ remoteUrl: true, localDir: true, credentials: true, bandwidthLimit: true })
  .extend({
    show: showName,
  });
export type RebaseSettings = z.output<typeof rebaseSettings>;

export interface RebaseResult {
  readonly show: string;
  readonly fromUniqueId: string;
  readonly toUniqueId: string;
  readonly lastId: number;
  /** Where the former copy was put because it shares nothing with the new source; null: it is continued in place. */
  readonly keptAside: string | null;
}

export const retentionSettings = z.strictObject({
  dir: z.string().startsWith('/', { error: 'an absolute path on the worker’s host' }),
  hours: z.int().min(1).default(168),
  dryRun: z.boolean().default(false),
});
export type RetentionSettings = z.output<typeof retentionSettings>;

/** What retention did, or with dryRun would do, to one recording. */
export interface RetentionOutcome {
  readonly show: string;
  readonly deleted: number;
  readonly keptFromId: number | null;
  readonly skipped?: string;
}

/** Why a show cannot be synced: the show's own result; other shows go on. */
export const showFailures = [
  'ShowGone',
  'ShowRefused',
  'SourceReplaced',
  'SourceRewound',
  'FormatChanged',
  'VersionUnsupported',
  'NotARecipient',
  'ShowFileCorrupt',
  'ShowNameRefused',
  'SegmentMalformed',
] as const;

/** What stops the whole run until a person has acted: the run is blocked and goes on at `resume`. */
export const runFailures = [
  'SettingsRefused',
  'SenderAuthRefused',
  'NotASender',
  'DiskFull',
  'DirectoryUnwritable',
  'CredentialsMissing',
] as const;

export type AudioFailure = (typeof showFailures)[number] | (typeof runFailures)[number];
