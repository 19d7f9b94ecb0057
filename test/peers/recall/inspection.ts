/** What the network holds and what happened on it, for tests to compare with what should. */
import type { Readable } from 'node:stream';
import type { Hex } from 'viem';
import { abis, view } from './actors';
import { machineAddress, type Anvil } from './anvil';
import { contentOf as streamOf, type ObjectFront } from './object-front';

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
  /** A block; 0 for one that was deleted. */
  readonly expiry: number;
  /** How often it was put there, with success. */
  readonly added: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** Of the bytes that lie at the object API; null if none do. */
  readonly sha256: string | null;
}

export interface Inspection {
  bucketsOf(owner: string): Promise<string[]>;
  /** Resolved or not. */
  contentOf(bucket: string): Promise<BucketObject[]>;
  /** In the order of nonces. */
  minedBy(address: string): Promise<MinedByWallet[]>;
  /** What lies under a key, resolved or not; null if nothing does. */
  bytesOf(bucket: string, key: string): Promise<Readable | null>;
}

const objectsTogether = 50;
const blocksTogether = 100;

export function createInspection(anvil: Anvil, objects: Pick<ObjectFront, 'blobs'>): Inspection {
  const contentOf = async (bucket: string): Promise<BucketObject[]> => {
    const found: BucketObject[] = [];
    for (;;) {
      const args = [BigInt(found.length), BigInt(objectsTogether)];
      const some = await view<InspectedObject[]>(anvil, { to: bucket, abi: abis.bucket, name: 'inspect', args });
      for (const { key, blobHash, size, expiry, added, metadata } of some)
        found.push({
          ...{ key, blobHash, size: Number(size), expiry: Number(expiry), added: Number(added) },
          metadata: Object.fromEntries(metadata.map((entry) => [entry.key, entry.value])),
          sha256: objects.blobs.get(blobHash)?.sha256 ?? null,
        });
      if (some.length < objectsTogether) return found;
    }
  };
  return {
    contentOf,
    bucketsOf: async (owner) => {
      const at = { to: machineAddress, abi: abis.machine };
      const listed = await view<{ addr: string }[]>(anvil, { ...at, name: 'listBuckets', args: [owner] });
      return listed.map(({ addr }) => addr);
    },
    minedBy: (address) => minedBy(anvil, address.toLowerCase()),
    bytesOf: async (bucket, key) => {
      const object = (await contentOf(bucket)).find((each) => each.key === key);
      const blob = objects.blobs.get(object?.blobHash ?? '');
      return blob === undefined ? null : streamOf(blob, 0, blob.size - 1);
    },
  };
}

interface InspectedObject {
  readonly key: string;
  readonly blobHash: Hex;
  readonly size: bigint;
  readonly expiry: bigint;
  readonly added: number;
  readonly metadata: readonly { readonly key: string; readonly value: string }[];
}

interface Block {
  readonly transactions: readonly { hash: Hex; from: string; to: string | null; nonce: string }[];
}

async function minedBy(anvil: Anvil, address: string): Promise<MinedByWallet[]> {
  const last = Number(await anvil.call<string>('eth_blockNumber'));
  const ours: Block['transactions'][number][] = [];
  for (let from = 0; from <= last; from += blocksTogether) {
    const numbers = Array.from({ length: Math.min(blocksTogether, last - from + 1) }, (_, index) => from + index);
    const blocks = await many<Block>(
      anvil,
      'eth_getBlockByNumber',
      numbers.map((number) => [`0x${number.toString(16)}`, true]),
    );
    ours.push(...blocks.flatMap(({ transactions }) => transactions).filter(({ from: sender }) => sender === address));
  }
  const mined: MinedByWallet[] = [];
  for (let from = 0; from < ours.length; from += blocksTogether) {
    const some = ours.slice(from, from + blocksTogether);
    const receipts = await many<{ status: string }>(
      anvil,
      'eth_getTransactionReceipt',
      some.map(({ hash }) => [hash]),
    );
    some.forEach(({ hash, to, nonce }, index) => {
      mined.push({ nonce: Number(nonce), hash, to: to ?? '', succeeded: receipts[index]?.status === '0x1' });
    });
  }
  return mined.sort((left, right) => left.nonce - right.nonce);
}

async function many<R>(anvil: Anvil, method: string, params: readonly unknown[][]): Promise<R[]> {
  const calls = params.map((each, id) => ({ jsonrpc: '2.0', id, method, params: each }));
  const answers = JSON.parse(await anvil.forward(JSON.stringify(calls))) as { id: number; result: R }[];
  return answers.sort((left, right) => left.id - right.id).map(({ result }) => result);
}
