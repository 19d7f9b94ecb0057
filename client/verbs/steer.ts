/** `pause`, `resume`, `cancel`, `configure`, `retry`: the run in progress. */
import type { Client } from '@temporalio/client';
import { chooseJob, hostOf, type ChosenJob } from '../choose';
import { withTemporal } from '../connect';
import { CommandError, exit } from '../exit';
import { isRunResult } from '../follow';
import { followShown } from '../following';
import { plural, shellWord } from '../format';
import { ensureJob, openRuns, settingsOf, type RunRef } from '../job';
import { laneLines, reportOf } from '../report';
import { configureRun, pauseRun, resumeRun, retryRun } from '../steering';
import type { Call, JobCommand, JobKnowledge } from '../verb';
import { differences, runExisting } from './run';

export const verbs = { pause, resume, cancel, configure, retry };

interface Steered extends ChosenJob {
  readonly client: Client;
  readonly knowledge: JobKnowledge;
  /** Null if no run is open. */
  readonly run: RunRef | null;
}

async function steered(job: JobCommand, call: Call, act: (on: Steered) => Promise<number>): Promise<number> {
  const knowledge = await job.load();
  return await withTemporal(call, async ({ client }) => {
    const chosen = await chooseJob(client, job, knowledge, call);
    const run = (await openRuns(client, chosen.description))[0] ?? null;
    return await act({ ...chosen, client, knowledge, run });
  });
}

/** Without an open run there is nothing to stop but the interval. */
function pause(job: JobCommand, call: Call): Promise<number> {
  return steered(job, call, async ({ client, id, name, run }) => {
    const reason = call.options['reason'] as string | undefined;
    const resume = `go on: waybill ${job.kind} resume --job ${shellWord(name)}`;
    if (run === null) await client.schedule.getHandle(id).pause(reason ?? 'paused by waybill');
    else await pauseRun(client, run.workflowId, reason);
    const what = run === null ? 'no run is open; none will begin by itself' : 'the run pauses after the batch in hand';
    call.output.answer({ job: id, paused: run === null ? 'schedule' : 'run', run: run?.workflowId ?? null }, [
      `${id}: ${what}`,
    ]);
    call.output.say(resume);
    return exit.ok;
  });
}

function resume(job: JobCommand, call: Call): Promise<number> {
  return steered(job, call, async ({ client, id, run, description }) => {
    if (description.state.paused) await client.schedule.getHandle(id).unpause('resumed by waybill');
    const progress = run === null ? null : await resumeRun(client, run.workflowId);
    if (run === null && !description.state.paused)
      throw new CommandError(exit.failed, `${id}: nothing is paused: no run is open and its interval is on.`);
    call.output.answer({ job: id, run: run?.workflowId ?? null, phase: progress?.phase ?? null }, [
      `${id}: ${progress === null ? 'its interval is on again' : `the run goes on (${progress.phase})`}`,
    ]);
    return exit.ok;
  });
}

function cancel(job: JobCommand, call: Call): Promise<number> {
  return steered(job, call, async ({ client, knowledge, id, name, run, description }) => {
    if (run === null) throw new CommandError(exit.failed, `${id}: no run is open, so there is none to cancel.`);
    const { workflowId } = run;
    await client.workflow.getHandle(workflowId).cancel();
    const queue = description.action.taskQueue;
    const outcome = await followShown(client, job, call, { workflowId, queue, knowledge, stopsEnd: false });
    if (outcome.kind === 'ended' && isRunResult(outcome.result)) {
      const { lanes, counts, state } = outcome.result;
      const moved = lanes.filter(({ status }) => status !== 'idle');
      const lines = moved.length === 0 ? [`${id}: nothing had begun`] : laneLines(moved, knowledge);
      call.output.answer({ job: id, run: workflowId, outcome: state, lanes, counts }, lines);
      call.output.say(state === 'cancelled' ? 'cancelled; the next run goes on from there' : 'it had just completed');
      return exit.ok;
    }
    const report = reportOf(outcome, { job, knowledge, id, name: shellWord(name), workflowId });
    call.output.answer({ ...report.data, cancelRequested: true }, report.lines);
    call.output.say('it has been asked to end, and does so as soon as its worker hears of it');
    return report.code;
  });
}

function configure(job: JobCommand, call: Call): Promise<number> {
  return steered(job, call, async ({ client, knowledge, id, name, run, description }) => {
    const before = knowledge.overlay(settingsOf(description), { ...call, given: {} });
    const settings = knowledge.overlay(settingsOf(description), call);
    const changed = differences(before, settings).map((line) => line.replace(', asked', ', now'));
    const host = hostOf(description);
    await ensureJob(client, { kind: job.kind, name, host, settings, summary: knowledge.summary(settings) });
    const own = Object.entries(settings).filter(
      ([key, value]) => JSON.stringify(before[key]) !== JSON.stringify(value),
    );
    if (run !== null && own.length > 0) await configureRun(client, run.workflowId, Object.fromEntries(own));
    call.output.answer({ job: id, run: run?.workflowId ?? null, changed: Object.fromEntries(own) }, [
      changed.length === 0 ? `${id}: nothing to change` : `${id}: ${changed.join('; ')}`,
    ]);
    if (changed.length > 0)
      call.output.say(run === null ? 'from the next run on' : 'in the run in progress, and in all that follow');
    return exit.ok;
  });
}

function retry(job: JobCommand, call: Call): Promise<number> {
  return steered(job, call, async ({ client, id, run }) => {
    if (run === null) {
      call.output.say(`${id}: no run is open; a new one tries everything again`);
      return await runExisting(client, job, call);
    }
    const { retrying, lanes } = await retryRun(client, run.workflowId, call.options['lane'] as string | undefined);
    const waiting = lanes.filter(({ status }) => status === 'waiting').length;
    call.output.answer({ job: id, run: run.workflowId, retrying: retrying.length, waiting }, [
      `${id}: ${plural(retrying.length, 'parked record')} and ${plural(waiting, job.lane)} to be tried by the run in progress`,
    ]);
    return exit.ok;
  });
}
