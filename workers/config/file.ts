/** A settings file, read and checked for keys that do not exist: waybill.toml, or the originals' own files as they are. */
import { readFileSync } from 'node:fs';
import { parse as parseToml } from 'smol-toml';
import { ConfigError } from './errors';
import { credentialTable, options, type OptionKey } from './options';
import { recallIgnored } from './recall';

export interface AudioCredentials {
  readonly token?: string;
  readonly caFile?: string;
}

export interface FileContent {
  /** By key; secrets' files as `<key>_file`. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly credentials: Readonly<Record<string, AudioCredentials>>;
  /** What of the file does nothing, a line each. */
  readonly remarks: readonly string[];
}

/** Throws ConfigError for a file that is no TOML, and for a key that does not exist, with the one that was probably meant. */
export function readSettingsFile(path: string): FileContent {
  const tables = ourTables(parsed(path));
  const values = new Map<string, unknown>();
  const ignored = new Set<string>();
  walk(tables, '', (key, value) => {
    if (isCredential(key, path)) return;
    const table = Object.keys(recallIgnored).find((each) => key.startsWith(`${each}.`));
    if (table !== undefined) ignored.add(table);
    else if (isKnown(key)) values.set(key, value);
    else throw unknownKey(key, path);
  });
  const remarks = [...ignored].map((table) => `[${table}] in ${path} is ${recallIgnored[table] ?? ''}`);
  return { values, credentials: credentialsOf(tables, path), remarks };
}

function parsed(path: string): Record<string, unknown> {
  try {
    return parseToml(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`configuration file ${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** Tables of the recall original's config.toml. It needs a [database], which no file of ours has at its top. */
const recallTables = ['database', 's3', 'recall', 'sync', 'sync_storage', 'logging'];

/** The originals' own files have the same words at the top level. */
function ourTables(tree: Record<string, unknown>): Record<string, unknown> {
  const { config_type: kind, ...rest } = tree;
  if (kind === 'sync') return { audio: rest };
  if (!('database' in tree)) return tree;
  const isRecalls = ([name]: [string, unknown]): boolean => recallTables.includes(name);
  const entries = Object.entries(tree);
  return {
    ...Object.fromEntries(entries.filter((entry) => !isRecalls(entry))),
    recall: Object.fromEntries(entries.filter(isRecalls)),
  };
}

function walk(tree: object, prefix: string, leaf: (key: string, value: unknown) => void): void {
  for (const [name, value] of Object.entries(tree) as [string, unknown][]) {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    // TOML has times of its own, which people may write without quotes.
    if (value instanceof Date) leaf(key, value.toISOString());
    else if (typeof value === 'object' && value !== null && !Array.isArray(value)) walk(value, key, leaf);
    else leaf(key, value);
  }
}

function isKnown(key: string): boolean {
  return key in options || (key.endsWith('_file') && 'secret' in (options[key.slice(0, -5) as OptionKey] ?? {}));
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

/** True of a field of an [audio.credentials.NAME] table. Throws ConfigError where there is no NAME. */
function isCredential(key: string, path: string): boolean {
  const [, name, field] = /^audio\.credentials\.([^.]+)(?:\.(.+))?$/.exec(key) ?? [];
  if (name !== undefined && field === undefined)
    throw new ConfigError(`${key} in ${path}: [audio.credentials.NAME] is a table of token, token_file and ca_file`);
  return name !== undefined;
}

function credentialsOf(tables: Record<string, unknown>, path: string): Record<string, AudioCredentials> {
  const audio = tables['audio'];
  const given = typeof audio === 'object' && audio !== null && 'credentials' in audio ? audio.credentials : {};
  const entries = Object.entries(given ?? {}) as [string, unknown][];
  return Object.fromEntries(
    entries.map(([name, table]) => [name, credentialsFrom(`audio.credentials.${name} in ${path}`, table)]),
  );
}

/** `where` is for the message. Throws ConfigError, without what was given. */
export function credentialsFrom(where: string, table: unknown): AudioCredentials {
  const result = credentialTable.safeParse(table);
  if (!result.success) throw new ConfigError(`${where}: allowed are token or token_file, and ca_file, as texts`);
  const { token, token_file: tokenFile, ca_file: caFile } = result.data;
  const secret = tokenFile === undefined ? token : readSecret(where, tokenFile);
  return { ...(secret === undefined ? {} : { token: secret }), ...(caFile === undefined ? {} : { caFile }) };
}

/** Without the line's end that editors leave. Throws ConfigError. */
export function readSecret(where: string, path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(`${where}: read ${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
