/** Logs and metrics of a worker process: pino lines that name job, run and leg; Prometheus text from the SDK's own meter. */
import { DefaultLogger, makeTelemetryFilterString, Runtime, type LogEntry } from '@temporalio/worker';
import pino from 'pino';
import { freePort } from './free-port';

export interface WorkerRuntime {
  readonly log: pino.Logger;
  /** Where the SDK serves its metrics and ours, on loopback. */
  readonly metricsUrl: string;
}

/** Installs the process's one runtime. Call once, before the first connection. */
export async function installRuntime(level: string): Promise<WorkerRuntime> {
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
  const port = await freePort();
  Runtime.install({
    // Our processes drain on their own signal handling, in an order of their own.
    shutdownSignals: [],
    logger: new DefaultLogger('TRACE', (entry) => write(log, entry)),
    telemetryOptions: {
      logging: { filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }), forward: {} },
      metrics: { prometheus: { bindAddress: `127.0.0.1:${port}`, countersTotalSuffix: true, unitSuffix: true } },
    },
  });
  return { log, metricsUrl: `http://127.0.0.1:${port}/metrics` };
}

/** The names people search for come first; of Temporal's own fields the long tokens stay out. */
function write(log: pino.Logger, { level, message, meta }: LogEntry): void {
  const {
    workflowId,
    runId,
    workflowRunId,
    activityId,
    activityType,
    workflowType,
    taskQueue,
    attempt,
    error,
    ...rest
  }: Record<string, unknown> = { ...meta };
  const kept = Object.entries(rest).filter(
    ([key]) => !['taskToken', 'sdkComponent', 'namespace', 'isLocal', 'workflowNamespace'].includes(key),
  );
  const fields = {
    job: jobOf(workflowId, taskQueue),
    run: runId ?? workflowRunId,
    leg: activityId,
    activity: activityType,
    workflow: workflowType,
    attempt,
    ...(error === undefined ? {} : { error: error instanceof Error ? error.message : JSON.stringify(error) }),
    ...Object.fromEntries(kept),
  };
  log[pinoLevel(level)](fields, message);
}

/** `audio/radio-1a2b3c` from a run's workflow id, or the queue where there is no run. */
function jobOf(workflowId: unknown, taskQueue: unknown): unknown {
  return typeof workflowId === 'string' ? workflowId.replace(/-\d{4}-\d\d-\d\dT[\d:]+Z$/, '') : taskQueue;
}

function pinoLevel(level: LogEntry['level']): 'trace' | 'debug' | 'info' | 'warn' | 'error' {
  return level.toLowerCase() as 'trace' | 'debug' | 'info' | 'warn' | 'error';
}
