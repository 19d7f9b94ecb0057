/** The scan as users run it: Temporal, a worker process as deployed; measured from outside of both. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import type { ScanCursor, ScanVerdict } from '../../activities/snapchain/contract';
import { taskQueue } from '../../workflows/shared/names';
import type { RunResult } from '../../workflows/shared/run-state';
import type { Temporal } from '../measure/temporal';

export const workerProgram = join(__dirname, '..', '..', 'workers', 'main.js');

/** `slots`: legs of this process at the same time. Without a limit the first of a fleet takes them all. */
export const workerEnvironment = (
  temporal: Temporal,
  { node, url, slots }: { readonly node: string; readonly url: string; readonly slots: number },
): NodeJS.ProcessEnv => ({
  ...process.env,
  // As deploy/Dockerfile has it.
  MALLOC_ARENA_MAX: '2',
  TEMPORAL_ADDRESS: temporal.address,
  WAYBILL_WORKER_JOBS: 'snapchain',
  WAYBILL_WORKER_LISTEN: '',
  WAYBILL_WORKER_ACTIVITY_SLOTS: String(slots),
  WAYBILL_WORKER_LOG_LEVEL: 'info',
  WAYBILL_SNAPCHAIN_SYNC_SNAPCHAIN_ENDPOINT: node,
  WAYBILL_SNAPCHAIN_DATABASE_URL: url,
});

type ScanResult = RunResult<ScanCursor> & { readonly verdict?: ScanVerdict };

/** Every shard at the same time, as a sync does. */
export async function scanOnce(
  client: Client,
  shards: number,
): Promise<{ seconds: number; messages: number; unproved: number; proved: boolean; events: number }> {
  const started = performance.now();
  const runs = await Promise.all(
    Array.from({ length: shards }, (_, index) =>
      client.workflow.start('snapchainScan', {
        taskQueue: taskQueue('snapchain', ''),
        workflowId: `snapchain/bench-${randomUUID()}`,
        // What an unsigned world is not asked for.
        args: [{ shard: index + 1, signatureSample: 0 }],
      }),
    ),
  );
  const results = await Promise.all(runs.map(async (run) => (await run.result()) as ScanResult));
  const seconds = (performance.now() - started) / 1000;
  const lengths = await Promise.all(runs.map(async (run) => (await run.describe()).historyLength));
  const verdicts = results.map(({ verdict }) => verdict);
  const onChain = results.reduce((sum, { counts }) => sum + 2 * (counts['fids'] ?? 0), 0);
  return {
    seconds,
    // Registrations and keys are records, not messages.
    messages: results.reduce((sum, { counts }) => sum + (counts['messages'] ?? 0), 0) - onChain,
    unproved: verdicts.reduce((sum, verdict) => sum + (verdict?.unproved.length ?? 0), 0),
    proved: verdicts.every((verdict) => verdict?.shardRoot === 'proved'),
    events: lengths.reduce((sum, length) => sum + length, 0),
  };
}
