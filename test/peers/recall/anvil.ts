/** A chain of one process: foundry's anvil, with the stand-in contracts at the actors' addresses. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../workers/free-port';
import contracts from './contracts/Recall.json';

export const machineAddress = '0xff00000000000000000000000000000000000011';
export const blobsAddress = '0xff00000000000000000000000000000000000042';
const readyMsMax = 20_000;

export interface Anvil {
  readonly url: string;
  readonly pid: number;
  /** Throws the node's error, with its code and data. */
  call<R>(method: string, ...params: unknown[]): Promise<R>;
  /** The answer as it came. */
  forward(body: string): Promise<string>;
  stop(): Promise<void>;
}

export function anvilPath(): string {
  const known = process.env['ANVIL_PATH'];
  if (known !== undefined && known !== '') return known;
  // From the checkout: this file runs as source and as built.
  return execFileSync(process.execPath, [join(process.cwd(), 'scripts', 'services.mjs'), 'path', 'anvil'], {
    encoding: 'utf8',
  }).trim();
}

/** `blockSeconds`: fractions allowed; 0 mines each transaction at once. */
export async function startAnvil({ chainId, blockSeconds }: { chainId: number; blockSeconds: number }): Promise<Anvil> {
  const port = await freePort();
  const args = ['--port', String(port), '--chain-id', String(chainId), '--gas-limit', '100000000000', '--quiet'];
  args.push(
    '--base-fee',
    '100',
    '--accounts',
    '16',
    '--balance',
    '1000000',
    '--transaction-block-keeper',
    '100000',
    '--order',
    'fifo',
  );
  // A state for each block would be a gigabyte after some minutes; why a transaction failed is asked within a few blocks.
  args.push('--code-size-limit', '100000', '--prune-history', '64');
  if (blockSeconds > 0) args.push('--block-time', String(blockSeconds), '--mixed-mining');
  const child = spawn(anvilPath(), blockSeconds > 0 ? args.filter((arg) => arg !== '--mixed-mining') : args, {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const anvil = connectAnvil(`http://127.0.0.1:${port}`, child.pid ?? 0);
  const { call } = anvil;
  await untilReady(child, call, () => said);
  await Promise.all([
    call('anvil_setCode', machineAddress, contracts.Machine.deployedBytecode),
    call('anvil_setCode', blobsAddress, contracts.Blobs.deployedBytecode),
  ]);
  return {
    ...anvil,
    stop: async () => {
      await anvil.stop();
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** One that runs already; it is not stopped by `stop`. */
export function connectAnvil(url: string, pid = 0): Anvil {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const port = Number(new URL(url).port);
  const forward = (body: string): Promise<string> => post(port, agent, body);
  return {
    url,
    pid,
    forward,
    call: async <R>(method: string, ...params: unknown[]): Promise<R> => {
      const answer = JSON.parse(await forward(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))) as Answer<R>;
      if (answer.error !== undefined) throw Object.assign(new Error(answer.error.message), answer.error);
      return answer.result as R;
    },
    stop: async () => agent.destroy(),
  };
}

interface Answer<R> {
  readonly result?: R;
  readonly error?: { readonly code: number; readonly message: string };
}

async function untilReady(
  child: ChildProcess,
  call: (method: string) => Promise<unknown>,
  said: () => string,
): Promise<void> {
  for (const until = performance.now() + readyMsMax; ; await sleep(30)) {
    if (child.exitCode !== null) throw new Error(`anvil ended with ${child.exitCode}: ${said()}`);
    const answered = await call('eth_chainId').then(
      () => true,
      () => false,
    );
    if (answered) return;
    if (performance.now() > until) throw new Error(`anvil did not answer within ${readyMsMax / 1000} s: ${said()}`);
  }
}

function post(port: number, agent: Agent, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request({ host: '127.0.0.1', port, method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks).toString()));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
