/** What becomes of readers when connections break, block, or are refused. */
import type { Client } from 'pg';
import { createPostgresSource, type SourceSettings } from '../../activities/recall/postgres-source';
import type { ObjectSource } from '../../activities/recall/source';
import { isPermanent, reasonOf } from '../../activities/shared/failures';
import { startPasswordRefuser } from '../peers/password-refuser';
import { startLine } from '../support/line';
import { createObjectIndex, type ObjectIndex } from '../support/object-index';
import { everyRow, farAhead, noSignal, readAll } from '../support/source-case';
import { eventually } from '../support/temporal';

let index: ObjectIndex;
const sources: ObjectSource[] = [];
const sourceOf = (settings: Partial<SourceSettings['database']> = {}): ObjectSource => {
  const source = createPostgresSource({ database: { ...index.settings.database, ...settings }, s3: null });
  sources.push(source);
  return source;
};
beforeEach(async () => {
  index = await createObjectIndex('BYTEA', { ownDatabase: '' });
  await index.add([60, 60, 60]);
});
afterEach(async () => {
  for (const source of sources.splice(0)) await source.close();
  await index.drop();
});

const first = (source: ObjectSource, signal = noSignal): Promise<unknown> =>
  source.page(everyRow, { after: null, before: farAhead, limit: 9, digest: false }, signal);
const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => {
      throw new Error('it should have failed');
    },
    (error: unknown) => error,
  );
const ours = async (): Promise<number> => {
  const { rows } = await index.client.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'waybill recall' AND datname = current_database()`,
  );
  return rows[0]?.count ?? 0;
};
/** Holds the table, so that whoever reads it waits. */
async function locked(): Promise<Client> {
  const holder = await index.connect();
  await holder.query(`BEGIN; LOCK TABLE ${index.table} IN ACCESS EXCLUSIVE MODE`);
  return holder;
}

it('a query in flight ends with its signal, and no connection is lost by it', async () => {
  const source = sourceOf({ maxConnections: 2 });
  await source.check(noSignal);
  const holder = await locked();
  for (let round = 0; round < 6; round += 1) {
    const stop = new AbortController();
    const reading = first(source, stop.signal);
    setTimeout(() => stop.abort(new Error('given up')), 30);
    await expect(reading).rejects.toThrow('given up');
  }
  await holder.end();
  expect(await readAll(source, 2)).toHaveLength(3);
  await eventually('abandoned sessions to end', async () => (await ours()) <= 2);
});

it('who waits for a connection stops waiting with its signal; who still waits is served', async () => {
  const source = sourceOf({ maxConnections: 1 });
  await source.check(noSignal);
  const holder = await locked();
  const holding = first(source);
  const stop = new AbortController();
  const [given, waiting] = [first(source, stop.signal), first(source)];
  stop.abort(new Error('given up'));
  await expect(given).rejects.toThrow('given up');
  await holder.end();
  expect(await holding).toHaveLength(3);
  expect(await waiting).toHaveLength(3);
  expect(await readAll(source, 2)).toHaveLength(3);
});

it('idle connections that the server ends are replaced when they are needed', async () => {
  const source = sourceOf();
  await Promise.all([first(source), first(source), first(source)]);
  await index.client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waybill recall' AND datname = current_database()`,
  );
  await eventually('the sessions to end', async () => (await ours()) === 0);
  // Each ended connection is heard of at its own time: until then a query may be given one.
  await eventually('a reading', async () => first(source).catch(() => null));
  expect(await Promise.all([first(source), first(source), first(source)])).toHaveLength(3);
});

it('a session that is ended under a query is the world’s trouble', async () => {
  const source = sourceOf();
  await source.check(noSignal);
  const holder = await locked();
  const failing = failureOf(first(source));
  await eventually('the query to wait', async () => {
    const { rowCount } = await index.client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return rowCount === 1;
  });
  const failure = await failing;
  expect(isPermanent(failure)).toBe(false);
  expect(reasonOf(failure)).toContain(source.identity);
  await holder.end();
  expect(await readAll(source, 2)).toHaveLength(3);
});

it('a line that is cut, and a server that is away, are the world’s trouble; once it is back, so are we', async () => {
  const url = new URL(index.settings.database.url);
  const line = await startLine(url.hostname, Number(url.port));
  url.port = String(line.port);
  url.hostname = '127.0.0.1';
  const source = sourceOf({ url: url.href });
  await source.check(noSignal);
  const holder = await locked();
  const failing = failureOf(first(source));
  await eventually('the query to wait', async () => {
    const { rowCount } = await index.client.query(
      `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return rowCount === 1;
  });
  await line.down();
  expect(isPermanent(await failing)).toBe(false);
  const refused = await failureOf(first(source));
  expect(isPermanent(refused)).toBe(false);
  expect(reasonOf(refused)).toMatch(/^127\.0\.0\.1:\d+\/recall_\w+\.\w+\.object_index: .*(ECONNREFUSED|terminated)/);
  await holder.end();
  await line.up();
  expect(await readAll(source, 2)).toHaveLength(3);
  await line.down();
});

describe('what only a person can mend is said with its remedy, never with the password:', () => {
  const password = 'Op3n-s3same';
  const changed = (change: (url: URL) => void): string => {
    const url = new URL(index.settings.database.url);
    url.password = password;
    change(url);
    return url.href;
  };

  it.each<[string, (url: URL) => void, RegExp]>([
    [
      'a role that is not there',
      (url) => void (url.username = 'nobody_here'),
      /nobody_here.*: correct (user|the password)/,
    ],
    [
      'a database that is not there',
      (url) => void (url.pathname = '/no_such'),
      /"no_such" does not exist: correct the database/,
    ],
  ])('%s', async (_, change, words) => {
    const failure = await failureOf(sourceOf({ url: changed(change) }).check(noSignal));
    expect(failure).toMatchObject({ type: 'SourceRefused', nonRetryable: true, message: expect.stringMatching(words) });
    expect(JSON.stringify(failure) + reasonOf(failure)).not.toContain(password);
  });

  it('a password that is wrong, and one that is missing', async () => {
    const refuser = await startPasswordRefuser();
    const at = (url: URL): void => {
      url.hostname = '127.0.0.1';
      url.port = String(refuser.port);
    };
    const failure = await failureOf(sourceOf({ url: changed(at) }).check(noSignal));
    expect(failure).toMatchObject({
      type: 'SourceRefused',
      message: expect.stringMatching(/: correct the password in/),
    });
    expect(refuser.passwords).toEqual([password]);
    expect(reasonOf(failure)).not.toContain(password);
    await refuser.stop();
  });

  it.each(['postgresql://user:Op3n-s3same#1@[host/d', 'Op3n-s3same'])('an address that is none', (url) => {
    let failure: unknown = null;
    try {
      sourceOf({ url });
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({
      type: 'SourceRefused',
      message: expect.stringMatching(/recall\.database\.url is no address/),
    });
    expect(reasonOf(failure)).not.toContain(password);
  });
});
