/**
 * A Recall network on loopback: a chain with stand-ins for the actors, its JSON-RPC front, its object API, and what the network
 * does by itself (resolving blobs). Faults on request; what happened can be read back.
 */
import { encodeFunctionData, type Hex } from 'viem';
import { mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';
import { abis, operate, operateOn, operator, untilMined } from './actors';
import { startAnvil, type Anvil, type BlockTime, type Chain } from './anvil';
import { createFaults, type Faults } from './faults';
import { createInspection, type Inspection } from './inspection';
import { startObjectFront, type ObjectFront, type ObjectFrontOptions } from './object-front';
import { startResolver, type Resolver, type ResolverOptions } from './resolver';
import { startRpcFront, type RpcFront } from './rpc-front';
import type { KnownKey } from './sender';

export type { BucketObject } from './inspection';

export interface NetworkOptions extends ObjectFrontOptions, Partial<ResolverOptions> {
  readonly chainId?: number;
  /** Seconds; 0 mines each transaction at once; manual only by `mine`. Default 1. */
  readonly blockSeconds?: BlockTime;
  /** Wallets with tokens and credit, of the chain's own mnemonic, up to 16. Default 2. */
  readonly wallets?: number;
  readonly seed?: number;
  /** States of past blocks that the chain keeps: fewer where many objects are to come. */
  readonly states?: number;
  /** Of each request to the chain, in milliseconds: a node is seldom on the same host. Default 0. */
  readonly roundTripMs?: number;
  /** Blobs are resolved by the object API of another process. */
  readonly elsewhere?: boolean;
}

export type PeerWallet = KnownKey;

export interface RecallPeer extends Inspection {
  readonly chainId: number;
  readonly wallets: readonly PeerWallet[];
  readonly rpc: RpcFront;
  readonly objects: ObjectFront;
  readonly faults: Faults;
  readonly anvil: Chain;
  /** As networks.toml has it. */
  readonly networksToml: (name?: string) => string;
  /** `maxTtl`: 0 for the default. */
  setCredit(address: string, free: bigint, maxTtl?: number): Promise<void>;
  /** Bytes; 0 for the default. */
  setCapacity(bytes: bigint): Promise<void>;
  /** Tokens for gas, in atto. */
  setBalance(address: string, atto: bigint): Promise<void>;
  /** Of the next block, in atto; the following ones fall from it by an eighth each. */
  setBaseFee(atto: bigint): Promise<void>;
  /** The time of these objects is up. */
  expire(bucket: string, keys: readonly string[]): Promise<void>;
  /** Blocks pass: a few, for anvil takes the longer for each the more there are. */
  mine(blocks: number): Promise<void>;
  /** Somebody else's transaction on a wallet's next nonce. */
  foreignTransaction(wallet: PeerWallet): Promise<void>;
  /** The chain ends and comes back with what is in its blocks; its front is dead meanwhile. */
  restartChain(): Promise<void>;
  stop(): Promise<void>;
}

const mnemonic = 'test test test test test test test test test test test junk';
/** Byte-epochs: a terabyte for a day. */
const firstCredit = 10n ** 12n * 86_400n;
const transferGas = 21_000n;
export const resolving: ResolverOptions = { resolveMs: 300, absentMs: 2000 };

export async function startRecallNetwork(options: NetworkOptions = {}): Promise<RecallPeer> {
  const {
    chainId = 248163216,
    blockSeconds = 1,
    wallets: count = 2,
    seed = 1,
    elsewhere = false,
    roundTripMs = 0,
  } = options;
  const anvil = await startAnvil({
    chainId,
    blocks: blockSeconds,
    ...(options.states === undefined ? {} : { states: options.states }),
  });
  const faults = createFaults(seed);
  const wallets = Array.from({ length: count }, (_, index) => walletAt(index));
  const mined = async (sending: Promise<Hex>): Promise<void> => {
    const hash = await sending;
    if (blockSeconds === 'manual') await anvil.call('anvil_mine', '0x1');
    await untilMined(anvil, hash);
  };
  const setBalance = (address: string, atto: bigint): Promise<void> =>
    anvil.call('anvil_setBalance', address, `0x${atto.toString(16)}`);
  await setBalance(operator, 10n ** 24n);
  const setCredit = (address: string, free: bigint, maxTtl = 0): Promise<void> =>
    mined(operate(anvil, 'setAccount', [address, free, maxTtl]));
  await Promise.all(wallets.map(({ address }) => setCredit(address, firstCredit)));

  const rpc = await startRpcFront(anvil, faults, { known: wallets, blocks: blockSeconds, roundTripMs });
  const { objects, resolver, end } = await startObjects(anvil, faults, elsewhere ? null : options, options);
  return {
    ...{ chainId, wallets, rpc, objects, faults, anvil, setCredit, setBalance },
    ...createInspection(anvil, objects),
    networksToml: (name = 'emulated') => networksToml(name, chainId, rpc.url, objects.url),
    setCapacity: (bytes) => mined(operate(anvil, 'setCapacity', [bytes])),
    expire: (bucket, keys) => mined(operateOn(anvil, { to: bucket, abi: abis.bucket, name: 'expire', args: [keys] })),
    setBaseFee: (atto) => anvil.call('anvil_setNextBlockBaseFeePerGas', `0x${atto.toString(16)}`),
    mine: async (blocks) => {
      await anvil.call('anvil_mine', `0x${blocks.toString(16)}`);
    },
    foreignTransaction: async ({ address, privateKey }) => {
      // Whoever else uses the wallet may be quicker: then with the next nonce.
      const gasPrice = BigInt(await anvil.call<Hex>('eth_gasPrice')) * 2n;
      const account = privateKeyToAccount(privateKey);
      for (let left = 100; ; left -= 1) {
        const nonce = await rpc.checkState.pendingNonce(address);
        const transaction = { to: operator, value: 1n, nonce, gasPrice, gas: transferGas, chainId } as const;
        try {
          await rpc.checkState.submit(await account.signTransaction(transaction));
          return;
        } catch (error) {
          if (left === 0 || !/expected sequence/.test(String(error))) throw error;
        }
      }
    },
    restartChain: async () => {
      await rpc.stop();
      await anvil.restart();
      resolver?.rewind();
      await rpc.start();
    },
    stop: async () => {
      await end();
      await rpc.end();
      await anvil.stop();
    },
  };
}

function walletAt(addressIndex: number): PeerWallet {
  const account = mnemonicToAccount(mnemonic, { addressIndex });
  const privateKey = Buffer.from(account.getHdKey().privateKey ?? []).toString('hex');
  return { address: account.address, privateKey: `0x${privateKey}` };
}

const networksToml = (name: string, chainId: number, rpcUrl: string, objectsUrl: string): string =>
  [
    `[${name}.subnet_config]`,
    `chain_id = ${chainId}`,
    'subnet_id = "/r31337/t410f"',
    `rpc_url = "${rpcUrl}"`,
    `evm_rpc_url = "${rpcUrl}"`,
    `object_api_url = "${objectsUrl}"`,
    '',
  ].join('\n');

export interface Objects {
  readonly objects: ObjectFront;
  readonly resolver: Resolver | null;
  end(): Promise<void>;
}

/** The object API and the resolving of what it has; null for none. */
export async function startObjects(
  anvil: Anvil,
  faults: Faults,
  resolve: Partial<ResolverOptions> | null,
  options: ObjectFrontOptions = {},
): Promise<Objects> {
  const lookUp = async (
    bucket: string,
    key: string,
  ): Promise<{ blobHash: string; contentType: string | null } | null> => {
    const data = encodeFunctionData({ abi: abis.bucket, functionName: 'getObject', args: [key] });
    const found = await anvil.call<Hex>('eth_call', { to: bucket, data }, 'latest').catch(() => '0x');
    return servedObject(Buffer.from(found.slice(2), 'hex'));
  };
  const objects = await startObjectFront(faults, lookUp, options);
  const { resolveMs = resolving.resolveMs, absentMs = resolving.absentMs } = resolve ?? {};
  const resolver = resolve === null ? null : startResolver(anvil, objects, faults, { resolveMs, absentMs });
  return {
    objects,
    resolver,
    end: async () => {
      await resolver?.stop();
      await objects.end();
    },
  };
}

/** Out of getObject's bytes, at their fixed places: decoding the whole of it for each HEAD would take the chain's front its time. */
function servedObject(result: Buffer): { blobHash: string; contentType: string | null } | null {
  const blobHash = result.subarray(32, 64);
  if (blobHash.length < 32 || blobHash.every((byte) => byte === 0)) return null;
  const key = result.indexOf('content-type\0');
  const length = key < 0 ? 0 : result.readUInt32BE(key + 60);
  const contentType = key < 0 ? null : result.subarray(key + 64, key + 64 + length).toString();
  return { blobHash: `0x${blobHash.toString('hex')}`, contentType };
}
