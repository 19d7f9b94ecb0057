/**
 * Worker, Temporal, node and PostgreSQL killed or cut at seeded moments, while history is read and blocks go on: the tables
 * end as the network's own state. Worker and servers are real processes; the node is emulated, and restarts lose its snapshots.
 *
 * WAYBILL_CHAOS_MESSAGES=1000000 for a longer go, WAYBILL_CHAOS_SEED=n to see again what a failure printed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from '../../workflows/shared/messages';
import { Ledger } from '../peers/snapchain/ledger';
import { startSnapchainNode, type LedgerNode } from '../peers/snapchain/ledger-node';
import { randomOf } from '../peers/snapchain/random';
import { loadHashing } from '../peers/snapchain/trie';
import { countsOf } from '../peers/snapchain/truth';
import { fill, live, World } from '../peers/snapchain/world';
import { removeFolders } from '../support/folders';
import { startLine, type Line } from '../support/line';
import { workerProcess, type NodeProcess } from '../support/processes';
import { createTestDatabase, outcomeOf, type TestDatabase } from '../support/snapchain-case';
import { createJob, eventually, startTemporal, triggerRun, type TemporalServer } from '../support/temporal';

const messages = Number(process.env['WAYBILL_CHAOS_MESSAGES'] ?? 12_000);
const seed = Number(process.env['WAYBILL_CHAOS_SEED'] ?? Date.now() % 1_000_000);
const minutesMax = 3 + messages / 40_000;
/** A leg that was struck again and again waits a minute until it is tried again. */
const patienceSeconds = 90 + messages / 3000;
/** Struck every two seconds, a long run does little but wait to be tried again. */
const rarer = Math.max(1, Math.sqrt(messages / 100_000));
/** At least so many strikes, however quick the sync is. */
const strikesMin = 6;

interface Stage {
  readonly temporal: TemporalServer;
  readonly node: LedgerNode;
  readonly database: TestDatabase;
  readonly line: Line;
  readonly worker: NodeProcess;
}

type Victim = 'worker' | 'temporal' | 'node' | 'snapshots' | 'connections' | 'database';

/** Down, and after a while up again. */
const strikes: Record<Victim, (stage: Stage, pauseMs: number) => Promise<void>> = {
  worker: async ({ worker }, pauseMs) => {
    await worker.kill();
    await sleep(pauseMs);
    await worker.start();
  },
  temporal: async ({ temporal }, pauseMs) => {
    await temporal.kill();
    await sleep(pauseMs);
    await temporal.start();
  },
  node: async ({ node }, pauseMs) => {
    await node.goAway();
    await sleep(pauseMs);
    await node.comeBack();
  },
  snapshots: async ({ node }) => node.restart(),
  connections: async ({ node }) => node.dropConnections(),
  database: async ({ line }, pauseMs) => {
    await line.down();
    await sleep(pauseMs);
    await line.up();
  },
};

async function setUp(): Promise<{ stage: Stage; world: World }> {
  await loadHashing();
  const ledger = new Ledger({ shards: 2 });
  const world = new World({ seed, fids: Math.max(50, Math.round(messages / 500)) });
  fill(ledger, world, { messages, messagesPerBlock: 500 });
  const [temporal, node, database] = await Promise.all([
    startTemporal(),
    startSnapchainNode({ ledger, pageSize: 100, snapshots: { intervalBlocks: 20 } }),
    createTestDatabase(),
  ]);
  const url = new URL(database.url);
  const line = await startLine(url.hostname, Number(url.port || 5432));
  url.hostname = '127.0.0.1';
  url.port = String(line.port);
  const worker = workerProcess(temporal.address, 'chaos', {
    WAYBILL_WORKER_JOBS: 'snapchain',
    WAYBILL_WORKER_HEARTBEAT_THROTTLE_SECONDS: '0.2',
    WAYBILL_SNAPCHAIN_SYNC_SNAPCHAIN_ENDPOINT: node.address,
    WAYBILL_SNAPCHAIN_DATABASE_URL: url.href,
  });
  await worker.start();
  return { stage: { temporal, node, database, line, worker }, world };
}

afterAll(removeFolders);

it(
  `${messages} messages are all there whatever is struck (seed ${seed})`,
  async () => {
    const draw = randomOf(seed);
    const { stage, world } = await setUp();
    const { temporal, node, database, worker } = stage;
    try {
      const settings = { heartbeatSeconds: 2, legSeconds: 10, tailSeconds: 10, pollMs: 200, batchSize: 500 };
      const job = await createJob(temporal.client, 'snapchain/chaos', 'waybill-snapchain', 'snapchainSync', settings);
      const { workflowId } = await triggerRun(temporal.client, job);
      const blocks = live(node.ledger, world, { blocksPerSecond: 2, messagesPerBlock: 30 });
      const victims = Object.keys(strikes) as Victim[];
      const historyIsRead = async (): Promise<boolean> => {
        const run = temporal.client.workflow.getHandle(workflowId);
        const progress = await run.query<Progress>('progress').catch(() => null);
        return progress?.lanes.filter(({ status }) => status === 'done').length === 2;
      };
      let struck = 0;
      for (const until = Date.now() + minutesMax * 60_000; Date.now() < until; struck += 1) {
        if (struck >= strikesMin && (await historyIsRead())) break;
        await sleep((300 + draw() * 1500) * rarer);
        await strikes[victims[Math.floor(draw() * victims.length)] as Victim](stage, 200 + draw() * 1500);
      }
      blocks.stop();
      await blocks.done;
      await eventually('history is read', async () => ((await historyIsRead()) ? true : null), minutesMax * 60);
      const wanted = countsOf(node.ledger);
      const heights = node.ledger.shards.map(({ height }) => height);
      const liveHeights = async (): Promise<number[]> => {
        const { rows } = await database.client.query<{ height: number }>(
          `SELECT last_processed_height::int AS height FROM snapchain.sync_progress WHERE part = 'live' ORDER BY shard_id`,
        );
        return rows.map(({ height }) => height);
      };
      await eventually(
        `the logs are read to their ends, ${heights.join(' and ')} (seed ${seed}, ${struck} strikes)`,
        async () => ((await liveHeights()).join() === heights.join() ? true : null),
        patienceSeconds,
      );
      // The last block's last page may be on its way.
      await eventually('the rest is there', async () =>
        (await outcomeOf(database.client)).sha256 === wanted.sha256 ? true : null,
      ).catch(() => undefined);
      expect({ seed, struck, ...(await outcomeOf(database.client)) }).toEqual({ seed, struck, ...wanted });
    } finally {
      await worker.kill();
      await stage.line.down();
      await node.stop();
      await database.drop();
      await temporal.stop();
    }
  },
  (2 * minutesMax + 3) * 60_000,
);
