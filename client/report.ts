/** How a run ended, in words, as data and as an exit code. */
import { isRunResult, type Outcome } from './follow';
import { exit, type ExitCode } from './exit';
import { plural, printable, table } from './format';
import type { JobCommand, JobKnowledge, LaneOutcome } from './verb';

export interface Report {
  readonly code: ExitCode;
  readonly data: object;
  readonly lines: readonly string[];
  /** What to do now, for people. */
  readonly remarks: readonly string[];
}

export interface ReportSubject {
  readonly job: JobCommand;
  readonly knowledge: JobKnowledge;
  readonly id: string;
  /** As `--job NAME` takes it. */
  readonly name: string;
  readonly workflowId: string;
  /** A command about this run, by its verb. Absent: the job's own, `waybill audio pause --job NAME`. */
  readonly command?: (verb: string) => string;
}

export function reportOf(outcome: Outcome, subject: ReportSubject): Report {
  const { id, workflowId } = subject;
  const verb = commandOf(subject);
  const base = { job: id, run: workflowId, outcome: outcome.kind };
  const goesOn = [`follow it: ${verb('run')}`, `look at it: ${verb('status')}`, `end it: ${verb('cancel')}`];
  switch (outcome.kind) {
    case 'ended':
      return reportOfEnd(outcome.result, subject);
    case 'failed':
      return {
        code: subject.knowledge.configurationFailures.includes(outcome.type) ? exit.configuration : exit.failed,
        data: { ...base, type: outcome.type, reason: outcome.reason },
        lines: [`run FAILED ${outcome.type}: ${printable(outcome.reason)}`],
        remarks: [],
      };
    case 'blocked':
      return {
        code: subject.knowledge.configurationFailures.includes(outcome.type) ? exit.configuration : exit.failed,
        data: { ...base, type: outcome.type, reason: outcome.reason },
        lines: [`run BLOCKED ${outcome.type}: ${printable(outcome.reason)}`],
        remarks: [`it keeps its position; once that is mended: ${verb('resume')}`],
      };
    case 'paused':
      return {
        code: exit.failed,
        data: { ...base, reason: outcome.reason },
        lines: [`run paused: ${printable(outcome.reason)}`],
        remarks: [`go on: ${verb('resume')}`],
      };
    case 'unreachable':
      return {
        code: exit.unreachable,
        data: { ...base, reason: outcome.reason },
        lines: [`nothing moves: ${printable(outcome.reason)}`],
        remarks: ['the run goes on trying by itself', ...goesOn],
      };
    case 'detached':
      return {
        code: exit.interrupted,
        data: base,
        lines: [],
        remarks: [`no longer following; the run ${workflowId} goes on`, ...goesOn],
      };
  }
}

function commandOf({ job, name, command }: ReportSubject): (verb: string) => string {
  return command ?? ((verb) => `waybill ${job.kind} ${verb} --job ${name}`);
}

function reportOfEnd(result: unknown, subject: ReportSubject): Report {
  const { job, knowledge, id, workflowId } = subject;
  if (!isRunResult(result))
    return {
      code: exit.ok,
      data: { job: id, run: workflowId, outcome: 'ended', result },
      lines: ['done'],
      remarks: [],
    };
  const lanes = result.lanes.filter(({ status }) => status !== 'idle');
  const failed = lanes.filter(({ status }) => status === 'failed');
  const data = {
    job: id,
    run: workflowId,
    outcome: result.state,
    lanes: lanes.map((lane) => ({ ...lane, ...knowledge.place(lane.cursor, lane.counts) })),
    parked: result.parked,
    counts: result.counts,
    lifetime: result.lifetime,
    startedAt: result.startedAt,
  };
  const remarks = [
    ...(result.state === 'cancelled' ? [`cancelled; the next run goes on from there`] : []),
    ...(result.parked.length > 0
      ? [`${plural(result.parked.length, 'record')} parked: ${commandOf(subject)('failures')}`]
      : []),
    ...(lanes.length === 0 ? [`there were no ${job.lane}s`] : []),
  ];
  const someWrong = failed.length > 0 || result.parked.length > 0;
  const allFailed = lanes.length > 0 && failed.length === lanes.length;
  const code = allFailed || result.state === 'cancelled' ? exit.failed : someWrong ? exit.partial : exit.ok;
  return { code, data, lines: laneLines(lanes, knowledge), remarks };
}

export function laneLines(lanes: readonly LaneOutcome[], knowledge: JobKnowledge): string[] {
  return table(lanes.map((lane) => [printable(lane.lane), printable(knowledge.laneReport(lane))]));
}

/** Counts of what was found there, not moved. */
const onlyFound: readonly string[] = ['present'];

/** True if the run found nothing to move. */
export function didNothing(outcome: Outcome): boolean {
  return (
    outcome.kind === 'ended' &&
    isRunResult(outcome.result) &&
    Object.entries(outcome.result.counts).every(([kind, count]) => count === 0 || onlyFound.includes(kind))
  );
}
