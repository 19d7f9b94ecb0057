/** What goes wrong at an emulated network: by chance from a seed, or the next so many times. */

export type Fault =
  /** A transaction is acknowledged and lost before it is checked: the chain goes on expecting its nonce. */
  | 'drop'
  /** A transaction is acknowledged, checked, and lost out of the mempool: with the next block its nonce is expected again. */
  | 'evict'
  /** A transaction is taken, the answer is cut off. */
  | 'loseAnswer'
  /** An answer of 503, from either front. */
  | 'unavailable'
  /** The connection ends in the middle of an answer, from either front. */
  | 'cut'
  /** A blob is not resolved: Failed. */
  | 'failBlob'
  /** An upload is answered with 400. */
  | 'refuseUpload'
  /** An upload is answered with 500. */
  | 'failUpload'
  /** An object is read back with one bit changed. */
  | 'corrupt';

export interface Faults {
  /** From 0 to 1, drawn for each request of the kind. `delay`: any answer comes late, by up to `delayMs`. */
  readonly chances: Record<Fault | 'delay', number>;
  delayMs: number;
  /** Exact: each counts down to 0. */
  readonly next: Record<Fault, number>;
  /** True if it is to happen now. */
  happens(fault: Fault): boolean;
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
  const next = none();
  const chances = { ...none(), delay: 0 };
  return {
    chances,
    delayMs: 200,
    next,
    happens: (fault) => {
      if (next[fault] > 0) {
        next[fault] -= 1;
        return true;
      }
      return chances[fault] > 0 && random() < chances[fault];
    },
    lateness(): number {
      return chances.delay > 0 && random() < chances.delay ? Math.ceil(random() * this.delayMs) : 0;
    },
    clear: () => {
      Object.assign(next, none());
      Object.assign(chances, { ...none(), delay: 0 });
    },
  };
}

const none = (): Record<Fault, number> => ({
  drop: 0,
  evict: 0,
  loseAnswer: 0,
  unavailable: 0,
  cut: 0,
  failBlob: 0,
  refuseUpload: 0,
  failUpload: 0,
  corrupt: 0,
});
