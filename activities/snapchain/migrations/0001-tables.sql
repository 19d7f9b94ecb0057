-- Farcaster's state as a shard's nodes have it. In every table of messages:
--   ver    the id of the event that set the row, (height << 14) | sequence; a snapshot's rows have the last id before the
--          next block. The higher one wins, so scan, tail, replays and repairs may come in any order.
--   state  1 added, 2 removed (by a message that is live itself), 0 dead (pruned, revoked, replaced, swept): kept as a
--          tombstone, for an older row may still arrive.
--   ts     the network's seconds, since 2021-01-01T00:00:00Z.
-- Read by the views of schema farcaster, which show what is live.

CREATE TABLE casts (
  hash bytea NOT NULL,
  fid bigint NOT NULL,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  ts integer NOT NULL,
  -- Of the message that removed it.
  remove_hash bytea,
  text text,
  cast_type smallint,
  parent_fid bigint,
  parent_hash bytea,
  parent_url text,
  mentions bigint[],
  mentions_positions integer[],
  embeds jsonb,
  -- Anybody may say that he removes a cast of this hash, though it be another's: that is a message of his own.
  PRIMARY KEY (hash, fid)
);
CREATE INDEX casts_fid ON casts (fid, ts);
CREATE INDEX casts_parent ON casts (parent_hash) WHERE parent_hash IS NOT NULL;
CREATE INDEX casts_parent_url ON casts (parent_url) WHERE parent_url IS NOT NULL;
CREATE INDEX casts_dead ON casts (ver) WHERE state = 0;

CREATE TABLE reactions (
  fid bigint NOT NULL,
  reaction_type smallint NOT NULL,
  -- 0: the target is an address, as UTF-8; otherwise a cast's hash.
  target_fid bigint NOT NULL,
  target bytea NOT NULL,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  ts integer NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (fid, reaction_type, target_fid, target)
);
CREATE INDEX reactions_target ON reactions (target, reaction_type);
CREATE INDEX reactions_dead ON reactions (ver) WHERE state = 0;

CREATE TABLE links (
  fid bigint NOT NULL,
  link_type text NOT NULL,
  target_fid bigint NOT NULL,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  ts integer NOT NULL,
  hash bytea NOT NULL,
  display_ts integer,
  PRIMARY KEY (fid, link_type, target_fid)
);
CREATE INDEX links_target ON links (target_fid, link_type);
CREATE INDEX links_dead ON links (ver) WHERE state = 0;

CREATE TABLE link_compact_states (
  fid bigint NOT NULL,
  link_type text NOT NULL,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  ts integer NOT NULL,
  hash bytea NOT NULL,
  targets bigint[] NOT NULL,
  PRIMARY KEY (fid, link_type)
);
CREATE INDEX link_compact_states_dead ON link_compact_states (ver) WHERE state = 0;

CREATE TABLE verifications (
  fid bigint NOT NULL,
  address bytea NOT NULL,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  ts integer NOT NULL,
  hash bytea NOT NULL,
  protocol smallint NOT NULL,
  chain_id integer,
  verification_type smallint,
  claim_signature bytea,
  block_hash bytea,
  PRIMARY KEY (fid, address)
);
CREATE INDEX verifications_address ON verifications (address);
CREATE INDEX verifications_dead ON verifications (ver) WHERE state = 0;

CREATE TABLE user_data (
  fid bigint NOT NULL,
  data_type smallint NOT NULL,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  ts integer NOT NULL,
  hash bytea NOT NULL,
  value text NOT NULL,
  PRIMARY KEY (fid, data_type)
);
CREATE INDEX user_data_dead ON user_data (ver) WHERE state = 0;

-- Every value that was seen, whether it is still held or not.
CREATE TABLE user_data_changes (
  hash bytea PRIMARY KEY,
  fid bigint NOT NULL,
  data_type smallint NOT NULL,
  ts integer NOT NULL,
  value text NOT NULL
);
CREATE INDEX user_data_changes_fid ON user_data_changes (fid, ts);

-- ENS and base names, proved by messages.
CREATE TABLE username_proofs (
  fid bigint NOT NULL,
  name text NOT NULL,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  ts integer NOT NULL,
  hash bytea NOT NULL,
  name_type smallint NOT NULL,
  owner bytea NOT NULL,
  signature bytea NOT NULL,
  -- Unix seconds.
  proved_at bigint NOT NULL,
  PRIMARY KEY (fid, name)
);
CREATE INDEX username_proofs_name ON username_proofs (name);
CREATE INDEX username_proofs_dead ON username_proofs (ver) WHERE state = 0;

-- Names of the name server: the later proof wins, then the greater signature. Shards have copies of each other's.
CREATE TABLE fnames (
  name text PRIMARY KEY,
  -- 0: given up.
  fid bigint NOT NULL,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  -- Unix seconds.
  proved_at bigint NOT NULL,
  signature bytea NOT NULL,
  owner bytea NOT NULL
);
CREATE INDEX fnames_fid ON fnames (fid);

CREATE TABLE storage_lends (
  fid bigint NOT NULL,
  to_fid bigint NOT NULL,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  ts integer NOT NULL,
  hash bytea NOT NULL,
  units bigint NOT NULL,
  unit_type smallint NOT NULL,
  PRIMARY KEY (fid, to_fid)
);
CREATE INDEX storage_lends_to ON storage_lends (to_fid);
CREATE INDEX storage_lends_dead ON storage_lends (ver) WHERE state = 0;

-- Append-only, as the chain is.
CREATE TABLE onchain_events (
  fid bigint NOT NULL,
  event_type smallint NOT NULL,
  transaction_hash bytea NOT NULL,
  log_index integer NOT NULL,
  chain_id integer NOT NULL,
  block_number bigint NOT NULL,
  block_hash bytea NOT NULL,
  -- Unix seconds.
  block_timestamp bigint NOT NULL,
  tx_index integer NOT NULL,
  version integer NOT NULL,
  body jsonb NOT NULL,
  PRIMARY KEY (fid, event_type, transaction_hash, log_index)
);

-- Nodes store no frame actions, neither in their tries nor in their logs: this table stays empty. It is here because
-- readers of the original's schema ask for it.
CREATE TABLE frame_actions (
  hash bytea PRIMARY KEY,
  fid bigint NOT NULL,
  ts integer NOT NULL,
  url text,
  button_index integer,
  cast_fid bigint,
  cast_hash bytea
);

-- Accounts as they were last proved by a scan: root and number of leaves of the fid in its own shard.
CREATE TABLE fids (
  fid bigint PRIMARY KEY,
  shard_id smallint NOT NULL,
  ver bigint NOT NULL,
  account_root bytea NOT NULL,
  num_messages bigint NOT NULL
);

-- Blocks of shard 0.
CREATE TABLE blocks (
  height bigint PRIMARY KEY,
  ts integer NOT NULL,
  hash bytea NOT NULL
);

-- What could not be read, with the reason; `place` is a trie key, an event's id, an account or a virtual shard. What is of an
-- account goes when the account proves.
CREATE TABLE quarantine (
  shard_id smallint NOT NULL,
  place text NOT NULL,
  fid bigint,
  ver bigint NOT NULL,
  reason text NOT NULL,
  raw bytea NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard_id, place)
);
CREATE INDEX quarantine_fid ON quarantine (fid) WHERE fid IS NOT NULL;

-- Every message's own bytes, where the job is told to keep them. Nothing reads it to go on: it is for people.
CREATE TABLE processed_messages (
  hash bytea PRIMARY KEY,
  fid bigint NOT NULL,
  message_type smallint NOT NULL,
  ts integer NOT NULL,
  ver bigint NOT NULL,
  content bytea NOT NULL,
  signature bytea NOT NULL,
  signer bytea NOT NULL
);

-- For people and dashboards. No resume reads it: where a run stands is in Temporal.
CREATE TABLE sync_progress (
  shard_id smallint NOT NULL,
  part text NOT NULL,
  last_processed_height bigint NOT NULL,
  total_messages bigint NOT NULL DEFAULT 0,
  status text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard_id, part)
);
