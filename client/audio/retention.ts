/** `audio retention`: the recording side's tidying, once or at an interval. */
import { resolve } from 'node:path';
import { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy, type Client } from '@temporalio/client';
import { retentionSettings, type RetentionOutcome, type RetentionSettings } from '../../activities/audio/contract';
import { taskQueue } from '../../workflows/shared/names';
import { runBeside, sayGoesOn, tellStopped, type Beside } from '../beside';
import { withTemporal } from '../connect';
import { CommandError, exit } from '../exit';
import { duration, plural, printable, shellWord, table } from '../format';
import type { Call } from '../verb';
import { audio } from './command';
import { audioKnowledge, jobNameOf } from './knowledge';

interface Plan {
  readonly id: string;
  readonly queue: string;
  readonly settings: RetentionSettings;
  readonly summary: string;
}

export async function retention(call: Call): Promise<number> {
  const { config, options } = call;
  if (config.get('audio.retention.dir') === '')
    throw new CommandError(exit.usage, `${call.command}: which folder? Give --dir DIR, or set audio.retention.dir.`);
  const dir = resolve(config.get('audio.retention.dir'));
  const settings = retentionSettings.parse({
    dir,
    hours: config.get('audio.retention.hours'),
    dryRun: config.get('audio.retention.dry_run'),
  });
  const host = config.get('worker.host');
  const plan: Plan = {
    id: `audio-retention/${jobNameOf(host, dir)}`,
    queue: taskQueue('audio', host),
    settings,
    summary: `keep ${plural(settings.hours, 'hour')} of the recordings in ${dir}`.slice(0, 200),
  };
  const interval = options['interval'];
  return await withTemporal(call, async ({ client }) => {
    if (options['stop'] === true) return await stop(client, call, plan);
    if (typeof interval === 'number') return await repeat(client, call, plan, interval);
    return await once(client, call, plan);
  });
}

async function once(client: Client, call: Call, { id, queue, settings, summary }: Plan): Promise<number> {
  const { dir, dryRun } = settings;
  const beside: Beside = {
    job: audio,
    knowledge: audioKnowledge,
    type: 'audioRetention',
    workflowId: `${id}/once`,
    queue,
    input: settings,
    summary,
    joins: false,
    lanes: false,
  };
  const outcome = await runBeside(client, call, beside);
  if (outcome.kind !== 'ended') {
    if (outcome.kind !== 'failed') sayGoesOn(call, beside);
    return tellStopped(call, outcome, beside);
  }
  const outcomes = outcome.result as readonly RetentionOutcome[];
  call.output.answer({ run: beside.workflowId, dryRun, outcomes }, outcomeLines(outcomes, dryRun));
  if (outcomes.length === 0) call.output.say(`no recordings in ${dir}`);
  return exit.ok;
}

async function repeat(client: Client, call: Call, plan: Plan, seconds: number): Promise<number> {
  const { id, queue, settings, summary } = plan;
  const spec = { intervals: [{ every: seconds * 1000 }] };
  const action = {
    type: 'startWorkflow' as const,
    workflowType: 'audioRetention',
    workflowId: id,
    taskQueue: queue,
    args: [settings] as [RetentionSettings],
    staticSummary: summary,
  };
  // Missed while Temporal was away: the next one deletes it all the same.
  const policies = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' };
  const handle = client.schedule.getHandle(id);
  try {
    await client.schedule.create({ scheduleId: id, spec, policies, action });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await handle.update((previous) => ({ ...previous, spec, action }));
  }
  await handle.trigger(ScheduleOverlapPolicy.SKIP);
  call.output.answer({ schedule: id, intervalSeconds: seconds }, [`${id}: now and every ${duration(seconds)}`]);
  call.output.say(`end it: waybill audio retention --dir ${shellWord(settings.dir)} --stop`);
  return exit.ok;
}

async function stop(client: Client, call: Call, { id }: Plan): Promise<number> {
  try {
    await client.schedule.getHandle(id).delete();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) throw new CommandError(exit.failed, `${id}: was not being repeated.`);
    throw error;
  }
  call.output.answer({ schedule: id, stopped: true }, [`${id}: no longer repeated`]);
  return exit.ok;
}

export function outcomeLines(outcomes: readonly RetentionOutcome[], dryRun: boolean): string[] {
  return table(
    outcomes.map(({ show, deleted, keptFromId, skipped }) => [
      printable(show),
      skipped === undefined
        ? `${dryRun ? 'would delete' : 'deleted'} ${plural(deleted, 'segment')}${keptFromId === null ? '' : `, kept from ${keptFromId}`}`
        : `skipped: ${printable(skipped)}`,
    ]),
  );
}
