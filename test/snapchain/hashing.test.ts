/** The two checks of the network, against known answers and forgeries. */
import { sign } from 'node:crypto';
import { blake3, loadHashing, signatureChecks } from '../../activities/snapchain/hashing';
import { decodeMessage } from '../../activities/snapchain/message-data';
import type { Message } from '../../activities/snapchain/wire';
import { defaultKey, like, madeMessage, newKey } from './encoded';

beforeAll(loadHashing);

const message = (): Message => decodeMessage(madeMessage(like(9, 5)).bytes, 'test');

describe('blake3', () => {
  it.each([
    // The first 20 bytes of the algorithm's own published answers.
    ['', 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9'],
    ['abc', '6437b3ac38465133ffb63b75273a8db548c55846'],
  ])('of %j is what it should be', (text, expected) => {
    expect(blake3(Buffer.from(text)).toString('hex')).toBe(expected);
  });

  it('gives bytes of its own, which the next hash leaves alone', () => {
    const first = blake3(Buffer.from('a'));
    const copy = Buffer.from(first);
    blake3(Buffer.from('b'));
    expect(first).toEqual(copy);
  });
});

describe('a signature', () => {
  it('passes if it is the signer’s, for many signers and again', () => {
    const checks = signatureChecks({ sampleRatio: 1 });
    for (let at = 0; at < 20; at += 1) {
      const key = newKey();
      const signed = decodeMessage(madeMessage(like(9, at), {}, key).bytes, 'test');
      expect([checks.passes(signed), checks.passes(signed)]).toEqual([true, true]);
    }
    expect(checks.checked).toBe(40);
  });

  const forged: [string, (message: Message) => Partial<Message>][] = [
    [
      'with another bit',
      ({ signature }) => ({ signature: Buffer.from(signature.map((b, at) => (at === 9 ? b ^ 1 : b))) }),
    ],
    ['of another hash', () => ({ signature: sign(null, Buffer.alloc(20), defaultKey.secret) })],
    ['of another signer', ({ hash }) => ({ signature: sign(null, hash, newKey().secret) })],
    ['that is too short', ({ signature }) => ({ signature: signature.subarray(1) })],
    ['by a key that is too short', ({ signer }) => ({ signer: signer.subarray(1) })],
    ['by no key', () => ({ signer: Buffer.alloc(0) })],
  ];
  it.each(forged)('%s does not pass', (_, change) => {
    const checks = signatureChecks({ sampleRatio: 1 });
    const right = message();
    expect(checks.passes({ ...right, ...change(right) })).toBe(false);
    expect(checks.passes(right)).toBe(true);
  });

  it('of another scheme than ed25519 passes unchecked', () => {
    const checks = signatureChecks({ sampleRatio: 1 });
    expect(checks.passes({ ...message(), signatureScheme: 2, signature: Buffer.alloc(65) })).toBe(true);
    expect(checks.checked).toBe(0);
  });
});

describe('a sample', () => {
  const forgery = (): Message => ({ ...message(), signature: Buffer.alloc(64) });

  it('of none looks at none', () => {
    const checks = signatureChecks({ sampleRatio: 0, random: () => 0 });
    expect(checks.passes(forgery())).toBe(true);
    expect(checks.checked).toBe(0);
  });

  it('looks at as many as it says, by the numbers it draws', () => {
    const drawn = [0.1, 0.3, 0.24, 0.9];
    const checks = signatureChecks({ sampleRatio: 0.25, random: () => drawn.shift() ?? 1 });
    expect([1, 2, 3, 4].map(() => checks.passes(forgery()))).toEqual([false, true, false, true]);
    expect(checks.checked).toBe(2);
  });
});
