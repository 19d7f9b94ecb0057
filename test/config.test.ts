/** Settings: which origin wins, what a mistake is told, and that no secret is ever shown. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, FlagError, loadConfig, type Config, type OptionKey } from '../workers/config';
import { newFolder, removeFolders } from './support/folders';

afterAll(removeFolders);

const toml = (text: string): string => {
  const file = join(newFolder('config'), 'waybill.toml');
  writeFileSync(file, text);
  return file;
};
/** Of no wallet: any 32 bytes will do. */
const key = 'ab'.repeat(32);
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
    ['worker.jobs', 'recall,audio', ['recall', 'audio']],
    ['recall.sync.object_bytes_max', '1.5M', 1_500_000],
    ['recall.sync.competitions', 'a, b', ['a', 'b']],
    ['recall.recall.bucket', `0x${'Ab'.repeat(20)}`, `0x${'Ab'.repeat(20)}`],
    ['recall.recall.bucket', 't0124', `0xff${'0'.repeat(36)}7c`],
    ['recall.recall.bucket', 'f0124', `0xff${'0'.repeat(36)}7c`],
    ['worker.listen', '', ''],
  ] as const)('%s takes %j', (key, given, expected) => {
    expect(loadConfig({ env: {}, flags: { [key]: given } }).get(key)).toEqual(expected);
  });

  it.each([
    ['audio.chunk_size', '0', 'a whole number from 1 to 5000'],
    ['audio.bandwidth_limit', 'fast', 'bytes a second'],
    ['audio.serve.encoding', 'hex', 'base64 or integers'],
    ['worker.jobs', 'recorder', 'jobs out of: recall, snapchain, audio'],
    ['recall.sync.object_bytes_max', '6G', 'bytes from 1 to 5000000000'],
    ['recall.recall.bucket', 't2abc', 'or its id as t01234'],
    ['recall.sync.overwrite', 'perhaps', 'true or false'],
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

  it('may have times as TOML has them', () => {
    const config = load('[recall.sync]\nsince = 2026-01-31T12:00:00Z\nuntil = "2026-02-01T00:00:00Z"');
    expect(config.get('recall.sync.since')).toBe('2026-01-31T12:00:00.000Z');
    expect(config.get('recall.sync.until')).toBe('2026-02-01T00:00:00Z');
  });

  it("may be the original's own config.toml of recall, with tables of ours beside it", () => {
    const config = load(
      '[database]\nurl = "postgresql://me@db/data"\nmax_connections = 5\n' +
        '[s3]\nendpoint = "http://minio:9000"\nregion = "us-east-1"\nbucket = "objects"\naccess_key_id = "AK"\nsecret_access_key = "SK"\n' +
        `[recall]\nprivate_key = "${key}"\nnetwork = "localnet"\nconfig_path = "nets.toml"\nbucket = "t0124"\n` +
        '[sync]\nbatch_size = 100\n[sync_storage]\ndb_path = ":memory:"\n' +
        '[logging]\npath = "x.log"\nlevel = "info"\nmax_files = 5\n[worker]\nlisten = ""\n',
    );
    const expected = {
      ...{ 'recall.database.url': 'postgresql://me@db/data', 'recall.database.max_connections': 5 },
      ...{ 'recall.s3.endpoint': 'http://minio:9000', 'recall.s3.region': 'us-east-1', 'recall.s3.bucket': 'objects' },
      ...{ 'recall.s3.access_key_id': 'AK', 'recall.s3.secret_access_key': 'SK', 'recall.s3.path_style': true },
      ...{ 'recall.recall.private_key': `0x${key}`, 'recall.recall.network': 'localnet' },
      ...{ 'recall.recall.config_path': 'nets.toml', 'recall.recall.bucket': `0xff${'0'.repeat(36)}7c` },
      ...{ 'recall.sync.batch_size': 100, 'worker.listen': '' },
    };
    for (const [name, value] of Object.entries(expected)) expect(config.get(name as OptionKey)).toEqual(value);
    expect(config.remarks).toEqual([
      expect.stringMatching(/^\[recall\.sync_storage\] in .* is not used: Temporal keeps the position/),
      expect.stringMatching(/^\[recall\.logging\] in .* is not used: logs go to stderr/),
    ]);
    expect(load('[recall.sync]\nbatch_size = 100').remarks).toEqual([]);
    expect(refusal(() => load('[database]\nurk = "x"')).message).toContain('Did you mean recall.database.url?');
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

describe('a variable of the original', () => {
  const file = toml('[recall.recall]\nnetwork = "by-file"');

  it('comes after ours and before the file', () => {
    const env = { RECALL_NETWORK: 'by-alias', WAYBILL_RECALL_RECALL_NETWORK: 'by-ours' };
    expect(loadConfig({ env, file }).get('recall.recall.network')).toBe('by-ours');
    const { RECALL_NETWORK } = env;
    const config = loadConfig({ env: { RECALL_NETWORK }, file });
    expect(config.get('recall.recall.network')).toBe('by-alias');
    expect(originOf(config, 'recall.recall.network')).toBe('environment RECALL_NETWORK');
    expect(loadConfig({ env: {}, file }).get('recall.recall.network')).toBe('by-file');
  });

  it('that is empty is none', () => {
    expect(loadConfig({ env: { RECALL_NETWORK: '' }, file }).get('recall.recall.network')).toBe('by-file');
  });

  it('is there for the networks file, the key and the bucket', () => {
    const env = { RECALL_NETWORK_FILE: 'n.toml', RECALL_PRIVATE_KEY: `0X${key}`, RECALL_BUCKET_ADDRESS: 't0124' };
    const config = loadConfig({ env });
    expect(config.get('recall.recall.config_path')).toBe('n.toml');
    expect(config.get('recall.recall.private_key')).toBe(`0x${key}`);
    expect(config.get('recall.recall.bucket')).toMatch(/^0xff0+7c$/);
    expect(JSON.stringify(config.settings)).not.toContain(key);
  });
});

describe('a secret', () => {
  it('that is an address is shown without its password and its parameters', () => {
    const shownOf = (url: string): unknown =>
      loadConfig({ env: { WAYBILL_RECALL_DATABASE_URL: url } }).settings.find(
        ({ key }) => key === 'recall.database.url',
      )?.shown;
    expect(shownOf('postgres://me:open-sesame@db:5433/data')).toBe('postgres://me@db:5433/data');
    expect(shownOf('postgres://db/data?user=me&password=open-sesame')).toBe('postgres://db/data?…');
    expect(shownOf('postgres://me:open-sesame@d b/x')).toBe('********');
    expect(shownOf('')).toBe('');
  });

  it('that is a list may lie in a file, one a line', () => {
    const secret = join(newFolder('secret'), 'keys');
    writeFileSync(secret, `${key}\n0x${key.toUpperCase()}\n`);
    const config = load(`[recall.recall]\ndelegate_keys_file = "${secret}"`);
    expect(config.get('recall.recall.delegate_keys')).toEqual([`0x${key}`, `0x${key}`]);
    expect(JSON.stringify(config.settings)).not.toContain(key);
    const { message } = refusal(() => load('[recall.recall]\ndelegate_keys = ["open-sesame", "open-sesame"]'));
    expect(message).toMatch(/is \*{8}; allowed: a private key: 64 hexadecimal digits, with 0x or without$/);
  });

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
