/** What a complete and correct sync of a ledger must hold: counts, the hash over live messages, and every row's key. */
import { createHash } from 'node:crypto';
import type { Account, Held } from './account';
import type { Ledger } from './ledger';
import { farcasterEpoch, isRemove, messageTypes } from './messages';

const typeNames: Record<number, string> = {
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
  16: 'KEY_ADD',
  17: 'KEY_REMOVE',
};

const onChainNames: Record<number, string> = { 1: 'SIGNER', 3: 'ID_REGISTER', 4: 'STORAGE_RENT', 5: 'TIER_PURCHASE' };

export interface Counts {
  readonly messages: number;
  /** Over the hex hashes of live messages, sorted, joined by newline. */
  readonly sha256: string;
  readonly byType: Record<string, number>;
  readonly onChain: Record<string, number>;
  readonly fids: number;
  readonly names: number;
}

function tally(of: Record<string, number>, name: string): void {
  of[name] = (of[name] ?? 0) + 1;
}

const sortedRecord = (of: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Accounts where they live: what is fanned out counts once. */
function* homeAccounts(ledger: Ledger): Generator<Account> {
  for (const shard of ledger.shards) {
    for (const account of shard.accounts.values()) if (ledger.home(account.fid) === shard) yield account;
  }
}

/** With key messages or, as no call gives them to anybody, without. */
export function countsOf(ledger: Ledger, { keyMessages = true }: { keyMessages?: boolean } = {}): Counts {
  const hashes: string[] = [];
  const byType: Record<string, number> = {};
  const onChain: Record<string, number> = {};
  let [fids, names] = [0, 0];
  for (const account of homeAccounts(ledger)) {
    for (const { message } of account.slots.values()) {
      if (!keyMessages && message.slot[0] === 'K') continue;
      hashes.push(Buffer.from(message.hash, 'latin1').toString('hex'));
      tally(byType, typeNames[message.type] ?? String(message.type));
    }
    const records = [...account.onChain.values()].map(({ record }) => record);
    for (const { type } of records) tally(onChain, onChainNames[type] ?? String(type));
    if (records.some(({ type }) => type === 3)) fids += 1;
    names += account.fnames.size;
  }
  const digest = createHash('sha256');
  hashes.sort().forEach((hash, at) => digest.update(at === 0 ? hash : `\n${hash}`));
  return {
    messages: hashes.length,
    sha256: digest.digest('hex'),
    byType: sortedRecord(byType),
    onChain: sortedRecord(onChain),
    fids,
    names,
  };
}

/** A live row: its logical key as text, the event that set it, 1 for an add and 2 for a remove. */
export interface TruthRow {
  readonly fid: number;
  readonly key: string;
  readonly ver: number;
  readonly state: 1 | 2;
  /** The message's hash in hex; of on-chain events the transaction's. */
  readonly hash: string;
  /** Seconds, of the network's clock; of fnames in Unix time. */
  readonly timestamp: number;
}

export const truthTables = {
  casts: 'c',
  reactions: 'r',
  links: 'l',
  linkCompactStates: 'k',
  verifications: 'v',
  userData: 'u',
  usernameProofs: 'n',
  storageLends: 's',
} as const;

export type TruthTable = keyof typeof truthTables | 'fnames' | 'onChainEvents';

const hex = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('hex');

/** Keys in text: bytes in hex. */
function keyOf({ message }: Held): string {
  const rest = message.slot.slice(1);
  switch (message.slot[0]) {
    case 'c':
    case 'v':
      return hex(rest);
    case 'r': {
      const kind = rest.slice(0, rest.indexOf(' '));
      const target = rest.slice(rest.indexOf(' ') + 1);
      return target.startsWith('url ') ? `${kind} ${target.slice(4)}` : `${kind} ${hex(target)}`;
    }
    default:
      return rest;
  }
}

/** The live rows of a table, by fid and key. */
export function rowsOf(ledger: Ledger, table: TruthTable): TruthRow[] {
  const rows: TruthRow[] = [];
  for (const account of homeAccounts(ledger)) {
    const { fid } = account;
    if (table === 'fnames') {
      for (const [key, { proof, ver }] of account.fnames) {
        rows.push({ fid, key, ver, state: 1, hash: '', timestamp: proof.timestamp });
      }
    } else if (table === 'onChainEvents') {
      for (const { record, ver } of account.onChain.values()) {
        const hash = record.transactionHash.toString('hex');
        rows.push({ fid, key: `${record.type} ${hash} ${record.logIndex}`, ver, state: 1, hash, timestamp: 0 });
      }
    } else {
      for (const held of account.slots.values()) {
        const { message, ver } = held;
        if (message.slot[0] !== truthTables[table] || message.type === messageTypes.keyAdd) continue;
        const state = isRemove(message.type) ? 2 : 1;
        rows.push({ fid, key: keyOf(held), ver, state, hash: hex(message.hash), timestamp: message.timestamp });
      }
    }
  }
  return rows.sort((a, b) => a.fid - b.fid || (a.key < b.key ? -1 : 1));
}

/** Gasless keys that are active now, as lines: fid, key, nonce, time to live, scopes, Unix seconds of the message. */
export function gaslessKeysOf(ledger: Ledger): string[] {
  return [...homeAccounts(ledger)]
    .sort((a, b) => a.fid - b.fid)
    .flatMap(({ fid, slots }) =>
      [...slots.values()]
        .filter(({ message }) => message.type === messageTypes.keyAdd)
        .map(({ message: { slot, detail, timestamp } }) => {
          const key = `0x${Buffer.from(slot.slice(1), 'latin1').toString('hex')}`;
          const scopes = `[${(detail?.scopes ?? []).join(', ')}]`;
          return `${fid} ${key} ${detail?.nonce} ${detail?.ttlSeconds} ${scopes} ${timestamp + farcasterEpoch}`;
        })
        .sort(),
    );
}
