/**
 * The settings of a process, each with its origin: flag > environment > waybill.toml > default. The only reader of the
 * environment. Temporal's own connection settings are Temporal's: the same profiles and TEMPORAL_* variables as its command.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { parse as parseToml } from 'smol-toml';
import { credentialEnv, credentialTable, envName, options, type OptionKey, type OptionValue } from './config/options';

export type { OptionKey };

/** A setting that cannot be used: the message names the key, its origin, what was given and what is allowed. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/** A refused flag: the same message, but a mistake in the command line and not in the configuration. */
export class FlagError extends ConfigError {
  override name = 'FlagError';
}

export interface Setting {
  readonly key: string;
  /** Secrets come masked. */
  readonly shown: unknown;
  /** `flag --x`, `environment WAYBILL_X`, the file's path, or `default`. */
  readonly origin: string;
  readonly about: string;
}

interface AudioCredentials {
  readonly token?: string;
  readonly caFile?: string;
}

export interface Config {
  get<K extends OptionKey>(key: K): OptionValue<K>;
  /** True if somebody said it: flag, environment or file. */
  isSet(key: OptionKey): boolean;
  readonly settings: readonly Setting[];
  readonly credentials: Readonly<Record<string, AudioCredentials>>;
  /** The file that was read; null if there is none. */
  readonly file: string | null;
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
  const { values, credentials } =
    path === null ? { values: new Map<string, unknown>(), credentials: {} } : readFile(path);
  const found = new Map<OptionKey, unknown>();
  const settings: Setting[] = [];
  const set = new Set<OptionKey>();
  for (const [key, option] of Object.entries(options) as [OptionKey, (typeof options)[OptionKey]][]) {
    const secret = 'secret' in option;
    const given = firstGiven(key, { flags, flagNames, env, values, path, secret });
    const value = given === null ? option.default : checked(key, given);
    if (given !== null) set.add(key);
    found.set(key, value);
    settings.push({
      key,
      shown: secret && value !== '' ? '********' : value,
      origin: given?.origin ?? 'default',
      about: option.about,
    });
  }
  return {
    get: <K extends OptionKey>(key: K) => found.get(key) as OptionValue<K>,
    isSet: (key) => set.has(key),
    settings,
    credentials: { ...credentials, ...environmentCredentials(env) },
    file: path,
  };
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
  readonly secret: boolean;
}

function firstGiven(key: OptionKey, { flags, flagNames, env, values, path, secret }: Origins): Given | null {
  const variable = envName(key);
  if (flags[key] !== undefined) return { value: flags[key], origin: `flag ${flagNames[key] ?? key}`, secret };
  if (env[variable] !== undefined) return { value: env[variable], origin: `environment ${variable}`, secret };
  const secretFile = secret ? (env[`${variable}_FILE`] ?? values.get(`${key}_file`)) : undefined;
  if (typeof secretFile === 'string')
    return { value: readSecret(`${key}_file`, secretFile), origin: `file ${secretFile}`, secret };
  if (values.has(key)) return { value: values.get(key), origin: path ?? 'file', secret };
  return null;
}

function checked(key: OptionKey, { value, origin, secret }: Given): unknown {
  const result = options[key].schema.safeParse(value);
  if (result.success) return result.data;
  const given = secret ? '********' : JSON.stringify(value);
  const Refusal = origin.startsWith('flag ') ? FlagError : ConfigError;
  throw new Refusal(
    `${key} (${origin}) is ${given}; allowed: ${result.error.issues.map(({ message }) => message).join('; ')}`,
  );
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

interface FileContent {
  readonly values: Map<string, unknown>;
  readonly credentials: Record<string, AudioCredentials>;
}

function readFile(path: string): FileContent {
  let tree: Record<string, unknown>;
  try {
    tree = parseToml(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`configuration file ${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const { config_type: kind, ...rest } = tree;
  // The original's own sync.toml: the same words at the top level.
  const tables = kind === 'sync' ? { audio: rest } : tree;
  const values = new Map<string, unknown>();
  const credentials: Record<string, AudioCredentials> = {};
  walk(tables, '', (key, value) => {
    const [, name, field] = /^audio\.credentials\.([^.]+)(?:\.(.+))?$/.exec(key) ?? [];
    if (name !== undefined) {
      if (field === undefined)
        throw new ConfigError(
          `${key} in ${path}: [audio.credentials.NAME] is a table of token, token_file and ca_file`,
        );
      return;
    }
    if (!(key in options) && !(key.endsWith('_file') && 'secret' in (options[key.slice(0, -5) as OptionKey] ?? {})))
      throw unknownKey(key, path);
    values.set(key, value);
  });
  const audio = tables['audio'];
  const given = typeof audio === 'object' && audio !== null && 'credentials' in audio ? audio.credentials : {};
  for (const [name, table] of Object.entries(given ?? {}))
    credentials[name] = credentialsFrom(`audio.credentials.${name} in ${path}`, table);
  return { values, credentials };
}

function walk(tree: object, prefix: string, leaf: (key: string, value: unknown) => void): void {
  for (const [name, value] of Object.entries(tree) as [string, unknown][]) {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) walk(value, key, leaf);
    else leaf(key, value);
  }
}

function unknownKey(key: string, path: string): ConfigError {
  const nearest = Object.keys(options)
    .map((known) => ({ known, distance: distance(key, known) }))
    .sort((left, right) => left.distance - right.distance)[0];
  const hint =
    nearest !== undefined && nearest.distance <= 4
      ? ` Did you mean ${nearest.known}?`
      : ' `waybill config show` lists them all.';
  return new ConfigError(`${key} in ${path}: there is no such setting.${hint}`);
}

/** Levenshtein's edit distance. */
function distance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

function environmentCredentials(env: Readonly<Record<string, string | undefined>>): Record<string, AudioCredentials> {
  const table = Object.fromEntries(
    Object.entries(credentialEnv).flatMap(([variable, key]) => (env[variable] ? [[key, env[variable]]] : [])),
  );
  return Object.keys(table).length === 0
    ? {}
    : { env: credentialsFrom('WAYBILL_AUDIO_TOKEN, _TOKEN_FILE, _CA_FILE', table) };
}

function credentialsFrom(where: string, table: unknown): AudioCredentials {
  const result = credentialTable.safeParse(table);
  if (!result.success) throw new ConfigError(`${where}: allowed are token or token_file, and ca_file, as texts`);
  const { token, token_file: tokenFile, ca_file: caFile } = result.data;
  const secret = tokenFile === undefined ? token : readSecret(where, tokenFile);
  return { ...(secret === undefined ? {} : { token: secret }), ...(caFile === undefined ? {} : { caFile }) };
}

function readSecret(where: string, path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(`${where}: read ${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
