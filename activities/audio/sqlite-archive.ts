/**
 * A show's file while a leg writes it. Every change is one transaction that first asks the file whether this writer still is
 * its writer and whether the position is where it was left: SQLite makes that fence atomic with the rows.
 */
import type Database from 'better-sqlite3';
import type { Appended, ShowArchive } from './destination';
import type { Segment } from './segment-parser';
import type { SegmentBatch, SourceMetadata } from './source';
import { explained } from './sqlite-trouble';

/** Who writes. A later attempt of the same run outranks an earlier one; another run takes over when it comes. */
export interface Writer {
  readonly run: string;
  readonly attempt: number;
}

/** Another attempt or run writes this file now. The writes of this one are refused by the file: nothing is lost. */
export class StaleWriter extends Error {
  override name = 'StaleWriter';
}

/** From this size on, a segment's bytes are given back to the system before SQLite makes its second copy of them. */
const largeSegmentBytes = 16 << 20;

const writerTable =
  'CREATE TABLE IF NOT EXISTS waybill_writer (id INTEGER PRIMARY KEY CHECK (id = 1), run TEXT NOT NULL, attempt INTEGER NOT NULL)';
const ownTables = [
  writerTable,
  `CREATE TABLE IF NOT EXISTS waybill_holes (from_id INTEGER PRIMARY KEY, to_id INTEGER NOT NULL, reason TEXT NOT NULL,
     recorded_at TEXT NOT NULL)`,
];

const insertSegment =
  'INSERT INTO segments (id, timestamp_ms, is_timestamp_from_source, audio_data) VALUES (?, ?, ?, ?)';

export class SqliteArchive implements ShowArchive {
  position: number;
  private readonly writer: Writer;
  private readonly source: SourceMetadata;
  private readonly getMetadata: Database.Statement<[string], string>;
  private readonly setMetadata: Database.Statement<[string, string]>;
  private readonly insert: Database.Statement<[number, number, number, Buffer]>;
  private readonly recordHole: Database.Statement<[number, number, string, string]>;
  private readonly parkedFrom: Database.Statement<[number], number>;
  private readonly currentWriter: Database.Statement<[], Writer>;

  /** Takes the file over: from here on it refuses every earlier writer. Throws StaleWriter if a later attempt has it. */
  constructor(
    private readonly database: Database.Database,
    readonly path: string,
    { writer, source }: { readonly writer: Writer; readonly source: SourceMetadata },
    readonly warning: string | null,
  ) {
    this.writer = writer;
    this.source = source;
    takeOver(database, writer, path);
    this.getMetadata = database.prepare<[string], string>('SELECT value FROM metadata WHERE key = ?').pluck();
    this.setMetadata = database.prepare('UPDATE metadata SET value = ? WHERE key = ?');
    this.insert = database.prepare(insertSegment);
    this.recordHole = database.prepare('INSERT OR REPLACE INTO waybill_holes VALUES (?, ?, ?, ?)');
    this.parkedFrom = database
      .prepare<[number], number>("SELECT to_id FROM waybill_holes WHERE from_id = ? AND reason LIKE 'parked%'")
      .pluck();
    this.currentWriter = database.prepare('SELECT run, attempt FROM waybill_writer');
    this.position = this.filePosition();
  }

  append(batch: SegmentBatch): Appended {
    const first = batch.segments[0];
    const last = batch.segments.at(-1);
    if (first === undefined || last === undefined) return { segments: 0, bytes: 0, missing: 0 };
    const bytes = batch.segments.reduce((sum, { audio }) => sum + audio.length, 0);
    // What the sender let go before we ever came is no hole of ours.
    const begun = this.position === 0 ? first.id - 1 : this.position;
    const missing = this.fenced(() => {
      let count = 0;
      let previous = begun;
      for (const segment of batch.segments) {
        if (segment.id > previous + 1) count += this.stepOverMissing(previous + 1, segment.id - 1);
        // Of a new file's first segment nobody has what ended before it: the original leaves 0 there as well.
        if (segment.isTimestampFromSource === 1 && (segment !== first || this.position > 0))
          this.setMetadata.run(String(previous), 'last_boundary_end_id');
        previous = segment.id;
        this.put(segment, batch);
      }
      this.setMetadata.run(String(previous), 'last_synced_id');
      return count;
    });
    this.position = last.id;
    return { segments: batch.segments.length, bytes, missing };
  }

  stepOver(fromId: number, toId: number, reason: string): void {
    this.fenced(() => this.recordHole.run(fromId, toId, reason, new Date().toISOString()));
    this.position = this.filePosition();
  }

  insertLate(segment: Segment): void {
    this.fenced(() => {
      const known = this.database.prepare('SELECT 1 FROM segments WHERE id = ?').get(segment.id);
      if (known === undefined) this.put(segment, null);
      this.database.prepare('DELETE FROM waybill_holes WHERE from_id = ? AND to_id = ?').run(segment.id, segment.id);
      // The hole may have been what the position stood on.
      if (segment.id > this.lastSyncedId()) this.setMetadata.run(String(segment.id), 'last_synced_id');
    });
    this.position = this.filePosition();
  }

  close(): void {
    this.database.close();
  }

  private lastSyncedId(): number {
    return Number(this.getMetadata.get('last_synced_id'));
  }

  /** The file's last id, and past the parked ids that adjoin it. */
  private filePosition(): number {
    let id = this.lastSyncedId();
    for (let to = this.parkedFrom.get(id + 1); to !== undefined; to = this.parkedFrom.get(id + 1)) id = to;
    return id;
  }

  private fenced<T>(change: () => T): T {
    const guarded = this.database.transaction(() => {
      const owner = this.currentWriter.get();
      const isOurs = owner?.run === this.writer.run && owner.attempt === this.writer.attempt;
      if (isOurs && this.filePosition() === this.position) return change();
      throw new StaleWriter(`${this.path}: another run or attempt writes this file now (${owner?.run ?? 'nobody'})`);
    });
    return explained(this.path, () => guarded.immediate());
  }

  private stepOverMissing(fromId: number, toId: number): number {
    const reason = toId < this.source.minId ? 'deleted by retention at the sender' : 'absent at the sender';
    this.recordHole.run(fromId, toId, reason, new Date().toISOString());
    return toId - fromId + 1;
  }

  private put(segment: Segment, batch: SegmentBatch | null): void {
    const { id, timestampMs, isTimestampFromSource, audio } = segment;
    if (batch === null || audio.length < largeSegmentBytes || segment !== batch.segments.at(-1)) {
      this.insert.run(id, timestampMs, isTimestampFromSource, audio);
      return;
    }
    const large = this.database.prepare(insertSegment).bind(id, timestampMs, isTimestampFromSource, audio);
    batch.release();
    large.run();
  }
}

/** From here on the file refuses whoever was writing it. Call inside a transaction. */
export function dismissWriter(database: Database.Database): void {
  database.exec(writerTable);
  database.exec('DELETE FROM waybill_writer');
}

/** An attempt that was given up cannot take the file back. */
function takeOver(database: Database.Database, writer: Writer, path: string): void {
  database
    .transaction(() => {
      for (const table of ownTables) database.exec(table);
      const owner = database.prepare<[], Writer>('SELECT run, attempt FROM waybill_writer').get();
      if (owner?.run === writer.run && owner.attempt > writer.attempt) {
        throw new StaleWriter(
          `${path}: attempt ${owner.attempt} of this leg writes it now; this is attempt ${writer.attempt}`,
        );
      }
      database.prepare('INSERT OR REPLACE INTO waybill_writer VALUES (1, ?, ?)').run(writer.run, writer.attempt);
    })
    .immediate();
}
