/**
 * A Recall network on loopback: a chain with stand-ins for the actors, its JSON-RPC front, its object API, and what the network
 * does by itself (resolving blobs). Faults on request; what happened can be read back.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeFunctionResult, encodeFunctionData, toEventSelector, type Abi, type Hex } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { blobsAddress, machineAddress, startAnvil, type Anvil } from './anvil';
import contracts from './contracts/Recall.json';
import { createFaults, type Faults } from './faults';
import { startObjectFront, type ObjectFront } from './object-front';
import { startRpcFront, type RpcFront } from './rpc-front';

export interface NetworkOptions {
  readonly chainId?: number;
  /** Seconds; 0 mines each transaction at once. Default 1. */
  readonly blockSeconds?: number;
  /** From a blob's adding to its resolving. Default 300. */
  readonly resolveMs?: number;
  /** Wallets with tokens and credit. Default 2. */
  readonly wallets?: number;
  readonly seed?: number;
  /** Blobs are resolved by the object API of another process. */
  readonly elsewhere?: boolean;
}

export interface PeerWallet {
  readonly address: string;
  readonly privateKey: Hex;
}

export interface MinedByWallet {
  readonly nonce: number;
  readonly hash: Hex;
  readonly to: string;
  readonly succeeded: boolean;
}

export interface BucketObject {
  readonly key: string;
  readonly blobHash: Hex;
  readonly size: number;
  readonly expiry: number;
  /** How often it was put there, with success. */
  readonly added: number;
  /** Of the bytes that lie at the object API; null if none do. */
  readonly sha256: string | null;
}

export interface RecallPeer {
  readonly chainId: number;
  readonly wallets: readonly PeerWallet[];
  readonly rpc: RpcFront;
  readonly objects: ObjectFront;
  readonly faults: Faults;
  readonly anvil: Anvil;
  /** As networks.toml has it. */
  readonly networksToml: (name?: string) => string;
  setCredit(address: string, free: bigint, maxTtl?: number): Promise<void>;
  /** Bytes; 0 for the default. */
  setCapacity(bytes: bigint): Promise<void>;
  /** Blocks pass. */
  mine(blocks: number): Promise<void>;
  /** Somebody else's transaction on a wallet's next nonce. */
  foreignTransaction(wallet: PeerWallet): Promise<void>;
  bucketsOf(owner: string): Promise<string[]>;
  contentOf(bucket: string): Promise<BucketObject[]>;
  /** In the order of nonces. */
  minedBy(address: string): Promise<MinedByWallet[]>;
  stop(): Promise<void>;
}

const operator = '0x00000000000000000000000000000000000a11ce';
const resolvePollMs = 100;
/** Byte-epochs: a terabyte for a day. */
const firstCredit = 10n ** 12n * 86_400n;
const abis = {
  blobs: contracts.Blobs.abi as Abi,
  machine: contracts.Machine.abi as Abi,
  bucket: contracts.Bucket.abi as Abi,
};

export async function startRecallNetwork(options: NetworkOptions = {}): Promise<RecallPeer> {
  const { chainId = 248163216, blockSeconds = 1, resolveMs = 300, wallets: count = 2, seed = 1 } = options;
  const anvil = await startAnvil({ chainId, blockSeconds });
  const faults = createFaults(seed);
  const view = async <R>(to: string, abi: Abi, functionName: string, args: readonly unknown[]): Promise<R> => {
    const data = encodeFunctionData({ abi, functionName, args });
    return decodeFunctionResult({
      abi,
      functionName,
      data: await anvil.call<Hex>('eth_call', { to, data }, 'latest'),
    }) as R;
  };
  const operate = operatorOf(anvil);
  await anvil.call('anvil_impersonateAccount', operator);
  await anvil.call('anvil_setBalance', operator, `0x${(10n ** 24n).toString(16)}`);
  const wallets = Array.from({ length: count }, (_, index) => {
    const account = mnemonicToAccount('test test test test test test test test test test test junk', {
      addressIndex: index,
    });
    return {
      address: account.address,
      privateKey: `0x${Buffer.from(account.getHdKey().privateKey ?? []).toString('hex')}` as Hex,
    };
  });
  const setCredit = (address: string, free: bigint, maxTtl = 0): Promise<void> =>
    operate('setAccount', [address, free, maxTtl]);
  for (const { address } of wallets) await setCredit(address, firstCredit);

  const rpc = await startRpcFront(anvil, faults);
  const { objects, end } = await startObjects(anvil, faults, options.elsewhere === true ? Infinity : resolveMs);

  return {
    chainId,
    wallets,
    rpc,
    objects,
    faults,
    anvil,
    networksToml: (name = 'emulated') =>
      [
        `[${name}.subnet_config]`,
        `chain_id = ${chainId}`,
        'subnet_id = "/r31337/t410f"',
        `rpc_url = "${rpc.url}"`,
        `evm_rpc_url = "${rpc.url}"`,
        `object_api_url = "${objects.url}"`,
        '',
      ].join('\n'),
    setCredit,
    setCapacity: (bytes) => operate('setCapacity', [bytes]),
    mine: async (blocks) => {
      await anvil.call('anvil_mine', `0x${blocks.toString(16)}`);
    },
    foreignTransaction: async ({ address }) => {
      await anvil.call('eth_sendTransaction', { from: address, to: operator, value: '0x1' });
    },
    bucketsOf: async (owner) =>
      (await view<{ addr: string }[]>(machineAddress, abis.machine, 'listBuckets', [owner])).map(({ addr }) => addr),
    contentOf: async (bucket) => {
      const keys = Number(await view<bigint>(bucket, abis.bucket, 'keyCount', []));
      const found: BucketObject[] = [];
      for (let from = 0; from < keys; from += 50) {
        const some = Array.from({ length: Math.min(50, keys - from) }, (_, index) => from + index);
        found.push(
          ...(await Promise.all(
            some.map(async (index) => {
              const key = await view<string>(bucket, abis.bucket, 'keyAt', [BigInt(index)]);
              const stored = await view<{ blobHash: Hex; size: bigint; expiry: bigint; added: bigint }>(
                bucket,
                abis.bucket,
                'inspect',
                [key],
              );
              const { blobHash } = stored;
              const sha256 = objects.blobs.get(blobHash)?.sha256 ?? null;
              return {
                key,
                blobHash,
                size: Number(stored.size),
                expiry: Number(stored.expiry),
                added: Number(stored.added),
                sha256,
              };
            }),
          )),
        );
      }
      return found;
    },
    minedBy: async (address) => {
      const last = Number(await anvil.call<string>('eth_blockNumber'));
      const mined: MinedByWallet[] = [];
      for (let number = 0; number <= last; number += 1) {
        const tag = `0x${number.toString(16)}`;
        const block = await anvil.call<{
          transactions: { hash: Hex; from: string; to: string | null; nonce: string }[];
        }>('eth_getBlockByNumber', tag, true);
        const ours = block.transactions.filter(({ from }) => from.toLowerCase() === address.toLowerCase());
        if (ours.length === 0) continue;
        const receipts = await anvil.call<{ transactionHash: Hex; status: string }[]>('eth_getBlockReceipts', tag);
        const statuses = new Map(receipts.map(({ transactionHash, status }) => [transactionHash, status === '0x1']));
        for (const { hash, to, nonce } of ours)
          mined.push({ nonce: Number(nonce), hash, to: to ?? '', succeeded: statuses.get(hash) ?? false });
      }
      return mined.sort((left, right) => left.nonce - right.nonce);
    },
    stop: async () => {
      await end();
      await rpc.end();
      await anvil.stop();
    },
  };
}

export type Operate = (functionName: string, args: readonly unknown[]) => Promise<void>;

/** What the network does by itself, or its operator. */
function operatorOf(anvil: Anvil): Operate {
  return async (functionName, args) => {
    const data = encodeFunctionData({ abi: abis.blobs, functionName, args });
    const transaction = { from: operator, to: blobsAddress, data, gas: '0x10000000' };
    const hash = await anvil.call<Hex>('eth_sendTransaction', transaction);
    while ((await anvil.call('eth_getTransactionReceipt', hash)) === null) await sleep(20);
  };
}

/** The object API and the resolving of what it has. */
export async function startObjects(
  anvil: Anvil,
  faults: Faults,
  resolveMs: number,
): Promise<{ objects: ObjectFront; end(): Promise<void> }> {
  const objects = await startObjectFront(faults, async (bucket, key) => {
    const data = encodeFunctionData({ abi: abis.bucket, functionName: 'getObject', args: [key] });
    const found = await anvil.call<Hex>('eth_call', { to: bucket, data }, 'latest').catch(() => '0x');
    return servedObject(Buffer.from(found.slice(2), 'hex'));
  });
  const resolver = Number.isFinite(resolveMs)
    ? startResolver(anvil, objects, faults, { resolveMs, operate: operatorOf(anvil) })
    : { stop: async () => undefined };
  return {
    objects,
    end: async () => {
      await resolver.stop();
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

/** Validators, in short: a blob whose bytes are here is resolved after a while, one whose are not fails. */
function startResolver(
  anvil: Anvil,
  objects: ObjectFront,
  faults: Faults,
  { resolveMs, operate }: { resolveMs: number; operate: Operate },
): { stop(): Promise<void> } {
  const topic = toEventSelector('BlobPending(address,bytes32,bytes32)');
  const waiting = new Map<Hex, number>();
  let next = 0;
  let running = true;
  const look = async (): Promise<void> => {
    const last = Number(await anvil.call<string>('eth_blockNumber'));
    if (last >= next) {
      const logs = await anvil.call<{ data: Hex }[]>('eth_getLogs', {
        address: blobsAddress,
        topics: [topic],
        fromBlock: `0x${next.toString(16)}`,
        toBlock: `0x${last.toString(16)}`,
      });
      for (const { data } of logs) waiting.set(data.slice(0, 66) as Hex, performance.now());
      next = last + 1;
    }
    const due = [...waiting].filter(([, since]) => performance.now() - since >= resolveMs).map(([hash]) => hash);
    if (due.length === 0) return;
    const failed = due.filter((hash) => !objects.blobs.has(hash) || faults.happens('failBlob'));
    const resolved = due.filter((hash) => !failed.includes(hash));
    for (const hash of due) waiting.delete(hash);
    for (const [hashes, status] of [
      [resolved, 2],
      [failed, 3],
    ] as const)
      for (let from = 0; from < hashes.length; from += 500)
        await operate('finalize', [hashes.slice(from, from + 500), status]);
  };
  const ended = (async () => {
    while (running) {
      await sleep(resolvePollMs);
      await look().catch(() => undefined);
    }
  })();
  return {
    stop: async () => {
      running = false;
      await ended;
    },
  };
}
