/**
 * Who signed a transaction. The network's own wallets are told by their keys: one native multiplication, where recovering the
 * signer of any transaction takes two milliseconds of script, which would be most of what the front costs.
 */
import { createECDH } from 'node:crypto';
import {
  keccak256,
  parseTransaction,
  recoverTransactionAddress,
  serializeTransaction,
  type Hex,
  type TransactionSerializable,
  type TransactionSerialized,
} from 'viem';

export interface Incoming {
  readonly raw: Hex;
  /** Lower case. */
  readonly sender: string;
  readonly nonce: number;
}

export interface KnownKey {
  readonly address: string;
  readonly privateKey: Hex;
}

/** Of secp256k1. */
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Throws for bytes that are no signed transaction. `likely`: senders whose next nonce that is are tried first. */
export async function identify(
  raw: Hex,
  known: readonly KnownKey[],
  likely: (sender: string, nonce: number) => boolean,
): Promise<Incoming> {
  const { r, s, ...rest } = parseTransaction(raw) as Signed;
  const nonce = rest.nonce ?? 0;
  if (r === undefined || s === undefined) throw new Error('the transaction is not signed');
  const digest = BigInt(keccak256(serializeTransaction(unsigned(rest))));
  const signature = { r: BigInt(r), inverse: inverse(BigInt(s)) };
  const isLikely = (key: KnownKey): number => (likely(key.address.toLowerCase(), nonce) ? 0 : 1);
  const inOrder = [...known].sort((left, right) => isLikely(left) - isLikely(right));
  const found = inOrder.find(({ privateKey }) => isSignedBy(BigInt(privateKey), digest, signature));
  const address =
    found?.address ?? (await recoverTransactionAddress({ serializedTransaction: raw as TransactionSerialized }));
  return { raw, sender: address.toLowerCase(), nonce };
}

type Signed = TransactionSerializable & { r?: Hex; s?: Hex; v?: bigint; yParity?: number };

/** What was signed. */
function unsigned(transaction: Signed): TransactionSerializable {
  const bare = { ...transaction };
  delete bare.v;
  delete bare.yParity;
  return bare;
}

/** ECDSA backwards: with the right key, s gives the one-time number whose point has r for its abscissa. */
function isSignedBy(key: bigint, digest: bigint, { r, inverse }: { r: bigint; inverse: bigint }): boolean {
  const once = (inverse * ((digest + r * key) % order)) % order;
  if (once === 0n) return false;
  const ecdh = createECDH('secp256k1');
  ecdh.setPrivateKey(once.toString(16).padStart(64, '0'), 'hex');
  return BigInt(`0x${ecdh.getPublicKey('hex', 'compressed').slice(2)}`) % order === r;
}

/** By Euclid. */
function inverse(value: bigint): bigint {
  let [rest, last, factor, lastFactor] = [value % order, order, 1n, 0n];
  while (rest > 0n) {
    const quotient = last / rest;
    [last, rest] = [rest, last - quotient * rest];
    [lastFactor, factor] = [factor, lastFactor - quotient * factor];
  }
  return ((lastFactor % order) + order) % order;
}
