/**
 * The tables that hold messages and records, as far as a writer needs to know them. Columns are in the order of a row's
 * values; what each means is said in migrations/0001-tables.sql.
 */

export type ColumnType = 'int2' | 'int4' | 'int8' | 'text' | 'bytea' | 'int8[]' | 'int4[]' | 'jsonb';

export type Value = number | string | Buffer | readonly number[] | object | null;
export type Row = readonly Value[];

export interface Table {
  readonly name: string;
  readonly columns: readonly (readonly [name: string, type: ColumnType])[];
  /** Of the row's identity. */
  readonly key: readonly string[];
  /**
   * How a row meets another of its key. versioned: the higher version wins, and at the same one a living row. named: the
   * later proof wins. first: what is there stays. last: what comes replaces what is no newer.
   */
  readonly conflict: 'versioned' | 'named' | 'first' | 'last';
  /** Swept when a scan of its fid is complete: rows that are older than the snapshot and not in it are dead. */
  readonly swept: boolean;
}

const versioned = [
  ['ver', 'int8'],
  ['state', 'int2'],
  ['ts', 'int4'],
] as const;

/** In the order in which a transaction writes them: one order for all, so that none waits for another in a circle. */
export const tables = {
  casts: {
    name: 'casts',
    columns: [
      ['hash', 'bytea'],
      ['fid', 'int8'],
      ...versioned,
      ['remove_hash', 'bytea'],
      ['text', 'text'],
      ['cast_type', 'int2'],
      ['parent_fid', 'int8'],
      ['parent_hash', 'bytea'],
      ['parent_url', 'text'],
      ['mentions', 'int8[]'],
      ['mentions_positions', 'int4[]'],
      ['embeds', 'jsonb'],
    ],
    key: ['hash', 'fid'],
    conflict: 'versioned',
    swept: true,
  },
  reactions: {
    name: 'reactions',
    columns: [
      ['fid', 'int8'],
      ['reaction_type', 'int2'],
      ['target_fid', 'int8'],
      ['target', 'bytea'],
      ...versioned,
      ['hash', 'bytea'],
    ],
    key: ['fid', 'reaction_type', 'target_fid', 'target'],
    conflict: 'versioned',
    swept: true,
  },
  links: {
    name: 'links',
    columns: [
      ['fid', 'int8'],
      ['link_type', 'text'],
      ['target_fid', 'int8'],
      ...versioned,
      ['hash', 'bytea'],
      ['display_ts', 'int4'],
    ],
    key: ['fid', 'link_type', 'target_fid'],
    conflict: 'versioned',
    swept: true,
  },
  link_compact_states: {
    name: 'link_compact_states',
    columns: [['fid', 'int8'], ['link_type', 'text'], ...versioned, ['hash', 'bytea'], ['targets', 'int8[]']],
    key: ['fid', 'link_type'],
    conflict: 'versioned',
    swept: true,
  },
  verifications: {
    name: 'verifications',
    columns: [
      ['fid', 'int8'],
      ['address', 'bytea'],
      ...versioned,
      ['hash', 'bytea'],
      ['protocol', 'int2'],
      ['chain_id', 'int4'],
      ['verification_type', 'int2'],
      ['claim_signature', 'bytea'],
      ['block_hash', 'bytea'],
    ],
    key: ['fid', 'address'],
    conflict: 'versioned',
    swept: true,
  },
  user_data: {
    name: 'user_data',
    columns: [['fid', 'int8'], ['data_type', 'int2'], ...versioned, ['hash', 'bytea'], ['value', 'text']],
    key: ['fid', 'data_type'],
    conflict: 'versioned',
    swept: true,
  },
  user_data_changes: {
    name: 'user_data_changes',
    columns: [
      ['hash', 'bytea'],
      ['fid', 'int8'],
      ['data_type', 'int2'],
      ['ts', 'int4'],
      ['value', 'text'],
    ],
    key: ['hash'],
    conflict: 'first',
    swept: false,
  },
  username_proofs: {
    name: 'username_proofs',
    columns: [
      ['fid', 'int8'],
      ['name', 'text'],
      ...versioned,
      ['hash', 'bytea'],
      ['name_type', 'int2'],
      ['owner', 'bytea'],
      ['signature', 'bytea'],
      ['proved_at', 'int8'],
    ],
    key: ['fid', 'name'],
    conflict: 'versioned',
    swept: true,
  },
  fnames: {
    name: 'fnames',
    columns: [
      ['name', 'text'],
      ['fid', 'int8'],
      ['ver', 'int8'],
      ['state', 'int2'],
      ['proved_at', 'int8'],
      ['signature', 'bytea'],
      ['owner', 'bytea'],
    ],
    key: ['name'],
    conflict: 'named',
    swept: true,
  },
  storage_lends: {
    name: 'storage_lends',
    columns: [
      ['fid', 'int8'],
      ['to_fid', 'int8'],
      ...versioned,
      ['hash', 'bytea'],
      ['units', 'int8'],
      ['unit_type', 'int2'],
    ],
    key: ['fid', 'to_fid'],
    conflict: 'versioned',
    swept: true,
  },
  gasless_keys: {
    name: 'gasless_keys',
    columns: [
      ['fid', 'int8'],
      ['ver', 'int8'],
      ['state', 'int2'],
      ['keys', 'jsonb'],
    ],
    key: ['fid'],
    conflict: 'last',
    swept: true,
  },
  onchain_events: {
    name: 'onchain_events',
    columns: [
      ['fid', 'int8'],
      ['event_type', 'int2'],
      ['transaction_hash', 'bytea'],
      ['log_index', 'int4'],
      ['chain_id', 'int4'],
      ['block_number', 'int8'],
      ['block_hash', 'bytea'],
      ['block_timestamp', 'int8'],
      ['tx_index', 'int4'],
      ['version', 'int4'],
      ['body', 'jsonb'],
    ],
    key: ['fid', 'event_type', 'transaction_hash', 'log_index'],
    conflict: 'first',
    swept: false,
  },
  fids: {
    name: 'fids',
    columns: [
      ['fid', 'int8'],
      ['shard_id', 'int2'],
      ['ver', 'int8'],
      ['account_root', 'bytea'],
      ['num_messages', 'int8'],
    ],
    key: ['fid'],
    conflict: 'last',
    swept: false,
  },
  blocks: {
    name: 'blocks',
    columns: [
      ['height', 'int8'],
      ['ts', 'int4'],
      ['hash', 'bytea'],
    ],
    key: ['height'],
    conflict: 'last',
    swept: false,
  },
  quarantine: {
    name: 'quarantine',
    columns: [
      ['shard_id', 'int2'],
      ['place', 'text'],
      ['fid', 'int8'],
      ['ver', 'int8'],
      ['reason', 'text'],
      ['raw', 'bytea'],
    ],
    key: ['shard_id', 'place'],
    conflict: 'last',
    swept: false,
  },
  processed_messages: {
    name: 'processed_messages',
    columns: [
      ['hash', 'bytea'],
      ['fid', 'int8'],
      ['message_type', 'int2'],
      ['ts', 'int4'],
      ['ver', 'int8'],
      ['content', 'bytea'],
      ['signature', 'bytea'],
      ['signer', 'bytea'],
    ],
    key: ['hash'],
    conflict: 'first',
    swept: false,
  },
} as const satisfies Readonly<Record<string, Table>>;

export type TableName = keyof typeof tables;
export const tableNames = Object.keys(tables) as TableName[];
export const sweptTables = tableNames.filter((name) => tables[name].swept);
