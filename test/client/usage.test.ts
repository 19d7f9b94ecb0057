/** Mistakes: each ends with the code that says whose it is, and a sentence that says what to do. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder, removeFolders } from '../support/folders';
import { freePort } from '../../workers/free-port';
import { run } from './command';

afterAll(removeFolders);

const sync = ['audio', 'sync', '-r', 'http://127.0.0.1:9', '-l', 'radio'];

describe('a wrong command line ends with 2', () => {
  it.each([
    ['a verb that is not there', ['audio', 'synk'], '(Did you mean sync?)'],
    ['a flag that is not there', ['audio', 'sync', '--chunk-sice', '3'], '(Did you mean --chunk-size?)'],
    ['a job that is not there', ['adio', 'sync'], '(Did you mean audio?)'],
    ['no verb', ['audio'], 'Usage: waybill audio'],
    ['a word too many', [...sync, 'more'], 'too many arguments'],
    ['a format that is not there', [...sync, '-o', 'yaml'], 'text, json, jsonl'],
    ['a number that is none', [...sync, '--unreachable-after', 'soon'], 'a whole number from 1'],
    ['a setting out of bounds', [...sync, '-s', '0'], 'audio.chunk_size (flag --chunk-size) is "0"; allowed'],
    ['a show that is a path', [...sync, '-n', '../x'], `audio.shows (flag --show) is "../x": a show's name becomes`],
    ['an address that is none', ['audio', 'sync', '-r', 'recorder:3000', '-l', 'x'], 'an http:// or https:// address'],
    ['start without an interval', ['audio', 'start', ...sync.slice(2)], 'Give --interval SECONDS'],
    ['rebase without a show', ['audio', 'rebase', '-l', 'x'], '--show NAME'],
    ['retention without a folder', ['audio', 'retention'], 'Give --dir DIR'],
    [
      'a time that is none',
      ['recall', 'run', '--since', 'monday'],
      'recall.sync.since (flag --since) is "monday": a time',
    ],
    [
      'a competition that is none',
      ['recall', 'run', '--competition', 'x'],
      'recall.sync.competitions (flag --competition)',
    ],
    [
      'a bucket that is none',
      ['recall', 'start', '--bucket', '0x1', '-i', '60'],
      'flag --bucket) is "0x1"; allowed: a bucket’s',
    ],
    ['a life too short', ['recall', 'run', '--ttl', '60'], 'a whole number from 3600'],
    ['a share of nothing', ['recall', 'verify', '--sample', '0'], 'a share such as 0.01, up to 1'],
    ['a job named like a renewal', ['recall', 'run', '--job', 'a/renew'], 'a name without /'],
    ['an interval and its end', ['recall', 'renew', '--interval', '60', '--stop'], 'one of the two'],
    ['a dry run that nobody reads', ['recall', 'run', '--dry-run', '--detach'], 'nothing but its answer'],
    ['a host, which recall has none of', ['recall', 'run', '--host', 'x'], "unknown option '--host'"],
  ])('%s', async (_, args, said) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr).toContain(said);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });

  it('a password in the address, which is not repeated', async () => {
    const { code, stderr } = await run(['audio', 'sync', '-r', 'http://me:open-sesame@recorder', '-l', 'x']);
    expect(stderr).toContain('put a token in [audio.credentials.NAME]');
    expect(stderr).not.toContain('open-sesame');
    expect(code).toBe(2);
  });
});

describe('a wrong configuration ends with 3', () => {
  const file = (text: string): string => {
    const path = join(newFolder('config'), 'waybill.toml');
    writeFileSync(path, text);
    return path;
  };

  it.each([
    ['a key that is not there', '[audio]\nchunk_sise = 3', 'Did you mean audio.chunk_size?'],
    ['a value out of bounds', '[audio]\nchunk_size = 0', 'a whole number from 1 to 5000'],
    ['a show that is a path', '[audio]\nremote_url = "http://a"\nlocal_dir = "x"\nshows = ["../x"]', '"../x"'],
  ])('%s', async (_, text, said) => {
    const { code, stderr } = await run(['audio', 'sync', '--config', file(text)]);
    expect(stderr).toContain(said);
    expect(code).toBe(3);
  });

  it('of the original’s recall is understood, and what of it does nothing is said', async () => {
    const original =
      '[database]\nurl = "postgres://me:open-sesame@db/data"\nmax_connections = 5\n[recall]\nprivate_key = "open-sesame"\n' +
      'network = "localnet"\n[sync]\nbatch_size = 100\n[sync_storage]\ndb_path = ":memory:"';
    const { code, stderr } = await run(['recall', 'run', '-c', file(original)]);
    expect(stderr).toContain('recall.recall.private_key');
    expect(stderr).toContain('is ********; allowed: a private key: 64 hexadecimal digits');
    expect(stderr).not.toContain('open-sesame');
    expect(code).toBe(3);
    const mended = original.replace('"open-sesame"', `"${'ab'.repeat(32)}"`);
    const shown = await run(['config', 'show', '--origin', '-c', file(mended)]);
    expect(shown.stderr).toMatch(/\[recall\.sync_storage\] in .* is not used: Temporal keeps the position/);
    expect(shown.stdout).toMatch(/recall\.database\.url +postgres:\/\/\*{8}@db\/data +\/.*waybill\.toml/);
    expect(shown.stdout).toMatch(/recall\.recall\.network +localnet/);
    expect(shown.stdout + shown.stderr).not.toMatch(/open-sesame|abab/);
    expect(shown.code).toBe(0);
  });

  it('a file that is not there', async () => {
    const { code, stderr } = await run(['config', 'show', '--config', 'no-such.toml']);
    expect(stderr).toContain('no-such.toml does not exist');
    expect(code).toBe(3);
  });

  it('is shown without secrets by config show', async () => {
    const text = '[audio]\nremote_url = "http://me:open-sesame@a"\n[audio.serve]\ntoken = "open-sesame"';
    const { code, stdout, stderr } = await run(['config', 'show', '--origin', '--config', file(text)]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/audio\.remote_url +http:\/\/\*{8}@a +\/.*waybill\.toml/);
    expect(stdout).toMatch(/audio\.chunk_size +100 +default/);
    expect(stdout + stderr).not.toContain('open-sesame');
  });
});

describe('no Temporal ends with 4, and says how to have one', () => {
  it.each([
    ['sync', sync],
    ['status', ['status']],
    ['worker', ['worker', '--listen', '']],
  ])('%s', async (_, args) => {
    const address = `127.0.0.1:${await freePort()}`;
    const { code, stderr } = await run(args, { env: { TEMPORAL_ADDRESS: address } });
    expect(stderr).toContain(`cannot reach Temporal at ${address}`);
    expect(stderr).toContain('`waybill dev`');
    expect(stderr).toContain('TEMPORAL_ADDRESS');
    expect(code).toBe(4);
  });

  it('doctor finds it missing, and everything else all the same', async () => {
    const env = { TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}`, WAYBILL_AUDIO_REMOTE_URL: 'http://127.0.0.1:9' };
    const { code, stdout } = await run(['doctor', '-o', 'json'], { env });
    expect(code).toBe(1);
    const { findings } = JSON.parse(stdout) as { findings: { check: string; ok: boolean; fix: string }[] };
    expect(findings.map(({ check, ok }) => [check, ok])).toEqual([
      ['Node', true],
      ['configuration', true],
      ['Temporal', false],
      ['sender', false],
    ]);
    for (const { ok, fix } of findings) expect(fix === '').toBe(ok);
  });
});
