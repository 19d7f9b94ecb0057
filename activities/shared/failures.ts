/** Three kinds of trouble: the world's (just throw: Temporal retries), a record's (park it), and a person's (this). */
import { ApplicationFailure } from '@temporalio/common';

/** The one way to say "do not retry". `type` is from a contract's closed list; the message says what to do. */
export function permanent(type: string, message: string, cause?: unknown): ApplicationFailure {
  return ApplicationFailure.create({ type, message, nonRetryable: true, ...(cause instanceof Error ? { cause } : {}) });
}

/** True of what `permanent` made. */
export function isPermanent(error: unknown): error is ApplicationFailure {
  return error instanceof ApplicationFailure && error.nonRetryable === true;
}

/** An error's message, whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
