-- Keys that were added by message. No page and no log has them: this is a node's list of an account's keys, read at `ver`.
CREATE TABLE gasless_keys (
  fid bigint PRIMARY KEY,
  ver bigint NOT NULL,
  state smallint NOT NULL,
  keys jsonb NOT NULL
);

-- A key expires when it was not used for ttl_seconds: its node knows when that was.
CREATE VIEW farcaster.gasless_keys AS
  SELECT g.fid, k.each ->> 'key' AS key, (k.each ->> 'keyType')::int AS key_type,
         to_timestamp((k.each ->> 'addedAt')::bigint) AS added_at, k.each -> 'scopes' AS scopes,
         (k.each ->> 'ttlSeconds')::int AS ttl_seconds, (k.each ->> 'requestFid')::bigint AS request_fid,
         (k.each ->> 'nonce')::bigint AS nonce
    FROM gasless_keys g CROSS JOIN LATERAL jsonb_array_elements(g.keys) AS k (each) WHERE g.state = 1;

-- Whoever may sign for a fid now: keys of the chain's log, which may sign anything, and those of messages.
CREATE OR REPLACE VIEW farcaster.signers AS
  SELECT fid, key, key_type, added_at, false AS gasless, NULL::jsonb AS scopes FROM (
    SELECT DISTINCT ON (fid, body ->> 'key') fid, body ->> 'key' AS key, (body ->> 'keyType')::int AS key_type,
           (body ->> 'change')::int AS change, to_timestamp(block_timestamp) AS added_at
      FROM onchain_events WHERE event_type = 1
     ORDER BY fid, body ->> 'key', block_number DESC, log_index DESC
  ) AS last WHERE change = 1
  UNION ALL
  SELECT fid, key, key_type, added_at, true, scopes FROM farcaster.gasless_keys;
