/** Child processes of a benchmark, and what the system counted of them: CPU seconds and memory, without their help. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** The kernel's USER_HZ: what /proc counts CPU time in, on every Linux. */
const ticksPerSecond = 100;
const stopMsMax = 20_000;

/** User and system time since the process began, in seconds. Linux only. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Counted from behind the command's name, which may hold blanks and brackets of its own: utime and stime, 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Resident memory in MiB: now, and the most there ever was (VmHWM). Linux only. */
export function memoryOf(pid: number): { rssMiB: number; peakMiB: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mebibytes = (name: string): number =>
    Math.round(Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024);
  return { rssMiB: mebibytes('VmRSS'), peakMiB: mebibytes('VmHWM') };
}

export interface Child {
  readonly pid: number;
  /** SIGTERM, and SIGKILL for one that does not listen. Safe to call twice. */
  stop(): Promise<void>;
}

/** A program of ours with IPC: `ask` sends one message and resolves with the one that comes back. */
export interface AnsweringChild extends Child {
  ask<Answer>(question: unknown): Promise<Answer>;
}

/** Runs a file of dist/ by this very Node, with IPC. It should end when the channel does. */
export function startAnsweringChild(file: string, args: readonly string[] = []): AnsweringChild {
  const process_ = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const child = childOf(process_);
  const gone = endOf(process_, file);
  return {
    ...child,
    ask: async <Answer>(question: unknown): Promise<Answer> => {
      process_.send(question as object);
      const [answer] = (await Promise.race([once(process_, 'message'), gone])) as [Answer];
      return answer;
    },
  };
}

/** Runs a program and waits until a line of its stderr contains `ready`. Throws with its last words if it ends first. */
export async function startUntil(
  ready: string,
  [command, ...args]: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
): Promise<Child> {
  const process_ = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const child = childOf(process_);
  let words = '';
  const seen = new Promise<void>((resolve) => {
    process_.stderr.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-4000);
      if (words.includes(ready)) resolve();
    });
  });
  await Promise.race([seen, endOf(process_, `${command} ${args.join(' ')}`, () => words)]);
  return child;
}

/** Every child there is, from its first moment on. */
const running = new Set<Child>();

/** For a benchmark's end, whatever its reason. */
export async function stopAll(): Promise<void> {
  // The youngest first: a worker's last word goes to a server that still listens.
  for (const child of [...running].reverse()) await child.stop();
}

export function childOf(process_: ChildProcess): Child {
  const child: Child = {
    pid: process_.pid ?? 0,
    stop: async () => {
      if (process_.exitCode !== null || process_.signalCode !== null) return;
      const gone = once(process_, 'exit');
      process_.kill('SIGTERM');
      const timer = setTimeout(() => process_.kill('SIGKILL'), stopMsMax);
      await gone;
      clearTimeout(timer);
    },
  };
  running.add(child);
  process_.once('exit', () => running.delete(child));
  return child;
}

/** Rejects when the child ends: whoever waits for something of it would otherwise wait for ever. */
export function endOf(process_: ChildProcess, what: string, words = (): string => ''): Promise<never> {
  const ended = new Promise<never>((_, reject) => {
    process_.once('error', (cause) => reject(new Error(`start ${what}: ${cause.message}`, { cause })));
    process_.once('exit', (code, signal) =>
      reject(new Error(`${what} ended (${code ?? signal ?? 'unknown'}) in the middle. ${words().trim()}`)),
    );
  });
  ended.catch(() => undefined);
  return ended;
}
