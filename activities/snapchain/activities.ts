/** The activities of the snapchain job, each with what repeating it does. What they need of the world comes from the worker. */
import type { LegResult } from '../shared/contract';
import { concludeScan } from './conclude';
import type {
  ConcludeInput,
  OpenedScan,
  OpenedShard,
  ScanCursor,
  ScanInput,
  ScanSettings,
  ScanVerdict,
  SnapchainSettings,
  Survey,
  TailCursor,
  TailInput,
  VerifyCursor,
  VerifyInput,
} from './contract';
import type { Destination } from './destination';
import { openScan, openShards } from './open';
import { scanVirtualShards } from './scan';
import type { SnapchainNode } from './source';
import { surveySnapchain } from './survey';
import { tailEvents } from './tail';
import { verifyAccounts } from './verify';

export interface Ready {
  readonly node: SnapchainNode;
  readonly destination: Destination;
  /** Data shards of the network. */
  readonly numShards: number;
}

export interface SnapchainDeps {
  /**
   * Node and database, connected when first asked for, the tables brought up to date. Throws NodeRefused, DatabaseRefused, and
   * the world's troubles.
   */
  readonly ready: (signal: AbortSignal) => Promise<Ready>;
}

export interface SnapchainActivities {
  /** Shards and their newest snapshots. Changes the tables' version at most. */
  openShards(settings: SnapchainSettings): Promise<readonly OpenedShard[]>;
  /** The stretches of a scan. Reads only. */
  openScan(settings: ScanSettings): Promise<OpenedScan>;
  /** One leg of a stretch; a row that is there already is left as it is. */
  scanVirtualShards(input: ScanInput): Promise<LegResult<ScanCursor>>;
  /** Compares the shard's root. Repeating it says the same. */
  concludeScan(input: ConcludeInput): Promise<ScanVerdict>;
  /** One leg of a shard's log; events that were applied before change nothing. */
  tailEvents(input: TailInput): Promise<LegResult<TailCursor>>;
  /** Compares accounts with the node's; with `repair` reads those that differ anew. */
  verifyAccounts(input: VerifyInput): Promise<LegResult<VerifyCursor>>;
  /** Heights, sizes, lag. Reads only. */
  surveySnapchain(): Promise<Survey>;
}

export function createSnapchainActivities(deps: SnapchainDeps): SnapchainActivities {
  return {
    openShards: (settings) => openShards(deps, settings),
    openScan: (settings) => openScan(deps, settings),
    scanVirtualShards: (input) => scanVirtualShards(deps, input),
    concludeScan: (input) => concludeScan(deps, input),
    tailEvents: (input) => tailEvents(deps, input),
    verifyAccounts: (input) => verifyAccounts(deps, input),
    surveySnapchain: () => surveySnapchain(deps),
  };
}
