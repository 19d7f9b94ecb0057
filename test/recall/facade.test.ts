/** Our declaration of the network's contracts against what is published of them. */
import fc from 'fast-check';
import { encodeAbiParameters, type Hex } from 'viem';
import {
  decodeAddedKey,
  decodeAddObject,
  decodeBlobStatus,
  encodeAddObject,
  encodeFirstObject,
  encodeGetObject,
  objectAddedTopic,
} from '../../activities/recall/facade';

const word = (byte: string): Hex => `0x${byte.repeat(32)}`;
const call = {
  ...{ source: word('01'), key: 'trade/ü', blobHash: word('02'), recoveryHash: word('03') },
  ...{ size: 4_999_999_999, ttl: 86_400, overwrite: true },
  metadata: [{ key: 'sha256', value: 'ab' }],
};

it('selectors and topics are the published ones', () => {
  expect(encodeAddObject(call).slice(0, 10)).toBe('0x774343fe');
  expect(encodeGetObject('a').slice(0, 10)).toBe('0x0153ea91');
  expect(encodeFirstObject().slice(0, 10)).toBe('0x17d352c0');
  expect(objectAddedTopic.slice(0, 10)).toBe('0x3cf4a57a');
});

it('a call comes out as it went in; anything else is none', () => {
  const data = encodeAddObject(call);
  expect(decodeAddObject(data)).toEqual(call);
  expect(decodeAddObject(encodeGetObject('a'))).toBeNull();
  const other = fc.uint8Array({ maxLength: 200 }).map((bytes) => `0x${Buffer.from(bytes).toString('hex')}` as const);
  fc.assert(fc.property(other, (garbage) => expect(decodeAddObject(garbage)).toBeNull()));
  const cut = fc.integer({ min: 1, max: data.length / 2 - 2 }).map((bytes): Hex => `0x${data.slice(2, 2 + 2 * bytes)}`);
  fc.assert(
    fc.property(cut, (short) => {
      const found = decodeAddObject(short);
      // The last word's padding may be missing; of what is said nothing may.
      if (found !== null) expect(found).toEqual(call);
    }),
  );
});

it('a key comes out of its event', () => {
  const data = encodeAbiParameters(
    [{ type: 'bytes' }, { type: 'bytes32' }, { type: 'bytes' }],
    [`0x${Buffer.from('trade/ü').toString('hex')}`, word('02'), '0x'],
  );
  expect(decodeAddedKey(data)).toBe('trade/ü');
});

describe('a blob', () => {
  const answer = (size: bigint, status: number): Hex =>
    encodeAbiParameters(
      [
        {
          type: 'tuple',
          components: [
            { name: 'size', type: 'uint64' },
            { name: 'metadataHash', type: 'bytes32' },
            {
              name: 'subscriptions',
              type: 'tuple[]',
              components: [
                { name: 'id', type: 'string' },
                { name: 'expiry', type: 'uint64' },
              ],
            },
            { name: 'status', type: 'uint8' },
          ],
        },
      ],
      [{ size, metadataHash: word('04'), subscriptions: [{ id: 'one', expiry: 5n }], status }],
    );
  it.each([
    [5n, 0, 'added'],
    [5n, 1, 'pending'],
    [5n, 2, 'resolved'],
    [5n, 3, 'failed'],
    [0n, 3, 'unknown'],
    [5n, 9, 'unknown'],
  ] as const)('of %d bytes and status %d is %s, whatever is subscribed to it', (size, status, name) => {
    expect(decodeBlobStatus(answer(size, status))).toBe(name);
  });
});
