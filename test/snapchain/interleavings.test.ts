/**
 * Random histories of a network, read by scans and tails that interleave, lose their snapshots, come late and go back: the
 * tables end as the network's own state. WAYBILL_HISTORIES=3000 for a longer go, SEED=n to see a failure again.
 */
import { scanSettings, tailSettings, type ScanCursor, type TailCursor } from '../../activities/snapchain/contract';
import { firstEventOf } from '../../activities/snapchain/event';
import { Ledger } from '../peers/snapchain/ledger';
import { startSnapchainNode, type LedgerNode } from '../peers/snapchain/ledger-node';
import { randomOf } from '../peers/snapchain/random';
import { countsOf, gaslessKeysOf } from '../peers/snapchain/truth';
import { World } from '../peers/snapchain/world';
import { runActivity } from '../support/activity';
import {
  createTestDatabase,
  knownKeys,
  outcomeOf,
  snapchainParts,
  type SnapchainParts,
  type TestDatabase,
} from '../support/snapchain-case';

const histories = Number(process.env['WAYBILL_HISTORIES'] ?? 40);
const firstSeed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 30));

let database: TestDatabase;
let tableList = '';
beforeAll(async () => {
  database = await createTestDatabase();
  const parts = await snapchainParts(['127.0.0.1:1'], database.url);
  await parts.close();
  const { rows } = await database.client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'snapchain'::regnamespace AND relkind = 'r' AND relname <> 'migrations'`,
  );
  tableList = rows.map(({ name }) => `snapchain.${name}`).join(', ');
});
afterAll(() => database.drop());

interface ShardRun {
  readonly shard: number;
  readonly start: number;
  lanes: { lane: string; cursor: ScanCursor; drained: boolean }[] | null;
  tail: TailCursor | null;
}

class History {
  private readonly random: () => number;
  private readonly ledger: Ledger;
  private readonly world: World;
  private runs: ShardRun[] = [];

  constructor(
    private readonly node: LedgerNode,
    private readonly parts: SnapchainParts,
    seed: number,
    keysPerMille: number,
  ) {
    this.random = randomOf(seed);
    this.ledger = node.ledger;
    this.world = new World({ seed, fids: 2 + this.below(6), units: 1, unsigned: true, keysPerMille });
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  async run(): Promise<void> {
    for (const block of this.world.genesis(this.ledger)) this.ledger.applyBlock(block);
    this.blocks(1 + this.below(8));
    this.node.shelf.take();
    for (const { index: shard } of this.ledger.shards) {
      const start = Math.max(...this.node.shelf.list(shard).map(({ height }) => height));
      this.runs.push({ shard, start, lanes: null, tail: null });
    }
    const steps = 10 + this.below(30);
    for (let step = 0; step < steps; step += 1) await this.step();
    this.blocks(2);
    // That a block was the last of its keys' is told by the next one.
    this.ledger.applyBlock([]);
    this.node.shelf.take();
    for (const run of this.runs) {
      await this.scanToEnd(run);
      for (let drained = false; !drained;) drained = await this.tail(run);
    }
    for (const run of this.runs) await this.conclude(run);
  }

  private blocks(count: number): void {
    for (let made = 0; made < count; made += 1) {
      const timestamp = this.ledger.timestampAt((this.ledger.shards[0]?.height ?? 0) + 1);
      this.ledger.applyBlock(this.world.messages(this.below(12), timestamp));
    }
  }

  private async step(): Promise<void> {
    const run = this.runs[this.below(this.runs.length)] as ShardRun;
    switch (this.below(10)) {
      case 0:
      case 1:
      case 2:
        return this.blocks(1 + this.below(3));
      case 3:
      case 4:
      case 5:
        return await this.scan(run);
      case 6:
      case 7:
        await this.tail(run);
        return;
      case 8:
        // The same events once more, from anywhere since the beginning.
        if (run.tail !== null) {
          const height = run.start + this.below(Math.max(1, run.tail.block - run.start));
          run.tail = { ...run.tail, nextId: firstEventOf(height), block: -1, seen: 0, total: 0 };
        }
        return;
      default:
        this.node.shelf.lose();
        this.blocks(1);
        this.node.shelf.take();
    }
  }

  private async scan(run: ShardRun): Promise<void> {
    const settings = scanSettings.parse({
      signatureSample: 0,
      shard: run.shard,
      minHeight: run.start,
      fids: this.world.fids,
      batchSize: 1 + this.below(40),
    });
    if (run.lanes === null) {
      const opened = await runActivity(this.parts.activities.openScan, settings);
      run.lanes = opened.stretches.map((each) => ({ ...each, drained: false }));
    }
    const open = run.lanes.filter(({ drained }) => !drained);
    const lane = open[this.below(open.length)];
    if (lane === undefined) {
      // Once more, from the beginning: what is there already must not mind.
      if (this.below(3) === 0) run.lanes = null;
      return;
    }
    const leg = { lane: lane.lane, cursor: lane.cursor, settings, retry: [], budgetMs: 1000 };
    Object.assign(lane, await runActivity(this.parts.activities.scanVirtualShards, leg));
  }

  private async scanToEnd(run: ShardRun): Promise<void> {
    while (run.lanes === null || run.lanes.some(({ drained }) => !drained)) await this.scan(run);
  }

  /** A borrower of storage who was read by calls proves once the lender, of whatever shard, is in the tables. */
  private async conclude({ shard, lanes }: ShardRun): Promise<void> {
    const cursors = (lanes ?? []).map(({ cursor }) => cursor);
    const input = { shard, isWhole: false, lanes: cursors };
    expect((await runActivity(this.parts.activities.concludeScan, input)).unproved).toEqual([]);
  }

  private async tail(run: ShardRun): Promise<boolean> {
    const settings = tailSettings.parse({
      signatureSample: 0,
      shard: run.shard,
      startId: firstEventOf(run.start),
      live: false,
      fids: this.world.fids,
    });
    const leg = { lane: 'tail', cursor: run.tail, settings, retry: [], budgetMs: 1000 };
    const result = await runActivity(this.parts.activities.tailEvents, leg);
    run.tail = result.cursor;
    expect(run.tail.gap).toBeNull();
    return result.drained;
  }
}

it(`${histories} random histories end as the network's own state (SEED=${firstSeed})`, async () => {
  for (let at = 0; at < histories; at += 1) {
    const seed = firstSeed + at;
    const random = randomOf(seed + 1);
    const ledger = new Ledger({
      shards: 1 + Math.floor(random() * 3),
      limitPerUnit: new Map(['c', 'r', 'l', 'u', 'v'].map((store) => [store, 3 + Math.floor(random() * 12)])),
      engine: random() < 0.3 ? 13 : 20,
    });
    const node = await startSnapchainNode({
      ledger,
      pageSize: 2 + Math.floor(random() * 20),
      snapshots: {
        intervalBlocks: 2 + Math.floor(random() * 8),
        lateBlocks: random() < 0.4 ? 1 + Math.floor(random() * 2) : 0,
      },
    });
    const parts = await snapchainParts([node.address], database.url);
    try {
      await database.client.query(`TRUNCATE ${tableList}`);
      await new History(node, parts, seed, random() < 0.3 ? 50 : 0).run();
      expect({ seed, ...(await outcomeOf(database.client)), keys: await knownKeys(database.client) }).toEqual({
        seed,
        ...countsOf(ledger, { keyMessages: false }),
        keys: gaslessKeysOf(ledger),
      });
    } finally {
      await parts.close();
      await node.stop();
    }
  }
}, 3_600_000);
