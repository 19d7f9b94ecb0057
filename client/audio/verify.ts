/** `audio verify`: what was copied, proved against the sender. Signs as in rclone check, seen from our side. */
import { verifySettings, type ShowVerdict } from '../../activities/audio/contract';
import { exit, type ExitCode } from '../exit';
import { printable } from '../format';
import type { Call } from '../verb';
import { verdictText, verifyJob, type Found, type Told } from '../verifying';
import { audio } from './command';
import { audioKnowledge } from './knowledge';

export async function verify(call: Call): Promise<number> {
  return await verifyJob<ShowVerdict>(call, {
    job: audio,
    knowledge: audioKnowledge,
    type: 'audioVerify',
    act: 'compare',
    settings: verifySettings,
    given: ({ options }) => ({ differencesMax: options['differences'] }),
    joins: true,
    tell,
  });
}

function tell({ verdicts: found, failed }: Found<ShowVerdict>): Told {
  const verdicts = found.map(({ verdict }) => verdict);
  return { code: codeOf(verdicts, failed.length), data: { verdicts }, lines: verdicts.flatMap(verdictLines) };
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
  return verdictText({
    head: `${printable(show)}: ${isDrift(verdict) ? 'DIFFERS' : 'equal'}`,
    equal: `${matched} matched`,
    counts: [
      ['*', differing, 'differing'],
      ['-', missingLocally - notYetSynced, 'missing locally'],
      ['+', missingAtSource, 'missing at the sender'],
      ['>', notYetSynced, 'not synced yet'],
    ],
    remarks: metadata,
    samples,
  });
}
