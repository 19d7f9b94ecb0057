/** The recording of a real node, read by the code under test: its pages, events and snapshot lists, as bytes and decoded. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { decodeEvent, decodeEventHead, type EventHead, type HubEvent } from '../../activities/snapchain/event';
import { decodePage, readLeaf, type Entry, type Leaf, type Page } from '../../activities/snapchain/page';
import { wireType } from '../../activities/snapchain/schema';
import { virtualShards } from '../../activities/snapchain/trie-key';

interface Line {
  readonly method: string;
  readonly request: Readonly<Record<string, number | string>>;
  readonly response: string;
}

export const lines: readonly Line[] = gunzipSync(readFileSync('test/data/snapchain/devnet-recording.ndjson.gz'))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Line);

const linesOf = (method: string): Line[] => lines.filter((line) => line.method.endsWith(`/${method}`));

export const truth = JSON.parse(readFileSync('test/data/snapchain/truth.json', 'utf8')) as {
  messages: number;
  sha256_of_sorted_hashes: string;
  byType: Record<string, number>;
  onchain: Record<string, number>;
  fids: number;
  names_in_snapshot: number;
  snapshots_with_pages: [number, number][];
};

export interface RecordedSnapshot {
  readonly shard: number;
  readonly height: number;
  readonly numItems: number;
  readonly root: Buffer;
}

const listAnswer = wireType<{
  readonly snapshots: readonly {
    readonly shardId: number;
    readonly height: number;
    readonly numItems: number;
    readonly chunk: { readonly header: { readonly shardRoot: Buffer } };
  }[];
}>('SnapshotListAnswer');

/** The snapshots whose pages were recorded, with what the node said of them. */
export const snapshots: readonly RecordedSnapshot[] = truth.snapshots_with_pages.map(([shard, height]) => {
  const listed = linesOf('GetShardSnapshotMetadata')
    .flatMap((line) => listAnswer.decode(Buffer.from(line.response, 'base64')).snapshots)
    .find((each) => each.shardId === shard && each.height === height);
  if (!listed) throw new Error(`the recording has no snapshot of shard ${shard} at height ${height}`);
  return { shard, height, numItems: listed.numItems, root: listed.chunk.header.shardRoot };
});

const pageBytes = new Map<string, Buffer[]>();
for (const { request, response } of linesOf('GetShardTransactions')) {
  const place = `${request['shard_id']}/${request['height']}/${request['trie_virtual_shard']}`;
  pageBytes.set(place, [...(pageBytes.get(place) ?? []), Buffer.from(response, 'base64')]);
}

/** The pages of one virtual shard in order; on this small network always one. */
export function pagesOf(shard: number, height: number, virtualShard: number): Page[] {
  const place = `${shard}/${height}/${virtualShard}`;
  const recorded = pageBytes.get(place);
  if (!recorded) throw new Error(`the recording has no page ${place}`);
  return recorded.map((bytes) => decodePage(bytes, `recorded page ${place}`));
}

export function leavesOf(shard: number, height: number): Leaf[] {
  return Array.from({ length: virtualShards }, (_, at) => pagesOf(shard, height, at)).flatMap((pages) =>
    pages.flatMap(({ leaves }) => leaves),
  );
}

export function entriesOf(shard: number, height: number): Entry[] {
  return leavesOf(shard, height).map((leaf) => readLeaf(leaf, `recorded ${shard}/${height}`));
}

const eventsAnswer = wireType<{ readonly events: readonly Buffer[] }>('EventsAnswer');

/** A shard's whole log. */
export function eventsOf(shard: number): { head: EventHead; event: HubEvent }[] {
  return linesOf('GetEvents')
    .filter(({ request }) => request['shard_index'] === shard)
    .flatMap(({ response }) => eventsAnswer.decode(Buffer.from(response, 'base64')).events)
    .map((bytes) => {
      const head = decodeEventHead(bytes, `recorded events of shard ${shard}`);
      return { head, event: decodeEvent(head) };
    });
}
