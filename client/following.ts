/** Follows a workflow with its progress shown, until it ends or Ctrl-C: what every verb that waits does. */
import type { Client } from '@temporalio/client';
import { followRun, type Outcome } from './follow';
import { onInterrupt } from './interrupt';
import { createDisplay } from './progress-bars';
import { createViewer } from './run-view';
import type { Call, JobCommand, JobKnowledge } from './verb';

export interface Following {
  readonly workflowId: string;
  readonly queue: string;
  /** Absent where the workflow answers no `progress`. */
  readonly knowledge?: JobKnowledge;
  /** False: wait through a pause or a block, because the run has been told to end. */
  readonly stopsEnd?: boolean;
}

export async function followShown(
  client: Client,
  job: JobCommand,
  call: Call,
  { workflowId, queue, knowledge, stopsEnd = true }: Following,
): Promise<Outcome> {
  const { output } = call;
  const display = await createDisplay(output, job.lane);
  const view = createViewer(knowledge?.place ?? (() => ({ position: null, target: null })));
  const interrupt = onInterrupt();
  output.event('following', { run: workflowId });
  try {
    return await followRun(client, {
      workflowId,
      queue,
      kind: job.kind,
      patienceMs: Number(call.options['unreachableAfter']) * 1000,
      signal: interrupt.signal,
      progress: knowledge !== undefined,
      stopsEnd,
      onSnapshot: (snapshot) => {
        if (snapshot.progress !== null) display.update(view(snapshot, performance.now()));
      },
      onRemark: (line) => {
        output.event('remark', { line });
        display.say(line);
      },
    });
  } finally {
    display.end();
    interrupt.dispose();
  }
}
