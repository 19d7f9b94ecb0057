/** An activity that waits: it says that it lives, whatever it waits for, and ends when it is told to. */
import { Context } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import { reasonOf } from '../shared/failures';

export interface Watch {
  /** Aborted when the run is paused or cancelled, the worker drains, or the attempt was given up. */
  readonly signal: AbortSignal;
  /** Where the work stands, for the next heartbeat. Throws once the activity is to stop. */
  readonly at: (detail?: unknown) => void;
}

const heartbeatEveryMs = 1000;

/**
 * Runs `work` under a heartbeat. Every question to the network has its own time limit, so that what beats here is never hung.
 * Throws CancelledFailure for whatever error was the answer to being stopped.
 */
export async function watched<R>(work: (watch: Watch) => Promise<R>): Promise<R> {
  const context = Context.current();
  const signal = context.cancellationSignal;
  let told: unknown;
  const heart = setInterval(() => context.heartbeat(told), heartbeatEveryMs);
  try {
    return await work({
      signal,
      at: (detail) => {
        signal.throwIfAborted();
        told = detail ?? told;
      },
    });
  } catch (error) {
    if (signal.aborted) throw new CancelledFailure(`stopped: ${reasonOf(error)}`);
    throw error;
  } finally {
    clearInterval(heart);
  }
}
