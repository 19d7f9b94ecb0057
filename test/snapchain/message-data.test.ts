/** Messages and chain records from bytes: each type's body as an independent encoder wrote it, and a refusal for all damage. */
import { RecordRefused } from '../../activities/shared/failures';
import { decodeFnameTransfer, decodeNameProof, decodeOnChainEvent } from '../../activities/snapchain/chain-record';
import { decodeEventHead } from '../../activities/snapchain/event';
import { blake3, loadHashing } from '../../activities/snapchain/hashing';
import { decodeMessage } from '../../activities/snapchain/message-data';
import { messageTypes, type Body } from '../../activities/snapchain/wire';
import * as bodies from '../peers/snapchain/bodies';
import { encode } from '../peers/snapchain/bytes';
import { signMessage, signerOf } from '../peers/snapchain/messages';
import { loadHashing as loadPeerHashing } from '../peers/snapchain/trie';
import { like, madeMessage } from './encoded';

beforeAll(async () => {
  await loadHashing();
  await loadPeerHashing();
});

const bytesOf = (fill: number, length: number): Buffer => Buffer.alloc(length, fill);
const cast = { fid: 12, hash: bytesOf(5, 20) };
const name = {
  timestamp: 1_700_000_000,
  name: 'alice.eth',
  owner: bytesOf(1, 20),
  signature: bytesOf(2, 65),
  fid: 7,
  nameType: 2,
};
const claim = { address: bytesOf(3, 20), claimSignature: bytesOf(4, 65), blockHash: bytesOf(6, 32) };
const quiet = { parent: null, mentions: [], mentionsPositions: [], embeds: [], embedsDeprecated: [], castType: 0 };
const noKeyFields = { custodySignature: bytesOf(0, 0), deadline: 0, metadata: bytesOf(0, 0) };

const written: [string, bodies.Body, Body][] = [
  ['an empty cast', bodies.castAdd({ text: '' }), { kind: 'castAdd', text: '', ...quiet }],
  [
    'a cast with everything',
    bodies.castAdd({
      text: 'naïve 日本語 🟪',
      parent: cast,
      mentions: [3, 4_294_967_295],
      mentionsPositions: [0, 7],
      embeds: ['https://x.example', cast],
      embedsDeprecated: ['https://old.example'],
      castType: 2,
    }),
    {
      kind: 'castAdd',
      text: 'naïve 日本語 🟪',
      parent: { cast },
      mentions: [3, 4_294_967_295],
      mentionsPositions: [0, 7],
      embeds: [{ url: 'https://x.example' }, { cast }],
      embedsDeprecated: ['https://old.example'],
      castType: 2,
    },
  ],
  [
    'a cast under an address',
    bodies.castAdd({ text: 'a', parent: 'https://p.example' }),
    { kind: 'castAdd', text: 'a', ...quiet, parent: { url: 'https://p.example' } },
  ],
  ['a removed cast', bodies.castRemove(cast.hash), { kind: 'castRemove', targetHash: cast.hash }],
  ['a like', bodies.reactionAdd(1, cast), { kind: 'reaction', reactionType: 1, target: { cast } }],
  ['a recast taken back', bodies.reactionRemove(2, 'u'), { kind: 'reaction', reactionType: 2, target: { url: 'u' } }],
  [
    'a link made anew',
    bodies.linkAdd('follow', 9, 55),
    { kind: 'link', linkType: 'follow', targetFid: 9, displayTimestamp: 55 },
  ],
  [
    'a link taken back',
    bodies.linkRemove('block', 0),
    { kind: 'link', linkType: 'block', targetFid: 0, displayTimestamp: null },
  ],
  [
    'a compact link state',
    bodies.linkCompactState('follow', [1, 70_000, 300]),
    { kind: 'linkCompactState', linkType: 'follow', targetFids: [1, 70_000, 300] },
  ],
  [
    'a verification by a contract',
    bodies.verificationAdd({ ...claim, verificationType: 1, chainId: 10 }),
    { kind: 'verificationAdd', ...claim, verificationType: 1, chainId: 10, protocol: 0 },
  ],
  [
    'a Solana verification taken back',
    bodies.verificationRemove(bytesOf(8, 32), 1),
    { kind: 'verificationRemove', address: bytesOf(8, 32), protocol: 1 },
  ],
  ['a bio', bodies.userData(3, 'me\u0000'), { kind: 'userData', dataType: 3, value: 'me\u0000' }],
  ['a name', bodies.usernameProof(name), { kind: 'usernameProof', proof: name }],
  ['a loan', bodies.lendStorage(9, 3), { kind: 'lendStorage', toFid: 9, units: 3, unitType: 2 }],
  ['a loan taken back', bodies.lendStorage(9, 0), { kind: 'lendStorage', toFid: 9, units: 0, unitType: 2 }],
  [
    'a key',
    bodies.keyAdd(bytesOf(9, 32), 4, [1, 3, 5], 3600),
    {
      kind: 'keyAdd',
      key: bytesOf(9, 32),
      keyType: 1,
      ...noKeyFields,
      nonce: 4,
      metadataType: 1,
      registrationTxHash: bytesOf(0, 0),
      scopes: [1, 3, 5],
      ttlSeconds: 3600,
    },
  ],
  [
    'a key taken back',
    bodies.keyRemove(bytesOf(9, 32), 5),
    { kind: 'keyRemove', key: bytesOf(9, 32), signature: bytesOf(0, 0), signatureType: 1, deadline: 0, nonce: 5 },
  ],
  [
    'a frame action',
    {
      type: 13,
      field: 16,
      bytes: encode((out) =>
        out
          .bytes(1, 'https://f')
          .uint(2, 3)
          .nested(
            3,
            encode((id) => id.uint(1, 12).bytes(2, cast.hash)),
          ),
      ),
    },
    {
      kind: 'frameAction',
      url: Buffer.from('https://f'),
      buttonIndex: 3,
      cast,
      inputText: bytesOf(0, 0),
      state: bytesOf(0, 0),
      transactionId: bytesOf(0, 0),
      address: bytesOf(0, 0),
    },
  ],
  ...[18, 19, 20, 21].map((type): [string, bodies.Body, Body] => [
    `a channel message of type ${type}`,
    { type, field: type + 3, bytes: Buffer.from('0a01aa', 'hex') },
    { kind: 'channel', bytes: Buffer.from('0a01aa', 'hex') },
  ]),
];

describe('a message with', () => {
  const signer = signerOf(1, 7);
  describe.each(['both', 'data', 'dataBytes'] as const)('content in %s', (carries) => {
    it.each(written)('%s is read as it was written', (_, body, expected) => {
      const { wire, hash } = signMessage(body, { fid: 7, timestamp: 1234, signer, carries });
      const read = decodeMessage(wire, 'test');
      expect(read.body).toEqual(expected);
      expect({ ...read, body: null, content: null, signature: null }).toEqual({
        hash: Buffer.from(hash, 'latin1'),
        type: body.type,
        fid: 7,
        timestamp: 1234,
        network: 3,
        body: null,
        content: null,
        signature: null,
        signatureScheme: 1,
        signer: signer.publicKey,
      });
    });
  });

  it('every type of the network is written above', () => {
    const types = new Set(written.map(([, { type }]) => type));
    expect([...types].sort((a, b) => a - b)).toEqual(Object.values(messageTypes).sort((a, b) => a - b));
  });

  it('a content that was hashed differently from the one beside it is read from what was hashed', () => {
    const other = madeMessage({ ...like(9, 5), fid: 99 });
    expect(decodeMessage(madeMessage(like(9, 5), { content: other.content }).bytes, 'test').fid).toBe(7);
  });
});

describe('is refused, by name:', () => {
  const hash = bytesOf(1, 20);
  const wrong: [string, () => Buffer, string][] = [
    [
      'a content that does not have the hash',
      () => madeMessage(like(9, 5), { hash }).bytes,
      'its content has the hash',
    ],
    ['a short hash', () => madeMessage(like(9, 5), { hash: hash.subarray(1) }).bytes, '19 bytes instead of 20'],
    ['another hash scheme', () => madeMessage(like(9, 5), { hashScheme: 2 }).bytes, 'hash scheme 2'],
    ['no content', () => madeMessage(like(9, 5), { content: null, signedContent: null }).bytes, 'no content'],
    ['no body', () => madeMessage({ type: 1 }).bytes, 'without the body that goes with it'],
    ['another type’s body', () => madeMessage({ ...like(9, 5), type: 5 }).bytes, 'of type 5, without the body'],
    ['a type of the future', () => madeMessage({ ...like(9, 5), type: 99 }).bytes, 'type 99 is not known'],
    ['fid 0', () => madeMessage({ ...like(9, 5), fid: 0 }).bytes, 'fid 0 is not from 1 to 2^32'],
    ['fid 2^32', () => madeMessage({ ...like(9, 5), fid: 2 ** 32 }).bytes, 'fid 4294967296'],
    [
      'a reaction to nothing',
      () => madeMessage({ type: 3, reaction: { reactionType: 1 } }).bytes,
      'neither a cast nor',
    ],
    ['a link to nobody', () => madeMessage({ type: 5, link: { linkType: 'follow' } }).bytes, 'a link to no fid'],
    [
      'a removal of a short hash',
      () => madeMessage({ type: 2, castRemove: { targetHash: hash.subarray(2) } }).bytes,
      '18 bytes',
    ],
    [
      'a name proof without a name',
      () => madeMessage({ type: 12, usernameProof: { fid: 7 } }).bytes,
      'without its name',
    ],
  ];
  it.each(wrong)('a message with %s', (_, made, reason) => {
    expect(() => decodeMessage(made(), 'page 3')).toThrow(RecordRefused);
    expect(() => decodeMessage(made(), 'page 3')).toThrow(reason);
    expect(() => decodeMessage(made(), 'page 3')).toThrow(/^page 3: message [0-9a-f]{38,40}: /);
  });

  it('a number beyond 2^53, wherever it stands', () => {
    // A link to 2^63: field 14, of it field 3.
    const content = Buffer.from('080510071805' + '2003' + '720b18' + '80808080808080808001', 'hex');
    const message = madeMessage(like(9, 5), { signedContent: content, hash: blake3(content) });
    expect(() => decodeMessage(message.bytes, 'page 3')).toThrow('number beyond 2^53');
  });

  it.each([
    ['a transfer without its proof', () => decodeFnameTransfer(Buffer.alloc(0), 'leaf 2'), 'without a proof'],
    ['a proof without a name', () => decodeNameProof(Buffer.from('2807', 'hex'), 'leaf 2'), 'without its name'],
    [
      'an on-chain event without a transaction',
      () => decodeOnChainEvent(Buffer.alloc(0), 'leaf 2'),
      'hash has 0 bytes',
    ],
    [
      'an event of a type whose body is not there',
      () => decodeEventHead(Buffer.from('08011005', 'hex'), 'page 2'),
      'event 5 of type 1',
    ],
  ])('%s', (_, read, reason) => {
    expect(read).toThrow(RecordRefused);
    expect(read).toThrow(reason);
  });
});
