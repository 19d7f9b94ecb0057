/** A whole shard read from the emulated node, which serves the recording and breaks its answers: what comes is proved whole. */
import { loadHashing } from '../../activities/snapchain/hashing';
import { MerkleTree, shardRoot } from '../../activities/snapchain/merkle';
import type { PageRequest, SnapchainNode } from '../../activities/snapchain/source';
import { connectNode } from '../../activities/snapchain/node-client';
import { isNodeFailure } from '../../activities/snapchain/node-failures';
import { readLeaf } from '../../activities/snapchain/page';
import { virtualShards } from '../../activities/snapchain/trie-key';
import type { FaultRule } from '../peers/snapchain/faults';
import { replayRecording } from '../peers/snapchain/replay';

beforeAll(loadHashing);

const path = 'test/data/snapchain/devnet-recording.ndjson.gz';

/** As a leg would: from the token it has come to, again and again. Gives the virtual shard's root, and counts troubles. */
async function scan(client: SnapchainNode, from: PageRequest, troubles: string[]): Promise<Buffer> {
  const tree = new MerkleTree(from.virtualShard);
  let token: string | null = null;
  for (;;) {
    try {
      for await (const page of client.pages({ ...from, pageToken: token })) {
        for (const leaf of page.leaves) {
          readLeaf(leaf, page.where);
          tree.add(leaf.trieKey);
        }
        token = page.nextPageToken;
      }
      return tree.finish();
    } catch (error) {
      if (!isNodeFailure(error, 'unreachable', 'pageUndecodable')) throw error;
      troubles.push(error.kind);
    }
  }
}

it.each([1, 2])('shard %s comes whole and proved, through resets, refusals and garbage', async (shardIndex) => {
  const rules: FaultRule[] = [
    { method: 'GetShardTransactions', every: 11, fault: { kind: 'reset' } },
    { method: 'GetShardTransactions', every: 17, fault: { kind: 'status', code: 14, details: 'restarting' } },
    { method: 'GetShardTransactions', every: 23, fault: { kind: 'garbage' } },
    { method: 'GetShardTransactions', every: 29, fault: { kind: 'padding', bytes: 5 << 20 } },
  ];
  const node = await replayRecording(path, { faults: rules });
  const client = connectNode({ endpoints: [node.address] });
  try {
    const { height, numItems, shardRoot: expected } = await client.newestSnapshot(shardIndex);
    const troubles: string[] = [];
    const roots = new Map<number, Buffer>();
    for (let virtualShard = 0; virtualShard < virtualShards; virtualShard += 1) {
      const from = { shardIndex, height, virtualShard, pageToken: null };
      roots.set(virtualShard, await scan(client, from, troubles));
    }
    expect([height, numItems]).toEqual([160, 2163]);
    expect(shardRoot(roots).toString('hex')).toBe(expected.toString('hex'));
    expect(new Set(troubles)).toEqual(new Set(['unreachable', 'pageUndecodable']));
  } finally {
    client.close();
    await node.stop();
  }
});

it.each([1, 2])('shard %s’s log comes whole, page by page of whatever size', async (shardIndex) => {
  const node = await replayRecording(path);
  const client = connectNode({ endpoints: [node.address] });
  try {
    const logs: number[][] = [];
    for (const count of [97, 1000]) {
      const ids: number[] = [];
      for (let startId = 0; ; startId = (ids.at(-1) ?? 0) + 1) {
        const { events, isFull } = await client.events({ shardIndex, startId, count });
        ids.push(...events.map(({ id }) => id));
        if (!isFull) break;
      }
      logs.push(ids);
    }
    expect(logs[0]).toEqual(logs[1]);
    expect(logs[0]).toEqual(node.recording.events.get(shardIndex)?.map(({ id }) => id));
  } finally {
    client.close();
    await node.stop();
  }
});
