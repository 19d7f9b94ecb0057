/** What goes wrong at an emulated network: by chance from a seed, or the next so many times. */

export interface Faults {
  /** Chances from 0 to 1, drawn for each request of the kind. */
  readonly chances: {
    /** A transaction is acknowledged and forgotten. */
    drop: number;
    /** A transaction is taken, the answer is cut off. */
    loseAnswer: number;
    /** An answer of 503. */
    unavailable: number;
    /** A blob is not resolved: Failed. */
    failBlob: number;
    /** Any answer comes late, by up to `delayMs`. */
    delay: number;
  };
  delayMs: number;
  /** Exact: each counts down to 0. */
  readonly next: { drop: number; loseAnswer: number; unavailable: number; failBlob: number; refuseUpload: number };
  /** True if it is to happen now. */
  happens(kind: 'drop' | 'loseAnswer' | 'unavailable' | 'failBlob' | 'refuseUpload'): boolean;
  /** Milliseconds that this answer is late. */
  lateness(): number;
  /** All chances and counts to nothing. */
  clear(): void;
}

export function createFaults(seed: number): Faults {
  let state = seed >>> 0 || 1;
  // xorshift32 (Marsaglia 2003): the same faults for the same seed and order of requests.
  const random = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const chances = { drop: 0, loseAnswer: 0, unavailable: 0, failBlob: 0, delay: 0 };
  const next = { drop: 0, loseAnswer: 0, unavailable: 0, failBlob: 0, refuseUpload: 0 };
  return {
    chances,
    delayMs: 200,
    next,
    happens: (kind) => {
      if (next[kind] > 0) {
        next[kind] -= 1;
        return true;
      }
      return kind !== 'refuseUpload' && chances[kind] > 0 && random() < chances[kind];
    },
    lateness(): number {
      return chances.delay > 0 && random() < chances.delay ? Math.ceil(random() * this.delayMs) : 0;
    },
    clear: () => {
      for (const each of [chances, next] as Record<string, number>[])
        for (const key of Object.keys(each)) each[key] = 0;
    },
  };
}
