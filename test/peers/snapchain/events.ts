/** A shard's event log: what happened, by id, and how it looks on the wire. */
import { encode } from './bytes';
import { eventsPerBlockMax } from './account';
import { messageTypes, type SignedMessage } from './messages';

export const eventTypes = {
  mergeMessage: 1,
  prune: 2,
  revoke: 3,
  mergeUsernameProof: 6,
  mergeOnChain: 9,
  mergeFailure: 10,
  blockConfirmed: 11,
} as const;

export interface LedgerEvent {
  /** 0 for key messages: they have no place in the log and are only told live. */
  readonly id: number;
  readonly type: number;
  readonly message?: SignedMessage;
  /** What the merge took away. Of compact link states a node never tells it. */
  readonly deleted?: readonly SignedMessage[];
  readonly proof?: Buffer;
  readonly deletedProof?: Buffer;
  readonly deletedMessage?: SignedMessage;
  readonly onChain?: Buffer;
  readonly why?: string;
  readonly block?: { readonly hash: Buffer; readonly total: number; readonly byType: ReadonlyMap<number, number> };
}

export const heightOf = (id: number): number => Math.floor(id / eventsPerBlockMax);

const bodyFields: Record<number, number> = { 1: 3, 2: 4, 3: 5, 6: 8, 9: 11, 10: 13, 11: 16 };

function bodyOf(event: LedgerEvent, shard: number, timestamp: number): Buffer {
  return encode((out) => {
    const { message, proof, deletedProof, deletedMessage, block } = event;
    switch (event.type) {
      case eventTypes.mergeMessage:
        if (message) out.nested(1, message.wire);
        if (message?.type !== messageTypes.linkCompactState)
          for (const each of event.deleted ?? []) out.nested(2, each.wire);
        return;
      case eventTypes.mergeUsernameProof:
        if (proof) out.nested(1, proof);
        if (deletedProof) out.nested(2, deletedProof);
        if (message) out.nested(3, message.wire);
        if (deletedMessage) out.nested(4, deletedMessage.wire);
        return;
      case eventTypes.mergeOnChain:
        if (event.onChain) out.nested(1, event.onChain);
        return;
      case eventTypes.mergeFailure:
        if (message) out.nested(1, message.wire);
        out.bytes(2, 'bad_request.conflict').bytes(3, event.why ?? '');
        return;
      case eventTypes.blockConfirmed:
        out
          .uint(1, heightOf(event.id))
          .uint(2, shard)
          .uint(3, timestamp)
          .bytes(4, block?.hash ?? Buffer.alloc(0));
        out.uint(5, block?.total ?? 0);
        for (const [type, count] of block?.byType ?? [])
          out.nested(
            6,
            encode((entry) => entry.uint(1, type).uint(2, count)),
          );
        return;
      default:
        if (message) out.nested(1, message.wire);
    }
  });
}

/** A HubEvent. `timestamp` is the block's, in seconds of the network's clock. */
export function encodeEvent(event: LedgerEvent, shard: number, timestamp: number): Buffer {
  const field = bodyFields[event.type];
  if (field === undefined)
    throw new Error(`encode event ${event.id} of shard ${shard}: type ${event.type} has no body`);
  return encode((out) =>
    out
      .uint(1, event.type)
      .uint(2, event.id)
      .nested(field, bodyOf(event, shard, timestamp))
      .uint(12, heightOf(event.id))
      .uint(14, shard)
      .uint(15, timestamp),
  );
}

/** The log of one shard: ascending ids, the oldest cut off after a while. */
export class EventLog {
  #events: LedgerEvent[] = [];

  get length(): number {
    return this.#events.length;
  }

  append(events: readonly LedgerEvent[]): void {
    for (const event of events) if (event.id > 0) this.#events.push(event);
  }

  /** Where the first event with this id or a later one stands. */
  #at(id: number): number {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle]?.id ?? 0) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** From `start` on, before `stop`, at most `count`. An id that is not there is no trouble. */
  read(start: number, stop: number | undefined, count: number): LedgerEvent[] {
    const from = this.#at(start);
    const to = stop === undefined ? this.#events.length : this.#at(stop);
    return this.#events.slice(from, Math.min(to, from + count));
  }

  /** What no node should do: one event is gone, and its block counts it. */
  lose(id: number): void {
    this.#events = this.#events.filter((event) => event.id !== id);
  }

  /** What retention does: events before this id are gone. */
  dropBefore(id: number): void {
    this.#events = this.#events.slice(this.#at(id));
  }
}
