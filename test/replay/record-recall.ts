/** Records the situations of the recall job. */
import type { WorkflowHandle } from '@temporalio/client';
import { neededVariable } from '../support/object-index';
import type { TemporalServer } from '../support/temporal';
import { beginStage, type RecallStage } from './recall-stage';
import { recallSituations } from './recall-situations';
import { recordRuns } from './record-runs';

export async function recordRecall(server: TemporalServer, folder: string, name: string): Promise<void> {
  const stage = await beginStage(server);
  try {
    await recordRuns({
      client: server.client,
      folder,
      name,
      play: () => (recallSituations[name] as (given: RecallStage) => Promise<WorkflowHandle[]>)(stage),
      names: async () => {
        const { peer, rows, job } = await stage.job();
        const { scheduleId } = await job();
        const database = new URL(neededVariable('WAYBILL_TEST_POSTGRES_URL'));
        return [
          [peer.rpc.url, 'http://chain:8545'],
          [new URL(peer.rpc.url).host, 'chain:8545'],
          [peer.objects.url, 'http://objects:8001'],
          [new URL(peer.objects.url).host, 'objects:8001'],
          [database.host, 'db:5432'],
          [rows.schema, 'public'],
          [scheduleId, `recall/${name}`],
          [scheduleId.slice('recall/'.length), name],
        ];
      },
    });
  } finally {
    await stage.end();
  }
}
