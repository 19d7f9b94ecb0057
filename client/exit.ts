/** How the command ends: every exit code there is, and the one error that carries one. */

export const exit = {
  ok: 0,
  failed: 1,
  usage: 2,
  configuration: 3,
  unreachable: 4,
  /** Some went through, something did not: a parked record, a failed show. */
  partial: 5,
  /** Nothing to do; only where --fail-if-nothing asked for it. */
  nothing: 9,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exit)[keyof typeof exit];

/** An end that a person can do something about: its message is all that is shown. */
export class CommandError extends Error {
  override name = 'CommandError';
  constructor(
    readonly code: ExitCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const codeByErrorName: Readonly<Record<string, ExitCode>> = {
  FlagError: exit.usage,
  ConfigError: exit.configuration,
  UnreachableTemporal: exit.unreachable,
};

/** The code of an error that is meant for people; null for one that is a defect of ours. By name: no class is loaded here. */
export function exitCodeOf(error: unknown): ExitCode | null {
  if (error instanceof CommandError) return error.code;
  return error instanceof Error ? (codeByErrorName[error.name] ?? null) : null;
}
