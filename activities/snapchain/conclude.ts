/** The end of a scan: the shard's root from those of its virtual shards, against the one in the snapshot's block. */
import { Context } from '@temporalio/activity';
import type { SnapchainDeps } from './activities';
import type { ConcludeInput, ScanVerdict } from './contract';
import { shardRoot } from './merkle';
import { notAtOneHeight } from './scan';

type Outcome = Pick<ScanVerdict, 'height' | 'shardRoot' | 'unproved'>;

export async function concludeScan(deps: SnapchainDeps, { shard, isWhole, lanes }: ConcludeInput): Promise<Outcome> {
  const { cancellationSignal: signal } = Context.current();
  const { destination } = await deps.ready(signal);
  const unproved = lanes.flatMap((lane) => lane.unproved);
  const heights = new Set(lanes.flatMap(({ roots }) => roots.map(([height]) => height)));
  const height = Math.max(0, ...lanes.map((lane) => lane.height));
  const outcome = (root: ScanVerdict['shardRoot']): Outcome => ({ height, shardRoot: root, unproved });
  const batch = destination.batch();
  batch.progress({ shard, part: 'history', height, messages: 0, status: 'complete' });
  await destination.write(batch, signal);
  if (!isWhole) return outcome('partial');
  // Of several snapshots, or read fid by fid: each account is proved, but there is no block with such a root.
  if (heights.size !== 1 || heights.has(notAtOneHeight)) return outcome('mixed');
  const roots = new Map<number, Buffer>();
  for (const { to, roots: own } of lanes)
    own.forEach(([, root], index) => roots.set(to + 1 - own.length + index, Buffer.from(root, 'hex')));
  const [first] = lanes;
  if (shardRoot(roots).toString('hex') === first?.shardRoot) return outcome('proved');
  const leaves = lanes.flatMap(({ roots: own }) => own).reduce((sum, [, , count]) => sum + count, 0);
  return outcome(leaves === first?.numItems ? 'counted' : 'differs');
}
