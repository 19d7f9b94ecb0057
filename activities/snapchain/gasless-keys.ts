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

export interface KeysRead {
  readonly fid: number;
  readonly keys: readonly GaslessKey[];
  readonly ver: number;
}

/** The lists as of this block or later. Null: the node has the block no more, or no lists. */
export async function keysChangedIn(
  node: SnapchainNode,
  { shard, height, isOwn }: { shard: number; height: number; isOwn: (fid: number) => boolean },
  signal: AbortSignal,
): Promise<readonly KeysRead[] | null> {
  const fids = await node.keyMessagesIn({ shardIndex: shard, height }, signal);
  if (fids === null) return null;
  const read: KeysRead[] = [];
  for (const fid of fids.filter(isOwn)) {
    const ver = await versionNow(node, shard, signal);
    if (ver < firstEventOf(height))
      throw new NodeFailure(
        'unreachable',
        '',
        `keys of fid ${fid}: no node that was asked has come to block ${height}.`,
      );
    const keys = await node.gaslessKeysOf(fid, signal);
    if (keys === null) return null;
    read.push({ fid, keys, ver });
  }
  return read;
}
