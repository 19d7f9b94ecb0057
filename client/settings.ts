/** A job's settings between configuration and workflow input: taken by key, checked by the contract, refused in people's words. */
import type { z } from 'zod';
import type { Config, OptionKey } from '../workers/config';
import { CommandError, exit } from './exit';
import type { Call, Settings } from './verb';

export interface SettingsForm {
  /** The input's keys, and the settings they come from. */
  readonly keys: Readonly<Record<string, OptionKey>>;
  /** A setting as the input has it. */
  readonly read: (config: Config, key: OptionKey) => unknown;
  /** Not repeated in messages: they may hold a password. */
  readonly unshown: readonly OptionKey[];
}

/** Every one of them. */
export function configured({ keys, read }: SettingsForm, config: Config): Settings {
  return Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, read(config, key)]));
}

/** Those that were given as flags. */
export function asFlags({ keys, read }: SettingsForm, { config, given }: Call): Settings {
  const flags = Object.entries(keys).filter(([, key]) => key in given);
  return Object.fromEntries(flags.map(([name, key]) => [name, read(config, key)]));
}

/** The contract's own check, its answer in the words of the command line. Throws CommandError. */
export function checkedSettings(form: SettingsForm, schema: z.ZodType, call: Call, settings: Settings): Settings {
  const result = schema.safeParse(settings);
  if (result.success) return result.data as Settings;
  const wrong = result.error.issues.map(({ path, message }) => {
    const key = form.keys[String(path[0])];
    const isShown = key === undefined || !form.unshown.includes(key);
    const given = isShown ? ` is ${JSON.stringify(valueAt(settings, path))}` : '';
    return { key, message: `${key ?? path.join('.')} (${originOf(call.config, key)})${given}: ${message}` };
  });
  const byFlag = wrong.every(({ key }) => key === undefined || key in call.given);
  throw new CommandError(byFlag ? exit.usage : exit.configuration, wrong.map(({ message }) => message).join('; '));
}

function valueAt(settings: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], settings);
}

function originOf(config: Config, key: OptionKey | undefined): string {
  return config.settings.find((setting) => setting.key === key)?.origin ?? 'the job’s own';
}
