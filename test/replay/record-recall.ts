/** Records what the runs of a recall situation, and the runs that those started, have in their histories. */
import { writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import type { RecallJob } from '../support/recall-job';
import { neededVariable } from '../support/object-index';
import { eventually, type TemporalServer } from '../support/temporal';
import { beginStage, childrenOf, type RecallStage } from './recall-stage';
import { recallSituations } from './recall-situations';
import { renamed } from './rename';

/** One that fails half-way leaves nothing: a situation is recorded whole. */
export async function recordRecall(server: TemporalServer, folder: string, name: string): Promise<void> {
  const stage = await beginStage(server);
  const files: [file: string, history: string][] = [];
  try {
    const runs = await (recallSituations[name] as (given: RecallStage) => Promise<WorkflowHandle[]>)(stage);
    for (const run of runs) await eventually(`${name}: its runs are over`, async () => !(await isOpen(run)), 90);
    const children = await Promise.all(runs.map((run) => childrenOf(server.client, run)));
    const numbers = new Map<string, number>();
    for (const run of [...runs, ...children.flat()]) {
      const { type } = await run.describe();
      const number = (numbers.get(type) ?? 0) + 1;
      numbers.set(type, number);
      files.push([`${name}.${type}-${number}.json`, historyToJSON(await run.fetchHistory())]);
    }
  } finally {
    await stage.end();
  }
  const job = await stage.job();
  const { scheduleId } = await job.job();
  for (const [file, history] of files)
    writeFileSync(join(folder, file), `${anonymous(history, { job, scheduleId, name })}\n`);
}

const isOpen = async (run: WorkflowHandle): Promise<boolean> => (await run.describe()).status.name === 'RUNNING';

interface Recorded {
  readonly job: RecallJob;
  readonly scheduleId: string;
  readonly name: string;
}

/** Addresses, paths and processes as they might be anywhere. */
function anonymous(history: string, { job: { peer, rows }, scheduleId, name }: Recorded): string {
  const database = new URL(neededVariable('WAYBILL_TEST_POSTGRES_URL'));
  return renamed(history, [
    [peer.rpc.url, 'http://chain:8545'],
    [new URL(peer.rpc.url).host, 'chain:8545'],
    [peer.objects.url, 'http://objects:8001'],
    [new URL(peer.objects.url).host, 'objects:8001'],
    [database.host, 'db:5432'],
    [rows.schema, 'public'],
    [scheduleId, `recall/${name}`],
    [scheduleId.slice('recall/'.length), name],
    [`${process.pid}@${hostname()}`, 'recording'],
    [tmpdir(), '/srv'],
  ]);
}
