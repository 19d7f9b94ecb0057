/** Events, subscriptions and calls by fid, asked of the emulated node: the order, the seams and the silences of real ones. */
import { encode, Fields } from '../peers/snapchain/bytes';
import * as bodies from '../peers/snapchain/bodies';
import { startSnapchainNode, type LedgerNode, type SnapchainNodeOptions } from '../peers/snapchain/ledger-node';
import { homeShardOf, loadHashing } from '../peers/snapchain/trie';
import { fill, World } from '../peers/snapchain/world';
import { rawClient, type RawClient } from './raw-client';

const allTypes = [1, 2, 3, 6, 9, 10, 11, 12];

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

const failure = async (answer: Promise<unknown>): Promise<{ code: number; details: string }> => {
  try {
    await answer;
  } catch (error) {
    const { code, details } = error as { code: number; details: string };
    return { code, details };
  }
  throw new Error('the call was answered');
};

describe('GetEvents', () => {
  const ask = (
    start: number,
    more: (out: Parameters<Parameters<typeof encode>[0]>[0]) => unknown = () => undefined,
  ): Promise<Fields> =>
    client
      .call(
        'HubService/GetEvents',
        encode((out) => void more(out.uint(1, start).present(2, 1))),
      )
      .then((bytes) => new Fields(bytes));
  const ids = (page: Fields): number[] => page.every(1).map((each) => new Fields(each).uint(2));

  it("has a block's confirmation first, counts included, and consecutive ids after it", async () => {
    await start();
    fill(node.ledger, world, { messages: 300, messagesPerBlock: 100 });
    const events = (await ask(0, (out) => out.uint(4, 5000))).every(1).map((each) => new Fields(each));
    const heights = new Set(events.map((event) => Math.floor(event.uint(2) / 16_384)));
    expect([...heights]).toEqual([1, 2, 3, 4]);
    for (const height of heights) {
      const block = events.filter((event) => Math.floor(event.uint(2) / 16_384) === height);
      expect(block.map((event) => event.uint(2) % 16_384)).toEqual(block.map((_, at) => at));
      const [confirmed] = block as [Fields];
      expect(confirmed.uint(1)).toBe(11);
      const body = new Fields(confirmed.bytes(16));
      expect([body.uint(1), body.uint(2), body.uint(5)]).toEqual([height, 1, block.length]);
      const counted = new Map(body.every(6).map((each) => [new Fields(each).uint(1), new Fields(each).uint(2)]));
      for (const [type, count] of counted) expect(block.filter((event) => event.uint(1) === type)).toHaveLength(count);
    }
  });

  it('begins at start_id, ends before stop_id, and always has a token: [null] at the end, which begins anew', async () => {
    await start();
    fill(node.ledger, world, { messages: 50 });
    const first = 16_384;
    expect(ids(await ask(first, (out) => out.uint(3, first + 3)))).toEqual([first, first + 1, first + 2]);
    const page = await ask(0, (out) => out.uint(4, 5));
    const following = await ask(0, (out) => out.uint(4, 5).bytes(5, page.bytes(2)));
    expect(ids(following)[0]).toBe((ids(page).at(-1) ?? 0) + 1);
    const all = await ask(0);
    expect(all.text(2)).toBe('[null]');
    expect(ids(await ask(0, (out) => out.bytes(5, '[null]')))).toEqual(ids(all));
    expect(ids(await ask(1e9))).toEqual([]);
    expect(
      await failure(
        client.call(
          'HubService/GetEvent',
          encode((out) => out.uint(1, 5).uint(5, 1)),
        ),
      ),
    ).toEqual({
      code: 13,
      details: 'not_found/Event not found',
    });
  });

  it('begins later without a word, once retention has cut the log', async () => {
    await start();
    fill(node.ledger, world, { messages: 50, messagesPerBlock: 10 });
    node.ledger.shard(1)?.log.dropBefore(4 * 16_384);
    expect(ids(await ask(2 * 16_384))[0]).toBe(4 * 16_384);
  });
});

describe('Subscribe', () => {
  const follow = (shard: number, from?: number, types = allTypes) =>
    client.stream(
      'HubService/Subscribe',
      encode((out) => {
        out.packed(1, types);
        if (from !== undefined) out.present(2, from);
        out.present(4, shard);
      }),
    );
  const idsOf = (messages: Buffer[]): number[] => messages.map((each) => new Fields(each).uint(2));

  it('replays from an id that is included, then goes on live, and tells keys with id 0', async () => {
    await start();
    fill(node.ledger, world, { messages: 30 });
    const stream = follow(1, 16_384);
    const replayed = node.ledger.shard(1)?.log.length ?? 0;
    await stream.count(replayed);
    node.ledger.applyBlock([
      { kind: 'message', message: world.sign(1001, bodies.keyAdd(Buffer.alloc(32), 1, [1], 60), 11) },
    ]);
    const ids = idsOf(await stream.count(replayed + 2));
    expect(ids.slice(0, 2)).toEqual([16_384, 16_385]);
    expect(ids.slice(replayed)).toEqual([3 * 16_384, 0]);
    expect(node.ledger.shard(1)?.log.read(3 * 16_384, undefined, 9)).toHaveLength(1); // the key's event is not kept
    stream.close();
  });

  it('is silent when no type is named, and refuses shard 0', async () => {
    await start();
    fill(node.ledger, world, { messages: 30 });
    const silent = follow(1, 0, []);
    const spoken = follow(1, 0, [11]);
    await spoken.count(2);
    expect(silent.messages).toHaveLength(0);
    expect(await follow(0).ended).toEqual({ code: 2, details: 'invalid_internal_state/Invalid shard id' });
    silent.close();
    spoken.close();
  });

  it('loses events between replay and live, as many as told', async () => {
    await start({ seamLossEvents: 3 });
    node.ledger.applyBlock([]);
    const stream = follow(1, 0);
    await stream.count(1);
    for (let block = 0; block < 5; block += 1) node.ledger.applyBlock([]);
    expect(idsOf(await stream.count(3)).map((id) => id / 16_384)).toEqual([1, 5, 6]);
    expect(node.losses.seam).toBe(3);
    stream.close();
  });

  it('drops what a slow reader does not take, and says nothing', async () => {
    await start({ lagEventsMax: 100 });
    const stream = follow(1);
    await client.call('HubService/GetInfo'); // the subscription is older than this answer
    stream.pause();
    for (let block = 0; block < 40; block += 1) node.ledger.applyBlock(world.messages(400, 200_000_000 + block));
    stream.resume();
    const emitted = node.ledger.shard(1)?.log.length ?? 0;
    expect(node.losses.lagged).toBeGreaterThan(0);
    const received = await stream.count(emitted - node.losses.lagged);
    expect(received).toHaveLength(emitted - node.losses.lagged);
    const ids = idsOf(received);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    stream.close();
  });
});

describe('HubService', () => {
  it('knows its heights, fids, chunks and blocks; a stop is never included', async () => {
    await start();
    fill(node.ledger, world, { messages: 40, messagesPerBlock: 10 });
    const info = new Fields(await client.call('HubService/GetInfo'));
    expect([info.text(1), info.uint(8)]).toEqual(['0.14.2', 2]);
    expect(info.every(9).map((each) => [new Fields(each).uint(1), new Fields(each).uint(2)])).toEqual([
      [0, 5],
      [1, 5],
      [2, 5],
    ]);
    const fids = await Promise.all(
      [1, 2].map((shard) =>
        client.call(
          'HubService/GetFids',
          encode((out) => out.uint(4, shard)),
        ),
      ),
    );
    expect(fids.flatMap((bytes) => new Fields(bytes).uints(1)).sort()).toEqual(world.fids);
    const chunks = new Fields(
      await client.call(
        'HubService/GetShardChunks',
        encode((out) => out.uint(1, 1).uint(2, 2).present(3, 4)),
      ),
    );
    expect(chunks.every(1)).toHaveLength(2);
    const blocks = client.stream(
      'HubService/GetBlocks',
      encode((out) => out.uint(2, 1).present(3, 4)),
    );
    expect((await blocks.ended).code).toBe(0);
    expect(blocks.messages).toHaveLength(3);
  });

  it('gives everything of a fid that its pages have, page by page', async () => {
    await start({}, 3);
    fill(node.ledger, world, { messages: 900 });
    for (const fid of world.fids) {
      let found = 0;
      for (const store of ['Cast', 'Reaction', 'Link', 'Verification', 'UserData', 'LendStorage']) {
        for (let token: Buffer | undefined = Buffer.alloc(0); token;) {
          const after: Buffer = token;
          const request = encode((out) => out.uint(1, fid).present(2, 50).bytes(3, after));
          const page = new Fields(await client.call(`HubService/GetAll${store}MessagesByFid`, request));
          found += page.every(1).length;
          token = page.bytes(2).length > 0 ? page.bytes(2) : undefined;
        }
      }
      const of = (method: string, field: number, more = 0): Promise<number> =>
        client
          .call(
            `HubService/${method}`,
            encode((out) => out.uint(1, fid).uint(2, more)),
          )
          .then((bytes) => new Fields(bytes).every(field).length);
      found += await of('GetLinkCompactStateMessageByFid', 1);
      found += await of('GetUserNameProofsByFid', 1);
      for (const type of [1, 3, 4, 5]) found += await of('GetOnChainEvents', 1, type);
      const account = node.ledger.home(fid).account(fid);
      expect(found).toBe(account.freeze().leaves.length - account.borrowed.size);
      const prefix = encode((out) => out.uint(1, homeShardOf(fid, 2)).bytes(2, Buffer.from(account.key, 'latin1')));
      const trie = new Fields(await client.call('HubService/GetTrieMetadataByPrefix', prefix));
      expect([trie.uint(2), trie.text(3)]).toEqual([
        account.freeze().leaves.length,
        account.freeze().root.toString('hex'),
      ]);
    }
  });
});
