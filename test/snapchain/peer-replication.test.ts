/** ReplicationService as observed, asked of the emulated node: pages, roots, tokens, and every error in its own words. */
import { encode, Fields } from '../peers/snapchain/bytes';
import * as bodies from '../peers/snapchain/bodies';
import { startSnapchainNode, type LedgerNode, type SnapchainNodeOptions } from '../peers/snapchain/ledger-node';
import { accountKey, accountRoot, homeShardOf, loadHashing, rootOver, virtualShardOf } from '../peers/snapchain/trie';
import { countsOf } from '../peers/snapchain/truth';
import { fill, World } from '../peers/snapchain/world';
import { rawClient, type RawClient } from './raw-client';

const pages = 'ReplicationService/GetShardTransactions';
const lists = 'ReplicationService/GetShardSnapshotMetadata';

let node: LedgerNode;
let client: RawClient;
let world: World;

async function start(options: SnapchainNodeOptions = {}, fids = 12): Promise<void> {
  await loadHashing();
  node = await startSnapchainNode(options);
  client = rawClient(node.address);
  world = new World({ seed: 7, fids });
}

afterEach(async () => {
  client.close();
  await node.stop();
});

const pageRequest = (shard: number, height: number, virtualShard: number, token = ''): Buffer =>
  encode((out) => out.uint(1, shard).uint(2, height).uint(3, virtualShard).bytes(4, token));

interface Scanned {
  readonly keys: string[];
  readonly fids: Map<string, { root: Buffer; count: number }>;
  readonly pageSizes: number[];
}

async function scan(shard: number, height: number, virtualShard: number): Promise<Scanned> {
  const scanned: Scanned = { keys: [], fids: new Map(), pageSizes: [] };
  for (let token: string | undefined = ''; token !== undefined;) {
    const page: Fields = new Fields(await client.call(pages, pageRequest(shard, height, virtualShard, token)));
    const entries = page.every(1).map((entry) => new Fields(entry));
    scanned.keys.push(...entries.map((entry) => entry.bytes(1).toString('latin1')));
    scanned.pageSizes.push(entries.length);
    for (const root of page.every(2).map((each) => new Fields(each))) {
      scanned.fids.set(accountKey(root.uint(1)), { root: root.bytes(2), count: root.uint(3) });
    }
    token = page.has(3) ? page.text(3) : undefined;
  }
  return scanned;
}

async function newest(shard: number): Promise<Fields> {
  const list = new Fields(
    await client.call(
      lists,
      encode((out) => out.uint(1, shard)),
    ),
  )
    .every(1)
    .map((each) => new Fields(each));
  return list.reduce((best, each) => (each.uint(2) > best.uint(2) ? each : best));
}

const failure = async (answer: Promise<unknown>): Promise<{ code: number; details: string }> => {
  try {
    await answer;
  } catch (error) {
    const { code, details } = error as { code: number; details: string };
    return { code, details };
  }
  throw new Error('the call was answered');
};

describe('a snapshot', () => {
  it('is complete: keys ascend, counts add up, and every root up to the header comes out', async () => {
    await start({ pageSize: 100, snapshots: { intervalBlocks: 5 } });
    fill(node.ledger, world, { messages: 3000, messagesPerBlock: 800 });
    let messages = 0;
    for (const shard of [1, 2]) {
      const entry = await newest(shard);
      const roots = new Map<string, Buffer>();
      let keys = 0;
      for (let virtualShard = 0; virtualShard < 256; virtualShard += 1) {
        const scanned = await scan(shard, entry.uint(2), virtualShard);
        expect(scanned.keys).toEqual([...scanned.keys].sort());
        for (const [account, { root, count }] of scanned.fids) {
          const own = scanned.keys.filter((key) => key.startsWith(account));
          expect([own.length, accountRoot(own)]).toEqual([count, root]);
          roots.set(account, root);
        }
        keys += scanned.keys.length;
        messages += scanned.keys.filter((key) => key.length === 26 && key.charCodeAt(5) > 7).length;
      }
      expect(keys).toBe(entry.uint(7));
      const header = new Fields(new Fields(entry.bytes(5)).bytes(1));
      expect(header.bytes(4)).toEqual(rootOver([...roots.keys()].sort(), roots));
    }
    const { byType, messages: live } = countsOf(node.ledger);
    // A loan stands twice in each of the two shards.
    expect(messages).toBe(live + 3 * (byType['LEND_STORAGE'] ?? 0));
  });

  it('gives a full last page a token, and then an empty page without one', async () => {
    await start({ pageSize: 4 }, 1);
    const fid = 1001;
    const [shard, virtualShard] = [homeShardOf(fid, 2), virtualShardOf(fid)];
    node.ledger.applyBlock(world.register(fid, 1)); // three on-chain events and a name
    node.shelf.take();
    expect((await scan(shard, 1, virtualShard)).pageSizes).toEqual([4, 0]);
    expect(await client.call(pages, pageRequest(shard, 1, virtualShard ^ 1))).toHaveLength(0);
  });

  it('under a late label holds what came after its height, never less', async () => {
    await start({ snapshots: { intervalBlocks: 4, lateBlocks: 2 } });
    fill(node.ledger, world, { messages: 900, messagesPerBlock: 300 }); // block 4 is the last
    expect(node.shelf.list(1).map(({ height }) => height)).toEqual([1]);
    const before = node.ledger.shard(1)?.root();
    node.ledger.applyBlock(world.messages(200, 200_000_000));
    node.ledger.applyBlock([]);
    const late = await newest(1);
    expect(late.uint(2)).toBe(4);
    expect(new Fields(new Fields(late.bytes(5)).bytes(1)).bytes(4)).toEqual(before);
    expect(node.ledger.shard(1)?.root()).not.toEqual(before);
    expect(node.shelf.get(1, 4)).toMatchObject({ leafCount: node.ledger.snapshot(1).leafCount });
  });

  it('is lost by age and by a restart, which takes a new one at once', async () => {
    await start({ snapshots: { intervalBlocks: 3, ageBlocksMax: 5 } });
    fill(node.ledger, world, { messages: 70, messagesPerBlock: 10 }); // 8 blocks
    expect(
      node.shelf
        .list(1)
        .map(({ height }) => height)
        .sort(),
    ).toEqual([3, 6]);
    node.restart();
    expect(node.shelf.list(1).map(({ height }) => height)).toEqual([8]);
  });
});

describe('ReplicationService says', () => {
  beforeEach(async () => {
    await start();
    fill(node.ledger, world, { messages: 10 });
  });

  it.each([
    [
      'an unknown height',
      pages,
      pageRequest(1, 999_999, 0),
      13,
      'Failed to get transactions: Store not found for shard 1 and height 999999: No stores found for the given height and shard',
    ],
    [
      'shard 0',
      pages,
      pageRequest(0, 0, 0),
      13,
      'Failed to get transactions: Store not found for shard 0 and height 0: No stores found for the given height and shard',
    ],
    [
      'an unknown shard',
      lists,
      encode((out) => out.uint(1, 9)),
      13,
      'Failed to get snapshot metadata: Shard store not found for shard 9',
    ],
    ['a virtual shard beyond 255', pages, pageRequest(1, 1, 256), 3, 'trie_virtual_shard 256 is out of range'],
    [
      'a token with % in it',
      pages,
      pageRequest(1, 1, accountKey(1001).charCodeAt(0), '%%%'),
      13,
      'Failed to get transactions: Internal error: Trie error: Failed to decode trie page token: Invalid symbol 37, offset 0.',
    ],
    [
      'a token that is too short',
      pages,
      pageRequest(1, 1, accountKey(1001).charCodeAt(0), 'AAAA'),
      13,
      'Failed to get transactions: Internal error: Trie error: Failed to decode trie page token: Unexpected EOF reading length',
    ],
  ])('of %s what a real node says', async (_, method, request, code, details) => {
    expect(await failure(client.call(method, request))).toEqual({ code, details });
  });

  it('of shard 0 only where its blocks begin', async () => {
    expect(await client.call(lists)).toEqual(Buffer.from([0x0a, 0]));
  });

  it('nothing at all, if it is not there', async () => {
    const older = await startSnapchainNode({ withoutReplication: true });
    const other = rawClient(older.address);
    expect(
      await failure(
        other.call(
          lists,
          encode((out) => out.uint(1, 1)),
        ),
      ),
    ).toEqual({ code: 12, details: expect.any(String) });
    other.close();
    await older.stop();
  });
});

describe('what is fanned out', () => {
  it('stands in every shard: names once, loans under both fids, and a key spoils its page for good', async () => {
    await start();
    const [lender, borrower] = [1001, 1002];
    node.ledger.applyBlock([1001, 1002].flatMap((fid) => world.register(fid, 1)));
    const loan = world.sign(lender, bodies.lendStorage(borrower, 1), 10);
    node.ledger.applyBlock([{ kind: 'message', message: loan }]);
    node.shelf.take();
    for (const shard of [1, 2]) {
      for (const fid of [lender, borrower]) {
        const { keys } = await scan(shard, 2, virtualShardOf(fid));
        const own = keys.filter((key) => key.startsWith(accountKey(fid)));
        expect(own.filter((key) => key.endsWith(loan.hash))).toHaveLength(1);
        expect(own.filter((key) => key.charCodeAt(5) === 7)).toHaveLength(1);
      }
    }
    node.ledger.applyBlock([
      { kind: 'message', message: world.sign(1001, bodies.keyAdd(Buffer.alloc(32, 5), 1, [1], 60), 11) },
    ]);
    node.shelf.take();
    for (const shard of [1, 2]) {
      const details = 'Failed to get transactions: Invalid message: Invalid message type for FID 1001: KeyAdd';
      expect(await failure(scan(shard, 3, virtualShardOf(1001)))).toEqual({ code: 13, details });
    }
    const signers = new Fields(
      await client.call(
        'HubService/GetSignersByFid',
        encode((out) => out.uint(1, 1001)),
      ),
    );
    expect(signers.every(1).map((each) => new Fields(each).uint(1))).toEqual([1, 2]);
  });

  it('an fname on a page has its proof and nothing else', async () => {
    await start();
    node.ledger.applyBlock(world.register(1001, 1));
    node.shelf.take();
    const page = new Fields(await client.call(pages, pageRequest(1, 1, virtualShardOf(1001))));
    const transfer =
      page
        .every(1)
        .map((each) => new Fields(each))
        .find((each) => each.has(4))
        ?.bytes(4) ?? Buffer.alloc(0);
    expect(new Fields(transfer).all.map(({ field }) => field)).toEqual([4]);
  });
});
