/** The stand-in contracts keep the network's rules, and say no in its words. */
import { randomBytes } from 'node:crypto';
import { encodeFunctionData, keccak256, parseAbi, toHex, type Abi, type Hex } from 'viem';
import { RpcError } from '../../activities/recall/json-rpc';
import { wordsOf } from '../../activities/recall/trouble';
import { abis, operate, operateOn, operator, untilMined, view } from '../peers/recall/actors';
import { blobsAddress, machineAddress, startAnvil, type Chain } from '../peers/recall/anvil';

const newAddress = (): string => `0x${randomBytes(20).toString('hex')}`;
const facade = parseAbi([
  'function addObject(bytes32 source, string key, bytes32 hash, bytes32 recoveryHash, uint64 size, uint64 ttl, (string key, string value)[] metadata, bool overwrite)',
]);
const day = 86_400;
const tokens = `0x${(10n ** 24n).toString(16)}`;

interface ObjectValue {
  blobHash: Hex;
  size: bigint;
  expiry: bigint;
  metadata: { key: string; value: string }[];
}
interface Account {
  creditFree: bigint;
  creditCommitted: bigint;
  capacityUsed: bigint;
  maxTtl: bigint;
  approvalsTo: { addr: string; approval: { creditLimit: bigint; expiry: bigint; creditUsed: bigint } }[];
  approvalsFrom: { addr: string }[];
}

describe('the rules', () => {
  let chain: Chain;
  let bucket: string;
  let owner: string;
  let other: string;
  let made = 0;
  beforeAll(async () => {
    chain = await startAnvil({ chainId: 7, blocks: 0 });
    await chain.call('anvil_setBalance', operator, tokens);
  });
  afterAll(() => chain.stop());
  beforeEach(async () => {
    [owner, other] = [newAddress(), newAddress()];
    for (const address of [owner, other]) await chain.call('anvil_setBalance', address, tokens);
    await operated('setAccount', [owner, 10n ** 15n, 0]);
    await operated('setAccount', [other, 0n, 0]);
    await operated('setCapacity', [0n]);
    bucket = await newBucket(owner);
  });

  async function send(
    to: string,
    abi: Abi,
    name: string,
    args: readonly unknown[],
    from: string = owner,
  ): Promise<void> {
    const data = encodeFunctionData({ abi, functionName: name, args });
    try {
      await chain.call('eth_estimateGas', { from, to, data });
    } catch (error) {
      const { code, message, data: bytes } = error as { code: number; message: string; data?: string };
      throw new Error(wordsOf(new RpcError('eth_estimateGas', code, message, bytes ?? '')), { cause: error });
    }
    const hash = await chain.call<Hex>('eth_sendTransaction', { from, to, data, gas: '0x1000000' });
    await untilMined(chain, hash);
  }
  const operated = async (name: string, args: readonly unknown[]): Promise<void> =>
    untilMined(chain, await operate(chain, name, args));
  const newBucket = async (of: string): Promise<string> => {
    await send(machineAddress, abis.machine, 'createBucket', [of, []]);
    const at = { to: machineAddress, abi: abis.machine, name: 'listBuckets', args: [of] };
    return (await view<{ addr: string }[]>(chain, at)).at(-1)?.addr ?? '';
  };
  const newHash = (): Hex => keccak256(toHex((made += 1)));
  const add = (key: string, given: Partial<Added> = {}): Promise<void> => {
    const {
      to = bucket,
      hash = newHash(),
      size = 1000,
      ttl = 0,
      metadata = [],
      overwrite = false,
      from = owner,
    } = given;
    const args = [newHash(), key, hash, newHash(), BigInt(size), BigInt(ttl), metadata, overwrite];
    return send(to, facade, 'addObject', args, from);
  };
  interface Added {
    hash: Hex;
    size: number;
    ttl: number;
    metadata: { key: string; value: string }[];
    overwrite: boolean;
    from: string;
    to: string;
  }
  const ask = <R>(name: string, ...args: unknown[]): Promise<R> =>
    view<R>(chain, { to: bucket, abi: abis.bucket, name, args });
  const account = (of: string): Promise<Account> =>
    view<Account>(chain, { to: blobsAddress, abi: abis.blobs, name: 'getAccount', args: [of] });
  const blob = (hash: Hex): Promise<{ size: bigint; status: number; subscriptions: unknown[] }> =>
    view(chain, { to: blobsAddress, abi: abis.blobs, name: 'getBlob', args: [hash] });
  const finalize = (hash: Hex, isResolved: boolean): Promise<void> => operated('finalize', [[hash], isResolved]);
  const expiryOf = async (index: number): Promise<bigint> =>
    (await ask<{ expiry: bigint }[]>('inspect', BigInt(index), 1n))[0]?.expiry ?? 0n;
  const mine = (blocks: number): Promise<void> => chain.call('anvil_mine', `0x${blocks.toString(16)}`);

  it('an object is readable once its blob is resolved, with its metadata, for a day', async () => {
    const [hash, metadata] = [
      newHash(),
      [
        { key: 'sha256', value: 'ab'.repeat(32) },
        { key: 'empty-ish', value: 'x' },
      ],
    ];
    await add('a/b', { hash, metadata });
    const height = BigInt(await chain.call<string>('eth_blockNumber'));
    const expiry = await expiryOf(0);
    expect(expiry).toBeGreaterThan(height + BigInt(day) - 3n);
    expect(expiry).toBeLessThanOrEqual(height + BigInt(day));
    expect(await ask('getObject', 'a/b')).toMatchObject({ size: 0n, expiry: 0n, metadata: [] });
    expect(await blob(hash)).toMatchObject({ size: 1000n, status: 0 });
    await operated('pend', [[hash], newHash()]);
    expect(await blob(hash)).toMatchObject({ status: 1 });
    await finalize(hash, true);
    expect(await blob(hash)).toMatchObject({ status: 2 });
    expect(await ask('getObject', 'a/b')).toMatchObject({
      blobHash: hash,
      size: 1000n,
      expiry,
      metadata,
    });
    const expired = { to: bucket, abi: abis.bucket, name: 'expire', args: [['a/b']] };
    await untilMined(chain, await operateOn(chain, expired));
    expect(await ask('getObject', 'a/b')).toMatchObject({ size: 0n, expiry: 0n });
    await add('a/b');
  });

  it('a blob that nobody knows has failed, with no size', async () => {
    expect(await blob(newHash())).toMatchObject({ status: 3, size: 0n, subscriptions: [] });
  });

  it('a live key is overwritten only on demand, and then its rest of credit comes back', async () => {
    const { creditFree } = await account(owner);
    await add('key', { size: 1000 });
    const first = await expiryOf(0);
    await expect(add('key')).rejects.toThrow(/^key exists; use overwrite$/);
    await mine(100);
    await add('key', { size: 500, overwrite: true });
    const used = ((await expiryOf(0)) - first) * 1000n;
    expect(used).toBeGreaterThanOrEqual(100_000n);
    const now = await account(owner);
    expect(creditFree - now.creditFree).toBe(500n * 86_400n + used);
    expect(now.creditCommitted).toBe(500n * 86_400n);
    expect(now.capacityUsed).toBe(500n);
    await send(bucket, abis.bucket, 'deleteObject', ['key']);
    expect(await account(owner)).toMatchObject({ creditCommitted: 0n, capacityUsed: 0n });
  });

  it('overwriting with the same bytes moves the expiry on and costs only that', async () => {
    const hash = newHash();
    await add('key', { hash });
    await finalize(hash, true);
    const { creditFree } = await account(owner);
    const { expiry } = await ask<ObjectValue>('getObject', 'key');
    await mine(50);
    await add('key', { hash, overwrite: true });
    const renewed = await ask<ObjectValue>('getObject', 'key');
    expect(renewed.blobHash).toBe(hash);
    expect(creditFree - (await account(owner)).creditFree).toBe((renewed.expiry - expiry) * 1000n);
  });

  it('credit is committed, given back for a blob that failed, and refused when it is out', async () => {
    const [hash, { creditFree }] = [newHash(), await account(owner)];
    await add('key', { hash, size: 700 });
    expect((await account(owner)).creditCommitted - 700n * 86_400n).toBe(0n);
    await finalize(hash, false);
    expect(await account(owner)).toMatchObject({ creditFree, creditCommitted: 0n, capacityUsed: 0n });
    expect(await blob(hash)).toMatchObject({ status: 3, size: 700n });
    await add('key', { hash, size: 700, overwrite: true });
    await finalize(hash, true);
    expect((await account(owner)).creditFree).toBe(creditFree - 700n * 86_400n);
    await operated('setAccount', [owner, 100n, 0]);
    await expect(add('next')).rejects.toThrow(/^insufficient credit \(balance: 100; required: 86400000\)$/);
  });

  it('credit is bought with tokens', async () => {
    const data = encodeFunctionData({ abi: abis.blobs, functionName: 'buyCredit', args: [other] });
    await untilMined(
      chain,
      await chain.call('eth_sendTransaction', { from: owner, to: blobsAddress, data, value: '0x3' }),
    );
    expect((await account(other)).creditFree).toBe(3n * 10n ** 18n);
  });

  it('what is decided of a blob stays so, and two payers of one blob are both given back', async () => {
    const hash = newHash();
    await operated('setAccount', [other, 10n ** 15n, 0]);
    await add('one', { hash });
    await add('two', { hash, to: await newBucket(other), from: other });
    for (const each of [owner, other]) expect((await account(each)).creditCommitted).toBe(86_400_000n);
    await finalize(hash, false);
    for (const each of [owner, other])
      expect(await account(each)).toMatchObject({ creditFree: 10n ** 15n, creditCommitted: 0n });
    await finalize(hash, true);
    expect(await blob(hash)).toMatchObject({ status: 3 });
  });

  it('how long an object may live depends on the account', async () => {
    await expect(add('key', { ttl: 3599 })).rejects.toThrow(/^minimum blob TTL is 3600$/);
    await expect(add('key', { ttl: day + 1 })).rejects.toThrow(
      /^attempt to add a blob with TTL \(86401\) that exceeds account's max allowed TTL \(86400\)$/,
    );
    await operated('setAccount', [owner, 10n ** 15n, 2 * day]);
    await add('key', { ttl: day + 1 });
  });

  it('the network’s capacity has an end', async () => {
    const { capacityUsed } = await view<{ capacityUsed: bigint }>(chain, {
      ...{ to: blobsAddress, abi: abis.blobs, name: 'getStats', args: [] },
    });
    await operated('setCapacity', [capacityUsed + 1500n]);
    await add('key');
    await expect(add('next')).rejects.toThrow(/^subnet has reached storage capacity$/);
  });

  it('another’s bucket is written with a delegation, within its limit and its time', async () => {
    const words = `missing delegation from ${owner} to ${other}`;
    await expect(add('key', { from: other })).rejects.toThrow(words);
    await send(blobsAddress, abis.blobs, 'approveCredit', [other, [], 2n * 86_400_000n, 0n, 20n]);
    await add('one', { from: other });
    await add('two', { from: other });
    await expect(add('three', { from: other })).rejects.toThrow(/exceed credit limit/);
    const [mine_, theirs] = [await account(owner), await account(other)];
    expect(mine_.approvalsTo[0]?.approval).toMatchObject({ creditLimit: 172_800_000n, creditUsed: 172_800_000n });
    expect(theirs.approvalsFrom.map(({ addr }) => addr.toLowerCase())).toEqual([owner]);
    await mine(20);
    await expect(add('three', { from: other })).rejects.toThrow(words);
    await send(blobsAddress, abis.blobs, 'revokeCredit', [other]);
    expect((await account(owner)).approvalsTo).toEqual([]);
  });

  it('metadata has limits', async () => {
    const entries = (count: number): Added['metadata'] =>
      Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: 'v' }));
    await add('twenty', { metadata: entries(20) });
    await add('long', { metadata: [{ key: 'k'.repeat(32), value: 'v'.repeat(128) }] });
    await expect(add('key', { metadata: entries(21) })).rejects.toThrow(/maximum metadata entries allowed is 20/);
    await expect(add('key', { metadata: [{ key: 'k'.repeat(33), value: 'v' }] })).rejects.toThrow(
      /32 bytes in metadata/,
    );
    for (const value of ['', 'v'.repeat(129)])
      await expect(add('key', { metadata: [{ key: 'k', value }] })).rejects.toThrow(/128 bytes in metadata/);
    await send(bucket, abis.bucket, 'updateObjectMetadata', [
      'twenty',
      [
        { key: 'k0', value: '' },
        { key: 'k1', value: 'new' },
      ],
    ]);
    const [{ metadata }] = (await ask<{ metadata: Added['metadata'] }[]>('inspect', 0n, 1n)) as [
      { metadata: Added['metadata'] },
    ];
    expect(metadata).toHaveLength(19);
    expect(metadata).toContainEqual({ key: 'k1', value: 'new' });
  });

  it('a bucket is asked by prefix, delimiter and limit, page by page', async () => {
    for (const key of ['a/1', 'a/2', 'b/1', 'c', 'a/3']) await add(key);
    interface Page {
      objects: { key: string }[];
      commonPrefixes: string[];
      nextKey: string;
    }
    const page = async (...args: [string, string, string, bigint]): Promise<unknown> => {
      const { objects, commonPrefixes, nextKey } = await ask<Page>('queryObjects', ...args);
      return [objects.map(({ key }) => key), commonPrefixes, nextKey];
    };
    expect(await page('a/', '', '', 2n)).toEqual([['a/1', 'a/2'], [], 'a/3']);
    expect(await page('a/', '', 'a/3', 2n)).toEqual([['a/3'], [], '']);
    expect(await page('', '/', '', 10n)).toEqual([['c'], ['a/', 'b/'], '']);
    expect(await page('', '', '', 1n)).toEqual([['a/1'], [], 'a/2']);
  });
});
