/**
 * A Recall network in memory, with the chain's own rules for nonces, credit, TTL and keys. Time passes by looking: every
 * question for the latest block, or for blobs, makes one.
 */
import { createHash } from 'node:crypto';
import {
  decodeFunctionData,
  keccak256,
  parseAbi,
  parseTransaction,
  recoverTransactionAddress,
  type Hex,
  type TransactionSerialized,
} from 'viem';
import type { BlobStatus, MinedTransaction, RecallNetwork } from '../../activities/recall/destination';
import { blobsAddress, decodeAddObject, machineAddress } from '../../activities/recall/facade';
import { permanent } from '../../activities/recall/failures';
import { RpcError } from '../../activities/recall/json-rpc';
import { classified } from '../../activities/recall/trouble';
import { RecordRefused } from '../../activities/shared/failures';

const abi = parseAbi([
  'function createBucket(address owner, (string key, string value)[] metadata)',
  'function approveCredit(address to, address[] caller, uint256 creditLimit, uint256 gasFeeLimit, uint64 ttl)',
]);
const [ttlMin, ttlMax] = [3600, 86_400];
const firstCredit = 10n ** 12n * 86_400n;

interface Account {
  nonce: number;
  free: bigint;
  committed: bigint;
  used: number;
  approved: string[];
}
interface Stored {
  readonly blobHash: Hex;
  readonly recoveryHash: Hex;
  readonly size: number;
  readonly expiry: number;
  readonly metadata: Record<string, string>;
}
interface Bucket {
  readonly address: string;
  readonly owner: string;
  readonly name: string;
  readonly objects: Map<string, Stored>;
  readonly added: { readonly block: number; readonly key: string }[];
}
interface Pooled {
  readonly from: string;
  readonly nonce: number;
  readonly to: string;
  readonly data: Hex;
  readonly hash: Hex;
}

export interface FakeNetwork extends RecallNetwork {
  setCredit(address: string, free: bigint): void;
  mine(blocks: number): void;
}

export function createFakeNetwork({ chainId = 1, capacity = 10 ** 13 } = {}): FakeNetwork {
  const accounts = new Map<string, Account>();
  const buckets: Bucket[] = [];
  const bytes = new Map<Hex, Buffer>();
  /** By hash: the block from which on it is resolved. */
  const resolving = new Map<string, number>();
  const mined: (MinedTransaction & { readonly from: string })[] = [];
  let pool: Pooled[] = [];
  let number = 1;

  const accountOf = (address: string): Account => {
    const known = accounts.get(address.toLowerCase());
    if (known !== undefined) return known;
    const made = { nonce: 0, free: firstCredit, committed: 0n, used: 0, approved: [] };
    accounts.set(address.toLowerCase(), made);
    return made;
  };
  const bucketAt = (address: string): Bucket => {
    const found = buckets.find((each) => each.address === address.toLowerCase());
    if (found === undefined) throw permanent('BucketRefused', `there is no bucket at ${address}`);
    return found;
  };
  const usedBytes = (): number => [...accounts.values()].reduce((sum, { used }) => sum + used, 0);
  const statusOf = (hash: string): BlobStatus => {
    const from = resolving.get(hash);
    return from === undefined ? 'unknown' : number < from ? 'pending' : 'resolved';
  };

  /** Null, or why not. Changes nothing unless `commit`. */
  const execute = (from: string, to: string, data: Hex, commit: boolean): string | null => {
    if (to.toLowerCase() === machineAddress || to.toLowerCase() === blobsAddress) {
      const { functionName, args } = decodeFunctionData({ abi, data });
      if (commit && functionName === 'createBucket') {
        const name = args[1].find(({ key }) => key === 'waybill-job')?.value ?? '';
        const address = `0xff${(buckets.length + 100).toString(16).padStart(38, '0')}`;
        buckets.push({ address, owner: args[0].toLowerCase(), name, objects: new Map(), added: [] });
      } else if (commit && functionName === 'approveCredit') accountOf(from).approved.push(args[0]);
      return null;
    }
    const call = decodeAddObject(data);
    const bucket = buckets.find(({ address }) => address === to.toLowerCase());
    if (call === null || bucket === undefined) return `actor ${to} not found`;
    const { key, blobHash, recoveryHash, size, ttl, metadata, overwrite } = call;
    const owner = accountOf(bucket.owner);
    const delegates = owner.approved.map((each) => each.toLowerCase());
    if (from.toLowerCase() !== bucket.owner && !delegates.includes(from.toLowerCase()))
      return `missing delegation from ${bucket.owner} to ${from}`;
    if (ttl < ttlMin) return `minimum blob TTL is ${ttlMin}`;
    if (ttl > ttlMax)
      return `attempt to add a blob with TTL (${ttl}) that exceeds account's max allowed TTL (${ttlMax})`;
    const there = bucket.objects.get(key);
    if (there !== undefined && there.expiry > number && !overwrite) return 'key exists; use overwrite';
    const cost = BigInt(size) * BigInt(ttl);
    if (cost > owner.free) return `insufficient credit (balance: ${owner.free}; required: ${cost})`;
    if (size > capacity - usedBytes()) return 'subnet has reached storage capacity';
    if (!commit) return null;
    owner.free -= cost;
    owner.committed += cost;
    owner.used += size;
    const records = Object.fromEntries(metadata.map((each) => [each.key, each.value]));
    bucket.objects.set(key, { blobHash, recoveryHash, size, expiry: number + ttl, metadata: records });
    bucket.added.push({ block: number, key });
    if (!resolving.has(blobHash)) resolving.set(blobHash, number + 2);
    return null;
  };

  const makeBlock = (): void => {
    number += 1;
    for (const { from, nonce, to, data, hash } of pool) {
      accountOf(from).nonce = nonce + 1;
      const succeeded = execute(from, to, data, true) === null;
      mined.push({ from, hash, nonce, to, data, block: number, succeeded });
    }
    pool = [];
  };
  const pendingOf = (address: string): number =>
    accountOf(address).nonce + pool.filter(({ from }) => from === address.toLowerCase()).length;
  const live = (bucket: string, key: string): Stored | null => {
    const found = bucketAt(bucket).objects.get(key);
    return found !== undefined && found.expiry > number && statusOf(found.blobHash) === 'resolved' ? found : null;
  };
  const simulate = (method: string, from: string, to: string, data: Hex): void => {
    const why = execute(from, to, data, false);
    if (why !== null) throw new RpcError(method, 3, `execution reverted: ${why}`, '');
  };
  const hash = (name: string, of: Buffer): Hex => `0x${createHash('sha256').update(name).update(of).digest('hex')}`;

  return {
    chainId,
    check: async () => undefined,
    setCredit: (address, free) => {
      accountOf(address).free = free;
    },
    mine: (blocks) => {
      makeBlock();
      number += blocks - 1;
    },
    ledger: {
      block: async () => {
        makeBlock();
        return number;
      },
      nonce: async (address, at) => (at === 'latest' ? accountOf(address).nonce : pendingOf(address)),
      send: async (signed) => {
        const { nonce = 0, to, data = '0x' } = parseTransaction(signed);
        const from = (
          await recoverTransactionAddress({ serializedTransaction: signed as TransactionSerialized })
        ).toLowerCase();
        const expected = pendingOf(from);
        const words = `invalid sequence: expected sequence ${expected}, got ${nonce}`;
        if (nonce !== expected) throw new RpcError('eth_sendRawTransaction', -32000, words, '');
        pool.push({ from, nonce, to: to ?? '', data, hash: keccak256(signed) });
      },
      isKnown: async (hashes) => {
        const known = new Set([...pool, ...mined].map((each) => each.hash));
        return hashes.map((each) => known.has(each));
      },
      minedBy: async (address, from, to) =>
        mined
          .filter((each) => each.from === address.toLowerCase() && each.block >= from && each.block <= to)
          .map(({ hash: of, nonce, to: target, data, block, succeeded }) => ({
            ...{ hash: of, nonce, to: target, data, block, succeeded },
          })),
      whyFailed: async (from, { to, data }) => execute(from, to, data, false),
      estimate: async ({ from, to, data }) => {
        simulate('eth_estimateGas', from, to, data);
        return 300_000n;
      },
    },
    tip: async () => ({ block: number, maxFeePerGas: 1001n, maxPriorityFeePerGas: 1n }),
    bucketOf: async (owner, name) =>
      buckets.find((each) => each.owner === owner.toLowerCase() && each.name === name)?.address ?? null,
    isEmpty: async (bucket) => bucketAt(bucket).objects.size === 0,
    account: async (address) => {
      const { free, committed, used, approved } = accountOf(address);
      const balance = 10n ** 24n;
      return { creditFree: free, creditCommitted: committed, capacityUsed: used, maxTtl: ttlMax, approved, balance };
    },
    capacityFree: async () => capacity - usedBytes(),
    objects: async (bucket, keys) => keys.map((key) => live(bucket, key)),
    blobs: async (hashes) => {
      makeBlock();
      return hashes.map(statusOf);
    },
    keysOf: async (bucket, ids, epochs) => {
      const recent = bucketAt(bucket).added.filter(({ block }) => block >= number - epochs);
      const keys = new Map(recent.map(({ key }) => [key.slice(key.lastIndexOf('/') + 1), key]));
      return new Map([...keys].filter(([id]) => ids.includes(id)));
    },
    node: async () => `0x${'0d'.repeat(32)}`,
    upload: async (size, stream) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      const whole = Buffer.concat(chunks);
      if (whole.length !== size) throw new RecordRefused(`${whole.length} bytes, ${size} were announced`);
      const blobHash = hash('hash sequence', whole);
      bytes.set(blobHash, whole);
      return { blobHash, recoveryHash: hash('parity', whole) };
    },
    readable: async (bucket, key) => {
      const found = live(bucket, key);
      return found === null ? null : { size: bytes.get(found.blobHash)?.length ?? 0 };
    },
    read: async (bucket, key) => {
      const found = live(bucket, key);
      if (found === null) return null;
      return (async function* () {
        yield bytes.get(found.blobHash) ?? Buffer.alloc(0);
      })();
    },
    estimateAdd: async (from, bucket, data) => {
      try {
        simulate('eth_estimateGas', from, bucket, data);
        return 300_000n;
      } catch (error) {
        throw classified(error, `adding an object to ${bucket}`);
      }
    },
  };
}
