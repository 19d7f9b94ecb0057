/** The audio workflows that are no runs of a job: verify, rebase, retention. Started, followed, told about. */
import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import type { z } from 'zod';
import { CommandError, exit } from '../exit';
import { followShown } from '../following';
import { isOpen } from '../job';
import type { Outcome } from '../follow';
import { shellWord } from '../format';
import { reportOf } from '../report';
import type { Call, Settings } from '../verb';
import { audio } from './command';
import { audioKnowledge } from './knowledge';

export interface Beside {
  readonly type: 'audioVerify' | 'audioRebase' | 'audioRetention';
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
  const { type, workflowId, queue, input, summary, joins, lanes } = beside;
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
    const end = `temporal workflow cancel -w ${shellWord(workflowId)}`;
    throw new CommandError(exit.failed, `${workflowId} is under way already: wait for it, or end it: ${end}`);
  }
  return await followShown(client, audio, call, {
    workflowId,
    queue,
    ...(lanes ? { knowledge: audioKnowledge } : {}),
  });
}

/** Tells an outcome that is not a result, and gives its exit code. */
export function tellStopped(call: Call, outcome: Outcome, { workflowId }: Pick<Beside, 'workflowId'>): number {
  const report = reportOf(outcome, { job: audio, knowledge: audioKnowledge, id: workflowId, name: '', workflowId });
  call.output.answer({ ...report.data, exitCode: report.code }, report.lines);
  return report.code;
}

export function sayGoesOn(call: Call, { workflowId }: Pick<Beside, 'workflowId'>): void {
  const end = `temporal workflow cancel -w ${shellWord(workflowId)}`;
  call.output.say(`it goes on by itself; follow it: the same command; end it: ${end}`);
}

/** Of a run's settings, those that another workflow takes. */
export function settingsFor<S extends z.ZodObject>(schema: S, settings: Settings, more: object): z.output<S> {
  const taken = Object.entries(settings).filter(([key]) => key in schema.shape);
  return schema.parse({ ...Object.fromEntries(taken), ...more });
}
