/** The verbs that every job has, the same for all of them. Pure; each is loaded when called. */
import { detach, interval, patience, whichJob } from '../flags';
import type { Flag, JobCommand, Run, Verb } from '../verb';

export function jobVerbs(job: JobCommand): readonly Verb[] {
  return [...moving(job), ...steering(job), ...looking(job), ...job.verbs];
}

const failIfNothing: Flag = { flags: '--fail-if-nothing', about: 'exit 9 if there was nothing to do' };

function moving(job: JobCommand): readonly Verb[] {
  const { kind, settings, exampleFlags, rehearsal } = job;
  const which = whichJob(job);
  return [
    {
      name: 'run',
      ...(job.runAlias === undefined ? {} : { alias: job.runAlias }),
      about: 'Run the job once and follow it to the end.',
      flags: [
        ...which,
        ...settings,
        ...(rehearsal === undefined ? [] : [rehearsal.flag]),
        detach,
        patience,
        failIfNothing,
      ],
      examples: [`waybill ${kind} ${job.runAlias ?? 'run'} ${exampleFlags}`, `waybill ${kind} run --job NAME -o json`],
      more:
        'A run goes on from where the last one ended, wherever that was. If one is under way it is joined, not started twice.\n' +
        'Ctrl-C stops following; the run goes on. Exit code 5: some went through, something did not.',
      load: async () => {
        const { runJob } = await import('./run.js');
        return async (call) => {
          const isRehearsal = rehearsal !== undefined && call.options[flagName(rehearsal.flag)] === true;
          return isRehearsal ? await (await rehearsal.load())(call) : await runJob(job, call);
        };
      },
    },
    {
      name: 'start',
      about: 'Run the job now, and again every so many seconds.',
      flags: [...which, ...settings, interval('seconds from one start to the next')],
      examples: [`waybill ${kind} start ${exampleFlags} --interval 60`],
      more: 'Runs never overlap: a start that finds one under way is skipped.',
      load: schedule(job, 'start'),
    },
    {
      name: 'stop',
      about: 'Take the interval away. A run in progress is left to finish.',
      flags: which,
      examples: [`waybill ${kind} stop --job NAME`],
      more: `The job keeps its position. \`waybill ${kind} cancel\` ends the run itself.`,
      load: schedule(job, 'stop'),
    },
    {
      name: 'reset',
      about: 'Forget what Temporal knows of the job’s position and parked records.',
      flags: which,
      examples: [`waybill ${kind} reset --job NAME`],
      more: `Settings and interval stay. Refused while a run is open. What is at the destination stays, and is not moved again.`,
      load: schedule(job, 'reset'),
    },
  ];
}

/** `--dry-run`: `dryRun`, as commander names its value. */
function flagName({ flags }: Flag): string {
  const [, name = ''] = /--([\w-]+)/.exec(flags) ?? [];
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function schedule(job: JobCommand, verb: 'start' | 'stop' | 'reset'): () => Promise<Run> {
  return async () => {
    const { verbs } = await import('./schedule.js');
    return (call) => verbs[verb](job, call);
  };
}

function steer(job: JobCommand, verb: 'pause' | 'resume' | 'cancel' | 'configure' | 'retry'): () => Promise<Run> {
  return async () => {
    const { verbs } = await import('./steer.js');
    return (call) => verbs[verb](job, call);
  };
}

function steering(job: JobCommand): readonly Verb[] {
  const { kind } = job;
  const which = whichJob(job);
  return [
    {
      name: 'pause',
      about: 'Stop after the batch in hand; the position is kept.',
      flags: [...which, { flags: '--reason <text>', about: 'why, for whoever finds it paused' }],
      examples: [`waybill ${kind} pause --job NAME --reason "maintenance until noon"`],
      load: steer(job, 'pause'),
    },
    {
      name: 'resume',
      about: 'Go on: after pause, or once what blocked the run is mended.',
      flags: which,
      examples: [`waybill ${kind} resume --job NAME`],
      load: steer(job, 'resume'),
    },
    {
      name: 'cancel',
      about: 'End the run, and say where it stopped. The next one goes on from there.',
      flags: [...which, patience],
      examples: [`waybill ${kind} cancel --job NAME`],
      load: steer(job, 'cancel'),
    },
    {
      name: 'configure',
      about: 'Change settings of the job and of the run in progress. Its position stays.',
      flags: [...which, ...job.settings],
      examples: [`waybill ${kind} configure --job NAME ${job.exampleChange}`],
      more: 'Only what is given as a flag is changed.',
      load: steer(job, 'configure'),
    },
    {
      name: 'retry',
      about: `Try parked records and failed ${job.lane}s again.`,
      flags: [...which, { flags: '--lane <name>', about: `this ${job.lane} only` }, detach, patience],
      examples: [`waybill ${kind} retry --job NAME`],
      more: 'In the run in progress; where there is none, by a new run.',
      load: steer(job, 'retry'),
    },
  ];
}

function looking(job: JobCommand): readonly Verb[] {
  const { kind } = job;
  const which = whichJob(job);
  return [
    {
      name: 'status',
      about: 'Where the job stands: interval, run, positions, what is wrong.',
      flags: [...which, { flags: '--watch', about: 'again every two seconds, until Ctrl-C' }],
      examples: [`waybill ${kind} status --job NAME --watch`, `waybill ${kind} status -o json`],
      load: async () => {
        const { jobStatus } = await import('./status.js');
        return (call) => jobStatus(job, call);
      },
    },
    {
      name: 'failures',
      about: `Parked records and failed ${job.lane}s, with their reasons.`,
      flags: which,
      examples: [`waybill ${kind} failures --job NAME -o json`],
      more: 'Exits 5 if there are any.',
      load: async () => {
        const { failures } = await import('./failures.js');
        return (call) => failures(job, call);
      },
    },
  ];
}
