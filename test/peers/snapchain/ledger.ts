/**
 * The emulated chain: every data shard with its snapshots, and the way an operation takes to the shards it concerns. A
 * node serves it; several nodes may serve the same one, since ids and heights are the chain's, not a node's.
 */
import { EventEmitter } from 'node:events';
import { chunkBytes } from './blocks';
import { encodeEvent, type LedgerEvent } from './events';
import { isMergedByShardZero, messageTypes } from './messages';
import { ShardState, type LedgerRules, type Operation } from './shard';
import { Snapshot } from './snapshot';
import { homeShardOf } from './trie';

/** What one storage unit of 2025 holds. */
export const limits2025: ReadonlyMap<string, number> = new Map([
  ['c', 100],
  ['r', 200],
  ['l', 200],
  ['u', 25],
  ['v', 5],
]);

export interface LedgerOptions extends Partial<LedgerRules> {
  readonly shards?: number;
  /** The first block's time, in seconds of the network's clock. */
  readonly startTimestamp?: number;
  readonly blocksPerSecond?: number;
}

/** Told of every block: its events as they go out live, those without an id included. */
export type BlockListener = (shard: number, events: readonly LedgerEvent[], timestamp: number) => void;

export class Ledger {
  readonly shards: readonly ShardState[];
  readonly startTimestamp: number;
  readonly blocksPerSecond: number;
  readonly #told = new EventEmitter().setMaxListeners(0);
  #chunkRoots = new Map<string, Buffer>();

  constructor(options: LedgerOptions = {}) {
    const { shards = 2, startTimestamp = 185_773_372, blocksPerSecond = 1 } = options;
    const rules: LedgerRules = {
      engine: options.engine ?? 20,
      limitPerUnit: options.limitPerUnit ?? new Map(),
      revokesUsernameOnTransfer: options.revokesUsernameOnTransfer ?? false,
      tellsFailures: options.tellsFailures ?? false,
    };
    this.shards = Array.from({ length: shards }, (_, at) => new ShardState(at + 1, shards, rules));
    this.startTimestamp = startTimestamp;
    this.blocksPerSecond = blocksPerSecond;
  }

  shard(index: number): ShardState | undefined {
    return this.shards[index - 1];
  }

  home(fid: number): ShardState {
    return this.shards[homeShardOf(fid, this.shards.length) - 1] as ShardState;
  }

  /** One block in every shard. */
  applyBlock(operations: readonly Operation[]): void {
    for (const shard of this.shards) this.applyBlockTo(shard.index, operations);
  }

  /** One block in one shard, of those operations that concern it: heights of shards may differ. */
  applyBlockTo(index: number, operations: readonly Operation[]): void {
    const shard = this.shards[index - 1];
    if (!shard) throw new Error(`apply a block to shard ${index}: there are ${this.shards.length}`);
    const timestamp = this.timestampAt(shard.height + 1);
    const events = shard.apply(
      operations.filter((operation) => this.#concerns(operation, shard)),
      timestamp,
    );
    this.#told.emit('block', index, events, timestamp);
  }

  #concerns(operation: Operation, shard: ShardState): boolean {
    const everywhere =
      operation.kind === 'fname' ||
      (operation.kind === 'message' && this.#isFannedOut(operation.message.type, shard.rules.engine));
    if (everywhere) return true;
    const fid =
      operation.kind === 'message'
        ? operation.message.fid
        : operation.kind === 'onChain'
          ? operation.record.fid
          : operation.fid;
    return homeShardOf(fid, this.shards.length) === shard.index;
  }

  #isFannedOut(type: number, engine: number): boolean {
    if (type === messageTypes.verificationAdd || type === messageTypes.verificationRemove) return engine >= 21;
    return isMergedByShardZero(type);
  }

  timestampAt(height: number): number {
    return this.startTimestamp + Math.floor(height / this.blocksPerSecond);
  }

  onBlock(listener: BlockListener): () => void {
    this.#told.on('block', listener);
    return () => this.#told.off('block', listener);
  }

  /** An event as it goes over the wire. Of one without an id the block is not known either. */
  encode(shard: number, event: LedgerEvent): Buffer {
    return encodeEvent(event, shard, event.id === 0 ? 0 : this.timestampAt(Math.floor(event.id / 16_384)));
  }

  /** The state of a shard now. `label`: the height to give it, if the view was opened late. */
  snapshot(index: number, label?: { readonly height: number; readonly root: Buffer }): Snapshot {
    const shard = this.shards[index - 1];
    if (!shard) throw new Error(`take a snapshot of shard ${index}: there are ${this.shards.length}`);
    const height = label?.height ?? shard.height;
    const root = label?.root ?? shard.root();
    this.#chunkRoots.set(`${index} ${height}`, root);
    const accounts = [...shard.accounts.values()].map((account) => account.freeze());
    return new Snapshot(index, height, this.timestampAt(height), this.chunk(index, height), accounts);
  }

  /** A block as it was proposed; its root where one was computed. */
  chunk(index: number, height: number): Buffer {
    const shard = this.shards[index - 1];
    const block = shard?.blocks[height - 1];
    if (!block) throw new Error(`read block ${height} of shard ${index}: it has ${shard?.height ?? 0}`);
    return chunkBytes(index, block, this.#chunkRoots.get(`${index} ${height}`) ?? Buffer.alloc(0));
  }
}
