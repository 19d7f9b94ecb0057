/** The snapchain job on the command line: its flags, its words and the verbs that only it has. Pure; the rest is loaded when called. */
import { patience, share, whichJob, wholeNumber } from '../flags';
import type { Flag, JobCommand, Verb } from '../verb';

const shards: Flag = {
  flags: '--shard <n>',
  about: 'a shard to sync; repeat for more; 0 is the shard of blocks (default: every data shard)',
  key: 'snapchain.sync.shard_ids',
  many: true,
};
const types: Flag = {
  flags: '--type <records>',
  about: 'only these records, such as casts or links; repeat for more',
  key: 'snapchain.sync.types',
  many: true,
};
const fids: Flag = {
  flags: '--fid <n>',
  about: 'only this user; repeat for more',
  key: 'snapchain.sync.fids',
  many: true,
};

/** Which of the snapchain jobs: nodes and database belong to no host, so no flag but the name says it. */
const which = {
  namedBy: 'the database, where its address is configured here',
  which: [],
} as const satisfies Pick<JobCommand, 'namedBy' | 'which'>;

const verify: Verb = {
  name: 'verify',
  about:
    'Prove the tables against the node, account by account, by Merkle root. Changes nothing, unless it is to repair.',
  flags: [
    ...whichJob(which),
    shards,
    fids,
    { flags: '--sample <share>', about: 'share of users looked at, such as 0.01 (default: all)', parse: share },
    { flags: '--from <fid>', about: 'first user looked at', parse: wholeNumber(1, 0xffff_ffff) },
    { flags: '--to <fid>', about: 'last user looked at', parse: wholeNumber(1, 0xffff_ffff) },
    { flags: '--repair', about: 'read what differs anew from the node' },
    { flags: '--differences <n>', about: 'differing accounts named (default: 100)', parse: wholeNumber(0, 1000) },
    patience,
  ],
  examples: ['waybill snapchain verify --sample 0.01', 'waybill snapchain verify --shard 1 --repair -o json'],
  more:
    'A root covers every living message of a user, those that remove something included. No root covers the list of\n' +
    'gasless keys: it is compared with the node’s own. Exits 1 on drift, 5 where something could not be proved.',
  load: async () => (await import('./verify.js')).verify,
};

export const snapchain: JobCommand = {
  kind: 'snapchain',
  about: 'Farcaster’s state from a snapchain node into PostgreSQL, proved complete, and then followed.',
  lane: 'shard',
  ...which,
  settings: [
    shards,
    types,
    fids,
    {
      flags: '--history <boolean>',
      about: 'read each shard’s newest snapshot (default: true)',
      key: 'snapchain.sync.enable_historical_sync',
    },
    {
      flags: '--follow <boolean>',
      about: 'follow the shards’ events, without end (default: true)',
      key: 'snapchain.sync.enable_realtime_sync',
    },
    {
      flags: '--batch-size <n>',
      about: 'rows of one transaction, about (default: 5000)',
      key: 'snapchain.sync.batch_size',
    },
    {
      flags: '--parallel <n>',
      about: 'stretches of a shard’s trie read at the same time (default: 4)',
      key: 'snapchain.sync.parallel',
    },
    { flags: '--leg-seconds <n>', about: 'how long one leg lasts', key: 'snapchain.sync.leg_seconds', hidden: true },
    {
      flags: '--heartbeat-seconds <n>',
      about: 'a worker that is silent for this long is taken for dead',
      key: 'snapchain.sync.heartbeat_seconds',
      hidden: true,
    },
  ],
  exampleFlags: '--follow false',
  exampleChange: '--parallel 2',
  verbs: [verify],
  load: async () => (await import('./knowledge.js')).snapchainKnowledge,
};
