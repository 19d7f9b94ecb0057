/**
 * One stretch of a shard's log: events by their ids, block by block, into the tables.
 *
 * What must hold: the cursor passes an event only when what it says is committed; blocks come one after the other, each with
 * as many events as it says. Where the log has a hole, that is kept in the cursor until a scan makes it good.
 */
import { reasonOf, RecordRefused } from '../shared/failures';
import { runLeg, type Leg } from '../shared/leg';
import type { LegResult } from '../shared/contract';
import type { SnapchainDeps } from './activities';
import type { TailCursor, TailInput } from './contract';
import type { Batch, Destination } from './destination';
import { decodeEvent, firstEventOf, heightOfEvent, sequenceOfEvent, type EventHead } from './event';
import { keysChangedIn } from './gasless-keys';
import type { SignatureChecks } from './hashing';
import { tellCommitted, tellEnds } from './meter';
import {
  checksOf,
  nonZero,
  quarantineRow,
  refusedByNode,
  rowOptions,
  wantedFids,
  wantsKeys,
  type Aside,
} from './records';
import { RowMaker } from './rows';
import type { Doorbell, SnapchainNode } from './source';
import { homeShardOf } from './trie-key';

const blocksAtOnce = 1000;
const tellEveryMs = 30_000;

export async function tailEvents(deps: SnapchainDeps, input: TailInput): Promise<LegResult<TailCursor>> {
  return await runLeg<TailCursor>(input, async (leg) => {
    const { node, destination, numShards } = await deps.ready(leg.signal);
    const { settings } = input;
    if (settings.shard === 0) return await followBlocks({ node, destination, leg, settings });
    const doorbell = node.doorbell(settings.shard);
    try {
      const tail = new Tail({ node, destination, numShards, leg, settings, doorbell });
      return await tail.run();
    } catch (error) {
      throw refusedByNode(error);
    } finally {
      doorbell.close();
    }
  });
}

interface Context {
  readonly node: SnapchainNode;
  readonly destination: Destination;
  readonly numShards: number;
  readonly leg: Leg<TailCursor>;
  readonly settings: TailInput['settings'];
  readonly doorbell: Doorbell;
}

interface Work {
  readonly batch: Batch;
  readonly rows: RowMaker;
  /** Blocks that count more events than the log has: of key messages, which have no place in it, or there is more to it. */
  readonly short: { readonly height: number; readonly missing: number }[];
  cursor: TailCursor;
  messages: number;
  quarantined: number;
  blocks: number;
}

class Tail {
  private readonly fids: ReadonlySet<number> | null;
  private readonly checks: SignatureChecks;
  private note: string | null = null;
  private toldAt = -Infinity;

  constructor(private readonly context: Context) {
    this.fids = wantedFids(context.settings);
    this.checks = checksOf(context.settings);
  }

  /** Drained at the log's end, if nobody wants to follow it. */
  async run(): Promise<{ drained: boolean; note?: string }> {
    const { leg, settings, node, doorbell } = this.context;
    let cursor = leg.cursor ?? (await this.begin());
    while (leg.hasTime()) {
      await this.tellEnds();
      const page = await node.events({ shardIndex: settings.shard, startId: cursor.nextId }, leg.signal);
      if (page.node !== cursor.node && cursor.node !== '' && sequenceOfEvent(cursor.nextId) !== 0) {
        // Ids are every node's, but what one has of a block the other may not have yet: the block again, from its start.
        cursor = { ...cursor, node: page.node, nextId: firstEventOf(heightOfEvent(cursor.nextId)), seen: 0, total: 0 };
        continue;
      }
      cursor = { ...cursor, node: page.node };
      if (page.events.length === 0) {
        if (!settings.live) return { drained: true, ...this.said(cursor) };
        await this.wait(doorbell, cursor.block);
        continue;
      }
      cursor = await this.apply(page.events, cursor);
      // Soon told: it is a scan's work.
      if (cursor.gap !== null) break;
    }
    return { drained: false, ...this.said(cursor) };
  }

  private async tellEnds(): Promise<void> {
    const { node, destination, leg } = this.context;
    if (performance.now() - this.toldAt < tellEveryMs) return;
    this.toldAt = performance.now();
    await tellEnds(node, destination, leg.signal);
  }

  /** Where a tail begins that nobody has told: at the newest snapshot, so that a scan that comes later meets it. */
  private async begin(): Promise<TailCursor> {
    const { node, settings, leg } = this.context;
    const nextId = settings.startId ?? firstEventOf((await node.newestSnapshot(settings.shard, leg.signal)).height);
    return { nextId, node: '', block: -1, timestamp: 0, seen: 0, total: 0, gap: null };
  }

  /** Until there may be more. Says that it lives: a quiet shard is not a dead worker. */
  private async wait(doorbell: Doorbell, block: number): Promise<void> {
    const { leg, settings } = this.context;
    const until = performance.now() + settings.pollMs;
    while (performance.now() < until && leg.hasTime()) {
      leg.alive();
      if (await doorbell.rings(block, Math.min(1000, until - performance.now()), leg.signal)) return;
    }
  }

  private async apply(events: readonly EventHead[], from: TailCursor): Promise<TailCursor> {
    const { destination, leg, settings } = this.context;
    const batch = destination.batch();
    const work: Work = {
      batch,
      rows: new RowMaker(batch, rowOptions(settings)),
      short: [],
      cursor: from,
      messages: 0,
      quarantined: 0,
      blocks: 0,
    };
    for (const head of events) this.event(head, work);
    for (const block of work.short) await this.keysOf(block, work);
    const { cursor, messages, quarantined, blocks } = work;
    const line = {
      shard: settings.shard,
      part: 'live',
      height: Math.max(0, cursor.block),
      messages,
      status: cursor.gap === null ? 'following' : `blocks ${cursor.gap.from} to ${cursor.gap.to - 1} are missing`,
    } as const;
    batch.progress(line);
    await destination.write(batch, leg.signal);
    tellCommitted(line, { quarantined, timestamp: cursor.timestamp });
    const counts = { messages, quarantined, blocks, events: events.length };
    leg.kept(cursor, nonZero(counts));
    return cursor;
  }

  private event(head: EventHead, work: Work): void {
    const next = { ...work.cursor, nextId: head.id + 1 };
    try {
      const event = decodeEvent(head);
      if (event.kind === 'blockConfirmed') {
        work.blocks += 1;
        work.cursor = { ...this.nextBlock(head, work), nextId: head.id + 1, total: event.totalEvents };
        return;
      }
      work.cursor = { ...next, seen: work.cursor.seen + 1 };
      if ('message' in event && event.message !== null && !this.checks.passes(event.message))
        throw new RecordRefused(
          `event ${head.id}: message ${event.message.hash.toString('hex')} is not signed by its signer`,
        );
      const before = work.batch.rows;
      work.rows.event(event, head.id, this.isOwn);
      if (work.batch.rows > before) work.messages += 1;
    } catch (error) {
      this.aside(error, work, { place: `event:${head.id}`, ver: head.id, raw: head.body });
      work.cursor = { ...next, seen: work.cursor.seen + 1 };
    }
  }

  private readonly isOwn = (fid: number): boolean =>
    homeShardOf(fid, this.context.numShards) === this.context.settings.shard && (this.fids?.has(fid) ?? true);

  /** Whose keys a block has changed: their lists are committed with it. */
  private async keysOf({ height, missing }: Work['short'][number], work: Work): Promise<void> {
    const { node, leg, settings } = this.context;
    const short = `block ${height}: the log lacks ${missing} of the events that it counts`;
    if (!wantsKeys(settings)) return void (this.note = `${short}: of keys, perhaps, which are not wanted`);
    leg.alive();
    try {
      const changed = await keysChangedIn(node, { shard: settings.shard, height, isOwn: this.isOwn }, leg.signal);
      for (const { fid, keys, ver } of changed?.lists ?? []) work.rows.gaslessKeys(fid, keys, ver);
      if (changed === null) this.note = `${short}: of keys, perhaps, and the node does not give them`;
      else if (changed.messages < missing)
        this.note = `${short}, key messages: ${changed.messages}. See verify --repair`;
    } catch (error) {
      this.aside(error, work, { place: `block:${height}`, ver: firstEventOf(height), raw: null });
    }
  }

  /** What could not be read is kept with its reason. Throws what is no record's trouble. */
  private aside(error: unknown, work: Work, what: Pick<Aside, 'place' | 'ver' | 'raw'>): void {
    if (!(error instanceof RecordRefused)) throw error;
    work.quarantined += 1;
    const { shard } = this.context.settings;
    work.batch.add('quarantine', quarantineRow({ ...what, shard, fid: null, reason: reasonOf(error) }));
  }

  /** The block before is complete, and this one comes after it; else there is a hole. */
  private nextBlock(head: EventHead, { cursor, short }: Work): TailCursor {
    const block = heightOfEvent(head.id);
    // The first block of all has the number 1.
    const expected = cursor.block === -1 ? Math.max(1, heightOfEvent(cursor.nextId)) : cursor.block + 1;
    const missing = cursor.total - cursor.seen;
    let { gap } = cursor;
    if (block > expected) gap = { from: gap?.from ?? expected, to: block };
    else if (cursor.block !== -1 && missing > 0) short.push({ height: cursor.block, missing });
    return { ...cursor, block, timestamp: head.timestamp, seen: 1, gap };
  }

  private said({ gap }: TailCursor): { note?: string } {
    if (gap !== null) return { note: `the node has blocks ${gap.from} to ${gap.to - 1} no more: a scan makes it good` };
    return this.note === null ? {} : { note: this.note };
  }
}

/** Shard 0: blocks' heights, times and hashes. */
async function followBlocks({
  node,
  destination,
  leg,
  settings,
}: Pick<Context, 'node' | 'destination' | 'leg' | 'settings'>): Promise<{ drained: boolean }> {
  let cursor: TailCursor = leg.cursor ?? {
    ...{ nextId: settings.startId ?? 0, node: '', block: -1, timestamp: 0, seen: 0, total: 0, gap: null },
  };
  while (leg.hasTime()) {
    const { shards } = await node.info(leg.signal);
    const height = shards.find(({ shardIndex }) => shardIndex === 0)?.maxHeight ?? 0;
    const stop = Math.min(height + 1, cursor.nextId + blocksAtOnce);
    const batch = destination.batch();
    let [blocks, last] = [0, cursor];
    for await (const block of node.blocks({ start: cursor.nextId, stop }, leg.signal)) {
      batch.add('blocks', [block.height, block.timestamp, block.hash]);
      last = { ...last, nextId: block.height + 1, block: block.height, timestamp: block.timestamp };
      blocks += 1;
    }
    batch.progress({ shard: 0, part: 'live', height: Math.max(0, last.block), messages: 0, status: 'following' });
    await destination.write(batch, leg.signal);
    cursor = last;
    leg.kept(cursor, blocks === 0 ? {} : { blocks });
    if (blocks > 0) continue;
    if (!settings.live) return { drained: true };
    const until = performance.now() + settings.pollMs;
    while (performance.now() < until && leg.hasTime()) {
      leg.alive();
      await new Promise((resolve) => setTimeout(resolve, Math.min(500, settings.pollMs)));
    }
  }
  return { drained: false };
}
