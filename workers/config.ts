/**
 * The settings of a process, each with its origin: flag > environment > waybill.toml > default. The only reader of the
 * environment. Temporal's own connection settings are Temporal's: the same profiles and TEMPORAL_* variables as its command.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { ConfigError, FlagError } from './config/errors';
import { credentialsFrom, readSecret, readSettingsFile, type AudioCredentials, type FileContent } from './config/file';
import type { Option } from './config/kinds';
import { credentialEnv, envName, options, type OptionKey, type OptionValue } from './config/options';

export { ConfigError, FlagError };
export type { OptionKey };

export interface Setting {
  readonly key: string;
  /** Secrets come masked, whole or in part. */
  readonly shown: unknown;
  /** `flag --x`, `environment WAYBILL_X`, the file's path, or `default`. */
  readonly origin: string;
  readonly about: string;
}

export interface Config {
  get<K extends OptionKey>(key: K): OptionValue<K>;
  /** True if somebody said it: flag, environment or file. */
  isSet(key: OptionKey): boolean;
  readonly settings: readonly Setting[];
  readonly credentials: Readonly<Record<string, AudioCredentials>>;
  /** The file that was read; null if there is none. */
  readonly file: string | null;
  /** What of the file does nothing, a line each for people. */
  readonly remarks: readonly string[];
}

export interface ConfigSources {
  /** By key, as texts or parsed values; absent ones left out. */
  readonly flags?: Partial<Record<OptionKey, unknown>>;
  /** What people call these flags: `--chunk-size`. */
  readonly flagNames?: Partial<Record<OptionKey, string>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Path given by --config: it must exist. */
  readonly file?: string;
}

/** Throws ConfigError. */
export function loadConfig({ flags = {}, flagNames = {}, env = process.env, file }: ConfigSources = {}): Config {
  const path = configPath(file, env);
  const { values, credentials, remarks } = path === null ? noFile : readSettingsFile(path);
  const found = new Map<OptionKey, unknown>();
  const settings: Setting[] = [];
  const set = new Set<OptionKey>();
  for (const [key, option] of Object.entries(options) as [OptionKey, Option][]) {
    const given = firstGiven(key, option, { flags, flagNames, env, values, path });
    const value = given === null ? option.default : checked(key, given);
    if (given !== null) set.add(key);
    found.set(key, value);
    settings.push({ key, shown: shown(option, value), origin: given?.origin ?? 'default', about: option.about });
  }
  return {
    get: <K extends OptionKey>(key: K) => found.get(key) as OptionValue<K>,
    isSet: (key) => set.has(key),
    settings,
    credentials: { ...credentials, ...environmentCredentials(env) },
    file: path,
    remarks,
  };
}

const noFile: FileContent = { values: new Map(), credentials: {}, remarks: [] };
const masked = '********';

function shown({ secret, shownAs }: Option, value: unknown): unknown {
  const isEmpty = Array.isArray(value) ? value.length === 0 : value === '';
  return secret !== true || isEmpty ? value : (shownAs?.(value) ?? masked);
}

/** How to reach Temporal, by profile and TEMPORAL_* variables. Throws ConfigError. */
export function connectionSettings(): {
  address: string;
  namespace: string;
  connectionOptions: ReturnType<typeof loadClientConnectConfig>['connectionOptions'];
} {
  try {
    const { connectionOptions, namespace } = loadClientConnectConfig();
    const address = connectionOptions.address ?? 'localhost:7233';
    return { address, namespace: namespace ?? 'default', connectionOptions: { ...connectionOptions, address } };
  } catch (error) {
    throw new ConfigError(
      `Temporal's connection settings (TEMPORAL_*, temporal.toml): ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

interface Given {
  readonly value: unknown;
  readonly origin: string;
  readonly secret: boolean;
}

interface Origins {
  readonly flags: Partial<Record<string, unknown>>;
  readonly flagNames: Partial<Record<string, string>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly values: ReadonlyMap<string, unknown>;
  readonly path: string | null;
}

function firstGiven(
  key: OptionKey,
  { secret: isSecret, aliases = [] }: Option,
  { flags, flagNames, env, values, path }: Origins,
): Given | null {
  const secret = isSecret === true;
  const variable = envName(key);
  if (flags[key] !== undefined) return { value: flags[key], origin: `flag ${flagNames[key] ?? key}`, secret };
  if (env[variable] !== undefined) return { value: env[variable], origin: `environment ${variable}`, secret };
  const fileByEnv = secret ? env[`${variable}_FILE`] : undefined;
  if (fileByEnv !== undefined) return secretIn(key, fileByEnv);
  // An empty one is none: compose files hand variables on that nobody has set.
  const alias = aliases.find((name) => (env[name] ?? '') !== '');
  if (alias !== undefined) return { value: env[alias], origin: `environment ${alias}`, secret };
  const fileByFile = secret ? values.get(`${key}_file`) : undefined;
  if (typeof fileByFile === 'string') return secretIn(key, fileByFile);
  if (values.has(key)) return { value: values.get(key), origin: path ?? 'file', secret };
  return null;
}

const secretIn = (key: OptionKey, path: string): Given => ({
  value: readSecret(`${key}_file`, path),
  origin: `file ${path}`,
  secret: true,
});

function checked(key: OptionKey, { value, origin, secret }: Given): unknown {
  const result = options[key].schema.safeParse(value);
  if (result.success) return result.data;
  const given = secret ? masked : JSON.stringify(value);
  const Refusal = origin.startsWith('flag ') ? FlagError : ConfigError;
  const allowed = [...new Set(result.error.issues.map(({ message }) => message))];
  throw new Refusal(`${key} (${origin}) is ${given}; allowed: ${allowed.join('; ')}`);
}

function configPath(given: string | undefined, env: Readonly<Record<string, string | undefined>>): string | null {
  const named = given ?? env['WAYBILL_CONFIG'];
  if (named !== undefined && named !== '') {
    if (!existsSync(named))
      throw new ConfigError(`configuration file ${named} does not exist. Correct --config or WAYBILL_CONFIG.`);
    return resolve(named);
  }
  return existsSync('waybill.toml') ? resolve('waybill.toml') : null;
}

function environmentCredentials(env: Readonly<Record<string, string | undefined>>): Record<string, AudioCredentials> {
  const table = Object.fromEntries(
    Object.entries(credentialEnv).flatMap(([variable, key]) => (env[variable] ? [[key, env[variable]]] : [])),
  );
  return Object.keys(table).length === 0
    ? {}
    : { env: credentialsFrom('WAYBILL_AUDIO_TOKEN, _TOKEN_FILE, _CA_FILE', table) };
}
