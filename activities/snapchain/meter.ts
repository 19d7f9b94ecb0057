/** The job's own numbers for dashboards, on the page with Temporal's: while a leg goes on, for one of the log lasts minutes. */
import { metricMeter } from '@temporalio/activity';
import { farcasterEpochSeconds } from './contract';
import type { Destination, ProgressLine } from './destination';
import { isNodeFailure } from './node-failures';
import type { SnapchainNode } from './source';

const gauge = (name: string, unit: string, about: string, value: number, tags: Record<string, string>): void =>
  metricMeter.createGauge(`waybill_snapchain_${name}`, 'int', unit, about).set(Math.max(0, Math.round(value)), tags);

/** Call after the commit. `timestamp`: the network's seconds of that height; null where it is a snapshot's. */
export function tellCommitted(
  { shard, part, height, messages }: ProgressLine,
  { quarantined, timestamp }: { quarantined: number; timestamp: number | null },
): void {
  const tags = { shard: String(shard), part };
  gauge('height', '1', 'Block that has been read', height, tags);
  if (timestamp !== null && timestamp > 0)
    gauge('lag', 's', 'Age of that block', Date.now() / 1000 - timestamp - farcasterEpochSeconds, tags);
  if (messages > 0)
    metricMeter.createCounter('waybill_snapchain_messages', '1', 'Messages committed').add(messages, tags);
  if (quarantined > 0)
    metricMeter.createCounter('waybill_snapchain_quarantined', '1', 'Records put aside').add(quarantined, tags);
}

/** What a node refused, by the kind of it. */
export function tellTrouble(error: unknown): void {
  if (!isNodeFailure(error)) return;
  metricMeter.createCounter('waybill_snapchain_node_failures', '1', 'Calls that failed').add(1, { kind: error.kind });
}

/** Asks both ends, which takes milliseconds; what cannot be had is left out. */
export async function tellEnds(node: SnapchainNode, destination: Destination, signal: AbortSignal): Promise<void> {
  const [info, size] = await Promise.allSettled([node.info(signal), destination.size(signal)]);
  if (info.status === 'fulfilled')
    for (const { shardIndex, maxHeight } of info.value.shards)
      gauge('node_height', '1', 'Newest block of the node', maxHeight, { shard: String(shardIndex) });
  if (size.status === 'fulfilled') gauge('database_size', 'By', 'Tables and indexes on disk', size.value.bytes, {});
}
