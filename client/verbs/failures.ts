/** `failures`: what is parked and which lanes failed, in the open run or else by the last one's result. */
import type { Client } from '@temporalio/client';
import type { LaneState, RunResult } from '../../workflows/shared/run-state';
import type { ParkedItem } from '../../activities/shared/contract';
import { chooseJob } from '../choose';
import { withTemporal } from '../connect';
import { exit } from '../exit';
import { isRunResult } from '../follow';
import { printable, shellWord, table } from '../format';
import { lastRun, openRuns } from '../job';
import { takeSnapshot } from '../snapshot';
import type { Call, JobCommand } from '../verb';

export async function failures(job: JobCommand, call: Call): Promise<number> {
  const knowledge = await job.load();
  return await withTemporal(call, async ({ client }) => {
    const { id, name, description } = await chooseJob(client, job, knowledge, call);
    const open = (await openRuns(client, description))[0];
    const run = open ?? lastRun(description);
    const state = run === null ? null : await stateOf(client, run.workflowId, open !== undefined);
    const failed = (state?.lanes ?? []).filter(({ failure }) => failure !== undefined);
    const parked = state?.parked ?? [];
    call.output.answer(
      {
        job: id,
        run: run?.workflowId ?? null,
        failed: failed.map(({ lane, failure }) => ({ lane, ...failure })),
        parked,
      },
      failureLines(failed, parked),
    );
    if (run === null) call.output.say(`${id} has not run yet`);
    else if (state === null)
      call.output.say(`${run.workflowId} tells nothing: ended without a result, or no worker answers`);
    else if (failed.length + parked.length === 0) call.output.say(`${id}: none`);
    else call.output.say(`try them again: waybill ${job.kind} retry --job ${shellWord(name)}`);
    return failed.length + parked.length > 0 ? exit.partial : exit.ok;
  });
}

type Told = Pick<RunResult<unknown>, 'lanes' | 'parked'>;

/** Null where nothing can be had. */
export async function stateOf(client: Client, workflowId: string, isOpen: boolean): Promise<Told | null> {
  if (isOpen) return (await takeSnapshot(client, workflowId, { progress: true })).progress;
  const handle = client.workflow.getHandle(workflowId);
  if ((await handle.describe()).status.name !== 'COMPLETED') return null;
  const result: unknown = await handle.result();
  return isRunResult(result) ? result : null;
}

export function failureLines(failed: readonly LaneState<unknown>[], parked: readonly ParkedItem[]): string[] {
  return table([
    ...failed.map(({ lane, failure }) => [printable(lane), failure?.type ?? '', printable(failure?.reason ?? '')]),
    ...parked.map(({ lane, id, attempts, reason }) => [
      printable(lane),
      `parked ${printable(id)} (tried ${attempts})`,
      printable(reason),
    ]),
  ]);
}
