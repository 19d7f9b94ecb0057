/** `recall verify`: what was copied, proved against the source. Signs as in rclone check, seen from the source. */
import { verifySettings, type RecallVerdict } from '../../activities/recall/contract';
import { exit, type ExitCode } from '../exit';
import { bytes } from '../format';
import type { Call } from '../verb';
import { verdictText, verifyJob, type Found, type Told } from '../verifying';
import { recall } from './command';
import { knownCursors, syncedTo } from './cursors';
import { recallKnowledge } from './knowledge';

export async function verify(call: Call): Promise<number> {
  return await verifyJob<RecallVerdict>(call, {
    job: recall,
    knowledge: recallKnowledge,
    type: 'recallVerify',
    act: 'compare',
    settings: verifySettings,
    given: async ({ options: { sample, bytes: readsBytes, differences } }, client, wanted) => ({
      syncedTo: syncedTo(await knownCursors(client, wanted)),
      sample,
      bytes: readsBytes,
      differencesMax: differences,
    }),
    joins: false,
    tell,
  });
}

function tell({ verdicts }: Found<RecallVerdict>): Told {
  const verdict = verdicts.map((each) => each.verdict).reduce(sum, none);
  return { code: codeOf(verdict), data: { verdict }, lines: verdictLines(verdict) };
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
  const read = bytesRead > 0 ? ` (${bytes(bytesRead)} read back)` : '';
  const words = { [exit.ok]: 'equal', [exit.partial]: 'not proved whole' } as Readonly<Record<number, string>>;
  return verdictText({
    head: words[codeOf(verdict)] ?? 'DIFFERS',
    equal: `${matched} matched${read}`,
    counts: [
      ['*', differing, 'differing'],
      ['-', missing, 'missing on the network'],
      ['>', notYetSynced, 'not synced yet'],
      ['?', unproved, 'there, but not to be compared with the row any more'],
    ],
    samples,
  });
}
