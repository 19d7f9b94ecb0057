/** The port to a snapchain node over gRPC: every call that a sync needs, with the node's traps stepped around. */
import { RecordRefused } from '../shared/failures';
import { openDoorbell } from './doorbell';
import { decodeEventHead } from './event';
import { fidCalls } from './fid-calls';
import { grpcCalls, understood, type GrpcCalls, type NodeSettings } from './grpc-calls';
import { isNodeFailure, NodeFailure, pageUndecodable } from './node-failures';
import type { NodeEvents, NodeInfo, NodePage, PageRequest, SnapchainNode, Snapshot, Subtree } from './source';
import { decodePage } from './page';
import { wireType } from './schema';

/** The client of all legs of a worker. Connects when first asked. */
export function connectNode(settings: NodeSettings): SnapchainNode {
  const calls = grpcCalls(settings);
  return {
    info: (signal) => info(calls, signal),
    newestSnapshot: (shardIndex, signal) => newestSnapshot(calls, shardIndex, signal),
    pages: (from, signal) => pages(calls, from, signal),
    events: (from, signal) => events(calls, from, signal),
    doorbell: (shardIndex) => openDoorbell(calls, shardIndex),
    subtree: (at, signal) => subtree(calls, at, signal),
    blocks: (range, signal) => blocks(calls, range, signal),
    ...fidCalls(calls),
    close: () => calls.close(),
  };
}

const nothing = wireType<object>('Nothing');
const infoAnswer = wireType<{
  readonly version: string;
  readonly numShards: number;
  readonly shardInfos: readonly {
    readonly shardId: number;
    readonly maxHeight: number;
    readonly numMessages: number;
    readonly numFidRegistrations: number;
    readonly approxSize: number;
    readonly blockDelay: number;
  }[];
}>('InfoAnswer');

async function info(calls: GrpcCalls, signal?: AbortSignal): Promise<NodeInfo> {
  const method = 'HubService/GetInfo';
  const answer = await calls.ask({ method, request: nothing.encode({}), kind: 'quick', what: 'GetInfo', signal });
  const { version, numShards, shardInfos } = understood(infoAnswer, answer, 'GetInfo');
  const shards = shardInfos.map((shard) => ({
    shardIndex: shard.shardId,
    maxHeight: shard.maxHeight,
    numMessages: shard.numMessages,
    numFids: shard.numFidRegistrations,
    approxSize: shard.approxSize,
    blockDelay: shard.blockDelay,
  }));
  return { node: answer.node, version, numShards, shards };
}

interface WireSnapshot {
  readonly shardId: number;
  readonly height: number;
  readonly timestamp: number;
  readonly numItems: number;
  readonly chunk: { readonly header: { readonly shardRoot: Buffer } | null } | null;
}

const snapshotsQuestion = wireType<{ readonly shardId: number }>('SnapshotListQuestion');
const snapshotsAnswer = wireType<{ readonly snapshots: readonly WireSnapshot[] }>('SnapshotListAnswer');
const noBytes = Buffer.alloc(0);

async function newestSnapshot(calls: GrpcCalls, shardIndex: number, signal?: AbortSignal): Promise<Snapshot> {
  const what = `GetShardSnapshotMetadata of shard ${shardIndex}`;
  const method = 'ReplicationService/GetShardSnapshotMetadata';
  const request = snapshotsQuestion.encode({ shardId: shardIndex });
  const answer = await calls.ask({ method, request, kind: 'quick', what, signal });
  const { node } = answer;
  // A node lists them in no order.
  const [newest] = [...understood(snapshotsAnswer, answer, what).snapshots].sort((a, b) => b.height - a.height);
  if (newest === undefined) throw new NodeFailure('shardUnknown', node, `${what} from ${node}: it has none yet.`);
  const { height, timestamp, numItems, chunk } = newest;
  return { node, shardIndex, height, timestamp, numItems, shardRoot: chunk?.header?.shardRoot ?? noBytes };
}

const pageQuestion = wireType<{
  shardId: number;
  height: number;
  trieVirtualShard: number;
  pageToken: string;
}>('PageQuestion');

async function* pages(calls: GrpcCalls, from: PageRequest, signal?: AbortSignal): AsyncGenerator<NodePage> {
  // Aborted with the caller's signal, or when the caller has had enough: the page asked for ahead is not waited for.
  const over = new AbortController();
  const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  try {
    let coming: Promise<NodePage> | null = page(calls, from, null, either);
    while (coming !== null) {
      const here: NodePage = await coming;
      const token = here.nextPageToken;
      coming = token === null ? null : page(calls, { ...from, pageToken: token }, here.node, either);
      // Its failure is thrown when its turn comes; until then nobody listens.
      coming?.catch(() => undefined);
      yield here;
    }
  } finally {
    over.abort(new Error('no further page is wanted'));
  }
}

async function page(calls: GrpcCalls, from: PageRequest, node: string | null, signal: AbortSignal): Promise<NodePage> {
  const { shardIndex, height, virtualShard, pageToken } = from;
  const what = `GetShardTransactions of shard ${shardIndex} at height ${height}, virtual shard ${virtualShard}`;
  const request = pageQuestion.encode({
    shardId: shardIndex,
    height,
    trieVirtualShard: virtualShard,
    ...(pageToken === null ? {} : { pageToken }),
  });
  const question = { method: 'ReplicationService/GetShardTransactions', request, kind: 'page', what, signal } as const;
  const answer = await (node === null ? calls.ask(question) : calls.askOnly(node, question));
  const where = `${what} from ${answer.node}`;
  try {
    return { node: answer.node, where, ...decodePage(answer.bytes, what), bytes: answer.bytes.length };
  } catch (error) {
    throw pageUndecodable(what, answer.node, error);
  }
}

const eventsQuestion = wireType<{ startId: number; shardIndex: number; pageSize: number }>('EventsQuestion');
const eventsAnswer = wireType<{ readonly events: readonly Buffer[] }>('EventsAnswer');
const eventsPerCall = 1000; // 0.3 MB, some 20 ms of a node's time

/** Never with a node's page token, which at the end begins again, nor without a shard, which mixes them. */
async function events(
  calls: GrpcCalls,
  { shardIndex, startId, count = eventsPerCall }: { shardIndex: number; startId: number; count?: number },
  signal?: AbortSignal,
): Promise<NodeEvents> {
  const what = `GetEvents of shard ${shardIndex} from ${startId}`;
  const request = eventsQuestion.encode({ startId, shardIndex, pageSize: count });
  const answer = await calls.ask({ method: 'HubService/GetEvents', request, kind: 'events', what, signal });
  const where = `${what} from ${answer.node}`;
  let last = startId - 1;
  const heads = understood(eventsAnswer, answer, what).events.map((bytes) => {
    const head = decodeEventHead(bytes, where);
    if (head.id <= last) throw new RecordRefused(`${where}: event ${head.id} came after ${last}`);
    if (head.shardIndex !== shardIndex)
      throw new RecordRefused(`${where}: event ${head.id} is of shard ${head.shardIndex}`);
    last = head.id;
    return head;
  });
  return { node: answer.node, events: heads, isFull: heads.length >= count };
}

const trieQuestion = wireType<{ shardId: number; prefix: Buffer }>('TrieQuestion');
const trieAnswer = wireType<{ readonly numMessages: number; readonly hash: string }>('TrieAnswer');

async function subtree(
  calls: GrpcCalls,
  { shardIndex, prefix }: { shardIndex: number; prefix: Buffer },
  signal?: AbortSignal,
): Promise<Subtree | null> {
  const what = `GetTrieMetadataByPrefix of shard ${shardIndex}, ${prefix.toString('hex')}`;
  const request = trieQuestion.encode({ shardId: shardIndex, prefix });
  try {
    const method = 'HubService/GetTrieMetadataByPrefix';
    const answer = await calls.ask({ method, request, kind: 'quick', what, signal });
    const { numMessages, hash } = understood(trieAnswer, answer, what);
    return { node: answer.node, root: Buffer.from(hash, 'hex'), numMessages };
  } catch (error) {
    if (isNodeFailure(error, 'trieNodeMissing')) return null;
    throw error;
  }
}

const blocksQuestion = wireType<{ start: number; stop: number }>('BlocksQuestion');
const blockAnswer = wireType<{
  readonly hash: Buffer;
  readonly header: { readonly timestamp: number; readonly height: { readonly blockNumber: number } | null } | null;
}>('Block');

async function* blocks(
  calls: GrpcCalls,
  { start, stop }: { start: number; stop: number },
  signal?: AbortSignal,
): ReturnType<SnapchainNode['blocks']> {
  const what = `GetBlocks from ${start} to ${stop}`;
  const request = blocksQuestion.encode({ start, stop });
  for await (const answer of calls.stream({ method: 'HubService/GetBlocks', request, what, signal })) {
    const { header, hash } = understood(blockAnswer, answer, what);
    if (header === null) throw new RecordRefused(`${what} from ${answer.node}: a block without a header`);
    yield { height: header.height?.blockNumber ?? 0, timestamp: header.timestamp, hash };
  }
}
