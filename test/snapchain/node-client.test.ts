/** The client against a small real gRPC server: what it asks, what it makes of answers, and how it reads lists and pages. */
import { eventually } from '../support/temporal';
import { status } from '@grpc/grpc-js';
import { RecordRefused } from '../../activities/shared/failures';
import { firstEventOf } from '../../activities/snapchain/event';
import { loadHashing } from '../../activities/snapchain/hashing';
import type { NodePage } from '../../activities/snapchain/source';
import { readLeaf } from '../../activities/snapchain/page';
import { virtualShardOf } from '../../activities/snapchain/trie-key';
import { likesPage } from './encoded';
import { lines } from './recorded';
import {
  all,
  asked,
  clientOf,
  encoded,
  failureOf,
  nodeWith,
  recorded,
  Refusal,
  stopAll,
  type Answering,
  type Fields,
} from './small-node';

beforeAll(loadHashing);
afterEach(stopAll);

const fid = 7;
const from = { shardIndex: 1, height: 160, virtualShard: virtualShardOf(fid), pageToken: null };
const nothingHere = new Refusal('No connection', status.UNAVAILABLE);

describe('what a real node answered', () => {
  it('GetInfo: its shards, with shard 0, and the data shards’ number', async () => {
    const node = await nodeWith({ GetInfo: () => recorded('GetInfo') });
    const info = await clientOf({}, node).info();
    expect([info.node, info.version, info.numShards]).toEqual([node.address, '0.14.2', 2]);
    expect(info.shards.map(({ shardIndex }) => shardIndex).sort()).toEqual([0, 1, 2]);
    expect(Math.min(...info.shards.map(({ maxHeight }) => maxHeight))).toBeGreaterThan(160);
  });

  it('a list of snapshots in no order: the newest, with its root', async () => {
    const list = lines.filter(({ method }) => method.endsWith('SnapshotMetadata')).at(-1);
    const shardIndex = Number(list?.request['shard_id']);
    const node = await nodeWith({ GetShardSnapshotMetadata: () => Buffer.from(list?.response ?? '', 'base64') });
    const newest = await clientOf({}, node).newestSnapshot(shardIndex);
    expect([newest.shardIndex, newest.height, newest.numItems]).toEqual([shardIndex, 160, 2163]);
    expect(newest.shardRoot).toHaveLength(20);
  });

  it('GetEvents: asked by id and shard alone, without its token', async () => {
    let request: Buffer = Buffer.alloc(0);
    const node = await nodeWith({
      GetEvents: (call) => {
        request = call.request;
        return recorded('GetEvents', { start_id: 0, shard_index: 1 });
      },
    });
    const { events, isFull } = await clientOf({}, node).events({ shardIndex: 1, startId: 0, count: 500 });
    expect([events.length, isFull, events[0]?.id]).toEqual([500, true, firstEventOf(1)]);
    expect({ ...asked('EventsQuestion', request) }).toEqual({ shardIndex: 1, pageSize: 500 });
  });

  it('an event that is not after the one before, or of another shard, is refused', async () => {
    const node = await nodeWith({ GetEvents: () => recorded('GetEvents', { start_id: 0, shard_index: 1 }) });
    const client = clientOf({}, node);
    await expect(client.events({ shardIndex: 1, startId: 20_000 })).rejects.toThrow(/event 16384 came after 19999/);
    await expect(client.events({ shardIndex: 2, startId: 0 })).rejects.toThrow(RecordRefused);
  });
});

describe('pages', () => {
  const tokens = [null, 'b', 'c'] as const;
  /** Three pages, of which the last is empty. */
  const threePages: Answering = ({ request }) => {
    const { pageToken } = asked<{ pageToken: string | null }>('PageQuestion', request);
    const at = tokens.indexOf(pageToken as (typeof tokens)[number]);
    return likesPage(fid, at === 2 ? 0 : 5, tokens[at + 1] ?? undefined);
  };

  it('come one after the other, to the empty one at the end, and their leaves can be read', async () => {
    const node = await nodeWith({ GetShardTransactions: threePages });
    const pages = await all(clientOf({}, node).pages(from));
    expect(pages.map(({ leaves, nextPageToken }) => [leaves.length, nextPageToken])).toEqual([
      [5, 'b'],
      [5, 'c'],
      [0, null],
    ]);
    expect(pages[0]?.leaves.map((leaf) => readLeaf(leaf, pages[0]?.where ?? '').kind)).toEqual(
      Array(5).fill('message'),
    );
    expect(pages[0]?.bytes).toBeGreaterThan(1000);
  });

  it('begin where a token says', async () => {
    const node = await nodeWith({ GetShardTransactions: threePages });
    expect(await all(clientOf({}, node).pages({ ...from, pageToken: 'b' }))).toHaveLength(2);
  });

  it('are asked for ahead: the next one while this one is worked on, and no more than that', async () => {
    let second = (): void => undefined;
    const secondAsked = new Promise<void>((resolve) => (second = resolve));
    const node = await nodeWith({
      GetShardTransactions: (call) => {
        if (call.nth === 2) second();
        return threePages(call);
      },
    });
    const pages = clientOf({}, node).pages(from);
    await pages.next();
    await secondAsked;
    expect(node.called).toHaveLength(2);
    await pages.return(undefined);
  });

  it('that nobody wants any more are cancelled at the node', async () => {
    const node = await nodeWith({
      GetShardTransactions: (call) => (call.nth === 1 ? threePages(call) : new Promise(() => undefined)),
    });
    for await (const page of clientOf({ deadlinesMs: { page: 600_000 } }, node).pages(from)) {
      expect(page.leaves).toHaveLength(5);
      // What has not reached the node yet cannot be given up there.
      await eventually('the next page is asked for', async () => node.called.length === 2);
      break;
    }
    expect(await node.givenUp).toBe('GetShardTransactions');
  });

  it('before one that failed are given out first, and the failure names what was asked', async () => {
    const poison = new Refusal(
      'Failed to get transactions: Invalid message: Invalid message type for FID 1003: KeyAdd',
    );
    const node = await nodeWith({ GetShardTransactions: (call) => (call.nth === 2 ? poison : threePages(call)) });
    const pages = clientOf({}, node).pages(from);
    expect((await pages.next()).value).toMatchObject({ nextPageToken: 'b' });
    const failure = await failureOf(pages.next());
    expect(failure.kind).toBe('pagePoisoned');
    expect(failure.message).toMatch(/^GetShardTransactions of shard 1 at height 160, virtual shard \d+ from http:/);
    expect(failure.message).toContain('Invalid message type for FID 1003: KeyAdd. The fids of');
  });

  it('larger than gRPC’s own 4 MB come whole', async () => {
    const large = likesPage(fid, 600, undefined, 10_000);
    expect(large.length).toBeGreaterThan(10 << 20);
    const node = await nodeWith({ GetShardTransactions: () => large });
    const [page] = await all(clientOf({}, node).pages(from));
    expect([page?.bytes, page?.leaves.length]).toEqual([large.length, 600]);
  });

  it.each([
    ['no protobuf', Buffer.from('0affffffffff', 'hex')],
    ['too large', Buffer.alloc((64 << 20) + 1)],
  ])('that are %s are undecodable pages', async (_, bytes) => {
    const node = await nodeWith({ GetShardTransactions: () => bytes });
    expect((await failureOf(all(clientOf({}, node).pages(from)))).kind).toBe('pageUndecodable');
  });

  it('stay with the node that gave the first, whatever the others could give', async () => {
    const first = await nodeWith({ GetShardTransactions: (call) => (call.nth === 1 ? threePages(call) : nothingHere) });
    const second = await nodeWith({ GetShardTransactions: threePages });
    const client = clientOf({}, first, second);
    const seen: NodePage[] = [];
    const read = async (pageToken: string | null): Promise<void> => {
      for await (const page of client.pages({ ...from, pageToken })) seen.push(page);
    };
    expect((await failureOf(read(null))).kind).toBe('unreachable');
    expect([seen.map(({ node }) => node), second.called]).toEqual([[first.address], []]);
    // The next attempt begins at the other one, which says so.
    await read('b');
    expect(first.called).toHaveLength(2);
    expect(seen.map(({ node }) => node)).toEqual([first.address, second.address, second.address]);
  });
});

describe('fid by fid', () => {
  const token = Buffer.from('0001', 'hex');
  const paged =
    (type: string, answers: readonly Fields[]): Answering =>
    ({ nth }) =>
      encoded(type, {
        ...answers[nth - 1],
        ...(nth < answers.length ? { nextPageToken: Buffer.concat([token, Buffer.of(nth)]) } : {}),
      });

  it('fids, messages, on-chain events, proofs and signers are read to the end', async () => {
    const bytes = (text: string): Buffer => Buffer.from(text);
    const node = await nodeWith({
      GetFids: paged('FidsAnswer', [{ fids: [1, 4_294_967_295] }, { fids: [3] }]),
      GetAllLinkMessagesByFid: paged('MessagesAnswer', [{ messages: [bytes('a')] }, {}, { messages: [bytes('b')] }]),
      GetOnChainEvents: paged('OnChainEventsAnswer', [{ events: [bytes('c')] }]),
      GetUserNameProofsByFid: () => encoded('NameProofsAnswer', { proofs: [bytes('d')] }),
    });
    const client = clientOf({}, node);
    expect((await all(client.fids(1))).flat()).toEqual([1, 4_294_967_295, 3]);
    expect((await all(client.messagesOf(7, 'links'))).flat().map(String)).toEqual(['a', 'b']);
    expect((await all(client.onChainEventsOf(7, 1))).flat().map(String)).toEqual(['c']);
    expect((await client.nameProofsOf(7)).map(String)).toEqual(['d']);
  });

  it('a list that goes round in circles is refused', async () => {
    const node = await nodeWith({ GetFids: () => encoded('FidsAnswer', { fids: [1], nextPageToken: token }) });
    await expect(all(clientOf({}, node).fids(1))).rejects.toThrow('the same page token twice, 0001');
  });

  it('a subtree has its root and count, or is not there', async () => {
    const hash = 'ab'.repeat(20);
    const node = await nodeWith({
      GetTrieMetadataByPrefix: ({ nth }) =>
        nth === 1 ? encoded('TrieAnswer', { numMessages: 4, hash }) : new Refusal('Node not found'),
    });
    const client = clientOf({}, node);
    const at = { shardIndex: 1, prefix: Buffer.from('0300000007', 'hex') };
    expect(await client.subtree(at)).toEqual({ node: node.address, root: Buffer.from(hash, 'hex'), numMessages: 4 });
    expect(await client.subtree(at)).toBeNull();
  });
});

describe('shard 0’s blocks', () => {
  const block = (height: number): Buffer =>
    encoded('Block', { header: { height: { blockNumber: height }, timestamp: height * 2 }, hash: Buffer.of(height) });

  it('are streamed, and a stream that is cut says so after what came', async () => {
    const node = await nodeWith(
      {},
      {
        GetBlocks: (call, stream) => {
          for (const height of [3, 4]) stream.write(block(height));
          if (call.nth === 1) stream.end();
          else stream.emit('error', { code: status.UNAVAILABLE, details: 'cut' });
        },
      },
    );
    const client = clientOf({}, node);
    const expected = [3, 4].map((height) => ({ height, timestamp: height * 2, hash: Buffer.of(height) }));
    expect(await all(client.blocks({ start: 3, stop: 5 }))).toEqual(expected);
    const blocks = client.blocks({ start: 3, stop: 5 });
    expect([(await blocks.next()).value, (await blocks.next()).value]).toEqual(expected);
    expect((await failureOf(blocks.next())).kind).toBe('unreachable');
  });
});
