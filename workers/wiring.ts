/** What a job brings to a worker process: its activities, given what they need of the configuration. */

export interface Wiring {
  readonly activities: object;
  /** False: this worker takes nothing of the job's own queue, only of those below. */
  readonly ownQueue: boolean;
  /** Queues served beside the job's own: one activity at a time, no workflows. */
  readonly singleFileQueues: readonly string[];
  /** Lets go of connections. Called once, when every worker of the process has drained. */
  close(): Promise<void>;
}
