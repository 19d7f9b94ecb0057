/** What the job is measured against: one transaction at a time, and a wallet's lane with nothing else to do. */
import { setTimeout as sleep } from 'node:timers/promises';
import { keccak256 } from 'viem';
import { createLedger } from '../../activities/recall/evm-ledger';
import { createJsonRpc } from '../../activities/recall/json-rpc';
import { packObject } from '../../activities/recall/plan';
import { createRecallNetwork } from '../../activities/recall/recall-network';
import { sendInOrder } from '../../activities/recall/send';
import type { Plan } from '../../activities/recall/steps';
import { createWallet } from '../../activities/recall/wallet';
import { transactionAt } from '../../activities/recall/wallet-lane';
import type { Peer } from './peer';

const signal = new AbortController().signal;
const receiptPollMs = 50;

/** Objects a second: send, wait for the receipt, send the next. */
export async function oneAtATime(peer: Peer, bucket: string, count: number): Promise<number> {
  const { plan, wallet, rpc } = await prepared(peer, bucket, 2, count);
  const started = performance.now();
  for (let offset = 0; offset < count; offset += 1) {
    const raw = await wallet.sign(transactionAt(plan, offset));
    await rpc.one('eth_sendRawTransaction', [raw], signal);
    while ((await rpc.one('eth_getTransactionReceipt', [keccak256(raw)], signal)) === null) await sleep(receiptPollMs);
  }
  const seconds = (performance.now() - started) / 1000;
  rpc.close();
  return count / seconds;
}

/** Objects a second: signing and ordered broadcast, by the lane's own code; nothing is read, uploaded or confirmed. */
export async function laneAlone(peer: Peer, bucket: string, count: number): Promise<number> {
  const { plan, wallet, rpc } = await prepared(peer, bucket, 3, count);
  const ledger = createLedger(rpc);
  const row = { first: plan.firstNonce, count, at: (offset: number) => transactionAt(plan, offset) };
  const started = performance.now();
  await sendInOrder(ledger, wallet, row, { signal, at: () => undefined });
  const seconds = (performance.now() - started) / 1000;
  // What is on its way must not burden the next measurement.
  while ((await ledger.nonce(wallet.address, 'latest', signal)) < plan.firstNonce + count) await sleep(200);
  rpc.close();
  return count / seconds;
}

async function prepared(
  peer: Peer,
  bucket: string,
  index: number,
  count: number,
): Promise<{ plan: Plan; wallet: ReturnType<typeof createWallet>; rpc: ReturnType<typeof createJsonRpc> }> {
  const { evmUrl, objectApiUrl, chainId } = peer;
  const wallet = createWallet(peer.wallets[index]?.privateKey ?? '');
  const rpc = createJsonRpc(evmUrl);
  const network = createRecallNetwork('bench', { chainId, evmUrl, objectApiUrl });
  const tip = await network.tip(signal);
  const firstNonce = await network.ledger.nonce(wallet.address, 'pending', signal);
  network.close();
  const folder = `c0000000-0000-4000-8000-000000000001/a0000000-0000-4000-8000-000000000001/trade/`;
  const objects = Array.from({ length: count }, (_, number) => {
    const digest = keccak256(`0x${(firstNonce * 1_000_000 + number).toString(16).padStart(64, '0')}`);
    const id = digest.slice(2, 34).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    const hash = digest;
    return packObject(
      {
        id,
        folder,
        contentType: 'application/octet-stream',
        size: 1000,
        blobHash: hash,
        recoveryHash: hash,
        sha256: digest.slice(2),
        etag: null,
      },
      0,
    );
  });
  const plan: Plan = {
    ...{ wallet: wallet.address, chainId, bucket, firstNonce, fromBlock: tip.block, objects, bytes: count * 1000 },
    node: `0x${'00'.repeat(32)}`,
    folders: [[folder, 'application/octet-stream']],
    ttl: 86_400,
    overwrite: true,
    gasLimit: '3000000',
    maxFeePerGas: String(tip.maxFeePerGas),
    maxPriorityFeePerGas: String(tip.maxPriorityFeePerGas),
  };
  return { plan, wallet, rpc };
}
