/** What the chain says when it refuses, sorted by what helps. The texts are the network's own; they come wrapped in others. */
import { decodeErrorResult, parseAbi } from 'viem';
import type { RecallFailure } from './contract';
import { permanent } from './failures';
import { RecordRefused } from '../shared/failures';
import { RpcError } from './json-rpc';
import type { FailedObject } from './steps';

const table: readonly (readonly [RegExp, FailedObject['fate']])[] = [
  [/insufficient credit/i, 'CreditExhausted'],
  [/reached storage capacity/i, 'CapacityReached'],
  [/exceeds account'?s max allowed ttl|minimum blob ttl/i, 'TtlRefused'],
  [/missing delegation|missing credit approval|not found for delegat/i, 'DelegationMissing'],
  [/actor .*not found|no such (bucket|actor)|not (the )?(bucket )?owner|unauthorized/i, 'BucketRefused'],
  [/insufficient funds|sender does not have enough funds|not enough (funds|balance)/i, 'WalletEmpty'],
  [/key exists|metadata|blob size|object size|too large/i, 'park'],
];

/** again: nothing is known that a new transaction could not mend. */
export function fateOf(text: string): FailedObject['fate'] {
  return table.find(([pattern]) => pattern.test(text))?.[1] ?? 'again';
}

const remedies: Partial<Record<RecallFailure, string>> = {
  CreditExhausted: 'buy credit (buyCredit), or lower recall.sync.ttl, then resume',
  CapacityReached: 'wait, or ask the network’s operator, then resume',
  TtlRefused: 'change recall.sync.ttl, or have the account extended, then resume',
  DelegationMissing: 'approve the wallet (approveCredit by the owner), then resume',
  BucketRefused: 'name a bucket that this wallet may write to (--bucket), then resume',
  WalletEmpty: 'send it tokens for gas, then resume',
};

export const withRemedy = (fate: RecallFailure, text: string): string => {
  const remedy = remedies[fate];
  return remedy === undefined ? text : `${text}: ${remedy}`;
};

const errorAbi = parseAbi(['error Error(string message)']);

/** The bytes of Error(string), wherever a node puts them: as the data, within it, or in its words. */
const revertBytes = /08c379a0(?:[0-9a-f]{2})+/i;

/** The words of a refusal: those of the revert, where the node gives its bytes. */
export function wordsOf(error: RpcError): string {
  const [found] = revertBytes.exec(error.data) ?? revertBytes.exec(error.message) ?? [];
  if (found !== undefined) {
    try {
      return decodeErrorResult({ abi: errorAbi, data: `0x${found}` }).args[0];
    } catch {
      // Bytes that only look like it.
    }
  }
  return error.data === '' || error.data.startsWith('0x') ? error.message : `${error.message}: ${error.data}`;
}

/** What a refusal of one object's call means: a person's trouble, this record's, or the world's. */
export function classified(error: unknown, what: string): Error {
  if (!(error instanceof RpcError)) return error instanceof Error ? error : new Error(String(error));
  const words = wordsOf(error);
  const fate = fateOf(words);
  if (fate === 'park') return new RecordRefused(`${what}: ${words}`);
  if (fate === 'again') return new Error(`${what}: ${words}`);
  return permanent(fate, `${what}: ${withRemedy(fate, words)}`);
}
