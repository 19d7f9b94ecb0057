/** What of a snapshot goes into one transaction: leaves as rows, accounts that proved, and what could not be read. */
import { RecordRefused } from '../shared/failures';
import type { Counts } from '../shared/contract';
import type { ScanSettings } from './contract';
import type { Batch, Destination } from './destination';
import { snapshotVersion } from './event';
import type { SignatureChecks } from './hashing';
import type { AccountRoot } from './merkle';
import { readLeaf, type Entry, type Leaf } from './page';
import { tellCommitted } from './meter';
import { nonZero, quarantineRow, rowOptions } from './records';
import { RowMaker } from './rows';
import { accountKeyBytes, homeShardOf } from './trie-key';

/** A batch is sent at this size whatever its rows: casts of 10 kB are rare, but come together. */
const batchBytesMax = 8 << 20;

/** An account whose leaves do not make the root that the node tells of it. */
export interface Differing {
  readonly fid: number;
  readonly reason: string;
}

export interface ScanBatchOf {
  readonly destination: Destination;
  readonly settings: ScanSettings;
  readonly numShards: number;
  readonly checks: SignatureChecks;
  /** Null: all. */
  readonly fids: ReadonlySet<number> | null;
  /** Of the snapshot. */
  readonly height: number;
  /** Older rows may be there: what is not in the snapshot any more goes, account by account. */
  readonly sweep: boolean;
  /** fids that are known not to prove. */
  readonly unproved: readonly number[];
}

export class ScanBatch {
  readonly unproved: number[] = [];
  private readonly batch: Batch;
  private readonly rows: RowMaker;
  private readonly ver: number;
  private readonly proved: number[] = [];
  private readonly tally = { messages: 0, fids: 0, pages: 0, bytes: 0, quarantined: 0, unproved: 0 };

  constructor(private readonly of: ScanBatchOf) {
    this.batch = of.destination.batch({ isNew: !of.sweep });
    this.rows = new RowMaker(this.batch, rowOptions(of.settings));
    this.ver = snapshotVersion(of.height);
  }

  get isFull(): boolean {
    return this.batch.rows >= this.of.settings.batchSize || this.batch.size >= batchBytesMax;
  }

  get counts(): Counts {
    return nonZero(this.tally);
  }

  page(bytes: number): void {
    this.tally.pages += 1;
    this.tally.bytes += bytes;
  }

  /** False if it cannot be read; then it is quarantined. */
  leaf(leaf: Leaf, where: string): boolean {
    try {
      const entry = readLeaf(leaf, where);
      if (!this.isOurs(entry)) return true;
      if (entry.kind === 'message' && !this.of.checks.passes(entry.message))
        throw new RecordRefused(`${where}: message ${entry.message.hash.toString('hex')}: not signed by its signer`);
      this.rows.entry(entry, this.ver);
      this.tally.messages += 1;
      return true;
    } catch (error) {
      if (!(error instanceof RecordRefused)) throw error;
      this.quarantine(leaf, error.message);
      return false;
    }
  }

  /** Compares accounts with what the node told of them; `told` loses those. Gives those that differ. */
  prove(accounts: readonly AccountRoot[], told: Map<number, AccountRoot>): Differing[] {
    const differing: Differing[] = [];
    for (const { fid, root, numMessages } of accounts) {
      const other = told.get(fid);
      told.delete(fid);
      if (this.unproved.includes(fid) || this.of.unproved.includes(fid)) continue;
      if (other === undefined || !other.root.equals(root) || other.numMessages !== numMessages)
        differing.push({ fid, reason: `${numMessages} leaves came, root ${root.toString('hex')}; ${said(other)}` });
      else if (this.isWanted(fid)) {
        this.tally.fids += 1;
        this.proved.push(fid);
        this.batch.add('fids', [fid, this.of.settings.shard, this.ver, root, numMessages]);
      }
    }
    return differing;
  }

  report(differing: readonly Differing[]): void {
    for (const { fid, reason } of differing) {
      this.distrust(fid);
      this.keepAside(`fid:${fid}`, fid, reason, null);
    }
  }

  /** What came under this key; its account does not count as proved then, whatever its root. */
  quarantine(leaf: Leaf, reason: string): void {
    this.tally.quarantined += 1;
    const fid = leaf.trieKey.length >= accountKeyBytes ? leaf.trieKey.readUInt32BE(1) : null;
    if (fid !== null) this.distrust(fid);
    const bytes = leaf.message ?? leaf.onChainEvent ?? leaf.fnameTransfer;
    this.keepAside(`trie:${leaf.trieKey.toString('hex')}`, fid, reason, bytes);
  }

  /** A virtual shard that cannot be read as one. */
  aside(virtualShard: number, reason: string): void {
    this.keepAside(`virtual shard:${virtualShard}`, null, reason, null);
  }

  async write(status: string, signal: AbortSignal): Promise<void> {
    const { destination, settings, height, sweep } = this.of;
    if (sweep && settings.types.length === 0) this.batch.sweep(this.proved, this.ver);
    const { messages, quarantined } = this.tally;
    const line = { shard: settings.shard, part: 'history', height, messages, status } as const;
    this.batch.progress(line);
    await destination.write(this.batch, signal);
    tellCommitted(line, { quarantined, timestamp: null });
  }

  private distrust(fid: number): void {
    if (this.unproved.includes(fid) || this.of.unproved.includes(fid)) return;
    this.unproved.push(fid);
    this.tally.unproved += 1;
  }

  private keepAside(place: string, fid: number | null, reason: string, raw: Buffer | null): void {
    const { shard } = this.of.settings;
    this.batch.add('quarantine', quarantineRow({ shard, place, fid, ver: this.ver, reason, raw }));
  }

  /** Other shards' copies, and a loan under its borrower, are told elsewhere. */
  private isOurs(entry: Entry): boolean {
    const fid = entry.kind === 'message' ? entry.message.fid : entry.key.fid;
    return entry.key.fid === fid && this.isWanted(fid);
  }

  private isWanted(fid: number): boolean {
    const { fids, numShards, settings } = this.of;
    return (fids === null || fids.has(fid)) && homeShardOf(fid, numShards) === settings.shard;
  }
}

const said = (root: AccountRoot | undefined): string =>
  root === undefined
    ? 'the node tells no root of it'
    : `the node tells ${root.numMessages} leaves, root ${root.root.toString('hex')}`;
