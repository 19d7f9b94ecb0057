/** What the command knows of snapchain once it runs: settings from flags, environment and file; places and results in words. */
import { createHash } from 'node:crypto';
import {
  snapchainSettings,
  type ScanCursor,
  type ShardCursor,
  type VerifyCursor,
} from '../../activities/snapchain/contract';
import type { Config } from '../../workers/config';
import { bytes, plural } from '../format';
import { asFlags, checkedSettings, configured, type SettingsForm } from '../settings';
import type { JobKnowledge, LaneOutcome, LanePlace, Settings } from '../verb';
import { snapchainFindings } from './doctor';
import { survey } from './status';

const form: SettingsForm = {
  keys: {
    shards: 'snapchain.sync.shard_ids',
    history: 'snapchain.sync.enable_historical_sync',
    live: 'snapchain.sync.enable_realtime_sync',
    fromEventId: 'snapchain.sync.historical_sync_from_event_id',
    types: 'snapchain.sync.types',
    fids: 'snapchain.sync.fids',
    batchSize: 'snapchain.sync.batch_size',
    parallel: 'snapchain.sync.parallel',
    signatureSample: 'snapchain.sync.signature_sample',
    keepMessages: 'snapchain.sync.keep_messages',
    pollMs: 'snapchain.sync.sync_interval_ms',
    legSeconds: 'snapchain.sync.leg_seconds',
    heartbeatSeconds: 'snapchain.sync.heartbeat_seconds',
  },
  read: (config, key) => {
    const value: unknown = config.get(key);
    return key === 'snapchain.sync.historical_sync_from_event_id' && value === 0 ? null : value;
  },
  unshown: [],
};

export const snapchainKnowledge: JobKnowledge = {
  check: (call) => void snapchainKnowledge.settings(call),
  // Where nodes and tables are is the worker's affair: everything here has a default.
  settings: (call) => checkedSettings(form, snapchainSettings, call, configured(form, call.config)),
  overlay: (stored, call) => checkedSettings(form, snapchainSettings, call, { ...stored, ...asFlags(form, call) }),
  isConfigured: (config) => config.get('snapchain.database.url') !== '',
  sameDestination: () => true,
  defaultName,
  summary,
  place: placeOf,
  standing,
  laneReport,
  counts: countsLine,
  configurationFailures: ['SettingsRefused', 'NodeRefused', 'DatabaseRefused', 'ShardRefused'],
  findings: snapchainFindings,
  survey,
};

/** `farcaster-1a2b3c`: the database's name for people, host and port for uniqueness. Nothing secret goes in. */
function defaultName(config: Config): string | null {
  const given = config.get('snapchain.database.url');
  if (given === '' || !URL.canParse(given)) return null;
  const { hostname, port, pathname } = new URL(given);
  const database = decodeURIComponent(pathname.replace(/^\/+/, ''));
  const digest = createHash('sha256')
    .update(`${hostname}:${port || '5432'}/${database}`)
    .digest('hex')
    .slice(0, 6);
  return `${database.replace(/[^\w.-]+/g, '-').slice(0, 80) || 'database'}-${digest}`;
}

function summary({ shards, types, fids, history = true, live = true }: Settings): string {
  const some = (list: unknown): list is unknown[] => Array.isArray(list) && list.length > 0;
  const what = some(types) ? types.join(', ') : 'every record';
  const where = some(shards) ? `shards ${shards.join(', ')}` : 'every data shard';
  const whose = some(fids) ? ` of ${plural(fids.length, 'user')}` : '';
  const how = [history === true ? 'history' : '', live === true ? 'live' : ''].filter(Boolean).join(' and ');
  return `${what}${whose} of ${where}: ${how || 'nothing'}`.slice(0, 200);
}

type Counts = Readonly<Record<string, number>>;

function countsLine(counts: Counts): string {
  const { messages = 0, fids = 0, events = 0, blocks = 0, quarantined = 0, unproved = 0, bytes: read = 0 } = counts;
  return [
    plural(messages, 'message'),
    ...(fids > 0 ? [`${fids} accounts proved`] : []),
    ...(read > 0 ? [bytes(read)] : []),
    ...(events > 0 ? [plural(events, 'event')] : []),
    ...(blocks > 0 ? [plural(blocks, 'block')] : []),
    ...(quarantined > 0 ? [`${quarantined} in quarantine`] : []),
    ...(unproved > 0 ? [`${unproved} accounts UNPROVED`] : []),
  ].join(', ');
}

/** Of a scan 256 virtual shards, of which each counts; a tail has no end. */
function placeOf(cursor: unknown, counts: Counts): LanePlace {
  const { lanes, verdict, start, messages = 0 } = (cursor ?? {}) as Partial<ShardCursor>;
  if ((cursor as Partial<VerifyCursor> | null)?.verdict !== undefined && start === undefined)
    return { position: counts['accounts'] ?? 0, target: null, unit: 'accounts' };
  if (verdict !== undefined) return { position: messages, target: messages, unit: 'messages' };
  const scans = (lanes ?? []).flatMap(({ cursor: at }) => (isScan(at) ? [at] : []));
  if (scans.length === 0) return { position: counts['messages'] ?? 0, target: null, unit: 'messages' };
  return { position: scans.reduce((sum, { roots }) => sum + roots.length, 0), target: 256, unit: 'virtual shards' };
}

const isScan = (cursor: unknown): cursor is ScanCursor =>
  typeof cursor === 'object' && cursor !== null && 'virtualShard' in cursor;

function standing(cursor: unknown): string | null {
  const { verdict, lanes } = (cursor ?? {}) as Partial<ShardCursor>;
  if (verdict?.height !== undefined) return `snapshot of height ${verdict.height}, shard root ${verdict.shardRoot}`;
  const [at] = (lanes ?? []).map((lane) => lane.cursor as { readonly block?: number } | null);
  return at?.block === undefined ? null : `block ${at.block}`;
}

function laneReport({ cursor, status, counts, note, failure }: LaneOutcome): string {
  if (failure !== undefined) return `FAILED ${failure.type}: ${failure.reason}`;
  const at = standing(cursor);
  const to = at === null ? '' : ` at ${at}`;
  return `${status === 'done' ? 'done' : 'stopped'}${to} (${countsLine(counts)})${note === undefined ? '' : `; ${note}`}`;
}
