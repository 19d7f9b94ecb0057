/** The built `waybill` command as a person runs it: a process, its two outputs, its exit code. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder } from '../support/folders';

export const program = join(__dirname, '../../dist/client/main.js');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface Started {
  readonly child: ChildProcess;
  /** What came on stderr so far. */
  stderr(): string;
  readonly ended: Promise<Ended>;
}

/** Nothing of this machine's own settings reaches it. */
export function start(args: readonly string[], { env = {}, cwd }: CommandOptions = {}): Started {
  if (!existsSync(program)) throw new Error(`${program} is missing: node scripts/build.mjs makes it`);
  const inherited = Object.entries(process.env).filter(([name]) => !/^(WAYBILL|TEMPORAL)_/.test(name));
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...Object.fromEntries(inherited), TEMPORAL_CONFIG_FILE: join(__dirname, 'no-such.toml'), ...env },
    cwd: cwd ?? newFolder('cwd'),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, stderr: () => stderr, ended };
}

export function run(args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  return start(args, options).ended;
}
