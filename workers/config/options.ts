/** Every setting there is: where it may come from, what it is when nobody says, and one sentence. Pure. */
import { hostname } from 'node:os';
import { z } from 'zod';
import { chunkSizeDefault, chunkSizeMax } from '../../activities/audio/contract';
import { jobKinds } from '../../workflows/shared/names';
import { bytesPerSecond, count, flag, list, listenAddress, option, someOf, text, type Option } from './kinds';
import { recallOptions } from './recall';
import { snapchainOptions } from './snapchain';

/**
 * By key: where it stands in waybill.toml, `table.key`. The environment variable is WAYBILL_TABLE_KEY. Their names are what
 * people have in files: add, never rename.
 */
export const options = {
  'worker.jobs': option(someOf(jobKinds, 'job'), [...jobKinds], 'Jobs this worker takes.'),
  'worker.host': option(
    text.min(1),
    hostname(),
    'This host in task queues, waybill-audio@HOST: files belong to a host.',
  ),
  'worker.listen': option(
    listenAddress,
    '127.0.0.1:9464',
    'Where /healthz, /readyz and /metrics answer; empty for nowhere.',
  ),
  'worker.log_level': option(
    z.enum(['trace', 'debug', 'info', 'warn', 'error']),
    'info',
    'Least level that is logged.',
  ),
  'worker.activity_slots': option(count(1, 500), 16, 'Legs at the same time.'),
  'worker.cached_workflows': option(count(0, 2000), 200, 'Workflows kept in memory, about 0.3 MB each.'),
  'worker.heartbeat_throttle_seconds': option(
    z.coerce.number().min(0.1).max(60),
    2,
    'How often a cursor reaches Temporal: bounds what a crash does again.',
  ),
  'worker.drain_seconds': option(count(1, 600), 20, 'A worker that was told to stop is stopped after this long.'),
  'worker.register_search_attributes': option(
    flag,
    true,
    'Register SyncJob and SyncState at the start; false where only an administrator may.',
  ),
  ...recallOptions,
  ...snapchainOptions,
  'audio.remote_url': option(text, '', 'Address of the recording server.'),
  'audio.local_dir': option(text, '', 'Folder of the copies, on the worker’s host.'),
  'audio.shows': option(list, [], 'Shows to sync, in this order; none means all that the sender lists.'),
  'audio.chunk_size': option(count(1, chunkSizeMax), chunkSizeDefault, 'Segments asked for in one request.'),
  'audio.parallel': option(count(1, 16), 1, 'Shows synced at the same time.'),
  'audio.bandwidth_limit': option(bytesPerSecond, 0, 'Bytes a second off the wire, of each show; 0 is unlimited.'),
  'audio.use_credentials': option(text, '', 'The [audio.credentials.NAME] table to use.'),
  'audio.strict': option(flag, false, 'Refuse a show whose split_interval changed, instead of reporting it.'),
  'audio.idle_timeout_seconds': option(
    z.coerce.number().min(0.1).max(3600),
    30,
    'A sender that is silent for this long is asked again.',
  ),
  'audio.leg_seconds': option(count(1, 600), 60, 'How long one leg lasts.'),
  'audio.heartbeat_seconds': option(count(2, 300), 30, 'A worker that is silent for this long is taken for dead.'),
  'audio.serve.dir': option(text, '', 'Folder of recordings to serve.'),
  'audio.serve.host': option(text, '127.0.0.1', 'Address to listen on.'),
  'audio.serve.port': option(count(0, 65535), 3000, 'Port to listen on; 0 for any.'),
  'audio.serve.encoding': option(
    z.enum(['base64', 'integers'], { error: 'base64 or integers' }),
    'base64',
    'How audio goes out. Receivers of the original’s first versions need integers: they store base64 text as if it were audio.',
  ),
  'audio.serve.limit_max': option(count(1, 100_000), chunkSizeMax, 'Segments in one answer at most.'),
  'audio.serve.token': { ...option(text, '', 'Bearer token that receivers must send; empty for none.'), secret: true },
  'audio.serve.tls_cert_file': option(text, '', 'Certificate (PEM) for https.'),
  'audio.serve.tls_key_file': option(text, '', 'Key (PEM) of the certificate.'),
  'audio.retention.dir': option(text, '', 'Folder of recordings that retention trims.'),
  'audio.retention.hours': option(count(1, 1_000_000), 168, 'Audio of this many hours is kept.'),
  'audio.retention.dry_run': option(flag, false, 'Say what would be deleted, delete nothing.'),
} as const satisfies Readonly<Record<string, Option>>;

export type OptionKey = keyof typeof options;
export type OptionValue<K extends OptionKey> = z.output<(typeof options)[K]['schema']>;

export const envName = (key: string): string => `WAYBILL_${key.replaceAll('.', '_').toUpperCase()}`;

/** An [audio.credentials.NAME] table. WAYBILL_AUDIO_TOKEN, _TOKEN_FILE and _CA_FILE make one that is named env. */
export const credentialTable = z.strictObject({
  token: z.string().min(1).optional(),
  token_file: z.string().min(1).optional(),
  ca_file: z.string().min(1).optional(),
});
export const credentialEnv: Readonly<Record<string, keyof z.output<typeof credentialTable>>> = {
  WAYBILL_AUDIO_TOKEN: 'token',
  WAYBILL_AUDIO_TOKEN_FILE: 'token_file',
  WAYBILL_AUDIO_CA_FILE: 'ca_file',
};
