/**
 * Worker, Temporal, chain, object API, S3 and PostgreSQL killed or cut at seeded moments of a sync: every object arrives
 * once, byte for byte, no nonce is used twice and none is skipped. The worker and the servers are real processes.
 * New rows come before each strike, so that there is work to strike however quick the sync is.
 *
 * WAYBILL_CHAOS_OBJECTS=5000 for a longer go, WAYBILL_CHAOS_SEED=n to see again what a failure printed.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ScheduleHandle, WorkflowHandle } from '@temporalio/client';
import { startRecallNetwork, type RecallPeer } from '../peers/recall/network';
import { newFolder, removeFolders } from '../support/folders';
import { startLine, type Line } from '../support/line';
import { createObjectIndex, neededVariable, type DataColumn, type ObjectIndex } from '../support/object-index';
import { workerProcess, type NodeProcess } from '../support/processes';
import { expectComplete } from '../support/recall-job';
import { createJob, eventually, startTemporal, triggerRun, type TemporalServer } from '../support/temporal';
import type { RunResult } from '../../workflows/shared/run-state';

const objects = Number(process.env['WAYBILL_CHAOS_OBJECTS'] ?? 120);
const seed = Number(process.env['WAYBILL_CHAOS_SEED'] ?? Date.now() % 1_000_000);
const minutesMax = 3 + objects / 400;
const strikeCount = Math.max(4, Math.round(objects / 30));
const secret = 'ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';

type Victim = 'worker' | 'temporal' | 'chain' | 'mempool' | 'object API' | 'database' | 'store';

/** Park and Miller's minimal standard generator: the same moments for the same seed. */
function random(start: number): () => number {
  let state = (start % 2_147_483_646) + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

interface Stage {
  readonly temporal: TemporalServer;
  readonly peer: RecallPeer;
  readonly rows: ObjectIndex;
  readonly worker: NodeProcess;
  readonly database: Line;
  readonly store: Line | null;
}

afterAll(removeFolders);

async function setUp(column: DataColumn): Promise<Stage> {
  const [temporal, peer, rows] = await Promise.all([
    startTemporal(),
    startRecallNetwork({ blockSeconds: 0.25, resolveMs: 100, wallets: 1, seed, states: 4 }),
    createObjectIndex(column),
  ]);
  const url = new URL(neededVariable('WAYBILL_TEST_POSTGRES_URL'));
  const database = await startLine(url.hostname, Number(url.port || 5432));
  url.hostname = '127.0.0.1';
  url.port = String(database.port);
  const s3 = rows.settings.s3;
  const endpoint = s3 === null ? null : new URL(s3.endpoint ?? '');
  const store = endpoint === null ? null : await startLine(endpoint.hostname, Number(endpoint.port));
  const networks = join(newFolder('networks'), 'networks.toml');
  writeFileSync(networks, peer.networksToml('emulated'));
  const worker = workerProcess(temporal.address, 'chaos', {
    WAYBILL_WORKER_JOBS: 'recall',
    WAYBILL_WORKER_HEARTBEAT_THROTTLE_SECONDS: '0.2',
    WAYBILL_RECALL_DATABASE_URL: url.href,
    WAYBILL_RECALL_DATABASE_TABLE: rows.table,
    WAYBILL_RECALL_RECALL_PRIVATE_KEY: secret,
    WAYBILL_RECALL_RECALL_CONFIG_PATH: networks,
    ...(s3 === null || store === null
      ? {}
      : {
          WAYBILL_RECALL_S3_BUCKET: s3.bucket,
          WAYBILL_RECALL_S3_ENDPOINT: `http://127.0.0.1:${store.port}`,
          WAYBILL_RECALL_S3_REGION: 'us-east-1',
          WAYBILL_RECALL_S3_ACCESS_KEY_ID: s3.accessKeyId ?? '',
          WAYBILL_RECALL_S3_SECRET_ACCESS_KEY: s3.secretAccessKey ?? '',
        }),
  });
  await worker.start();
  return { temporal, peer, rows, worker, database, store };
}

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
  chain: async ({ peer }, pauseMs) => {
    await peer.rpc.stop();
    await sleep(pauseMs);
    await peer.rpc.start();
  },
  mempool: ({ peer }) => peer.rpc.restart(),
  'object API': async ({ peer }, pauseMs) => {
    await peer.objects.stop();
    await sleep(pauseMs);
    await peer.objects.start();
  },
  database: async ({ database }, pauseMs) => {
    await database.down();
    await sleep(pauseMs);
    await database.up();
  },
  store: async ({ store }, pauseMs) => {
    await store?.down();
    await sleep(pauseMs);
    await store?.up();
  },
};

/** One in a hundred is 5 MB, one in ten some hundred kilobytes, the others a few. */
function sizeOf(index: number, draw: () => number): number {
  if (index % 100 === 99) return 5_000_000;
  return Math.round(index % 10 === 9 ? 100_000 + draw() * 300_000 : 1000 + draw() * 9000);
}

/** A run of the job to its end, whatever happens to the server meanwhile. */
async function endOfRun(temporal: TemporalServer, job: ScheduleHandle): Promise<RunResult<unknown>> {
  const begun = (): Promise<WorkflowHandle | null> =>
    triggerRun(temporal.client, temporal.client.schedule.getHandle(job.scheduleId)).catch(() => null);
  const { workflowId } = await eventually('a run begins', begun, minutesMax * 60);
  return await eventually(
    'the run ends',
    async () => {
      const handle = temporal.client.workflow.getHandle(workflowId);
      const { status } = await handle.describe().catch(() => ({ status: { name: 'RUNNING' } }));
      return status.name === 'RUNNING' ? null : ((await handle.result()) as RunResult<unknown>);
    },
    minutesMax * 60,
  );
}

it.each<DataColumn>(['BYTEA', 's3'])(
  `${objects} objects in %s arrive once whatever is struck (seed ${seed})`,
  async (column) => {
    const draw = random(seed + (column === 's3' ? 1 : 0));
    const stage = await setUp(column);
    const { temporal, peer, rows, worker } = stage;
    try {
      Object.assign(peer.faults.chances, { drop: 0.004, loseAnswer: 0.004, unavailable: 0.004, delay: 0.02 });
      const settings = { network: 'emulated', settleSeconds: 0, heartbeatSeconds: 2, legSeconds: 20, batchSize: 60 };
      const job = await createJob(temporal.client, `recall/chaos-${column}`, 'waybill-recall', 'recallSync', settings);
      const victims = (Object.keys(strikes) as Victim[]).filter((victim) => victim !== 'store' || column === 's3');
      const sizes = Array.from({ length: objects }, (_, index) => sizeOf(index, draw));
      let quiet = false;
      const striking = (async () => {
        for (let strike = 0; strike < strikeCount; strike += 1) {
          await rows.add(sizes.splice(0, Math.ceil(sizes.length / (strikeCount - strike))));
          await sleep(500 + draw() * 2500);
          const victim = victims[Math.floor(draw() * victims.length)] as Victim;
          await strikes[victim](stage, 200 + draw() * 2500);
        }
      })().finally(() => {
        quiet = true;
      });
      striking.catch(() => undefined); // It is awaited below.
      // A run that ends between two portions of rows is followed by the next, as a schedule does.
      let result: RunResult<unknown>;
      let last: boolean;
      do {
        last = quiet;
        result = await endOfRun(temporal, job);
      } while (!last);
      await striking;
      peer.faults.clear();
      // What met trouble again and again while others passed is parked for half a minute: the next run that is due takes it.
      const dueAt = Math.max(0, ...result.parked.map(({ retryAt }) => Date.parse(retryAt ?? '')));
      await sleep(Math.max(0, dueAt - Date.now()));
      if (result.parked.length > 0) result = await endOfRun(temporal, job);
      expect({ seed, state: result.state, parked: result.parked }).toEqual({ seed, state: 'completed', parked: [] });
      const [bucket = ''] = await peer.bucketsOf(peer.wallets[0]?.address ?? '');
      await expectComplete({ rows, peer, content: () => peer.contentOf(bucket) });
      expect(worker.said()).not.toContain(secret);
    } finally {
      await worker.kill();
      await stage.database.down();
      await stage.store?.down();
      await rows.drop();
      await peer.stop();
      await temporal.stop();
    }
  },
  (minutesMax + 2) * 60_000,
);
