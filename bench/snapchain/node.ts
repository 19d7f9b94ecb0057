/** The emulated node as a process of its own, with a prepared snapshot in a file: what it costs is not counted as ours. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { childOf, endOf, type Child } from '../measure/processes';

const program = join(__dirname, '..', '..', 'test', 'peers', 'snapchain', 'main.js');

/** Where each measurement makes a database of its own. */
export const databaseServer = process.env['WAYBILL_TEST_POSTGRES_URL'] ?? '';

export interface BenchNode {
  readonly child: Child;
  readonly address: string;
  readonly shards: number;
}

export async function startNode(dir: string, messages: number): Promise<BenchNode> {
  const options = { messages, unsigned: true, fids: 2, shards: 2, bulkFile: join(dir, `pages-${messages}`) };
  const process_ = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const child = childOf(process_);
  const first = (async () => {
    for await (const line of createInterface({ input: process_.stdout })) return line;
    throw new Error('the emulated node said nothing');
  })();
  const { address } = JSON.parse(await Promise.race([first, endOf(process_, program)])) as { address: string };
  return { child, address, shards: options.shards };
}
