/** `verify` of every job: a workflow beside its runs, waited for, and what it found told the same way. */
import type { Client } from '@temporalio/client';
import type { z } from 'zod';
import { taskQueue } from '../workflows/shared/names';
import type { RunResult } from '../workflows/shared/run-state';
import { giveUp, runBeside, settingsFor, type Beside } from './beside';
import { wantedJob, type WantedJob } from './choose';
import { withTemporal } from './connect';
import { exit, type ExitCode } from './exit';
import { isRunResult } from './follow';
import { printable } from './format';
import type { Call, JobCommand, JobKnowledge } from './verb';

export interface Verification<V> {
  readonly job: JobCommand;
  readonly knowledge: JobKnowledge;
  /** The workflow's type. */
  readonly type: string;
  /** What it does, for the UI: `compare`. */
  readonly act: string;
  readonly settings: z.ZodObject;
  /** Settings beyond those of the job's runs, by the workflow's names; undefined is left out. */
  readonly given: (call: Call, client: Client, wanted: WantedJob) => object | Promise<object>;
  /** False: one that is under way may look at other things, or at less of each. */
  readonly joins: boolean;
  readonly tell: (found: Found<V>) => Told;
}

export interface Found<V> {
  readonly verdicts: readonly { readonly lane: string; readonly verdict: V }[];
  readonly failed: readonly { readonly lane: string; readonly type: string; readonly reason: string }[];
}

export interface Told {
  readonly code: ExitCode;
  readonly data: object;
  readonly lines: readonly string[];
}

export async function verifyJob<V>(call: Call, what: Verification<V>): Promise<number> {
  const { job, knowledge } = what;
  knowledge.check(call);
  return await withTemporal(call, async ({ client }) => {
    const wanted = await wantedJob(client, job, knowledge, call);
    const given = Object.entries(await what.given(call, client, wanted)).filter(([, value]) => value !== undefined);
    const beside: Beside = {
      job,
      knowledge,
      type: what.type,
      workflowId: `${wanted.id}/verify`,
      queue: wanted.description?.action.taskQueue ?? taskQueue(job.kind, wanted.host),
      input: settingsFor(what.settings, wanted.settings, Object.fromEntries(given)),
      summary: `${what.act} ${knowledge.summary(wanted.settings)}`,
      joins: what.joins,
      lanes: true,
    };
    const outcome = await runBeside(client, call, beside);
    if (outcome.kind !== 'ended' || !isRunResult(outcome.result)) return await giveUp(client, call, outcome, beside);
    return tellFound(call, wanted.id, outcome.result as RunResult<{ readonly verdict: V }>, what);
  });
}

function tellFound<V>(
  { output }: Call,
  job: string,
  { lanes, state }: RunResult<{ readonly verdict: V }>,
  { tell }: Verification<V>,
): number {
  const compared = lanes.filter(({ status }) => status !== 'idle');
  const verdicts = compared.flatMap(({ lane, cursor }) => (cursor === null ? [] : [{ lane, verdict: cursor.verdict }]));
  const failed = compared.flatMap(({ lane, failure }) => (failure === undefined ? [] : [{ lane, ...failure }]));
  const { code, data, lines } = tell({ verdicts, failed });
  const exitCode = state === 'cancelled' ? exit.failed : code;
  output.answer({ job, outcome: state, equal: exitCode === exit.ok, ...data, failed, exitCode }, [
    ...lines,
    ...failed.map(({ lane, type, reason }) => `${printable(lane)}: FAILED ${type}: ${printable(reason)}`),
  ]);
  if (state === 'cancelled') output.say('cancelled before the end');
  if (compared.length === 0) output.say('there was nothing to compare');
  return exitCode;
}

export interface Verdict {
  readonly head: string;
  /** What is as it should be. */
  readonly equal: string;
  /** What is not, with signs as in rclone check; those of nothing are left out. */
  readonly counts: readonly (readonly [sign: string, count: number, what: string])[];
  readonly remarks?: readonly string[];
  readonly samples: readonly string[];
}

export function verdictText({ head, equal, counts, remarks = [], samples }: Verdict): string[] {
  return [
    head,
    `  = ${equal}`,
    ...counts.filter(([, count]) => count > 0).map(([sign, count, what]) => `  ${sign} ${count} ${what}`),
    ...remarks.map((line) => `  ! ${printable(line)}`),
    ...samples.map((line) => `    ${printable(line)}`),
  ];
}
