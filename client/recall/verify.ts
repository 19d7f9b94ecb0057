/** `recall verify`: what was copied, proved against the source. Signs as in rclone check, seen from the source. */
import { verifySettings, type RecallVerdict } from '../../activities/recall/contract';
import { taskQueue } from '../../workflows/shared/names';
import type { RunResult } from '../../workflows/shared/run-state';
import { giveUp, runBeside, settingsFor, type Beside } from '../beside';
import { wantedJob } from '../choose';
import { withTemporal } from '../connect';
import { exit, type ExitCode } from '../exit';
import { isRunResult } from '../follow';
import { bytes, printable } from '../format';
import type { Call } from '../verb';
import { recall } from './command';
import { knownCursors, syncedTo } from './cursors';
import { recallKnowledge } from './knowledge';

export async function verify(call: Call): Promise<number> {
  recallKnowledge.check(call);
  const { sample, bytes: readsBytes, differences } = call.options;
  return await withTemporal(call, async ({ client }) => {
    const wanted = await wantedJob(client, recall, recallKnowledge, call);
    const beside: Beside = {
      job: recall,
      knowledge: recallKnowledge,
      type: 'recallVerify',
      workflowId: `${wanted.id}/verify`,
      queue: wanted.description?.action.taskQueue ?? taskQueue('recall', wanted.host),
      input: settingsFor(verifySettings, wanted.settings, {
        syncedTo: syncedTo(await knownCursors(client, wanted)),
        ...(sample === undefined ? {} : { sample }),
        ...(readsBytes === true ? { bytes: true } : {}),
        ...(differences === undefined ? {} : { differencesMax: differences }),
      }),
      summary: `compare ${recallKnowledge.summary(wanted.settings)}`,
      // One that is under way may look at other rows, or at less of each.
      joins: false,
      lanes: true,
    };
    const outcome = await runBeside(client, call, beside);
    if (outcome.kind !== 'ended' || !isRunResult(outcome.result)) return await giveUp(client, call, outcome, beside);
    return tellVerdict(call, wanted.id, outcome.result as RunResult<{ readonly verdict: RecallVerdict }>);
  });
}

function tellVerdict(
  call: Call,
  job: string,
  { lanes, state }: RunResult<{ readonly verdict: RecallVerdict }>,
): number {
  const verdict = lanes.flatMap(({ cursor }) => (cursor === null ? [] : [cursor.verdict])).reduce(sum, none);
  const exitCode = state === 'cancelled' ? exit.failed : codeOf(verdict);
  const equal = exitCode === exit.ok;
  call.output.answer({ job, outcome: state, equal, verdict, exitCode }, verdictLines(verdict));
  if (state === 'cancelled') call.output.say('cancelled before the end');
  return exitCode;
}

const none: RecallVerdict = {
  matched: 0,
  differing: 0,
  missing: 0,
  notYetSynced: 0,
  unproved: 0,
  bytesRead: 0,
  samples: [],
};

function sum(left: RecallVerdict, right: RecallVerdict): RecallVerdict {
  return {
    matched: left.matched + right.matched,
    differing: left.differing + right.differing,
    missing: left.missing + right.missing,
    notYetSynced: left.notYetSynced + right.notYetSynced,
    unproved: left.unproved + right.unproved,
    bytesRead: left.bytesRead + right.bytesRead,
    samples: [...left.samples, ...right.samples],
  };
}

export function codeOf({ differing, missing, unproved }: RecallVerdict): ExitCode {
  if (differing + missing > 0) return exit.failed;
  return unproved > 0 ? exit.partial : exit.ok;
}

export function verdictLines(verdict: RecallVerdict): string[] {
  const { matched, differing, missing, notYetSynced, unproved, bytesRead, samples } = verdict;
  const counts: [string, number, string][] = [
    ['*', differing, 'differing'],
    ['-', missing, 'missing on the network'],
    ['>', notYetSynced, 'not synced yet'],
    ['?', unproved, 'there, but not to be compared with the row any more'],
  ];
  const read = bytesRead > 0 ? ` (${bytes(bytesRead)} read back)` : '';
  const words = { [exit.ok]: 'equal', [exit.partial]: 'not proved whole' } as Readonly<Record<number, string>>;
  return [
    words[codeOf(verdict)] ?? 'DIFFERS',
    `  = ${matched} matched${read}`,
    ...counts.filter(([, count]) => count > 0).map(([sign, count, what]) => `  ${sign} ${count} ${what}`),
    ...samples.map((line) => `    ${printable(line)}`),
  ];
}
