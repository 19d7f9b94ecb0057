/** Records the situations of the snapchain job. */
import type { WorkflowHandle } from '@temporalio/client';
import type { TemporalServer } from '../support/temporal';
import { recordRuns } from './record-runs';
import { beginSnapchainStage, snapchainSituations, type SnapchainStage } from './snapchain-situations';

export async function recordSnapchain(server: TemporalServer, folder: string, name: string): Promise<void> {
  const stage = await beginSnapchainStage(server);
  try {
    await recordRuns({
      client: server.client,
      folder,
      name,
      play: () => (snapchainSituations[name] as (given: SnapchainStage) => Promise<WorkflowHandle[]>)(stage),
      names: () => Promise.resolve(stage.names),
    });
  } finally {
    await stage.end();
  }
}
