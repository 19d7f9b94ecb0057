/** What a message, an event or a record is in the tables: rows with a version and a state. Pure. */
import type { RecordType } from './contract';
import type { HubEvent } from './event';
import type { Entry } from './page';
import { tables, type Row, type TableName } from './tables';
import {
  messageTypes,
  type CastAdd,
  type GaslessKey,
  type Message,
  type NameProof,
  type OnChainEvent,
  type Target,
} from './wire';

/** dead: pruned, revoked, replaced, swept. */
export const states = { dead: 0, added: 1, removed: 2 } as const;
export type State = (typeof states)[keyof typeof states];

/** Takes rows for a transaction. */
export interface RowSink {
  add(table: TableName, row: Row): void;
}

const removeTypes: readonly number[] = [
  messageTypes.castRemove,
  messageTypes.reactionRemove,
  messageTypes.linkRemove,
  messageTypes.verificationRemove,
];

export interface RowOptions {
  /** Which records are wanted. Null: all. */
  readonly types: ReadonlySet<RecordType> | null;
  /** With every message's own bytes. */
  readonly keepMessages: boolean;
}

export class RowMaker {
  constructor(
    private readonly sink: RowSink,
    private readonly options: RowOptions,
  ) {}

  entry(entry: Entry, ver: number): void {
    if (entry.kind === 'message') this.message(entry.message, ver);
    else if (entry.kind === 'fname') this.fname(entry.proof, ver);
    else this.onChain(entry.event);
  }

  /** Events that change nothing have no rows. `isOwn`: of the shard whose word on a fid counts. */
  event(event: HubEvent, ver: number, isOwn: (fid: number) => boolean): void {
    switch (event.kind) {
      case 'merge':
        for (const each of event.deleted) if (isOwn(each.fid)) this.message(each, ver, states.dead);
        if (isOwn(event.message.fid)) this.message(event.message, ver);
        return;
      case 'prune':
      case 'revoke':
        if (isOwn(event.message.fid)) this.message(event.message, ver, states.dead);
        return;
      case 'usernameProof': {
        const { message, deletedMessage, proof, deletedProof } = event;
        if (deletedMessage !== null && isOwn(deletedMessage.fid)) this.message(deletedMessage, ver, states.dead);
        if (message !== null && isOwn(message.fid)) this.message(message, ver);
        if (message !== null || deletedMessage !== null) return;
        // Every shard tells of a transfer: the new holder's home of the holding, the old one's of its end.
        if (proof !== null && isOwn(proof.fid === 0 ? (deletedProof?.fid ?? 0) : proof.fid)) this.fname(proof, ver);
        else if (deletedProof !== null && proof === null && isOwn(deletedProof.fid))
          this.fname(deletedProof, ver, states.dead);
        return;
      }
      case 'onChain':
        if (isOwn(event.event.fid)) this.onChain(event.event);
        return;
      default:
        return;
    }
  }

  message(message: Message, ver: number, state: State = removeTypes.includes(message.type) ? 2 : 1): void {
    const { hash, fid, timestamp: ts, body } = message;
    const version = [ver, state, ts] as const;
    switch (body.kind) {
      case 'castAdd':
        if (this.wants('casts')) this.sink.add('casts', [hash, fid, ...version, null, ...castColumns(body)]);
        break;
      case 'castRemove':
        if (this.wants('casts')) this.sink.add('casts', [body.targetHash, fid, ...version, hash, ...noCast]);
        break;
      case 'reaction': {
        const [targetFid, target] = targetColumns(body.target);
        if (this.wants('reactions'))
          this.sink.add('reactions', [fid, body.reactionType, targetFid, target, ...version, hash]);
        break;
      }
      case 'link':
        if (this.wants('links'))
          this.sink.add('links', [fid, plain(body.linkType), body.targetFid, ...version, hash, body.displayTimestamp]);
        break;
      case 'linkCompactState':
        if (this.wants('links'))
          this.sink.add('link_compact_states', [fid, plain(body.linkType), ...version, hash, body.targetFids]);
        break;
      case 'verificationAdd': {
        const { address, protocol, chainId, verificationType, claimSignature, blockHash } = body;
        const rest = [protocol, chainId, verificationType, claimSignature, blockHash];
        if (this.wants('verifications')) this.sink.add('verifications', [fid, address, ...version, hash, ...rest]);
        break;
      }
      case 'verificationRemove':
        if (this.wants('verifications'))
          this.sink.add('verifications', [fid, body.address, ...version, hash, body.protocol, null, null, null, null]);
        break;
      case 'userData': {
        if (!this.wants('user_data')) break;
        const value = plain(body.value);
        this.sink.add('user_data', [fid, body.dataType, ...version, hash, value]);
        if (state !== states.dead) this.sink.add('user_data_changes', [hash, fid, body.dataType, ts, value]);
        break;
      }
      case 'usernameProof': {
        const { name, nameType, owner, signature, timestamp } = body.proof;
        if (this.wants('username_proofs'))
          this.sink.add('username_proofs', [fid, plain(name), ...version, hash, nameType, owner, signature, timestamp]);
        break;
      }
      case 'lendStorage':
        if (this.wants('storage_lends'))
          this.sink.add('storage_lends', [fid, body.toFid, ...version, hash, body.units, body.unitType]);
        break;
      default:
        // Key messages, frame actions and channels have no table: keys come as a list, the others not at all.
        break;
    }
    if (this.options.keepMessages && state !== states.dead) {
      const { type, content, signature, signer } = message;
      this.sink.add('processed_messages', [hash, fid, type, ts, ver, content, signature, signer]);
    }
  }

  fname({ name, fid, timestamp, signature, owner }: NameProof, ver: number, state: State = states.added): void {
    if (this.wants('fnames')) this.sink.add('fnames', [plain(name), fid, ver, state, timestamp, signature, owner]);
  }

  onChain(event: OnChainEvent): void {
    if (!this.wants('onchain_events')) return;
    const { fid, type, transactionHash, logIndex, chainId, blockNumber, blockHash, blockTimestamp, txIndex } = event;
    const place = [chainId, blockNumber, blockHash, blockTimestamp, txIndex, event.version];
    this.sink.add('onchain_events', [fid, type, transactionHash, logIndex, ...place, readable(event.body)]);
  }

  /** All that a fid has, as one row: what is not in it is gone. */
  gaslessKeys(fid: number, keys: readonly GaslessKey[], ver: number): void {
    if (!this.wants('gasless_keys')) return;
    const list = keys.map(({ key, ...rest }) => ({ key: `0x${key.toString('hex')}`, ...rest }));
    this.sink.add('gasless_keys', [fid, ver, keys.length > 0 ? states.added : states.dead, list]);
  }

  private wants(type: RecordType): boolean {
    return this.options.types?.has(type) ?? true;
  }
}

/** PostgreSQL's texts have no NUL; the message's own bytes, if they are kept, have it still. */
const plain = (text: string): string => (text.includes('\0') ? text.replaceAll('\0', '') : text);

const noCast: Row = tables.casts.columns.slice(6).map(() => null);

function castColumns({ text, castType, parent, mentions, mentionsPositions, embeds, embedsDeprecated }: CastAdd): Row {
  const isCast = parent !== null && 'cast' in parent;
  const shown = [...embedsDeprecated.map((url) => ({ url: plain(url) })), ...embeds.map(embedOf)];
  return [
    plain(text),
    castType,
    isCast ? parent.cast.fid : null,
    isCast ? parent.cast.hash : null,
    parent !== null && 'url' in parent ? plain(parent.url) : null,
    mentions.length > 0 ? mentions : null,
    mentionsPositions.length > 0 ? mentionsPositions : null,
    shown.length > 0 ? shown : null,
  ];
}

const embedOf = (embed: Target): object =>
  'url' in embed
    ? { url: plain(embed.url) }
    : { castId: { fid: embed.cast.fid, hash: `0x${embed.cast.hash.toString('hex')}` } };

const targetColumns = (target: Target): readonly [number, Buffer] =>
  'url' in target ? [0, Buffer.from(target.url)] : [target.cast.fid, target.cast.hash];

/** Bytes as hexadecimal digits. */
function readable(body: OnChainEvent['body']): object {
  const { kind, ...fields } = body;
  const entries = Object.entries(fields as Record<string, unknown>).map(([name, value]) => [
    name,
    Buffer.isBuffer(value) ? `0x${value.toString('hex')}` : typeof value === 'string' ? plain(value) : value,
  ]);
  return { kind, ...(Object.fromEntries(entries) as Record<string, unknown>) };
}
