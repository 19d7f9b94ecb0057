/** The parser against JSON.parse: same rows for whatever is legal, in whatever pieces; a refusal for whatever is not. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { SegmentParser, SegmentRefused } from '../../activities/audio/segment-parser';

interface Row {
  id: number;
  timestamp_ms: number;
  is_timestamp_from_source: number;
  audio: Buffer;
}

function parse(answer: Buffer, pieces: readonly number[] = [], batchBytes = 8 << 20): Row[] {
  const parser = new SegmentParser();
  const rows: Row[] = [];
  const take = (): void => {
    for (const { id, timestampMs, isTimestampFromSource, audio } of parser.take()) {
      rows.push({
        id,
        timestamp_ms: timestampMs,
        is_timestamp_from_source: isTimestampFromSource,
        audio: Buffer.from(audio),
      });
    }
    parser.release();
  };
  const cuts = [...pieces.map((at) => at % (answer.length + 1)), 0, answer.length].sort((a, b) => a - b);
  for (let index = 1; index < cuts.length; index += 1) {
    const chunk = answer.subarray(cuts[index - 1], cuts[index]);
    for (let at = 0; at < chunk.length;) {
      at = parser.push(chunk, at, batchBytes);
      if (parser.pendingBytes >= batchBytes && parser.isBetweenRows) take();
    }
  }
  parser.finish();
  take();
  return rows;
}

const row = fc.record({
  id: fc.integer({ min: 1, max: 2 ** 48 }),
  timestamp_ms: fc.integer({ min: -1e15, max: 1e15 }),
  is_timestamp_from_source: fc.constantFrom(0, 1),
  audio: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});
const encoded = (rows: Row[], encode: (audio: Buffer) => unknown): object[] =>
  rows.map(({ audio, ...rest }) => ({ ...rest, audio_data: encode(audio) }));
const integers = (audio: Buffer): number[] => [...audio];
const base64 = (audio: Buffer): string => audio.toString('base64');

describe('a sender’s answer', () => {
  it.each([
    ['integers', integers],
    ['base64', base64],
  ])('comes out of %s byte for byte, however it is cut into chunks and spaced', (_, encode) => {
    fc.assert(
      fc.property(
        fc.array(row, { maxLength: 8 }),
        fc.array(fc.nat(5000), { maxLength: 12 }),
        fc.constantFrom(0, 1, 3),
        fc.constantFrom(1, 100, 1 << 20),
        (rows, cuts, indent, batch) => {
          const answer = Buffer.from(JSON.stringify(encoded(rows, encode), null, indent));
          expect(parse(answer, cuts, batch)).toEqual(rows);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('takes both encodings in one answer, keys in any order, and keys it does not know', () => {
    const answer = `[{"audio_data":[1,2,255],"section_id":7,"id":1,"is_timestamp_from_source":1,"timestamp_ms":5,"kind":"x"},
      {"id":2,"audio_data":"AQL/","timestamp_ms":6,"is_timestamp_from_source":0}]`;
    expect(parse(Buffer.from(answer)).map(({ audio }) => [...audio])).toEqual([
      [1, 2, 255],
      [1, 2, 255],
    ]);
  });

  it('takes base64 whose slashes were escaped by the sender’s JSON encoder', () => {
    const audio = randomBytes(3000);
    const text = audio.toString('base64').replaceAll('/', '\\/');
    const answer = Buffer.from(`[{"id":1,"timestamp_ms":1,"is_timestamp_from_source":0,"audio_data":"${text}"}]`);
    for (const cut of [0, 90, 1000, 2001]) expect(parse(answer, [cut])[0]?.audio.equals(audio)).toBe(true);
  });

  const refused: [string, string][] = [
    ['an integer over 255', '[1,256,3]'],
    ['a negative integer', '[1,-2,3]'],
    ['a fraction', '[1,2.5]'],
    ['a leading zero', '[1,02,3]'],
    ['an exponent', '[1,1e2]'],
    ['an empty place', '[1,,3]'],
    ['a trailing comma', '[1,2,]'],
    ['two integers and no comma', '[1 2]'],
    ['a nested array', '[[1]]'],
    ['a text inside the array', '["AA=="]'],
    ['null', 'null'],
    ['a number', '12'],
    ['an object', '{"0":1}'],
    ['base64 without padding', '"AQ"'],
    ['base64 with a blank', '"AQ ID"'],
    ['base64 with a line break', '"AQID\\nAQID"'],
    ['base64url', '"-_-_"'],
    ['padding in the middle', '"AQ==AQID"'],
    ['too much padding', '"AQ==="'],
    ['padding only', '"===="'],
    ['bits after the end', '"AR=="'],
    ['plain text', '"hello!"'],
    ['hexadecimal of odd length', '"0a0b0"'],
  ];
  it.each(refused)('is refused for %s as audio', (_, audio) => {
    const answer = Buffer.from(`[{"id":7,"timestamp_ms":1,"is_timestamp_from_source":0,"audio_data":${audio}}]`);
    expect(() => parse(answer)).toThrow(SegmentRefused);
    expect(() => parse(answer)).toThrow(/segment 7/);
    // One byte at a time leaves the fast path out.
    expect(() => parse(answer, [...answer.keys()])).toThrow(SegmentRefused);
  });

  const broken = [
    '',
    '[',
    '{}',
    '[{"id":1}]',
    '[{"id":1,"timestamp_ms":1,"is_timestamp_from_source":0}]',
    '[]x',
    '[,]',
    '{"error":"x"}',
    '<html>',
  ];
  const fields = [
    '"id":0',
    '"id":-1',
    '"id":"1"',
    '"id":1.5',
    '"id":9007199254740993',
    '"id":01',
    '"id":1,"id":2',
    '"id":1,"x":{}',
    '"id":1,"is_timestamp_from_source":2',
  ];
  it.each([
    ...broken,
    ...fields.map((field) => `[{${field},"timestamp_ms":1,"is_timestamp_from_source":0,"audio_data":[]}]`),
  ])('is refused when it is %s', (answer) => {
    expect(() => parse(Buffer.from(answer))).toThrow(SegmentRefused);
  });

  it('is refused when cut anywhere', () => {
    const answer = Buffer.from(
      JSON.stringify(
        encoded([{ id: 1, timestamp_ms: 1, is_timestamp_from_source: 1, audio: Buffer.from([9, 99, 199]) }], integers),
      ),
    );
    for (let length = 0; length < answer.length; length += 1)
      expect(() => parse(answer.subarray(0, length))).toThrow(SegmentRefused);
  });

  it('gives rows out in batches and uses the same memory again', () => {
    const parser = new SegmentParser();
    const audio = randomBytes(3 << 20);
    const rows = [1, 2, 3].map((id) => ({
      id,
      timestamp_ms: id,
      is_timestamp_from_source: 0,
      audio_data: audio.toString('base64'),
    }));
    const answer = Buffer.from(JSON.stringify(rows));
    const batches: number[][] = [];
    for (let at = 0; at < answer.length;) {
      at = parser.push(answer, at, 1 << 20);
      if (parser.pendingBytes < 1 << 20 || !parser.isBetweenRows) continue;
      const batch = parser.take();
      expect(batch.every((segment) => segment.audio.equals(audio))).toBe(true);
      batches.push(batch.map(({ id }) => id));
      parser.release();
    }
    expect(batches).toEqual([[1], [2], [3]]);
  });
});
