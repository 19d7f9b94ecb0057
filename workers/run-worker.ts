/** A worker process: a Temporal worker for each queue of its jobs, one health endpoint; drains on SIGTERM, a second signal ends it. */
import './small-heap';
import { join } from 'node:path';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import type pino from 'pino';
import { syncJobAttribute, syncStateAttribute, taskQueue, type JobKind } from '../workflows/shared/names';
import { connectionSettings, type Config } from './config';
import { startHealth } from './health';
import { meteredActivities } from './metrics';
import { installRuntime } from './runtime';
import type { Wiring } from './wiring';

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

/** Throws ConfigError and UnreachableTemporal. */
export async function startWorkers(config: Config, settings = connectionSettings()): Promise<RunningWorkers> {
  // First of all: what is wrong with a configuration is told without a server, and native code holds no process open yet.
  const wired = await Promise.all(
    config.get('worker.jobs').map(async (kind) => [kind, await wiringOf(kind, config)] as const),
  );
  const { log, metricsUrl } = await installRuntime(config.get('worker.log_level'));
  const { address, namespace, connectionOptions } = settings;
  const connection = await connect(address, connectionOptions);
  if (config.get('worker.register_search_attributes')) await registerSearchAttributes(connection, namespace);
  const workers = (
    await Promise.all(wired.map(([kind, wiring]) => createWorkers(kind, wiring, config, { connection, namespace })))
  ).flat();
  const listen = config.get('worker.listen');
  const states = (): Record<string, string> =>
    Object.fromEntries(workers.map((worker) => [worker.options.taskQueue, worker.getState()]));
  const ready = (): boolean => workers.every((worker) => worker.getState() === 'RUNNING');
  const health = listen === '' ? null : await startHealth(listen, { ready, states, metricsUrl });
  for (const remark of config.remarks) log.info(remark);
  log.info({ address, namespace, queues: Object.keys(states()), health: health?.url }, 'worker started');
  const ended = run(workers, log).finally(async () => {
    await health?.close();
    await Promise.all(wired.map(([, wiring]) => wiring.close()));
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

interface Server {
  readonly connection: NativeConnection;
  readonly namespace: string;
}

/** The job's own queue, and those that take one activity at a time. */
async function createWorkers(kind: JobKind, wiring: Wiring, config: Config, server: Server): Promise<Worker[]> {
  const host = config.get('worker.host');
  const options: WorkerOptions = {
    ...server,
    taskQueue: taskQueue(kind, host),
    identity: `${process.pid}@${host}`,
    activities: meteredActivities(kind, wiring.activities),
    // Bounds what a crash does again, and how long a pause takes to arrive.
    maxHeartbeatThrottleInterval: `${config.get('worker.heartbeat_throttle_seconds')} seconds`,
    // Legs end at once when told to drain and hand in their cursor: no grace before they are told.
    shutdownGraceTime: 0,
    shutdownForceTime: `${config.get('worker.drain_seconds')} seconds`,
  };
  const own = (): Promise<Worker> =>
    Worker.create({
      ...options,
      workflowBundle,
      // Legs are heavy and alike: fixed slots, not guesses.
      maxConcurrentActivityTaskExecutions: config.get('worker.activity_slots'),
      maxCachedWorkflows: config.get('worker.cached_workflows'),
    });
  const singleFile = wiring.singleFileQueues.map((queue) =>
    Worker.create({ ...options, taskQueue: queue, maxConcurrentActivityTaskExecutions: 1 }),
  );
  return await Promise.all([...(wiring.ownQueue ? [own()] : []), ...singleFile]);
}

/** Loaded by job: a worker for one has no need of another's libraries. */
async function wiringOf(kind: JobKind, config: Config): Promise<Wiring> {
  switch (kind) {
    case 'recall':
      return (await import('./recall.js')).recallWiring(config);
    case 'snapchain':
      return (await import('./snapchain.js')).snapchainWiring(config);
    case 'audio':
      return (await import('./audio.js')).audioWiring(config);
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
