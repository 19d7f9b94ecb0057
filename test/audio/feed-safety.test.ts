/** What the feed may never do: change a file, show a recipient or a token, hold on to a reader that has left. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { get as httpGet } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { appendSegments, openForRecording } from '../../activities/audio/recording';
import { startAudioFeed } from '../../servers/audio-feed';
import type { AudioFeed, AudioFeedSettings } from '../../servers/audio-feed';
import { ask, decodeAudio } from '../support/feed';
import { makeRecording } from '../support/recordings';

let root: string;
let dir: string;
let logged: Record<string, unknown>[];
const feeds: AudioFeed[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'feed-'));
  chmodSync(root, 0o755);
  dir = join(root, 'shows');
  mkdirSync(dir);
  logged = [];
});

afterEach(async () => {
  await Promise.all(feeds.splice(0).map((feed) => feed.close()));
  rmSync(root, { recursive: true, force: true });
});

async function serve(settings: Partial<AudioFeedSettings> = {}): Promise<string> {
  const write = (fields: object, message: string) => void logged.push({ message, ...fields });
  const log = { info: write, warn: write };
  const feed = await startAudioFeed({ dir, host: '127.0.0.1', port: 0, encoding: 'base64', log, ...settings });
  feeds.push(feed);
  return feed.url;
}

const showFile = (name: string) => join(dir, `${name}.sqlite`);
const segmentsOf = (name: string) => `/api/sync/shows/${name}/segments?start_id=1&end_id=1000&limit=1000`;
const metadataOf = (name: string) => `/api/sync/shows/${name}/metadata`;

/** Names and contents of everything in the folder. */
function folderState(): [string, string][] {
  return readdirSync(dir).map((file) => {
    return [
      file,
      createHash('sha256')
        .update(readFileSync(join(dir, file)))
        .digest('hex'),
    ];
  });
}

describe('the folder', () => {
  it('is the same before and after every kind of request', async () => {
    makeRecording(showFile('show'), { name: 'show', segments: 30 });
    makeRecording(showFile('recipient'), { name: 'recipient', segments: 3 });
    alter('recipient', "UPDATE metadata SET value = 'true' WHERE key = 'is_recipient'");
    const before = folderState();
    const url = await serve();
    for (const target of [
      '/api/sync/shows',
      ...['show', 'recipient'].flatMap((name) => [metadataOf(name), segmentsOf(name)]),
    ]) {
      await ask(url, 'GET', target);
      await ask(url, 'HEAD', target);
    }
    expect(folderState()).toEqual(before);
  });

  it('may be one that cannot be written', async () => {
    makeRecording(showFile('show'), { name: 'show', segments: 3 });
    alter('show', 'PRAGMA journal_mode = DELETE');
    await whileReadOnly(async () => {
      const url = await serve();
      expect((await ask(url, 'GET', '/api/sync/shows')).text).toContain('"name":"show"');
      expect(decodeAudio((await ask(url, 'GET', segmentsOf('show'))).text)).toHaveLength(3);
    });
  });

  it('that cannot be written says what to do about a file in WAL mode', async () => {
    makeRecording(showFile('show'), { name: 'show', segments: 3 });
    await whileReadOnly(async () => {
      const { status, text } = await ask(await serve(), 'GET', metadataOf('show'));
      expect(status).toBe(500);
      expect(text).toContain('its folder cannot be written');
      expect(text).toContain('PRAGMA journal_mode=DELETE');
    });
  });

  it('may be recorded to meanwhile: each answer is what was committed when it began', async () => {
    makeRecording(showFile('show'), { name: 'show', segments: 2, bytesPerSegment: 100 });
    const url = await serve();
    const recorder = openForRecording(showFile('show'));
    appendSegments(recorder, [{ timestamp_ms: 1, is_timestamp_from_source: 0, audio_data: Buffer.from('new') }]);
    expect((await ask(url, 'GET', metadataOf('show'))).text).toContain('"max_id":3}');
    recorder.exec('BEGIN IMMEDIATE; DELETE FROM segments');
    expect(decodeAudio((await ask(url, 'GET', segmentsOf('show'))).text)).toHaveLength(3);
    recorder.exec('COMMIT');
    expect((await ask(url, 'GET', segmentsOf('show'))).text).toBe('[]');
    recorder.close();
  });
});

describe('a show', () => {
  it('that is locked is a 500, and served once it is not', async () => {
    makeRecording(showFile('show'), { name: 'show', segments: 3 });
    alter('show', 'PRAGMA journal_mode = DELETE');
    const url = await serve();
    const other = new Database(showFile('show'));
    other.exec('BEGIN EXCLUSIVE');
    const { status, text } = await ask(url, 'GET', segmentsOf('show'));
    expect([status, text]).toEqual([500, '{"error":"Failed to open database: database is locked"}']);
    other.close();
    expect((await ask(url, 'GET', segmentsOf('show'))).status).toBe(200);
  });

  it('whose file was renamed is found by the name that the list gives it', async () => {
    makeRecording(showFile('old name'), { name: 'old name', segments: 3, uniqueId: 'db_renamed' });
    renameSync(showFile('old name'), showFile('new'));
    const url = await serve();
    expect((await ask(url, 'GET', '/api/sync/shows')).text).toContain('"name":"old name","database_file":"new.sqlite"');
    expect((await ask(url, 'GET', metadataOf('old%20name'))).text).toContain('db_renamed');
    makeRecording(showFile('old name'), { name: 'other', segments: 3, uniqueId: 'db_thefilewins' });
    expect((await ask(url, 'GET', metadataOf('old%20name'))).text).toContain('db_thefilewins');
  });

  it('that is only a link to a file elsewhere is not there', async () => {
    makeRecording(join(root, 'secret.sqlite'), { name: 'secret', segments: 3 });
    symlinkSync(join(root, 'secret.sqlite'), showFile('linked'));
    const url = await serve();
    expect((await ask(url, 'GET', '/api/sync/shows')).text).toBe('{"shows":[]}');
    expect((await ask(url, 'GET', metadataOf('linked'))).status).toBe(404);
    expect((await ask(url, 'GET', metadataOf('secret'))).status).toBe(404);
  });

  it.each(['..%2Fsecret', '..%2fsecret', '%2e%2e%2fsecret', '.hidden', '..', 'a%00b', '%2Fetc%2Fpasswd', '%FF', '%zz'])(
    'called %s is not there',
    async (name) => {
      makeRecording(join(root, 'secret.sqlite'), { name: 'secret', segments: 3 });
      expect((await ask(await serve(), 'GET', metadataOf(name))).status).toBe(404);
    },
  );
});

describe('a token', () => {
  const bearer = (token: string) => [`authorization: Bearer ${token}`];

  it('is asked of every request but the one for health', async () => {
    const url = await serve({ token: 'right' });
    for (const headers of [[], bearer('wrong'), bearer(''), ['authorization: Basic right']]) {
      const refused = await ask(url, 'GET', '/api/sync/shows', headers);
      expect(refused.status).toBe(401);
      expect(refused.head).toContain('www-authenticate: Bearer');
      expect(refused.text).toContain('{"error":');
    }
    expect((await ask(url, 'GET', '/nothing')).status).toBe(401);
    expect((await ask(url, 'GET', '/health')).status).toBe(200);
    expect((await ask(url, 'GET', '/api/sync/shows', bearer('right'))).status).toBe(200);
  });

  it('is never logged, right or wrong, in a header or in a query', async () => {
    const url = await serve({ token: 'right-secret' });
    await ask(url, 'GET', '/api/sync/shows?token=right-secret', bearer('right-secret'));
    await ask(url, 'GET', '/api/sync/shows', bearer('wrong-secret'));
    expect(logged).toHaveLength(2);
    expect(JSON.stringify(logged)).not.toContain('secret');
  });

  it('may not be empty', async () => {
    await expect(serve({ token: '' })).rejects.toThrow('the token is empty');
  });
});

it('speaks TLS when it is given a certificate', async () => {
  const [certFile, keyFile] = [join(root, 'cert.pem'), join(root, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  execFileSync('openssl', ['req', '-x509', ...key, '-out', certFile, ...subject], { stdio: 'ignore' });
  makeRecording(showFile('show'), { name: 'show', segments: 100 });
  const url = await serve({ tls: { certFile, keyFile } });
  expect(url).toMatch(/^https:/);
  const [response] = (await once(httpsGet(url + segmentsOf('show'), { ca: readFileSync(certFile) }), 'response')) as [
    IncomingMessage,
  ];
  const body: Buffer[] = [];
  for await (const chunk of response) body.push(chunk as Buffer);
  expect(decodeAudio(Buffer.concat(body).toString())).toHaveLength(100);
});

it('lets go of the file when its reader leaves in the middle', async () => {
  makeRecording(showFile('show'), { name: 'show', segments: 1000, bytesPerSegment: 50_000 });
  alter('show', 'PRAGMA journal_mode = DELETE'); // where a reader keeps every writer out
  const [response] = (await once(httpGet((await serve()) + segmentsOf('show')), 'response')) as [IncomingMessage];
  await once(response, 'readable');
  expect(lockable('show')).toBe(false);
  response.destroy();
  while (!lockable('show')) await new Promise(setImmediate);
  expect(logged).toMatchObject([{ message: 'request', path: '/api/sync/shows/show/segments', status: 200, cut: true }]);
});

it('cuts an answer that it cannot finish, so that nobody takes it for whole, and says why', async () => {
  makeRecording(showFile('show'), { name: 'show', segments: 200, bytesPerSegment: 50_000 });
  breakOverflowPage('show', 0.9);
  for (const encoding of ['base64', 'integers']) {
    const url = `${await serve()}${segmentsOf('show')}&encoding=${encoding}`;
    const [response] = (await once(httpGet(url), 'response')) as [IncomingMessage];
    response.resume();
    await expect(once(response, 'end')).rejects.toThrow('aborted');
    expect(response.statusCode).toBe(200);
    expect(response.complete).toBe(false);
  }
  expect(logged.filter(({ reason }) => reason === 'database disk image is malformed')).toHaveLength(2);
});

it('tells of every request: method, path, status, bytes and milliseconds', async () => {
  const url = await serve();
  await ask(url, 'GET', '/api/sync/shows?x=1');
  expect(logged).toEqual([
    {
      message: 'request',
      method: 'GET',
      path: '/api/sync/shows',
      status: 200,
      bytes: expect.any(Number) as number,
      ms: expect.any(Number) as number,
    },
  ]);
});

function lockable(name: string): boolean {
  const database = new Database(showFile(name), { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
    return true;
  } catch {
    return false;
  } finally {
    database.close();
  }
}

/** Makes a page in the middle of some segment's audio, so far into the file, lead nowhere. */
function breakOverflowPage(name: string, share: number): void {
  const database = new Database(showFile(name));
  const overflow = "SELECT pageno FROM dbstat WHERE name = 'segments' AND pagetype = 'overflow' ORDER BY pageno";
  const pages = database.prepare<[], number>(overflow).pluck().all();
  database.close();
  const bytes = readFileSync(showFile(name));
  const at = ((pages[Math.floor(pages.length * share)] as number) - 1) * 4096;
  bytes.fill(0xff, at, at + 4); // where an overflow page names the next one
  writeFileSync(showFile(name), bytes);
}

function alter(name: string, statement: string): void {
  const database = new Database(showFile(name));
  database.exec(statement);
  database.close();
}

/** As somebody who may not write the folder; root may write any, so root becomes nobody for a while. */
async function whileReadOnly(action: () => Promise<void>): Promise<void> {
  const nobody = 65534;
  const isRoot = process.geteuid?.() === 0;
  chmodSync(dir, 0o555);
  if (isRoot) process.seteuid?.(nobody);
  try {
    await action();
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(dir, 0o755);
  }
}
