/** The recall job's settings: the original's own tables and keys under [recall], and what Waybill adds to them. Pure. */
import { z } from 'zod';
import {
  address,
  batchSizeDefault,
  batchSizeMax,
  objectBytesLimit,
  ttlEpochsDefault,
  ttlEpochsMin,
} from '../../activities/recall/contract';
import { byteCount, count, databaseUrl, flag, list, option, text } from './kinds';

/** With 0x or without; lower case afterwards. */
const privateKey = z
  .string({ error: 'a text' })
  .trim()
  .regex(/^(|(0x)?[0-9a-f]{64})$/i, { error: 'a private key: 64 hexadecimal digits, with 0x or without' })
  .transform((key) => (key === '' ? '' : `0x${key.replace(/^0x/i, '').toLowerCase()}`));
const keyLines = z.string().transform((value) => value.split(/[\s,]+/).filter((each) => each !== ''));
const privateKeys = z.union([z.array(z.string()), keyLines], { error: 'a list of private keys' }).pipe(
  z.array(privateKey.refine((key) => key !== '', { error: 'private keys of 64 hexadecimal digits' })).max(100, {
    error: 'a hundred private keys at most',
  }),
);

/** `t01234`, the network's own form of an actor's id, is the address 0xff… that holds this id in its last eight bytes. */
const bucketAddress = z.string({ error: 'a text' }).transform((given, context) => {
  const [, id] = /^[tf]0(\d{1,19})$/.exec(given) ?? [];
  if (id !== undefined) return `0xff${BigInt(id).toString(16).padStart(38, '0')}`;
  if (given === '' || /^0x[0-9a-f]{40}$/i.test(given)) return given;
  context.addIssue({
    code: 'custom',
    message: 'a bucket’s address, 0x and 40 hexadecimal digits, or its id as t01234',
  });
  return z.NEVER;
});

/** Far more than an object can live; a bound all the same. */
const epochsMax = 10_000_000_000;

/** An address of a database without what must not be seen: its password, and parameters, which may hold another. */
function databaseShown(url: string): string {
  try {
    const { protocol, username, host, pathname, search } = new URL(url);
    return `${protocol}//${username === '' ? '' : `${username}@`}${host}${pathname}${search === '' ? '' : '?…'}`;
  } catch {
    return '********';
  }
}

/** Tables of the original's file that say nothing to Waybill, each with what takes its place. */
export const recallIgnored: Readonly<Record<string, string>> = {
  'recall.sync_storage': 'not used: Temporal keeps the position, there is no state file',
  'recall.logging': 'not used: logs go to stderr as JSON, and worker.log_level says how much',
};

/** By key. */
export const recallOptions = {
  'recall.database.url': {
    ...option(databaseUrl, '', 'PostgreSQL with the table of objects, as postgres://user:password@host:5432/database.'),
    secret: true as const,
    shownAs: (url: unknown) => databaseShown(String(url)),
  },
  'recall.database.max_connections': option(count(1, 1000), 10, 'Connections to PostgreSQL of one worker at most.'),
  'recall.database.table': option(text.min(1), 'object_index', 'The table, or schema.table, that the rows are in.'),
  'recall.s3.bucket': option(text, '', 'S3 bucket that the objects are in; empty: they are in the table’s own `data`.'),
  'recall.s3.endpoint': option(text, '', 'Address of an S3 server that is not Amazon’s.'),
  'recall.s3.region': option(text, '', 'Region of the S3 bucket; empty: as the AWS SDK finds it.'),
  'recall.s3.access_key_id': option(text, '', 'S3 access key; empty: as the AWS SDK finds credentials.'),
  'recall.s3.secret_access_key': { ...option(text, '', 'Secret of the S3 access key.'), secret: true as const },
  'recall.s3.path_style': option(flag, true, 'Bucket in the path of S3 requests; false: in the name of the host.'),
  'recall.recall.private_key': {
    ...option(privateKey, '', 'Key of the wallet that owns the bucket.'),
    secret: true as const,
    aliases: ['RECALL_PRIVATE_KEY'],
  },
  'recall.recall.delegate_keys': {
    ...option(privateKeys, [], 'Keys of further wallets that write to the same bucket, each its share of the rows.'),
    secret: true as const,
  },
  'recall.recall.sign': option(
    z.union([flag, z.literal('only')], { error: 'true, false or only' }),
    true,
    'Sign with these keys; false on workers that only read and upload, only on those that do nothing else.',
  ),
  'recall.recall.addresses': option(
    list.pipe(z.array(address)),
    [],
    'Addresses of the wallets, the bucket’s owner first, on workers that do not have the keys.',
  ),
  'recall.recall.network': {
    ...option(
      text.min(1, { error: 'a network’s name' }),
      'testnet',
      'Network to write to: a name in config_path, or built in.',
    ),
    aliases: ['RECALL_NETWORK'],
  },
  'recall.recall.config_path': {
    ...option(text, 'networks.toml', 'File of networks; it need not be there for those that are built in.'),
    aliases: ['RECALL_NETWORK_FILE'],
  },
  'recall.recall.bucket': {
    ...option(bucketAddress, '', 'Bucket to write to; empty: one of the job’s own, made once and found again.'),
    aliases: ['RECALL_BUCKET_ADDRESS'],
  },
  'recall.sync.batch_size': option(count(1, batchSizeMax), batchSizeDefault, 'Objects signed and confirmed together.'),
  'recall.sync.uploads': option(count(1, 64), 16, 'Objects uploaded at the same time.'),
  'recall.sync.since': option(text, '', 'Only rows created at or after this time, as in RFC 3339.'),
  'recall.sync.until': option(text, '', 'Only rows created before this time, as in RFC 3339.'),
  'recall.sync.competitions': option(list, [], 'Only rows of these competitions, by UUID.'),
  'recall.sync.agents': option(list, [], 'Only rows of these agents, by UUID.'),
  'recall.sync.data_types': option(list, [], 'Only rows of these data types.'),
  'recall.sync.settle_seconds': option(count(0, 3600), 10, 'Rows younger than this wait: clocks differ.'),
  'recall.sync.reconcile_hours': option(
    count(0, 24 * 365),
    24,
    'Hours between sweeps for rows that slipped in behind the position; 0 for never.',
  ),
  'recall.sync.ttl': option(
    count(ttlEpochsMin, epochsMax),
    ttlEpochsDefault,
    'How long objects live, in epochs (about seconds).',
  ),
  'recall.sync.object_bytes_max': option(
    byteCount(1, objectBytesLimit),
    objectBytesLimit,
    'Larger objects are parked.',
  ),
  'recall.sync.overwrite': option(flag, true, 'Overwrite what is there with other bytes; false: park it.'),
  'recall.sync.resolve_seconds': option(
    count(1, 86_400),
    600,
    'An object that the network has not resolved after this is tried again.',
  ),
  'recall.sync.leg_seconds': option(count(1, 600), 60, 'How long one leg lasts.'),
  'recall.sync.heartbeat_seconds': option(
    count(2, 300),
    30,
    'A worker that is silent for this long is taken for dead.',
  ),
  'recall.renew.margin': option(
    count(60, epochsMax),
    6 * 3600,
    'Objects with less than this to live are extended, in epochs.',
  ),
} as const;
