/** The lane of a wallet on the emulated network, as it is and with everything that goes wrong there. */
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { broadcastPlan } from '../../activities/recall/wallet-lane';
import { runActivity } from '../support/activity';
import { eventually } from '../support/temporal';
import {
  broadcast,
  confirm,
  depsOf,
  expectOnce,
  networkOf,
  openWalletCase,
  planOf,
  settle,
  untilDone,
  type WalletCase,
} from '../support/wallet-case';

let given: WalletCase;
beforeAll(async () => {
  given = await openWalletCase();
});
afterAll(() => given.stop());
afterEach(() => given.peer.faults.clear());

const sends = (): number => given.peer.rpc.requests.get('eth_sendRawTransaction') ?? 0;

describe('a plan', () => {
  it('is mined in the order of its nonces, each object once', async () => {
    const plan = await planOf(given, 60);
    const before = sends();
    const { taken, wants, block } = await broadcast(given, plan);
    expect({ taken, wants, sends: sends() - before }).toEqual({ taken: [], sends: 60 });
    expect(block).toBeGreaterThanOrEqual(plan.fromBlock);
    expect(await confirm(given, plan)).toMatchObject({ confirmed: 60, failed: [] });
    await expectOnce(given, plan);
  });

  it('that is broadcast again when all of it is mined sends nothing', async () => {
    const plan = await planOf(given, 5);
    await settle(given, plan);
    const before = sends();
    expect(await broadcast(given, plan)).toMatchObject({ taken: [] });
    expect(sends()).toBe(before);
    await expectOnce(given, plan);
  });

  it('half of which another process has sent is carried on by this one', async () => {
    const plan = await planOf(given, 20);
    const network = networkOf(given.peer);
    const other = { ...given, deps: depsOf(network, [given.peer.wallets[0]?.privateKey ?? '']) };
    await broadcast(other, { ...plan, objects: plan.objects.slice(0, 9) });
    network.close();
    const before = sends();
    await settle(given, plan);
    expect(sends() - before).toBe(11);
    await expectOnce(given, plan);
  });

  it('stopped on its way is carried on', async () => {
    const plan = await planOf(given, 300);
    const before = sends();
    const stopped = runActivity(
      (input) => broadcastPlan(given.deps, input),
      { plan, settings: given.settings },
      {
        onHeartbeat: (_, environment) => environment.cancel(),
      },
    );
    given.peer.faults.chances.delay = 1;
    given.peer.faults.delayMs = 30;
    await expect(stopped).rejects.toThrow(/stopped/);
    given.peer.faults.clear();
    expect(sends() - before).toBeLessThan(300);
    expect(await settle(given, plan)).toMatchObject({ confirmed: 300, failed: [] });
    await expectOnce(given, plan);
  });

  it('for nonces that the chain has not come to is not sent, and the wanted one is named', async () => {
    const plan = await planOf(given, 3);
    const before = sends();
    const ahead = { ...plan, firstNonce: plan.firstNonce + 4 };
    expect(await broadcast(given, ahead)).toMatchObject({ wants: plan.firstNonce, taken: [] });
    expect(sends()).toBe(before);
  });
});

describe('what the network loses is brought back, never replaced', () => {
  it('acknowledgements', async () => {
    const plan = await planOf(given, 30);
    given.peer.faults.next.loseAnswer = 4;
    expect(await settle(given, plan)).toMatchObject({ confirmed: 30, failed: [] });
    await expectOnce(given, plan);
  });

  it('a transaction that was acknowledged, within the gap that the node bridges', async () => {
    const plan = await planOf(given, 8);
    given.peer.faults.next.drop = 1;
    expect(await settle(given, plan)).toMatchObject({ confirmed: 8, failed: [] });
    await expectOnce(given, plan);
  });

  it('a transaction that was acknowledged, with more behind it than the node bridges', async () => {
    const plan = await planOf(given, 40);
    given.peer.faults.next.drop = 1;
    expect(await settle(given, plan)).toMatchObject({ confirmed: 40, failed: [] });
    await expectOnce(given, plan);
  });

  it('the last one', async () => {
    const plan = await planOf(given, 4);
    await broadcast(given, { ...plan, objects: plan.objects.slice(0, 3) });
    given.peer.faults.next.drop = 1;
    expect(await settle(given, plan)).toMatchObject({ confirmed: 4, failed: [] });
    await expectOnce(given, plan);
  });

  it('all that is in no block, in the middle of a broadcast and after it', async () => {
    const plan = await planOf(given, 120);
    const sending = untilDone(() => broadcast(given, plan));
    for (let times = 0; times < 3; times += 1) {
      await sleep(60);
      await given.peer.rpc.restart();
    }
    await sending;
    await given.peer.rpc.restart();
    expect(await settle(given, plan)).toMatchObject({ confirmed: 120, failed: [] });
    await expectOnce(given, plan);
  });

  it('what was checked, out of its mempool', async () => {
    const plan = await planOf(given, 40);
    await broadcast(given, { ...plan, objects: plan.objects.slice(0, 20) });
    given.peer.faults.next.evict = 1;
    expect(await settle(given, plan)).toMatchObject({ confirmed: 40, failed: [] });
    await expectOnce(given, plan);
  });

  it('answers, by 503, late, and cut off', async () => {
    const plan = await planOf(given, 30);
    Object.assign(given.peer.faults.chances, { unavailable: 0.05, cut: 0.05, delay: 0.2 });
    expect(await settle(given, plan)).toMatchObject({ confirmed: 30, failed: [] });
    await expectOnce(given, plan);
  });

  it('the whole chain, down to its blocks', async () => {
    const plan = await planOf(given, 60);
    const settled = settle(given, plan);
    await sleep(150);
    await given.peer.restartChain();
    expect(await settled).toMatchObject({ confirmed: 60, failed: [] });
    await expectOnce(given, plan);
  });

  it('itself, for a while', async () => {
    const plan = await planOf(given, 80);
    const settled = settle(given, plan);
    await sleep(100);
    await given.peer.rpc.stop();
    await given.peer.objects.stop();
    await sleep(300);
    await given.peer.rpc.start();
    await given.peer.objects.start();
    expect(await settled).toMatchObject({ confirmed: 80, failed: [] });
    await expectOnce(given, plan);
  });

  it('another program’s transaction, while ours of its nonce is looked for', async () => {
    const own = await openWalletCase();
    const plan = await planOf(own, 5);
    const { anvil, rpc, wallets } = own.peer;
    await anvil.call('evm_setIntervalMining', 0);
    await own.peer.foreignTransaction(
      wallets.find(({ address }) => address === plan.wallet) ?? { address: '', privateKey: '0x' },
    );
    const sending = broadcast(own, plan);
    await eventually('it is looked for', async () => (rpc.requests.get('eth_getTransactionByHash') ?? 0) > 2);
    await rpc.restart();
    expect(await sending).toMatchObject({ taken: [] });
    await anvil.call('evm_setIntervalMining', 1);
    expect(await confirm(own, plan)).toMatchObject({ confirmed: 5, failed: [] });
    await expectOnce(own, plan);
    await own.stop();
  });

  it('anything, at random', async () => {
    const chance = fc.constantFrom(0, 0.02, 0.1);
    const kinds = { drop: chance, evict: chance, loseAnswer: chance, cut: chance, unavailable: chance, delay: chance };
    const faults = fc.record(kinds);
    const restarts = fc.array(fc.integer({ min: 0, max: 150 }), { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(faults, restarts, fc.integer({ min: 1, max: 30 }), async (chances, pauses, count) => {
        const plan = await planOf(given, count);
        Object.assign(given.peer.faults.chances, chances);
        const settled = settle(given, plan);
        for (const pauseMs of pauses) {
          await sleep(pauseMs);
          await given.peer.rpc.restart();
        }
        const { confirmed, failed } = await settled;
        given.peer.faults.clear();
        expect({ confirmed, failed }).toEqual({ confirmed: count, failed: [] });
        await expectOnce(given, plan);
      }),
      { numRuns: 6, seed: Number(process.env['WAYBILL_TEST_SEED'] ?? 20261121), endOnFailure: true },
    );
  }, 180_000);
});
