/** A snapchain job on real servers: an emulated node, PostgreSQL, Temporal, a worker in this process. */
import { createHash } from 'node:crypto';
import { Client } from 'pg';
import type { LegResult } from '../../activities/shared/contract';
import { createSnapchainActivities, type SnapchainDeps } from '../../activities/snapchain/activities';
import {
  scanSettings,
  tailSettings,
  type ScanCursor,
  type TailCursor,
  type TailInput,
} from '../../activities/snapchain/contract';
import { loadHashing } from '../../activities/snapchain/hashing';
import { connectNode } from '../../activities/snapchain/node-client';
import { createPostgresDestination } from '../../activities/snapchain/postgres-destination';
import { makeDatabase, type OwnDatabase } from '../peers/database';
import { runActivity } from './activity';
import { neededVariable } from './object-index';

export interface TestDatabase extends OwnDatabase {
  readonly client: Client;
}

export async function createTestDatabase(): Promise<TestDatabase> {
  const own = await makeDatabase(neededVariable('WAYBILL_TEST_POSTGRES_URL'), 'snapchain');
  const client = new Client({ connectionString: own.url });
  client.on('error', () => undefined);
  await client.connect();
  return {
    url: own.url,
    client,
    drop: async () => {
      await client.end();
      await own.drop();
    },
  };
}

export interface SnapchainParts {
  readonly deps: SnapchainDeps;
  readonly activities: ReturnType<typeof createSnapchainActivities>;
  close(): Promise<void>;
}

/** What a worker with these settings would have. */
export async function snapchainParts(endpoints: readonly string[], url: string): Promise<SnapchainParts> {
  await loadHashing();
  const node = connectNode({ endpoints });
  const destination = createPostgresDestination({ url, maxConnections: 8 });
  await destination.migrate(new AbortController().signal);
  const deps: SnapchainDeps = {
    ready: async (signal) => ({ node, destination, numShards: (await node.info(signal)).numShards }),
  };
  return {
    deps,
    activities: createSnapchainActivities(deps),
    close: async () => {
      node.close();
      await destination.close();
    },
  };
}

type Activities = SnapchainParts['activities'];
const legMs = 10_000;

/** A whole scan, stretch after stretch, as many legs as it takes. What a leg throws is `troubled`'s to throw on, or to mend. */
export async function scanShard(
  activities: Activities,
  shard: number,
  more: object = {},
  troubled: (error: unknown) => void = (error) => {
    throw error;
  },
): Promise<ScanCursor[]> {
  const settings = scanSettings.parse({ shard, signatureSample: 1, ...more });
  const opened = await runActivity(activities.openScan, settings);
  const ended: ScanCursor[] = [];
  for (const { lane, cursor: first } of opened.stretches) {
    let cursor = first;
    for (let drained = false; !drained;) {
      const leg = { lane, cursor, settings, retry: [], budgetMs: legMs };
      try {
        ({ cursor, drained } = await runActivity(activities.scanVirtualShards, leg));
      } catch (error) {
        troubled(error);
      }
    }
    ended.push(cursor);
  }
  return ended;
}

/** A shard's log from an event on to its end, or to a hole. */
export async function tailShard(
  activities: Activities,
  shard: number,
  startId: number,
  more: object = {},
): Promise<TailCursor> {
  const settings = tailSettings.parse({ shard, startId, live: false, signatureSample: 1, ...more });
  let cursor: TailCursor | null = null;
  for (let drained = false; !drained && (cursor?.gap ?? null) === null;) {
    const leg: TailInput = { lane: `shard ${shard}`, cursor, settings, retry: [], budgetMs: legMs };
    const result: LegResult<TailCursor> = await runActivity(activities.tailEvents, leg);
    ({ cursor, drained } = result);
  }
  return cursor as unknown as TailCursor;
}

const liveMessages = `
  SELECT CASE state WHEN 1 THEN 'CAST_ADD' ELSE 'CAST_REMOVE' END AS type, CASE state WHEN 1 THEN hash ELSE remove_hash END AS hash
    FROM snapchain.casts WHERE state <> 0
  UNION ALL SELECT CASE state WHEN 1 THEN 'REACTION_ADD' ELSE 'REACTION_REMOVE' END, hash FROM snapchain.reactions WHERE state <> 0
  UNION ALL SELECT CASE state WHEN 1 THEN 'LINK_ADD' ELSE 'LINK_REMOVE' END, hash FROM snapchain.links WHERE state <> 0
  UNION ALL SELECT 'LINK_COMPACT_STATE', hash FROM snapchain.link_compact_states WHERE state <> 0
  UNION ALL SELECT CASE state WHEN 1 THEN 'VERIFICATION_ADD_ETH_ADDRESS' ELSE 'VERIFICATION_REMOVE' END, hash FROM snapchain.verifications WHERE state <> 0
  UNION ALL SELECT 'USER_DATA_ADD', hash FROM snapchain.user_data WHERE state <> 0
  UNION ALL SELECT 'USERNAME_PROOF', hash FROM snapchain.username_proofs WHERE state <> 0
  UNION ALL SELECT 'LEND_STORAGE', hash FROM snapchain.storage_lends WHERE state <> 0`;
const onChainNames: Readonly<Record<number, string>> = {
  1: 'SIGNER',
  3: 'ID_REGISTER',
  4: 'STORAGE_RENT',
  5: 'TIER_PURCHASE',
};

export interface Outcome {
  readonly messages: number;
  readonly sha256: string;
  readonly byType: Record<string, number>;
  readonly onChain: Record<string, number>;
  readonly fids: number;
  readonly names: number;
}

/** Counts and the hash over living messages, as truth.json has them. */
export async function outcomeOf(client: Client): Promise<Outcome> {
  const { rows } = await client.query<{ type: string; hash: Buffer }>(liveMessages);
  const { rows: events } = await client.query<{ type: number; count: number; fids: number }>(
    'SELECT event_type AS type, count(*)::int AS count, count(DISTINCT fid)::int AS fids FROM snapchain.onchain_events GROUP BY 1',
  );
  const { rows: names } = await client.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM snapchain.fnames WHERE state <> 0 AND fid <> 0',
  );
  const byType: Record<string, number> = {};
  for (const { type } of rows) byType[type] = (byType[type] ?? 0) + 1;
  const hashes = rows.map(({ hash }) => hash.toString('hex')).sort();
  return {
    messages: rows.length,
    sha256: createHash('sha256').update(hashes.join('\n')).digest('hex'),
    byType,
    onChain: Object.fromEntries(events.map(({ type, count }) => [onChainNames[type] ?? String(type), count])),
    fids: events.find(({ type }) => type === 3)?.fids ?? 0,
    names: names[0]?.count ?? 0,
  };
}

/** Gasless keys by the readers' view, as lines like the peer's. */
export async function knownKeys(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `SELECT concat_ws(' ', fid, key, nonce, ttl_seconds, scopes::text, extract(epoch FROM added_at)::bigint) AS line
       FROM farcaster.gasless_keys ORDER BY fid, key COLLATE "C"`,
  );
  return rows.map(({ line }) => line);
}
