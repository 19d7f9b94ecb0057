/** A worker process: one Temporal worker a job, one health endpoint; drains on SIGTERM, and a second signal ends it. */
import './small-heap';
import { join } from 'node:path';
import { NativeConnection, Worker } from '@temporalio/worker';
import type pino from 'pino';
import { createAudioActivities } from '../activities/audio/activities';
import { syncJobAttribute, syncStateAttribute, taskQueue, type JobKind } from '../workflows/shared/names';
import { connectionSettings, type Config } from './config';
import { startHealth } from './health';
import { meteredActivities } from './metrics';
import { installRuntime } from './runtime';

/** Built by scripts/build.mjs: webpack at the start of every worker would cost seconds and 70 MB. */
const workflowBundle = { codePath: join(__dirname, '..', 'workflow-bundle.js') };

export interface RunningWorkers {
  readonly healthUrl: string | null;
  /** Resolves when every worker has drained; rejects when one failed. */
  readonly ended: Promise<void>;
  /** Stops polling and lets the legs hand in their cursors. */
  drain(): void;
}

const sameSignalMs = 500;

/** Runs until SIGTERM or SIGINT. Throws when Temporal cannot be reached at the start. */
export async function runWorkerProcess(config: Config): Promise<void> {
  const workers = await startWorkers(config);
  const stop = (signal: NodeJS.Signals): void => {
    const toldAt = performance.now();
    workers.drain();
    // One Ctrl-C can arrive twice, from the terminal and from a parent that passes it on: that is not impatience.
    process.on(signal, () => {
      if (performance.now() - toldAt > sameSignalMs) process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  await workers.ended;
}

/** Throws UnreachableTemporal. */
export async function startWorkers(config: Config, settings = connectionSettings()): Promise<RunningWorkers> {
  const { log, metricsUrl } = await installRuntime(config.get('worker.log_level'));
  const { address, namespace, connectionOptions } = settings;
  const connection = await connect(address, connectionOptions);
  if (config.get('worker.register_search_attributes')) await registerSearchAttributes(connection, namespace);
  const workers = await Promise.all(
    config.get('worker.jobs').map((kind) => createWorker(kind, config, connection, namespace)),
  );
  const listen = config.get('worker.listen');
  const states = (): Record<string, string> =>
    Object.fromEntries(workers.map((worker) => [worker.options.taskQueue, worker.getState()]));
  const ready = (): boolean => workers.every((worker) => worker.getState() === 'RUNNING');
  const health = listen === '' ? null : await startHealth(listen, { ready, states, metricsUrl });
  log.info({ address, namespace, queues: Object.keys(states()), health: health?.url }, 'worker started');
  const ended = run(workers, log).finally(async () => {
    await health?.close();
    await connection.close();
  });
  const drain = (): void => {
    log.info('draining');
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  return { healthUrl: health?.url ?? null, ended, drain };
}

async function connect(
  address: string,
  options: Parameters<typeof NativeConnection.connect>[0],
): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect(options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnreachableTemporal(
      `cannot reach Temporal at ${address}: ${reason}. Start one with \`waybill dev\`, or set TEMPORAL_ADDRESS.`,
      { cause: error },
    );
  }
}

/** Thrown when no Temporal server answers where the settings say. */
export class UnreachableTemporal extends Error {
  override name = 'UnreachableTemporal';
}

async function run(workers: readonly Worker[], log: pino.Logger): Promise<void> {
  const runs = workers.map((worker) => worker.run());
  try {
    await Promise.all(runs);
    log.info('drained');
  } finally {
    // One failed: the others are drained too, for a process that does half of its work is worse than a restart.
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
    await Promise.allSettled(runs);
  }
}

async function createWorker(
  kind: JobKind,
  config: Config,
  connection: NativeConnection,
  namespace: string,
): Promise<Worker> {
  const host = config.get('worker.host');
  return await Worker.create({
    connection,
    namespace,
    taskQueue: taskQueue(kind, host),
    identity: `${process.pid}@${host}`,
    workflowBundle,
    activities: meteredActivities(kind, activitiesOf(kind, config)),
    // Legs are heavy and alike: fixed slots, not guesses.
    maxConcurrentActivityTaskExecutions: config.get('worker.activity_slots'),
    maxCachedWorkflows: config.get('worker.cached_workflows'),
    // Bounds what a crash does again, and how long a pause takes to arrive.
    maxHeartbeatThrottleInterval: `${config.get('worker.heartbeat_throttle_seconds')} seconds`,
    // Legs end at once when told to drain and hand in their cursor: no grace before they are told.
    shutdownGraceTime: 0,
    shutdownForceTime: `${config.get('worker.drain_seconds')} seconds`,
  });
}

/** Each job's activities, given what they need of the configuration. */
function activitiesOf(kind: JobKind, config: Config): object {
  switch (kind) {
    case 'audio':
      return createAudioActivities({
        credentials: config.credentials,
        idleTimeoutMs: config.get('audio.idle_timeout_seconds') * 1000,
      });
  }
}

/** Workflows set these; without them every workflow task would fail. Repeating it is harmless. */
async function registerSearchAttributes(connection: NativeConnection, namespace: string): Promise<void> {
  const found = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = [syncJobAttribute, syncStateAttribute].filter((name) => found.customAttributes?.[name] === undefined);
  if (missing.length === 0) return;
  const keyword = 2; // temporal.api.enums.v1.IndexedValueType: INDEXED_VALUE_TYPE_KEYWORD
  await connection.operatorService.addSearchAttributes({
    namespace,
    searchAttributes: Object.fromEntries(missing.map((name) => [name, keyword])),
  });
}
