/** The emulated network's chain: nonces, faults, what a restart forgets and what it keeps. */
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeFunctionData, keccak256, parseAbi, toHex, type Hex } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { machineAddress } from '../peers/recall/anvil';
import { createFaults } from '../peers/recall/faults';
import { startRecallNetwork, type PeerWallet, type RecallPeer } from '../peers/recall/network';
import { eventually } from '../support/temporal';

let peer: RecallPeer;
let wallet: string;
let key: Hex;
let next = 0;
beforeAll(async () => {
  peer = await startRecallNetwork({ blockSeconds: 'manual', wallets: 3 });
});
afterAll(() => peer.stop());
beforeEach(async () => {
  // A wallet of its own for each test.
  key = generatePrivateKey();
  wallet = privateKeyToAccount(key).address;
  await peer.setBalance(wallet, 10n ** 24n);
  next = 0;
});
afterEach(() => peer.faults.clear());

interface Answer {
  result?: unknown;
  error?: { code: number; message: string };
}
const post = async (body: unknown): Promise<unknown> => {
  const response = await fetch(peer.rpc.url, { method: 'POST', body: JSON.stringify(body) });
  if (response.status !== 200) throw new Error(`HTTP ${response.status}`);
  return await response.json();
};
const ask = async <R>(method: string, ...params: unknown[]): Promise<R> => {
  const { result, error } = (await post({ jsonrpc: '2.0', id: 5, method, params })) as Answer;
  if (error !== undefined) throw new Error(error.message);
  return result as R;
};
const sign = (nonce: number, from: Hex = key): Promise<Hex> =>
  privateKeyToAccount(from).signTransaction({
    ...{ to: machineAddress, chainId: peer.chainId, nonce, gas: 6_000_000n },
    ...{ maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 1n, type: 'eip1559' as const },
    data: encodeFunctionData({
      abi: parseAbi(['function createBucket(address owner, (string key, string value)[] metadata)']),
      args: [privateKeyToAccount(from).address, [{ key: 'nonce', value: String(nonce) }]],
    }),
  });
const send = async (nonce = next++, from: Hex = key): Promise<Hex> =>
  ask<Hex>('eth_sendRawTransaction', await sign(nonce, from));
const nonces = async (): Promise<number[]> => (await peer.minedBy(wallet)).map(({ nonce }) => nonce);
const count = async (tag: 'latest' | 'pending'): Promise<number> =>
  Number(await ask('eth_getTransactionCount', wallet, tag));
const minedWith = (want: number[]): Promise<unknown> =>
  eventually(`nonces ${want.join()} in blocks`, async () => {
    await peer.mine(1);
    return (await nonces()).join() === want.join();
  });

describe('nonces', () => {
  it('are taken in order without waiting for blocks, and counted before and after', async () => {
    const hashes = [await send(), await send(), await send()];
    expect(hashes[1]).toBe(keccak256(await sign(1)));
    expect([await count('latest'), await count('pending')]).toEqual([0, 3]);
    expect(await ask('eth_getTransactionByHash', hashes[2])).toMatchObject({ blockNumber: null, nonce: '0x2' });
    await peer.mine(1);
    expect([await count('latest'), await count('pending')]).toEqual([3, 3]);
    expect(await ask('eth_getTransactionReceipt', hashes[2])).toMatchObject({ status: '0x1' });
    expect(await nonces()).toEqual([0, 1, 2]);
    expect(await peer.bucketsOf(wallet)).toHaveLength(3);
  });

  it('that were used are refused with the one that is expected', async () => {
    await send();
    await send();
    await expect(send(0)).rejects.toThrow('expected sequence 2, got 0');
    await peer.mine(1);
    await expect(send(1)).rejects.toThrow('expected sequence 2, got 1');
  });

  it('ahead by up to ten are acknowledged, and sent on when the missing one is in a block', async () => {
    await expect(send(11)).rejects.toThrow('expected sequence 0, got 11');
    for (const nonce of [10, 3, 1, 2]) await send(nonce);
    expect(await ask('eth_getTransactionByHash', keccak256(await sign(10)))).toMatchObject({
      from: wallet.toLowerCase(),
    });
    await peer.mine(3);
    await sleep(200); // several looks of the front at its blocks
    expect([await nonces(), await count('pending')]).toEqual([[], 0]);
    await send(0);
    await minedWith([0, 1, 2, 3]);
    expect(await count('pending')).toBe(4);
    for (const nonce of [4, 5, 6, 7, 8, 9]) await send(nonce);
    await minedWith([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('are sent on once: what is refused then is lost', async () => {
    await send(1);
    peer.faults.next.drop = 1;
    await expect(send(0)).resolves.toMatch(/^0x/);
    await send(0);
    peer.faults.next.drop = 1;
    await minedWith([0]);
    await eventually('the second is sent on, and lost', async () => peer.faults.next.drop === 0);
    expect(await ask('eth_getTransactionByHash', keccak256(await sign(1)))).toBeNull();
    await peer.mine(2);
    await sleep(200);
    expect([await nonces(), await count('pending')]).toEqual([[0], 1]);
    await send(1);
    await minedWith([0, 1]);
  });

  it('of several wallets do not touch each other, known keys or not', async () => {
    const [first, second] = peer.wallets;
    const before = await Promise.all(
      [first, second].map((each) => peer.rpc.checkState.pendingNonce(each?.address ?? '')),
    );
    await Promise.all([
      send(before[0], first?.privateKey),
      send(before[1], second?.privateKey),
      send(0),
      peer.foreignTransaction(peer.wallets[2] as PeerWallet),
    ]);
    await peer.mine(1);
    for (const { address } of peer.wallets) {
      const mined = await peer.minedBy(address);
      expect(mined.map(({ nonce }) => nonce)).toEqual(mined.map((_, index) => index));
    }
    expect(await nonces()).toEqual([0]);
  });

  it('somebody else has used are expected no more', async () => {
    await peer.foreignTransaction({ address: wallet, privateKey: key });
    await expect(send(0)).rejects.toThrow('expected sequence 1, got 0');
    await send(1);
    await minedWith([0, 1]);
  });
});

describe('answers', () => {
  it('to a batch come in its order, its own and the chain’s', async () => {
    const calls = [
      { method: 'eth_chainId', params: [] },
      { method: 'eth_sendRawTransaction', params: [await sign(0)] },
      { method: 'eth_getTransactionCount', params: [wallet, 'pending'] },
      { method: 'eth_sendRawTransaction', params: [await sign(0)] },
      { method: 'eth_getCode', params: [machineAddress, 'latest'] },
    ];
    const answers = (await post(calls.map((call, id) => ({ jsonrpc: '2.0', id, ...call })))) as (Answer & {
      id: number;
    })[];
    expect(answers.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4]);
    expect(answers.map(({ result, error }) => result ?? error?.message)).toEqual([
      toHex(peer.chainId),
      keccak256(await sign(0)),
      '0x1',
      'invalid sequence: expected sequence 1, got 0',
      '0x',
    ]);
  });

  it('are the chain’s own for everything else', async () => {
    const hash = await send();
    await peer.mine(1);
    const { number } = await ask<{ number: Hex }>('eth_getBlockByNumber', 'latest', false);
    const receipts = await ask<{ transactionHash: Hex }[]>('eth_getBlockReceipts', number);
    expect(receipts.map(({ transactionHash }) => transactionHash)).toContain(hash);
    const logs = await ask<{ transactionHash: Hex }[]>('eth_getLogs', { fromBlock: number, address: machineAddress });
    expect(logs.filter(({ transactionHash }) => transactionHash === hash)).toHaveLength(2);
    for (const method of ['eth_gasPrice', 'eth_maxPriorityFeePerGas', 'eth_blockNumber'])
      expect(Number(await ask(method))).toBeGreaterThan(0);
    expect(await ask('eth_feeHistory', '0x1', 'latest', [])).toHaveProperty('baseFeePerGas');
  });

  it('to what is no request and no transaction are errors', async () => {
    expect(await post('nothing')).toMatchObject({ error: { code: -32600 } });
    await expect(ask('eth_sendRawTransaction', '0x1234')).rejects.toThrow(/failed to decode transaction/);
    await expect(ask('eth_nonsense')).rejects.toThrow();
  });

  it('follow the base fee', async () => {
    await peer.setBaseFee(10n ** 13n);
    await expect(send(0)).rejects.toThrow(/fee/);
    await peer.setBaseFee(100n);
    await peer.mine(1);
    await peer.setBaseFee(100n);
    await send(0);
    await minedWith([0]);
  });
});

describe('faults', () => {
  it('drop: acknowledged, never mined, expected still', async () => {
    peer.faults.next.drop = 1;
    const hash = await send(0);
    await peer.mine(2);
    expect([await ask('eth_getTransactionByHash', hash), await count('pending')]).toEqual([null, 0]);
    expect(await send(0)).toBe(hash);
    await minedWith([0]);
  });

  it('evict: lost after the check, and expected again after the next block', async () => {
    await send();
    peer.faults.next.evict = 1;
    await send();
    await send();
    expect(await count('pending')).toBe(3);
    await minedWith([0]);
    await eventually('the nonce is expected again', async () => (await count('pending')) === 1);
    await send(1);
    await minedWith([0, 1]);
  });

  it('loseAnswer: mined, and nothing was said', async () => {
    peer.faults.next.loseAnswer = 1;
    await expect(send(0)).rejects.toThrow(/fetch failed/);
    await minedWith([0]);
    await expect(send(0)).rejects.toThrow('expected sequence 1, got 0');
  });

  it('unavailable and cut: 503, and half an answer', async () => {
    peer.faults.next.unavailable = 1;
    await expect(count('latest')).rejects.toThrow('HTTP 503');
    peer.faults.next.cut = 1;
    await expect(count('latest')).rejects.toThrow(/terminated/);
    expect(await count('latest')).toBe(0);
  });

  it('by chance are the same for the same seed', () => {
    const drawn = (): string => {
      const faults = createFaults(7);
      faults.chances.drop = 0.3;
      return Array.from({ length: 200 }, () => Number(faults.happens('drop'))).join('');
    };
    const [first, second] = [drawn(), drawn()];
    expect(first).toBe(second);
    expect(first.split('1').length - 1).toBeGreaterThan(30);
    expect(first.split('1').length - 1).toBeLessThan(90);
  });
});

describe('a restart', () => {
  it('of the front forgets what is in no block, and the gap buffer', async () => {
    await send();
    await peer.mine(1);
    await send();
    await send(3);
    await peer.rpc.restart();
    await peer.mine(2);
    expect([await nonces(), await count('pending')]).toEqual([[0], 1]);
    expect(await ask('eth_getTransactionByHash', keccak256(await sign(3)))).toBeNull();
    for (const nonce of [1, 2, 3]) await send(nonce);
    await minedWith([0, 1, 2, 3]);
  });

  it('on the same port, after connections were refused', async () => {
    await peer.rpc.stop();
    await expect(count('latest')).rejects.toThrow(/fetch failed/);
    await peer.rpc.start();
    expect(await count('latest')).toBe(0);
  });

  it('of the chain keeps its blocks, receipts and contracts', async () => {
    const hash = await send();
    await peer.mine(1);
    const [buckets, { blockNumber }] = [
      await peer.bucketsOf(wallet),
      await ask<{ blockNumber: Hex }>('eth_getTransactionReceipt', hash),
    ];
    await send();
    await peer.restartChain();
    expect(await peer.bucketsOf(wallet)).toEqual(buckets);
    expect(await ask('eth_getTransactionReceipt', hash)).toMatchObject({ blockNumber, status: '0x1' });
    expect([await nonces(), await count('pending')]).toEqual([[0], 1]);
    await send(1);
    await minedWith([0, 1]);
  });
});
