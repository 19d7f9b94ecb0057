/**
 * User messages as a client of the network makes them: encoded here, hashed with blake3, signed with the ed25519 key of
 * their fid, all from a seed. `readMessage` takes one from the wire, so recorded messages go through the same rules.
 */
import { createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { Fields, fieldsOf, Writer } from './bytes';
import type { Body } from './bodies';
import { blake3 } from './trie';

/** 2021-01-01T00:00:00Z in Unix seconds: where the network's own clock starts. */
export const farcasterEpoch = 1_609_459_200;

/** What the rules of the stores need to know of a message besides its slot; nothing for casts and reactions. */
export interface MessageDetail {
  readonly linkType?: string;
  readonly target?: number;
  readonly targets?: ReadonlySet<number>;
  readonly units?: number;
  readonly address?: string;
  readonly dataType?: number;
  readonly value?: string;
  readonly name?: string;
  readonly nonce?: number;
  readonly scopes?: readonly number[];
  readonly ttlSeconds?: number;
  /** The proof in a username proof message, as it is on the wire. */
  readonly proof?: Buffer;
}

export interface SignedMessage {
  /** The whole Message as it goes over the wire. */
  readonly wire: Buffer;
  /** 20 bytes as latin1: compares as bytes do. */
  readonly hash: string;
  readonly type: number;
  readonly fid: number;
  /** Seconds of the network's clock. */
  readonly timestamp: number;
  /** The logical key inside its fid: two live messages never share one. The first letter names the store. */
  readonly slot: string;
  /** 32 bytes as latin1. */
  readonly signer: string;
  readonly detail: MessageDetail | undefined;
}

export const messageTypes = {
  castAdd: 1,
  castRemove: 2,
  reactionAdd: 3,
  reactionRemove: 4,
  linkAdd: 5,
  linkRemove: 6,
  verificationAdd: 7,
  verificationRemove: 8,
  userData: 11,
  usernameProof: 12,
  linkCompactState: 14,
  lendStorage: 15,
  keyAdd: 16,
  keyRemove: 17,
} as const;

export interface Signer {
  readonly key: KeyObject;
  readonly publicKey: Buffer;
  /** A signature that is right for some other hash: see `unsigned`. */
  readonly borrowed: Buffer;
}

const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex'); // an ed25519 key's DER up to its 32 bytes

/** The nth signing key of a fid. The same seed gives the same key. */
export function signerOf(seed: number, fid: number, nth = 0): Signer {
  const secret = createHash('sha256').update(`signer ${seed} ${fid} ${nth}`).digest();
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Head, secret]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { key, publicKey, borrowed: sign(null, secret.subarray(0, 20), key) };
}

export interface Envelope {
  readonly fid: number;
  readonly timestamp: number;
  readonly signer: Signer;
  /** 3, the devnet, unless told otherwise. */
  readonly network?: number;
  /**
   * Nodes send `data` and `data_bytes`; a message sent without `data_bytes` comes with `data` alone, and its hash is
   * over what the first client encoded.
   */
  readonly carries?: 'both' | 'data' | 'dataBytes';
  /** Uses one old signature of the signer for all: for sizes where nobody checks them. The hash is real. */
  readonly unsigned?: boolean;
}

/** Types whose bodies clients were seen to write in another way than nodes: zeros, empty text, another order. */
const restated = new Set<number>([messageTypes.castAdd, messageTypes.verificationAdd, messageTypes.verificationRemove]);

const writer = new Writer();

/** A message with its hash and signature. */
export function signMessage(body: Body, envelope: Envelope): SignedMessage {
  const { fid, timestamp, signer, network = 3, carries = 'both', unsigned = false } = envelope;
  const dataOf = (bytes: Buffer): Buffer =>
    writer.uint(1, body.type).uint(2, fid).uint(3, timestamp).uint(4, network).nested(body.field, bytes).take();
  const data = dataOf(body.bytes);
  const hash = blake3(data);
  const signature = unsigned ? signer.borrowed : sign(null, hash, signer.key);
  if (carries !== 'dataBytes') {
    const shown = carries === 'both' && restated.has(body.type) ? dataOf(asNodesEncode(body.type, body.bytes)) : data;
    writer.nested(1, shown);
  }
  writer.nested(2, hash).uint(3, 1).nested(4, signature).uint(5, 1).nested(6, signer.publicKey);
  if (carries !== 'data') writer.nested(7, data);
  const latin1 = hash.toString('latin1');
  return {
    wire: writer.take(),
    hash: latin1,
    type: body.type,
    fid,
    timestamp,
    signer: signer.publicKey.toString('latin1'),
    ...describe(body.type, body.bytes, latin1),
  };
}

/**
 * A body as a node encodes it again for the field `data`: in its own order, zeros and empty text left out. What stands
 * there is therefore not always what was hashed; `data_bytes` is.
 */
function asNodesEncode(type: number, body: Buffer): Buffer {
  // Of a cast, either kind of parent stands where the first one's number puts it.
  const place = (field: number): number => (type === messageTypes.castAdd && field === 7 ? 3 : field);
  for (const { field, value, bytes, isVarint } of fieldsOf(body).sort((a, b) => place(a.field) - place(b.field))) {
    if (isVarint) writer.uint(field, value);
    else writer.bytes(field, bytes);
  }
  return writer.take();
}

/** A message from the wire. It is taken at its word: hash and signature are not checked. */
export function readMessage(wire: Buffer): SignedMessage {
  const message = new Fields(wire);
  const data = new Fields(message.has(7) ? message.bytes(7) : message.bytes(1));
  const type = data.uint(1);
  const hash = message.bytes(2).toString('latin1');
  const body = data.all.find((field) => field.field > 4);
  if (!body) throw new Error(`read message ${message.bytes(2).toString('hex')} of type ${type}: it has no body`);
  return {
    wire: Buffer.from(wire),
    hash,
    type,
    fid: data.uint(2),
    timestamp: data.uint(3),
    signer: message.bytes(6).toString('latin1'),
    ...describe(type, body.bytes, hash),
  };
}

/** The body's logical key and what the rules ask of it. */
function describe(type: number, body: Buffer, hash: string): { slot: string; detail: MessageDetail | undefined } {
  if (type === messageTypes.castAdd) return { slot: `c${hash}`, detail: undefined };
  const fields = new Fields(body);
  switch (type) {
    case messageTypes.castRemove:
      return { slot: `c${fields.bytes(1).toString('latin1')}`, detail: undefined };
    case messageTypes.reactionAdd:
    case messageTypes.reactionRemove: {
      const target = fields.has(2) ? fields.bytes(2).toString('latin1') : `url ${fields.text(3)}`;
      return { slot: `r${fields.uint(1)} ${target}`, detail: undefined };
    }
    case messageTypes.linkAdd:
    case messageTypes.linkRemove: {
      const detail = { linkType: fields.text(1), target: fields.uint(3) };
      return { slot: `l${detail.linkType} ${detail.target}`, detail };
    }
    case messageTypes.linkCompactState: {
      const detail = { linkType: fields.text(1), targets: new Set(fields.uints(2)) };
      return { slot: `k${detail.linkType}`, detail };
    }
    case messageTypes.verificationAdd:
    case messageTypes.verificationRemove: {
      const address = fields.bytes(1).toString('latin1');
      return { slot: `v${address}`, detail: { address } };
    }
    case messageTypes.userData:
      return { slot: `u${fields.uint(1)}`, detail: { dataType: fields.uint(1), value: fields.text(2) } };
    case messageTypes.usernameProof:
      return { slot: `n${fields.text(2)}`, detail: { name: fields.text(2), proof: Buffer.from(body) } };
    case messageTypes.lendStorage:
      return { slot: `s${fields.uint(1)}`, detail: { target: fields.uint(1), units: fields.uint(2) } };
    case messageTypes.keyAdd:
    case messageTypes.keyRemove:
      return {
        slot: `K${fields.bytes(1).toString('latin1')}`,
        detail: { nonce: fields.uint(5), scopes: fields.uints(9), ttlSeconds: fields.uint(10) },
      };
    default:
      return { slot: `?${hash}`, detail: undefined };
  }
}

/** Of these shard 0 is the first to hear, and every data shard hears of them from it. */
export const isMergedByShardZero = (type: number): boolean =>
  type === messageTypes.lendStorage || type === messageTypes.keyAdd || type === messageTypes.keyRemove;

/** True of the types that take something back. */
export const isRemove = (type: number): boolean =>
  type === messageTypes.castRemove ||
  type === messageTypes.reactionRemove ||
  type === messageTypes.linkRemove ||
  type === messageTypes.verificationRemove ||
  type === messageTypes.keyRemove;
