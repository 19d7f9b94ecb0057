/** Leaves, events and pages whose bytes were damaged or mixed up: refused by name, never taken for something else. */
import fc from 'fast-check';
import { RecordRefused } from '../../activities/shared/failures';
import { decodeFnameTransfer, decodeOnChainEvent } from '../../activities/snapchain/chain-record';
import { decodeEvent, decodeEventHead, eventTypes } from '../../activities/snapchain/event';
import { loadHashing } from '../../activities/snapchain/hashing';
import { decodeMessage } from '../../activities/snapchain/message-data';
import { decodePage, readLeaf, type Entry, type Leaf } from '../../activities/snapchain/page';
import { wireType } from '../../activities/snapchain/schema';
import { accountKey, messageKey } from '../../activities/snapchain/trie-key';
import { like, madeMessage } from './encoded';
import { leavesOf, lines } from './recorded';

beforeAll(loadHashing);

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

describe('a leaf', () => {
  const none = { message: null, onChainEvent: null, fnameTransfer: null };
  const made = (): ReturnType<typeof madeMessage> => madeMessage(like(9, 5));
  const leafOf = (trieKey: Buffer, message: Buffer): Leaf => ({ ...none, trieKey, message });

  it('is a message under its own key', () => {
    const message = made();
    const entry = readLeaf(leafOf(messageKey(7, 3, message.hash), message.bytes), 'page 3');
    expect([entry.kind, entry.key.fid]).toEqual(['message', 7]);
  });

  it('may be a loan under its borrower’s key', () => {
    const loan = madeMessage({ type: 15, lendStorage: { toFid: 9, units: 1, unitType: 2 } });
    expect(readLeaf(leafOf(messageKey(9, 15, loan.hash), loan.bytes), 'page 3').key.fid).toBe(9);
    expect(() => readLeaf(leafOf(messageKey(8, 15, loan.hash), loan.bytes), 'page 3')).toThrow('is another’s');
  });

  it.each([
    ['another fid’s key', (of: Buffer) => messageKey(8, 3, of)],
    ['another type’s key', (of: Buffer) => messageKey(7, 4, of)],
    ['another message’s key', (of: Buffer) => messageKey(7, 3, Buffer.from(of).reverse())],
  ])('under %s is refused', (_, keyFor) => {
    const message = made();
    const read = (): Entry => readLeaf(leafOf(keyFor(message.hash), message.bytes), 'page 3');
    expect(read).toThrow(RecordRefused);
    expect(read).toThrow('the record there is another’s');
  });

  it('without a record of its key’s kind is refused', () => {
    expect(() => readLeaf({ ...none, trieKey: messageKey(7, 3, Buffer.alloc(20, 1)) }, 'page 3')).toThrow(
      'of its kind',
    );
  });
});

describe('damaged bytes', () => {
  const leaves = leavesOf(1, 160);
  const damage = fc.record({
    at: fc.nat(),
    place: fc.nat(),
    kind: fc.constantFrom('cut', 'flip', 'drop', 'insert', 'zeros'),
    byte: fc.integer({ min: 1, max: 255 }),
  });
  type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

  function damaged(bytes: Buffer, { place, kind, byte }: Damage): Buffer {
    const at = place % Math.max(1, bytes.length);
    if (kind === 'cut') return bytes.subarray(0, at);
    if (kind === 'drop') return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    if (kind === 'insert') return Buffer.concat([bytes.subarray(0, at), Buffer.of(byte), bytes.subarray(at)]);
    const copy = Buffer.from(bytes);
    if (kind === 'zeros') copy.fill(0, at, Math.min(at + 8, copy.length));
    else copy[at] = (copy[at] as number) ^ byte;
    return copy;
  }

  /** What was read, or undefined if it was refused as it should be. Anything else that is thrown fails the test. */
  function readOrRefused<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      expect((error as Error).message).toMatch(/^leaf 12\b/);
      if (!(error instanceof RecordRefused)) throw error;
      return undefined;
    }
  }

  it('of a leaf are refused by name, or are the same record: never another one', () => {
    let refused = 0;
    fc.assert(
      fc.property(damage, (how) => {
        const leaf = leaves[how.at % leaves.length] as Leaf;
        const field = leaf.message ? 'message' : leaf.onChainEvent ? 'onChainEvent' : 'fnameTransfer';
        const whole = readLeaf(leaf, 'leaf 12');
        const read = readOrRefused(() =>
          readLeaf({ ...leaf, [field]: damaged(leaf[field] as Buffer, how) }, 'leaf 12'),
        );
        if (read === undefined) refused += 1;
        // What the hash covers is as it was. (Signatures are the signature check's; the chain's records have no hash.)
        else if (read.kind === 'message' && whole.kind === 'message') {
          expect(read.message.body).toEqual(whole.message.body);
          expect([read.message.fid, read.message.timestamp, read.message.type, read.key]).toEqual([
            whole.message.fid,
            whole.message.timestamp,
            whole.message.type,
            whole.key,
          ]);
        } else expect([read.kind, read.key]).toEqual([whole.kind, whole.key]);
      }),
      { numRuns: 4000, seed },
    );
    expect(refused).toBeGreaterThan(1000);
  });

  it('of a page are refused by name, or make a page whose leaves are', () => {
    const pages = lines.filter(({ method, response }) => method.endsWith('Transactions') && response.length > 0);
    fc.assert(
      fc.property(damage, (how) => {
        const bytes = Buffer.from(pages[how.at % pages.length]?.response ?? '', 'base64');
        const page = readOrRefused(() => decodePage(damaged(bytes, how), 'leaf 12'));
        for (const leaf of page?.leaves ?? []) readOrRefused(() => readLeaf(leaf, 'leaf 12'));
      }),
      { numRuns: 300, seed },
    );
  });

  it('of an event are refused by name, or leave what its hashes cover', () => {
    const answer = lines.filter(({ method }) => method.endsWith('GetEvents'))[0];
    const events = wireType<{ events: Buffer[] }>('EventsAnswer').decode(
      Buffer.from(answer?.response ?? '', 'base64'),
    ).events;
    const merged = events.filter((each) => decodeEventHead(each, 'leaf 12').type === eventTypes.mergeMessage);
    expect(merged.length).toBeGreaterThan(100);
    fc.assert(
      fc.property(damage, (how) => {
        const whole = merged[how.at % merged.length] as Buffer;
        const head = readOrRefused(() => decodeEventHead(damaged(whole, how), 'leaf 12'));
        if (head === undefined || head.type !== eventTypes.mergeMessage) return;
        try {
          const event = decodeEvent(head);
          const original = decodeEvent(decodeEventHead(whole, 'leaf 12'));
          if (event.kind !== 'merge' || original.kind !== 'merge') throw new Error('a merge became something else');
          expect(event.message.content).toEqual(original.message.content);
        } catch (error) {
          if (!(error instanceof RecordRefused)) throw error;
          expect(error.message).toMatch(/^event \d+ of shard \d+: /);
        }
      }),
      { numRuns: 2000, seed },
    );
  });

  it('that never were a message, an event or a page crash nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const bytes = Buffer.from(noise);
        const message = readOrRefused(() => decodeMessage(bytes, 'leaf 12'));
        expect(message).toBeUndefined();
        readOrRefused(() => decodeOnChainEvent(bytes, 'leaf 12'));
        readOrRefused(() => decodeFnameTransfer(bytes, 'leaf 12'));
        readOrRefused(() => decodePage(bytes, 'leaf 12'));
        readOrRefused(() => decodeEventHead(bytes, 'leaf 12'));
        const trieKey = Buffer.concat([accountKey(7), bytes]);
        readOrRefused(() =>
          readLeaf({ trieKey, message: bytes, onChainEvent: bytes, fnameTransfer: bytes }, 'leaf 12'),
        );
      }),
      { numRuns: 3000, seed },
    );
  });
});
