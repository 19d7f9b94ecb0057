#!/usr/bin/env node
/** The `waybill` command: reads the command line, runs one verb, ends with its exit code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { exitCodeOf, exit } from './exit';
import { createProgram, exitCodeOfCommander } from './program';

async function main(args: readonly string[]): Promise<void> {
  process.title = 'waybill';
  const program = createProgram(version(), (code) => {
    process.exitCode = code;
  });
  const { addCompletion } = await import('./completion.js');
  await addCompletion(program, args);
  await program.parseAsync(args, { from: 'user' });
}

function version(): string {
  const { version } = JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}

function fail(error: unknown): number {
  // Commander has already said what is wrong, and what was probably meant.
  if (error instanceof CommanderError) return exitCodeOfCommander(error);
  const code = exitCodeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  if (code !== null) {
    process.stderr.write(`waybill: ${text}\n`);
    return code;
  }
  process.stderr.write(`waybill: ${error instanceof Error ? (error.stack ?? text) : text}\n`);
  return exit.failed;
}

void main(process.argv.slice(2)).catch((error: unknown) => {
  process.exitCode = fail(error);
});
