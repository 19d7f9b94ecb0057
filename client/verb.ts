/** What a verb of the command is, before any of it runs: pure descriptions, so that help loads nothing else. */
import type { Client } from '@temporalio/client';
import type { JobKind } from '../workflows/shared/names';
import type { Config, connectionSettings, OptionKey } from '../workers/config';
import type { ChosenJob } from './choose';
import type { Finding } from './finding';
import type { JobStatus } from './job-status';
import type { Output } from './output';

export interface Flag {
  /** Commander's form: `-l, --local-dir <dir>`. */
  readonly flags: string;
  readonly about: string;
  /** The setting it gives; absent if the flag is the verb's own. */
  readonly key?: OptionKey;
  /** May be given more than once; then its value is a list. */
  readonly many?: true;
  readonly hidden?: true;
  readonly choices?: readonly string[];
  /** Reads the text; throws CommandError. Texts stay texts where it is absent. */
  readonly parse?: (text: string, flag: string) => unknown;
  readonly default?: unknown;
}

/** One call of a verb. */
export interface Call {
  /** `waybill audio sync`: for messages. */
  readonly command: string;
  /** The verb's own flags, by camel-case name. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Settings that were given as flags. */
  readonly given: Readonly<Partial<Record<OptionKey, unknown>>>;
  readonly config: Config;
  readonly output: Output;
  /** Where Temporal is, if not where the environment says: an embedded one. */
  readonly temporal?: ReturnType<typeof connectionSettings>;
}

/** Runs a call and gives the exit code. */
export type Run = (call: Call) => Promise<number>;

export interface Verb {
  readonly name: string;
  readonly alias?: string;
  readonly about: string;
  readonly flags: readonly Flag[];
  /** Shell lines under `Examples:`. */
  readonly examples: readonly string[];
  /** What it does beyond its one line: when to use it, what it leaves alone. */
  readonly more?: string;
  /** Its stderr is a worker's log, which tells what of the settings does nothing. */
  readonly logs?: true;
  /** Imports the code. Called only when the verb is. */
  readonly load: () => Promise<Run>;
}

/** How a job looks on the command line. A new job is one of these, and a line in jobs.ts. */
export interface JobCommand {
  readonly kind: JobKind;
  readonly about: string;
  /** What the seed's own command called `run`. */
  readonly runAlias?: string;
  /** Its lanes, in people's words. */
  readonly lane: string;
  /** Flags that say which job, beside --job. */
  readonly which: readonly Flag[];
  /** Of these, the setting that names a job by where its copies are; absent where no flag can. */
  readonly place?: Flag;
  /** What a job's name is made of if nobody chooses one. */
  readonly namedBy: string;
  /** The settings of a run. */
  readonly settings: readonly Flag[];
  /** What follows `waybill <kind> run` in examples. */
  readonly exampleFlags: string;
  /** A setting changed, in the example of `configure`. */
  readonly exampleChange: string;
  /** A flag by which `run` only tells what it would do, and what it then does instead. */
  readonly rehearsal?: { readonly flag: Flag; readonly load: () => Promise<Run> };
  /** Verbs that only this job has. */
  readonly verbs: readonly Verb[];
  /** Loads what it takes to read settings and tell results. */
  readonly load: () => Promise<JobKnowledge>;
}

/** A lane's place, as the job's cursor tells it. */
export interface LanePlace {
  readonly position: number | null;
  readonly target: number | null;
  /** What is counted, where that is not plain: `objects`. */
  readonly unit?: string;
}

export type Settings = Readonly<Record<string, unknown>>;

export interface JobKnowledge {
  /** Throws CommandError for a mistake that can be told before anybody is connected to. */
  readonly check: (call: Call) => void;
  /** The workflow's whole input, from flags, environment and file. Throws CommandError or ConfigError. */
  readonly settings: (call: Call) => Settings;
  /** The same settings with those replaced that were given as flags. */
  readonly overlay: (stored: Settings, call: Call) => Settings;
  /** Two settings of one job: what is moved ends in the same place. */
  readonly sameDestination: (left: Settings, right: Settings) => boolean;
  /** True if flags, environment or file say where from and where to. */
  readonly isConfigured: (config: Config) => boolean;
  /** The place's name if somebody chose none: stable for one place on one host. Null where the place is not known. */
  readonly defaultName: (config: Config) => string | null;
  /** One line for the UI: what moves where. */
  readonly summary: (settings: Settings) => string;
  /** `counts` are those of the run. */
  readonly place: (cursor: unknown, counts: Readonly<Record<string, number>>) => LanePlace;
  /** Where a lane stands, where a number does not say it; null before it has moved. */
  readonly standing?: (cursor: unknown) => string | null;
  /** A lane's line in the final report, without its name. */
  readonly laneReport: (lane: LaneOutcome) => string;
  /** Things done in a run, in words: `202 segments, 4.2 MB`. */
  readonly counts: (counts: Readonly<Record<string, number>>) => string;
  /** Failure types that mean: somebody has to mend the configuration. */
  readonly configurationFailures: readonly string[];
  /** What a run of this job needs of this machine's surroundings, checked for `doctor`. Nothing that is not configured. */
  readonly findings: (config: Config) => Promise<readonly Finding[]>;
  /** What `status` tells of the two ends besides. Reads only. */
  readonly survey?: (client: Client, chosen: ChosenJob, status: JobStatus) => Promise<Surveyed>;
}

export interface Surveyed {
  readonly data: object;
  readonly lines: readonly string[];
}

export interface LaneOutcome {
  readonly lane: string;
  readonly cursor: unknown;
  readonly status: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly note?: string;
  readonly failure?: { readonly type: string; readonly reason: string };
}
