/** The job as users run it: Temporal, a worker process as deployed, PostgreSQL; measured from outside of all. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { RecallCursor } from '../../activities/recall/contract';
import { taskQueue } from '../../workflows/shared/names';
import type { RunResult } from '../../workflows/shared/run-state';
import { cpuSecondsOf, memoryOf, startUntil, type Child } from '../measure/processes';
import type { Temporal } from '../measure/temporal';
import type { Peer } from './peer';
import type { Table } from './rows';

const program = join(__dirname, '..', '..', 'workers', 'main.js');

export async function startWorker(
  dir: string,
  temporal: Temporal,
  peer: Peer,
  table: Table,
  more: Readonly<Record<string, string>> = {},
): Promise<Child> {
  const networks = join(dir, 'networks.toml');
  writeFileSync(networks, peer.networksToml);
  return await startUntil('"RUNNING"', [process.execPath, program], {
    ...process.env,
    // As deploy/Dockerfile has it.
    MALLOC_ARENA_MAX: '2',
    TEMPORAL_ADDRESS: temporal.address,
    WAYBILL_WORKER_JOBS: 'recall',
    WAYBILL_WORKER_LISTEN: '',
    WAYBILL_WORKER_LOG_LEVEL: 'info',
    WAYBILL_RECALL_DATABASE_URL: table.url,
    WAYBILL_RECALL_DATABASE_TABLE: table.name,
    WAYBILL_RECALL_RECALL_PRIVATE_KEY: peer.wallets[0]?.privateKey,
    WAYBILL_RECALL_RECALL_CONFIG_PATH: networks,
    ...more,
  });
}

export interface SyncFigures {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly result: RunResult<RecallCursor>;
  /** Of the run and its wallet lanes. */
  readonly events: number;
  readonly bytes: number;
  readonly peakMiB: number;
}

export async function measureRun(client: Client, worker: Child, settings: object): Promise<SyncFigures> {
  const cpu = cpuSecondsOf(worker.pid);
  const started = performance.now();
  const run = await client.workflow.start('recallSync', {
    taskQueue: taskQueue('recall', ''),
    workflowId: `recall/bench-${randomUUID()}`,
    args: [{ network: 'emulated', name: 'bench', settleSeconds: 0, ...settings }],
  });
  const result = (await run.result()) as RunResult<RecallCursor>;
  const seconds = (performance.now() - started) / 1000;
  const cpuSeconds = cpuSecondsOf(worker.pid) - cpu;
  return { seconds, cpuSeconds, result, ...(await historyOf(client, run)), peakMiB: memoryOf(worker.pid).peakMiB };
}

/** Events and bytes of a run and of all that it started. */
async function historyOf(client: Client, run: WorkflowHandle): Promise<{ events: number; bytes: number }> {
  const { historyLength, historySize } = await run.describe();
  let [events, bytes] = [historyLength, historySize ?? 0];
  const history = await run.fetchHistory();
  for (const { childWorkflowExecutionStartedEventAttributes: started } of history.events ?? []) {
    const { workflowId, runId } = started?.workflowExecution ?? {};
    if (typeof workflowId !== 'string') continue;
    const child = await historyOf(client, client.workflow.getHandle(workflowId, runId ?? undefined));
    events += child.events;
    bytes += child.bytes;
  }
  return { events, bytes };
}
