/** ReplicationService: snapshot lists and trie pages, in a node's own words when there is nothing to give. */
import { encode, type Fields } from './bytes';
import { spoilPage, type Fault, type PageFault } from './faults';
import { CallError, codes, encodePage, shuffled, type SnapshotView } from './snapshot';

export interface ReplicationSource {
  list(shard: number): readonly SnapshotView[];
  get(shard: number, height: number): SnapshotView | undefined;
}

export interface ReplicationOptions {
  /** 1,000 on every node. */
  readonly pageSize: number;
  /** Where shard 0's blocks are to be read from; 0 on a devnet. */
  readonly firstBlock: number;
  /** Bytes of encoded pages that are kept. */
  readonly pageCacheBytesMax?: number;
}

const pageCacheBytesMax = 64 * 1024 * 1024; // a few hundred full pages: what retries and a second reader ask for again

/** Encoded pages of snapshots that are still alive, the oldest dropped first. */
class PageCache {
  readonly #pages = new Map<string, Buffer>();
  readonly #numbers = new WeakMap<SnapshotView, number>();
  #bytes = 0;
  #numbered = 0;

  constructor(readonly bytesMax: number) {}

  keyOf(view: SnapshotView, virtualShard: number, token: string): string {
    let number = this.#numbers.get(view);
    if (number === undefined) this.#numbers.set(view, (number = ++this.#numbered));
    return `${number} ${virtualShard} ${token}`;
  }

  get(key: string): Buffer | undefined {
    return this.#pages.get(key);
  }

  set(key: string, page: Buffer): void {
    this.#pages.set(key, page);
    this.#bytes += page.length;
    for (const [oldest, bytes] of this.#pages) {
      if (this.#bytes <= this.bytesMax) return;
      this.#pages.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }
}

const pageFaults = new Set<string>([
  'corruptHash',
  'corruptSignature',
  'corruptData',
  'corruptRoot',
  'wrongCount',
  'dropEntry',
  'dropAccount',
  'duplicateEntry',
  'foreignEntry',
] satisfies PageFault[]);
const isPageFault = (fault: Fault): fault is { kind: PageFault } => pageFaults.has(fault.kind);

export function replicationCalls(
  source: ReplicationSource,
  options: ReplicationOptions,
): Map<string, (request: Fields, faults: readonly Fault[]) => Buffer> {
  const cache = new PageCache(options.pageCacheBytesMax ?? pageCacheBytesMax);

  const metadata = (request: Fields): Buffer => {
    const shard = request.uint(1);
    if (shard === 0)
      return encode((out) =>
        out.nested(
          1,
          encode((stub) => stub.uint(2, options.firstBlock)),
        ),
      );
    const list = source.list(shard);
    if (list.length === 0) {
      throw new CallError(codes.internal, `Failed to get snapshot metadata: Shard store not found for shard ${shard}`);
    }
    return encode((out) => {
      for (const { metadata: entry } of shuffled(list)) out.nested(1, entry);
    });
  };

  const transactions = (request: Fields, faults: readonly Fault[]): Buffer => {
    const [shard, height, virtualShard] = [request.uint(1), request.uint(2), request.uint(3)];
    if (virtualShard > 255) {
      throw new CallError(codes.invalidArgument, `trie_virtual_shard ${virtualShard} is out of range`);
    }
    const view = source.get(shard, height);
    if (!view) {
      const why = 'No stores found for the given height and shard';
      throw new CallError(
        codes.internal,
        `Failed to get transactions: Store not found for shard ${shard} and height ${height}: ${why}`,
      );
    }
    const token = request.text(4);
    const spoilt = faults.filter(isPageFault);
    const key = cache.keyOf(view, virtualShard, token);
    const known = spoilt.length === 0 ? cache.get(key) : undefined;
    if (known) return known;
    const page = view.page(virtualShard, token, options.pageSize);
    if (Buffer.isBuffer(page)) return page;
    const bytes = encodePage(spoilt.reduce((each, fault) => spoilPage(each, fault.kind), page));
    if (spoilt.length === 0) cache.set(key, bytes);
    return bytes;
  };

  return new Map([
    ['ReplicationService/GetShardSnapshotMetadata', metadata],
    ['ReplicationService/GetShardTransactions', transactions],
  ]);
}
