/**
 * A shard's events: first their head, so that even an event that cannot be read has its id and its place in the log, then
 * what happened.
 */
import { RecordRefused } from '../shared/failures';
import { decodeNameProof, decodeOnChainEvent } from './chain-record';
import { decodeMessage } from './message-data';
import { decodeAs, wireType } from './schema';
import type { Message, NameProof, OnChainEvent } from './wire';

export const eventTypes = {
  mergeMessage: 1,
  pruneMessage: 2,
  revokeMessage: 3,
  mergeUsernameProof: 6,
  mergeOnChainEvent: 9,
  mergeFailure: 10,
  blockConfirmed: 11,
  channelOwnerChangeHint: 12,
} as const;

/** An event's id is its block's height, then 14 bits of sequence, of which 0 is the block's confirmation. */
const sequences = 16_384;

export const heightOfEvent = (id: number): number => Math.floor(id / sequences);
export const sequenceOfEvent = (id: number): number => id % sequences;
export const firstEventOf = (height: number): number => height * sequences;
/** The version of a snapshot's rows: the last before the next block's first event. */
export const snapshotVersion = (height: number): number => firstEventOf(height + 1) - 1;

export interface EventHead {
  /**
   * Strictly ascending in a shard; other shards have the same ids. 0: an event without a place in the log (of key
   * messages). No cursor may ever be moved to it.
   */
  readonly id: number;
  /** One of `eventTypes`, or of a later network's. */
  readonly type: number;
  readonly shardIndex: number;
  /** 0 where `id` is. */
  readonly blockNumber: number;
  /** The block's; 0 if the node has it no more. */
  readonly timestamp: number;
  /** Null: of a type that is not known here. */
  readonly body: Buffer | null;
}

export type HubEvent =
  /** `deleted` are those that gave way, except for compact link states, of which a node does not tell them. */
  | { readonly kind: 'merge'; readonly message: Message; readonly deleted: readonly Message[] }
  | { readonly kind: 'prune'; readonly message: Message }
  | { readonly kind: 'revoke'; readonly message: Message }
  | UsernameProofEvent
  | { readonly kind: 'onChain'; readonly event: OnChainEvent }
  /** Changes nothing. */
  | { readonly kind: 'failure'; readonly code: string; readonly reason: string }
  | BlockConfirmed
  /** A nudge to read a channel's owner anew; changes nothing that is synced. */
  | { readonly kind: 'channelHint' }
  /** Of a network newer than this program: it counts as one of its block's, and that is all that is known of it. */
  | { readonly kind: 'unknown'; readonly type: number };

/** A name's proof came, went, or gave way. With `message` it was a user's (ENS, base), without the name server's (fname). */
export interface UsernameProofEvent {
  readonly kind: 'usernameProof';
  readonly proof: NameProof | null;
  readonly deletedProof: NameProof | null;
  readonly message: Message | null;
  readonly deletedMessage: Message | null;
}

/** The first event of every block. */
export interface BlockConfirmed {
  readonly kind: 'blockConfirmed';
  readonly blockNumber: number;
  readonly shardIndex: number;
  readonly timestamp: number;
  readonly blockHash: Buffer;
  /** Of this block, this one among them. Live key events, which have no id, may be counted though the log has them not. */
  readonly totalEvents: number;
  readonly countsByType: ReadonlyMap<number, number>;
}

interface WireHead extends Omit<EventHead, 'body'> {
  readonly mergeMessage: Buffer | null;
  readonly pruneMessage: Buffer | null;
  readonly revokeMessage: Buffer | null;
  readonly mergeUsernameProof: Buffer | null;
  readonly mergeOnChainEvent: Buffer | null;
  readonly mergeFailure: Buffer | null;
  readonly blockConfirmed: Buffer | null;
  readonly channelOwnerChangeHint: Buffer | null;
}

const bodyFields = new Map<number, keyof WireHead>(
  Object.entries(eventTypes).map(([name, type]) => [type, name as keyof WireHead]),
);

const wireHead = wireType<WireHead>('HubEvent');
const wireMessageChange = wireType<{
  readonly message: Buffer | null;
  readonly deletedMessages: readonly Buffer[];
}>('MessageChange');
const wireProofChange = wireType<{
  readonly proof: Buffer | null;
  readonly deletedProof: Buffer | null;
  readonly message: Buffer | null;
  readonly deletedMessage: Buffer | null;
}>('UsernameProofChange');
const wireOnChainChange = wireType<{ readonly onChainEvent: Buffer | null }>('OnChainEventChange');
const wireFailure = wireType<{ readonly code: string; readonly reason: string }>('MergeFailure');
const wireConfirmed = wireType<
  Omit<BlockConfirmed, 'kind' | 'countsByType'> & {
    readonly eventCounts: readonly { readonly type: number; readonly count: number }[];
  }
>('BlockConfirmed');

/** Throws RecordRefused if not even the head can be read. */
export function decodeEventHead(bytes: Buffer, where: string): EventHead {
  const event = decodeAs(wireHead, bytes, where, 'an event');
  const { id, type, shardIndex, blockNumber, timestamp } = event;
  const field = bodyFields.get(type);
  const body = field === undefined ? null : (event[field] as Buffer | null);
  if (field !== undefined && body === null)
    throw new RecordRefused(`${where}: event ${id} of type ${type} has no body of that type`);
  return { id, type, shardIndex, blockNumber, timestamp, body };
}

/** What happened. Throws RecordRefused, naming the shard and the event's id. */
export function decodeEvent({ id, type, shardIndex, body }: EventHead): HubEvent {
  if (body === null) return { kind: 'unknown', type };
  const where = `event ${id} of shard ${shardIndex}`;
  switch (type) {
    case eventTypes.mergeMessage: {
      const { message, deletedMessages } = decodeAs(wireMessageChange, body, where, 'a merge');
      const deleted = deletedMessages.map((each) => decodeMessage(each, where));
      return { kind: 'merge', message: messageIn(message, where), deleted };
    }
    case eventTypes.pruneMessage:
      return { kind: 'prune', message: messageIn(decodeAs(wireMessageChange, body, where, 'a prune').message, where) };
    case eventTypes.revokeMessage:
      return {
        kind: 'revoke',
        message: messageIn(decodeAs(wireMessageChange, body, where, 'a revoke').message, where),
      };
    case eventTypes.mergeUsernameProof:
      return usernameProofEvent(body, where);
    case eventTypes.mergeOnChainEvent: {
      const { onChainEvent } = decodeAs(wireOnChainChange, body, where, 'an on-chain merge');
      if (onChainEvent === null) throw new RecordRefused(`${where}: an on-chain merge without its event`);
      return { kind: 'onChain', event: decodeOnChainEvent(onChainEvent, where) };
    }
    case eventTypes.mergeFailure: {
      const { code, reason } = decodeAs(wireFailure, body, where, 'a failed merge');
      return { kind: 'failure', code, reason };
    }
    case eventTypes.blockConfirmed:
      return blockConfirmed(body, where);
    case eventTypes.channelOwnerChangeHint:
      return { kind: 'channelHint' };
    default:
      return { kind: 'unknown', type };
  }
}

function messageIn(bytes: Buffer | null, where: string): Message {
  if (bytes === null) throw new RecordRefused(`${where}: without its message`);
  return decodeMessage(bytes, where);
}

function usernameProofEvent(body: Buffer, where: string): UsernameProofEvent {
  const change = decodeAs(wireProofChange, body, where, 'a merge of a name proof');
  const proofOf = (bytes: Buffer | null): NameProof | null => (bytes === null ? null : decodeNameProof(bytes, where));
  const messageOf = (bytes: Buffer | null): Message | null => (bytes === null ? null : decodeMessage(bytes, where));
  const { proof, deletedProof, message, deletedMessage } = change;
  if ((proof ?? deletedProof ?? message ?? deletedMessage) === null)
    throw new RecordRefused(`${where}: a merge of a name proof that says nothing`);
  return {
    kind: 'usernameProof',
    proof: proofOf(proof),
    deletedProof: proofOf(deletedProof),
    message: messageOf(message),
    deletedMessage: messageOf(deletedMessage),
  };
}

function blockConfirmed(body: Buffer, where: string): BlockConfirmed {
  const block = decodeAs(wireConfirmed, body, where, 'a block’s confirmation');
  const { blockNumber, shardIndex, timestamp, blockHash, totalEvents, eventCounts } = block;
  const countsByType = new Map(eventCounts.map(({ type, count }) => [type, count]));
  return { kind: 'blockConfirmed', blockNumber, shardIndex, timestamp, blockHash, totalEvents, countsByType };
}
