/** The stand-in contracts seen from the emulation: views, and what the network's operator does by transactions of its own. */
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeFunctionResult, encodeFunctionData, type Abi, type Hex } from 'viem';
import { blobsAddress, type Anvil } from './anvil';
import contracts from './contracts/Recall.json';

export const abis = {
  blobs: contracts.Blobs.abi as Abi,
  machine: contracts.Machine.abi as Abi,
  bucket: contracts.Bucket.abi as Abi,
};

export const operator = '0x00000000000000000000000000000000000a11ce';
/** Hundreds of blobs in one transaction. */
const operatorGas = '0x40000000';
const receiptPollMs = 20;

/** A call of a contract's function. */
export interface ContractCall {
  readonly to: string;
  readonly abi: Abi;
  readonly name: string;
  readonly args: readonly unknown[];
}

export async function view<R>(anvil: Anvil, { to, abi, name, args }: ContractCall): Promise<R> {
  const data = encodeFunctionData({ abi, functionName: name, args });
  const result = await anvil.call<Hex>('eth_call', { to, data }, 'latest');
  return decodeFunctionResult({ abi, functionName: name, data: result }) as R;
}

/** Resolves when the chain has taken it; transactions of the operator are mined in the order of their sending. */
export async function operate(anvil: Anvil, name: string, args: readonly unknown[]): Promise<Hex> {
  return await operateOn(anvil, { to: blobsAddress, abi: abis.blobs, name, args });
}

/** anvil gives two that come at once the same nonce. */
const lastSent = new WeakMap<Anvil, Promise<unknown>>();

export async function operateOn(anvil: Anvil, { to, abi, name, args }: ContractCall): Promise<Hex> {
  const data = encodeFunctionData({ abi, functionName: name, args });
  const send = (): Promise<Hex> =>
    anvil.call<Hex>('eth_sendTransaction', { from: operator, to, data, gas: operatorGas });
  const sent = (lastSent.get(anvil) ?? Promise.resolve()).then(send, send);
  lastSent.set(anvil, sent);
  return await sent;
}

/** Throws if it was reverted. */
export async function untilMined(anvil: Anvil, hash: Hex): Promise<void> {
  for (;;) {
    const receipt = await anvil.call<{ status: string } | null>('eth_getTransactionReceipt', hash);
    if (receipt?.status === '0x1') return;
    if (receipt !== null) throw new Error(`transaction ${hash} was reverted`);
    await sleep(receiptPollMs);
  }
}
