/** `waybill dev`: Temporal's own development server with its UI, and a worker for every job, in one command. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { syncJobAttribute, syncStateAttribute } from '../workflows/shared/names';
import type { Config } from './config';
import type { DevOptions, DevProcess } from './processes';
import { startWorkers, type RunningWorkers } from './run-worker';

/** From nothing to listening takes half a second; a first start on a slow disk a few. */
const startMsMax = 30_000;
const stopMsMax = 10_000;

/** Throws with the server's own last words when it does not come up (a port that is taken, an unreadable file). */
export async function startDev(config: Config, options: DevOptions): Promise<DevProcess> {
  const server = await startServer(await temporalPath(), options);
  const address = `127.0.0.1:${options.port}`;
  try {
    const connection = { address, namespace: 'default', connectionOptions: { address } };
    const workers = options.worker ? await startWorkers(config, connection) : null;
    return {
      address,
      uiUrl: `http://127.0.0.1:${options.uiPort}`,
      close: () => close(server, workers),
      ended: ended(server, workers),
    };
  } catch (error) {
    await stop(server);
    throw error;
  }
}

/** TEMPORAL_CLI_PATH, PATH, or the pinned package: scripts/services knows the ladder. */
async function temporalPath(): Promise<string> {
  const services = join(__dirname, '..', '..', 'scripts', 'services.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [services, 'path', 'temporal']);
  return stdout.trim();
}

async function startServer(path: string, { port, uiPort, dbFile }: DevOptions): Promise<ChildProcess> {
  const file =
    dbFile === undefined
      ? []
      : ['--db-filename', dbFile, '--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'];
  const attributes = [syncJobAttribute, syncStateAttribute].flatMap((name) => [
    '--search-attribute',
    `${name}=Keyword`,
  ]);
  // Stock, a shard takes 20 tasks a second: a bucket made for big clusters, which here would be most of a short run's time.
  const pace = ['--dynamic-config-value', 'history.transferProcessorMaxPollRPS=1000'];
  const ports = ['--ip', '127.0.0.1', '--port', String(port), '--ui-port', String(uiPort)];
  const server = spawn(
    path,
    ['server', 'start-dev', ...ports, '--log-level', 'error', ...attributes, ...pace, ...file],
    {
      // Its own group: a Ctrl-C on the terminal is ours to handle, in our order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let words = '';
  const listen = (chunk: Buffer): void => {
    words = (words + chunk.toString()).slice(-2000);
  };
  server.stdout.on('data', listen);
  server.stderr.on('data', listen);
  const failed = new Promise<never>((_, reject) => {
    server.once('error', reject);
    server.once('exit', (code) =>
      reject(new Error(`temporal server start-dev on port ${port} ended with ${code ?? 'a signal'}: ${words.trim()}`)),
    );
  });
  failed.catch(() => undefined);
  try {
    await Promise.race([failed, listening(port)]);
  } catch (error) {
    await stop(server);
    throw error;
  }
  return server;
}

async function listening(port: number): Promise<void> {
  const until = performance.now() + startMsMax;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', () => resolve(false));
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
    });
    if (open) return;
    if (performance.now() > until)
      throw new Error(`Temporal does not listen on 127.0.0.1:${port} after ${startMsMax / 1000} s`);
    await sleep(50);
  }
}

/** Settles when either half ends by itself; `close` is then still due. */
async function ended(server: ChildProcess, workers: RunningWorkers | null): Promise<void> {
  const exit = new Promise<void>((_, reject) => {
    server.once('exit', (code, signal) =>
      reject(new Error(`the Temporal server ended (${code ?? signal ?? 'unknown'})`)),
    );
  });
  await (workers === null ? exit : Promise.race([exit, workers.ended]));
}

/** The worker first: its last word goes to the server. */
async function close(server: ChildProcess, workers: RunningWorkers | null): Promise<void> {
  workers?.drain();
  await workers?.ended.catch(() => undefined);
  await stop(server);
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  const timer = setTimeout(() => server.kill('SIGKILL'), stopMsMax);
  await gone;
  clearTimeout(timer);
}
