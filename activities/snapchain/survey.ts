/** What the node has and how large the tables are: the outer half of `status`; where a run stands it says itself. */
import { Context } from '@temporalio/activity';
import type { SnapchainDeps } from './activities';
import type { Survey } from './contract';

export async function surveySnapchain(deps: SnapchainDeps): Promise<Survey> {
  const { cancellationSignal: signal } = Context.current();
  const { node, destination } = await deps.ready(signal);
  const [info, size] = await Promise.all([node.info(signal), destination.size(signal)]);
  const shards = info.shards
    .map(({ shardIndex, maxHeight, numMessages, numFids }) => ({
      ...{ shard: shardIndex, height: maxHeight, messages: numMessages, fids: numFids },
    }))
    .sort((a, b) => a.shard - b.shard);
  return { version: info.version, shards, rows: size.rows, databaseBytes: size.bytes };
}
