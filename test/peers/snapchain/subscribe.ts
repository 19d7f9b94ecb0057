/**
 * Subscribe as a node does it: what is in the log first, then what is new, with the two ways it is known to lose events
 * in silence: between the one and the other, and when a reader is slow.
 */
import type { Fields } from './bytes';
import type { LedgerEvent } from './events';
import type { Ledger } from './ledger';
import type { OutStream } from './node';
import { codes } from './snapshot';

export interface SubscribeOptions {
  /** How many live events wait for a slow reader before they are dropped: 10,000 on a node. */
  readonly lagEventsMax: number;
  /** How many of the first live events after a replay are lost. */
  seamLossEvents: number;
}

export interface SubscribeLosses {
  lagged: number;
  seam: number;
}

const replayBatch = 1000;

export function subscribe(
  ledger: Ledger,
  request: Fields,
  stream: OutStream,
  options: SubscribeOptions,
  losses: SubscribeLosses,
): void {
  const index = request.optionalUint(4);
  if (index !== undefined && !ledger.shard(index)) {
    return stream.fail(codes.unknown, 'invalid_internal_state/Invalid shard id');
  }
  const shards = ledger.shards.map((shard) => shard.index).filter((each) => index === undefined || each === index);
  const types = new Set(request.uints(1)); // none named: none sent
  const live = new LiveQueue(stream, options.lagEventsMax, losses);
  const goLive = (seamLoss: number): void => {
    let loss = seamLoss;
    const stop = ledger.onBlock((shard, events) => {
      if (!shards.includes(shard)) return;
      for (const event of events) {
        if (!types.has(event.type)) continue;
        if (loss > 0) {
          loss -= 1;
          losses.seam += 1;
        } else live.push(() => ledger.encode(shard, event));
      }
    });
    stream.onClose(stop);
  };
  const from = request.optionalUint(2);
  if (from === undefined) goLive(0);
  else replay(ledger, shards, from, types, stream, () => goLive(options.seamLossEvents));
}

/** Sends the logs of the shards, one after the other, at the reader's pace. */
function replay(
  ledger: Ledger,
  shards: readonly number[],
  from: number,
  types: ReadonlySet<number>,
  stream: OutStream,
  done: () => void,
): void {
  const [shard, ...others] = shards;
  if (shard === undefined) return done();
  let next = from;
  const step = (): void => {
    while (stream.isOpen) {
      const events: LedgerEvent[] = ledger.shard(shard)?.log.read(next, undefined, replayBatch) ?? [];
      if (events.length === 0) return replay(ledger, others, from, types, stream, done);
      next = (events.at(-1)?.id ?? next) + 1;
      let more = true;
      for (const event of events) if (types.has(event.type)) more = stream.send(ledger.encode(shard, event));
      if (!more) return stream.onDrain(step);
    }
  };
  step();
}

/** Live events on their way to one reader. A full queue drops the oldest and says nothing. */
class LiveQueue {
  readonly #waiting: (() => Buffer)[] = [];
  #isBlocked = false;

  constructor(
    readonly stream: OutStream,
    readonly waitingMax: number,
    readonly losses: SubscribeLosses,
  ) {}

  push(event: () => Buffer): void {
    if (!this.stream.isOpen) return;
    this.#waiting.push(event);
    if (this.#waiting.length > this.waitingMax) {
      this.#waiting.shift();
      this.losses.lagged += 1;
    }
    this.#flush();
  }

  #flush(): void {
    while (!this.#isBlocked) {
      const event = this.#waiting.shift();
      if (!event) return;
      if (this.stream.send(event())) continue;
      this.#isBlocked = true;
      this.stream.onDrain(() => {
        this.#isBlocked = false;
        this.#flush();
      });
    }
  }
}
