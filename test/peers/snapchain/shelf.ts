/**
 * The snapshots one node keeps, in its memory only: taken at every so many blocks and at the first block after a start,
 * given up when they are too old, gone with a restart. A late one holds more than its height says.
 */
import type { Ledger } from './ledger';
import type { Snapshot, SnapshotView } from './snapshot';

export interface ShelfOptions {
  /** Blocks between snapshots: a node's own setting is 28,800, about eight hours. */
  readonly intervalBlocks?: number;
  /** How long one is kept, in blocks: 86,400 are a day. */
  readonly ageBlocksMax?: number;
  /** The view opens so many blocks after the height it is labelled with. */
  readonly lateBlocks?: number;
}

export class Shelf {
  readonly #kept: Map<number, SnapshotView>[];
  readonly #late: { shard: number; dueHeight: number; height: number; root: Buffer }[] = [];
  readonly #options: Required<ShelfOptions>;
  readonly #stop: () => void;
  readonly #bases: SnapshotView[] = [];

  constructor(
    readonly ledger: Ledger,
    options: ShelfOptions = {},
  ) {
    this.#options = { intervalBlocks: 28_800, ageBlocksMax: 86_400, lateBlocks: 0, ...options };
    this.#kept = ledger.shards.map(() => new Map());
    this.#stop = ledger.onBlock((shard) => this.#atBlock(shard));
    this.restarted();
  }

  #atBlock(shard: number): void {
    const { intervalBlocks, ageBlocksMax, lateBlocks } = this.#options;
    const height = this.ledger.shard(shard)?.height ?? 0;
    const kept = this.#kept[shard - 1] as Map<number, SnapshotView>;
    for (const old of kept.keys()) if (height - old > ageBlocksMax) kept.delete(old);
    for (const due of this.#late.splice(0)) {
      if (due.shard !== shard || due.dueHeight > height) this.#late.push(due);
      else this.keep(this.ledger.snapshot(shard, due));
    }
    if (this.#bases.length > 0) return;
    const isAwaited = this.#late.some((due) => due.shard === shard);
    if (height % intervalBlocks !== 0 && (kept.size > 0 || isAwaited)) return;
    if (lateBlocks === 0) this.keep(this.ledger.snapshot(shard));
    else
      this.#late.push({
        shard,
        height,
        dueHeight: height + lateBlocks,
        root: this.ledger.shard(shard)?.root() ?? Buffer.alloc(0),
      });
  }

  /** A prepared snapshot that outlives restarts and is the only one: what the ledger holds came after it. */
  keepForGood(snapshot: SnapshotView): void {
    this.#bases.push(snapshot);
    this.restarted();
  }

  keep(snapshot: SnapshotView): void {
    this.#kept[snapshot.shard - 1]?.set(snapshot.height, snapshot);
  }

  /** Takes one of every shard that has a block, at once and on time. */
  take(): Snapshot[] {
    const taken = this.ledger.shards
      .filter((shard) => shard.height > 0)
      .map((shard) => this.ledger.snapshot(shard.index));
    for (const snapshot of taken) this.keep(snapshot);
    return taken;
  }

  /** In no particular order. */
  list(shard: number): SnapshotView[] {
    return [...(this.#kept[shard - 1]?.values() ?? [])];
  }

  get(shard: number, height: number): SnapshotView | undefined {
    return this.#kept[shard - 1]?.get(height);
  }

  /** Those of one shard, or all; the next block takes a new one. */
  lose(shard?: number): void {
    this.#late.splice(0);
    this.#kept.forEach((kept, at) => {
      if (shard === undefined || at === shard - 1) kept.clear();
    });
  }

  /** What a start does: the old ones are gone, and of what is there one is taken at once. */
  restarted(): void {
    this.lose();
    for (const base of this.#bases) this.keep(base);
    if (this.#bases.length === 0) this.take();
  }

  stop(): void {
    this.#stop();
  }
}
