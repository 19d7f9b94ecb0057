/** What every source promises of its bytes; and what becomes of a reading when the database goes away in the middle of it. */
import type { ObjectRow } from '../../activities/recall/source';
import { createPostgresSource } from '../../activities/recall/postgres-source';
import { RecordRefused, reasonOf } from '../../activities/shared/failures';
import { createObjectIndex, type ObjectIndex } from '../support/object-index';
import { digestOf, idsOf, noSignal, openSourceCase, sourceKinds, type SourceCase } from '../support/source-case';

const mebibyte = 1024 * 1024;

describe.each(sourceKinds)('%s', (kind) => {
  let given: SourceCase;
  beforeEach(async () => {
    given = await openSourceCase(kind);
  });
  afterEach(() => given.end());

  const rowsOf = async (made: readonly { id: string }[]): Promise<ObjectRow[]> =>
    given.source.rows(
      made.map(({ id }) => id),
      false,
      noSignal,
    );

  it('bytes of any size come whole', async () => {
    const made = await given.add([45, 1000, mebibyte, mebibyte + 1, 4 * mebibyte, 8 * mebibyte + 1, 9 * mebibyte + 7]);
    for (const [index, row] of (await rowsOf(made)).entries()) {
      const { size, sha256 } = made[index] ?? {};
      const bytes = await given.source.open(row, noSignal);
      expect(bytes.size).toBe(size);
      expect(await digestOf(bytes.stream)).toEqual({ size, sha256 });
      expect(bytes.contentType).toBe(['TEXT', 's3'].includes(kind) ? 'application/json' : 'application/octet-stream');
      expect(bytes.etag === null).toBe(!given.hasS3);
      expect(await given.source.head(row, noSignal)).toEqual(given.hasS3 ? { size, etag: bytes.etag } : null);
    }
  });

  it('many small ones come together; those that are gone are left out', async () => {
    const made = await given.add(Array.from({ length: 40 }, (_, index) => 60 + index * 37));
    const rows = await rowsOf(made);
    const gone = made.slice(5, 7);
    await given.remove(idsOf(gone));
    await given.removeObjects(idsOf(gone));
    const found = await given.source.openSmall(rows, noSignal);
    expect(idsOf([...found.keys()].map((id) => ({ id })))).toEqual(idsOf(made.filter((each) => !gone.includes(each))));
    for (const { id, size, sha256 } of made) {
      const bytes = found.get(id);
      if (bytes !== undefined) expect(await digestOf(bytes.stream)).toEqual({ size, sha256 });
    }
  });

  it('what is gone is refused when its bytes are asked for', async () => {
    const made = await given.add([60, 2 * mebibyte]);
    const rows = await rowsOf(made);
    await given.remove(idsOf(made));
    await given.removeObjects(idsOf(made));
    expect(rows).toHaveLength(2);
    for (const row of rows) {
      const reading = given.source.open(row, noSignal).then(({ stream }) => digestOf(stream));
      await expect(reading).rejects.toThrow(RecordRefused);
      await expect(reading).rejects.toThrow(/is gone|there is no such object/);
    }
  });
});

it.each(['the fake', 'BYTEA', 's3'] as const)('%s: an empty object has no bytes', async (kind) => {
  const given = await openSourceCase(kind);
  const [made] = await given.add([0]);
  const [row] = await given.source.rows([made?.id ?? ''], false, noSignal);
  if (row === undefined) throw new Error('the row is gone');
  expect(row.size).toBe(0);
  const bytes = await given.source.open(row, noSignal);
  expect(bytes.size).toBe(0);
  expect((await digestOf(bytes.stream)).size).toBe(0);
  await given.end();
});

describe.each(['BYTEA', 'TEXT'] as const)('a row of %s', (column) => {
  let index: ObjectIndex;
  let source: ReturnType<typeof createPostgresSource>;
  beforeEach(async () => {
    index = await createObjectIndex(column, { ownDatabase: '' });
    source = createPostgresSource(index.settings);
  });
  afterEach(async () => {
    await source.close();
    await index.drop();
  });
  const rowOf = async (id: string): Promise<ObjectRow> => {
    const [row] = await source.rows([id], false, noSignal);
    if (row === undefined) throw new Error('the row is gone');
    return row;
  };
  const large = async (): Promise<ObjectRow> => rowOf((await index.add([12 * mebibyte]))[0]?.id ?? '');

  it('of many megabytes is never held whole', async () => {
    const [made] = await index.add([96 * mebibyte]);
    const { stream } = await source.open(await rowOf(made?.id ?? ''), noSignal);
    let heldMax = 0;
    const watched = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of stream) {
        heldMax = Math.max(heldMax, chunk.length);
        yield chunk;
      }
    };
    expect(await digestOf(watched())).toEqual({ size: made?.size, sha256: made?.sha256 });
    expect(heldMax).toBe(4 * mebibyte);
  });

  it('that changes while it is read is refused, even if its size stays', async () => {
    const row = await large();
    const { stream } = await source.open(row, noSignal);
    const reading = stream[Symbol.asyncIterator]();
    await reading.next();
    await index.client.query(`UPDATE ${index.table} SET data = overlay(data PLACING 'zz' FROM 11000000)`);
    await expect(reading.next()).rejects.toThrow(/changed while it was read/);
    await expect(source.open(row, noSignal).then((bytes) => digestOf(bytes.stream))).resolves.toMatchObject({
      size: row.size,
    });
  });

  it('that changes while it is read through a view is refused too', async () => {
    const row = await large();
    await index.client.query(`CREATE VIEW ${index.schema}.shown AS SELECT * FROM ${index.table}`);
    const { database } = index.settings;
    const view = createPostgresSource({ database: { ...database, table: `${index.schema}.shown` }, s3: null });
    const reading = (await view.open(row, noSignal)).stream[Symbol.asyncIterator]();
    await reading.next();
    await index.client.query(`UPDATE ${index.table} SET data = overlay(data PLACING 'zz' FROM 11000000)`);
    await expect(reading.next()).rejects.toThrow(/changed while it was read/);
    await view.close();
  });

  it('that has grown far beyond what was said is refused, not held', async () => {
    const [made] = await index.add([60]);
    const row = await rowOf(made?.id ?? '');
    await index.client.query(
      `UPDATE ${index.table} SET data = (SELECT ${column === 'TEXT' ? `repeat('x', 9000000)` : `convert_to(repeat('x', 9000000), 'UTF8')`})`,
    );
    const { stream } = await source.open(row, noSignal);
    await expect(digestOf(stream)).rejects.toThrow(/has grown to 9000000 bytes/);
  });

  it('is the world’s trouble when the database ends the session in the middle of it; the next reading is whole', async () => {
    const row = await large();
    const { stream } = await source.open(row, noSignal);
    const reading = stream[Symbol.asyncIterator]();
    await reading.next();
    const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waybill recall' AND query LIKE '%${index.schema}%'`;
    await index.client.query(kill);
    // The pool may have noticed already, and have a new connection for the next slice.
    const rest = await (async () => {
      for (;;) if ((await reading.next()).done === true) return null;
    })().catch((error: unknown) => error);
    if (rest !== null) expect(rest).not.toBeInstanceOf(RecordRefused);
    expect(reasonOf(rest)).not.toContain('password');
    await expect(source.open(row, noSignal).then((bytes) => digestOf(bytes.stream))).resolves.toMatchObject({
      size: row.size,
    });
  });

  it('whose reading is given up half-way keeps no connection', async () => {
    const row = await large();
    for (let round = 0; round < 10; round += 1) {
      const stop = new AbortController();
      const reading = (await source.open(row, stop.signal)).stream[Symbol.asyncIterator]();
      await reading.next();
      const next = reading.next();
      stop.abort(new Error('given up'));
      await expect(next).rejects.toThrow('given up');
    }
    await expect(rowOf(row.id)).resolves.toMatchObject({ id: row.id });
  });
});
