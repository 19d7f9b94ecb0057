/**
 * How far the rows have settled, and which came later: by what PostgreSQL says of its open transactions.
 *
 * A watermark counts from the moment it is taken: pages that rely on it are read after it, never before. A transaction
 * that was open then holds `before` back, or its rows are at or after the horizon, where a sweep looks.
 */
import type { PoolClient } from 'pg';
import type { Watermark } from './source';

/** An open transaction that has not written yet may still do so, with its start as created_at. */
const silentTransactionSeconds = 60;
/** Where numbers of 32 bits cannot be told apart any more. */
const halfCircle = 2 ** 31;

export async function readWatermark(client: PoolClient, settleSeconds: number): Promise<Watermark> {
  const { rows } = await client.query<{ before: string; horizon: string; exact: boolean }>(
    // Whoever writes counts, a replication's apply worker too. Vacuum and those who only send do not write rows.
    `SELECT least(
              clock_timestamp() - make_interval(secs => $1),
              (SELECT min(xact_start) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                  AND backend_type NOT IN ('autovacuum worker', 'walsender')
                  AND (backend_xid IS NOT NULL OR xact_start > clock_timestamp() - make_interval(secs => $2))),
              (SELECT min(prepared) - make_interval(secs => $1) FROM pg_prepared_xacts WHERE database = current_database())
            )::text AS before,
            pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
            NOT pg_is_in_recovery() AND pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS exact`,
    [settleSeconds, silentTransactionSeconds],
  );
  const [found] = rows;
  if (found === undefined) throw new Error('the watermark query gave no row');
  return found;
}

/**
 * SQL: rows `o` whose transaction is at or after a horizon, perhaps with some that are older, never without one that is
 * not. A row has the low 32 bits of its transaction's number, which go in a circle: whoever is less than half of it ahead
 * of the horizon is later. Once the horizon is half a circle behind nothing can be told apart: then all rows.
 */
export function writtenSince(horizon: string): string {
  const behind = `pg_snapshot_xmax(pg_current_snapshot())::text::numeric - ${horizon}::numeric`;
  const ahead = `(o.xmin::text::bigint - (${horizon}::numeric % 4294967296)::bigint) & 4294967295`;
  return `(${behind} >= ${halfCircle} OR ${ahead} < ${halfCircle})`;
}
