/**
 * User messages from their bytes. One comes out only if its hash is right and its body whole; any other is refused with
 * the reason, and concerns nobody else.
 */
import { reasonOf, RecordRefused } from '../shared/failures';
import { farcasterEpochSeconds } from './contract';
import { blake3, hashBytes, isHashOf } from './hashing';
import { bodyOf, type WireContent } from './message-body';
import { decodeAs, wireType } from './schema';
import { messageTypes, type Message, type NameProof } from './wire';

interface WireMessage {
  readonly content: Buffer | null;
  readonly hash: Buffer;
  readonly hashScheme: number;
  readonly signature: Buffer;
  readonly signatureScheme: number;
  readonly signer: Buffer;
  readonly signedContent: Buffer | null;
}

const wireMessage = wireType<WireMessage>('SignedMessage');
const wireContent = wireType<WireContent>('Content');
const blake3Scheme = 1;
/** On the nodes' disks and in their tries a fid has 32 bits. */
export const fidMax = 0xffff_ffff;

/**
 * Decodes one Message and computes its hash. What is decoded is what is hashed: a node sends the content twice, the
 * second time as it encodes it itself, and that copy is not looked at.
 * Throws RecordRefused, naming `where` and the hash the message claims.
 */
export function decodeMessage(bytes: Buffer, where: string): Message {
  const message = decodeAs(wireMessage, bytes, where, 'a message');
  const { hash, hashScheme, content, signedContent, signature, signatureScheme, signer } = message;
  const refused = (reason: string): RecordRefused =>
    new RecordRefused(`${where}: message ${hash.toString('hex') || 'without a hash'}: ${reason}`);
  if (hash.length !== hashBytes) throw refused(`its hash has ${hash.length} bytes instead of ${hashBytes}`);
  if (hashScheme !== blake3Scheme) throw refused(`hash scheme ${hashScheme} is not known; 1 (blake3) is`);
  const hashed = signedContent?.length ? signedContent : content;
  if (!hashed?.length) throw refused('it has no content');
  if (!isHashOf(hash, hashed)) throw refused(`its content has the hash ${blake3(hashed).toString('hex')}`);
  try {
    const decoded = wireContent.decode(hashed);
    const { type, fid, timestamp, network } = decoded;
    if (fid < 1 || fid > fidMax) throw new RangeError(`fid ${fid} is not from 1 to 2^32`);
    const body = bodyOf(decoded);
    return { hash, type, fid, timestamp, network, body, content: hashed, signature, signatureScheme, signer };
  } catch (error) {
    throw refused(reasonOf(error));
  }
}

/**
 * The message that a proof of a name came in, made again: its time is the proof's, and its hash as it would be with its fields in
 * their order. Only a trie can say that it was so; signature and signer are unknown.
 */
export function messageOfProof(proof: NameProof, network: number): Message {
  const { fid, timestamp: provedAt } = proof;
  // Networks for trying give the network's own seconds here.
  const timestamp = provedAt > farcasterEpochSeconds ? provedAt - farcasterEpochSeconds : provedAt;
  const type = messageTypes.usernameProof;
  const usernameProof = { ...proof, name: Buffer.from(proof.name) };
  const content = wireContent.encode({ type, fid, timestamp, network, usernameProof });
  const unknown = Buffer.alloc(0);
  const body = { kind: 'usernameProof', proof } as const;
  return {
    ...{ hash: blake3(content), type, fid, timestamp, network, body, content },
    ...{ signature: unknown, signatureScheme: 0, signer: unknown },
  };
}
