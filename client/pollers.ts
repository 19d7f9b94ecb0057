/** Who takes the tasks of a queue, and how to have somebody. */
import type { Client } from '@temporalio/client';
import type { JobKind } from '../workflows/shared/names';

/** A poll lasts a minute at most; Temporal remembers a poller for five. */
const recentMs = 75_000;
// temporal.api.enums.v1: TASK_QUEUE_TYPE_WORKFLOW, TASK_QUEUE_TYPE_ACTIVITY
const taskQueueTypes = [1, 2];

/** Identities of workers that were there within the last minute; empty if nobody is. */
export async function pollersOf(client: Client, queue: string): Promise<string[]> {
  const { namespace } = client.options;
  const answers = await Promise.all(
    taskQueueTypes.map((taskQueueType) =>
      client.workflowService.describeTaskQueue({ namespace, taskQueue: { name: queue }, taskQueueType }),
    ),
  );
  const recent = answers
    .flatMap(({ pollers }) => pollers ?? [])
    .filter(({ lastAccessTime }) => Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000 < recentMs);
  return [...new Set(recent.map(({ identity }) => identity ?? ''))].sort();
}

/** What stands behind the @ of a queue says which worker it has to be: a host's, or one that has a wallet's key. */
export function workerRemedy(kind: JobKind, queue: string): string {
  const [, at] = queue.split('@');
  const where = at === undefined ? '' : at.startsWith('0x') ? ' that has the key of this wallet' : ' on that host';
  return `\`waybill worker --job ${kind}\`${where}`;
}
