/** The SQL that takes rows from a staging table into their own, by the rule of their table. Pure. */
import { tables, type Table, type TableName } from './tables';

export const stageOf = (table: TableName): string => `stage_${table}`;

export const createStage = (table: TableName): string => {
  const { columns } = tables[table];
  const list = columns.map(([name, type]) => `${name} ${type}`).join(', ');
  return `CREATE TEMP TABLE ${stageOf(table)} (${list}) ON COMMIT DELETE ROWS`;
};

/** Rows of `table`, into it or its stage. */
export const copyInto = (table: TableName, into: string): string =>
  `COPY ${into} (${tables[table].columns.map(([name]) => name).join(', ')}) FROM STDIN (FORMAT binary)`;

/**
 * A node does not see the links of a compact state's own block when it merges it: those stay. So blocks are compared.
 * A link that is dead by this keeps its own version: what came between the two must still win.
 */
const compacted = (link: string, state: string): string =>
  `${state}.fid = ${link}.fid AND ${state}.link_type = ${link}.link_type AND ${state}.state = 1 AND ${link}.state <> 0
     AND ${state}.ver >> 14 > ${link}.ver >> 14 AND ${link}.ts <= ${state}.ts
     AND (${link}.state = 2 OR NOT ${link}.target_fid = ANY (${state}.targets))`;

/** Rows of one key: the one that would win of them. Sorted, so that every transaction locks rows in the same order. */
function chosen(name: TableName): string {
  const { columns, key, conflict }: Table = tables[name];
  const names = columns.map(([column]) => column);
  const best = {
    versioned: ', ver DESC, (state <> 0) DESC',
    named: ', proved_at DESC, signature DESC, ver DESC, (state <> 0) DESC',
    first: '',
    last: names.includes('ver') ? ', ver DESC' : '',
  }[conflict];
  return `SELECT DISTINCT ON (${key.join(', ')}) ${names.join(', ')} FROM ${stageOf(name)} ORDER BY ${key.join(', ')}${best}`;
}

function condition(name: TableName): string {
  const { columns, conflict }: Table = tables[name];
  const names = columns.map(([column]) => column);
  // What says the same at the same version is left as it is: a repeated batch costs no row.
  const [said] = names.includes('remove_hash') ? ['remove_hash'] : ['hash'];
  const later = `(excluded.ver > o.ver OR (excluded.ver = o.ver AND excluded.state <> 0`;
  if (conflict === 'versioned')
    return `${later} AND (o.state, o.${said}) IS DISTINCT FROM (excluded.state, excluded.${said})))`;
  if (conflict === 'named')
    return `(excluded.proved_at, excluded.signature) > (o.proved_at, o.signature)
            OR ((excluded.proved_at, excluded.signature) = (o.proved_at, o.signature) AND ${later} AND o.state = 0)))`;
  return names.includes('ver') ? 'excluded.ver >= o.ver' : 'true';
}

export function takeFromStage(name: TableName): string {
  const { columns, key, conflict }: Table = tables[name];
  const names = columns.map(([column]) => column);
  const source =
    name === 'links'
      ? `SELECT ${names
          .map((column) => (column === 'state' ? 'CASE WHEN c.fid IS NULL THEN s.state ELSE 0 END' : `s.${column}`))
          .join(', ')}
           FROM (${chosen(name)}) AS s LEFT JOIN link_compact_states c ON ${compacted('s', 'c')}
          ORDER BY ${key.map((column) => `s.${column}`).join(', ')}`
      : chosen(name);
  const others = names.filter((column) => !key.includes(column));
  const change =
    conflict === 'first'
      ? 'DO NOTHING'
      : `DO UPDATE SET ${others.map((column) => `${column} = excluded.${column}`).join(', ')} WHERE ${condition(name)}`;
  return `INSERT INTO ${name} AS o (${names.join(', ')}) ${source} ON CONFLICT (${key.join(', ')}) ${change}`;
}

/** $1 fids: whether a link of theirs may have been ended already. */
export const someCompacted = `
  SELECT EXISTS (SELECT 1 FROM link_compact_states WHERE fid = ANY ($1::bigint[]) AND state = 1) AS some`;

/** After compact states have been taken: the links that they end. */
export const endCompacted = `
  UPDATE links SET state = 0, ver = d.compact_ver
    FROM (SELECT l.fid, l.link_type, l.target_fid, max(c.ver) AS compact_ver
            FROM ${stageOf('link_compact_states')} c JOIN links l ON ${compacted('l', 'c')}
           GROUP BY l.fid, l.link_type, l.target_fid ORDER BY l.fid, l.link_type, l.target_fid) AS d
   WHERE (links.fid, links.link_type, links.target_fid) = (d.fid, d.link_type, d.target_fid)`;

/** $1 fids that prove: what of them could not be read once. */
export const release = `DELETE FROM quarantine WHERE fid = ANY ($1::bigint[])`;

/** $1 fids, $2 the version that they were read at. */
export const sweepTable = (name: TableName): string =>
  `UPDATE ${name} SET state = 0 WHERE fid = ANY ($1::bigint[]) AND ver < $2 AND state <> 0`;

/** $1 a shard, $2 a version, $3 how many at most: tombstones of it that no row can come to any more. */
export const forgetDead = (name: TableName): string => `
  DELETE FROM ${name} WHERE ctid IN (
    SELECT t.ctid FROM ${name} t JOIN fids f ON f.fid = t.fid
     WHERE t.state = 0 AND t.ver <= $2 AND f.shard_id = $1 LIMIT $3) AND state = 0`;

/** $1 fids: fid, trie type, the key's rest; names are text. */
export const accountParts = [
  `SELECT fid, CASE state WHEN 1 THEN 1 ELSE 2 END AS type, CASE state WHEN 1 THEN hash ELSE remove_hash END AS hash
     FROM casts WHERE state <> 0 AND fid = ANY ($1::bigint[])`,
  `SELECT fid, 2 + state, hash FROM reactions WHERE state <> 0 AND fid = ANY ($1::bigint[])`,
  `SELECT fid, 4 + state, hash FROM links WHERE state <> 0 AND fid = ANY ($1::bigint[])`,
  `SELECT fid, 14, hash FROM link_compact_states WHERE state <> 0 AND fid = ANY ($1::bigint[])`,
  `SELECT fid, 6 + state, hash FROM verifications WHERE state <> 0 AND fid = ANY ($1::bigint[])`,
  `SELECT fid, 11, hash FROM user_data WHERE state <> 0 AND fid = ANY ($1::bigint[])`,
  `SELECT fid, 12, hash FROM username_proofs WHERE state <> 0 AND fid = ANY ($1::bigint[])`,
  // Under the lender and under the borrower.
  `SELECT fid, 15, hash FROM storage_lends WHERE state <> 0 AND fid = ANY ($1::bigint[])`,
  `SELECT to_fid, 15, hash FROM storage_lends WHERE state <> 0 AND to_fid = ANY ($1::bigint[])`,
].join(' UNION ALL ');

export const accountEvents = `
  SELECT fid, event_type AS type, transaction_hash AS hash, log_index FROM onchain_events WHERE fid = ANY ($1::bigint[])`;
export const accountNames = `SELECT fid, name FROM fnames WHERE state <> 0 AND fid = ANY ($1::bigint[])`;
/** Keys as hexadecimal digits, which are in the order of their bytes. */
export const accountGaslessKeys = `
  SELECT g.fid, array_agg(k.each ->> 'key' ORDER BY k.each ->> 'key' COLLATE "C") AS keys
    FROM gasless_keys g CROSS JOIN LATERAL jsonb_array_elements(g.keys) AS k (each)
   WHERE g.state = 1 AND g.fid = ANY ($1::bigint[]) GROUP BY g.fid`;
