/** What becomes of a row: it is there, it is uploaded and waits for its transaction, or it is set aside. */
import { createHash } from 'node:crypto';
import { RecordRefused, reasonOf } from '../shared/failures';
import type { Comparison } from './compare';
import type { RecallSettings } from './contract';
import type { ChainObject } from './destination';
import type { StagedObject } from './plan';
import type { Reading } from './reading';
import type { ObjectBytes, ObjectRow } from './source';

export type Outcome =
  | { readonly kind: 'there' }
  | { readonly kind: 'staged'; readonly object: StagedObject; readonly renewed: boolean }
  | { readonly kind: 'parked'; readonly reason: string };

/** Rows fetched from the database together: small ones, up to this many bytes in all. */
const smallBytesMax = 256 * 1024;
const togetherBytesMax = 4 * 1024 * 1024;
const togetherMax = 64;

interface Context {
  readonly reading: Reading;
  readonly settings: RecallSettings;
  readonly signal: AbortSignal;
  readonly alive: () => void;
}

/** The rows of one page, moved one by one, in any order. */
export class Uploads {
  /** By row index: the small rows that are fetched with it. */
  private readonly together = new Map<number, Together>();

  constructor(
    private readonly context: Context,
    private readonly rows: readonly ObjectRow[],
    private readonly compared: readonly Comparison[],
  ) {
    if (context.reading.source.mode === 'row') this.group();
  }

  /** Bytes that each row's transaction pays for; 0 where none is needed. */
  sizes(): number[] {
    return this.rows.map((row, index) => {
      const comparison = this.compared[index] as Comparison;
      if (this.needsBytes(index)) return row.size ?? 0;
      return comparison.kind === 'same' && this.expires(comparison.object) ? comparison.object.size : 0;
    });
  }

  /** Throws the world's troubles, and a person's. */
  async move(index: number): Promise<Outcome> {
    const row = this.rows[index] as ObjectRow;
    const comparison = this.compared[index] as Comparison;
    const { settings } = this.context;
    if (comparison.kind === 'same' && this.expires(comparison.object)) {
      const extended = await this.extended(row, comparison.object, comparison.folder);
      if (extended !== null) return { kind: 'staged', object: extended, renewed: true };
    } else if (!this.needsBytes(index)) return { kind: 'there' };
    if (comparison.kind === 'differs' && !settings.overwrite)
      return { kind: 'parked', reason: `the key holds other bytes (${comparison.why}), and overwrite is off` };
    const folder = comparison.kind === 'absent' ? row.folder : comparison.folder;
    return await this.upload(row, folder, index);
  }

  private needsBytes(index: number): boolean {
    const kind = this.compared[index]?.kind;
    return kind === 'absent' || kind === 'differs';
  }

  private expires({ expiry }: ChainObject): boolean {
    const { renewal, margin, block } = this.context.reading;
    return renewal && expiry - block <= margin;
  }

  /** The same blob once more, with a new life; null where the network no longer has it. */
  private async extended(row: ObjectRow, object: ChainObject, folder: string): Promise<StagedObject | null> {
    const { network } = this.context.reading;
    const [status] = await network.blobs([object.blobHash], this.context.signal);
    const { sha256, etag, 'content-type': contentType } = object.metadata;
    if (status !== 'resolved' || sha256 === undefined) return null;
    const { blobHash, recoveryHash, size } = object;
    return {
      ...{ id: row.id, folder, size, blobHash, recoveryHash, sha256 },
      contentType: contentType ?? 'application/octet-stream',
      etag: etag ?? null,
    };
  }

  private async upload(row: ObjectRow, folder: string, index: number): Promise<Outcome> {
    const { reading, settings, signal, alive } = this.context;
    try {
      const bytes = await this.bytesOf(row, index);
      if (bytes.size === 0)
        return { kind: 'parked', reason: 'empty: the network cannot give back an object of no bytes' };
      if (bytes.size > settings.objectBytesMax)
        return { kind: 'parked', reason: `${bytes.size} bytes, the limit is ${settings.objectBytesMax}` };
      const hash = createHash('sha256');
      const hashed = async function* (): AsyncGenerator<Uint8Array> {
        for await (const chunk of bytes.stream) {
          hash.update(chunk);
          alive();
          yield chunk;
        }
      };
      const { blobHash, recoveryHash } = await reading.network.upload(bytes.size, hashed(), signal);
      const { size, contentType, etag } = bytes;
      const sha256 = hash.digest('hex');
      return {
        kind: 'staged',
        object: { id: row.id, folder, size, blobHash, recoveryHash, sha256, contentType, etag },
        renewed: false,
      };
    } catch (error) {
      if (!(error instanceof RecordRefused)) throw error;
      return { kind: 'parked', reason: reasonOf(error) };
    }
  }

  private async bytesOf(row: ObjectRow, index: number): Promise<ObjectBytes> {
    const { source } = this.context.reading;
    const together = this.together.get(index);
    if (together === undefined) return await source.open(row, this.context.signal);
    const bytes = (await together.bytes()).get(row.id);
    if (bytes === undefined) throw new RecordRefused(`row ${row.id} is gone`);
    return bytes;
  }

  private group(): void {
    let some: Together | null = null;
    for (const [index, row] of this.rows.entries()) {
      if (!this.needsBytes(index) || row.size === null || row.size > smallBytesMax) continue;
      if (some === null || !some.hasRoom(row.size)) some = new Together(this.context);
      some.add(row);
      this.together.set(index, some);
    }
  }
}

/** Small rows that one query fetches when the first of them is wanted. */
class Together {
  private readonly rows: ObjectRow[] = [];
  private size = 0;
  private fetched: Promise<Map<string, ObjectBytes>> | null = null;

  constructor(private readonly context: Context) {}

  hasRoom(bytes: number): boolean {
    return this.rows.length < togetherMax && this.size + bytes <= togetherBytesMax;
  }

  add(row: ObjectRow): void {
    this.rows.push(row);
    this.size += row.size ?? 0;
  }

  bytes(): Promise<Map<string, ObjectBytes>> {
    this.fetched ??= this.context.reading.source.openSmall(this.rows, this.context.signal);
    return this.fetched;
  }
}
