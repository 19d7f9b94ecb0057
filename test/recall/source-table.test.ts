/** Tables as they really occur, and what is said of those that cannot be read. */
import type { PoolClient } from 'pg';
import { createPostgresSource, type SourceSettings } from '../../activities/recall/postgres-source';
import type { ObjectSource } from '../../activities/recall/source';
import { readShape } from '../../activities/recall/table-shape';
import { competitions, createObjectIndex, type DataColumn, type ObjectIndex } from '../support/object-index';
import { digestOf, everyRow, idsOf, noSignal, readAll, sweepAll } from '../support/source-case';

let index: ObjectIndex;
let sources: ObjectSource[] = [];
const open = async (column: DataColumn, ownDatabase: string | null = ''): Promise<void> => {
  index = await createObjectIndex(column, { ownDatabase });
};
const sourceOf = (settings: Partial<SourceSettings['database']> = {}, s3 = index.settings.s3): ObjectSource => {
  const source = createPostgresSource({ database: { ...index.settings.database, ...settings }, s3 });
  sources.push(source);
  return source;
};
afterEach(async () => {
  for (const source of sources.splice(0)) await source.close();
  await index.drop();
});
const run = async (sql: string): Promise<void> => {
  await index.client.query(sql.replaceAll('$table', index.table).replaceAll('$schema', index.schema));
};

describe.each<[string, DataColumn, string]>([
  ['a type as text', 'BYTEA', 'ALTER TABLE $table ALTER data_type TYPE text'],
  [
    'times without zone',
    'BYTEA',
    `ALTER TABLE $table ALTER created_at TYPE timestamp USING created_at AT TIME ZONE 'UTC'`,
  ],
  ['milliseconds only', 'TEXT', 'ALTER TABLE $table ALTER created_at TYPE timestamptz(3)'],
  [
    'ids as text',
    'TEXT',
    'ALTER TABLE $table ALTER id TYPE text, ALTER competition_id TYPE text, ALTER agent_id TYPE varchar(40)',
  ],
  [
    'competitions in capitals',
    'BYTEA',
    'ALTER TABLE $table ALTER competition_id TYPE text USING upper(competition_id::text)',
  ],
  ['no sizes', 's3', 'ALTER TABLE $table DROP size_bytes'],
  ['no size of some', 's3', 'UPDATE $table SET size_bytes = NULL'],
  ['a view', 'BYTEA', 'ALTER TABLE $table RENAME TO stored; CREATE VIEW $table AS SELECT * FROM $schema.stored'],
  [
    'partitions',
    'TEXT',
    `ALTER TABLE $table RENAME TO stored;
     CREATE TABLE $table (LIKE $schema.stored) PARTITION BY RANGE (created_at);
     CREATE TABLE $schema.old PARTITION OF $table FOR VALUES FROM (MINVALUE) TO ('2026-01-31 12:00:10+00');
     CREATE TABLE $schema.new PARTITION OF $table FOR VALUES FROM ('2026-01-31 12:00:10+00') TO (MAXVALUE);
     INSERT INTO $table SELECT * FROM $schema.stored`,
  ],
  [
    'a server that writes times in its own way',
    'BYTEA',
    `ALTER DATABASE $schema SET timezone = 'America/New_York'; ALTER DATABASE $schema SET datestyle = 'SQL, DMY'`,
  ],
])('a table with %s', (_, column, sql) => {
  beforeEach(() => open(column));

  it('is read whole, in order, filtered and swept', async () => {
    const made = await index.add(
      Array.from({ length: 30 }, (__, row) => 60 + row),
      { createdAt: (row) => `2026-01-31 12:00:${String(Math.floor(row / 2)).padStart(2, '0')}.25+00` },
    );
    await run(sql);
    const source = sourceOf();
    await source.check(noSignal);
    const rows = await readAll(source, 7);
    expect(idsOf(rows)).toEqual(idsOf(made));
    expect(rows[0]?.createdAt).toMatch(/^2026-01-31 12:00:00\.25(\+00)?$/);
    const positions = rows.map(({ createdAt, id }) => `${createdAt} ${id}`);
    expect(positions).toEqual([...positions].sort());
    const later = { ...everyRow, since: '2026-01-31T14:00:10+02:00', competitions: competitions.slice(0, 1) };
    const chosen = idsOf(made.slice(20));
    expect(idsOf(await readAll(source, 4, { filter: later }))).toEqual(chosen);
    expect(idsOf(await sweepAll(source, 4, { filter: later }))).toEqual(chosen);
    expect(idsOf(await sweepAll(source, 4, { since: '0', upTo: rows[9] ?? null }))).toEqual(idsOf(rows.slice(0, 10)));
    const { before } = await source.watermark(0, noSignal);
    expect(idsOf(await readAll(source, 9, { before }))).toEqual(idsOf(made));
    for (const { id, sha256 } of made.slice(0, 2)) {
      const [row] = await source.rows([id], false, noSignal);
      if (row === undefined) throw new Error(`no row ${id}`);
      expect(await digestOf((await source.open(row, noSignal)).stream)).toMatchObject({ sha256 });
    }
  });
});

it('rows are ordered by their time, not by how it is written', async () => {
  await open('BYTEA');
  const times = ['0300-01-01 00:00:00+00 BC', '0200-01-01 00:00:00+00 BC', '0100-01-01 00:00:00+00'];
  const made = await index.add([60, 60, 60], { createdAt: (row) => times[row] ?? '' });
  expect((await readAll(sourceOf(), 1)).map(({ id }) => id)).toEqual(made.map(({ id }) => id));
});

it.each(['LATIN1', 'SQL_ASCII'])('text of a database in %s comes as UTF-8', async (encoding) => {
  await open('TEXT', `TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`);
  const [made] = await index.add([200]);
  const [row] = await sourceOf().rows([made?.id ?? ''], true, noSignal);
  expect(row).toMatchObject({ size: made?.size, sha256: made?.sha256 });
  if (row === undefined) throw new Error('no row');
  expect(await digestOf((await sourceOf().open(row, noSignal)).stream)).toEqual({
    size: made?.size,
    sha256: made?.sha256,
  });
});

it('data that is NULL is an object without bytes', async () => {
  await open('TEXT');
  const [made] = await index.add([60]);
  await run('ALTER TABLE $table ALTER data DROP NOT NULL; UPDATE $table SET data = NULL');
  const [row] = await sourceOf().rows([made?.id ?? ''], false, noSignal);
  expect(row?.size).toBe(0);
});

it('a table is found on the search path', async () => {
  await open('BYTEA');
  const [made] = await index.add([60]);
  const { url } = index.settings.database;
  const source = sourceOf({ url: `${url}?options=-csearch_path%3D${index.schema}`, table: 'object_index' });
  await source.check(noSignal);
  expect(idsOf(await readAll(source, 5))).toEqual([made?.id]);
  expect(source.identity).toBe(`${new URL(url).host}/${index.schema}.object_index`);
});

describe('is refused, with what would mend it:', () => {
  const refusal = (source = sourceOf()): Promise<unknown> => source.check(noSignal).catch((error: unknown) => error);
  const refused = (words: RegExp): unknown =>
    expect.objectContaining({ type: 'SourceRefused', nonRetryable: true, message: expect.stringMatching(words) });

  it.each<[string, string, RegExp]>([
    ['without id', 'ALTER TABLE $table DROP id', /object_index has no column id$/],
    ['without several', 'ALTER TABLE $table DROP agent_id, DROP created_at', /has no column agent_id, created_at$/],
    [
      'without data',
      'ALTER TABLE $table DROP data',
      /has no column data: without \[recall\.s3\] objects are in `data`; configure/,
    ],
    [
      'with ids of another kind',
      'ALTER TABLE $table ALTER agent_id TYPE integer USING 1',
      /agent_id is integer, not uuid or text/,
    ],
    [
      'with times of another kind',
      'ALTER TABLE $table ALTER created_at DROP DEFAULT, ALTER created_at TYPE date',
      /created_at is date, not timestamptz/,
    ],
    [
      'with data of another kind',
      'ALTER TABLE $table ALTER data TYPE integer USING 1',
      /data is integer, not bytea, text or json/,
    ],
    [
      'without the table',
      'DROP TABLE $table',
      /has no table recall_\w+\.object_index on the search path .*: correct recall\.database\.table/,
    ],
  ])('a database %s', async (_, sql, words) => {
    await open('BYTEA');
    await run(sql);
    expect(await refusal()).toEqual(refused(words));
  });

  it('a table with data, where the configuration says S3', async () => {
    await open('BYTEA');
    const s3 = { bucket: 'none', region: 'us-east-1' };
    expect(await refusal(sourceOf({}, s3))).toEqual(
      refused(/no column object_key: with \[recall\.s3\] .* take it out/),
    );
  });

  it('rows that no order can reach, and only once there are some', async () => {
    await open('BYTEA');
    await run('ALTER TABLE $table ALTER created_at DROP NOT NULL');
    await index.add([60]);
    expect(await refusal()).toBeUndefined();
    await run('UPDATE $table SET created_at = NULL');
    expect(await refusal()).toEqual(refused(/has rows without created_at/));
  });

  it('what is altered while the worker lives', async () => {
    await open('BYTEA');
    const source = sourceOf();
    expect(await refusal(source)).toBeUndefined();
    await run('ALTER TABLE $table DROP data');
    expect(await refusal(source)).toEqual(refused(/no column data/));
  });

  it('a server that is too old', async () => {
    await open('BYTEA');
    const server = { version: 130_022, release: '13.22', database: 'd', path: '', role: 'r', encoding: 'UTF8' };
    const old = { query: async () => ({ rows: [server] }) } as unknown as PoolClient;
    await expect(readShape(old, 'object_index', 'row')).rejects.toEqual(refused(/PostgreSQL 13\.22 at d: 14 or later/));
  });

  it('a role that may not read it; once it may, it sees its own sessions only, and says so', async () => {
    await open('BYTEA');
    const role = `${index.schema}_reader`;
    await run(`CREATE ROLE ${role} LOGIN PASSWORD 'sesame'`);
    const url = new URL(index.settings.database.url);
    url.username = role;
    url.password = 'sesame';
    const source = sourceOf({ url: url.href });
    expect(await refusal(source)).toEqual(
      refused(/permission denied for schema .*: GRANT the role USAGE on the table’s schema/),
    );
    await run(`GRANT USAGE ON SCHEMA $schema TO ${role}`);
    expect(await refusal(source)).toEqual(refused(new RegExp(`GRANT SELECT ON ${index.table} TO ${role}$`)));
    await run(`GRANT SELECT ON $table TO ${role}`);
    expect(await refusal(source)).toBeUndefined();
    expect((await source.watermark(0, noSignal)).exact).toBe(false);
    await run(`GRANT pg_read_all_stats TO ${role}`);
    expect((await source.watermark(0, noSignal)).exact).toBe(true);
    await source.close();
    sources = [];
    await run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
});
