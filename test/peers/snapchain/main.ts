/**
 * The emulated node as a process: `main.js '{"fids":50,"messages":100000}'` prints one line of JSON with its address
 * and what a sync must end with, then serves until SIGTERM.
 */
import { Ledger, limits2025 } from './ledger';
import { startSnapchainNode, type LedgerNode } from './ledger-node';
import { makeBulk } from './bulk';
import type { FaultRule } from './faults';
import { replayRecording } from './replay';
import { loadHashing } from './trie';
import { countsOf } from './truth';
import { fill, live, World } from './world';

export interface MainOptions {
  readonly port?: number;
  readonly seed?: number;
  readonly shards?: number;
  readonly fids?: number;
  readonly messages?: number;
  readonly messagesPerBlock?: number;
  readonly unsigned?: boolean;
  readonly storageLimits?: boolean;
  readonly pageSize?: number;
  readonly snapshotIntervalBlocks?: number;
  readonly faults?: readonly FaultRule[];
  /** A recording to replay instead of a world. */
  readonly recording?: string;
  /** A file for the pages of a prepared snapshot: for sizes that do not fit in memory. */
  readonly bulkFile?: string;
  readonly live?: { readonly blocksPerSecond: number; readonly messagesPerBlock: number; readonly seconds?: number };
}

interface Served {
  readonly facts: Record<string, unknown>;
  stop(): Promise<void>;
}

async function serveWorld(options: MainOptions): Promise<Served> {
  await loadHashing();
  const { seed = 1, fids = 50, messages = 10_000, unsigned = false } = options;
  const ledger = new Ledger({
    ...(options.shards && { shards: options.shards }),
    ...(options.storageLimits && { limitPerUnit: limits2025 }),
  });
  // In a prepared snapshot the first fids are taken; whoever writes live comes after them.
  const bulkFids = options.bulkFile === undefined ? 0 : 10_000_000;
  const world = new World({ seed, fids, unsigned, firstFid: 1001 + bulkFids });
  if (options.bulkFile === undefined) {
    fill(ledger, world, { messages, ...(options.messagesPerBlock && { messagesPerBlock: options.messagesPerBlock }) });
  } else {
    ledger.applyBlock([]);
  }
  const node = await startSnapchainNode({
    ledger,
    seed,
    ...(options.port && { port: options.port }),
    ...(options.pageSize && { pageSize: options.pageSize }),
    ...(options.faults && { faults: options.faults }),
    ...(options.snapshotIntervalBlocks && { snapshots: { intervalBlocks: options.snapshotIntervalBlocks } }),
  });
  const closeBulk = options.bulkFile === undefined ? undefined : addBulk(node, options, options.bulkFile);
  if (options.bulkFile !== undefined) for (const block of world.genesis(ledger)) ledger.applyBlock(block);
  const production = options.live && live(ledger, world, options.live);
  return {
    facts: {
      address: node.address,
      heights: ledger.shards.map((shard) => shard.height),
      truth: countsOf(ledger),
      ...(closeBulk && { bulk: closeBulk.facts }),
    },
    stop: async () => {
      production?.stop();
      await node.stop();
      closeBulk?.close();
    },
  };
}

function addBulk(
  node: LedgerNode,
  options: MainOptions,
  file: string,
): { facts: Record<string, unknown>; close(): void } {
  const { seed = 1, messages = 10_000, unsigned = false, pageSize } = options;
  const bulk = makeBulk(node.ledger, { seed, messages, file, signed: !unsigned, ...(pageSize && { pageSize }) });
  for (const view of bulk.views) node.shelf.keepForGood(view);
  const { byType, fids, fileBytes } = bulk;
  return { facts: { messages: bulk.messages, byType, fids, fileBytes }, close: () => bulk.close() };
}

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? '{}') as MainOptions;
  let served: Served;
  if (options.recording === undefined) served = await serveWorld(options);
  else {
    const node = await replayRecording(options.recording, { ...(options.port && { port: options.port }) });
    served = { facts: { address: node.address }, stop: () => node.stop() };
  }
  process.stdout.write(`${JSON.stringify(served.facts)}\n`);
  const stop = (): void => void served.stop().then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

void main().catch((error: unknown) => {
  process.stderr.write(`serve an emulated snapchain node: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
