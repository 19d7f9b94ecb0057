/** `snapchain verify`: accounts in the tables, proved against the node's Merkle roots. */
import { verifySettings, type VerifyCursor, type VerifyVerdict } from '../../activities/snapchain/contract';
import { taskQueue } from '../../workflows/shared/names';
import type { RunResult } from '../../workflows/shared/run-state';
import { giveUp, runBeside, settingsFor, type Beside } from '../beside';
import { wantedJob } from '../choose';
import { withTemporal } from '../connect';
import { exit, type ExitCode } from '../exit';
import { isRunResult } from '../follow';
import { printable } from '../format';
import type { Call } from '../verb';
import { snapchain } from './command';
import { snapchainKnowledge } from './knowledge';

export async function verify(call: Call): Promise<number> {
  snapchainKnowledge.check(call);
  const { sample, from, to, repair, differences } = call.options;
  return await withTemporal(call, async ({ client }) => {
    const wanted = await wantedJob(client, snapchain, snapchainKnowledge, call);
    const beside: Beside = {
      job: snapchain,
      knowledge: snapchainKnowledge,
      type: 'snapchainVerify',
      workflowId: `${wanted.id}/verify`,
      queue: wanted.description?.action.taskQueue ?? taskQueue('snapchain', wanted.host),
      input: settingsFor(verifySettings, wanted.settings, {
        ...(sample === undefined ? {} : { sample }),
        ...(from === undefined ? {} : { fidFrom: from }),
        ...(to === undefined ? {} : { fidTo: to }),
        ...(repair === true ? { repair: true } : {}),
        ...(differences === undefined ? {} : { differencesMax: differences }),
      }),
      summary: `prove ${snapchainKnowledge.summary(wanted.settings)}`,
      joins: true,
      lanes: true,
    };
    const outcome = await runBeside(client, call, beside);
    if (outcome.kind === 'ended' && isRunResult(outcome.result))
      return tellVerdicts(call, wanted.id, outcome.result as RunResult<VerifyCursor>);
    return await giveUp(client, call, outcome, beside);
  });
}

function tellVerdicts(call: Call, job: string, { lanes, state }: RunResult<VerifyCursor>): number {
  const compared = lanes.filter(({ status }) => status !== 'idle');
  const verdicts = compared.flatMap(({ lane, cursor }) => (cursor === null ? [] : [{ lane, ...cursor.verdict }]));
  const failed = compared.flatMap(({ lane, failure }) => (failure === undefined ? [] : [{ lane, ...failure }]));
  const exitCode = state === 'cancelled' ? exit.failed : codeOf(verdicts, failed.length);
  call.output.answer({ job, outcome: state, proved: exitCode === exit.ok, verdicts, failed, exitCode }, [
    ...verdicts.flatMap(verdictLines),
    ...failed.map(({ lane, type, reason }) => `${printable(lane)}: FAILED ${type}: ${printable(reason)}`),
  ]);
  if (state === 'cancelled') call.output.say('cancelled before the end');
  return exitCode;
}

function codeOf(verdicts: readonly VerifyVerdict[], failedCount: number): ExitCode {
  if (verdicts.some(({ differing }) => differing > 0)) return exit.failed;
  if (failedCount > 0) return exit.partial;
  return exit.ok;
}

function verdictLines({
  lane,
  proved,
  differing,
  repaired,
  withKeys,
  samples,
}: VerifyVerdict & { lane: string }): string[] {
  const counts: [string, number, string][] = [
    ['*', differing, 'differing'],
    ['~', repaired, 'repaired'],
    ['+', withKeys, 'of these with gasless keys, whose list is the node’s own'],
  ];
  return [
    `${printable(lane)}: ${differing > 0 ? 'DIFFERS' : 'equal'}`,
    `  = ${proved} accounts proved`,
    ...counts.filter(([, count]) => count > 0).map(([sign, count, what]) => `  ${sign} ${count} ${what}`),
    ...samples.map((line) => `    ${printable(line)}`),
  ];
}
