/** The snapchain job's settings: the original's keys under [snapchain.sync], and what Waybill adds to them. Pure. */
import { z } from 'zod';
import {
  batchSizeDefault,
  batchSizeMax,
  recordTypes,
  signatureSampleDefault,
} from '../../activities/snapchain/contract';
import { count, databaseUrl, flag, list, option, text } from './kinds';

const numbers = (what: string, min: number, max: number): z.ZodType<number[]> => {
  const error = `${what}, whole numbers from ${min} to ${max}`;
  const line = z.string().transform((value) => value.split(',').flatMap((part) => part.trim() || []));
  const given = z.union([z.array(z.union([z.number(), z.string()])), z.number().transform((one) => [one]), line], {
    error,
  });
  const each = z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
  return given.transform((values) => values.map(Number)).pipe(z.array(each));
};

/** By key. */
export const snapchainOptions = {
  'snapchain.sync.snapchain_endpoint': option(
    list,
    [],
    'Nodes, the preferred one first: http://host:3383, https://host or host:3383.',
  ),
  'snapchain.sync.enable_realtime_sync': option(flag, true, 'Follow the shards’ events, without end.'),
  'snapchain.sync.enable_historical_sync': option(flag, true, 'Read each shard’s newest snapshot whole.'),
  'snapchain.sync.historical_sync_from_event_id': option(
    count(0, Number.MAX_SAFE_INTEGER),
    0,
    'History from this event on instead of from a snapshot; 0 for a snapshot.',
  ),
  'snapchain.sync.batch_size': option(count(1, batchSizeMax), batchSizeDefault, 'Rows of one transaction, about.'),
  'snapchain.sync.sync_interval_ms': option(
    count(50, 3_600_000),
    5000,
    'How long the end of a shard’s log is left alone, unless the node says that there is more.',
  ),
  'snapchain.sync.shard_ids': option(
    numbers('shards', 0, 255),
    [],
    'Shards to sync; none means every data shard. 0 is the shard of blocks.',
  ),
  'snapchain.sync.types': option(
    list.pipe(z.array(z.enum(recordTypes, { error: `records out of: ${recordTypes.join(', ')}` }))),
    [],
    'Records to sync; none means all.',
  ),
  'snapchain.sync.fids': option(numbers('fids', 1, 0xffff_ffff), [], 'Users to sync; none means all.'),
  'snapchain.sync.parallel': option(count(1, 16), 4, 'Stretches of a shard’s trie that are read at the same time.'),
  'snapchain.sync.signature_sample': option(
    z.coerce.number({ error: 'a share from 0 to 1' }).min(0).max(1),
    signatureSampleDefault,
    'Share of messages whose signature is checked; hashes and roots always are.',
  ),
  'snapchain.sync.keep_messages': option(flag, false, 'Keep every message’s own bytes in processed_messages.'),
  'snapchain.sync.leg_seconds': option(count(1, 600), 60, 'How long one leg of a scan lasts.'),
  'snapchain.sync.heartbeat_seconds': option(
    count(2, 300),
    30,
    'A worker that is silent for this long is taken for dead.',
  ),
  'snapchain.database.url': {
    ...option(databaseUrl, '', 'PostgreSQL to write to, as postgres://user:password@host:5432/database.'),
    secret: true as const,
  },
  'snapchain.database.max_connections': option(count(1, 1000), 10, 'Connections to PostgreSQL of one worker at most.'),
  'snapchain.credentials.authorization': {
    ...option(text, '', 'Sent to the nodes as `authorization` with every call.'),
    secret: true as const,
  },
  'snapchain.credentials.ca_file': option(text, '', 'PEM of the authority that signed the nodes’ certificates.'),
};
