/** What scan, tail and repair share: which records are wanted, how those that cannot be read are kept. */
import type { RecordType, SnapchainSettings } from './contract';
import { firstEventOf } from './event';
import { permanent } from './failures';
import { signatureChecks, type SignatureChecks } from './hashing';
import { tellTrouble } from './meter';
import { isNodeFailure } from './node-failures';
import type { RowOptions } from './rows';
import type { SnapchainNode } from './source';
import type { Row } from './tables';

const rawBytesMax = 1 << 20;

export const wantedFids = ({ fids }: Pick<SnapchainSettings, 'fids'>): ReadonlySet<number> | null =>
  fids.length === 0 ? null : new Set(fids);

export const rowOptions = ({ types, keepMessages }: Pick<SnapchainSettings, 'types' | 'keepMessages'>): RowOptions => ({
  types: types.length === 0 ? null : new Set<RecordType>(types),
  keepMessages,
});

export const checksOf = ({ signatureSample }: Pick<SnapchainSettings, 'signatureSample'>): SignatureChecks =>
  signatureChecks({ sampleRatio: signatureSample });

export interface Aside {
  readonly shard: number;
  /** `trie:…`, `event:…`, `fid:…`, `virtual shard:…`. */
  readonly place: string;
  /** Whose it is, where that is known: once the account proves, it is set aside no more. */
  readonly fid: number | null;
  readonly ver: number;
  readonly reason: string;
  readonly raw: Buffer | null;
}

export function quarantineRow({ shard, place, fid, ver, reason, raw }: Aside): Row {
  const bytes = raw ?? Buffer.alloc(0);
  return [shard, place, fid, ver, reason.replaceAll('\0', ''), bytes.subarray(0, rawBytesMax)];
}

/** What a person must mend at the node, as such; the rest is the world's. */
export function refusedByNode(error: unknown): unknown {
  tellTrouble(error);
  if (isNodeFailure(error, 'notOffered', 'accessRefused')) return permanent('NodeRefused', error.message, error);
  if (isNodeFailure(error, 'requestRefused')) return permanent('ShardRefused', error.message, error);
  return error;
}

export const wantsKeys = ({ types }: Pick<SnapchainSettings, 'types'>): boolean =>
  types.length === 0 || types.includes('gasless_keys');

/** A lower bound of what is read after this was asked, as a version: the first event of the node's newest block. */
export async function versionNow(node: SnapchainNode, shard: number, signal: AbortSignal): Promise<number> {
  const { shards } = await node.info(signal);
  return firstEventOf(shards.find(({ shardIndex }) => shardIndex === shard)?.maxHeight ?? 0);
}

/** Counts worth telling. */
export const nonZero = (counts: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
