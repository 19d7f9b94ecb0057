/** Flags that several verbs share, and how their values are read. Pure. */
import { CommandError, exit } from './exit';
import { formats } from './output';
import type { Flag, JobCommand } from './verb';

export function wholeNumber(min: number, max: number): (text: string, flag: string) => number {
  return (text, flag) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new CommandError(
      exit.usage,
      `${flag} is ${JSON.stringify(text)}; allowed: a whole number from ${min} to ${max}`,
    );
  };
}

/** More than nothing, all at most. */
export function share(text: string, flag: string): number {
  const value = /^(\d+|\d*\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (value > 0 && value <= 1) return value;
  throw new CommandError(exit.usage, `${flag} is ${JSON.stringify(text)}; allowed: a share such as 0.01, up to 1`);
}

/** On every verb. */
export const everywhere: readonly Flag[] = [
  { flags: '-o, --output <format>', about: 'how the answer is written', choices: formats, default: 'text' },
  { flags: '-c, --config <file>', about: 'settings file (default: ./waybill.toml if there is one)' },
];

/** Which job a verb is about. */
export function whichJob({ namedBy, which }: Pick<JobCommand, 'namedBy' | 'which'>): readonly Flag[] {
  return [{ flags: '--job <name>', about: `the job’s name (default: made of ${namedBy})` }, ...which];
}

export const patience: Flag = {
  flags: '--unreachable-after <seconds>',
  about: 'stop following when nothing has moved for so long and every try fails',
  parse: wholeNumber(1, 86_400),
  default: 10,
};

export const detach: Flag = { flags: '--detach', about: 'start it and return at once' };

export function interval(about: string): Flag {
  return { flags: '-i, --interval <seconds>', about, parse: wholeNumber(1, 31_536_000) };
}
