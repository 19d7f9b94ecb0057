/**
 * One stretch of a shard's trie: virtual shard after virtual shard, page by page, into the tables.
 *
 * What must hold: a cursor never passes a leaf whose row is not in the tables, in quarantine, or another shard's to tell; a
 * fid counts as proved only when the keys that came make the root and the number that the node tells of it. Whoever
 * dies begins again behind what was last committed, with the tree as it was there. A transaction goes over many small
 * virtual shards; what is read of one that does not prove is dropped with it, and read again from what was committed.
 */
import { reasonOf, RecordRefused } from '../shared/failures';
import { runLeg, type Leg } from '../shared/leg';
import type { LegResult } from '../shared/contract';
import type { Ready, SnapchainDeps } from './activities';
import type { ScanCursor, ScanInput } from './contract';
import { fidsOf, readFid } from './fid-scan';
import type { SignatureChecks } from './hashing';
import { MerkleTree, type AccountRoot, type MerkleState } from './merkle';
import { isNodeFailure } from './node-failures';
import { ofSnapshot } from './open';
import { checksOf, nonZero, refusedByNode, wantedFids } from './records';
import { ScanBatch, type Differing } from './scan-batch';
import type { NodePage } from './source';

/** A virtual shard that does not prove is read so often again before it is reported. */
const rereadsMax = 1;
const unprovedMax = 1000;

export async function scanVirtualShards(deps: SnapchainDeps, input: ScanInput): Promise<LegResult<ScanCursor>> {
  return await runLeg<ScanCursor>(input, async (leg) => {
    const scan = new Scan({ ...(await deps.ready(leg.signal)), leg, settings: input.settings });
    return { drained: await scan.run() };
  });
}

interface Context extends Ready {
  readonly leg: Leg<ScanCursor>;
  readonly settings: ScanInput['settings'];
}

class Scan {
  /** What is committed. */
  private kept: ScanCursor;
  /** What is read: `batch` holds what lies between the two. */
  private cursor: ScanCursor;
  private batch: ScanBatch;
  private readonly fids: ReadonlySet<number> | null;
  private readonly checks: SignatureChecks;

  constructor(private readonly context: Context) {
    const { leg, settings } = context;
    if (leg.cursor === null) throw new TypeError('a stretch of a scan has a cursor from its plan');
    this.fids = wantedFids(settings);
    this.checks = checksOf(settings);
    this.kept = this.cursor = leg.cursor;
    this.batch = this.empty();
  }

  /** True when the stretch is done. */
  async run(): Promise<boolean> {
    const { leg } = this.context;
    while (this.cursor.virtualShard <= this.cursor.to) {
      if (!leg.hasTime()) {
        await this.write();
        return false;
      }
      await this.virtualShard();
    }
    await this.write();
    return true;
  }

  private async virtualShard(): Promise<void> {
    const { node, settings, leg } = this.context;
    const { height, virtualShard, pageToken, afterFid } = this.cursor;
    try {
      if (afterFid !== null) return await this.byFid(afterFid);
      await this.pages(node.pages({ shardIndex: settings.shard, height, virtualShard, pageToken }, leg.signal));
    } catch (error) {
      if (isNodeFailure(error, 'snapshotLost')) return await this.anew();
      if (isNodeFailure(error, 'pageTokenRefused', 'trieNodeMissing')) return this.again({});
      if (isNodeFailure(error, 'pagePoisoned', 'pageUndecodable')) return await this.giveUpPages(reasonOf(error));
      throw refusedByNode(error);
    }
  }

  /** Until the end of the virtual shard, or of the leg's time. */
  private async pages(pages: AsyncGenerator<NodePage>): Promise<void> {
    const { leg } = this.context;
    const { virtualShard, tree: state } = this.cursor;
    const tree = state === null ? new MerkleTree(virtualShard) : MerkleTree.resume(state as MerkleState);
    const told = new Map<number, AccountRoot>();
    const differing: Differing[] = [];
    for await (const page of pages) {
      for (const root of page.accountRoots) told.set(root.fid, root);
      this.batch.page(page.bytes);
      const isWhole = this.take(page, tree);
      if (page.nextPageToken === null) tree.finish();
      differing.push(...this.batch.prove(tree.takeAccounts(), told));
      if (!isWhole || differing.length > 0) {
        if (this.cursor.rereads < rereadsMax) return this.again({ rereads: this.cursor.rereads + 1 });
        // Reported, never ignored; and what can be read is.
        this.batch.report(differing);
        differing.length = 0;
      }
      if (page.nextPageToken === null) return await this.end(tree);
      this.cursor = { ...this.cursor, pageToken: page.nextPageToken };
      if (!this.batch.isFull && leg.hasTime()) continue;
      this.cursor = { ...this.cursor, tree: tree.save() };
      await this.write();
      if (!leg.hasTime()) return;
    }
    throw new Error('the pages of a virtual shard ended without a last one');
  }

  /** False if a leaf does not come in its order or cannot be read: such leaves are put aside. */
  private take({ leaves, where }: NodePage, tree: MerkleTree): boolean {
    let isWhole = true;
    for (const leaf of leaves) {
      try {
        tree.add(leaf.trieKey);
        isWhole = this.batch.leaf(leaf, where) && isWhole;
      } catch (error) {
        if (!(error instanceof RecordRefused)) throw error;
        this.batch.quarantine(leaf, reasonOf(error));
        isWhole = false;
      }
    }
    return isWhole;
  }

  /** One that was read again is committed by itself: whatever comes after it cannot take it back once more. */
  private async end(tree: MerkleTree): Promise<void> {
    const { height, rereads } = this.cursor;
    this.cursor = behind(this.cursor, [height, tree.finish().toString('hex'), tree.leaves]);
    if (rereads > 0 || this.batch.isFull) await this.write();
  }

  private async write(): Promise<void> {
    const { leg } = this.context;
    const { batch, cursor } = this;
    if (cursor === this.kept) return;
    await batch.write(`virtual shard ${cursor.virtualShard}`, leg.signal);
    const unproved = [...cursor.unproved, ...batch.unproved].slice(0, unprovedMax);
    this.keep({ ...cursor, unproved }, batch.counts);
  }

  private keep(cursor: ScanCursor, counts: ScanBatch['counts']): void {
    this.kept = this.cursor = cursor;
    this.batch = this.empty();
    this.context.leg.kept(cursor, counts);
  }

  /** From what is committed, and what lies between is dropped; the virtual shard that did not prove from its start. */
  private again(change: Partial<ScanCursor>): void {
    const isSame = this.kept.virtualShard === this.cursor.virtualShard;
    this.keep({ ...this.kept, ...(isSame ? fromItsStart : {}), ...change }, {});
  }

  /** The snapshot is gone: the unfinished go on with the newest, and what an older one had left of them is swept. */
  private async anew(): Promise<void> {
    const { node, settings, leg } = this.context;
    const snapshot = await node.newestSnapshot(settings.shard, leg.signal);
    const { height } = snapshot;
    if (height === this.kept.height || height < settings.minHeight)
      throw new Error(
        `shard ${settings.shard}: the snapshot of height ${this.kept.height} is gone, and the newest is of ${height}; a newer one is waited for`,
      );
    this.again({ ...fromItsStart, ...ofSnapshot(snapshot), sweep: true, rereads: 0 });
  }

  /** A page that no node can serve: from here on fid by fid. What was read before it is committed by reading it again. */
  private async giveUpPages(why: string): Promise<void> {
    const { virtualShard, rereads } = this.cursor;
    if (this.kept.virtualShard !== virtualShard) return this.again({ rereads: rereads + 1 });
    this.batch = this.empty();
    this.batch.aside(virtualShard, why);
    this.cursor = { ...this.kept, ...fromItsStart, afterFid: 0 };
    await this.write();
  }

  private async byFid(afterFid: number): Promise<void> {
    const { leg } = this.context;
    const { virtualShard } = this.kept;
    for (const fid of await fidsOf(this.context, { virtualShard, wanted: this.fids })) {
      if (fid <= afterFid) continue;
      if (!leg.hasTime()) return;
      const { isProved, messages, quarantined } = await readFid(this.context, fid);
      const unproved = isProved ? this.kept.unproved : [...this.kept.unproved, fid].slice(0, unprovedMax);
      const counts = { messages, quarantined, fids: isProved ? 1 : 0, unproved: isProved ? 0 : 1 };
      this.keep({ ...this.kept, afterFid: fid, unproved }, nonZero(counts));
    }
    this.cursor = behind(this.kept, [notAtOneHeight, '', 0]);
    await this.write();
  }

  private empty(): ScanBatch {
    const { destination, settings, numShards } = this.context;
    const { checks, fids } = this;
    const { height, sweep, unproved } = this.kept;
    return new ScanBatch({ destination, settings, numShards, checks, fids, height, sweep, unproved });
  }
}

const fromItsStart = { pageToken: null, tree: null } as const;
/** Of a virtual shard whose root is not that of one block. */
export const notAtOneHeight = -1;

const behind = (cursor: ScanCursor, root: ScanCursor['roots'][number]): ScanCursor => ({
  ...cursor,
  ...fromItsStart,
  virtualShard: cursor.virtualShard + 1,
  rereads: 0,
  afterFid: null,
  roots: [...cursor.roots, root],
});
