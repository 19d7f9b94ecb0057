/**
 * One fid in one shard: its live messages by logical key, and the rules by which a new one wins, is refused, or takes
 * others with it. Also its leaves of the trie, frozen when a snapshot wants them and shared until they change.
 */
import { isRemove, messageTypes, type SignedMessage } from './messages';
import type { OnChainRecord, ProofRecord } from './records';
import { accountKey, accountRoot, fnameKey, messageKey, onChainKey } from './trie';

/** A live message and the id of the event that merged it. */
export interface Held {
  readonly message: SignedMessage;
  readonly ver: number;
}

export type LeafKind = 'message' | 'onChain' | 'fname';

/** One leaf of the trie. */
export interface Leaf {
  readonly key: string;
  readonly kind: LeafKind;
  readonly wire: Buffer;
  readonly messageType: number;
}

/** An account as it was at one moment: nothing changes it any more. */
export class FrozenAccount {
  #root: Buffer | undefined;

  constructor(
    readonly fid: number,
    readonly key: string,
    /** In ascending order of their keys. */
    readonly leaves: readonly Leaf[],
  ) {}

  get root(): Buffer {
    this.#root ??= accountRoot(this.leaves.map((leaf) => leaf.key));
    return this.#root;
  }
}

export type Verdict =
  { readonly merged: true; readonly deleted: Held[] } | { readonly merged: false; readonly why: string };

/** Blocks and sequence numbers share the id: 14 bits are the sequence. */
export const eventsPerBlockMax = 16_384;
const blockOf = (ver: number): number => Math.floor(ver / eventsPerBlockMax);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** By time, then hash: the order in which a full store forgets. */
export const byAge = (a: SignedMessage, b: SignedMessage): number =>
  a.timestamp - b.timestamp || compare(a.hash, b.hash);

export interface Rules {
  /** From version 21 the order of the chain decides between verifications, not their timestamps. */
  readonly verificationsInChainOrder: boolean;
}

/** True if `incoming` takes the slot from `held`. */
export function wins(held: SignedMessage, incoming: SignedMessage, rules: Rules): boolean {
  if (held.hash === incoming.hash) return false;
  const removes = isRemove(incoming.type);
  const differ = removes !== isRemove(held.type);
  const store = incoming.slot[0];
  if (store === 'c' && differ) return removes;
  if (store === 'K') return (incoming.detail?.nonce ?? 0) > (held.detail?.nonce ?? 0);
  if (store === 'k') return incoming.timestamp > held.timestamp;
  if (store === 'v' && rules.verificationsInChainOrder) return true;
  if (incoming.timestamp !== held.timestamp) return incoming.timestamp > held.timestamp;
  return differ ? removes : incoming.hash > held.hash;
}

export class Account {
  readonly key: string;
  readonly slots = new Map<string, Held>();
  /** Loans to this fid: the lender's messages, which stand here a second time. */
  readonly borrowed = new Map<string, Held>();
  readonly onChain = new Map<string, { record: OnChainRecord; ver: number }>();
  readonly fnames = new Map<string, { proof: ProofRecord; ver: number }>();
  /** How many live messages each store has. */
  readonly counts = new Map<string, number>();
  /** From storage rents. */
  rentedUnits = 0;
  #frozen: FrozenAccount | undefined;

  constructor(readonly fid: number) {
    this.key = accountKey(fid);
  }

  /** Applies the rules of the message's store and says what came of it. */
  merge(message: SignedMessage, ver: number, rules: Rules): Verdict {
    const held = this.slots.get(message.slot);
    if (held && !wins(held.message, message, rules)) {
      return { merged: false, why: held.message.hash === message.hash ? 'duplicate' : 'conflict' };
    }
    if (message.type === messageTypes.lendStorage && message.detail?.target === this.fid) {
      return { merged: false, why: 'a loan to oneself' };
    }
    const isKeyAdd = (each: SignedMessage | undefined): boolean => each?.type === messageTypes.keyAdd;
    if (message.slot[0] === 'K' && isKeyAdd(message) === isKeyAdd(held?.message)) {
      return { merged: false, why: held ? 'the key is there already, or gone' : 'no such key' };
    }
    const refused = this.#refusedByCompaction(message, ver);
    if (refused) return { merged: false, why: 'compacted' };
    const deleted = held ? [held] : [];
    if (message.type === messageTypes.linkCompactState) deleted.push(...this.#compacted(message, ver));
    for (const each of deleted) this.remove(each.message);
    this.slots.set(message.slot, { message, ver });
    this.#count(message, 1);
    return { merged: true, deleted };
  }

  #refusedByCompaction(message: SignedMessage, ver: number): boolean {
    const { linkType, target } = message.detail ?? {};
    if (linkType === undefined || target === undefined) return false;
    const compact = this.slots.get(`k${linkType}`);
    if (!compact || message.timestamp >= compact.message.timestamp || blockOf(compact.ver) === blockOf(ver))
      return false;
    return isRemove(message.type) || !compact.message.detail?.targets?.has(target);
  }

  /** The links that a compact state sweeps away. Those of its own block are not on disk yet: the node does not see them. */
  #compacted(compact: SignedMessage, ver: number): Held[] {
    const { linkType, targets } = compact.detail ?? {};
    return [...this.slots.values()].filter(({ message, ver: since }) => {
      const { linkType: type, target } = message.detail ?? {};
      if (type !== linkType || target === undefined) return false;
      if (message.timestamp > compact.timestamp || blockOf(since) === blockOf(ver)) return false;
      return isRemove(message.type) || !targets?.has(target);
    });
  }

  /** Takes a message out, if it is the one that is there. */
  remove(message: SignedMessage): boolean {
    if (this.slots.get(message.slot)?.message.hash !== message.hash) return false;
    this.slots.delete(message.slot);
    this.#count(message, -1);
    return true;
  }

  #count(message: SignedMessage, by: 1 | -1): void {
    const store = message.slot[0] ?? '';
    this.counts.set(store, (this.counts.get(store) ?? 0) + by);
    this.changed();
  }

  /** A frozen copy made before is not the account any more. */
  changed(): void {
    this.#frozen = undefined;
  }

  get isFrozen(): boolean {
    return this.#frozen !== undefined;
  }

  /** The units a fid may fill: rented, and lent to it, less what it lent. */
  get units(): number {
    let units = this.rentedUnits;
    for (const { message } of this.borrowed.values()) units += message.detail?.units ?? 0;
    for (const { message } of this.slots.values()) {
      if (message.type === messageTypes.lendStorage) units -= message.detail?.units ?? 0;
    }
    return units;
  }

  /** What a store held before the block of `ver`, the oldest first: a node prunes only what is on its disk. */
  oldestOf(store: string, ver: number): SignedMessage[] {
    return [...this.slots.values()]
      .filter((held) => held.message.slot[0] === store && blockOf(held.ver) < blockOf(ver))
      .map((held) => held.message)
      .sort(byAge);
  }

  freeze(): FrozenAccount {
    this.#frozen ??= new FrozenAccount(this.fid, this.key, this.#leaves());
    return this.#frozen;
  }

  #leaves(): Leaf[] {
    const leaves: Leaf[] = [];
    for (const { record } of this.onChain.values()) {
      const key = onChainKey(this.key, record.type, record.transactionHash, record.logIndex);
      leaves.push({ key, kind: 'onChain', wire: record.wire, messageType: 0 });
    }
    for (const [name, { proof }] of this.fnames) {
      leaves.push({ key: fnameKey(this.key, name), kind: 'fname', wire: proof.wire, messageType: 0 });
    }
    for (const held of [this.slots, this.borrowed]) {
      for (const { message } of held.values()) {
        const key = messageKey(this.key, message.type, message.hash);
        leaves.push({ key, kind: 'message', wire: message.wire, messageType: message.type });
      }
    }
    return leaves.sort((a, b) => compare(a.key, b.key));
  }
}
