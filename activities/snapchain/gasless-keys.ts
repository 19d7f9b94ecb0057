/**
 * Keys of key messages: no page and no log has them, so a node is asked for an account's whole list. Whose list has changed
 * is told by blocks: they count events of key messages, which their logs have not, and what was proposed for a block has
 * the messages.
 */
import { firstEventOf } from './event';
import { NodeFailure } from './node-failures';
import { versionNow } from './records';
import type { SnapchainNode } from './source';
import type { GaslessKey } from './wire';

export interface ChangedKeys {
  /** Key messages that were proposed for the block, of whomever, merged or not. */
  readonly messages: number;
  /** As of the block or later, of those who are wanted. */
  readonly lists: readonly { readonly fid: number; readonly keys: readonly GaslessKey[]; readonly ver: number }[];
}

/** Null: the node has the block no more, or does not give lists. */
export async function keysChangedIn(
  node: SnapchainNode,
  { shard, height, isOwn }: { shard: number; height: number; isOwn: (fid: number) => boolean },
  signal: AbortSignal,
): Promise<ChangedKeys | null> {
  const fids = await node.keyMessagesIn({ shardIndex: shard, height }, signal);
  if (fids === null) return null;
  const own = new Set(fids.filter(isOwn));
  if (own.size === 0) return { messages: fids.length, lists: [] };
  const ver = await versionNow(node, shard, signal);
  if (ver < firstEventOf(height)) {
    const what = `keys of fid ${[...own].join(', ')}: no node that was asked has come to block ${height}.`;
    throw new NodeFailure('unreachable', '', what);
  }
  const lists = [];
  for (const fid of own) {
    const keys = await node.gaslessKeysOf(fid, signal);
    if (keys === null) return null;
    lists.push({ fid, keys, ver });
  }
  return { messages: fids.length, lists };
}
