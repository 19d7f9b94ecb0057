/**
 * What a sync must end with, as a small pure model: one row a logical key, replaced only by a later event's word. Events of
 * a shard come in order, perhaps again; rows of a snapshot may come at any moment in between.
 */
import { createHash } from 'node:crypto';
import { firstEventOf, heightOfEvent, type HubEvent } from '../../activities/snapchain/event';
import type { Entry } from '../../activities/snapchain/page';
import { homeShardOf } from '../../activities/snapchain/trie-key';
import { messageTypes, onChainTypes, type Message, type NameProof, type Target } from '../../activities/snapchain/wire';

const dead = 0;
const added = 1;
const removed = 2;

interface Row {
  /** The id of the event that said it; of a snapshot's rows the last id before the next block. */
  readonly ver: number;
  readonly state: typeof dead | typeof added | typeof removed;
  readonly message: Message;
}

const removeTypes: readonly number[] = [
  messageTypes.castRemove,
  messageTypes.reactionRemove,
  messageTypes.linkRemove,
  messageTypes.verificationRemove,
];

export const snapshotVersion = (height: number): number => firstEventOf(height + 1) - 1;

const hex = (bytes: Buffer): string => bytes.toString('hex');
const nameOf = (target: Target): string =>
  'url' in target ? `url ${target.url}` : `cast ${target.cast.fid} ${hex(target.cast.hash)}`;

/** The key under which at most one of a fid's messages is live. */
function slotOf({ hash, body }: Message): string {
  switch (body.kind) {
    case 'castAdd':
      return `cast ${hex(hash)}`;
    case 'castRemove':
      return `cast ${hex(body.targetHash)}`;
    case 'reaction':
      return `reaction ${body.reactionType} ${nameOf(body.target)}`;
    case 'link':
      return `link ${body.linkType} ${body.targetFid}`;
    case 'linkCompactState':
      return `compact ${body.linkType}`;
    case 'verificationAdd':
    case 'verificationRemove':
      return `verification ${hex(body.address)}`;
    case 'userData':
      return `data ${body.dataType}`;
    case 'usernameProof':
      return `name ${body.proof.name}`;
    case 'lendStorage':
      return `lend ${body.toFid}`;
    default:
      throw new Error(`the model has no rows for ${body.kind}`);
  }
}

export class Model {
  readonly #rows = new Map<number, Map<string, Row>>();
  readonly #names = new Map<string, NameProof>();
  readonly #onChain = new Map<string, { readonly type: number; readonly fid: number }>();

  constructor(readonly numShards: number) {}

  /** A leaf of a snapshot. Other shards' copies are not this shard's to tell. */
  scan(entry: Entry, shard: number, height: number): void {
    if (entry.kind === 'message') this.scanMessage(entry.message, shard, height);
    else if (entry.kind === 'fname') this.#name(entry.proof);
    else this.#chain(entry.event, shard);
  }

  /** The messages that a snapshot taken now would hold of a shard's own fids. */
  live(shard: number): Message[] {
    const own = [...this.#rows].filter(([fid]) => homeShardOf(fid, this.numShards) === shard);
    return own
      .flatMap(([, rows]) => [...rows.values()].filter(({ state }) => state !== dead))
      .map(({ message }) => message);
  }

  /** The same as `scan`, of a message alone. */
  scanMessage(message: Message, shard: number, height: number): void {
    this.#put(message, shard, snapshotVersion(height));
  }

  apply(event: HubEvent, shard: number, id: number): void {
    switch (event.kind) {
      case 'merge':
        for (const each of event.deleted) this.#put(each, shard, id, dead);
        return this.#put(event.message, shard, id);
      case 'prune':
      case 'revoke':
        return this.#put(event.message, shard, id, dead);
      case 'usernameProof':
        if (event.deletedMessage) this.#put(event.deletedMessage, shard, id, dead);
        if (event.message) this.#put(event.message, shard, id);
        // Without a message it is the name server's word.
        else if (event.proof && !event.deletedMessage) this.#name(event.proof);
        return;
      case 'onChain':
        return this.#chain(event.event, shard);
      default:
        return;
    }
  }

  #put(message: Message, shard: number, ver: number, state?: typeof dead): void {
    if (homeShardOf(message.fid, this.numShards) !== shard) return;
    const rows = this.#rowsOf(message.fid);
    const slot = slotOf(message);
    const old = rows.get(slot);
    let row: Row = { ver, state: state ?? (removeTypes.includes(message.type) ? removed : added), message };
    if (message.body.kind === 'link') {
      const compact = rows.get(`compact ${message.body.linkType}`);
      // Killed by it, the row keeps its own version: what comes between the two must still win.
      if (compact && isCompacted(row, compact)) row = { ...row, state: dead };
    }
    if (old && (old.ver > ver || (old.ver === ver && row.state === dead))) return;
    rows.set(slot, row);
    if (message.body.kind !== 'linkCompactState') return;
    for (const [key, each] of rows) if (isCompacted(each, row)) rows.set(key, { ...each, state: dead, ver });
  }

  #rowsOf(fid: number): Map<string, Row> {
    let rows = this.#rows.get(fid);
    if (!rows) this.#rows.set(fid, (rows = new Map<string, Row>()));
    return rows;
  }

  #name(proof: NameProof): void {
    const old = this.#names.get(proof.name);
    const isNewer =
      !old ||
      proof.timestamp > old.timestamp ||
      (proof.timestamp === old.timestamp && Buffer.compare(proof.signature, old.signature) > 0);
    if (isNewer) this.#names.set(proof.name, proof);
  }

  #chain({ fid, type, transactionHash, logIndex }: (Entry & { kind: 'onChain' })['event'], shard: number): void {
    if (homeShardOf(fid, this.numShards) === shard)
      this.#onChain.set(`${fid} ${type} ${hex(transactionHash)} ${logIndex}`, { type, fid });
  }

  /** Counts and the hash over live messages, as truth.json has them. Removes are live too. */
  outcome(): {
    messages: number;
    sha256: string;
    byType: Record<string, number>;
    onChain: Record<string, number>;
    fids: number;
    names: number;
  } {
    const live = [...this.#rows.values()].flatMap((rows) => [...rows.values()].filter(({ state }) => state !== dead));
    const hashes = live.map(({ message }) => hex(message.hash)).sort();
    const events = [...this.#onChain.values()];
    return {
      messages: live.length,
      sha256: createHash('sha256').update(hashes.join('\n')).digest('hex'),
      byType: counted(live.map(({ message }) => messageNames[message.type] ?? `type ${message.type}`)),
      onChain: counted(events.map(({ type }) => onChainNames[type] ?? `type ${type}`)),
      fids: new Set(events.filter(({ type }) => type === onChainTypes.idRegister).map(({ fid }) => fid)).size,
      names: [...this.#names.values()].filter(({ fid }) => fid !== 0).length,
    };
  }
}

/** Links of a compact state's own block are not on the node's disk when it merges it: those stay. */
function isCompacted(row: Row, compact: Row): boolean {
  const { body, timestamp } = row.message;
  const state = compact.message.body;
  if (body.kind !== 'link' || state.kind !== 'linkCompactState' || compact.state === dead || row.state === dead)
    return false;
  if (body.linkType !== state.linkType || timestamp > compact.message.timestamp) return false;
  if (heightOfEvent(row.ver) >= heightOfEvent(compact.ver)) return false;
  return row.state === removed || !state.targetFids.includes(body.targetFid);
}

function counted(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

const messageNames: Readonly<Record<number, string>> = {
  1: 'CAST_ADD',
  2: 'CAST_REMOVE',
  3: 'REACTION_ADD',
  4: 'REACTION_REMOVE',
  5: 'LINK_ADD',
  6: 'LINK_REMOVE',
  7: 'VERIFICATION_ADD_ETH_ADDRESS',
  8: 'VERIFICATION_REMOVE',
  11: 'USER_DATA_ADD',
  12: 'USERNAME_PROOF',
  14: 'LINK_COMPACT_STATE',
  15: 'LEND_STORAGE',
};
const onChainNames: Readonly<Record<number, string>> = {
  1: 'SIGNER',
  3: 'ID_REGISTER',
  4: 'STORAGE_RENT',
  5: 'TIER_PURCHASE',
};
