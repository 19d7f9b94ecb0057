/**
 * A source in memory, with what makes a real one hard: transactions that commit late, rows dated back, rows that change.
 * Transactions have numbers, as PostgreSQL's have, and times are its texts.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { RowPosition } from '../../activities/recall/contract';
import type { ObjectBytes, ObjectRow, ObjectSource, RowFilter, Watermark } from '../../activities/recall/source';
import { RecordRefused } from '../../activities/shared/failures';

export interface FakeRow {
  id: string;
  createdAt: string;
  competition: string | null;
  agent: string | null;
  dataType: string;
  content: Buffer;
}

interface Stored extends FakeRow {
  /** The transaction that wrote this version. */
  xid: number;
}

export interface FakeTransaction {
  /** Microseconds since 1970: what now() is in it. */
  readonly startedAt: number;
  insert(row: Omit<FakeRow, 'id' | 'createdAt'> & { createdAt?: string }): string;
  commit(): void;
  rollback(): void;
}

export interface FakeSource extends ObjectSource {
  begin(): FakeTransaction;
  remove(id: string): void;
  /** A transaction of its own. */
  change(id: string, change: Partial<FakeRow>): void;
}

let tick = 0;
/** Now, in microseconds; never twice the same. */
const nowMicros = (): number => (tick = Math.max(tick + 1, Date.now() * 1000));

/** As PostgreSQL says a time in UTC: no zeros at the end. */
export function timeText(micros: number): string {
  const [date = '', rest = ''] = new Date(Math.floor(micros / 1000)).toISOString().split('T');
  const fraction = String(micros % 1_000_000)
    .padStart(6, '0')
    .replace(/0+$/, '');
  return `${date} ${rest.slice(0, 8)}${fraction === '' ? '' : `.${fraction}`}+00`;
}

/** Microseconds of PostgreSQL's text, or of RFC 3339. */
export function microsOf(text: string): number {
  const [, whole = '', fraction = '', zone = ''] = /^(.{19})(?:\.(\d{1,6}))?(.*)$/.exec(text) ?? [];
  const ms = Date.parse(`${whole.replace(' ', 'T')}${zone === '+00' ? 'Z' : zone}`);
  return ms * 1000 + Number(fraction.padEnd(6, '0'));
}

export function createFakeSource(): FakeSource {
  const rows = new Map<string, Stored>();
  const open = new Map<number, number>();
  let nextXid = 1000;

  const begin = (): FakeTransaction => {
    const xid = nextXid++;
    const startedAt = nowMicros();
    const written: Stored[] = [];
    open.set(xid, startedAt);
    return {
      startedAt,
      insert: ({ createdAt = timeText(startedAt), ...row }) => {
        const id = randomUUID();
        written.push({ ...row, id, createdAt, xid });
        return id;
      },
      commit: () => {
        open.delete(xid);
        for (const row of written) rows.set(row.id, row);
      },
      rollback: () => void open.delete(xid),
    };
  };
  const change = (id: string, changed: Partial<FakeRow>): void => {
    const row = rows.get(id);
    if (row !== undefined) rows.set(id, { ...row, ...changed, xid: nextXid++ });
  };
  const found = (filter: RowFilter, digest: boolean, where: (row: Stored) => boolean): ObjectRow[] =>
    [...rows.values()].filter((row) => passes(filter, row) && where(row)).map((row) => told(row, digest));
  const bytesOf = ({ id }: ObjectRow): ObjectBytes | null => {
    const content = rows.get(id)?.content;
    if (content === undefined) return null;
    const stream = (async function* () {
      if (content.length > 0) yield content;
    })();
    return { size: content.length, contentType: 'application/octet-stream', etag: null, stream };
  };

  return {
    identity: 'fake:0/memory.object_index',
    mode: 'row',
    begin,
    change,
    remove: (id) => void rows.delete(id),
    check: async (signal) => signal.throwIfAborted(),
    watermark: async (settleSeconds, signal): Promise<Watermark> => {
      signal.throwIfAborted();
      const before = Math.min(nowMicros() - settleSeconds * 1e6, ...open.values());
      return { before: timeText(before), horizon: String(Math.min(nextXid, ...open.keys())), exact: true };
    },
    page: async (filter, { after, before, limit, digest }, signal) => {
      signal.throwIfAborted();
      const bound = microsOf(before);
      return found(
        filter,
        digest,
        (row) => microsOf(row.createdAt) < bound && (after === null || order(row, after) > 0),
      )
        .sort(order)
        .slice(0, limit);
    },
    sweep: async (filter, { afterId, since, upTo, limit, digest }, signal) => {
      signal.throwIfAborted();
      const isIn = (row: Stored): boolean =>
        row.id > afterId && (since === null || row.xid >= Number(since)) && (upTo === null || order(row, upTo) <= 0);
      return found(filter, digest, isIn)
        .sort((left, right) => (left.id < right.id ? -1 : 1))
        .slice(0, limit);
    },
    rows: async (ids, digest, signal) => {
      signal.throwIfAborted();
      return ids.flatMap((id) => rows.get(id) ?? []).map((row) => told(row, digest));
    },
    open: async (row, signal) => {
      signal.throwIfAborted();
      const bytes = bytesOf(row);
      if (bytes === null) throw new RecordRefused(`row ${row.id} is gone`);
      return bytes;
    },
    openSmall: async (wanted, signal) => {
      signal.throwIfAborted();
      return new Map(wanted.flatMap((row) => [bytesOf(row)].flatMap((bytes) => (bytes ? [[row.id, bytes]] : []))));
    },
    head: async (_, signal) => (signal.throwIfAborted(), null),
    backlog: async (filter, after, signal) => {
      signal.throwIfAborted();
      const waiting = found(filter, false, (row) => after === null || order(row, after) > 0).sort(order);
      const bytes = waiting.reduce((sum, { size }) => sum + (size ?? 0), 0);
      return { rows: waiting.length, bytes, oldestCreatedAt: waiting[0]?.createdAt ?? null };
    },
    close: async () => undefined,
  };
}

function order(left: RowPosition, right: RowPosition): number {
  return microsOf(left.createdAt) - microsOf(right.createdAt) || (left.id < right.id ? -1 : left.id > right.id ? 1 : 0);
}

function passes({ since, until, competitions, agents, dataTypes, share, of }: RowFilter, row: Stored): boolean {
  const isAmong = (ids: readonly string[], id: string | null): boolean =>
    ids.length === 0 || ids.some((each) => each.toLowerCase() === id);
  return (
    (since === null || microsOf(row.createdAt) >= microsOf(since)) &&
    (until === null || microsOf(row.createdAt) < microsOf(until)) &&
    isAmong(competitions, row.competition) &&
    isAmong(agents, row.agent) &&
    (dataTypes.length === 0 || dataTypes.includes(row.dataType)) &&
    parseInt(row.id.slice(-7), 16) % of === share - 1
  );
}

function told({ id, createdAt, competition, agent, dataType, content }: Stored, digest: boolean): ObjectRow {
  return {
    id,
    createdAt,
    folder: [competition, agent, dataType, ''].filter((part) => part !== null).join('/'),
    keyMayHaveChanged: competition === null || agent === null,
    size: content.length,
    objectKey: null,
    sha256: digest ? createHash('sha256').update(content).digest('hex') : null,
  };
}
