/** `recall run --dry-run`: what a run would send, counted, and what it would cost. Sends nothing. */
import { dryRunSettings, type MeasureCursor } from '../../activities/recall/contract';
import { taskQueue } from '../../workflows/shared/names';
import type { RunResult } from '../../workflows/shared/run-state';
import { giveUp, runBeside, settingsFor, type Beside } from '../beside';
import { wantedJob } from '../choose';
import { withTemporal } from '../connect';
import { CommandError, exit } from '../exit';
import { isRunResult } from '../follow';
import { bytes, plural, printable, table } from '../format';
import type { Call } from '../verb';
import { recall } from './command';
import { knownCursors, positionsOf } from './cursors';
import { recallKnowledge } from './knowledge';

export async function dryRun(call: Call): Promise<number> {
  if (call.options['detach'] === true)
    throw new CommandError(exit.usage, `${call.command}: --dry-run and --detach: a dry run is nothing but its answer`);
  recallKnowledge.check(call);
  return await withTemporal(call, async ({ client }) => {
    const wanted = await wantedJob(client, recall, recallKnowledge, call);
    const from = positionsOf(await knownCursors(client, wanted));
    const settings = settingsFor(dryRunSettings, wanted.settings, { from });
    const beside: Beside = {
      job: recall,
      knowledge: recallKnowledge,
      type: 'recallDryRun',
      workflowId: `${wanted.id}/dry-run`,
      queue: wanted.description?.action.taskQueue ?? taskQueue('recall', wanted.host),
      input: settings,
      summary: `count ${recallKnowledge.summary(wanted.settings)}`,
      joins: false,
      lanes: true,
    };
    const outcome = await runBeside(client, call, beside);
    if (outcome.kind !== 'ended' || !isRunResult(outcome.result)) return await giveUp(client, call, outcome, beside);
    return tell(call, wanted.id, settings.ttl, outcome.result as RunResult<MeasureCursor>);
  });
}

function tell(
  call: Call,
  job: string,
  ttl: number,
  { state, lanes, counts, parked }: RunResult<MeasureCursor>,
): number {
  const { objects = 0, bytes: size = 0, present = 0 } = counts;
  const credit = creditFor(size, ttl);
  const nothing = objects === 0 && call.options['failIfNothing'] === true;
  const exitCode = state === 'cancelled' ? exit.failed : nothing ? exit.nothing : exit.ok;
  const wallets = lanes
    .filter(({ status }) => status !== 'idle')
    .map(({ lane, cursor, counts: own }) => ({ lane, counts: own, largestBytes: cursor?.largestBytes ?? 0 }));
  const answer = {
    job,
    outcome: state,
    dryRun: true,
    objects,
    bytes: size,
    present,
    ttl,
    credit,
    wallets,
    parked,
    exitCode,
  };
  call.output.answer(answer, [
    ...table(wallets.map((wallet) => [printable(wallet.lane), walletLine(wallet)])),
    `would send ${plural(objects, 'object')}, ${bytes(size)}, for ${credit} byte-epochs of credit at a TTL of ${ttl}`,
  ]);
  if (state === 'cancelled') call.output.say('cancelled before the end');
  if (parked.length > 0) call.output.say(`${plural(parked.length, 'row')} would be parked: see -o json`);
  return exitCode;
}

export function walletLine({
  counts,
  largestBytes,
}: {
  readonly counts: Readonly<Record<string, number>>;
  readonly largestBytes: number;
}): string {
  const largest = largestBytes > 0 ? `, the largest ${bytes(largestBytes)}` : '';
  return `${recallKnowledge.counts(counts)}${largest}`;
}

/** The network's price: byte for byte, epoch for epoch. Decimal text, for it outgrows a number. */
export function creditFor(size: number, ttl: number): string {
  return (BigInt(size) * BigInt(ttl)).toString();
}
