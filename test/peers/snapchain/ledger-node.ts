/** A node that serves a ledger: its own snapshots, the chain's events. Several may serve one ledger. */
import { hubCalls, zeroBlocks } from './hub';
import { Ledger, type LedgerOptions } from './ledger';
import { serve, type NodeOptions, type SnapchainNode } from './node';
import { replicationCalls } from './replication';
import { Shelf, type ShelfOptions } from './shelf';
import { subscribe, type SubscribeLosses, type SubscribeOptions } from './subscribe';
import { loadHashing } from './trie';

export interface SnapchainNodeOptions extends NodeOptions {
  /** Made anew unless given: give the same one to two nodes of one network. */
  readonly ledger?: Ledger;
  readonly chain?: LedgerOptions;
  readonly snapshots?: ShelfOptions;
  readonly pageSize?: number;
  readonly firstBlock?: number;
  readonly lagEventsMax?: number;
  readonly seamLossEvents?: number;
  readonly version?: string;
  /** An older node, or one with too few open files allowed: ReplicationService is not there at all. */
  readonly withoutReplication?: boolean;
}

export interface LedgerNode extends SnapchainNode {
  readonly ledger: Ledger;
  readonly shelf: Shelf;
  /** Events that Subscribe lost so far, and how. */
  readonly losses: SubscribeLosses;
  readonly subscriptions: SubscribeOptions;
}

const devnet = 3;
const lagEventsMaxOfNodes = 10_000;

export async function startSnapchainNode(options: SnapchainNodeOptions = {}): Promise<LedgerNode> {
  await loadHashing();
  const ledger = options.ledger ?? new Ledger(options.chain);
  const shelf = new Shelf(ledger, options.snapshots);
  const losses: SubscribeLosses = { lagged: 0, seam: 0 };
  const subscriptions: SubscribeOptions = {
    lagEventsMax: options.lagEventsMax ?? lagEventsMaxOfNodes,
    seamLossEvents: options.seamLossEvents ?? 0,
  };
  const replication = replicationCalls(shelf, {
    pageSize: options.pageSize ?? 1000,
    firstBlock: options.firstBlock ?? 0,
  });
  const hub = hubCalls(ledger, {
    version: options.version ?? '0.14.2',
    peerId: '12D3KooWEmulatedPeerOfWaybill',
  });
  const node = await serve(
    {
      unary: new Map([...(options.withoutReplication ? [] : replication), ...hub]),
      streams: new Map([
        ['HubService/Subscribe', (request, stream) => subscribe(ledger, request, stream, subscriptions, losses)],
        [
          'HubService/GetBlocks',
          (request, stream) => {
            for (const block of zeroBlocks(ledger, request, devnet)) stream.send(block);
            stream.end();
          },
        ],
      ]),
      restarted: () => shelf.restarted(),
      lostSnapshots: (shard) => shelf.lose(shard),
      stopped: () => shelf.stop(),
    },
    options,
  );
  return Object.assign(node, { ledger, shelf, losses, subscriptions });
}
