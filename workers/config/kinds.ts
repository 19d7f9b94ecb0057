/** Kinds of settings: each takes a flag's or a variable's text as well as a file's own value, and says what it allows. Pure. */
import { z } from 'zod';

export interface Option {
  readonly schema: z.ZodType;
  readonly default: unknown;
  /** One sentence. */
  readonly about: string;
  /** Never shown. May be given as a file: `<key>_file`. */
  readonly secret?: true;
  /** What of a secret may be shown. Absent: nothing. */
  readonly shownAs?: (value: unknown) => string;
  /** The original's own variables for it; WAYBILL_TABLE_KEY comes before them. */
  readonly aliases?: readonly string[];
}

export function option<S extends z.ZodType>(
  schema: S,
  fallback: z.output<S>,
  about: string,
): { schema: S; default: z.output<S>; about: string } {
  return { schema, default: fallback, about };
}

export const text = z.string({ error: 'a text' });

export const count = (min: number, max: number): z.ZodType<number> => {
  const error = `a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};

export const flag = z
  .union([z.boolean(), z.enum(['true', 'false', '1', '0'])], { error: 'true or false' })
  .transform((value) => value === true || value === 'true' || value === '1');

const commaList = z.string().transform((value) => value.split(',').flatMap((each) => each.trim() || []));
export const list = z.union([z.array(z.string()), commaList], { error: 'a list of texts' });

const units: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };
const magnitude = (error: string): z.ZodType<number> =>
  z
    .union([z.number(), z.string()], { error })
    .transform((value) => /^(\d+(?:\.\d+)?)([kmg]?)b?$/i.exec(String(value)))
    .refine((match) => match !== null, { error })
    .transform((match) => Math.round(Number(match?.[1]) * (units[(match?.[2] ?? '').toLowerCase()] ?? 1)));

/** `500k`, `2M`, `0`: decimal multiples, the units in which lines are sold. */
export const bytesPerSecond = magnitude('bytes a second, such as 500k or 2M; 0 is unlimited');

/** `1500`, `64k`, `2G`: decimal multiples. */
export const byteCount = (min: number, max: number): z.ZodType<number> => {
  const error = `bytes from ${min} to ${max}, such as 64k, 20M or 2G`;
  return magnitude(error).refine((bytes) => bytes >= min && bytes <= max, { error });
};

export const databaseUrl = z
  .string({ error: 'a text' })
  .regex(/^(|postgres(ql)?:\/\/.+)$/, { error: 'an address as postgres://user:password@host:5432/database' });

export const listenAddress = z.string().regex(/^(|.+:\d{1,5})$/, { error: 'HOST:PORT, or an empty text for none' });

/** One of `words`, or several. */
export const someOf = <W extends readonly [string, ...string[]]>(words: W, what: string): z.ZodType<W[number][]> =>
  list.pipe(
    z.array(z.enum(words, { error: `${what}s out of: ${words.join(', ')}` })).min(1, { error: `at least one ${what}` }),
  );
