/** What comes before any object: a bucket of the job's own, the delegates' approvals. Planned, and then sent, like objects. */
import type { Hex } from 'viem';
import type { RecallDeps } from './activities';
import type { Ledger, MinedTransaction, RecallNetwork } from './destination';
import { blobsAddress, encodeApproveCredit, encodeCreateBucket, machineAddress } from './facade';
import { permanent } from './failures';
import { untilMined } from './mined';
import { sendInOrder } from './send';
import type { RecallSettings } from './contract';
import type { SetupCall, SetupInput, SetupPlan } from './steps';
import { classified, fateOf, withRemedy } from './trouble';
import { walletOf, type UnsignedTransaction } from './wallet';
import { watched, type Watch } from './watch';
import { untilSettled } from './wallet-lane';

const gasMargin = { times: 15n, per: 10n };

export async function planSetup(deps: RecallDeps, { wallet, calls, settings }: SetupInput): Promise<SetupPlan> {
  return await watched(async (watch) => {
    const { signal } = watch;
    const { chainId, nonce, block } = await untilSettled(deps, { wallet, settings }, watch);
    const network = deps.network(settings.network);
    const needed = await missing(network, wallet, calls, signal);
    const { maxFeePerGas, maxPriorityFeePerGas } = await network.tip(signal);
    const gas = await Promise.all(
      needed.map(async (call) => {
        try {
          return await network.ledger.estimate({ from: wallet, ...callOf(call) }, signal);
        } catch (error) {
          throw classified(error, call.kind);
        }
      }),
    );
    const most = gas.reduce((left, right) => (left > right ? left : right), 0n);
    return {
      ...{ wallet, chainId, firstNonce: nonce, fromBlock: block, calls: needed },
      gasLimit: String((most * gasMargin.times) / gasMargin.per),
      maxFeePerGas: String(maxFeePerGas),
      maxPriorityFeePerGas: String(maxPriorityFeePerGas),
    };
  });
}

async function missing(
  network: RecallNetwork,
  wallet: string,
  calls: readonly SetupCall[],
  signal: AbortSignal,
): Promise<SetupCall[]> {
  const { approved } = await network.account(wallet, signal);
  const isApproved = new Set(approved.map((address) => address.toLowerCase()));
  const needed: SetupCall[] = [];
  for (const call of calls) {
    const isThere =
      call.kind === 'createBucket'
        ? (await network.bucketOf(call.owner, call.name, signal)) !== null
        : isApproved.has(call.to.toLowerCase());
    if (!isThere) needed.push(call);
  }
  return needed;
}

function callOf(call: SetupCall): { to: string; data: Hex } {
  switch (call.kind) {
    case 'createBucket':
      return { to: machineAddress, data: encodeCreateBucket(call.owner, call.name) };
    case 'approveCredit':
      return { to: blobsAddress, data: encodeApproveCredit(call.to) };
  }
}

/** Returns once all are mined and none reverted. Throws the chain's refusal as a person's trouble where it is one. */
export async function sendSetup(
  deps: RecallDeps,
  { plan, settings }: { readonly plan: SetupPlan; readonly settings: Pick<RecallSettings, 'network'> },
): Promise<void> {
  await watched(async (watch) => {
    const { wallet: address, calls, firstNonce } = plan;
    const wallet = walletOf(deps.wallets, address);
    const network = deps.network(settings.network);
    await network.check(watch.signal);
    const { ledger } = network;
    const row = { first: firstNonce, count: calls.length, at: (offset: number) => transactionAt(plan, offset) };
    let mined: MinedTransaction[] | null = null;
    while (mined === null) {
      const { taken, wants } = await sendInOrder(ledger, wallet, row, watch);
      if (taken.length > 0) throw notOurs(address, `nonce ${firstNonce + (taken[0] ?? 0)} was used by another program`);
      if (wants !== undefined) throw notOurs(address, `the chain wants nonce ${wants}, which was settled before`);
      mined = await untilMined(ledger, { ...plan, count: calls.length }, watch);
    }
    for (const [offset, transaction] of mined.entries()) {
      const { data, to } = row.at(offset);
      if (transaction.data !== data || transaction.to.toLowerCase() !== to.toLowerCase())
        throw notOurs(address, `nonce ${transaction.nonce} was used by another program`);
      if (!transaction.succeeded) throw await refusalOf(ledger, plan, calls[offset] as SetupCall, transaction, watch);
    }
  });
}

function transactionAt(plan: SetupPlan, offset: number): UnsignedTransaction {
  const { chainId, firstNonce, calls, gasLimit, maxFeePerGas, maxPriorityFeePerGas } = plan;
  const call = callOf(calls[offset] as SetupCall);
  return { chainId, nonce: firstNonce + offset, ...call, gasLimit, maxFeePerGas, maxPriorityFeePerGas };
}

function notOurs(wallet: string, what: string): Error {
  return permanent(
    'ChainRewound',
    `${wallet}: ${what}. Give the job a wallet of its own, then resume: what is there already is not made again`,
  );
}

async function refusalOf(
  ledger: Ledger,
  { wallet }: SetupPlan,
  { kind }: SetupCall,
  transaction: MinedTransaction,
  { signal }: Watch,
): Promise<Error> {
  const words = (await ledger.whyFailed(wallet, transaction, signal)) ?? 'reverted, and would not now';
  const fate = fateOf(words);
  const type = fate === 'again' || fate === 'park' ? 'BucketRefused' : fate;
  return permanent(type, `${kind}, transaction ${transaction.hash}: ${withRemedy(type, words)}`);
}
