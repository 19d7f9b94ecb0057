/** A wallet: an address, and a signature that is the same every time (RFC 6979). The key stays in here. */
import type { Hex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { permanent } from './failures';

/** An EIP-1559 transaction; a retry signs the same one. */
export interface UnsignedTransaction {
  readonly chainId: number;
  readonly nonce: number;
  readonly to: string;
  readonly data: Hex;
  readonly gasLimit: string;
  readonly maxFeePerGas: string;
  readonly maxPriorityFeePerGas: string;
}

export interface Wallet {
  readonly address: string;
  sign(transaction: UnsignedTransaction): Promise<Hex>;
}

/** `key`: 32 bytes in hexadecimal, with or without 0x. Throws WalletRefused, which does not repeat the key. */
export function createWallet(key: string): Wallet {
  const text = key.trim().replace(/^0x/i, '');
  if (!/^[0-9a-f]{64}$/i.test(text))
    throw permanent(
      'WalletRefused',
      'a private key is 64 hexadecimal digits, with or without 0x: correct recall.recall.private_key',
    );
  const account = accountOf(text);
  return {
    address: account.address,
    sign: ({ chainId, nonce, to, data, gasLimit, maxFeePerGas, maxPriorityFeePerGas }) =>
      account.signTransaction({
        type: 'eip1559',
        ...{ chainId, nonce, data },
        to: to as Hex,
        value: 0n,
        gas: BigInt(gasLimit),
        maxFeePerGas: BigInt(maxFeePerGas),
        maxPriorityFeePerGas: BigInt(maxPriorityFeePerGas),
      }),
  };
}

function accountOf(text: string): ReturnType<typeof privateKeyToAccount> {
  try {
    return privateKeyToAccount(`0x${text}`);
  } catch {
    // Its message would hold the key.
    throw permanent('WalletRefused', 'recall.recall.private_key is no key of secp256k1: zero, or beyond its order');
  }
}

/** The wallet of that address. Throws WalletRefused. */
export function walletOf(wallets: readonly Wallet[], address: string): Wallet {
  const found = wallets.find((each) => each.address.toLowerCase() === address.toLowerCase());
  if (found !== undefined) return found;
  throw permanent(
    'WalletRefused',
    `this worker has no key of ${address}: recall.recall.private_key or delegate_keys must name it`,
  );
}
