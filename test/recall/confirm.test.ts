/** A plan's end on the emulated network: what is confirmed, what failed and what is to be done about it, at what cost. */
import { createLedger } from '../../activities/recall/evm-ledger';
import { createJsonRpc, RpcError, type JsonRpc } from '../../activities/recall/json-rpc';
import { unpackObject } from '../../activities/recall/plan';
import type { ClosableNetwork } from '../../activities/recall/recall-network';
import type { ConfirmResult, FailedObject, Plan } from '../../activities/recall/contract';
import { broadcast, confirm, noSignal, openWalletCase, planOf, settle, type WalletCase } from '../support/wallet-case';

let given: WalletCase;
beforeAll(async () => {
  given = await openWalletCase();
});
afterAll(() => given.stop());
afterEach(() => given.peer.faults.clear());

const credit = 10n ** 12n * 86_400n;

async function end(plan: Plan, before: () => Promise<void> = async () => undefined): Promise<ConfirmResult> {
  await before();
  const { digest } = await broadcast(given, plan);
  return await confirm(given, plan, { digest });
}

describe('what the chain refuses once it is mined', () => {
  const fates = ({ failed }: ConfirmResult): FailedObject['fate'][] => failed.map(({ fate }) => fate);
  afterEach(async () => {
    await given.peer.setCredit(given.wallet, credit);
    await given.peer.setCapacity(0n);
  });

  it('for want of credit is a person’s trouble', async () => {
    const plan = await planOf(given, 3);
    const result = await end(plan, () => given.peer.setCredit(given.wallet, 0n));
    expect(fates(result)).toEqual(['CreditExhausted', 'CreditExhausted', 'CreditExhausted']);
    expect(result).toMatchObject({ confirmed: 0, bytes: 0 });
    expect(result.failed[0]?.reason).toMatch(/insufficient credit .*buy credit/);
  });

  it('in the middle of a plan leaves the objects before it confirmed', async () => {
    const plan = await planOf(given, 3);
    const each = BigInt(plan.objects[0]?.split(' ')[1] ?? 0) * BigInt(plan.ttl);
    const result = await end(plan, () => given.peer.setCredit(given.wallet, each * 2n));
    expect(result.confirmed).toBe(2);
    // Only the state after its block knows that the credit is gone.
    expect(fates(result)).toEqual(['CreditExhausted']);
  });

  it('for want of room is a person’s trouble', async () => {
    const result = await end(await planOf(given, 2), () => given.peer.setCapacity(1n));
    expect(fates(result)).toEqual(['CapacityReached', 'CapacityReached']);
  });

  it('for its TTL is a person’s trouble', async () => {
    const plan = await planOf(given, 1);
    const result = await end(plan, () => given.peer.setCredit(given.wallet, credit, 7200));
    expect(fates(result)).toEqual(['TtlRefused']);
  });

  it('because the key is there is the record’s', async () => {
    const first = await planOf(given, 2);
    await settle(given, first);
    const { nonce } = { nonce: first.firstNonce + 2 };
    const again = { ...first, overwrite: false, firstNonce: nonce };
    const result = await end(again);
    expect(fates(result)).toEqual(['park', 'park']);
    expect(result.failed[0]?.reason).toMatch(/key exists/);
  });

  it('for want of gas is tried again', async () => {
    const plan = await planOf(given, 1);
    const result = await end({ ...plan, gasLimit: String((BigInt(plan.gasLimit) * 10n) / 26n) });
    expect(fates(result)).toEqual(['again']);
    expect(result.failed[0]?.reason).toMatch(/too little gas/);
  });
});

describe('what is mined and does not come to be readable', () => {
  it('is tried again when the network could not resolve it', async () => {
    const plan = await planOf(given, 5);
    given.peer.faults.next.failBlob = 2;
    const result = await end(plan);
    expect(result.confirmed).toBe(3);
    expect(result.failed).toHaveLength(2);
    expect(result.failed.every(({ fate, reason }) => fate === 'again' && /could not resolve/.test(reason))).toBe(true);
  });

  it('is tried again when its bytes are gone or others', async () => {
    const plan = await planOf(given, 4);
    const { digest } = await broadcast(given, plan);
    const [gone, short, late] = plan.objects.map((line) => unpackObject(line, plan.folders).id);
    let refusals = 2;
    const network: ClosableNetwork = {
      ...given.network,
      readable: async (bucket, key, signal) => {
        if (key.endsWith(gone ?? '')) return null;
        if (key.endsWith(short ?? '')) return { size: 1 };
        if (key.endsWith(late ?? '') && (refusals -= 1) >= 0) throw new Error('HTTP 503');
        return await given.network.readable(bucket, key, signal);
      },
    };
    const other = {
      deps: { ...given.deps, network: () => network },
      settings: { ...given.settings, resolveSeconds: 2 },
    };
    const { confirmed, failed } = await confirm(other, plan, { digest });
    expect(confirmed).toBe(2);
    expect(failed.map(({ id, fate, reason }) => ({ id, said: `${fate}: ${reason}` }))).toEqual([
      { id: gone, said: 'again: resolved, but not to be read' },
      { id: short, said: expect.stringMatching(/^again: \d+ bytes were sent, 1 are there$/) },
    ]);
  });

  it('is tried again when it takes too long', async () => {
    const slow = await openWalletCase({ resolveMs: 60_000 });
    const plan = await planOf(slow, 2);
    const { digest } = await broadcast(slow, plan);
    const settings = { ...slow.settings, resolveSeconds: 1 };
    const result = await confirm(slow, plan, { digest, settings });
    await slow.stop();
    expect(result.failed.map(({ fate, reason }) => `${fate}: ${reason}`)).toEqual([
      'again: not resolved within 1 s',
      'again: not resolved within 1 s',
    ]);
  });
});

it('a plan that the chain has forgotten is told as stalled, within some blocks', async () => {
  const plan = await planOf(given, 5);
  // The first is lost, and the others wait for it.
  given.peer.faults.next.drop = 1;
  const { digest } = await broadcast(given, plan);
  const started = performance.now();
  expect(await confirm(given, plan, { digest })).toEqual({ confirmed: 0, bytes: 0, failed: [], stalled: true });
  expect(performance.now() - started).toBeLessThan(15_000);
  expect(await settle(given, plan)).toMatchObject({ confirmed: 5, failed: [] });
});

it('five hundred receipts cost few requests', async () => {
  const plan = await planOf(given, 500);
  const { digest } = await broadcast(given, plan);
  while ((await given.network.ledger.nonce(plan.wallet, 'latest', noSignal)) < plan.firstNonce + 500);
  const before = new Map(given.peer.rpc.requests);
  expect(await confirm(given, plan, { digest })).toMatchObject({ confirmed: 500, failed: [] });
  const asked = (method: string): number => (given.peer.rpc.requests.get(method) ?? 0) - (before.get(method) ?? 0);
  const { block } = await given.network.tip(noSignal);
  expect(asked('eth_getBlockByNumber')).toBeLessThanOrEqual(block - plan.fromBlock + 1);
  expect(asked('eth_getLogs')).toBeLessThanOrEqual(block - plan.fromBlock + 1);
  expect(asked('eth_getTransactionReceipt')).toBe(0);
  // Each blob twice at most, and one of them while the rest is waited for.
  expect(asked('eth_call')).toBeLessThan(1100);
});

it('a node that gives no logs is asked for each receipt', async () => {
  const plan = await planOf(given, 3);
  await settle(given, plan);
  const rpc = createJsonRpc(given.peer.rpc.url);
  const asked: string[] = [];
  const without: JsonRpc = {
    ...rpc,
    many: async (calls, signal) => {
      asked.push(...calls.map(({ method }) => method));
      if (calls.every(({ method }) => method !== 'eth_getLogs')) return await rpc.many(calls, signal);
      return calls.map(({ method }) => new RpcError(method, -32601, 'Method not found', ''));
    },
  };
  const ledger = createLedger(without);
  const last = await ledger.block(noSignal);
  for (const times of [1, 2]) {
    const mined = await ledger.minedBy(plan.wallet, plan.fromBlock, last, noSignal);
    expect(mined.map(({ nonce, succeeded }) => ({ nonce, succeeded }))).toEqual(
      plan.objects.map((_, offset) => ({ nonce: plan.firstNonce + offset, succeeded: true })),
    );
    expect(asked.filter((method) => method === 'eth_getTransactionReceipt')).toHaveLength(3 * times);
  }
  rpc.close();
});
