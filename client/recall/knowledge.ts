/** What the command knows of recall once it runs: settings from flags, environment and file; places and results in words. */
import { createHash } from 'node:crypto';
import { recallSettings, renewSettings, type RecallVerdict } from '../../activities/recall/contract';
import type { Config } from '../../workers/config';
import { givenName } from '../choose';
import { CommandError, exit } from '../exit';
import { bytes, plural } from '../format';
import { asFlags, checkedSettings, configured, type SettingsForm } from '../settings';
import type { Call, JobKnowledge, LaneOutcome, LanePlace, Settings } from '../verb';
import { recall } from './command';
import { recallFindings } from './doctor';
import { survey } from './status';

const form: SettingsForm = {
  keys: {
    network: 'recall.recall.network',
    bucket: 'recall.recall.bucket',
    batchSize: 'recall.sync.batch_size',
    uploads: 'recall.sync.uploads',
    since: 'recall.sync.since',
    until: 'recall.sync.until',
    competitions: 'recall.sync.competitions',
    agents: 'recall.sync.agents',
    dataTypes: 'recall.sync.data_types',
    settleSeconds: 'recall.sync.settle_seconds',
    reconcileHours: 'recall.sync.reconcile_hours',
    ttl: 'recall.sync.ttl',
    objectBytesMax: 'recall.sync.object_bytes_max',
    overwrite: 'recall.sync.overwrite',
    resolveSeconds: 'recall.sync.resolve_seconds',
    legSeconds: 'recall.sync.leg_seconds',
    heartbeatSeconds: 'recall.sync.heartbeat_seconds',
  },
  read: (config, key) => {
    const value: unknown = config.get(key);
    return value === '' && ['recall.sync.since', 'recall.sync.until'].includes(key) ? null : value;
  },
  unshown: [],
};

/** Where nothing tells one database from another. */
const nameless = 'default';

export const recallKnowledge: JobKnowledge = {
  check: (call) => void recallKnowledge.settings(call),
  // Where the rows are and who signs is the worker's affair: everything here has a default.
  settings: (call) =>
    checkedSettings(form, recallSettings, call, { ...configured(form, call.config), name: nameFor(call) }),
  overlay: (stored, call) => {
    // A renewal is steered like any job.
    const schema = 'margin' in stored ? renewSettings : recallSettings;
    return checkedSettings(form, schema, call, { ...stored, ...asFlags(form, call) });
  },
  isConfigured: (config) => config.get('recall.database.url') !== '',
  sameDestination: (left, right) => left['network'] === right['network'] && left['bucket'] === right['bucket'],
  defaultName,
  summary,
  place: placeOf,
  standing,
  laneReport,
  counts: countsLine,
  configurationFailures: [
    'SettingsRefused',
    'SourceRefused',
    'StoreRefused',
    'NetworkRefused',
    'WalletRefused',
    'BucketRefused',
  ],
  findings: recallFindings,
  survey,
};

function nameFor(call: Call): string {
  const name = givenName(recall, call) ?? defaultName(call.config) ?? nameless;
  if (!name.includes('/')) return name;
  throw new CommandError(exit.usage, `${call.command}: --job is ${JSON.stringify(name)}; allowed: a name without /`);
}

/** `competitions-1a2b3c`: the database's name for people, host, port and table for uniqueness. Nothing secret goes in. */
function defaultName(config: Config): string | null {
  const given = config.get('recall.database.url');
  if (given === '' || !URL.canParse(given)) return null;
  const { hostname, port, pathname } = new URL(given);
  const database = decodeURIComponent(pathname.replace(/^\/+/, ''));
  const identity = `${hostname}:${port || '5432'}/${database}.${config.get('recall.database.table')}`;
  const digest = createHash('sha256').update(identity).digest('hex').slice(0, 6);
  return `${database.replace(/[^\w.-]+/g, '-').slice(0, 80) || 'database'}-${digest}`;
}

function summary({ network = 'testnet', bucket, since, until, ...rest }: Settings): string {
  const chosen = ['competitions', 'agents', 'dataTypes'].filter(
    (key) => Array.isArray(rest[key]) && rest[key].length > 0,
  );
  const which = [
    ...(typeof since === 'string' ? [`since ${since}`] : []),
    ...(typeof until === 'string' ? [`until ${until}`] : []),
    ...(chosen.length > 0 ? [`of chosen ${chosen.join(', ')}`] : []),
  ];
  const rows = which.length === 0 ? 'every row' : `rows ${which.join(', ')}`;
  const into = typeof bucket === 'string' && bucket !== '' ? `bucket ${bucket}` : 'a bucket of its own';
  return `${rows} into ${into} on ${String(network)}`.slice(0, 200);
}

type Counts = Readonly<Record<string, number>>;

function countsLine(counts: Counts): string {
  const { objects = 0, bytes: moved = 0, present = 0, renewed = 0, parked = 0 } = counts;
  return [
    plural(objects, 'object'),
    bytes(moved),
    ...(renewed > 0 ? [`${renewed} of them renewed`] : []),
    ...(present > 0 ? [`${present} already there`] : []),
    ...(parked > 0 ? [`${parked} parked`] : []),
  ].join(', ');
}

/** A cursor of a sync or a renewal, of a comparison or of a dry run: told apart by what only they have. */
interface AnyCursor {
  readonly after?: { readonly createdAt: string } | null;
  readonly verdict?: Pick<RecallVerdict, 'matched' | 'differing' | 'missing' | 'notYetSynced' | 'unproved'>;
  readonly afterId?: string;
}

/** Rows have no numbers: what was moved, or looked at, is counted. */
function placeOf(cursor: unknown, counts: Counts): LanePlace {
  const { verdict } = (cursor ?? {}) as AnyCursor;
  if (verdict !== undefined) {
    const { matched, differing, missing, notYetSynced, unproved } = verdict;
    return { position: matched + differing + missing + notYetSynced + unproved, target: null, unit: 'rows' };
  }
  return { position: counts['objects'] ?? 0, target: null, unit: 'objects' };
}

/** The time of the last row that is there. */
function standing(cursor: unknown): string | null {
  const { after, afterId } = (cursor ?? {}) as AnyCursor;
  return after?.createdAt ?? (afterId === undefined || afterId === '' ? null : afterId);
}

function laneReport({ cursor, status, counts, note, failure }: LaneOutcome): string {
  if (failure !== undefined) return `FAILED ${failure.type}: ${failure.reason}`;
  const at = standing(cursor);
  const more = note === undefined ? '' : `; ${note}`;
  const moved = ['objects', 'present', 'parked'].some((kind) => (counts[kind] ?? 0) > 0);
  // A renewal goes by id, and ends with no place of its own.
  const to = at === null ? '' : ` at ${at}`;
  if (status !== 'done')
    return at === null && !moved ? (note ?? 'not begun') : `stopped${to} (${countsLine(counts)})${more}`;
  if (moved) return `${at === null ? 'done' : `synced to ${at}`} (${countsLine(counts)})${more}`;
  return at === null ? (note ?? 'no rows') : `up to date${to}${more}`;
}
