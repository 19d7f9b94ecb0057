/** A real Temporal server of a test file's own, which can be killed and started again, and workers on it. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  Client,
  Connection,
  ScheduleOverlapPolicy,
  type ScheduleHandle,
  type WorkflowHandle,
} from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { freePort } from '../../workers/free-port';
import { newFolder } from './folders';

export const temporalPath = (): string => {
  const given = process.env['TEMPORAL_CLI_PATH'];
  if (given !== undefined && given !== '') return given;
  return execFileSync(process.execPath, [join(__dirname, '../../scripts/services.mjs'), 'path', 'temporal'])
    .toString()
    .trim();
};

export interface TemporalServer {
  readonly address: string;
  client: Client;
  /** SIGKILL: nothing is said to anyone. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** On a file, so that a restart finds everything. */
export async function startTemporal(): Promise<TemporalServer> {
  const port = await freePort();
  const file = join(newFolder('temporal'), 'temporal.db');
  let child: ChildProcess | null = null;
  const server: TemporalServer = {
    address: `127.0.0.1:${port}`,
    client: undefined as unknown as Client,
    start: async () => {
      child = spawn(temporalPath(), serverArguments(port, file), { stdio: 'ignore' });
      const connection = await connected(server.address, child);
      server.client = new Client({ connection });
    },
    kill: async () => {
      await end(child, 'SIGKILL');
    },
    stop: async () => {
      await server.client.connection.close();
      await end(child, 'SIGTERM');
    },
  };
  await server.start();
  return server;
}

function serverArguments(port: number, file: string): string[] {
  const attributes = ['SyncJob', 'SyncState'].flatMap((name) => ['--search-attribute', `${name}=Keyword`]);
  const pragmas = ['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'];
  return [
    'server',
    'start-dev',
    '--headless',
    '--ip',
    '127.0.0.1',
    '--port',
    String(port),
    '--log-level',
    'never',
    '--db-filename',
    file,
    ...attributes,
    ...pragmas,
  ];
}

async function connected(address: string, child: ChildProcess): Promise<Connection> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 2000 });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      return connection;
    } catch (error) {
      if (attempt > 100 || child.exitCode !== null) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

export async function end(child: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}

const bundlePath = join(__dirname, '../../dist/workflow-bundle.js');
let installed = false;

/** A worker in this process, with the workflows as built. */
export async function startWorker(
  server: TemporalServer,
  options: Partial<WorkerOptions> & { taskQueue: string },
): Promise<{ stop(): Promise<void> }> {
  if (!existsSync(bundlePath)) throw new Error(`${bundlePath} is missing: node scripts/build.mjs makes it`);
  if (!installed) Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
  installed = true;
  const connection = await NativeConnection.connect({ address: server.address });
  const worker = await Worker.create({
    connection,
    workflowBundle: { codePath: bundlePath },
    maxHeartbeatThrottleInterval: '200 ms',
    ...options,
  });
  const running = worker.run();
  return {
    stop: async () => {
      worker.shutdown();
      await running;
      await connection.close();
    },
  };
}

/** A job as the command makes it: a schedule whose action is the workflow. */
export async function createJob(
  client: Client,
  id: string,
  taskQueue: string,
  workflowType: string,
  input: object,
): Promise<ScheduleHandle> {
  return await client.schedule.create({
    scheduleId: id,
    spec: {},
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' },
    action: { type: 'startWorkflow', workflowType, taskQueue, workflowId: id, args: [input] },
  });
}

/** Triggers a run and returns it. */
export async function triggerRun(client: Client, job: ScheduleHandle): Promise<WorkflowHandle> {
  // Runs of one second have one id, and a server tells the last ten.
  const newest = async (): Promise<{ workflowId: string; firstExecutionRunId: string } | null> => {
    const action = (await job.describe()).info.recentActions.at(-1)?.action;
    return action?.type === 'startWorkflow' ? action.workflow : null;
  };
  const before = await newest();
  await job.trigger(ScheduleOverlapPolicy.SKIP);
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const now = await newest();
    if (now !== null && now.firstExecutionRunId !== before?.firstExecutionRunId)
      return client.workflow.getHandle(now.workflowId);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`job ${job.scheduleId}: triggered, but no run began`);
}

/** Polls until `check` gives something; a wait on a real server, bounded. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | null | undefined | false>,
  seconds = 20,
): Promise<T> {
  const until = Date.now() + seconds * 1000;
  for (;;) {
    const found = await check();
    if (found !== null && found !== undefined && found !== false) return found;
    if (Date.now() > until) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
