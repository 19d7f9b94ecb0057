/** `start`, `stop`, `reset`: the job itself, its runs left alone. */
import { taskQueue } from '../../workflows/shared/names';
import { chooseJob, wantedJob } from '../choose';
import { withTemporal } from '../connect';
import { CommandError, exit } from '../exit';
import { duration, shellWord } from '../format';
import { intervalOf, openRuns, resetJob, startJob, stopJob } from '../job';
import { pollersOf, workerRemedy } from '../pollers';
import type { Call, JobCommand } from '../verb';

export const verbs = { start, stop, reset };

async function start(job: JobCommand, call: Call): Promise<number> {
  const { output, options } = call;
  const interval = options['interval'];
  if (typeof interval !== 'number')
    throw new CommandError(
      exit.usage,
      `${call.command}: how often? Give --interval SECONDS; once is \`waybill ${job.kind} run\`.`,
    );
  const knowledge = await job.load();
  knowledge.check(call);
  return await withTemporal(call, async ({ client }) => {
    const { id, name, host, settings } = await wantedJob(client, job, knowledge, call);
    const summary = knowledge.summary(settings);
    const run = await startJob(client, { kind: job.kind, name, host, settings, summary }, interval);
    output.answer({ job: id, intervalSeconds: interval, run: run.workflowId }, [
      `${id}: every ${duration(interval)}; the first run is under way`,
    ]);
    const verb = (word: string): string => `waybill ${job.kind} ${word} --job ${shellWord(name)}`;
    output.say(`look at it: ${verb('status')}; end it: ${verb('stop')}`);
    const queue = taskQueue(job.kind, host);
    if ((await pollersOf(client, queue)).length === 0)
      output.say(`no worker takes tasks of the queue ${queue} yet: ${workerRemedy(job.kind, queue)}`);
    return exit.ok;
  });
}

async function stop(job: JobCommand, call: Call): Promise<number> {
  const knowledge = await job.load();
  return await withTemporal(call, async ({ client }) => {
    const { id, name, description } = await chooseJob(client, job, knowledge, call);
    const interval = intervalOf(description);
    await stopJob(client, id);
    const open = await openRuns(client, description);
    call.output.answer({ job: id, stopped: interval !== null, openRuns: open.map(({ workflowId }) => workflowId) }, [
      interval === null
        ? `${id}: had no interval`
        : `${id}: no longer every ${duration(interval)}; its position is kept`,
    ]);
    for (const { workflowId } of open)
      call.output.say(
        `the run ${workflowId} goes on to its end; end it now: waybill ${job.kind} cancel --job ${shellWord(name)}`,
      );
    return exit.ok;
  });
}

async function reset(job: JobCommand, call: Call): Promise<number> {
  const knowledge = await job.load();
  return await withTemporal(call, async ({ client }) => {
    const { id, name, description } = await chooseJob(client, job, knowledge, call);
    const open = await openRuns(client, description);
    if (open.length > 0) {
      const cancel = `waybill ${job.kind} cancel --job ${shellWord(name)}`;
      throw new CommandError(
        exit.failed,
        `${id}: the run ${open[0]?.workflowId ?? ''} is open. End it first: ${cancel}`,
      );
    }
    await resetJob(client, id);
    call.output.answer({ job: id, reset: true }, [`${id}: the next run begins with nothing remembered`]);
    call.output.say(`what the destination knows of its own position stays: nothing that is there is moved again`);
    return exit.ok;
  });
}
