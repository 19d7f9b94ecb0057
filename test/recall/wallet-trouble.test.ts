/** A wallet's troubles that are no losses: another program on it, no tokens, a wrong key, another chain; and its secrets. */
import { inspect } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseTransaction, recoverTransactionAddress } from 'viem';
import { createRecallNetwork } from '../../activities/recall/recall-network';
import { planSetup, sendSetup } from '../../activities/recall/setup';
import { createWallet } from '../../activities/recall/wallet';
import { broadcastPlan, openWallet, transactionAt } from '../../activities/recall/wallet-lane';
import { reasonOf } from '../../activities/shared/failures';
import { runActivity } from '../support/activity';
import {
  broadcast,
  confirm,
  depsOf,
  expectOnce,
  openWalletCase,
  planOf,
  settle,
  type WalletCase,
} from '../support/wallet-case';

let given: WalletCase;
beforeAll(async () => {
  given = await openWalletCase({ wallets: 3 });
});
afterAll(() => given.stop());

const keyOf = (index: number): string => given.peer.wallets[index]?.privateKey ?? '';

describe('another program on the same wallet', () => {
  const foreign = async (): Promise<void> => {
    const [wallet] = given.peer.wallets;
    if (wallet !== undefined) await given.peer.foreignTransaction(wallet);
  };

  it('is told by the nonce that it took, and the rest is mined', async () => {
    const plan = await planOf(given, 6);
    await foreign();
    const { taken, digest } = await broadcast(given, plan);
    expect(taken).toEqual([0]);
    expect(await confirm(given, plan, { digest })).toMatchObject({ confirmed: 5, failed: [], foreign: true });
    await expectOnce(given, plan, { others: [0] });
  });

  it('is told in the middle of a plan', async () => {
    const plan = await planOf(given, 6);
    await broadcast(given, { ...plan, objects: plan.objects.slice(0, 2) });
    await foreign();
    await foreign();
    const { taken } = await broadcast(given, plan);
    expect(taken).toEqual([2, 3]);
    expect(await confirm(given, plan)).toMatchObject({ confirmed: 4, foreign: true });
    await expectOnce(given, plan, { others: [2, 3] });
  });

  it('that adds to the same bucket is told by what was mined', async () => {
    const [theirs, ours] = await Promise.all([planOf(given, 3), planOf(given, 3)]);
    expect(ours.firstNonce).toBe(theirs.firstNonce);
    await settle(given, theirs);
    const { digest, taken } = await broadcast(given, ours);
    expect(taken).toEqual([0, 1, 2]);
    expect(await confirm(given, ours, { digest })).toMatchObject({ foreign: true });
    const { digest: their } = await broadcast(given, theirs);
    expect(await confirm(given, theirs, { digest: their })).toEqual(expect.not.objectContaining({ foreign: true }));
  });
});

it('openWallet waits until nothing of the wallet is in flight', async () => {
  const plan = await planOf(given, 40);
  await broadcast(given, plan);
  const opened = await runActivity((input) => openWallet(given.deps, input), {
    wallet: plan.wallet,
    settings: given.settings,
  });
  expect(opened).toMatchObject({ chainId: given.peer.chainId, nonce: plan.firstNonce + 40 });
  expect(await given.network.ledger.nonce(plan.wallet, 'latest', new AbortController().signal)).toBe(opened.nonce);
});

it('a wallet without tokens is named, with what it has and what it needs', async () => {
  const plan = await planOf(given, 2);
  const balance = (await given.network.account(plan.wallet, new AbortController().signal)).balance;
  await given.peer.setBalance(plan.wallet, 1000n);
  const failure = await broadcast(given, plan).catch((error: unknown) => error);
  await given.peer.setBalance(plan.wallet, balance);
  expect(failure).toMatchObject({ type: 'WalletEmpty', nonRetryable: true });
  const needed = BigInt(plan.gasLimit) * BigInt(plan.maxFeePerGas);
  expect(reasonOf(failure)).toContain(plan.wallet);
  expect(reasonOf(failure)).toContain('1000 wei');
  expect(reasonOf(failure)).toContain(`${needed} wei`);
  expect(await settle(given, plan)).toMatchObject({ confirmed: 2, failed: [] });
});

it('a wallet that the worker has no key of is refused before anything is sent', async () => {
  const plan = await planOf(given, 1);
  const other = { ...given, deps: depsOf(given.network, [keyOf(1)]) };
  await expect(broadcast(other, plan)).rejects.toMatchObject({ type: 'WalletRefused' });
});

it('another chain behind the address is refused, and the address is named without what may be secret in it', async () => {
  const { rpc, objects } = given.peer;
  const network = createRecallNetwork('wrong', {
    chainId: 1,
    evmUrl: `${rpc.url}/provider-key`,
    objectApiUrl: objects.url,
  });
  const plan = await planOf(given, 1);
  const failure = await broadcast({ ...given, deps: depsOf(network, [keyOf(0)]) }, plan).catch(
    (error: unknown) => error,
  );
  network.close();
  expect(failure).toMatchObject({ type: 'NetworkRefused', nonRetryable: true });
  expect(reasonOf(failure)).toContain(`is chain ${given.peer.chainId}, not 1`);
  expect(reasonOf(failure)).not.toContain('provider-key');
});

it('a plan of another chain is refused', async () => {
  const plan = await planOf(given, 1, { chainId: 7 });
  await expect(broadcast(given, plan)).rejects.toMatchObject({ type: 'NetworkRefused' });
});

describe('a key', () => {
  it.each(['', '0x12', 'zz'.repeat(32), '0'.repeat(64), 'f'.repeat(64)])(
    'that is none (%#) is refused unrepeated',
    (key) => {
      const failure = ((): unknown => {
        try {
          return createWallet(key);
        } catch (error) {
          return error;
        }
      })();
      expect(failure).toMatchObject({ type: 'WalletRefused', nonRetryable: true });
      if (key !== '') expect(inspect(failure, { depth: 9 })).not.toContain(key);
    },
  );

  it('is not shown by its wallet, however it is looked at', () => {
    const key = keyOf(0);
    const wallet = createWallet(key);
    const digits = key.slice(2);
    expect(inspect(wallet, { depth: 9, showHidden: true })).not.toContain(digits);
    expect(JSON.stringify(wallet)).toBe(JSON.stringify({ address: wallet.address }));
  });

  it('signs the same bytes every time, for its own address', async () => {
    const plan = await planOf(given, 1);
    const [first, second] = await Promise.all(
      [createWallet(keyOf(0)), createWallet(` ${keyOf(0).slice(2)}\n`)].map((wallet) =>
        wallet.sign(transactionAt(plan, 0)),
      ),
    );
    expect(first).toBe(second);
    expect(parseTransaction(first ?? '0x')).toMatchObject({ type: 'eip1559', nonce: plan.firstNonce });
    expect(await recoverTransactionAddress({ serializedTransaction: first as `0x02${string}` })).toBe(plan.wallet);
  });
});

describe('what comes before objects', () => {
  const input = (name: string): Parameters<typeof planSetup>[1] => {
    const [owner, delegate] = given.peer.wallets.map(({ address }) => address);
    return {
      wallet: owner ?? '',
      settings: given.settings,
      calls: [
        { kind: 'createBucket', owner: owner ?? '', name },
        { kind: 'approveCredit', to: delegate ?? '' },
      ],
    };
  };
  const signal = new AbortController().signal;

  it('is made once, sent again as often as need be, and left out of the next plan', async () => {
    const { deps, settings, network, wallet } = given;
    const plan = await runActivity((asked) => planSetup(deps, asked), input('second'));
    expect(plan.calls.map(({ kind }) => kind)).toEqual(['createBucket', 'approveCredit']);
    const before = (await given.peer.bucketsOf(wallet)).length;
    given.peer.faults.next.drop = 1;
    await runActivity((asked) => sendSetup(deps, asked), { plan, settings });
    await runActivity((asked) => sendSetup(deps, asked), { plan, settings });
    expect(await given.peer.bucketsOf(wallet)).toHaveLength(before + 1);
    expect(await network.bucketOf(wallet, 'second', signal)).toMatch(/^0x/);
    expect((await network.account(wallet, signal)).approved.map((each) => each.toLowerCase())).toEqual([
      given.peer.wallets[1]?.address.toLowerCase(),
    ]);
    expect((await runActivity((asked) => planSetup(deps, asked), input('second'))).calls).toEqual([]);
  });

  it('on a nonce that another program has used is not waited for', async () => {
    const { deps, settings } = given;
    const plan = await runActivity((asked) => planSetup(deps, asked), input('third'));
    const [wallet] = given.peer.wallets;
    if (wallet !== undefined) await given.peer.foreignTransaction(wallet);
    await expect(runActivity((asked) => sendSetup(deps, asked), { plan, settings })).rejects.toMatchObject({
      type: 'ChainRewound',
      nonRetryable: true,
    });
  });
});

it('a long broadcast beats, with the nonce it has come to, and ends when it is told to', async () => {
  const plan = await planOf(given, 200);
  given.peer.faults.chances.delay = 1;
  given.peer.faults.delayMs = 40;
  const beats: unknown[] = [];
  const stopped = runActivity(
    (input) => broadcastPlan(given.deps, input),
    { plan, settings: given.settings },
    {
      onHeartbeat: (detail, environment) => {
        beats.push(detail);
        environment.cancel();
      },
    },
  );
  await expect(stopped).rejects.toMatchObject({ name: 'CancelledFailure' });
  given.peer.faults.clear();
  expect(beats).toEqual([{ nonce: expect.any(Number) as number }]);
  await sleep(0);
  expect(await settle(given, plan)).toMatchObject({ confirmed: 200, failed: [] });
});
