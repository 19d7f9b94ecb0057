/** The verbs that belong to no job. Pure; each is loaded when called. */
import { wholeNumber } from '../flags';
import type { Flag, Verb } from '../verb';

const jobsFlag: Flag = {
  flags: '--job <kind>',
  about: 'a job it takes; repeat for more (default: all)',
  key: 'worker.jobs',
  many: true,
};
const workerFlags: readonly Flag[] = [
  { flags: '--host <host>', about: 'what this host is called in task queues', key: 'worker.host' },
  {
    flags: '--listen <address>',
    about: 'HOST:PORT of /healthz, /readyz and /metrics; "" for none',
    key: 'worker.listen',
  },
  { flags: '--log-level <level>', about: 'trace, debug, info, warn or error', key: 'worker.log_level' },
];
const port = wholeNumber(1, 65_535);

const dev: Verb = {
  name: 'dev',
  about: 'An embedded Temporal server with its UI, and a worker for every job.',
  flags: [
    { flags: '--port <port>', about: 'where Temporal listens', parse: port, default: 7233 },
    { flags: '--ui-port <port>', about: 'where its UI listens', parse: port, default: 8233 },
    { flags: '--db <file>', about: 'keep everything in this SQLite file (default: in memory)' },
    { flags: '--no-worker', about: 'Temporal only' },
    ...workerFlags,
  ],
  examples: ['waybill dev', 'waybill dev --db ./waybill.db --port 7240 --ui-port 8240'],
  more: 'For trying, and for one machine. Ctrl-C ends both, the worker first.',
  logs: true,
  load: async () => (await import('./processes.js')).dev,
};

const worker: Verb = {
  name: 'worker',
  about: 'Do the work: run until SIGTERM, then hand in what is in progress.',
  flags: [jobsFlag, ...workerFlags],
  examples: ['waybill worker --job audio', 'TEMPORAL_ADDRESS=temporal:7233 waybill worker --job recall'],
  more:
    'The worker for audio runs on the host that has, or shall have, the files. One for recall runs anywhere: its settings\n' +
    'name the database, the S3 bucket and the wallets’ keys; any number may read and upload, and a wallet has one at a time.',
  logs: true,
  load: async () => (await import('./processes.js')).worker,
};

const status: Verb = {
  name: 'status',
  about: 'Every job at a glance.',
  flags: [{ flags: '--watch', about: 'again every two seconds, until Ctrl-C' }],
  examples: ['waybill status', 'waybill status -o json'],
  load: async () => (await import('./status.js')).allStatus,
};

const doctor: Verb = {
  name: 'doctor',
  about: 'Check what a run needs, each with what to do about it.',
  flags: [],
  examples: ['waybill doctor'],
  more: 'Exits 1 if something is missing.',
  load: async () => (await import('./doctor.js')).doctor,
};

const demo: Verb = {
  name: 'demo',
  about: 'See jobs move real data: a recording, a sender, Temporal, a worker, a sync, a proof.',
  // Both are for `npm start`, which brings what the recall job needs, or knows why it cannot.
  flags: [
    { flags: '--ends <file>', about: 'settings of what the recall and snapchain jobs move between', hidden: true },
    { flags: '--without-ends <reason>', about: 'why there are no such jobs', hidden: true },
  ],
  examples: ['waybill demo'],
  more:
    'Needs nothing and leaves nothing but a folder under the temporary directory. It shows the audio job; `npm start`, in a\n' +
    'checkout, shows the recall job as well.',
  load: async () => (await import('./demo.js')).demo,
};

export const besides: readonly Verb[] = [dev, worker, status, doctor, demo];

export const configShow: Verb = {
  name: 'show',
  about: 'Every setting, its value and, with --origin, where that came from.',
  flags: [{ flags: '--origin', about: 'say where each value came from' }],
  examples: ['waybill config show --origin', 'waybill config show -o json'],
  more: 'Secrets are masked. Flag > environment > waybill.toml > default.',
  load: async () => (await import('./config-show.js')).configShow,
};
