/** `audio verify`: what was copied, proved against the sender. Signs as in rclone check, seen from our side. */
import { verifySettings, type ShowVerdict, type VerifyCursor } from '../../activities/audio/contract';
import { taskQueue } from '../../workflows/shared/names';
import type { RunResult } from '../../workflows/shared/run-state';
import { wantedJob } from '../choose';
import { giveUp, runBeside, settingsFor, type Beside } from '../beside';
import { withTemporal } from '../connect';
import { exit, type ExitCode } from '../exit';
import { isRunResult } from '../follow';
import { printable } from '../format';
import type { Call } from '../verb';
import { audio } from './command';
import { audioKnowledge } from './knowledge';

export async function verify(call: Call): Promise<number> {
  audioKnowledge.check(call);
  return await withTemporal(call, async ({ client }) => {
    const wanted = await wantedJob(client, audio, audioKnowledge, call);
    const { differences } = call.options;
    const beside: Beside = {
      job: audio,
      knowledge: audioKnowledge,
      type: 'audioVerify',
      workflowId: `${wanted.id}/verify`,
      queue: wanted.description?.action.taskQueue ?? taskQueue('audio', wanted.host),
      input: settingsFor(
        verifySettings,
        wanted.settings,
        differences === undefined ? {} : { differencesMax: differences },
      ),
      summary: `compare ${audioKnowledge.summary(wanted.settings)}`,
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
  const verdicts = compared.flatMap(({ cursor }) => (cursor === null ? [] : [cursor.verdict]));
  const failed = compared.flatMap(({ lane, failure }) => (failure === undefined ? [] : [{ lane, ...failure }]));
  const exitCode = state === 'cancelled' ? exit.failed : codeOf(verdicts, failed.length);
  call.output.answer({ job, outcome: state, equal: exitCode === exit.ok, verdicts, failed, exitCode }, [
    ...verdicts.flatMap(verdictLines),
    ...failed.map(({ lane, type, reason }) => `${printable(lane)}: FAILED ${type}: ${printable(reason)}`),
  ]);
  if (state === 'cancelled') call.output.say('cancelled before the end');
  if (compared.length === 0) call.output.say('there were no shows');
  return exitCode;
}

/** What the sender deleted, we may keep; what is beyond our position is only not there yet. */
export function isDrift({ differing, missingLocally, notYetSynced, metadata }: ShowVerdict): boolean {
  return differing > 0 || missingLocally > notYetSynced || metadata.length > 0;
}

export function codeOf(verdicts: readonly ShowVerdict[], failedCount: number): ExitCode {
  if (verdicts.some(isDrift)) return exit.failed;
  if (failedCount === 0) return exit.ok;
  return verdicts.length === 0 ? exit.failed : exit.partial;
}

export function verdictLines(verdict: ShowVerdict): string[] {
  const { show, matched, differing, missingLocally, missingAtSource, notYetSynced, metadata, samples } = verdict;
  const counts: [string, number, string][] = [
    ['*', differing, 'differing'],
    ['-', missingLocally - notYetSynced, 'missing locally'],
    ['+', missingAtSource, 'missing at the sender'],
    ['>', notYetSynced, 'not synced yet'],
  ];
  return [
    `${printable(show)}: ${isDrift(verdict) ? 'DIFFERS' : 'equal'}`,
    `  = ${matched} matched`,
    ...counts.filter(([, count]) => count > 0).map(([sign, count, what]) => `  ${sign} ${count} ${what}`),
    ...metadata.map((line) => `  ! ${printable(line)}`),
    ...samples.map((line) => `    ${printable(line)}`),
  ];
}
