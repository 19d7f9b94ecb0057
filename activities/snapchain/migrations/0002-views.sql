-- What readers want: live rows, times as times, no versions. Names are the original's.

CREATE SCHEMA IF NOT EXISTS farcaster;

CREATE FUNCTION farcaster.time_of(ts bigint) RETURNS timestamptz
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT to_timestamp(ts + 1609459200) $$;

CREATE VIEW farcaster.casts AS
  SELECT hash AS message_hash, fid, text, cast_type, parent_fid, parent_hash, parent_url, mentions, mentions_positions, embeds,
         farcaster.time_of(ts) AS "timestamp"
    FROM casts WHERE state = 1;

CREATE VIEW farcaster.reactions AS
  SELECT fid, reaction_type, nullif(target_fid, 0) AS target_fid,
         CASE WHEN target_fid <> 0 THEN target END AS target_cast_hash,
         CASE WHEN target_fid = 0 THEN convert_from(target, 'UTF8') END AS target_url,
         hash AS message_hash, farcaster.time_of(ts) AS "timestamp"
    FROM reactions WHERE state = 1;

CREATE VIEW farcaster.links AS
  SELECT fid, link_type, target_fid, hash AS message_hash, farcaster.time_of(ts) AS "timestamp",
         farcaster.time_of(display_ts) AS display_timestamp
    FROM links WHERE state = 1;

CREATE VIEW farcaster.link_compact_states AS
  SELECT fid, link_type, targets, hash AS message_hash, farcaster.time_of(ts) AS "timestamp"
    FROM link_compact_states WHERE state = 1;

CREATE VIEW farcaster.verifications AS
  SELECT fid, address, protocol, chain_id, verification_type, claim_signature, block_hash, hash AS message_hash,
         farcaster.time_of(ts) AS "timestamp"
    FROM verifications WHERE state = 1;

CREATE VIEW farcaster.user_data AS
  SELECT fid, data_type, value, hash AS message_hash, farcaster.time_of(ts) AS "timestamp"
    FROM user_data WHERE state = 1;

CREATE VIEW farcaster.user_data_changes AS
  SELECT fid, data_type, value, hash AS message_hash, farcaster.time_of(ts) AS "timestamp" FROM user_data_changes;

CREATE VIEW farcaster.username_proofs AS
  SELECT name, fid, name_type, owner, signature, hash AS message_hash, to_timestamp(proved_at) AS "timestamp"
    FROM username_proofs WHERE state = 1;

CREATE VIEW farcaster.fnames AS
  SELECT name, fid, owner, signature, to_timestamp(proved_at) AS "timestamp" FROM fnames WHERE state = 1 AND fid <> 0;

CREATE VIEW farcaster.storage_lends AS
  SELECT fid, to_fid, units, unit_type, hash AS message_hash, farcaster.time_of(ts) AS "timestamp"
    FROM storage_lends WHERE state = 1;

CREATE VIEW farcaster.onchain_events AS
  SELECT fid, event_type, chain_id, block_number, block_hash, to_timestamp(block_timestamp) AS block_timestamp,
         transaction_hash, log_index, body
    FROM onchain_events;

CREATE VIEW farcaster.frame_actions AS SELECT * FROM frame_actions;

-- Who holds a fid: the last registration or transfer, and the last word on its recovery address.
CREATE VIEW farcaster.fids AS
  SELECT e.fid,
         (array_agg(e.body ->> 'to' ORDER BY e.block_number DESC, e.log_index DESC) FILTER (WHERE e.body ->> 'change' IN ('1', '2')))[1] AS custody_address,
         (array_agg(e.body ->> 'recoveryAddress' ORDER BY e.block_number DESC, e.log_index DESC) FILTER (WHERE e.body ->> 'change' IN ('1', '3')))[1] AS recovery_address,
         to_timestamp(min(e.block_timestamp)) AS registered_at
    FROM onchain_events e WHERE e.event_type = 3 GROUP BY e.fid;

-- Keys added on chain and not removed since. Those of key messages no log tells.
CREATE VIEW farcaster.signers AS
  SELECT fid, key, key_type, added_at FROM (
    SELECT DISTINCT ON (fid, body ->> 'key') fid, body ->> 'key' AS key, (body ->> 'keyType')::int AS key_type,
           (body ->> 'change')::int AS change, to_timestamp(block_timestamp) AS added_at
      FROM onchain_events WHERE event_type = 1
     ORDER BY fid, body ->> 'key', block_number DESC, log_index DESC
  ) AS last WHERE change = 1;

CREATE VIEW farcaster.storage_units AS
  SELECT fid, sum((body ->> 'units')::bigint) AS units FROM onchain_events WHERE event_type = 4 GROUP BY fid;

CREATE VIEW farcaster.user_profiles AS
  SELECT fid,
         max(value) FILTER (WHERE data_type = 6) AS username,
         max(value) FILTER (WHERE data_type = 2) AS display_name,
         max(value) FILTER (WHERE data_type = 3) AS bio,
         max(value) FILTER (WHERE data_type = 1) AS pfp_url,
         max(value) FILTER (WHERE data_type = 5) AS url,
         max(value) FILTER (WHERE data_type = 7) AS location,
         farcaster.time_of(max(ts)) AS updated_at
    FROM user_data WHERE state = 1 GROUP BY fid;

-- The profile as it was after each change of it that was seen.
CREATE VIEW farcaster.user_profile_snapshots AS
  SELECT c.fid, farcaster.time_of(c.ts) AS snapshot_at, c.hash AS message_hash,
         p.username, p.display_name, p.bio, p.pfp_url, p.url, p.location
    FROM user_data_changes c CROSS JOIN LATERAL (
      SELECT max(value) FILTER (WHERE data_type = 6) AS username,
             max(value) FILTER (WHERE data_type = 2) AS display_name,
             max(value) FILTER (WHERE data_type = 3) AS bio,
             max(value) FILTER (WHERE data_type = 1) AS pfp_url,
             max(value) FILTER (WHERE data_type = 5) AS url,
             max(value) FILTER (WHERE data_type = 7) AS location
        FROM (SELECT DISTINCT ON (b.data_type) b.data_type, b.value
                FROM user_data_changes b WHERE b.fid = c.fid AND (b.ts, b.hash) <= (c.ts, c.hash)
               ORDER BY b.data_type, b.ts DESC, b.hash DESC) AS latest
    ) AS p;

-- A view, not a table: the original's had grown to 356 GB of copies.
CREATE VIEW farcaster.user_activity_timeline AS
  SELECT fid, 'cast' AS activity_type, hash AS message_hash, farcaster.time_of(ts) AS "timestamp" FROM casts WHERE state = 1
  UNION ALL
  SELECT fid, CASE reaction_type WHEN 1 THEN 'like' WHEN 2 THEN 'recast' ELSE 'reaction' END, hash, farcaster.time_of(ts) FROM reactions WHERE state = 1
  UNION ALL
  SELECT fid, link_type, hash, farcaster.time_of(ts) FROM links WHERE state = 1
  UNION ALL
  SELECT fid, 'verification', hash, farcaster.time_of(ts) FROM verifications WHERE state = 1
  UNION ALL
  SELECT fid, 'user_data', hash, farcaster.time_of(ts) FROM user_data WHERE state = 1
  UNION ALL
  SELECT fid, 'username_proof', hash, farcaster.time_of(ts) FROM username_proofs WHERE state = 1;

CREATE VIEW farcaster.processed_messages AS
  SELECT hash AS message_hash, fid, message_type, farcaster.time_of(ts) AS "timestamp", content, signature, signer FROM processed_messages;

CREATE VIEW farcaster.sync_progress AS SELECT * FROM sync_progress;
