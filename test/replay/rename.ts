/** Names of the machine that records, as they might be anywhere. */
import { join } from 'node:path';
import { payloadsReplaced } from './payloads';

/** A history in which names were replaced, in the payloads too. */
export function renamed(history: string, names: readonly (readonly [string, string])[]): string {
  const all = [...names, [`${join(__dirname, '../..')}/`, ''] as const];
  const change = (text: string): string => all.reduce((result, [from, to]) => result.replaceAll(from, to), text);
  return JSON.stringify(payloadsReplaced(JSON.parse(change(history)), change), null, 2);
}
