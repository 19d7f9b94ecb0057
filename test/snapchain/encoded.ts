/** Messages and trie keys for tests, encoded by the schemas under test and really signed. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { blake3 } from '../../activities/snapchain/hashing';
import { wireType } from '../../activities/snapchain/schema';
import { messageKey } from '../../activities/snapchain/trie-key';

interface Key {
  readonly secret: KeyObject;
  readonly public: Buffer;
}

export function newKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { secret: privateKey, public: publicKey.export({ format: 'der', type: 'spki' }).subarray(-32) };
}

type Fields = Readonly<Record<string, unknown>>;

const contentType = wireType<Fields>('Content');
const messageType = wireType<Fields>('SignedMessage');
const pageType = wireType<Fields>('PageAnswer');

export const defaultKey = newKey();

export interface Made {
  readonly bytes: Buffer;
  readonly hash: Buffer;
  readonly content: Buffer;
}

/** A message with this content; `change` replaces fields of the signed envelope afterwards. */
export function madeMessage(content: Fields, change: Fields = {}, key = defaultKey): Made {
  const encoded = contentType.encode({ fid: 7, timestamp: 1000, network: 3, ...content });
  const hash = blake3(encoded);
  const bytes = messageType.encode({
    content: encoded,
    hash,
    hashScheme: 1,
    signature: sign(null, hash, key.secret),
    signatureScheme: 1,
    signer: key.public,
    signedContent: encoded,
    ...change,
  });
  return { bytes, hash, content: encoded };
}

export const like = (targetFid: number, at: number): Fields => ({
  type: 3,
  timestamp: at,
  reaction: { reactionType: 1, targetCast: { fid: targetFid, hash: Buffer.alloc(20, at) } },
});

/** A page of a fid's likes, in order of their keys. `padding` bytes of URL make each larger. */
export function likesPage(fid: number, count: number, nextPageToken?: string, padding = 0): Buffer {
  const leaves = Array.from({ length: count }, (_, at) => {
    const url = { type: 3, timestamp: at, reaction: { reactionType: 1, targetUrl: 'x'.repeat(padding) } };
    const { bytes, hash } = madeMessage({ fid, ...(padding > 0 ? url : like(9, at)) });
    return { trieKey: messageKey(fid, 3, hash), message: bytes };
  });
  leaves.sort((a, b) => Buffer.compare(a.trieKey, b.trieKey));
  return pageType.encode({ leaves, ...(nextPageToken === undefined ? {} : { nextPageToken }) });
}
