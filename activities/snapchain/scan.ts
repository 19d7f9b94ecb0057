/**
 * One stretch of a shard's trie: virtual shard after virtual shard, page by page, into the tables.
 *
 * What must hold: a cursor never passes a leaf whose row is not in the tables, in quarantine, or another shard's to tell; a
 * fid counts as proved only when the keys that came make the root and the number that the node tells of it. Whoever
 * dies begins again behind the last page that was committed, with the tree as it was there.
 */
import { reasonOf, RecordRefused } from '../shared/failures';
import { runLeg, type Leg } from '../shared/leg';
import type { LegResult } from '../shared/contract';
import type { SnapchainDeps } from './activities';
import type { ScanCursor, ScanInput } from './contract';
import type { Batch } from './destination';
import { snapshotVersion } from './event';
import { readByFid } from './fid-scan';
import type { SignatureChecks } from './hashing';
import { emptyRoot, MerkleTree, type AccountRoot, type MerkleState } from './merkle';
import { isNodeFailure } from './node-failures';
import { readLeaf, type Entry, type Leaf } from './page';
import { RowMaker } from './rows';
import { checksOf, nonZero, quarantineRow, refusedByNode, rowOptions, wantedFids } from './records';
import type { NodePage, SnapchainNode } from './source';
import { homeShardOf } from './trie-key';

/** A virtual shard that does not prove is read so often again before it is reported. */
const rereadsMax = 1;
const unprovedMax = 1000;
/** A batch is sent at this size whatever its rows: casts of 10 kB are rare, but come together. */
const batchBytesMax = 8 << 20;

export async function scanVirtualShards(deps: SnapchainDeps, input: ScanInput): Promise<LegResult<ScanCursor>> {
  return await runLeg<ScanCursor>(input, async (leg) => {
    const { node, destination, numShards } = await deps.ready(leg.signal);
    const scan = new Scan({ node, destination, numShards, leg, settings: input.settings });
    return { drained: await scan.run() };
  });
}

interface Context {
  readonly node: SnapchainNode;
  readonly destination: Awaited<ReturnType<SnapchainDeps['ready']>>['destination'];
  readonly numShards: number;
  readonly leg: Leg<ScanCursor>;
  readonly settings: ScanInput['settings'];
}

class Scan {
  private cursor: ScanCursor;
  private readonly fids: ReadonlySet<number> | null;
  private readonly checks: SignatureChecks;

  constructor(private readonly context: Context) {
    const { leg, settings } = context;
    if (leg.cursor === null) throw new TypeError('a stretch of a scan has a cursor from its plan');
    this.cursor = leg.cursor;
    this.fids = wantedFids(settings);
    this.checks = checksOf(settings);
  }

  /** True when the stretch is done. */
  async run(): Promise<boolean> {
    const { leg } = this.context;
    while (this.cursor.virtualShard <= this.cursor.to) {
      if (!leg.hasTime()) return false;
      if (!(await this.virtualShard())) return false;
    }
    return true;
  }

  /** False when time is up in the middle of it. */
  private async virtualShard(): Promise<boolean> {
    const { node, settings, leg } = this.context;
    const { height, virtualShard, pageToken } = this.cursor;
    try {
      return await this.pages(node.pages({ shardIndex: settings.shard, height, virtualShard, pageToken }, leg.signal));
    } catch (error) {
      if (isNodeFailure(error, 'snapshotLost')) return await this.anew();
      if (isNodeFailure(error, 'pageTokenRefused', 'trieNodeMissing')) return this.again({});
      if (isNodeFailure(error, 'pagePoisoned', 'pageUndecodable')) return await this.byFid(reasonOf(error));
      throw refusedByNode(error);
    }
  }

  private async pages(pages: AsyncGenerator<NodePage>): Promise<boolean> {
    const { destination, leg, settings } = this.context;
    const { virtualShard, tree: state } = this.cursor;
    const tree = state === null ? new MerkleTree(virtualShard) : MerkleTree.resume(state as MerkleState);
    const told = new Map<number, AccountRoot>();
    const differing: Differing[] = [];
    let work = this.work();
    for await (const page of pages) {
      for (const root of page.accountRoots) told.set(root.fid, root);
      work.counts.pages += 1;
      work.counts.bytes += page.bytes;
      const ordered = this.take(page, tree, work);
      if (page.nextPageToken === null) tree.finish();
      differing.push(...this.prove(tree.takeAccounts(), told, work));
      if (!ordered || differing.length > 0) {
        if (this.cursor.rereads < rereadsMax) return this.again({ rereads: this.cursor.rereads + 1 });
        // Reported, never ignored; and what can be read is.
        this.report(differing, work);
        differing.length = 0;
      }
      const isEnd = page.nextPageToken === null;
      const isFull = work.batch.rows >= settings.batchSize || work.batch.size >= batchBytesMax;
      if (!isEnd && !isFull && leg.hasTime()) continue;
      this.conclude(work, isEnd);
      await destination.write(work.batch, leg.signal);
      this.keep(
        work,
        isEnd ? this.after(tree.finish()) : { ...this.cursor, pageToken: page.nextPageToken, tree: tree.save() },
      );
      if (isEnd) return true;
      if (!leg.hasTime()) return false;
      work = this.work();
    }
    throw new Error('the pages of a virtual shard ended without a last one');
  }

  /** False when leaves do not come in order: such a page is not what a trie holds. */
  private take({ leaves, where }: NodePage, tree: MerkleTree, work: Work): boolean {
    for (const leaf of leaves) {
      try {
        tree.add(leaf.trieKey);
      } catch (error) {
        if (!(error instanceof RecordRefused)) throw error;
        this.quarantine(leaf, reasonOf(error), work);
        return false;
      }
      this.leaf(leaf, where, work);
    }
    return true;
  }

  private leaf(leaf: Leaf, where: string, work: Work): void {
    try {
      const entry = readLeaf(leaf, where);
      if (!this.isOurs(entry)) return;
      if (entry.kind === 'message' && !this.checks.passes(entry.message))
        throw new RecordRefused(`${where}: message ${entry.message.hash.toString('hex')}: not signed by its signer`);
      work.rows.entry(entry, work.ver);
      work.counts.messages += 1;
    } catch (error) {
      if (!(error instanceof RecordRefused)) throw error;
      this.quarantine(leaf, error.message, work);
    }
  }

  /** Other shards' copies, and a loan under its borrower, are told elsewhere. */
  private isOurs(entry: Entry): boolean {
    const { settings, numShards } = this.context;
    const fid = entry.kind === 'message' ? entry.message.fid : entry.key.fid;
    if (this.fids !== null && !this.fids.has(fid)) return false;
    return entry.key.fid === fid && homeShardOf(fid, numShards) === settings.shard;
  }

  private prove(accounts: readonly AccountRoot[], told: Map<number, AccountRoot>, work: Work): Differing[] {
    const differing: Differing[] = [];
    for (const account of accounts) {
      const root = told.get(account.fid);
      told.delete(account.fid);
      if (root === undefined || !root.root.equals(account.root) || root.numMessages !== account.numMessages) {
        const said =
          root === undefined
            ? 'the node tells no root of it'
            : `the node tells ${root.numMessages} leaves, root ${root.root.toString('hex')}`;
        const reason = `${account.numMessages} leaves came, root ${account.root.toString('hex')}; ${said}`;
        differing.push({ fid: account.fid, reason });
        continue;
      }
      if (homeShardOf(account.fid, this.context.numShards) !== this.context.settings.shard) continue;
      if (this.fids !== null && !this.fids.has(account.fid)) continue;
      work.counts.fids += 1;
      work.fids.push(account.fid);
      work.batch.add('fids', [account.fid, this.context.settings.shard, work.ver, account.root, account.numMessages]);
    }
    return differing;
  }

  private report(differing: readonly Differing[], work: Work): void {
    for (const { fid, reason } of differing) {
      work.unproved.push(fid);
      work.batch.add('quarantine', quarantineRow(this.context.settings.shard, `fid:${fid}`, work.ver, reason, null));
    }
    work.counts.unproved += differing.length;
  }

  private quarantine(leaf: Leaf, reason: string, work: Work): void {
    work.counts.quarantined += 1;
    work.batch.add(
      'quarantine',
      quarantineRow(
        this.context.settings.shard,
        `trie:${leaf.trieKey.toString('hex')}`,
        work.ver,
        reason,
        leaf.message ?? leaf.onChainEvent ?? leaf.fnameTransfer,
      ),
    );
  }

  /** What a transaction says besides its rows: which are no more, and how far it has come. */
  private conclude(work: Work, isEnd: boolean): void {
    const { settings } = this.context;
    if (this.cursor.sweep && settings.types.length === 0) work.batch.sweep(work.fids, work.ver);
    work.batch.progress({
      shard: settings.shard,
      part: 'history',
      height: this.cursor.height,
      messages: work.counts.messages,
      status: `virtual shard ${this.cursor.virtualShard} ${isEnd ? 'read' : 'being read'}`,
    });
  }

  private keep(work: Work, cursor: ScanCursor): void {
    const unproved = [...this.cursor.unproved, ...work.unproved].slice(0, unprovedMax);
    this.cursor = { ...cursor, unproved };
    this.context.leg.kept(this.cursor, nonZero(work.counts));
  }

  private after(root: Buffer): ScanCursor {
    const { height, virtualShard, roots } = this.cursor;
    return {
      ...this.cursor,
      virtualShard: virtualShard + 1,
      pageToken: null,
      tree: null,
      rereads: 0,
      roots: [...roots, [height, root.toString('hex')]],
    };
  }

  /** The present virtual shard from its start. */
  private again(change: Partial<ScanCursor>): boolean {
    const { leg } = this.context;
    this.cursor = { ...this.cursor, ...change, pageToken: null, tree: null };
    leg.kept(this.cursor, {});
    return leg.hasTime();
  }

  /** The snapshot is gone: the unfinished go on with the newest, and what an older one had left of them is swept. */
  private async anew(): Promise<boolean> {
    const { node, settings, leg } = this.context;
    const { height, shardRoot } = await node.newestSnapshot(settings.shard, leg.signal);
    if (height < settings.minHeight)
      throw new Error(
        `shard ${settings.shard}: the newest snapshot is of height ${height}, the tail began at ${settings.minHeight}; a newer one is waited for`,
      );
    return this.again({ height, shardRoot: shardRoot.toString('hex'), sweep: true, rereads: 0 });
  }

  /** A page that no node can serve: the fids of this virtual shard one by one. */
  private async byFid(why: string): Promise<boolean> {
    const { node, destination, leg, settings, numShards } = this.context;
    const { virtualShard } = this.cursor;
    const work = this.work();
    const outcome = await readByFid({ node, destination, numShards, leg, settings }, { virtualShard, fids: this.fids });
    Object.assign(work.counts, outcome.counts);
    work.unproved.push(...outcome.unproved);
    work.batch.add('quarantine', quarantineRow(settings.shard, `virtual shard:${virtualShard}`, work.ver, why, null));
    await destination.write(work.batch, leg.signal);
    this.keep(work, { ...this.after(emptyRoot), roots: [...this.cursor.roots, [-1, '']] });
    return true;
  }

  private work(): Work {
    const { destination, settings } = this.context;
    const batch = destination.batch();
    return {
      batch,
      rows: new RowMaker(batch, rowOptions(settings)),
      ver: snapshotVersion(this.cursor.height),
      counts: { messages: 0, fids: 0, pages: 0, bytes: 0, quarantined: 0, unproved: 0 },
      fids: [],
      unproved: [],
    };
  }
}

interface Differing {
  readonly fid: number;
  readonly reason: string;
}

/** What goes into one transaction. */
interface Work {
  readonly batch: Batch;
  readonly rows: RowMaker;
  readonly ver: number;
  readonly counts: {
    messages: number;
    fids: number;
    pages: number;
    bytes: number;
    quarantined: number;
    unproved: number;
  };
  readonly fids: number[];
  readonly unproved: number[];
}
