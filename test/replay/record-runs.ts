/** Records what the runs of a situation, and the runs that those started, have in their histories. */
import { writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { eventually } from '../support/temporal';
import { renamed } from './rename';

export interface Recording {
  readonly client: Client;
  readonly folder: string;
  /** Of the situation. */
  readonly name: string;
  /** Plays it, and gives the runs that show it, all of them over or about to be. */
  readonly play: () => Promise<readonly WorkflowHandle[]>;
  /** What must not stand in a history, and what stands there instead. Asked when all is over. */
  readonly names: () => Promise<readonly (readonly [string, string])[]>;
}

/** A situation is recorded whole, or not at all. */
export async function recordRuns({ client, folder, name, play, names }: Recording): Promise<void> {
  const runs = await play();
  const families = await Promise.all(runs.map((run) => withDescendants(client, run)));
  const numbers = new Map<string, number>();
  const files: [file: string, history: string][] = [];
  for (const run of families.flat()) {
    const { type } = await run.describe();
    const number = (numbers.get(type) ?? 0) + 1;
    numbers.set(type, number);
    files.push([`${name}.${type}-${number}.json`, historyToJSON(await run.fetchHistory())]);
  }
  const all = [...(await names()), [`${process.pid}@${hostname()}`, 'recording'], [tmpdir(), '/srv']] as const;
  for (const [file, history] of files) writeFileSync(join(folder, file), `${renamed(history, all)}\n`);
}

const isOpen = async (run: WorkflowHandle): Promise<boolean> => (await run.describe()).status.name === 'RUNNING';

/** A run, and in their order those that it started or went on as, each with its own. */
async function withDescendants(client: Client, run: WorkflowHandle): Promise<WorkflowHandle[]> {
  await eventually(`${run.workflowId} is over`, async () => !(await isOpen(run)), 90);
  const { events } = await run.fetchHistory();
  const found = (events ?? []).flatMap((event) => {
    const started = event.childWorkflowExecutionStartedEventAttributes?.workflowExecution;
    const next = event.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
    const [workflowId, runId] = next ? [run.workflowId, next] : [started?.workflowId, started?.runId];
    return workflowId && runId ? [client.workflow.getHandle(workflowId, runId, { followRuns: false })] : [];
  });
  const later = await Promise.all(found.map((each) => withDescendants(client, each)));
  return [run, ...later.flat()];
}
