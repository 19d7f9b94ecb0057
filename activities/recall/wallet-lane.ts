/**
 * The lane of a wallet: its transactions, signed and sent in the order of their nonces, one at a time.
 *
 * What must hold: what is sent for a nonce is always the same bytes. So whatever is lost, unacknowledged or forgotten is
 * found by its hash, or sent again as it was; nothing is ever put in its place.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isPermanent } from '../shared/failures';
import type { RecallDeps } from './activities';
import { permanent } from './failures';
import { addObjectCall, planDigest } from './plan';
import { sendInOrder } from './send';
import type { BroadcastInput, BroadcastResult, OpenedWallet, OpenWalletInput, Plan } from './steps';
import { walletOf, type UnsignedTransaction } from './wallet';
import { watched, type Watch } from './watch';

const lookEveryMs = 500;
/** A transaction that is accepted and not mined for this long waits for one that nobody sends. */
const stuckMsMax = 120_000;

/** Waits until nothing of the wallet is in flight: only then can rows be compared with the chain. */
export async function openWallet(deps: RecallDeps, input: OpenWalletInput): Promise<OpenedWallet> {
  return await watched((watch) => untilSettled(deps, input, watch));
}

export async function untilSettled(
  deps: RecallDeps,
  { wallet, settings }: OpenWalletInput,
  { signal, at }: Watch,
): Promise<OpenedWallet> {
  walletOf(deps.wallets, wallet);
  const network = deps.network(settings.network);
  await network.check(signal);
  const { ledger } = network;
  let still = { nonce: -1, since: 0 };
  for (;;) {
    // In this order: what is mined in between makes the two differ, and is looked at again.
    const latest = await ledger.nonce(wallet, 'latest', signal);
    const pending = await ledger.nonce(wallet, 'pending', signal);
    if (latest >= pending) return { chainId: network.chainId, nonce: latest, block: await ledger.block(signal) };
    if (still.nonce !== latest) still = { nonce: latest, since: performance.now() };
    if (performance.now() - still.since > stuckMsMax)
      throw new Error(
        `${wallet}: its transactions ${latest} to ${pending - 1} are accepted, and not mined for ${stuckMsMax / 1000} s. ` +
          'If the chain goes on, they are another program’s, with too low a fee: let it settle or replace them there',
      );
    at({ nonce: latest, pending });
    await sleep(lookEveryMs, undefined, { signal });
  }
}

/** See the file's promise. Throws WalletEmpty, WalletRefused, NetworkRefused, and the world's troubles. */
export async function broadcastPlan(deps: RecallDeps, { plan, settings }: BroadcastInput): Promise<BroadcastResult> {
  return await watched(async (watch) => {
    const wallet = walletOf(deps.wallets, plan.wallet);
    const network = deps.network(settings.network);
    await network.check(watch.signal);
    if (plan.chainId !== network.chainId)
      throw permanent(
        'NetworkRefused',
        `the plan is for chain ${plan.chainId}, network ${settings.network} is ${network.chainId}`,
      );
    const row = {
      first: plan.firstNonce,
      count: plan.objects.length,
      at: (offset: number): UnsignedTransaction => transactionAt(plan, offset),
    };
    try {
      const sent = await sendInOrder(network.ledger, wallet, row, watch);
      return { ...sent, digest: planDigest(plan), block: await network.ledger.block(watch.signal) };
    } catch (error) {
      if (!isPermanent(error) || error.type !== 'WalletEmpty') throw error;
      const { balance } = await network.account(plan.wallet, watch.signal);
      const { gasLimit, maxFeePerGas } = plan;
      throw permanent(
        'WalletEmpty',
        `${error.message}. It has ${balance} wei; each of the plan's ${row.count} transactions must be covered with ` +
          `${BigInt(gasLimit) * BigInt(maxFeePerGas)} wei (${gasLimit} gas at ${maxFeePerGas}), of which less is spent`,
        error,
      );
    }
  });
}

export function transactionAt(plan: Plan, offset: number): UnsignedTransaction {
  const { chainId, bucket, gasLimit, maxFeePerGas, maxPriorityFeePerGas } = plan;
  return {
    chainId,
    nonce: plan.firstNonce + offset,
    to: bucket,
    data: addObjectCall(plan, offset),
    ...{ gasLimit, maxFeePerGas, maxPriorityFeePerGas },
  };
}
