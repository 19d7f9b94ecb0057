/** `snapchain verify`: accounts in the tables, proved against the node's Merkle roots. */
import { verifySettings, type VerifyVerdict } from '../../activities/snapchain/contract';
import { exit, type ExitCode } from '../exit';
import { printable } from '../format';
import type { Call } from '../verb';
import { verdictText, verifyJob, type Found, type Told } from '../verifying';
import { snapchain } from './command';
import { snapchainKnowledge } from './knowledge';

export async function verify(call: Call): Promise<number> {
  return await verifyJob<VerifyVerdict>(call, {
    job: snapchain,
    knowledge: snapchainKnowledge,
    type: 'snapchainVerify',
    act: 'prove',
    settings: verifySettings,
    given: ({ options: { sample, from, to, repair, differences } }) => ({
      sample,
      fidFrom: from,
      fidTo: to,
      repair,
      differencesMax: differences,
    }),
    joins: true,
    tell,
  });
}

function tell({ verdicts: found, failed }: Found<VerifyVerdict>): Told {
  const verdicts = found.map(({ lane, verdict }) => ({ lane, ...verdict }));
  return { code: codeOf(verdicts, failed.length), data: { verdicts }, lines: verdicts.flatMap(verdictLines) };
}

function codeOf(verdicts: readonly VerifyVerdict[], failedCount: number): ExitCode {
  if (verdicts.some(({ differing }) => differing > 0)) return exit.failed;
  return failedCount > 0 ? exit.partial : exit.ok;
}

function verdictLines({
  lane,
  proved,
  differing,
  repaired,
  withKeys,
  samples,
}: VerifyVerdict & { lane: string }): string[] {
  return verdictText({
    head: `${printable(lane)}: ${differing > 0 ? 'DIFFERS' : 'equal'}`,
    equal: `${proved} accounts proved`,
    counts: [
      ['*', differing, 'differing'],
      ['~', repaired, 'repaired'],
      ['+', withKeys, 'of these with gasless keys, whose list is the node’s own'],
    ],
    remarks: differing > 0 ? ['what came since the job last ran, or has come this moment, differs too'] : [],
    samples,
  });
}
