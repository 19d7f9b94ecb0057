/** The recall job on the command line: its flags, its words and the verbs that only it has. Pure; the rest is loaded when called. */
import { detach, interval, patience, share, whichJob, wholeNumber } from '../flags';
import type { Flag, JobCommand, Verb } from '../verb';

const filters: readonly Flag[] = [
  {
    flags: '--since <time>',
    about: 'only rows created at or after it, as 2026-01-31T12:00:00Z',
    key: 'recall.sync.since',
  },
  { flags: '--until <time>', about: 'only rows created before it', key: 'recall.sync.until' },
  {
    flags: '--competition <uuid>',
    about: 'only rows of this competition; repeat for more',
    key: 'recall.sync.competitions',
    many: true,
  },
  { flags: '--agent <uuid>', about: 'only rows of this agent; repeat for more', key: 'recall.sync.agents', many: true },
  {
    flags: '--data-type <type>',
    about: 'only rows of this data type; repeat for more',
    key: 'recall.sync.data_types',
    many: true,
  },
];
const network: Flag = {
  flags: '--network <name>',
  about: 'network to write to, by its name in the worker’s networks file (default: testnet)',
  key: 'recall.recall.network',
};
const bucket: Flag = {
  flags: '--bucket <address>',
  about: 'bucket to write to (default: one of the job’s own, made once)',
  key: 'recall.recall.bucket',
};
const ttl: Flag = {
  flags: '--ttl <epochs>',
  about: 'how long objects live, in epochs of about a second (default: 86400)',
  key: 'recall.sync.ttl',
};

/** Which of the recall jobs: the rows and the chain belong to no host, so no flag but the name says it. */
const which = {
  namedBy: 'the database, where its address is configured here',
  which: [],
} as const satisfies Pick<JobCommand, 'namedBy' | 'which'>;

const verify: Verb = {
  name: 'verify',
  about: 'Compare rows with what the network holds, by size and sha256. Changes nothing.',
  flags: [
    ...whichJob(which),
    ...filters,
    network,
    bucket,
    { flags: '--sample <share>', about: 'share of rows looked at, such as 0.01 (default: all)', parse: share },
    { flags: '--bytes', about: 'read every object back from the network and hash it' },
    { flags: '--differences <n>', about: 'differing objects named (default: 100)', parse: wholeNumber(0, 1000) },
    patience,
  ],
  examples: ['waybill recall verify', 'waybill recall verify --sample 0.01 --bytes -o json'],
  more:
    'Without --bytes the sha256 is the one that went on chain with the object. A sample has the same rows every time.\n' +
    'Exits 1 on drift, 5 where nothing differs but something could not be proved.',
  load: async () => (await import('./verify.js')).verify,
};

const renew: Verb = {
  name: 'renew',
  about: 'Extend the lives of objects that expire soon, and bring back what has gone. Once, or at an interval.',
  flags: [
    ...whichJob(which),
    {
      flags: '--margin <epochs>',
      about: 'less than this to live is soon (default: 21600)',
      key: 'recall.renew.margin',
    },
    ttl,
    interval('go on doing it, every so many seconds'),
    { flags: '--stop', about: 'take the interval away' },
    detach,
    patience,
  ],
  examples: ['waybill recall renew', 'waybill recall renew --margin 43200 --interval 10800'],
  more:
    'An ordinary account’s objects live a day at most. Only what the network no longer has is uploaded again. Renewal takes\n' +
    'turns with the job’s own runs: a wallet signs for one of them at a time. As a job of its own it is NAME/renew: look at\n' +
    'it, pause or end it with --job NAME/renew.',
  load: async () => (await import('./renew.js')).renew,
};

export const recall: JobCommand = {
  kind: 'recall',
  about: 'Rows of a PostgreSQL table, and their objects, into a bucket on the Recall network.',
  lane: 'wallet',
  ...which,
  settings: [
    ...filters,
    network,
    bucket,
    {
      flags: '--batch-size <n>',
      about: 'objects signed and confirmed together (default: 500)',
      key: 'recall.sync.batch_size',
    },
    { flags: '--uploads <n>', about: 'objects uploaded at the same time (default: 16)', key: 'recall.sync.uploads' },
    ttl,
    { flags: '--leg-seconds <n>', about: 'how long one leg lasts', key: 'recall.sync.leg_seconds', hidden: true },
    {
      flags: '--heartbeat-seconds <n>',
      about: 'a worker that is silent for this long is taken for dead',
      key: 'recall.sync.heartbeat_seconds',
      hidden: true,
    },
  ],
  exampleFlags: '--since 2026-01-31T00:00:00Z',
  exampleChange: '--uploads 8',
  rehearsal: {
    flag: { flags: '--dry-run', about: 'count what would be sent, send nothing' },
    load: async () => (await import('./dry-run.js')).dryRun,
  },
  verbs: [verify, renew],
  load: async () => (await import('./knowledge.js')).recallKnowledge,
};
