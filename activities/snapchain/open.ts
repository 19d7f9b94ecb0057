/** What comes before anything is moved: shards, snapshots, tables. Reads the node; brings the tables up to date. */
import { Context } from '@temporalio/activity';
import { reasonOf } from '../shared/failures';
import type { SnapchainDeps } from './activities';
import type { OpenedScan, OpenedShard, ScanCursor, ScanSettings, SnapchainSettings } from './contract';
import { permanent } from './failures';
import { isNodeFailure } from './node-failures';
import { refusedByNode, wantedFids } from './records';
import type { Snapshot } from './source';
import { homeShardOf, virtualShardOf, virtualShards } from './trie-key';

/** Virtual shards of one lane: a leg goes through many small ones, and a large one takes many legs. */
const stretch = 16;

/** Throws NodeRefused, DatabaseRefused, ShardRefused: what is wrong is said before anything is moved. */
export async function openShards(deps: SnapchainDeps, settings: SnapchainSettings): Promise<readonly OpenedShard[]> {
  const { cancellationSignal: signal } = Context.current();
  try {
    const { node, numShards } = await deps.ready(signal);
    const known = Array.from({ length: numShards }, (_, index) => index + 1);
    const unknown = settings.shards.filter((shard) => shard > numShards);
    if (unknown.length > 0)
      throw permanent('ShardRefused', `shard_ids ${unknown.join(', ')}: the node has shards 0 to ${numShards}`);
    const opened: OpenedShard[] = [];
    for (const shard of settings.shards.length > 0 ? settings.shards : known)
      opened.push({ shard, height: (await node.newestSnapshot(shard, signal)).height });
    return opened;
  } catch (error) {
    throw refusedByNode(error);
  }
}

/** A scan's stretches, each with its cursor, on the newest snapshot. */
export async function openScan(deps: SnapchainDeps, settings: ScanSettings): Promise<OpenedScan> {
  const { cancellationSignal: signal } = Context.current();
  try {
    const { node, destination, numShards } = await deps.ready(signal);
    const { shard, minHeight } = settings;
    const snapshot = await node.newestSnapshot(shard, signal);
    const { height, numItems } = snapshot;
    if (height < minHeight)
      throw new Error(
        `shard ${shard}: the newest snapshot is of height ${height}; one of ${minHeight} or later is waited for`,
      );
    const sweep = !(await destination.isEmpty(signal));
    const fids = wantedFids(settings);
    const wanted =
      fids === null
        ? null
        : new Set([...fids].filter((fid) => homeShardOf(fid, numShards) === shard).map(virtualShardOf));
    const stretches = stretchesOf(wanted).map(([from, to]) => {
      const cursor: ScanCursor = {
        ...ofSnapshot(snapshot),
        virtualShard: from,
        to,
        pageToken: null,
        tree: null,
        rereads: 0,
        afterFid: null,
        sweep,
        roots: [],
        unproved: [],
      };
      return { lane: from === to ? `virtual shard ${from}` : `virtual shards ${from} to ${to}`, cursor };
    });
    return { shard, height, numItems, stretches };
  } catch (error) {
    if (isNodeFailure(error, 'shardUnknown')) throw new Error(reasonOf(error), { cause: error });
    throw refusedByNode(error);
  }
}

/** What a cursor says of the snapshot it is in. */
export const ofSnapshot = ({ height, shardRoot, numItems }: Snapshot): SnapshotOf => ({
  height,
  shardRoot: shardRoot.toString('hex'),
  numItems,
});
type SnapshotOf = Pick<ScanCursor, 'height' | 'shardRoot' | 'numItems'>;

function stretchesOf(wanted: ReadonlySet<number> | null): (readonly [number, number])[] {
  if (wanted !== null) return [...wanted].sort((a, b) => a - b).map((each) => [each, each] as const);
  return Array.from(
    { length: virtualShards / stretch },
    (_, index) => [index * stretch, (index + 1) * stretch - 1] as const,
  );
}
