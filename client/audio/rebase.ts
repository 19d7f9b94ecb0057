/** `audio rebase`: one show's replaced source, accepted. */
import { rebaseSettings, type RebaseResult } from '../../activities/audio/contract';
import { taskQueue } from '../../workflows/shared/names';
import { wantedJob } from '../choose';
import { runBeside, sayGoesOn, settingsFor, tellStopped, type Beside } from '../beside';
import { withTemporal } from '../connect';
import { CommandError, exit } from '../exit';
import { shellWord } from '../format';
import type { Call } from '../verb';
import { audio } from './command';
import { audioKnowledge } from './knowledge';

export async function rebase(call: Call): Promise<number> {
  // The show is this call's, not a setting of the job's.
  const { 'audio.shows': shows, ...given } = call.given;
  const [show, another] = (shows ?? []) as readonly (string | undefined)[];
  if (show === undefined || another !== undefined)
    throw new CommandError(exit.usage, `${call.command}: one show at a time: --show NAME`);
  return await withTemporal(call, async ({ client }) => {
    const wanted = await wantedJob(client, audio, audioKnowledge, { ...call, given });
    const beside: Beside = {
      job: audio,
      knowledge: audioKnowledge,
      type: 'audioRebase',
      workflowId: `${wanted.id}/rebase/${show}`,
      queue: wanted.description?.action.taskQueue ?? taskQueue('audio', wanted.host),
      input: settingsFor(rebaseSettings, wanted.settings, { show }),
      summary: `accept a new source of ${show}`,
      joins: true,
      lanes: false,
    };
    const outcome = await runBeside(client, call, beside);
    if (outcome.kind !== 'ended') {
      if (outcome.kind !== 'failed') sayGoesOn(call, beside);
      return tellStopped(call, outcome, beside);
    }
    const result = outcome.result as RebaseResult;
    call.output.answer({ job: wanted.id, run: beside.workflowId, ...result }, [rebaseLine(result)]);
    call.output.say(`go on: waybill audio sync --job ${shellWord(wanted.name)}`);
    return exit.ok;
  });
}

export function rebaseLine({ show, fromUniqueId, toUniqueId, lastId, keptAside }: RebaseResult): string {
  if (keptAside !== null)
    return `${show}: ${toUniqueId} does not have our segment ${lastId}; the copy of ${fromUniqueId} is kept as ${keptAside}, the next sync begins a new one`;
  return fromUniqueId === toUniqueId
    ? `${show}: still ${toUniqueId}, at ${lastId}`
    : `${show}: goes on after ${lastId} from ${toUniqueId}, formerly ${fromUniqueId}`;
}
