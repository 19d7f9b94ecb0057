/** The emulated peer against the real one: its rules, its Merkle roots and its bytes give what was recorded. */
import { readFileSync } from 'node:fs';
import { Fields } from '../peers/snapchain/bytes';
import { eventTypes } from '../peers/snapchain/events';
import { Ledger, limits2025 } from '../peers/snapchain/ledger';
import { readMessage, signMessage, signerOf } from '../peers/snapchain/messages';
import { readOnChain, readProof } from '../peers/snapchain/records';
import { readRecording, type RecordedEvent } from '../peers/snapchain/replay';
import type { Operation } from '../peers/snapchain/shard';
import { accountKey, accountRoot, blake3, homeShardOf, loadHashing, rootOver } from '../peers/snapchain/trie';
import { countsOf } from '../peers/snapchain/truth';

const path = 'test/data/snapchain/devnet-recording.ndjson.gz';
const recording = readRecording(path);
const truth = JSON.parse(readFileSync('test/data/snapchain/truth.json', 'utf8')) as {
  messages: number;
  sha256_of_sorted_hashes: string;
  byType: Record<string, number>;
  onchain: Record<string, number>;
  fids: number;
  names_in_snapshot: number;
};

beforeAll(loadHashing);

/** What was merged, by an event: nothing for prunes and confirmations, which the rules must come to by themselves. */
function operationOf(wire: Buffer): Operation | undefined {
  const event = new Fields(wire);
  switch (event.uint(1)) {
    case eventTypes.mergeMessage:
      return { kind: 'message', message: readMessage(new Fields(event.bytes(3)).bytes(1)) };
    case eventTypes.mergeOnChain:
      return { kind: 'onChain', record: readOnChain(new Fields(event.bytes(11)).bytes(1)) };
    case eventTypes.mergeUsernameProof: {
      const body = new Fields(event.bytes(8));
      if (body.has(3)) return { kind: 'message', message: readMessage(body.bytes(3)) };
      return { kind: 'fname', id: 0, fromFid: 0, proof: readProof(body.bytes(1)) };
    }
    default:
      return undefined;
  }
}

const heightOf = (event: RecordedEvent): number => Math.floor(event.id / 16_384);

/** A ledger that was given the recorded merges, block by block. */
function replayed(): Ledger {
  const ledger = new Ledger({ limitPerUnit: limits2025 });
  for (const [shard, events] of recording.events) {
    const last = heightOf(events.at(-1) as RecordedEvent);
    const blocks = Array.from({ length: last }, (): Operation[] => []);
    for (const event of events) {
      const operation = operationOf(event.wire);
      if (operation) blocks[heightOf(event) - 1]?.push(operation);
    }
    for (const block of blocks) ledger.applyBlockTo(shard, block);
  }
  return ledger;
}

/** The kind of an event, its id, and the message or record it is about. */
function gist(wire: Buffer): string {
  const event = new Fields(wire);
  const type = event.uint(1);
  const body = new Fields(event.bytes({ 1: 3, 2: 4, 3: 5, 6: 8, 9: 11, 11: 16 }[type] ?? 0));
  const confirmed = `${body.uint(1)} ${body.uint(5)} ${body.all.filter((field) => field.field === 6).length}`;
  const about = type === eventTypes.blockConfirmed ? confirmed : blake3(body.bytes(1)).toString('hex');
  const deleted = body.every(2).map((each) => blake3(each).toString('hex'));
  return [event.uint(2), type, about, ...(type === eventTypes.mergeMessage ? deleted.sort() : [])].join(' ');
}

describe('the rules, fed with what a real node merged', () => {
  it('come to the same live messages, by type and hash', () => {
    const { byType, messages, sha256, onChain, fids } = countsOf(replayed());
    expect(byType).toEqual(truth.byType);
    expect(onChain).toEqual(expect.objectContaining(truth.onchain));
    expect({ messages, sha256, fids }).toEqual({
      messages: truth.messages,
      sha256: truth.sha256_of_sorted_hashes,
      fids: truth.fids,
    });
  });

  it('emit the same events under the same ids, with the same deletions and counts', () => {
    const ledger = replayed();
    for (const [shard, events] of recording.events) {
      const emitted = ledger.shard(shard)?.log.read(0, undefined, Infinity) ?? [];
      expect(emitted.map((event) => gist(ledger.encode(shard, event)))).toEqual(
        events.map((event) => gist(event.wire)),
      );
    }
  });

  it('come to the roots in the recorded headers', () => {
    const ledger = new Ledger({ limitPerUnit: limits2025 });
    let compared = 0;
    for (const [shard, events] of recording.events) {
      const headers = new Map<number, Buffer>();
      for (const list of [recording.lists.earlier, recording.lists.latest]) {
        for (const entry of list.get(shard) ?? []) {
          const chunk = new Fields(new Fields(entry).bytes(5));
          headers.set(new Fields(entry).uint(2), new Fields(chunk.bytes(1)).bytes(4));
        }
      }
      const last = heightOf(events.at(-1) as RecordedEvent);
      for (let height = 1; height <= last; height += 1) {
        const block = events.filter((event) => heightOf(event) === height).map((event) => operationOf(event.wire));
        ledger.applyBlockTo(
          shard,
          block.filter((operation) => operation !== undefined),
        );
        const expected = headers.get(height);
        if (!expected) continue;
        expect(ledger.shard(shard)?.root().toString('hex')).toBe(expected.toString('hex'));
        compared += 1;
      }
    }
    expect(compared).toBeGreaterThanOrEqual(6);
  });
});

describe('the recorded pages', () => {
  const pages = [...recording.pages].filter(([, bytes]) => bytes.length > 0);

  it('have keys that the peer would have made, and hashes it would have computed', () => {
    for (const [, bytes] of pages) {
      for (const entry of new Fields(bytes).every(1)) {
        const fields = new Fields(entry);
        const key = fields.bytes(1).toString('latin1');
        expect(key.slice(0, 5)).toBe(accountKey(fields.bytes(1).readUInt32BE(1)));
        if (!fields.has(2)) continue;
        const message = new Fields(fields.bytes(2));
        expect(blake3(message.has(7) ? message.bytes(7) : message.bytes(1))).toEqual(message.bytes(2));
      }
    }
  });

  it('have account roots and shard roots that the plain Merkle rule gives', () => {
    const roots = new Map<string, Map<string, Buffer>>();
    let accounts = 0;
    for (const [name, bytes] of pages) {
      const place = name.split(' ').slice(0, 2).join(' ');
      const page = new Fields(bytes);
      const keys = page.every(1).map((entry) => new Fields(entry).bytes(1).toString('latin1'));
      for (const root of page.every(2).map((each) => new Fields(each))) {
        const account = accountKey(root.uint(1));
        const own = keys.filter((key) => key.startsWith(account));
        expect([own.length, accountRoot(own).toString('hex')]).toEqual([root.uint(3), root.bytes(2).toString('hex')]);
        roots.set(place, (roots.get(place) ?? new Map<string, Buffer>()).set(account, root.bytes(2)));
        accounts += 1;
      }
    }
    expect(accounts).toBe(4 * 24);
    for (const [shard, list] of recording.lists.latest) {
      for (const entry of list.map((each) => new Fields(each))) {
        const known = roots.get(`${shard} ${entry.uint(2)}`);
        if (!known) continue;
        const header = new Fields(new Fields(entry.bytes(5)).bytes(1));
        expect(rootOver([...known.keys()].sort(), known).toString('hex')).toBe(header.bytes(4).toString('hex'));
      }
    }
  });

  it('hold messages that the peer encodes to the same bytes', () => {
    const signer = signerOf(1, 1);
    let [compared, messages] = [0, 0];
    for (const [, bytes] of pages) {
      for (const entry of new Fields(bytes).every(1).map((each) => new Fields(each))) {
        if (!entry.has(2)) continue;
        const message = new Fields(entry.bytes(2));
        const data = new Fields(message.bytes(7));
        const body = data.all.find((field) => field.field > 4);
        if (!body) throw new Error('a recorded message has no body');
        const again = signMessage(
          { type: data.uint(1), field: body.field, bytes: body.bytes },
          { fid: data.uint(2), timestamp: data.uint(3), network: data.uint(4), signer, unsigned: true },
        );
        const isSame =
          again.hash === message.bytes(2).toString('latin1') &&
          new Fields(again.wire).bytes(1).equals(message.bytes(1));
        compared += isSame ? 1 : 0;
        messages += 1;
      }
    }
    expect(compared).toBe(messages);
    expect(messages).toBeGreaterThan(5000);
  });
});

it('fids live where the recording has their registrations', () => {
  for (const [shard, events] of recording.events) {
    for (const event of events) {
      const operation = operationOf(event.wire);
      if (operation?.kind === 'onChain') expect(homeShardOf(operation.record.fid, 2)).toBe(shard);
    }
  }
});
