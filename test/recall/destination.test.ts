/** What a RecallNetwork promises, on the one in memory and on the emulated one. */
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { privateKeyToAccount } from 'viem/accounts';
import type { RecallDeps } from '../../activities/recall/activities';
import type { RecallNetwork } from '../../activities/recall/destination';
import { RpcError } from '../../activities/recall/json-rpc';
import { addObjectCall, unpackObject } from '../../activities/recall/plan';
import { planSetup, sendSetup } from '../../activities/recall/setup';
import type { Plan } from '../../activities/recall/steps';
import { createWallet, walletOf } from '../../activities/recall/wallet';
import { transactionAt } from '../../activities/recall/wallet-lane';
import { recallSettings } from '../../activities/recall/contract';
import { isPermanent, RecordRefused } from '../../activities/shared/failures';
import { startRecallNetwork } from '../peers/recall/network';
import { runActivity } from '../support/activity';
import { createFakeNetwork } from '../support/fake-network';
import { networkOf, noSignal as signal, planOf, settle, stream } from '../support/wallet-case';

interface Subject {
  readonly network: RecallNetwork;
  readonly keys: readonly string[];
  setCredit(address: string, free: bigint): Promise<void>;
  /** Objects of these keys have no time left. */
  expire(bucket: string, keys: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

const inMemory = async (): Promise<Subject> => {
  const network = createFakeNetwork({ chainId: 7 });
  return {
    network,
    keys: ['11', '22'].map((byte) => byte.repeat(32)),
    setCredit: async (address, free) => network.setCredit(address, free),
    expire: async () => network.mine(3601),
    stop: async () => undefined,
  };
};
const emulated = async (): Promise<Subject> => {
  const peer = await startRecallNetwork({ blockSeconds: 0.2, resolveMs: 50 });
  const network = networkOf(peer);
  return {
    network,
    keys: peer.wallets.map(({ privateKey }) => privateKey),
    setCredit: (address, free) => peer.setCredit(address, free),
    expire: (bucket, keys) => peer.expire(bucket, keys),
    stop: async () => {
      network.close();
      await peer.stop();
    },
  };
};

describe.each([
  ['in memory', inMemory],
  ['emulated', emulated],
])('a network that is %s', (_, open) => {
  let subject: Subject;
  let network: RecallNetwork;
  let deps: RecallDeps;
  let owner = '';
  let bucket = '';
  const settings = recallSettings.parse({ network: 'any', ttl: 3600, resolveSeconds: 20 });
  const add = async (count: number, from: Partial<Plan> = {}): Promise<{ plan: Plan; keys: string[] }> => {
    const plan = await planOf({ deps, network, wallet: owner, bucket, settings }, count, from);
    expect(await settle({ deps, settings }, plan)).toMatchObject({ confirmed: count, failed: [] });
    return { plan, keys: plan.objects.map((line) => keyOf(plan, line)) };
  };
  const keyOf = ({ folders }: Plan, line: string): string => {
    const { folder, id } = unpackObject(line, folders);
    return folder + id;
  };

  beforeAll(async () => {
    subject = await open();
    network = subject.network;
    const wallets = subject.keys.map(createWallet);
    owner = wallets[0]?.address ?? '';
    const source = (): never => {
      throw new Error('there is no source in this test');
    };
    deps = { source, network: () => network, wallets, addresses: () => [owner] };
    const calls = [{ kind: 'createBucket', owner, name: settings.name }] as const;
    const plan = await runActivity((input) => planSetup(deps, input), { wallet: owner, calls, settings });
    await runActivity((input) => sendSetup(deps, input), { plan, settings });
    bucket = (await network.bucketOf(owner, settings.name, signal)) ?? '';
  });
  afterAll(() => subject.stop());

  it('finds a bucket by its owner and name, and knows it empty', async () => {
    expect(bucket).toMatch(/^0x[0-9a-f]{40}$/i);
    expect(await network.bucketOf(owner, 'another', signal)).toBeNull();
    expect(await network.bucketOf(deps.wallets[1]?.address ?? '', settings.name, signal)).toBeNull();
    expect(await network.isEmpty(bucket, signal)).toBe(true);
    await expect(network.isEmpty(`0xff${'0'.repeat(34)}ffff`, signal)).rejects.toMatchObject({ type: 'BucketRefused' });
  });

  it('gives hashes to bytes, the same to the same', async () => {
    const upload = (text: string): ReturnType<RecallNetwork['upload']> =>
      network.upload(Buffer.byteLength(text), stream(Buffer.from(text)), signal);
    const [first, again, other] = await Promise.all([upload('a'), upload('a'), upload('b')]);
    expect(first).toEqual(again);
    expect(first.blobHash).not.toBe(other.blobHash);
    await expect(network.upload(2, stream(Buffer.from('a')), signal)).rejects.toBeInstanceOf(RecordRefused);
    expect(await network.blobs([`0x${'00'.repeat(31)}01`, first.blobHash], signal)).toEqual(['unknown', 'unknown']);
    expect(await network.blobs([], signal)).toEqual([]);
  });

  it('gives back what was added, in the order of the keys, and null for the rest', async () => {
    const { plan, keys } = await add(3);
    const found = await network.objects(bucket, [keys[2] ?? '', 'no/such', keys[0] ?? ''], signal);
    const staged = plan.objects.map((line) => unpackObject(line, plan.folders));
    expect(found[1]).toBeNull();
    for (const [place, index] of [
      [0, 2],
      [2, 0],
    ] as const) {
      const { blobHash, recoveryHash, size, sha256, id, contentType } = staged[index] ?? {};
      expect(found[place]).toMatchObject({
        ...{ blobHash, recoveryHash, size },
        metadata: { sha256, 'source-id': id, 'content-type': contentType },
      });
    }
    const { block } = await network.tip(signal);
    expect(found[0]?.expiry).toBeGreaterThan(block);
    expect(await network.isEmpty(bucket, signal)).toBe(false);
    expect(await network.objects(bucket, [], signal)).toEqual([]);
    expect(await network.blobs([staged[0]?.blobHash ?? ''], signal)).toEqual(['resolved']);
    expect(await network.readable(bucket, keys[0] ?? '', signal)).toEqual({ size: staged[0]?.size });
    const hash = createHash('sha256');
    for await (const chunk of (await network.read(bucket, keys[0] ?? '', signal)) ?? []) hash.update(chunk);
    expect(hash.digest('hex')).toBe(staged[0]?.sha256);
    expect(await network.readable(bucket, 'no/such', signal)).toBeNull();
    expect(await network.read(bucket, 'no/such', signal)).toBeNull();
  });

  it('tells the keys of ids, the newest where there are several', async () => {
    const { plan, keys } = await add(2);
    const ids = keys.map((key) => key.slice(key.lastIndexOf('/') + 1));
    const moved = {
      ...plan,
      folders: [['elsewhere/', 'application/json']] as const,
      objects: plan.objects.slice(0, 1),
    };
    await settle({ deps, settings }, { ...moved, firstNonce: plan.firstNonce + 2 });
    const found = await network.keysOf(bucket, [...ids, randomUUID()], 3600, signal);
    expect(found).toEqual(
      new Map([
        [ids[0], `elsewhere/${ids[0]}`],
        [ids[1], keys[1]],
      ]),
    );
    expect(await network.keysOf(bucket, [], 3600, signal)).toEqual(new Map());
  });

  it('counts credit and room as objects take them', async () => {
    const [before, roomBefore] = await Promise.all([network.account(owner, signal), network.capacityFree(signal)]);
    const { plan } = await add(2);
    const bytes = plan.objects.reduce((sum, line) => sum + unpackObject(line, plan.folders).size, 0);
    const [after, roomAfter] = await Promise.all([network.account(owner, signal), network.capacityFree(signal)]);
    expect(before.creditFree - after.creditFree).toBe(BigInt(bytes) * 3600n);
    expect(after.creditCommitted - before.creditCommitted).toBe(BigInt(bytes) * 3600n);
    expect(roomBefore - roomAfter).toBe(bytes);
    expect(after).toMatchObject({ approved: [], maxTtl: 86_400 });
    expect(after.balance).toBeGreaterThan(0n);
  });

  it('estimates what adding takes, or says in whose hands the refusal is', async () => {
    const plan = await planOf({ deps, network, wallet: owner, bucket, settings }, 1);
    const estimate = (from: string, ttl = 3600): Promise<bigint> =>
      network.estimateAdd(from, bucket, addObjectCall({ ...plan, ttl }, 0), signal);
    expect(await estimate(owner)).toBeGreaterThan(21_000n);
    await expect(estimate(deps.wallets[1]?.address ?? '')).rejects.toMatchObject({ type: 'DelegationMissing' });
    await expect(estimate(owner, 60)).rejects.toMatchObject({ type: 'TtlRefused' });
    const { creditFree } = await network.account(owner, signal);
    await subject.setCredit(owner, 0n);
    const failure = await estimate(owner).catch((error: unknown) => error);
    await subject.setCredit(owner, creditFree);
    expect(isPermanent(failure)).toBe(true);
    expect(failure).toMatchObject({ type: 'CreditExhausted' });
  });

  it('offers fees above the base fee, and knows itself', async () => {
    const { maxFeePerGas, maxPriorityFeePerGas } = await network.tip(signal);
    expect(maxPriorityFeePerGas).toBeGreaterThan(0n);
    expect(maxFeePerGas).toBeGreaterThan(maxPriorityFeePerGas);
    await network.check(signal);
    expect(await network.node(signal)).toMatch(/^0x[0-9a-f]{64}$/);
  });

  it('takes the transactions of a wallet in their order only', async () => {
    const { ledger } = network;
    const plan = await planOf({ deps, network, wallet: owner, bucket, settings }, 2);
    const wallet = walletOf(deps.wallets, owner);
    const first = await wallet.sign(transactionAt(plan, 0));
    const second = await wallet.sign(transactionAt(plan, 1));
    const far = await wallet.sign({ ...transactionAt(plan, 0), nonce: plan.firstNonce + 11 });
    const refusal = await ledger.send(far, signal).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RpcError);
    expect(refusal).toMatchObject({
      message: expect.stringContaining(`expected sequence ${plan.firstNonce}, got ${plan.firstNonce + 11}`),
    });
    await ledger.send(first, signal);
    await ledger.send(second, signal);
    expect(await ledger.nonce(owner, 'pending', signal)).toBe(plan.firstNonce + 2);
    await expect(ledger.send(first, signal)).rejects.toThrow(/expected sequence/);
    do {
      await sleep(50);
      await ledger.block(signal);
    } while ((await ledger.nonce(owner, 'latest', signal)) < plan.firstNonce + 2);
    const block = await ledger.block(signal);
    const mined = await ledger.minedBy(owner, plan.fromBlock, block, signal);
    expect(mined.map(({ nonce, to, succeeded }) => ({ nonce, to: to.toLowerCase(), succeeded }))).toEqual(
      [0, 1].map((offset) => ({ nonce: plan.firstNonce + offset, to: bucket.toLowerCase(), succeeded: true })),
    );
    expect(mined[0]?.data).toBe(addObjectCall(plan, 0));
    const unknown = `0x${'ab'.repeat(32)}` as const;
    expect(await ledger.isKnown([mined[1]?.hash ?? unknown, unknown], signal)).toEqual([true, false]);
    expect(await ledger.minedBy(privateKeyToAccount(`0x${'99'.repeat(32)}`).address, 0, block, signal)).toEqual([]);
  });

  it('forgets what has expired', async () => {
    const { keys } = await add(1);
    expect(await network.objects(bucket, keys, signal)).not.toEqual([null]);
    await subject.expire(bucket, keys);
    expect(await network.objects(bucket, keys, signal)).toEqual([null]);
  });
});
