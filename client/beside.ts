/** Workflows that are no runs of a job's schedule: comparisons, rehearsals, chores. Started, followed, told about. */
import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import type { z } from 'zod';
import { CommandError, exit } from './exit';
import type { Outcome } from './follow';
import { followShown } from './following';
import { shellWord } from './format';
import { isOpen } from './job';
import { reportOf } from './report';
import type { Call, JobCommand, JobKnowledge, Settings } from './verb';

export interface Beside {
  readonly job: JobCommand;
  readonly knowledge: JobKnowledge;
  /** The workflow's type. */
  readonly type: string;
  readonly workflowId: string;
  readonly queue: string;
  readonly input: object;
  readonly summary: string;
  /** True: one that is under way is joined. False: it is in the way. */
  readonly joins: boolean;
  /** True: it has lanes and tells its progress. */
  readonly lanes: boolean;
}

export async function runBeside(client: Client, call: Call, beside: Beside): Promise<Outcome> {
  const { job, knowledge, type, workflowId, queue, input, summary, joins, lanes } = beside;
  try {
    if (joins && (await isOpen(client, workflowId)))
      call.output.say(`${workflowId} is under way already; following it`);
    await client.workflow.start(type, {
      workflowId,
      taskQueue: queue,
      args: [input],
      staticSummary: summary.slice(0, 200),
      workflowIdConflictPolicy: joins ? 'USE_EXISTING' : 'FAIL',
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    throw new CommandError(
      exit.failed,
      `${workflowId} is under way already: wait for it, or end it: ${endOf(workflowId)}`,
    );
  }
  return await followShown(client, job, call, { workflowId, queue, ...(lanes ? { knowledge } : {}) });
}

/** Tells an outcome that is not a result, and gives its exit code. */
export function tellStopped(call: Call, outcome: Outcome, { job, knowledge, workflowId }: Beside): number {
  const report = reportOf(outcome, { job, knowledge, id: workflowId, name: '', workflowId });
  call.output.answer({ ...report.data, exitCode: report.code }, report.lines);
  return report.code;
}

export function sayGoesOn(call: Call, { workflowId }: Beside): void {
  call.output.say(`it goes on by itself; follow it: the same command; end it: ${endOf(workflowId)}`);
}

/**
 * Tells that a reading came to no result, and gives its exit code. Unless somebody only stopped following it is ended: it
 * has no position worth keeping, and nobody is to find a stuck one tomorrow.
 */
export async function giveUp(client: Client, call: Call, outcome: Outcome, beside: Beside): Promise<number> {
  const code = tellStopped(call, outcome, beside);
  if (outcome.kind === 'detached') sayGoesOn(call, beside);
  else if (outcome.kind !== 'failed') {
    await client.workflow.getHandle(beside.workflowId).cancel();
    call.output.say('it was given up: mend that and do it again');
  }
  return code;
}

const endOf = (workflowId: string): string => `temporal workflow cancel -w ${shellWord(workflowId)}`;

/** Of a run's settings, those that another workflow takes. */
export function settingsFor<S extends z.ZodObject>(schema: S, settings: Settings, more: object): z.output<S> {
  const taken = Object.entries(settings).filter(([key]) => key in schema.shape);
  return schema.parse({ ...Object.fromEntries(taken), ...more });
}
