/** Timeouts and retries, named by what repeating a call means. No workflow writes its own. */
import { ActivityCancellationType, type ActivityOptions } from '@temporalio/workflow';
import type { Pace } from '../../activities/shared/contract';

/** A leg may outlive its budget by one batch, a slow commit or a fence it waits for; not by more. */
const legOverrunSeconds = 300;

/**
 * Repeating a leg is harmless (every write is idempotent or fenced), so trouble of the world is retried without end.
 * Cancelling waits for the leg's last word: that is where its cursor is.
 */
export function repeatableLeg({ legSeconds, heartbeatSeconds }: Pace): ActivityOptions {
  return {
    startToCloseTimeout: `${legSeconds + legOverrunSeconds} seconds`,
    heartbeatTimeout: `${heartbeatSeconds} seconds`,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
  };
}

/**
 * One step of a leg that may take as long as its largest object does, and tells by heartbeats that it lives. Repeating it
 * begins where they say, or changes nothing.
 */
export function heartbeatingStep({ heartbeatSeconds }: Pace): ActivityOptions {
  return {
    startToCloseTimeout: '1 day',
    heartbeatTimeout: `${heartbeatSeconds} seconds`,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
  };
}

/** A short question to the source or the destination; asking again changes nothing. */
export const quickRead: ActivityOptions = {
  startToCloseTimeout: '2 minutes',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
};

/** Work on files of this host that is safe to repeat but not worth repeating for ever: the next schedule does it again. */
export const repeatableChore: ActivityOptions = {
  startToCloseTimeout: '1 hour',
  heartbeatTimeout: '5 minutes',
  retry: { initialInterval: '5 seconds', backoffCoefficient: 2, maximumInterval: '1 minute', maximumAttempts: 5 },
};
