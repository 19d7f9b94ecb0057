/** Networks by name: the two that are built in, and those of a networks.toml as the original tool has it. */
import { existsSync, readFileSync } from 'node:fs';
import { parse as parseToml } from 'smol-toml';
import { z } from 'zod';
import { parseInput } from '../shared/contract';
import { reasonOf } from '../shared/failures';
import { permanent } from './failures';

export interface NetworkAddress {
  readonly chainId: number;
  readonly evmUrl: string;
  readonly objectApiUrl: string;
}

const builtIn: Readonly<Record<string, NetworkAddress>> = {
  testnet: {
    chainId: 2481632,
    evmUrl: 'https://evm.testnet.recall.chain.love',
    objectApiUrl: 'https://objects.testnet.recall.chain.love',
  },
  localnet: { chainId: 248163216, evmUrl: 'http://localhost:8645', objectApiUrl: 'http://localhost:8001' },
};

const address = z.url({ protocol: /^https?$/, error: 'an http:// or https:// address' });
/** What the file has beyond this (parent network, gateway, subnet id) is not needed for the EVM facade. */
const subnet = z.object({ chain_id: z.int().min(1), evm_rpc_url: address, object_api_url: address });
const fileShape = z.record(z.string(), z.object({ subnet_config: subnet }));

/** `path`: of the file; it need not exist for the built-in ones. Throws NetworkRefused. */
export function networkAddress(name: string, path: string): NetworkAddress {
  const file = existsSync(path) ? readNetworks(path) : {};
  const own = [file, builtIn].find((networks) => Object.hasOwn(networks, name));
  const found = own?.[name];
  if (found !== undefined) return found;
  const known = [...new Set([...Object.keys(file), ...Object.keys(builtIn)])].join(', ');
  throw permanent('NetworkRefused', `there is no network named ${name}: ${path} and the built-in ones have ${known}`);
}

function readNetworks(path: string): Record<string, NetworkAddress> {
  try {
    const networks = parseInput(fileShape, parseToml(readFileSync(path, 'utf8')));
    return Object.fromEntries(
      Object.entries(networks).map(([name, { subnet_config: given }]) => [
        name,
        { chainId: given.chain_id, evmUrl: given.evm_rpc_url, objectApiUrl: given.object_api_url },
      ]),
    );
  } catch (error) {
    throw permanent('NetworkRefused', `networks file ${path}: ${reasonOf(error)}`, error);
  }
}
