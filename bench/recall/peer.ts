/** The emulated network as a process of its own: what it costs is not counted as ours. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { childOf, endOf, type Child } from '../measure/processes';

export interface Peer {
  readonly child: Child;
  readonly chainId: number;
  readonly wallets: readonly { readonly address: string; readonly privateKey: string }[];
  readonly evmUrl: string;
  readonly objectApiUrl: string;
  readonly anvilUrl: string;
  readonly networksToml: string;
  /** Front of the chain, object API, chain. */
  readonly pids: readonly number[];
}

const program = join(__dirname, '..', '..', 'test', 'peers', 'recall', 'main.js');

export async function startPeer(options: {
  readonly blockSeconds: number;
  readonly roundTripMs: number;
}): Promise<Peer> {
  const process_ = spawn(process.execPath, [program, JSON.stringify({ wallets: 4, resolveMs: 300, ...options })], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const child = childOf(process_);
  const lines = createInterface({ input: process_.stdout });
  const first = (async () => {
    for await (const line of lines) return line;
    throw new Error('the emulated network said nothing');
  })();
  const said = JSON.parse(await Promise.race([first, endOf(process_, program)])) as Omit<Peer, 'child'>;
  return { child, ...said };
}
