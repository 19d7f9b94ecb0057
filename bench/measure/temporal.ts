/** A Temporal development server of the benchmark's own, on a file, and a client of it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { freePort } from '../../workers/free-port';
import { childOf, endOf } from './processes';

const startMsMax = 30_000;

export interface Temporal {
  readonly address: string;
  readonly client: Client;
  stop(): Promise<void>;
}

/** As `waybill dev` starts it, without the UI. Throws when TEMPORAL_CLI_PATH names no program: npm run bench sets it. */
export async function startTemporal(dir: string): Promise<Temporal> {
  const program = process.env['TEMPORAL_CLI_PATH'] ?? '';
  if (program === '') throw new Error('TEMPORAL_CLI_PATH is not set: start this by `npm run bench -- audio`');
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const args = [
    ...['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'never'],
    ...['--db-filename', join(dir, 'temporal.db')],
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'],
    ...['SyncJob', 'SyncState'].flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ...['--dynamic-config-value', 'history.transferProcessorMaxPollRPS=1000'],
  ];
  const server = spawn(program, args, { stdio: 'ignore' });
  const child = childOf(server);
  try {
    const connection = await Promise.race([connected(address), endOf(server, program)]);
    const client = new Client({ connection });
    const stop = async (): Promise<void> => {
      await connection.close();
      await child.stop();
    };
    return { address, client, stop };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

async function connected(address: string): Promise<Connection> {
  const until = performance.now() + startMsMax;
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 2000 });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      return connection;
    } catch (error) {
      if (performance.now() > until) throw error;
      await sleep(100);
    }
  }
}
