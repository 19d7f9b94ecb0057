/**
 * One data shard of the emulated network: blocks of operations go in, the stores' rules run, and every change comes out
 * as an event whose id is its place in the chain.
 */
import { createHash } from 'node:crypto';
import { Account, eventsPerBlockMax, type Held } from './account';
import { EventLog, eventTypes, type LedgerEvent } from './events';
import { messageTypes, type SignedMessage } from './messages';
import { onChainTypes, type OnChainRecord, type ProofRecord } from './records';
import { homeShardOf, rootOver } from './trie';

export type Operation =
  | { readonly kind: 'message'; readonly message: SignedMessage }
  | { readonly kind: 'onChain'; readonly record: OnChainRecord }
  | { readonly kind: 'fname'; readonly proof: ProofRecord; readonly id: number; readonly fromFid: number }
  /** What a validator finds no longer valid; of a username proof it shows as a merge that only deletes. */
  | { readonly kind: 'revoke'; readonly fid: number; readonly hash: string };

export interface LedgerRules {
  /** Before 14 a removed signer takes its messages along; from 21 the chain's order decides between verifications. */
  readonly engine: number;
  /** Live messages a storage unit holds, by the stores' letters; none: no store is ever full. */
  readonly limitPerUnit: ReadonlyMap<string, number>;
  /** Seen on no node, but in the sources: the username in the profile goes when the name goes to another fid. */
  readonly revokesUsernameOnTransfer: boolean;
  /** Tells refused messages as MERGE_FAILURE. */
  readonly tellsFailures: boolean;
}

export interface Block {
  readonly height: number;
  readonly timestamp: number;
  readonly hash: Buffer;
  readonly parentHash: Buffer;
  /** As proposed: with what the rules refused. */
  readonly operations: readonly Operation[];
}

type NewEvent = Omit<LedgerEvent, 'id'>;

const fidOf = (operation: Operation): number => {
  if (operation.kind === 'message') return operation.message.fid;
  if (operation.kind === 'onChain') return operation.record.fid;
  return operation.kind === 'fname' ? operation.proof.fid : operation.fid;
};

const revocableStores = new Set(['c', 'l', 'r', 'u', 'v']);
const usernameType = 6;
const primaryAddressTypes = new Set([11, 12]);

export class ShardState {
  readonly accounts = new Map<number, Account>();
  readonly log = new EventLog();
  readonly blocks: Block[] = [];
  readonly #fnames = new Map<string, { proof: ProofRecord }>();
  /** Whose message proves a name, inside this shard. */
  readonly #provenNames = new Map<string, number>();
  #pending: LedgerEvent[] = [];
  #sequence = 0;

  constructor(
    readonly index: number,
    readonly shards: number,
    readonly rules: LedgerRules,
  ) {}

  get height(): number {
    return this.blocks.length;
  }

  /** Of fids that live here, those that were registered. */
  registeredFids(): number[] {
    return [...this.accounts.values()]
      .filter((account) => [...account.onChain.values()].some(({ record }) => record.type === onChainTypes.idRegister))
      .map((account) => account.fid)
      .sort((a, b) => a - b);
  }

  account(fid: number): Account {
    let account = this.accounts.get(fid);
    if (!account) this.accounts.set(fid, (account = new Account(fid)));
    return account;
  }

  /** Runs one block and gives its events, the confirmation first; those with id 0 are live only. */
  apply(operations: readonly Operation[], timestamp: number): LedgerEvent[] {
    const height = this.height + 1;
    const parentHash = this.blocks.at(-1)?.hash ?? Buffer.alloc(32);
    const hash = createHash('sha256')
      .update(parentHash)
      .update(`${this.index} ${height} ${timestamp} ${operations.length}`)
      .digest();
    this.blocks.push({ height, timestamp, hash, parentHash, operations });
    this.#pending = [];
    this.#sequence = 0;
    const byFid = new Map<number, Operation[]>();
    for (const operation of operations) {
      const fid = fidOf(operation);
      const list = byFid.get(fid);
      if (list) list.push(operation);
      else byFid.set(fid, [operation]);
    }
    for (const [fid, list] of byFid) this.#transaction(fid, list);
    const byType = new Map<number, number>([[eventTypes.blockConfirmed, 1]]);
    for (const { type } of this.#pending) byType.set(type, (byType.get(type) ?? 0) + 1);
    const confirmed: LedgerEvent = {
      id: height * eventsPerBlockMax,
      type: eventTypes.blockConfirmed,
      block: { hash, total: this.#pending.length + 1, byType },
    };
    const events = [confirmed, ...this.#pending];
    this.log.append(events);
    return events;
  }

  /** The system's part first, then the user's, then whatever no longer fits. */
  #transaction(fid: number, operations: readonly Operation[]): void {
    for (const operation of operations) {
      if (operation.kind === 'onChain') this.#mergeOnChain(operation.record);
      else if (operation.kind === 'fname') this.#mergeFname(operation.proof);
      else if (operation.kind === 'revoke') this.#revokeByHash(operation.fid, operation.hash);
    }
    for (const operation of operations) if (operation.kind === 'message') this.#mergeMessage(operation.message);
    if (homeShardOf(fid, this.shards) === this.index) this.#prune(this.account(fid));
  }

  #nextId(): number {
    this.#sequence += 1;
    if (this.#sequence >= eventsPerBlockMax) {
      throw new Error(
        `apply block ${this.height} of shard ${this.index}: more than ${eventsPerBlockMax - 1} events. Use more blocks.`,
      );
    }
    return this.height * eventsPerBlockMax + this.#sequence;
  }

  #emit(event: NewEvent, id = this.#nextId()): void {
    this.#pending.push({ ...event, id });
  }

  #mergeMessage(message: SignedMessage): void {
    const account = this.account(message.fid);
    const isKey = message.slot.startsWith('K');
    const id = isKey ? 0 : this.height * eventsPerBlockMax + this.#sequence + 1;
    const verdict = account.merge(message, id || this.height * eventsPerBlockMax, {
      verificationsInChainOrder: this.rules.engine >= 21,
    });
    if (!verdict.merged) {
      if (this.rules.tellsFailures) this.#emit({ type: eventTypes.mergeFailure, message, why: verdict.why });
      return;
    }
    const deleted = verdict.deleted.map((held) => held.message);
    if (isKey) this.#emit({ type: eventTypes.mergeMessage, message, deleted }, 0);
    else if (message.type === messageTypes.usernameProof) this.#tellProof(message, deleted);
    else this.#emit({ type: eventTypes.mergeMessage, message, deleted });
    if (message.type === messageTypes.lendStorage) this.#lend(message, id, deleted);
    if (message.type === messageTypes.verificationRemove) this.#forgetAddress(account, message);
  }

  /** A name proven by a message belongs to one fid of a shard: the later message takes it from another. */
  #tellProof(message: SignedMessage, deleted: readonly SignedMessage[]): void {
    const name = message.detail?.name ?? '';
    const former = this.#provenNames.get(name);
    let gone = deleted[0];
    if (former !== undefined && former !== message.fid) {
      gone = this.accounts.get(former)?.slots.get(message.slot)?.message;
      if (gone) this.account(former).remove(gone);
    }
    this.#provenNames.set(name, message.fid);
    this.#emit({
      type: eventTypes.mergeUsernameProof,
      message,
      ...(message.detail?.proof && { proof: message.detail.proof }),
      ...(gone && { deletedMessage: gone }),
      ...(gone?.detail?.proof && { deletedProof: gone.detail.proof }),
    });
  }

  /** A loan stands under both fids, in every shard; one of nothing is merged and pruned at once. */
  #lend(message: SignedMessage, ver: number, deleted: readonly SignedMessage[]): void {
    const borrower = this.account(message.detail?.target ?? 0);
    for (const each of deleted) borrower.borrowed.delete(each.hash);
    if (message.detail?.units) borrower.borrowed.set(message.hash, { message, ver });
    borrower.changed();
    if (message.detail?.units) return;
    this.account(message.fid).remove(message);
    this.#emit({ type: eventTypes.prune, message });
  }

  /** A profile may name an address as primary only while it is verified. */
  #forgetAddress(account: Account, removal: SignedMessage): void {
    const address = Buffer.from(removal.detail?.address ?? '', 'latin1').toString('hex');
    for (const type of primaryAddressTypes) {
      const held = account.slots.get(`u${type}`);
      if (held?.message.detail?.value?.toLowerCase().replace(/^0x/, '') === address) this.#revoke(account, held);
    }
  }

  #revoke(account: Account, { message }: Held): void {
    account.remove(message);
    if (message.type !== messageTypes.usernameProof) return this.#emit({ type: eventTypes.revoke, message });
    this.#provenNames.delete(message.detail?.name ?? '');
    this.#emit({
      type: eventTypes.mergeUsernameProof,
      deletedMessage: message,
      ...(message.detail?.proof && { deletedProof: message.detail.proof }),
    });
  }

  #revokeByHash(fid: number, hash: string): void {
    const account = this.account(fid);
    const held = [...account.slots.values()].find(({ message }) => message.hash === hash);
    if (held) this.#revoke(account, held);
  }

  #mergeOnChain(record: OnChainRecord): void {
    const account = this.account(record.fid);
    const key = `${record.type} ${record.transactionHash.toString('hex')} ${record.logIndex}`;
    if (account.onChain.has(key)) return;
    const ver = this.#nextId();
    account.onChain.set(key, { record, ver });
    account.rentedUnits += record.units;
    account.changed();
    this.#emit({ type: eventTypes.mergeOnChain, onChain: record.wire }, ver);
    if (record.signer?.change !== 2 || this.rules.engine >= 14) return;
    for (const held of [...account.slots.values()]) {
      const { signer, slot } = held.message;
      if (signer === record.signer.key && revocableStores.has(slot[0] ?? '')) this.#revoke(account, held);
    }
  }

  #mergeFname(proof: ProofRecord): void {
    const held = this.#fnames.get(proof.name)?.proof;
    if (held && !isLater(proof, held)) return;
    const ver = this.#nextId();
    if (held) {
      const former = this.account(held.fid);
      former.fnames.delete(proof.name);
      former.changed();
    }
    this.#fnames.set(proof.name, { proof });
    if (proof.fid > 0) {
      const account = this.account(proof.fid);
      account.fnames.set(proof.name, { proof, ver });
      account.changed();
    }
    this.#emit(
      { type: eventTypes.mergeUsernameProof, proof: proof.wire, ...(held && { deletedProof: held.wire }) },
      ver,
    );
    if (!held || held.fid === proof.fid || !this.rules.revokesUsernameOnTransfer) return;
    const username = this.account(held.fid).slots.get(`u${usernameType}`);
    if (username?.message.detail?.value === proof.name) this.#revoke(this.account(held.fid), username);
  }

  /** Full stores forget their oldest messages. */
  #prune(account: Account): void {
    for (const [store, perUnit] of this.rules.limitPerUnit) {
      const surplus = (account.counts.get(store) ?? 0) - perUnit * account.units;
      if (surplus <= 0) continue;
      for (const message of account.oldestOf(store, this.height * eventsPerBlockMax).slice(0, surplus)) {
        account.remove(message);
        this.#emit({ type: eventTypes.prune, message });
      }
    }
  }

  /** The shard's root now. */
  root(): Buffer {
    const live = [...this.accounts.values()]
      .map((account) => account.freeze())
      .filter(({ leaves }) => leaves.length > 0);
    live.sort((a, b) => (a.key < b.key ? -1 : 1));
    return rootOver(
      live.map((account) => account.key),
      new Map(live.map((account) => [account.key, account.root])),
    );
  }
}

/** Of two proofs of a name the later counts; of the same second the one with the greater signature. */
function isLater(proof: ProofRecord, held: ProofRecord): boolean {
  if (proof.timestamp !== held.timestamp) return proof.timestamp > held.timestamp;
  return proof.signature > held.signature;
}
