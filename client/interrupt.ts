/** Ctrl-C and SIGTERM as a signal that a verb can wait on. Asked again after a moment, the process ends at once. */

export interface Interrupt {
  readonly signal: AbortSignal;
  /** The signals mean what they meant before. */
  dispose(): void;
}

/** One Ctrl-C may arrive twice: from the terminal, and passed on by whoever started us. */
const sameMs = 500;
const codes = { SIGINT: 130, SIGTERM: 143 } as const;
const names = Object.keys(codes) as (keyof typeof codes)[];

export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  let firstAt: number | null = null;
  const interrupted = (name: NodeJS.Signals): void => {
    if (firstAt !== null && performance.now() - firstAt > sameMs) process.exit(codes[name as keyof typeof codes]);
    firstAt ??= performance.now();
    controller.abort();
  };
  for (const name of names) process.on(name, interrupted);
  return {
    signal: controller.signal,
    dispose: () => {
      for (const name of names) process.removeListener(name, interrupted);
    },
  };
}

/** Resolves when the signal is given. */
export function given(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
