/** Networks by name, as the original's file has them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { networkAddress } from '../../activities/recall/networks';
import { reasonOf } from '../../activities/shared/failures';
import { newFolder, removeFolders } from '../support/folders';

afterAll(removeFolders);

const original = `
[staging.subnet_config]
chain_id = 1942764459484029
subnet_id = "/r314159/t410fabc"
rpc_url = "https://api.staging.example/"
object_api_url = "https://objects.staging.example"
evm_rpc_url = "https://evm.staging.example/v1"
evm_gateway_address = "0x77aa40b105843728088c0132e43fc44348881da8"
evm_registry_address = "0x74539671a1d2f1c8f200826baba665179f53a1b7"

[staging.parent_network_config]
chain_id = 314159
evm_rpc_url = "https://api.calibration.example/rpc/v1"

[localnet.subnet_config]
chain_id = 31337
object_api_url = "http://127.0.0.1:9001"
evm_rpc_url = "http://127.0.0.1:9645"
`;
const file = (text: string): string => {
  const path = join(newFolder(), 'networks.toml');
  writeFileSync(path, text);
  return path;
};
const refusal = (name: string, path: string): unknown => {
  try {
    return networkAddress(name, path);
  } catch (error) {
    return error;
  }
};

it('the built-in ones need no file', () => {
  expect(networkAddress('testnet', '/nowhere/networks.toml')).toEqual({
    chainId: 2481632,
    evmUrl: 'https://evm.testnet.recall.chain.love',
    objectApiUrl: 'https://objects.testnet.recall.chain.love',
  });
  expect(networkAddress('localnet', '/nowhere/networks.toml').chainId).toBe(248163216);
});

it('an original’s file is taken as it is, and its entries win', () => {
  const path = file(original);
  expect(networkAddress('staging', path)).toEqual({
    chainId: 1942764459484029,
    evmUrl: 'https://evm.staging.example/v1',
    objectApiUrl: 'https://objects.staging.example',
  });
  expect(networkAddress('localnet', path)).toMatchObject({ chainId: 31337, evmUrl: 'http://127.0.0.1:9645' });
  expect(networkAddress('testnet', path).chainId).toBe(2481632);
});

it.each(['mainnet', 'constructor', '__proto__', 'toString'])('%s is refused, with the names there are', (name) => {
  const failure = refusal(name, file(original));
  expect(failure).toMatchObject({ type: 'NetworkRefused', nonRetryable: true });
  expect(reasonOf(failure)).toMatch(/staging.*localnet.*testnet/);
});

it.each([
  ['no TOML', '[staging', /networks\.toml/],
  ['without an address', '[staging.subnet_config]\nchain_id = 1', /evm_rpc_url/],
  [
    'with an address of another kind',
    original.replace('https://evm.staging', 'ftp://evm.staging'),
    /http:\/\/ or https/,
  ],
  ['with a chain id of 0', original.replace('1942764459484029', '0'), /chain_id/],
])('a file that is %s is refused, and named', (_, text, reason) => {
  const failure = refusal('staging', file(text));
  expect(failure).toMatchObject({ type: 'NetworkRefused', nonRetryable: true });
  expect(reasonOf(failure)).toMatch(reason);
});
