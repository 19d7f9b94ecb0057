/** Settings: which origin wins, what a mistake is told, and that no secret is ever shown. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, FlagError, loadConfig, type Config } from '../workers/config';
import { newFolder, removeFolders } from './support/folders';

afterAll(removeFolders);

const toml = (text: string): string => {
  const file = join(newFolder('config'), 'waybill.toml');
  writeFileSync(file, text);
  return file;
};
const load = (text: string, env: Record<string, string> = {}): Config => loadConfig({ env, file: toml(text) });
const originOf = (config: Config, key: string): string | undefined =>
  config.settings.find((setting) => setting.key === key)?.origin;
const refusal = (what: () => unknown): ConfigError => {
  try {
    what();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

describe('a setting', () => {
  const file = toml('[audio]\nchunk_size = 30\n');

  it('is the flag, before the environment, before the file, before the default', () => {
    const env = { WAYBILL_AUDIO_CHUNK_SIZE: '20' };
    const flags = { 'audio.chunk_size': '10' };
    expect(loadConfig({ env, file, flags }).get('audio.chunk_size')).toBe(10);
    expect(loadConfig({ env, file }).get('audio.chunk_size')).toBe(20);
    expect(loadConfig({ env: {}, file }).get('audio.chunk_size')).toBe(30);
    expect(loadConfig({ env: {} }).get('audio.chunk_size')).toBe(100);
  });

  it('knows where it came from', () => {
    const key = 'audio.chunk_size';
    const flags = { [key]: '10' };
    const flagNames = { [key]: '--chunk-size' };
    expect(originOf(loadConfig({ env: {}, flags, flagNames }), key)).toBe('flag --chunk-size');
    expect(originOf(loadConfig({ env: { WAYBILL_AUDIO_CHUNK_SIZE: '20' } }), key)).toBe(
      'environment WAYBILL_AUDIO_CHUNK_SIZE',
    );
    expect(originOf(loadConfig({ env: {}, file }), key)).toBe(file);
    expect(originOf(loadConfig({ env: {} }), key)).toBe('default');
    expect(loadConfig({ env: {}, file }).isSet(key)).toBe(true);
    expect(loadConfig({ env: {} }).isSet(key)).toBe(false);
  });

  it.each([
    ['audio.bandwidth_limit', '2M', 2_000_000],
    ['audio.bandwidth_limit', '500k', 500_000],
    ['audio.bandwidth_limit', 1234, 1234],
    ['audio.shows', 'a, b', ['a', 'b']],
    ['audio.strict', 'true', true],
    ['worker.jobs', 'audio', ['audio']],
    ['worker.listen', '', ''],
  ] as const)('%s takes %j', (key, given, expected) => {
    expect(loadConfig({ env: {}, flags: { [key]: given } }).get(key)).toEqual(expected);
  });

  it.each([
    ['audio.chunk_size', '0', 'a whole number from 1 to 5000'],
    ['audio.bandwidth_limit', 'fast', 'bytes a second'],
    ['audio.serve.encoding', 'hex', 'base64 or integers'],
    ['worker.jobs', 'recorder', 'jobs out of: audio'],
    ['audio.strict', 'maybe', 'true or false'],
  ])('%s refuses %j, saying what is allowed', (key, given, allowed) => {
    const { message } = refusal(() => loadConfig({ env: {}, flags: { [key]: given } }));
    expect(message).toContain(`${key} (flag ${key}) is ${JSON.stringify(given)}; allowed: `);
    expect(message).toContain(allowed);
  });

  it('that is refused is a mistake of the command line only if a flag gave it', () => {
    expect(refusal(() => loadConfig({ env: {}, flags: { 'audio.chunk_size': 0 } }))).toBeInstanceOf(FlagError);
    const byEnvironment = refusal(() => loadConfig({ env: { WAYBILL_AUDIO_CHUNK_SIZE: '0' } }));
    expect(byEnvironment).not.toBeInstanceOf(FlagError);
    expect(byEnvironment.message).toContain('environment WAYBILL_AUDIO_CHUNK_SIZE');
  });
});

describe('the file', () => {
  it('that is named must exist', () => {
    expect(refusal(() => loadConfig({ env: {}, file: '/no/such.toml' })).message).toContain(
      '/no/such.toml does not exist',
    );
    expect(refusal(() => loadConfig({ env: { WAYBILL_CONFIG: '/no/such.toml' } })).message).toContain('does not exist');
  });

  it('with an unknown key is refused, with the key that was probably meant', () => {
    expect(refusal(() => load('[audio]\nchunk_sise = 3')).message).toMatch(
      /audio\.chunk_sise in .*: there is no such setting\. Did you mean audio\.chunk_size\?/,
    );
    expect(refusal(() => load('[audio]\nsomething_else = 3')).message).toContain('`waybill config show` lists them');
  });

  it('that is no TOML is refused, with its name', () => {
    expect(refusal(() => load('[audio\n')).message).toMatch(/configuration file .*waybill\.toml: /);
  });

  it("may be the original's own sync.toml", () => {
    const config = load(
      'config_type = "sync"\nremote_url = "http://recorder:3000"\nlocal_dir = "./radio"\nshows = ["a", "b"]\nchunk_size = 50\n',
    );
    expect(config.get('audio.remote_url')).toBe('http://recorder:3000');
    expect(config.get('audio.local_dir')).toBe('./radio');
    expect(config.get('audio.shows')).toEqual(['a', 'b']);
    expect(config.get('audio.chunk_size')).toBe(50);
  });
});

describe('a secret', () => {
  it('is had, and never shown', () => {
    const config = load('[audio.serve]\ntoken = "open-sesame"\n[audio.credentials.recorder]\ntoken = "open-sesame"\n');
    expect(config.get('audio.serve.token')).toBe('open-sesame');
    expect(config.credentials['recorder']?.token).toBe('open-sesame');
    expect(JSON.stringify(config.settings)).not.toContain('open-sesame');
  });

  it('may lie in a file of its own', () => {
    const secret = join(newFolder('secret'), 'token');
    writeFileSync(secret, 'open-sesame\n');
    expect(load(`[audio.serve]\ntoken_file = "${secret}"`).get('audio.serve.token')).toBe('open-sesame');
    expect(loadConfig({ env: { WAYBILL_AUDIO_SERVE_TOKEN_FILE: secret } }).get('audio.serve.token')).toBe(
      'open-sesame',
    );
    expect(load(`[audio.credentials.a]\ntoken_file = "${secret}"`).credentials['a']?.token).toBe('open-sesame');
  });

  it('that is refused is not repeated', () => {
    const { message } = refusal(() => load('[audio.serve]\ntoken = ["open-sesame"]'));
    expect(message).toContain('audio.serve.token');
    expect(message).not.toContain('open-sesame');
  });

  it('of the environment is the credentials named env', () => {
    const env = { WAYBILL_AUDIO_TOKEN: 'open-sesame', WAYBILL_AUDIO_CA_FILE: '/ca.pem' };
    expect(loadConfig({ env }).credentials).toEqual({ env: { token: 'open-sesame', caFile: '/ca.pem' } });
  });

  it('table with an unknown word is refused without its value', () => {
    const { message } = refusal(() => load('[audio.credentials.a]\ntokn = "open-sesame"'));
    expect(message).toContain('audio.credentials.a');
    expect(message).not.toContain('open-sesame');
  });
});
