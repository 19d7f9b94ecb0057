/** A page of a snapshot's trie: split at once, its leaves read one by one, so that a bad leaf is one leaf's trouble. */
import { reasonOf, RecordRefused } from '../shared/failures';
import { decodeFnameTransfer, decodeOnChainEvent } from './chain-record';
import { decodeMessage } from './message-data';
import type { AccountRoot } from './merkle';
import { hashBytes } from './hashing';
import { wireType } from './schema';
import { parseTrieKey, type TrieKey } from './trie-key';
import { messageTypes, type Message, type NameProof, type OnChainEvent } from './wire';

/** A leaf as it came. A field that is absent is null; a leaf as it should be has exactly one of the three. */
export interface Leaf {
  readonly trieKey: Buffer;
  readonly message: Buffer | null;
  readonly onChainEvent: Buffer | null;
  readonly fnameTransfer: Buffer | null;
}

export interface Page {
  /** By key, ascending within a virtual shard and over its pages. */
  readonly leaves: readonly Leaf[];
  /** Of every fid on the page, whole even if its leaves go over several pages; in no order. */
  readonly accountRoots: readonly AccountRoot[];
  /** Null at the end. One that is there may lead to an empty page. */
  readonly nextPageToken: string | null;
}

/** A leaf that has been read, and is what its key says. */
export type Entry = { readonly key: TrieKey } & (
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'onChain'; readonly event: OnChainEvent }
  | { readonly kind: 'fname'; readonly proof: NameProof }
);

interface WirePage {
  readonly leaves: readonly Leaf[];
  readonly accountRoots: readonly AccountRoot[];
  readonly nextPageToken: string | null;
}

const wirePage = wireType<WirePage>('PageAnswer');

/** Throws RecordRefused if the bytes are no page at all. */
export function decodePage(bytes: Buffer, where: string): Page {
  const refused = (reason: string): RecordRefused =>
    new RecordRefused(`${where}: the page of ${bytes.length} bytes cannot be read: ${reason}`);
  let page: WirePage;
  try {
    page = wirePage.decode(bytes);
  } catch (error) {
    throw refused(reasonOf(error));
  }
  const { leaves, nextPageToken } = page;
  const accountRoots = page.accountRoots.map(({ fid, root, numMessages }) => {
    if (root.length !== hashBytes) throw refused(`the root of fid ${fid} has ${root.length} bytes`);
    return { fid, root, numMessages };
  });
  return { leaves, accountRoots, nextPageToken: nextPageToken === '' ? null : nextPageToken };
}

/**
 * Reads a leaf: its key, its record, and that the one is of the other. A record under another fid's key, or another
 * hash's, would pass every root.
 * Throws RecordRefused, naming `where` and the key or hash.
 */
export function readLeaf(leaf: Leaf, where: string): Entry {
  const key = parseTrieKey(leaf.trieKey, where);
  const { message, onChainEvent, fnameTransfer } = leaf;
  if (key.kind === 'message' && message !== null) {
    const read = decodeMessage(message, where);
    return { key, kind: 'message', message: agreed(isOf(key, read), read, leaf, where) };
  }
  if (key.kind === 'onChain' && onChainEvent !== null) {
    const event = decodeOnChainEvent(onChainEvent, where);
    const isSame =
      event.fid === key.fid &&
      event.type === key.eventType &&
      event.logIndex === key.logIndex &&
      event.transactionHash.equals(key.transactionHash);
    return { key, kind: 'onChain', event: agreed(isSame, event, leaf, where) };
  }
  if (key.kind === 'fname' && fnameTransfer !== null) {
    const proof = decodeFnameTransfer(fnameTransfer, where);
    return { key, kind: 'fname', proof: agreed(proof.fid === key.fid && proof.name === key.name, proof, leaf, where) };
  }
  throw new RecordRefused(`${where}: trie key ${leaf.trieKey.toString('hex')}: without a record of its kind`);
}

/** A loan stands under its lender and under its borrower. */
function isOf(key: Extract<TrieKey, { kind: 'message' }>, { fid, type, hash, body }: Message): boolean {
  if (type !== key.messageType || !hash.equals(key.hash)) return false;
  if (fid === key.fid) return true;
  return type === messageTypes.lendStorage && body.kind === 'lendStorage' && body.toFid === key.fid;
}

function agreed<T>(isSame: boolean, record: T, leaf: Leaf, where: string): T {
  if (isSame) return record;
  throw new RecordRefused(`${where}: trie key ${leaf.trieKey.toString('hex')}: the record there is another’s`);
}
