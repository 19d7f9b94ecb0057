/**
 * Rows in the binary form of COPY: a signature, then each row's columns with their lengths, then an end mark.
 * Format: PostgreSQL's documentation, COPY, "Binary Format". Text would have to be escaped and parsed again.
 */
import type { ColumnType, Row, Value } from './tables';

const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Flags and the length of a header extension: none of either. */
const headerBytes = signature.length + 8;
const firstBytes = 1 << 16;
const jsonbVersion = 1;
const arrayTypes = { 'int8[]': { oid: 20, bytes: 8 }, 'int4[]': { oid: 23, bytes: 4 } } as const;
const none = -1;

/** Grows by doubling; one buffer a table and batch. */
export class CopyRows {
  private bytes = Buffer.allocUnsafe(firstBytes);
  private at = 0;

  constructor(private readonly types: readonly ColumnType[]) {
    signature.copy(this.bytes);
    this.bytes.fill(0, signature.length, headerBytes);
    this.at = headerBytes;
  }

  get size(): number {
    return this.at;
  }

  /** Throws RangeError for a number that its column has no room for; then nothing of the row is there. */
  add(row: Row): void {
    const { types, at } = this;
    try {
      this.reserve(2);
      this.at = this.bytes.writeInt16BE(types.length, this.at);
      for (let index = 0; index < types.length; index += 1) this.value(types[index] as ColumnType, row[index] as Value);
    } catch (error) {
      this.at = at;
      throw error;
    }
  }

  /** The whole, with its end mark. May be asked again, but nothing may be added afterwards. */
  finish(): Buffer {
    this.reserve(2);
    return this.bytes.subarray(0, this.bytes.writeInt16BE(none, this.at));
  }

  private value(type: ColumnType, value: Value): void {
    if (value === null) {
      this.reserve(4);
      this.at = this.bytes.writeInt32BE(none, this.at);
      return;
    }
    switch (type) {
      case 'int2':
        this.reserve(6);
        this.at = this.bytes.writeInt32BE(2, this.at);
        this.at = this.bytes.writeInt16BE(value as number, this.at);
        return;
      case 'int4':
        this.reserve(8);
        this.at = this.bytes.writeInt32BE(4, this.at);
        this.at = this.bytes.writeInt32BE(value as number, this.at);
        return;
      case 'int8':
        this.reserve(12);
        this.at = this.bytes.writeInt32BE(8, this.at);
        this.long(value as number);
        return;
      case 'text':
        return this.text(value as string);
      case 'bytea':
        return this.raw(value as Buffer);
      case 'jsonb':
        return this.json(value as object);
      default:
        return this.array(arrayTypes[type], value as readonly number[]);
    }
  }

  private long(value: number): void {
    const high = Math.floor(value / 2 ** 32);
    this.at = this.bytes.writeInt32BE(high, this.at);
    this.at = this.bytes.writeUInt32BE(value - high * 2 ** 32, this.at);
  }

  private text(value: string): void {
    // Three bytes a UTF-16 unit at most.
    this.reserve(4 + value.length * 3);
    const length = this.bytes.write(value, this.at + 4);
    this.bytes.writeInt32BE(length, this.at);
    this.at += 4 + length;
  }

  private raw(value: Buffer): void {
    this.reserve(4 + value.length);
    this.at = this.bytes.writeInt32BE(value.length, this.at);
    this.at += value.copy(this.bytes, this.at);
  }

  private json(value: object): void {
    const text = JSON.stringify(value);
    this.reserve(5 + text.length * 3);
    this.bytes[this.at + 4] = jsonbVersion;
    const length = this.bytes.write(text, this.at + 5);
    this.bytes.writeInt32BE(length + 1, this.at);
    this.at += 5 + length;
  }

  /** One dimension, from 1 on, without NULLs. */
  private array({ oid, bytes }: { oid: number; bytes: number }, values: readonly number[]): void {
    const dimensions = values.length === 0 ? 0 : 1;
    const length = 12 + dimensions * 8 + values.length * (4 + bytes);
    this.reserve(4 + length);
    for (const head of [length, dimensions, 0, oid]) this.at = this.bytes.writeInt32BE(head, this.at);
    if (dimensions === 0) return;
    for (const head of [values.length, 1]) this.at = this.bytes.writeInt32BE(head, this.at);
    for (const value of values) {
      this.at = this.bytes.writeInt32BE(bytes, this.at);
      if (bytes === 8) this.long(value);
      else this.at = this.bytes.writeInt32BE(value, this.at);
    }
  }

  private reserve(more: number): void {
    if (this.at + more <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + more));
    this.bytes.copy(grown, 0, 0, this.at);
    this.bytes = grown;
  }
}
