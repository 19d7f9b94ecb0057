/** Trie keys: what is built comes apart again, fids live where the recorded network has them, and nothing else is a key. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { RecordRefused } from '../../activities/shared/failures';
import { loadHashing } from '../../activities/snapchain/hashing';
import {
  accountKey,
  fnameKey,
  homeShardOf,
  messageKey,
  onChainKey,
  parseTrieKey,
  virtualShardOf,
} from '../../activities/snapchain/trie-key';
import { leavesOf, snapshots } from './recorded';

beforeAll(loadHashing);

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const fid = fc.integer({ min: 1, max: 0xffff_ffff });
const bytes = (length: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((each) => Buffer.from(each));

describe('a key', () => {
  it('of a message comes apart into what it was built from', () => {
    fc.assert(
      fc.property(fid, fc.integer({ min: 1, max: 31 }), bytes(20), (owner, messageType, hash) => {
        const virtualShard = virtualShardOf(owner);
        const expected = { virtualShard, fid: owner, kind: 'message', messageType, hash };
        expect(parseTrieKey(messageKey(owner, messageType, hash), 'here')).toEqual(expected);
      }),
      { seed },
    );
  });

  it('of an on-chain event does', () => {
    fc.assert(
      fc.property(
        fid,
        fc.integer({ min: 1, max: 6 }),
        bytes(32),
        fid,
        (owner, eventType, transactionHash, logIndex) => {
          const expected = {
            virtualShard: virtualShardOf(owner),
            fid: owner,
            kind: 'onChain',
            eventType,
            transactionHash,
            logIndex,
          };
          expect(parseTrieKey(onChainKey(owner, eventType, transactionHash, logIndex), 'here')).toEqual(expected);
        },
      ),
      { seed },
    );
  });

  it.each(['a', 'user1001', 'exactly-twenty-chars', ''])('of the fname %j does', (name) => {
    const expected = { virtualShard: virtualShardOf(12), fid: 12, kind: 'fname', name };
    expect(parseTrieKey(fnameKey(12, name), 'here')).toEqual(expected);
  });

  it('is not to be had of an fname with more than 20 bytes', () => {
    expect(() => fnameKey(12, 'one-and-twenty-chars!')).toThrow('more than 20 bytes');
  });

  it('sorts by virtual shard, fid, then on-chain events, fname and messages by type', () => {
    const hash = Buffer.alloc(20, 255);
    const ordered = [
      onChainKey(7, 1, Buffer.alloc(32, 9), 3),
      onChainKey(7, 6, Buffer.alloc(32), 0),
      fnameKey(7, 'zz'),
      messageKey(7, 1, hash),
      messageKey(7, 15, Buffer.alloc(20)),
    ];
    expect([...ordered].reverse().sort(Buffer.compare)).toEqual(ordered);
  });
});

describe('a fid', () => {
  const route = (routed: number): number => {
    const wide = Buffer.alloc(4);
    wide.writeUInt32BE(routed);
    return Number.parseInt(createHash('sha256').update(wide).digest('hex').slice(0, 8), 16);
  };

  it('has its home shard and virtual shard from the same hash', () => {
    fc.assert(
      fc.property(fid, fid, fc.integer({ min: 1, max: 16 }), (one, other, numShards) => {
        for (const each of [one, other, one]) {
          expect(virtualShardOf(each)).toBe(route(each) % 256);
          expect(homeShardOf(each, numShards)).toBe((route(each) % numShards) + 1);
          expect(accountKey(each).readUInt32BE(1)).toBe(each);
        }
      }),
      { seed },
    );
  });

  it('is where the recorded network has its registrations', () => {
    const homes = snapshots.flatMap(({ shard, height }) =>
      leavesOf(shard, height)
        .map(({ trieKey }) => parseTrieKey(trieKey, 'recording'))
        .filter((key) => key.kind === 'onChain')
        .map((key) => [shard, homeShardOf(key.fid, 2)] as const),
    );
    expect(homes.length).toBeGreaterThan(100);
    expect(homes.filter(([shard, home]) => shard !== home)).toEqual([]);
  });
});

describe('is refused, with its bytes in the message:', () => {
  const account = accountKey(7);
  const elsewhere = Buffer.from(account);
  elsewhere[0] = (elsewhere[0] as number) ^ 1;
  it.each([
    ['no bytes', Buffer.alloc(0), 'too few'],
    ['an account without a record', Buffer.concat([account, Buffer.of(8)]), 'too few'],
    [
      'a message’s hash that is too short',
      Buffer.concat([account, Buffer.of(8), Buffer.alloc(19)]),
      'instead of the 26',
    ],
    ['one that is too long', Buffer.concat([account, Buffer.of(8), Buffer.alloc(21)]), 'instead of the 26'],
    ['a type between two message types', Buffer.concat([account, Buffer.of(9), Buffer.alloc(20)]), 'no message type'],
    [
      'an on-chain event without its index',
      Buffer.concat([account, Buffer.of(1), Buffer.alloc(32)]),
      'instead of the 42',
    ],
    ['type 0', Buffer.concat([account, Buffer.of(0), Buffer.alloc(36)]), 'type 0 is none'],
    ['a fid in another virtual shard', Buffer.concat([elsewhere, Buffer.of(8), Buffer.alloc(20)]), 'belongs into'],
  ])('%s', (_, key, reason) => {
    expect(() => parseTrieKey(key, 'page 3')).toThrow(RecordRefused);
    expect(() => parseTrieKey(key, 'page 3')).toThrow(reason);
    expect(() => parseTrieKey(key, 'page 3')).toThrow(`page 3: trie key ${key.toString('hex') || '(empty)'}`);
  });
});
