/**
 * The recording of a real node, served as that node: its snapshots and pages byte for byte, its events from any id on.
 * Its fids and their roots are those of the newest pages; what was not recorded (other calls by fid) is UNIMPLEMENTED.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { encode, Fields } from './bytes';
import { serve, type NodeOptions, type OutStream, type SnapchainNode } from './node';
import { replicationCalls } from './replication';
import { CallError, codes, type SnapshotView } from './snapshot';

interface RecordedCall {
  readonly method: string;
  readonly request: {
    readonly shard_id?: number;
    readonly height?: number;
    readonly trie_virtual_shard?: number;
    readonly start_id?: number;
    readonly shard_index?: number;
    readonly _when?: 'earlier';
  };
  readonly response: string;
}

export interface RecordedEvent {
  readonly id: number;
  readonly type: number;
  readonly wire: Buffer;
}

export interface Recording {
  readonly info: Buffer;
  /** Shards to the list of snapshots, entry by entry, as it was when asked first and when asked last. */
  readonly lists: { readonly earlier: Map<number, Buffer[]>; readonly latest: Map<number, Buffer[]> };
  /** Pages by `shard height virtualShard`. */
  readonly pages: Map<string, Buffer>;
  /** Ascending ids, without repetition, by shard. */
  readonly events: Map<number, RecordedEvent[]>;
}

export function readRecording(path: string): Recording {
  const lists = { earlier: new Map<number, Buffer[]>(), latest: new Map<number, Buffer[]>() };
  const pages = new Map<string, Buffer>();
  const byId = new Map<number, Map<number, RecordedEvent>>();
  let info = Buffer.alloc(0);
  for (const line of gunzipSync(readFileSync(path)).toString('utf8').split('\n').filter(Boolean)) {
    const { method, request, response } = JSON.parse(line) as RecordedCall;
    const bytes = Buffer.from(response, 'base64');
    const shard = request.shard_id ?? request.shard_index ?? 0;
    if (method === 'HubService/GetInfo') info = bytes;
    else if (method === 'ReplicationService/GetShardSnapshotMetadata') {
      lists[request._when ?? 'latest'].set(shard, new Fields(bytes).every(1));
    } else if (method === 'ReplicationService/GetShardTransactions') {
      pages.set(`${shard} ${request.height} ${request.trie_virtual_shard}`, bytes);
    } else {
      const events = byId.get(shard) ?? new Map<number, RecordedEvent>();
      for (const wire of new Fields(bytes).every(1)) {
        const fields = new Fields(wire);
        events.set(fields.uint(2), { id: fields.uint(2), type: fields.uint(1), wire });
      }
      byId.set(shard, events);
    }
  }
  const events = new Map(
    [...byId].map(([shard, map]) => [shard, [...map.values()].sort((a, b) => a.id - b.id)] as const),
  );
  return { info, lists, pages, events };
}

export interface ReplayNode extends SnapchainNode {
  readonly recording: Recording;
  /** Which snapshots the node knows: those of height 80, or of 160 and before. */
  when: 'earlier' | 'latest';
}

const recordedPageSize = 1000;

export async function replayRecording(path: string, options: NodeOptions = {}): Promise<ReplayNode> {
  const recording = readRecording(path);
  const lost = new Set<number>();
  const state: { when: 'earlier' | 'latest' } = { when: 'latest' };

  const list = (shard: number): SnapshotView[] => {
    if (lost.has(shard)) return [];
    return (recording.lists[state.when].get(shard) ?? []).map((metadata) => {
      const height = new Fields(metadata).uint(2);
      const page = (virtualShard: number): Buffer =>
        recording.pages.get(`${shard} ${height} ${virtualShard}`) ?? Buffer.alloc(0);
      return { shard, height, metadata, page };
    });
  };
  const get = (shard: number, height: number): SnapshotView | undefined =>
    list(shard).find((view) => view.height === height);

  const events = (request: Fields): Buffer => {
    const size = request.optionalUint(4) ?? recordedPageSize;
    const given = eventsFrom(recording, request.uint(2), request.uint(1), request.optionalUint(3)).slice(0, size);
    return encode((out) => {
      for (const { wire } of given) out.nested(1, wire);
      out.nested(2, '[null]');
    });
  };

  const known = new Map<string, Accounts>();
  const accounts = (shard: number): Accounts => {
    const height = Math.max(...list(shard).map((view) => view.height));
    const name = `${shard} ${height}`;
    const found = known.get(name) ?? accountsOf(recording, shard, height);
    known.set(name, found);
    return found;
  };

  const node = await serve(
    {
      unary: new Map([
        ...replicationCalls({ list, get }, { pageSize: recordedPageSize, firstBlock: 0 }),
        ['HubService/GetInfo', () => recording.info],
        ['HubService/GetEvents', events],
        ['HubService/GetFids', (request) => encode((out) => out.packed(1, accounts(request.uint(4)).fids))],
        ['HubService/GetTrieMetadataByPrefix', (request) => rootBytes(accounts(request.uint(1)), request.bytes(2))],
      ]),
      streams: new Map([['HubService/Subscribe', (request, stream) => replayEvents(recording, request, stream)]]),
      restarted: () => lost.clear(),
      lostSnapshots: (shard) => lost.add(shard ?? 0),
      stopped: () => undefined,
    },
    options,
  );
  return Object.defineProperty(Object.assign(node, { recording, when: state.when }), 'when', {
    get: () => state.when,
    set: (when: 'earlier' | 'latest') => (state.when = when),
  });
}

function eventsFrom(recording: Recording, shard: number, start: number, stop = Infinity): RecordedEvent[] {
  return (recording.events.get(shard) ?? []).filter(({ id }) => id >= start && id < stop);
}

/** The recorded events from an id on, of the types asked for; then the stream stays open and silent. */
function replayEvents(recording: Recording, request: Fields, stream: OutStream): void {
  const shard = request.optionalUint(4);
  if (shard !== undefined && !recording.events.has(shard)) {
    return stream.fail(codes.unknown, 'invalid_internal_state/Invalid shard id');
  }
  const types = new Set(request.uints(1));
  const from = request.optionalUint(2);
  if (from === undefined) return;
  for (const each of shard === undefined ? recording.events.keys() : [shard]) {
    for (const { type, wire } of eventsFrom(recording, each, from)) if (types.has(type)) stream.send(wire);
  }
}

interface Accounts {
  /** Registered in the shard, ascending. */
  readonly fids: readonly number[];
  readonly roots: ReadonlyMap<number, { readonly root: Buffer; readonly count: number }>;
}

const idRegister = 3;

function accountsOf({ pages }: Recording, shard: number, height: number): Accounts {
  const roots = new Map<number, { root: Buffer; count: number }>();
  const fids = new Set<number>();
  for (const [name, page] of pages) {
    if (!name.startsWith(`${shard} ${height} `)) continue;
    const fields = new Fields(page);
    for (const each of fields.every(2)) {
      const root = new Fields(each);
      roots.set(root.uint(1), { root: root.bytes(2), count: root.uint(3) });
    }
    for (const leaf of fields.every(1)) {
      const key = new Fields(leaf).bytes(1);
      if (key[5] === idRegister) fids.add(key.readUInt32BE(1));
    }
  }
  return { fids: [...fids].sort((a, b) => a - b), roots };
}

/** Of whole accounts only. */
function rootBytes({ roots }: Accounts, prefix: Buffer): Buffer {
  const found = prefix.length === 5 ? roots.get(prefix.readUInt32BE(1)) : undefined;
  if (found === undefined) throw new CallError(codes.internal, 'Node not found');
  return encode((out) => out.bytes(1, prefix).uint(2, found.count).bytes(3, found.root.toString('hex')));
}
