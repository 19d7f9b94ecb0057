/**
 * The network as processes of its own, chain and object API apart as they are in truth: options as JSON in the first argument; one
 * line of JSON says where they are; they end with SIGTERM, or with whoever started them. Serves the benchmark and the demo.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { connectAnvil } from './anvil';
import { createFaults } from './faults';
import { resolving, startObjects, startRecallNetwork, type NetworkOptions } from './network';

interface ObjectsOnly {
  readonly objectsOf: string;
  readonly resolveMs: number;
}

const tell = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? '{}') as NetworkOptions | ObjectsOnly;
  const stop = 'objectsOf' in options ? await serveObjects(options) : await serveNetwork(options);
  const end = (): void => void stop().then(() => process.exit(0));
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, end);
  // The pipe from whoever started us: its end is theirs.
  process.stdin.once('close', end).resume();
}

async function serveObjects({ objectsOf, resolveMs }: ObjectsOnly): Promise<() => Promise<void>> {
  const anvil = connectAnvil(objectsOf);
  const { objects, end } = await startObjects(anvil, createFaults(1), { resolveMs });
  tell({ objectApiUrl: objects.url });
  return async () => {
    await end();
    anvil.close();
  };
}

async function serveNetwork(options: NetworkOptions): Promise<() => Promise<void>> {
  const peer = await startRecallNetwork({ ...options, elsewhere: true });
  const { chainId, wallets, rpc, anvil } = peer;
  const part: ObjectsOnly = { objectsOf: anvil.url, resolveMs: options.resolveMs ?? resolving.resolveMs };
  const child = spawn(process.execPath, [__filename, JSON.stringify(part)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const { objectApiUrl } = JSON.parse(line) as { objectApiUrl: string };
  tell({
    ...{
      chainId,
      wallets,
      objectApiUrl,
      evmUrl: rpc.url,
      anvilUrl: anvil.url,
      pids: [process.pid, child.pid, anvil.pid],
    },
    networksToml: peer.networksToml().replace(peer.objects.url, objectApiUrl),
  });
  return async () => {
    child.kill('SIGTERM');
    await peer.stop();
  };
}

void main();
