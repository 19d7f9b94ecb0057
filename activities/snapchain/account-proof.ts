/**
 * Whether the records of an account are the node's: by its root; or type by type, for the messages of keys stand in the trie
 * too, and no call gives them.
 */
import { blake3 } from './hashing';
import { MerkleTree } from './merkle';
import type { SnapchainNode } from './source';
import { accountKey, messageTypeByte, trieTypes, typeOf, virtualShardOf } from './trie-key';
import { keyMessageTypes } from './wire';

export interface AccountProof {
  readonly isProved: boolean;
  /** Leaves of it are messages of keys: those are proved by none. */
  readonly hasKeyMessages: boolean;
  /** As the node tells. */
  readonly numMessages: number;
  readonly root: Buffer;
  /** By type, how many there are and how many the node has; empty if it is proved. */
  readonly reason: string;
}

interface Account {
  readonly shardIndex: number;
  readonly fid: number;
  /** Trie keys, ascending. */
  readonly keys: readonly Buffer[];
}

const keyMessages = keyMessageTypes.map(messageTypeByte);

/** An account that changes meanwhile may not prove: ask again later. */
export async function proveAccount(node: SnapchainNode, account: Account, signal: AbortSignal): Promise<AccountProof> {
  const { shardIndex, fid, keys } = account;
  const told = await node.subtree({ shardIndex, prefix: accountKey(fid) }, signal);
  const { numMessages = 0, root = Buffer.alloc(0) } = told ?? {};
  const proof = { hasKeyMessages: false, numMessages, root, reason: '' };
  if (rootOf(fid, keys).equals(root)) return { ...proof, isProved: true };
  const differing: string[] = [];
  let ofKeys = 0;
  const subtrees = [...trieTypes].map(async ([type, name]) => {
    return { type, name, other: await subtreeOf(node, account, type, signal) };
  });
  for (const { type, name, other } of await Promise.all(subtrees)) {
    const own = keys.filter((key) => typeOf(key) === type);
    if (keyMessages.includes(type)) ofKeys += other.numMessages;
    else if (!other.root.equals(rootOf(fid, own)))
      differing.push(`${name} ${own.length} (node: ${others(own.length, other.numMessages)})`);
  }
  // What is of no type known here counts too.
  if (differing.length === 0 && keys.length + ofKeys !== numMessages)
    differing.push(`all ${keys.length + ofKeys} (node: ${numMessages})`);
  return { ...proof, isProved: differing.length === 0, hasKeyMessages: ofKeys > 0, reason: differing.join(', ') };
}

const others = (own: number, told: number): string => (own === told ? `${told} others` : `${told}`);

/** Of one type: which keys the node has, by the root an account with these alone would have. Empty for none. */
export async function isSubtree(
  node: SnapchainNode,
  account: Account & { readonly type: number },
  signal: AbortSignal,
): Promise<boolean> {
  const { root } = await subtreeOf(node, account, account.type, signal);
  return root.equals(rootOf(account.fid, account.keys));
}

async function subtreeOf(
  node: SnapchainNode,
  { shardIndex, fid }: Pick<Account, 'shardIndex' | 'fid'>,
  type: number,
  signal: AbortSignal,
): Promise<{ root: Buffer; numMessages: number }> {
  const prefix = Buffer.concat([accountKey(fid), Buffer.of(type)]);
  const told = await node.subtree({ shardIndex, prefix }, signal);
  if (told === null) return { root: Buffer.alloc(0), numMessages: 0 };
  // From a type's node up to its account's there are two, and none beside them if there is no other type.
  return { root: blake3(blake3(told.root)), numMessages: told.numMessages };
}

function rootOf(fid: number, keys: readonly Buffer[]): Buffer {
  const tree = new MerkleTree(virtualShardOf(fid));
  for (const key of keys) tree.add(key);
  tree.finish();
  return tree.takeAccounts()[0]?.root ?? Buffer.alloc(0);
}
