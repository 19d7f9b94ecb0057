/** The messages a run takes, as functions. Each throws what the run's validator answered. */
import { WorkflowUpdateFailedError, type Client } from '@temporalio/client';
import { configureUpdate, pauseUpdate, resumeUpdate, retryUpdate, type Progress } from '../workflows/shared/messages';
import { isUnanswered } from './connect';
import { CommandError, exit } from './exit';

/** A worker that is there answers in milliseconds; one that is starting, in seconds. */
const updateMsMax = 10_000;

/** Stops after the batch in hand. */
export function pauseRun(client: Client, workflowId: string, reason?: string): Promise<Progress> {
  const handle = client.workflow.getHandle(workflowId);
  const args: [{ reason?: string }] = [reason === undefined ? {} : { reason }];
  return answered(client, workflowId, () => handle.executeUpdate(pauseUpdate, { args }));
}

export function resumeRun(client: Client, workflowId: string): Promise<Progress> {
  return answered(client, workflowId, () => client.workflow.getHandle(workflowId).executeUpdate(resumeUpdate));
}

/** `changes`: any of the input's keys. */
export function configureRun(
  client: Client,
  workflowId: string,
  changes: Readonly<Record<string, unknown>>,
): Promise<Progress> {
  const handle = client.workflow.getHandle(workflowId);
  return answered(client, workflowId, () => handle.executeUpdate(configureUpdate, { args: [changes] }));
}

/** Parked records and failed lanes again: one lane's, or all. */
export function retryRun(client: Client, workflowId: string, lane?: string): Promise<Progress> {
  const handle = client.workflow.getHandle(workflowId);
  const args: [{ lane?: string }] = [lane === undefined ? {} : { lane }];
  return answered(client, workflowId, () => handle.executeUpdate(retryUpdate, { args }));
}

async function answered(client: Client, workflowId: string, ask: () => Promise<Progress>): Promise<Progress> {
  try {
    return await client.connection.withDeadline(Date.now() + updateMsMax, ask);
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError)
      throw new CommandError(exit.failed, `${workflowId}: ${error.cause?.message ?? error.message}`, { cause: error });
    if (isUnanswered(error) || (error instanceof Error && error.name === 'WorkflowUpdateRPCTimeoutOrCancelledError'))
      throw new CommandError(
        exit.unreachable,
        `${workflowId}: no worker answered within ${updateMsMax / 1000} s; one that starts later may still do it. \`waybill doctor\` says what is missing.`,
        { cause: error },
      );
    throw error;
  }
}
