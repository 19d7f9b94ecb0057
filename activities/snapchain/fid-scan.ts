/**
 * Fid by fid, over the calls that give one user's records: the way around a page that no node can serve, and to repair an
 * account. Slower by far than pages, and not all of it: of key messages no call gives more than the keys, and of those with a
 * proof of a name the proof alone, from which the message is made again and proved by its hash.
 *
 * The version of what is read is the height before the first question: a lower bound, so that the tail's word wins.
 */
import { reasonOf, RecordRefused } from '../shared/failures';
import type { Leg } from '../shared/leg';
import { isSubtree, proveAccount } from './account-proof';
import { decodeNameProof, decodeOnChainEvent } from './chain-record';
import type { SnapchainSettings } from './contract';
import type { Batch, Destination } from './destination';
import { decodeMessage, messageOfProof } from './message-data';
import { checksOf, quarantineRow, rowOptions, versionNow, wantsKeys } from './records';
import { RowMaker } from './rows';
import type { FidStore, SnapchainNode } from './source';
import { fnameKey, homeShardOf, messageKey, messageTypeByte, onChainKey, virtualShardOf } from './trie-key';
import { messageTypes, onChainTypes, type GaslessKey, type NameProof } from './wire';

const stores: readonly FidStore[] = [
  'casts',
  'reactions',
  'links',
  'linkCompactStates',
  'verifications',
  'userData',
  'storageLends',
];
const fnameType = 1;
/** Mainnet, testnet, devnet: a proof does not say which. */
const networks = [1, 2, 3] as const;

export interface FidContext {
  readonly node: SnapchainNode;
  readonly destination: Destination;
  readonly numShards: number;
  readonly leg: Pick<Leg<unknown>, 'signal' | 'alive'>;
  readonly settings: SnapchainSettings & { readonly shard: number };
}

/** The fids of one virtual shard, ascending. */
export async function fidsOf(
  { node, settings, leg, numShards }: FidContext,
  { virtualShard, wanted }: { virtualShard: number; wanted: ReadonlySet<number> | null },
): Promise<readonly number[]> {
  const fids: number[] = [];
  for await (const page of node.fids(settings.shard, leg.signal)) {
    for (const fid of page)
      if (virtualShardOf(fid) === virtualShard && homeShardOf(fid, numShards) === settings.shard)
        if (wanted?.has(fid) ?? true) fids.push(fid);
    leg.alive();
  }
  return fids.sort((a, b) => a - b);
}

export interface FidRead {
  readonly messages: number;
  readonly quarantined: number;
  /** What was read makes the account's root, as it was before and after. */
  readonly isProved: boolean;
}

/** One fid's records into the tables, and what is not among them any more out of them. */
export async function readFid(context: FidContext, fid: number): Promise<FidRead> {
  const { node, destination, settings, leg } = context;
  const ver = await versionNow(node, settings.shard, leg.signal);
  const batch = destination.batch();
  const account = new Account(batch, context, { fid, ver });
  for (const store of stores)
    for await (const messages of node.messagesOf(fid, store, leg.signal)) {
      for (const bytes of messages) account.message(bytes);
      leg.alive();
    }
  for (const type of Object.values(onChainTypes))
    for await (const events of node.onChainEventsOf(fid, type, leg.signal))
      for (const bytes of events) account.onChain(bytes);
  for (const bytes of await node.nameProofsOf(fid, leg.signal)) account.name(bytes);
  await account.messagesOfNames();
  const keys = wantsKeys(settings) ? await node.gaslessKeysOf(fid, leg.signal) : null;
  if (keys !== null) account.gaslessKeys(keys);
  const { isProved, root, numMessages, reason } = await proveAccount(
    node,
    { shardIndex: settings.shard, fid, keys: account.sortedKeys() },
    leg.signal,
  );
  if (isProved) {
    batch.add('fids', [fid, settings.shard, ver, root, numMessages]);
    if (settings.types.length === 0) batch.sweep([fid], ver);
  } else {
    const aside = { shard: settings.shard, place: `fid:${fid}`, fid, ver, raw: null };
    const text = `read by its own calls, it is not as the node tells: ${reason}`;
    batch.add('quarantine', quarantineRow({ ...aside, reason: text }));
  }
  await destination.write(batch, leg.signal);
  return { messages: account.messages, quarantined: account.quarantined, isProved };
}

class Account {
  readonly keys = new Map<string, Buffer>();
  messages = 0;
  quarantined = 0;
  private readonly rows: RowMaker;
  private readonly checks;
  private readonly proofs: NameProof[] = [];

  constructor(
    private readonly batch: Batch,
    private readonly context: FidContext,
    private readonly of: { readonly fid: number; readonly ver: number },
  ) {
    this.rows = new RowMaker(batch, rowOptions(context.settings));
    this.checks = checksOf(context.settings);
  }

  message(bytes: Buffer): void {
    this.guarded(bytes, (where) => {
      const message = decodeMessage(bytes, where);
      if (message.fid !== this.of.fid) throw new RecordRefused(`${where}: a message of fid ${message.fid}`);
      if (!this.checks.passes(message)) throw new RecordRefused(`${where}: not signed by its signer`);
      this.key(messageKey(this.of.fid, message.type, message.hash));
      this.rows.message(message, this.of.ver);
    });
  }

  onChain(bytes: Buffer): void {
    this.guarded(bytes, (where) => {
      const event = decodeOnChainEvent(bytes, where);
      this.key(onChainKey(event.fid, event.type, event.transactionHash, event.logIndex));
      this.rows.onChain(event);
    });
  }

  name(bytes: Buffer): void {
    this.guarded(bytes, (where) => {
      const proof = decodeNameProof(bytes, where);
      if (proof.nameType !== fnameType) return void this.proofs.push(proof);
      this.key(fnameKey(this.of.fid, proof.name));
      this.rows.fname(proof, this.of.ver);
    });
  }

  /** The messages that proofs came in, if there is a network on which the node has just these. */
  async messagesOfNames(): Promise<void> {
    if (this.proofs.length === 0) return;
    const { node, settings, leg } = this.context;
    const { fid, ver } = this.of;
    for (const network of networks) {
      const messages = this.proofs.map((proof) => messageOfProof(proof, network));
      const keys = messages
        .map(({ hash }) => messageKey(fid, messageTypes.usernameProof, hash))
        .sort((a, b) => Buffer.compare(a, b));
      const type = messageTypeByte(messageTypes.usernameProof);
      if (!(await isSubtree(node, { shardIndex: settings.shard, fid, keys, type }, leg.signal))) continue;
      for (const key of keys) this.key(key);
      for (const message of messages) this.rows.message(message, ver);
      return;
    }
  }

  gaslessKeys(keys: readonly GaslessKey[]): void {
    const { fid, ver } = this.of;
    if (keys.length > 0) this.rows.gaslessKeys(fid, keys, ver);
    else this.batch.sweep([fid], ver, ['gasless_keys']);
  }

  sortedKeys(): readonly Buffer[] {
    return [...this.keys.values()].sort((a, b) => Buffer.compare(a, b));
  }

  private key(key: Buffer): void {
    this.keys.set(key.toString('latin1'), key);
    this.messages += 1;
  }

  private guarded(bytes: Buffer, take: (where: string) => void): void {
    const where = `records of fid ${this.of.fid}`;
    try {
      take(where);
    } catch (error) {
      if (!(error instanceof RecordRefused)) throw error;
      this.quarantined += 1;
      const { fid, ver } = this.of;
      const aside = { shard: this.context.settings.shard, place: `fid:${fid}:${this.quarantined}`, fid, ver };
      this.batch.add('quarantine', quarantineRow({ ...aside, reason: reasonOf(error), raw: bytes }));
    }
  }
}
