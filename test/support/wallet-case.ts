/** An emulated Recall network with a bucket, and plans of small objects for it, settled as the workflow would. */
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { keccak256 } from 'viem';
import type { RecallDeps } from '../../activities/recall/activities';
import { confirmPlan } from '../../activities/recall/confirm';
import { recallSettings, type Plan, type RecallSettings } from '../../activities/recall/contract';
import type { RecallNetwork } from '../../activities/recall/destination';
import { addObjectCall, packObject, unpackObject } from '../../activities/recall/plan';
import { createRecallNetwork, type ClosableNetwork } from '../../activities/recall/recall-network';
import { planSetup, sendSetup } from '../../activities/recall/setup';
import type { BroadcastResult, ConfirmInput, ConfirmResult } from '../../activities/recall/steps';
import { createWallet, walletOf } from '../../activities/recall/wallet';
import { broadcastPlan, openWallet, transactionAt } from '../../activities/recall/wallet-lane';
import { isPermanent } from '../../activities/shared/failures';
import { startRecallNetwork, type NetworkOptions, type RecallPeer } from '../peers/recall/network';
import { runActivity } from './activity';

export interface WalletCase {
  readonly peer: RecallPeer;
  readonly network: ClosableNetwork;
  readonly deps: RecallDeps;
  /** The first wallet's, which owns the bucket. */
  readonly wallet: string;
  readonly bucket: string;
  readonly settings: RecallSettings;
  stop(): Promise<void>;
}

export const noSignal = new AbortController().signal;

/** What a worker with these keys would have, but for a source. */
export function depsOf(network: ClosableNetwork, keys: readonly string[]): RecallDeps {
  const wallets = keys.map(createWallet);
  return {
    source: () => {
      throw new Error('there is no source in this test');
    },
    network: () => network,
    wallets,
    addresses: () => [wallets[0]?.address ?? ''],
  };
}

export function networkOf({ chainId, rpc, objects }: RecallPeer): ClosableNetwork {
  return createRecallNetwork('emulated', { chainId, evmUrl: rpc.url, objectApiUrl: objects.url });
}

export async function openWalletCase(options: NetworkOptions = {}): Promise<WalletCase> {
  const peer = await startRecallNetwork({ blockSeconds: 0.2, resolveMs: 50, ...options });
  const network = networkOf(peer);
  const deps = depsOf(
    network,
    peer.wallets.map(({ privateKey }) => privateKey),
  );
  const wallet = deps.addresses()[0];
  const settings = recallSettings.parse({ network: 'emulated', resolveSeconds: 20 });
  const calls = [{ kind: 'createBucket', owner: wallet, name: settings.name }] as const;
  const plan = await runActivity((input) => planSetup(deps, input), { wallet, calls, settings });
  await runActivity((input) => sendSetup(deps, input), { plan, settings });
  const bucket = (await network.bucketOf(wallet, settings.name, noSignal)) ?? '';
  const stop = async (): Promise<void> => {
    network.close();
    await peer.stop();
  };
  return { peer, network, deps, wallet, bucket, settings, stop };
}

/** Small objects, uploaded, with the nonces that the wallet has next. */
export async function planOf(
  {
    deps,
    network,
    wallet,
    bucket,
    settings,
  }: Pick<WalletCase, 'deps' | 'wallet' | 'bucket' | 'settings'> & {
    readonly network: RecallNetwork;
  },
  count: number,
  from: Partial<Plan> = {},
): Promise<Plan> {
  const opened = await runActivity((input) => openWallet(deps, input), { wallet, settings });
  const folders = [['competition/agent/trade/', 'application/json']] as const;
  const objects = await Promise.all(
    Array.from({ length: count }, async () => {
      const id = randomUUID();
      const bytes = Buffer.from(JSON.stringify({ id, text: 'x'.repeat(100) }));
      const hashes = await network.upload(bytes.length, stream(bytes), noSignal);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const staged = { id, folder: folders[0][0], contentType: folders[0][1], size: bytes.length, sha256, etag: null };
      return packObject({ ...staged, ...hashes }, 0);
    }),
  );
  const node = await network.node(noSignal);
  const { maxFeePerGas, maxPriorityFeePerGas } = await network.tip(noSignal);
  const draft = { bucket, node, folders, objects, ttl: settings.ttl, overwrite: true };
  const gas = await network.estimateAdd(wallet, bucket, addObjectCall(draft, 0), noSignal);
  return {
    ...draft,
    bytes: 0,
    gasLimit: String((gas * 13n) / 10n),
    maxFeePerGas: String(maxFeePerGas),
    maxPriorityFeePerGas: String(maxPriorityFeePerGas),
    ...{ wallet, chainId: opened.chainId, firstNonce: opened.nonce, fromBlock: opened.block },
    ...from,
  };
}

export async function* stream(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** As Temporal does: the world's troubles are tried again, a person's are thrown. */
export async function untilDone<R>(attempt: () => Promise<R>, attemptsMax = 100): Promise<R> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (isPermanent(error) || attempts === attemptsMax) throw error;
      await sleep(50);
    }
  }
}

export function broadcast(
  { deps, settings }: Pick<WalletCase, 'deps' | 'settings'>,
  plan: Plan,
): Promise<BroadcastResult> {
  return runActivity((input) => broadcastPlan(deps, input), { plan, settings });
}

export function confirm(
  { deps, settings }: Pick<WalletCase, 'deps' | 'settings'>,
  { wallet, bucket, firstNonce, fromBlock, objects }: Plan,
  rest: Partial<ConfirmInput> = {},
): Promise<ConfirmResult> {
  const input = { wallet, bucket, firstNonce, fromBlock, count: objects.length, settings, ...rest };
  return runActivity((given) => confirmPlan(deps, given), input);
}

/** Sent, confirmed, and sent again whenever the chain has lost it: what the workflow does with a plan. */
export async function settle(given: Pick<WalletCase, 'deps' | 'settings'>, plan: Plan): Promise<ConfirmResult> {
  for (;;) {
    const { digest } = await untilDone(() => broadcast(given, plan));
    const result = await untilDone(() => confirm(given, plan, { digest }));
    if (result.stalled !== true) return result;
  }
}

/** Every nonce once, in each the very transaction that an undisturbed signing gives, every object added once. */
export async function expectOnce(
  { deps, peer }: WalletCase,
  plan: Plan,
  { others = [] }: { others?: readonly number[] } = {},
): Promise<void> {
  const wallet = walletOf(deps.wallets, plan.wallet);
  const mined = await peer.minedBy(plan.wallet);
  expect(mined.map(({ nonce }) => nonce)).toEqual(mined.map((_, index) => index));
  const offsets = plan.objects.map((_, offset) => offset);
  const signed = await Promise.all(
    offsets.map(async (offset) => keccak256(await wallet.sign(transactionAt(plan, offset)))),
  );
  const ours = offsets.filter((offset) => !others.includes(offset));
  const hashes = mined.slice(plan.firstNonce, plan.firstNonce + plan.objects.length).map(({ hash }) => hash);
  expect(ours.map((offset) => hashes[offset])).toEqual(ours.map((offset) => signed[offset]));
  const content = new Map((await peer.contentOf(plan.bucket)).map((object) => [object.key, object]));
  const found = plan.objects.map((line) => {
    const { folder, id } = unpackObject(line, plan.folders);
    const { added, sha256 } = content.get(folder + id) ?? { added: 0, sha256: null };
    return { added, sha256 };
  });
  const expected = plan.objects.map((line, offset) =>
    others.includes(offset)
      ? { added: 0, sha256: null }
      : { added: 1, sha256: unpackObject(line, plan.folders).sha256 },
  );
  expect(found).toEqual(expected);
}
