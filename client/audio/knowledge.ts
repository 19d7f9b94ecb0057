/** What the command knows of audio once it runs: settings from flags, environment and file; places and results in words. */
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { audioSettings } from '../../activities/audio/contract';
import type { OptionKey } from '../../workers/config';
import { CommandError, exit } from '../exit';
import { bytes, plural } from '../format';
import { asFlags, checkedSettings, configured, type SettingsForm } from '../settings';
import type { JobKnowledge, LaneOutcome, LanePlace } from '../verb';
import { audioFindings } from './doctor';

const form: SettingsForm = {
  keys: {
    remoteUrl: 'audio.remote_url',
    localDir: 'audio.local_dir',
    shows: 'audio.shows',
    chunkSize: 'audio.chunk_size',
    parallel: 'audio.parallel',
    credentials: 'audio.use_credentials',
    bandwidthLimit: 'audio.bandwidth_limit',
    strict: 'audio.strict',
    legSeconds: 'audio.leg_seconds',
    heartbeatSeconds: 'audio.heartbeat_seconds',
  },
  read: (config, key) => {
    const value: unknown = config.get(key);
    return key === 'audio.local_dir' && typeof value === 'string' ? resolve(value) : value;
  },
  unshown: ['audio.remote_url'],
};

const needed: readonly [OptionKey, string, string][] = [
  ['audio.remote_url', 'the sender’s address', '-r URL'],
  ['audio.local_dir', 'the folder of the copies', '-l DIR'],
];

export const audioKnowledge: JobKnowledge = {
  // Where the ends are not both named, those of a job that is there may be meant.
  check: (call) => {
    if (audioKnowledge.isConfigured(call.config)) audioKnowledge.settings(call);
  },
  settings: (call) => {
    for (const [key, what, flag] of needed)
      if (call.config.get(key) === '')
        throw new CommandError(
          exit.usage,
          `${call.command}: ${what} is missing. Give ${flag}, or set ${key} in waybill.toml.`,
        );
    return checkedSettings(form, audioSettings, call, configured(form, call.config));
  },
  // Where the copies are is what the job is; another folder is another job.
  overlay: (stored, call) => {
    const { localDir } = stored;
    return checkedSettings(form, audioSettings, call, { ...stored, ...asFlags(form, call), localDir });
  },
  isConfigured: (config) => needed.every(([key]) => config.get(key) !== ''),
  sameDestination: (left, right) => left['localDir'] === right['localDir'],
  defaultName: (config) => {
    const localDir = config.get('audio.local_dir');
    return localDir === '' ? null : jobNameOf(config.get('worker.host'), resolve(localDir));
  },
  summary: ({ remoteUrl, localDir, shows }) => {
    // A schedule that was made by hand may leave everything out that has a default.
    const count = Array.isArray(shows) ? shows.length : 0;
    const what = count === 0 ? 'every show' : plural(count, 'show');
    // The UI cuts a summary at 400 bytes.
    return `${what} of ${String(remoteUrl)} into ${String(localDir)}`.slice(0, 200);
  },
  place: placeOf,
  laneReport,
  counts: (counts) =>
    `${plural(counts['segments'] ?? 0, 'segment')}, ${bytes(counts['bytes'] ?? 0)}, ${plural(counts['missing'] ?? 0, 'hole')}`,
  configurationFailures: [
    'SettingsRefused',
    'SenderAuthRefused',
    'NotASender',
    'CredentialsMissing',
    'DirectoryUnwritable',
  ],
  findings: audioFindings,
};

/** `radio-1a2b3c`: the folder's name for people, host and whole path for uniqueness. */
export function jobNameOf(host: string, localDir: string): string {
  const path = host === hostname() ? realPath(localDir) : localDir;
  const digest = createHash('sha256').update(`${host}\0${path}`).digest('hex').slice(0, 6);
  const name = basename(path).replace(/[^\w.-]+/g, '-') || 'root';
  return `${name}-${digest}`;
}

/** The path behind links; what does not exist yet is named below what does. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return !isAbsolute(path) || parent === path ? path : join(realPath(parent), basename(path));
  }
}

function placeOf(cursor: unknown): LanePlace {
  if (typeof cursor !== 'object' || cursor === null) return { position: null, target: null };
  const { lastId, nextId, targetId } = cursor as { lastId?: unknown; nextId?: unknown; targetId?: unknown };
  const target = typeof targetId === 'number' ? targetId : null;
  if (typeof lastId === 'number') return { position: lastId, target };
  // A comparison's cursor names the next id, and ends beyond the target.
  if (typeof nextId === 'number') return { position: Math.min(nextId - 1, target ?? nextId), target };
  return { position: null, target };
}

function laneReport({ cursor, status, counts, note, failure }: LaneOutcome): string {
  const { position } = placeOf(cursor);
  if (failure !== undefined) return `FAILED ${failure.type}: ${failure.reason}`;
  if (position === null) return note ?? (status === 'done' ? 'nothing at the sender' : 'not begun');
  if (status !== 'done')
    return `stopped at ${position} (${audioKnowledge.counts(counts)})${note === undefined ? '' : `; ${note}`}`;
  const moved = (counts['segments'] ?? 0) > 0 || (counts['missing'] ?? 0) > 0;
  const head = moved ? `synced to ${position} (${audioKnowledge.counts(counts)})` : `up to date at ${position}`;
  const rest = (note ?? '').split('; ').filter((each) => each !== '' && each !== `synced to ${position}`);
  return [head, ...rest].join('; ');
}
