/** Settings that cannot be used. Told apart by name, so that nobody has to load this to know them. */

/** The message names the key, its origin, what was given and what is allowed. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/** A refused flag: the same message, but a mistake in the command line and not in the configuration. */
export class FlagError extends ConfigError {
  override name = 'FlagError';
}
