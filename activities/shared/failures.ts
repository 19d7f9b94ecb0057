/** Three kinds of trouble: the world's (just throw: Temporal retries), a record's (park it), and a person's (this). */
import { ApplicationFailure } from '@temporalio/common';

/** The one way to say "do not retry". `type` is from a contract's closed list; the message says what to do. */
export function permanent(type: string, message: string, cause?: unknown): ApplicationFailure {
  return ApplicationFailure.create({ type, message, nonRetryable: true, ...(cause instanceof Error ? { cause } : {}) });
}

/** The same failure with the leg's result in its details: what was kept before it must not be lost with it. */
export function withResult(failure: ApplicationFailure, result: unknown): ApplicationFailure {
  const { type, message, cause } = failure;
  return ApplicationFailure.create({
    type: type ?? 'Unknown',
    message,
    nonRetryable: true,
    details: [result],
    ...(cause === undefined ? {} : { cause }),
  });
}

/** True of what `permanent` made. */
export function isPermanent(error: unknown): error is ApplicationFailure {
  return error instanceof ApplicationFailure && error.nonRetryable === true;
}

/** A source gave a record that cannot be what it should be. Tried again; in the end the leg parks it. */
export class RecordRefused extends Error {
  override name = 'RecordRefused';
}

/** An error's message, whatever was thrown. By shape, not class: not every boundary keeps the class. */
export function reasonOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
}

/** An error's code (`ENOSPC`, `SQLITE_BUSY`); empty if it has none. */
export function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}
