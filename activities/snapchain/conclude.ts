/** The end of a scan: the shard's root from those of its virtual shards, against the one in the snapshot's block. */
import { Context } from '@temporalio/activity';
import { proveAccount } from './account-proof';
import type { Ready, SnapchainDeps } from './activities';
import type { ConcludeInput, ScanVerdict } from './contract';
import { snapshotVersion } from './event';
import { shardRoot } from './merkle';
import { versionNow } from './records';
import { notAtOneHeight } from './scan';

export async function concludeScan(
  deps: SnapchainDeps,
  { shard, isWhole, lanes }: ConcludeInput,
): Promise<ScanVerdict> {
  const { cancellationSignal: signal } = Context.current();
  const ready = await deps.ready(signal);
  const { destination } = ready;
  const unproved = await stillUnproved(ready, { shard, fids: lanes.flatMap((lane) => lane.unproved) }, signal);
  const heights = new Set(lanes.flatMap(({ roots }) => roots.map(([height]) => height)));
  const height = Math.max(0, ...lanes.map((lane) => lane.height));
  const outcome = (root: ScanVerdict['shardRoot']): ScanVerdict => ({ height, shardRoot: root, unproved });
  const batch = destination.batch();
  batch.progress({ shard, part: 'history', height, messages: 0, status: 'complete' });
  await destination.write(batch, signal);
  if (!isWhole) return outcome('partial');
  const read = [...heights].filter((each) => each !== notAtOneHeight);
  const ver = snapshotVersion(Math.min(height, ...read));
  await destination.forgetDead({ shard, ver, until: performance.now() + forgetMsMax }, signal);
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

/**
 * Of accounts that did not prove by themselves: some do by what has come since. A loan is given by its lender's calls alone, and
 * is a leaf of its borrower's too.
 */
async function stillUnproved(
  { node, destination }: Ready,
  { shard, fids }: { shard: number; fids: readonly number[] },
  signal: AbortSignal,
): Promise<readonly number[]> {
  const still: number[] = [];
  const until = performance.now() + lookMsMax;
  for (const fid of fids) {
    const ver = await versionNow(node, shard, signal);
    const [account] = await destination.accountKeys([fid], signal);
    const { isProved, root, numMessages } =
      account === undefined || performance.now() > until
        ? unknown
        : await proveAccount(node, { shardIndex: shard, ...account }, signal);
    if (!isProved) still.push(fid);
    else {
      const batch = destination.batch();
      batch.add('fids', [fid, shard, ver, root, numMessages]);
      await destination.write(batch, signal);
    }
  }
  return still;
}

const unknown = { isProved: false, root: Buffer.alloc(0), numMessages: 0 } as const;
/** The rest is left for the next scan. */
const forgetMsMax = 30_000;
/** A question takes a few milliseconds, an account up to thirty of them. */
const lookMsMax = 60_000;
