/** A chain of one process: foundry's anvil, with the stand-in contracts at the actors' addresses. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../workers/free-port';
import contracts from './contracts/Recall.json';

export const machineAddress = '0xff00000000000000000000000000000000000011';
export const blobsAddress = '0xff00000000000000000000000000000000000042';
const readyMsMax = 20_000;
const stillMs = 200;
/** For how long it can be asked why a transaction failed, by its block's state. */
const stateSeconds = 13;
const statesMin = 16;
const statesMax = 64;

/** Seconds between blocks, fractions allowed; 0 mines each transaction at once; manual mines when told to. */
export type BlockTime = number | 'manual';

/** A connection to a chain. */
export interface Anvil {
  readonly url: string;
  /** Throws the node's error, with its code and data. */
  call<R>(method: string, ...params: unknown[]): Promise<R>;
  /** The answer as it came. */
  forward(body: string): Promise<string>;
  close(): void;
}

export interface Chain extends Anvil {
  readonly pid: number;
  /** Ends and starts again on the same port: what is in a block is kept, what waits for one is gone. */
  restart(): Promise<void>;
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

interface ChainOptions {
  readonly chainId: number;
  readonly blocks: BlockTime;
  /** Of past blocks, each a copy of all that is stored. Default: those of some seconds. */
  readonly states?: number;
}

export async function startAnvil(options: ChainOptions): Promise<Chain> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'waybill-recall-chain-'));
  const args = argumentsOf(options, port, join(folder, 'state.json'));
  const anvil = connectAnvil(`http://127.0.0.1:${port}`);
  const program = anvilPath();
  const start = async (): Promise<ChildProcess> => {
    const started = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    started.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    started.on('error', (error) => (said += error.message));
    await untilReady(started, anvil, () => said);
    return started;
  };
  let child = await start();
  // Whoever ends without stopping it must not leave it behind.
  const endWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', endWithUs);
  await Promise.all([
    anvil.call('anvil_setCode', machineAddress, contracts.Machine.deployedBytecode),
    anvil.call('anvil_setCode', blobsAddress, contracts.Blobs.deployedBytecode),
  ]);
  return {
    ...anvil,
    get pid() {
      return child.pid ?? 0;
    },
    restart: async () => {
      // Of a block that is mined while the state is written, nonces would be in it and transactions not.
      await anvil.call(
        options.blocks === 0 ? 'evm_setAutomine' : 'evm_setIntervalMining',
        options.blocks === 0 ? false : 0,
      );
      await untilStill(anvil);
      await end(child, 'SIGTERM'); // it writes its state then
      child = await start();
    },
    stop: async () => {
      anvil.close();
      process.off('exit', endWithUs);
      await end(child, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** To one that runs already. */
export function connectAnvil(url: string): Anvil {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const port = Number(new URL(url).port);
  const forward = (body: string): Promise<string> => post(port, agent, body);
  return {
    url,
    forward,
    call: async <R>(method: string, ...params: unknown[]): Promise<R> => {
      const answer = JSON.parse(await forward(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))) as Answer<R>;
      if (answer.error !== undefined) throw Object.assign(new Error(answer.error.message), answer.error);
      return answer.result as R;
    },
    close: () => agent.destroy(),
  };
}

function argumentsOf(
  { chainId, blocks, states = statesKept(blocks) }: ChainOptions,
  port: number,
  state: string,
): string[] {
  const pace = blocks === 'manual' ? ['--no-mining'] : blocks > 0 ? ['--block-time', String(blocks)] : [];
  const settings = {
    port,
    'chain-id': chainId,
    // Blocks are never full: what is measured and tested is not gas.
    'gas-limit': 100_000_000_000,
    'base-fee': 100,
    accounts: 16,
    balance: 1_000_000,
    // Transactions of all blocks are kept, for they are what tests ask for; states of old blocks are not: a copy for each
    // block of a long run is a gigabyte. Why a transaction failed is asked within a few blocks.
    'transaction-block-keeper': 100_000,
    'prune-history': states,
    order: 'fifo',
    'code-size-limit': 100_000,
    state,
  };
  return [
    '--quiet',
    '--auto-impersonate',
    ...pace,
    ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
  ];
}

/** Each is a copy of all that is stored, some twenty kilobytes an object. */
function statesKept(blocks: BlockTime): number {
  if (blocks === 'manual' || blocks === 0) return statesMax;
  return Math.min(statesMax, Math.max(statesMin, Math.ceil(stateSeconds / blocks)));
}

interface Answer<R> {
  readonly result?: R;
  readonly error?: { readonly code: number; readonly message: string };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}

async function untilReady(child: ChildProcess, anvil: Anvil, said: () => string): Promise<void> {
  for (const until = performance.now() + readyMsMax; ; await sleep(30)) {
    if (child.exitCode !== null || child.pid === undefined)
      throw new Error(`anvil ended with ${child.exitCode}: ${said()}`);
    const answered = await anvil.call('eth_chainId').then(
      () => true,
      () => false,
    );
    if (answered) return;
    if (performance.now() < until) continue;
    await end(child, 'SIGKILL');
    throw new Error(`anvil did not answer within ${readyMsMax / 1000} s: ${said()}`);
  }
}

/** No block is being mined any more: two looks at the chain's height, some blocks' mining apart, see the same. */
async function untilStill(anvil: Anvil): Promise<void> {
  for (let last = ''; ; await sleep(stillMs)) {
    const height = await anvil.call<string>('eth_blockNumber');
    if (height === last) return;
    last = height;
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
