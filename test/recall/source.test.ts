/** What every source promises of its rows: one suite, for the fake and for PostgreSQL with its bytes in the row, as text, and in S3. */
import type { ObjectRow, RowFilter } from '../../activities/recall/source';
import { agents, competitions, type MadeObject } from '../support/object-index';
import {
  everyRow,
  farAhead,
  idsOf,
  noSignal,
  openSourceCase,
  readAll,
  sourceKinds,
  sweepAll,
  type OpenTransaction,
  type SourceCase,
} from '../support/source-case';
import { eventually } from '../support/temporal';

const sizes = (count: number): number[] => Array.from({ length: count }, () => 60);
const rowsAlone = { rowsAlone: true };

describe.each(sourceKinds)('%s', (kind) => {
  let given: SourceCase;
  beforeEach(async () => {
    given = await openSourceCase(kind);
    await given.source.check(noSignal);
  });
  afterEach(() => given.end());

  const rowOf = async (id = ''): Promise<ObjectRow> => {
    const [row] = await given.source.rows([id], false, noSignal);
    if (row === undefined) throw new Error(`no row ${id}`);
    return row;
  };

  it('5,300 rows, most of them sharing their moment with others, come once each and in order', async () => {
    const made = await given.add(sizes(5300), {
      ...rowsAlone,
      // Groups of 1 to 90 rows; fractions that end in zeros, which PostgreSQL does not write.
      createdAt: (index) => `2026-01-31 12:00:${String(Math.floor(Math.sqrt(index) / 2)).padStart(2, '0')}.5+00`,
    });
    const rows = await readAll(given.source, 500);
    expect(idsOf(rows)).toEqual(idsOf(made));
    const positions = rows.map(({ createdAt, id }) => `${createdAt} ${id}`);
    expect(positions).toEqual([...positions].sort());
    expect(idsOf(await sweepAll(given.source, 500))).toEqual(idsOf(made));
  });

  it('rows of one moment come once each, whatever the page’s size', async () => {
    const made = await given.add(sizes(23), { ...rowsAlone, createdAt: () => '2026-01-31 12:00:00.123456+00' });
    for (const limit of [1, 7, 22, 23, 24]) expect(idsOf(await readAll(given.source, limit))).toEqual(idsOf(made));
  });

  it('rows of one millisecond are told apart by their microseconds, of which none is lost', async () => {
    const times = ['', '.000001', '.00001', '.0001', '.00012', '.000123', '.000999'].map(
      (fraction) => `2026-01-31 12:00:00${fraction}+00`,
    );
    await given.add(sizes(70), { ...rowsAlone, createdAt: (index) => times[(index * 3) % 7] ?? '' });
    const rows = await readAll(given.source, 3);
    expect(rows).toHaveLength(70);
    expect([...new Set(rows.map(({ createdAt }) => createdAt))]).toEqual(times);
  });

  it('a page ends before its bound, and begins after its position', async () => {
    const made = await given.add(sizes(5), { ...rowsAlone, createdAt: (index) => `2026-01-31 12:00:0${index}+00` });
    expect(idsOf(await readAll(given.source, 2, { before: '2026-01-31 12:00:03+00' }))).toEqual(
      idsOf(made.slice(0, 3)),
    );
  });

  it('says of a row where it goes, how large it is, and whether its key may have been another', async () => {
    const [competition = '', agent = ''] = [competitions[0], agents[0]];
    const [whole] = await given.add([100], { agent });
    const [nobody] = await given.add([100], { agent: null, dataType: 'agent_score' });
    const [bare] = await given.add([100], { agent: null, competition: null });
    expect(await rowOf(whole?.id)).toMatchObject({
      folder: `${competition}/${agent}/trade/`,
      keyMayHaveChanged: false,
      size: 100,
      objectKey: given.hasS3 ? `objects/${whole?.id}` : null,
      sha256: null,
    });
    expect(await rowOf(nobody?.id)).toMatchObject({ folder: `${competition}/agent_score/`, keyMayHaveChanged: true });
    expect(await rowOf(bare?.id)).toMatchObject({ folder: 'trade/', keyMayHaveChanged: true });
  });

  it('sha256 is told where it is asked for, and the bytes are in the row', async () => {
    const [made] = await given.add([1000]);
    const wanted = given.hasS3 ? null : made?.sha256;
    const [row] = await given.source.rows([made?.id ?? ''], true, noSignal);
    const [paged] = await given.source.page(
      everyRow,
      { after: null, before: farAhead, limit: 9, digest: true },
      noSignal,
    );
    expect([row?.sha256, paged?.sha256]).toEqual([wanted, wanted]);
  });

  it.each<[string, Partial<RowFilter>, number[]]>([
    ['since, inclusive', { since: '2026-01-31T13:00:02+01:00' }, [2, 3, 4, 5]],
    ['until, exclusive', { until: '2026-01-31T12:00:02Z' }, [0, 1]],
    ['competitions, in any case', { competitions: [competitions[1]?.toUpperCase() ?? ''] }, [3, 4, 5]],
    ['agents', { agents: [agents[1] ?? '', agents[4] ?? ''] }, [1, 4]],
    ['types', { dataTypes: ['agent_score', 'no_such_type'] }, [1, 3, 5]],
    [
      'all of them',
      { since: '2026-01-31T12:00:01Z', dataTypes: ['trade'], competitions: [competitions[0] ?? ''] },
      [2],
    ],
  ])('rows are chosen by %s', async (_, filter, wanted) => {
    const made: MadeObject[] = [];
    for (const index of [0, 1, 2, 3, 4, 5])
      made.push(
        ...(await given.add(sizes(1), {
          ...rowsAlone,
          createdAt: () => `2026-01-31 12:00:0${index}+00`,
          competition: competitions[index < 3 ? 0 : 1] ?? null,
          agent: agents[index] ?? null,
          dataType: index % 2 === 0 ? 'trade' : 'agent_score',
        })),
      );
    const chosen = idsOf(wanted.flatMap((index) => made[index] ?? []));
    expect(idsOf(await readAll(given.source, 2, { filter: { ...everyRow, ...filter } }))).toEqual(chosen);
    expect(idsOf(await sweepAll(given.source, 2, { filter: { ...everyRow, ...filter } }))).toEqual(chosen);
  });

  it.each([2, 3, 7])('%d shares have every row once between them', async (of) => {
    const made = await given.add(sizes(200), rowsAlone);
    const shares: ObjectRow[][] = [];
    for (let share = 1; share <= of; share += 1)
      shares.push(await readAll(given.source, 50, { filter: { ...everyRow, share, of } }));
    expect(idsOf(shares.flat())).toEqual(idsOf(made));
    expect(Math.min(...shares.map(({ length }) => length))).toBeGreaterThan(200 / of / 3);
  });

  describe('while others write', () => {
    const settled = (): Promise<{ before: string; horizon: string }> => given.source.watermark(0, noSignal);

    it('nothing is read beyond the start of a transaction that is open; once it has ended, all is', async () => {
      const earlier = await given.add(sizes(4), rowsAlone);
      const late = await given.begin();
      const lateRows = await late.add(sizes(3), rowsAlone);
      const meanwhile = await given.add(sizes(5), rowsAlone);
      expect(idsOf(await readAll(given.source, 2, await settled()))).toEqual(idsOf(earlier));
      await late.commit();
      expect(idsOf(await readAll(given.source, 2, await settled()))).toEqual(
        idsOf([...earlier, ...lateRows, ...meanwhile]),
      );
    });

    it('a transaction that has begun and not yet written holds the reading up as well', async () => {
      const late = await given.begin();
      await given.add(sizes(5), rowsAlone);
      expect(await readAll(given.source, 2, await settled())).toEqual([]);
      await late.add(sizes(1), rowsAlone);
      await late.commit();
      expect(await readAll(given.source, 2, await settled())).toHaveLength(6);
    });

    it('a transaction that is rolled back leaves nothing, and holds nobody up', async () => {
      const late = await given.begin();
      await late.add(sizes(3), rowsAlone);
      const meanwhile = await given.add(sizes(2), rowsAlone);
      await late.rollback();
      expect(idsOf(await readAll(given.source, 2, await settled()))).toEqual(idsOf(meanwhile));
    });

    it('rows younger than the settling time wait', async () => {
      await given.add(sizes(2), rowsAlone);
      expect(await readAll(given.source, 9, await given.source.watermark(3600, noSignal))).toEqual([]);
    });

    it('a sweep finds what came behind the reader since: dated back, committed late, changed; and not what is older', async () => {
      const old = await given.add(sizes(10), rowsAlone);
      // Other tests' transactions hold the horizon back as ours do: until they have ended, a sweep sees more than it must.
      await eventually('the horizon to pass', async () =>
        (await sweepAll(given.source, 50, { since: (await settled()).horizon })).length === 0 ? true : null,
      );
      const late = await given.begin();
      const lateRows = await late.add(sizes(2), { ...rowsAlone, createdAt: () => '2020-01-01 00:00:01+00' });
      const { horizon } = await settled();
      const rows = await readAll(given.source, 50);
      const last = rows.at(-1) ?? null;
      await late.commit();
      const dated = await given.add(sizes(3), { ...rowsAlone, createdAt: () => '2020-01-01 00:00:00+00' });
      const changed = old.slice(0, 2);
      await given.clearAgent(changed.map(({ id }) => id));
      await given.add(sizes(4), { ...rowsAlone, createdAt: () => '2099-01-01 00:00:00+00' });
      const swept = await sweepAll(given.source, 2, { since: horizon, upTo: last });
      expect(idsOf(swept)).toEqual(idsOf([...lateRows, ...dated, ...changed]));
    });

    it('a sweep finds what the oldest open transaction wrote, however many have begun since', async () => {
      const late = await given.begin();
      const lateRows = await late.add(sizes(1), rowsAlone);
      const { horizon } = await settled();
      const others: OpenTransaction[] = [];
      for (let count = 0; count < 4; count += 1) {
        const other = await given.begin();
        await other.add(sizes(1), rowsAlone);
        others.push(other);
      }
      await late.commit();
      expect(idsOf(await sweepAll(given.source, 9, { since: horizon }))).toEqual(idsOf(lateRows));
      for (const other of others) await other.rollback();
    });
  });

  it('rows asked for by id come in that order; those that are gone do not', async () => {
    const made = await given.add(sizes(6), rowsAlone);
    await given.remove([made[2]?.id ?? '']);
    const ids = made.map(({ id }) => id).reverse();
    const rows = await given.source.rows(ids, false, noSignal);
    expect(rows.map(({ id }) => id)).toEqual(ids.filter((id) => id !== made[2]?.id));
    expect(await given.source.rows([], false, noSignal)).toEqual([]);
  });

  it('tells what is waiting: rows, bytes, the oldest', async () => {
    await given.add([100, 200, 300], { ...rowsAlone, createdAt: (index) => `2026-01-31 12:00:0${index}+00` });
    const [first] = await readAll(given.source, 9);
    expect(await given.source.backlog(everyRow, null, noSignal)).toEqual({
      rows: 3,
      bytes: 600,
      oldestCreatedAt: '2026-01-31 12:00:00+00',
    });
    expect(await given.source.backlog(everyRow, first ?? null, noSignal)).toEqual({
      rows: 2,
      bytes: 500,
      oldestCreatedAt: '2026-01-31 12:00:01+00',
    });
    const none = { ...everyRow, agents: ['00000000-0000-4000-8000-000000000000'] };
    expect(await given.source.backlog(none, null, noSignal)).toEqual({ rows: 0, bytes: 0, oldestCreatedAt: null });
  });

  it('a signal that is given up ends every call at once', async () => {
    const [made] = await given.add([50]);
    const row = await rowOf(made?.id);
    const { source } = given;
    const gone = AbortSignal.abort(new Error('given up'));
    const range = { limit: 1, digest: false };
    for (const call of [
      () => source.check(gone),
      () => source.watermark(0, gone),
      () => source.page(everyRow, { ...range, after: null, before: farAhead }, gone),
      () => source.sweep(everyRow, { ...range, afterId: '', since: null, upTo: null }, gone),
      () => source.rows([row.id], false, gone),
      () => source.open(row, gone),
      () => source.openSmall([row], gone),
      () => source.backlog(everyRow, null, gone),
    ])
      await expect(call()).rejects.toThrow('given up');
  });
});
