/**
 * Fid by fid, over the calls that give one user's records: the way around a page that no node can serve, and to repair an
 * account. Slower by far than pages, and not all of it: the messages of username proofs are given by no call, nor are
 * key messages.
 *
 * The version of what is read is the height before the first question: a lower bound, so that the tail's word wins.
 */
import { reasonOf, RecordRefused } from '../shared/failures';
import type { Leg } from '../shared/leg';
import { decodeNameProof, decodeOnChainEvent } from './chain-record';
import type { SnapchainSettings } from './contract';
import type { Batch, Destination } from './destination';
import { firstEventOf } from './event';
import { MerkleTree } from './merkle';
import { decodeMessage } from './message-data';
import { checksOf, quarantineRow, rowOptions } from './records';
import { RowMaker } from './rows';
import type { FidStore, SnapchainNode } from './source';
import { accountKey, fnameKey, homeShardOf, messageKey, onChainKey, virtualShardOf } from './trie-key';
import { onChainTypes } from './wire';

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
  const { shards } = await node.info(leg.signal);
  const height = shards.find(({ shardIndex }) => shardIndex === settings.shard)?.maxHeight ?? 0;
  const ver = firstEventOf(height);
  const before = await node.subtree({ shardIndex: settings.shard, prefix: accountKey(fid) }, leg.signal);
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
  const after = await node.subtree({ shardIndex: settings.shard, prefix: accountKey(fid) }, leg.signal);
  const root = account.root();
  const isProved = before !== null && after !== null && before.root.equals(after.root) && after.root.equals(root);
  if (isProved) {
    batch.add('fids', [fid, settings.shard, ver, root, after.numMessages]);
    if (settings.types.length === 0) batch.sweep([fid], ver);
  } else
    batch.add(
      'quarantine',
      quarantineRow(
        settings.shard,
        `fid:${fid}`,
        ver,
        `read by its own calls ${account.keys.size} leaves came, the node tells ${after?.numMessages ?? 0}: key messages and username proofs are given by no call`,
        null,
      ),
    );
  await destination.write(batch, leg.signal);
  return { messages: account.messages, quarantined: account.quarantined, isProved };
}

class Account {
  readonly keys = new Map<string, Buffer>();
  messages = 0;
  quarantined = 0;
  private readonly rows: RowMaker;
  private readonly checks;

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
      // Others are in messages, which no call gives.
      if (proof.nameType !== fnameType) return;
      this.key(fnameKey(this.of.fid, proof.name));
      this.rows.fname(proof, this.of.ver);
    });
  }

  root(): Buffer {
    const tree = new MerkleTree(virtualShardOf(this.of.fid));
    for (const key of [...this.keys.values()].sort((a, b) => Buffer.compare(a, b))) tree.add(key);
    tree.finish();
    return tree.takeAccounts()[0]?.root ?? Buffer.alloc(0);
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
      const place = `fid:${this.of.fid}:${this.quarantined}`;
      this.batch.add(
        'quarantine',
        quarantineRow(this.context.settings.shard, place, this.of.ver, reasonOf(error), bytes),
      );
    }
  }
}
