/** The audio job on the command line: its flags, its words and the verbs that only it has. Pure; the rest is loaded when called. */
import { interval, patience, whichJob, wholeNumber } from '../flags';
import type { Flag, JobCommand, Verb } from '../verb';

const remoteUrl: Flag = {
  flags: '-r, --remote-url <url>',
  about: 'address of the recording server',
  key: 'audio.remote_url',
};
const shows: Flag = {
  flags: '-n, --show <name>',
  about: 'a show to sync; repeat for more (default: all that the sender lists)',
  key: 'audio.shows',
  many: true,
};
const credentials: Flag = {
  flags: '--credentials <name>',
  about: 'the [audio.credentials.NAME] table, in the worker’s configuration, to use',
  key: 'audio.use_credentials',
};
const bandwidth: Flag = {
  flags: '--bwlimit <rate>',
  about: 'bytes a second of each show, such as 2M or 500k (default: unlimited)',
  key: 'audio.bandwidth_limit',
};
const chunkSize: Flag = {
  flags: '-s, --chunk-size <n>',
  about: 'segments asked for in one request (default: 100)',
  key: 'audio.chunk_size',
};
const parallel: Flag = {
  flags: '--parallel <n>',
  about: 'shows at the same time (default: 1)',
  key: 'audio.parallel',
};

const place: Flag = {
  flags: '-l, --local-dir <dir>',
  about: 'folder of the copies, on the worker’s host',
  key: 'audio.local_dir',
};
/** Which of the audio jobs. */
const which = {
  namedBy: 'host and folder',
  which: [place, { flags: '--host <host>', about: 'the host whose worker has the files', key: 'worker.host' }],
} as const satisfies Pick<JobCommand, 'namedBy' | 'which'>;
const differences: Flag = {
  flags: '--differences <n>',
  about: 'differing ids named for each show (default: 100)',
  parse: wholeNumber(0, 1000),
};

const serve: Verb = {
  name: 'serve',
  about: 'Offer a folder of recordings to receivers, over HTTP.',
  flags: [
    {
      flags: '--dir <dir>',
      about: 'folder of <show>.sqlite recordings; nothing in it is changed',
      key: 'audio.serve.dir',
    },
    { flags: '--port <port>', about: 'where to listen; 0 for any (default: 3000)', key: 'audio.serve.port' },
    { flags: '--listen-host <address>', about: 'address to listen on (default: 127.0.0.1)', key: 'audio.serve.host' },
    {
      flags: '--encoding <encoding>',
      about: 'of audio in JSON: base64 as published, integers as the original’s receivers need',
      key: 'audio.serve.encoding',
    },
  ],
  examples: ['waybill audio serve --dir /srv/recordings --port 3000'],
  more:
    'A token that receivers must send comes from WAYBILL_AUDIO_SERVE_TOKEN or its _FILE, never from a flag: flags are seen\n' +
    'by everybody on the machine. Ctrl-C ends it.',
  load: async () => (await import('./serve.js')).serve,
};

const retention: Verb = {
  name: 'retention',
  about: 'Delete old audio from a folder of recordings, a whole connection at a time.',
  flags: [
    { flags: '--dir <dir>', about: 'folder of recordings on the worker’s host', key: 'audio.retention.dir' },
    { flags: '--hours <n>', about: 'how much is kept (default: 168)', key: 'audio.retention.hours' },
    { flags: '--dry-run', about: 'say what would be deleted, delete nothing', key: 'audio.retention.dry_run' },
    interval('go on doing it, every so many seconds'),
    { flags: '--stop', about: 'end the repetition' },
    { flags: '--host <host>', about: 'the host whose worker has the files', key: 'worker.host' },
    patience,
  ],
  examples: [
    'waybill audio retention --dir /srv/recordings --hours 168 --dry-run',
    'waybill audio retention --dir /srv/recordings --interval 86400',
  ],
  load: async () => (await import('./retention.js')).retention,
};

const verify: Verb = {
  name: 'verify',
  about: 'Compare every segment with the sender’s, by sha256. Changes nothing.',
  flags: [...whichJob(which), remoteUrl, shows, chunkSize, parallel, bandwidth, credentials, differences, patience],
  examples: ['waybill audio verify -l ./radio', 'waybill audio verify -l ./radio -n harbour_radio -o json'],
  more: 'Exits 1 on drift. Segments that are only not synced yet are no drift.',
  load: async () => (await import('./verify.js')).verify,
};

const rebase: Verb = {
  name: 'rebase',
  about: 'Accept that a show’s source was replaced, and go on from the new one.',
  flags: [...whichJob(which), remoteUrl, { ...shows, about: 'the show' }, bandwidth, credentials, patience],
  examples: ['waybill audio rebase -l ./radio --show harbour_radio'],
  more:
    'Where the new source still has our last segment the copy goes on in place. Where not, the copy is put aside under\n' +
    'another name and the next sync begins a new one. Nothing is deleted.',
  load: async () => (await import('./rebase.js')).rebase,
};

export const audio: JobCommand = {
  kind: 'audio',
  about: 'A recording server’s shows, each into one SQLite file.',
  runAlias: 'sync',
  lane: 'show',
  ...which,
  place,
  settings: [
    remoteUrl,
    shows,
    chunkSize,
    parallel,
    bandwidth,
    credentials,
    { flags: '--strict', about: 'refuse a show whose split_interval changed', key: 'audio.strict' },
    { flags: '--leg-seconds <n>', about: 'how long one leg lasts', key: 'audio.leg_seconds', hidden: true },
    {
      flags: '--heartbeat-seconds <n>',
      about: 'a worker that is silent for this long is taken for dead',
      key: 'audio.heartbeat_seconds',
      hidden: true,
    },
  ],
  exampleFlags: '-r http://recorder:3000 -l ./radio',
  exampleChange: '--bwlimit 500k',
  verbs: [verify, rebase, serve, retention],
  load: async () => (await import('./knowledge.js')).audioKnowledge,
};
