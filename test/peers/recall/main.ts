/**
 * The network as a process of its own: options as JSON in the first argument; one line of JSON says where it is; it ends with
 * SIGTERM. Serves the benchmark and the demo.
 */
import { startRecallNetwork, type NetworkOptions } from './network';

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? '{}') as NetworkOptions;
  const peer = await startRecallNetwork(options);
  const { chainId, wallets, rpc, objects, anvil } = peer;
  process.stdout.write(
    `${JSON.stringify({ chainId, wallets, evmUrl: rpc.url, objectApiUrl: objects.url, anvilUrl: anvil.url, anvilPid: anvil.pid, networksToml: peer.networksToml() })}\n`,
  );
  const end = (): void => void peer.stop().then(() => process.exit(0));
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  process.once('disconnect', end);
}

void main();
