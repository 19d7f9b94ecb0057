/** What a request for segments may ask, refused in the words of the original sender (axum and Rust's own parsers). */
import { encodings } from './encode';
import type { Encoding } from './encode';

export interface SegmentsQuery {
  readonly startId: bigint;
  readonly endId: bigint;
  /** As asked: up to 2^64-1, of which SQLite can take half. */
  readonly limit: bigint;
  /** Ours, not the original's: absent means the server's own. */
  readonly encoding?: Encoding;
}

/** The original's, when a request names none. */
const limitDefault = 100n;
const signed = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const unsigned = { min: 0n, max: 2n ** 64n - 1n };

/** The whole text of a 400. */
export class QueryRefused extends Error {
  override readonly name = 'QueryRefused';
  constructor(reason: string) {
    super(`Failed to deserialize query string: ${reason}`);
  }
}

/** `text` is what follows the question mark. Fields we do not know are ignored, as the original does. */
export function parseSegmentsQuery(text: string): SegmentsQuery {
  const integers = new Map<string, bigint>();
  let encoding: Encoding | undefined;
  for (const [key, value] of new URLSearchParams(text)) {
    if (key === 'encoding') encoding = parseEncoding(value);
    if (key !== 'start_id' && key !== 'end_id' && key !== 'limit') continue;
    if (integers.has(key)) throw new QueryRefused(`duplicate field \`${key}\``);
    integers.set(key, parseInteger(key, value));
  }
  return {
    startId: required(integers, 'start_id'),
    endId: required(integers, 'end_id'),
    limit: integers.get('limit') ?? limitDefault,
    ...(encoding && { encoding }),
  };
}

function required(integers: ReadonlyMap<string, bigint>, key: string): bigint {
  const value = integers.get(key);
  if (value === undefined) throw new QueryRefused(`missing field \`${key}\``);
  return value;
}

function parseEncoding(value: string): Encoding {
  const encoding = encodings.find((known) => known === value);
  if (encoding === undefined) {
    throw new QueryRefused(`encoding: unknown variant \`${value}\`, expected \`base64\` or \`integers\``);
  }
  return encoding;
}

/** Rust's `str::parse`: i64 for ids, u64 for the limit. An optional sign, digits, and four ways to be wrong. */
function parseInteger(key: string, text: string): bigint {
  const { min, max } = key === 'limit' ? unsigned : signed;
  const wrong = (reason: string) => new QueryRefused(`${key}: ${reason}`);
  if (text === '') throw wrong('cannot parse integer from empty string');

  const negative = text.startsWith('-') && min < 0n;
  const digits = negative || text.startsWith('+') ? text.slice(1) : text;
  if (digits === '') throw wrong('invalid digit found in string');
  let value = 0n;
  for (const digit of digits) {
    if (digit < '0' || digit > '9') throw wrong('invalid digit found in string');
    value = value * 10n + (negative ? -BigInt(digit) : BigInt(digit));
    if (value > max) throw wrong('number too large to fit in target type');
    if (value < min) throw wrong('number too small to fit in target type');
  }
  return value;
}
