/** The network's two checks: blake3 cut to 20 bytes, of every message and trie node, and the ed25519 signature of a sample. */
import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { createBLAKE3, type IHasher } from 'hash-wasm';
import type { Message } from './wire';

export const hashBytes = 20;
const hashBits = hashBytes * 8;

let hasher: IHasher | undefined;

/** Loads the hash function (WebAssembly, a few milliseconds). Once a process, before anything is read from a node. */
export async function loadHashing(): Promise<void> {
  hasher ??= await createBLAKE3(hashBits);
}

/** blake3, the first 20 bytes: an array of its own. */
export function digestOf(bytes: Uint8Array): Uint8Array {
  if (hasher === undefined)
    throw new Error('hash with blake3: not loaded. Await loadHashing() when the worker starts.');
  return hasher.init().update(bytes).digest('binary');
}

/** The same as a Buffer, which costs half as much again: not for every leaf. */
export function blake3(bytes: Uint8Array): Buffer {
  const digest = digestOf(bytes);
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length);
}

/** Whether `hash` is what the bytes hash to. */
export function isHashOf(hash: Uint8Array, bytes: Uint8Array): boolean {
  const found = digestOf(bytes);
  if (hash.length !== hashBytes) return false;
  for (let at = 0; at < hashBytes; at += 1) if (hash[at] !== found[at]) return false;
  return true;
}

/** An ed25519 public key's DER up to its 32 bytes. */
const spkiHead = Buffer.from('302a300506032b6570032100', 'hex');
const ed25519 = 1;
const keyBytes = 32;
const signatureBytes = 64;

/** Importing a key costs as much as the check itself; a scan meets the messages of a signer together. */
const keysMax = 10_000; // about 5 MB

export interface SignatureChecks {
  /**
   * False: the signature is not its signer's. True is either "it is", or "not drawn", or a scheme that cannot be checked
   * here; `checked` counts those that were.
   */
  passes(message: Message): boolean;
  readonly checked: number;
}

export interface SignatureOptions {
  /** From 0 (none) to 1 (every message). A check costs about 90 µs: as much as 40 hashes. */
  readonly sampleRatio: number;
  /** From 0 up to 1. Not drawn from the message: who forges one would know which are looked at. */
  readonly random?: () => number;
}

export function signatureChecks({ sampleRatio, random = Math.random }: SignatureOptions): SignatureChecks {
  const keys = new Map<string, KeyObject>();
  let checked = 0;
  return {
    passes: (message) => {
      if (message.signatureScheme !== ed25519 || sampleRatio <= 0) return true;
      if (sampleRatio < 1 && random() >= sampleRatio) return true;
      checked += 1;
      if (message.signer.length !== keyBytes || message.signature.length !== signatureBytes) return false;
      return verify(null, message.hash, keyOf(message.signer, keys), message.signature);
    },
    get checked() {
      return checked;
    },
  };
}

function keyOf(signer: Buffer, keys: Map<string, KeyObject>): KeyObject {
  const name = signer.toString('latin1');
  const known = keys.get(name);
  if (known !== undefined) return known;
  const key = createPublicKey({ key: Buffer.concat([spkiHead, signer]), format: 'der', type: 'spki' });
  if (keys.size >= keysMax) {
    const [oldest] = keys.keys();
    if (oldest !== undefined) keys.delete(oldest);
  }
  keys.set(name, key);
  return key;
}
