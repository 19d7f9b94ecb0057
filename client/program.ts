/** The tree of verbs as commander knows it. Loads no more than their descriptions; a verb's code is imported when it is called. */
import { Command, InvalidArgumentError, Option, type CommanderError } from 'commander';
import type { OptionKey } from '../workers/config';
import { CommandError, exit } from './exit';
import { everywhere } from './flags';
import { jobs } from './jobs';
import { createOutput, type Format } from './output';
import type { Flag, Verb } from './verb';
import { besides, configShow } from './verbs/besides';
import { jobVerbs } from './verbs/table';

/** `finish` gets the exit code of the verb that was called. */
export function createProgram(version: string, finish: (code: number) => void): Command {
  const program = new Command('waybill')
    .description('Data syncs as durable workflows on Temporal.')
    .version(version)
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .addHelpText(
      'after',
      exampleText([
        'waybill demo',
        'waybill dev',
        ...Object.values(jobs).map(
          ({ kind, runAlias, exampleFlags }) => `waybill ${kind} ${runAlias ?? 'run'} ${exampleFlags}`,
        ),
      ]),
    );
  for (const job of Object.values(jobs)) {
    const parent = program.command(job.kind).description(job.about);
    parent.addHelpText(
      'after',
      exampleText([`waybill ${job.kind} run ${job.exampleFlags}`, `waybill ${job.kind} status`]),
    );
    for (const verb of jobVerbs(job)) addVerb(parent, verb, finish);
  }
  for (const verb of besides) addVerb(program, verb, finish);
  const config = program.command('config').description('What this command and its workers are set to.');
  config.addHelpText('after', exampleText(configShow.examples));
  addVerb(config, configShow, finish);
  return program;
}

function addVerb(parent: Command, verb: Verb, finish: (code: number) => void): void {
  const command = parent.command(verb.name).description(verb.about).allowExcessArguments(false);
  if (verb.alias !== undefined) command.alias(verb.alias);
  const flags = [...verb.flags, ...everywhere];
  for (const flag of flags) command.addOption(optionOf(flag));
  command.addHelpText('after', (verb.more === undefined ? '' : `\n${verb.more}\n`) + exampleText(verb.examples));
  command.action(async (options: Record<string, unknown>) => {
    finish(await call(fullName(command), verb, flags, options));
  });
}

function optionOf({ flags, about, many, hidden, choices, parse, default: fallback }: Flag): Option {
  const option = new Option(flags, about);
  if (choices !== undefined) option.choices(choices);
  if (hidden) option.hideHelp();
  if (fallback !== undefined) option.default(fallback);
  if (many) option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
  else if (parse !== undefined) option.argParser((text: string) => parsed(parse, text, flags));
  return option;
}

function parsed(parse: NonNullable<Flag['parse']>, text: string, flags: string): unknown {
  try {
    return parse(text, longName(flags));
  } catch (error) {
    throw error instanceof CommandError ? new InvalidArgumentError(error.message) : error;
  }
}

async function call(
  command: string,
  verb: Verb,
  flags: readonly Flag[],
  options: Record<string, unknown>,
): Promise<number> {
  const output = createOutput(options['output'] as Format);
  const given: Partial<Record<OptionKey, unknown>> = {};
  const flagNames: Partial<Record<OptionKey, string>> = {};
  for (const { key, flags: words } of flags) {
    const value = options[new Option(words).attributeName()];
    if (key === undefined || value === undefined) continue;
    given[key] = value;
    flagNames[key] = longName(words);
  }
  const { loadConfig } = await import('../workers/config.js');
  const file = options['config'] as string | undefined;
  const config = loadConfig({ flags: given, flagNames, ...(file === undefined ? {} : { file }) });
  if (verb.logs !== true) for (const remark of config.remarks) output.say(remark);
  const run = await verb.load();
  return await run({ command, options, given, config, output });
}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

const longName = (flags: string): string => new Option(flags).long ?? flags;

function exampleText(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}\n`).join('')}`.trimEnd();
}

/** Help that was asked for is an answer; everything else commander ends with is a mistake in the command line. */
export function exitCodeOfCommander({ exitCode }: CommanderError): number {
  return exitCode === 0 ? exit.ok : exit.usage;
}
