/** A small emulated network and the tables of a worker beside it, leg by leg: the stage of tests of what a node may do. */
import {
  verifySettings,
  type ScanCursor,
  type ScanVerdict,
  type VerifyVerdict,
} from '../../activities/snapchain/contract';
import { Ledger } from '../peers/snapchain/ledger';
import { startSnapchainNode, type LedgerNode, type SnapchainNodeOptions } from '../peers/snapchain/ledger-node';
import { loadHashing } from '../peers/snapchain/trie';
import { fill, World } from '../peers/snapchain/world';
import { runActivity } from './activity';
import {
  createTestDatabase,
  scanShard,
  snapchainParts,
  type SnapchainParts,
  type TestDatabase,
} from './snapchain-case';

export const shards = [1, 2];
export let node: LedgerNode;
export let world: World;
export let database: TestDatabase;
export let parts: SnapchainParts;

/** Call once a test file. */
export function useNetworkCase(): void {
  beforeAll(loadHashing);
  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(async () => {
    await parts.close();
    await node.stop();
    await database.drop();
  });
}

/** A network of twenty people, and what a worker beside it has. */
export async function setUp(options: Partial<SnapchainNodeOptions> & { keysPerMille?: number } = {}): Promise<void> {
  const { keysPerMille = 0, ...rest } = options;
  const ledger = new Ledger({ shards: 2 });
  world = new World({ seed: 11, fids: 20, keysPerMille });
  fill(ledger, world, { messages: 1500, messagesPerBlock: 300 });
  node = await startSnapchainNode({ ledger, pageSize: 50, ...rest });
  parts = await snapchainParts([node.address], database.url);
}

/** So many blocks of new messages. */
export const more = (blocks: number): void => {
  for (let made = 0; made < blocks; made += 1) {
    const timestamp = node.ledger.timestampAt((node.ledger.shards[0]?.height ?? 0) + 1);
    node.ledger.applyBlock(world.messages(20, timestamp));
  }
};

export async function scanAll(): Promise<{
  cursors: ScanCursor[];
  verdicts: Pick<ScanVerdict, 'shardRoot' | 'unproved'>[];
}> {
  const cursors: ScanCursor[] = [];
  const verdicts = [];
  for (const shard of shards) {
    const lanes = await scanShard(parts.activities, shard);
    cursors.push(...lanes);
    verdicts.push(await runActivity(parts.activities.concludeScan, { shard, isWhole: true, lanes }));
  }
  return { cursors, verdicts };
}

export const quarantine = async (): Promise<{ place: string; fid: number | null; reason: string }[]> =>
  (
    await database.client.query<{ place: string; fid: number | null; reason: string }>(
      'SELECT place, fid::int, reason FROM snapchain.quarantine ORDER BY place',
    )
  ).rows;

export async function verify(more: object = {}): Promise<VerifyVerdict[]> {
  const settings = verifySettings.parse({ settleSeconds: 0, signatureSample: 1, ...more });
  const verdicts: VerifyVerdict[] = [];
  for (const shard of shards) {
    const leg = { lane: `shard ${shard}`, cursor: null, settings, retry: [], budgetMs: 60_000 };
    verdicts.push((await runActivity(parts.activities.verifyAccounts, leg)).cursor.verdict);
  }
  return verdicts;
}

/** For another client than the one that setUp made. */
export async function replaceParts(endpoints: readonly string[]): Promise<void> {
  await parts.close();
  parts = await snapchainParts(endpoints, database.url);
}
