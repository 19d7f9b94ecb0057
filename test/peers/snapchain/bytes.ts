/**
 * Protobuf by hand, both ways and nothing more than the peer needs: a writer that appends to one growing buffer, and a
 * reader that lists the fields of a message. It shares no line with the code it is there to test.
 */

const firstBufferBytes = 4096;

/** Appends fields in the order they are called; `take` copies what was written and makes the writer empty again. */
export class Writer {
  #bytes = Buffer.allocUnsafeSlow(firstBufferBytes);
  #length = 0;

  #room(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + count));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }

  /** Any whole number from 0 to 2^53. */
  varint(value: number): this {
    this.#room(10);
    let rest = value;
    while (rest > 127) {
      this.#bytes[this.#length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
    return this;
  }

  /** A number that is written even if it is 0: an `optional` field, or an element of a list. */
  present(field: number, value: number): this {
    return this.varint(field * 8).varint(value);
  }

  /** A number of a plain field: proto3 leaves 0 out. */
  uint(field: number, value: number): this {
    return value === 0 ? this : this.present(field, value);
  }

  /** Bytes or text that are written even if empty: a oneof's member, a nested message, an element of a list. */
  nested(field: number, value: Uint8Array | string): this {
    const length = typeof value === 'string' ? Buffer.byteLength(value) : value.length;
    this.varint(field * 8 + 2).varint(length);
    this.#room(length);
    if (typeof value === 'string') this.#bytes.write(value, this.#length);
    else this.#bytes.set(value, this.#length);
    this.#length += length;
    return this;
  }

  /** Bytes or text of a plain field: proto3 leaves the empty one out. */
  bytes(field: number, value: Uint8Array | string): this {
    return value.length === 0 ? this : this.nested(field, value);
  }

  packed(field: number, values: readonly number[]): this {
    if (values.length === 0) return this;
    const inner = new Writer();
    for (const value of values) inner.varint(value);
    return this.nested(field, inner.take());
  }

  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return taken;
  }
}

export function encode(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return writer.take();
}

/** One field as it stood on the wire: `value` for varints, `bytes` for everything with a length. */
export interface Field {
  readonly field: number;
  readonly isVarint: boolean;
  readonly value: number;
  readonly bytes: Buffer;
}

const none = Buffer.alloc(0);

function readVarint(bytes: Buffer, at: number): [value: number, next: number] {
  let value = 0;
  let scale = 1;
  for (let next = at; next < bytes.length; next += 1) {
    const byte = bytes[next] ?? 0;
    value += (byte & 127) * scale;
    if (byte < 128) return [value, next + 1];
    scale *= 128;
  }
  throw new Error(`read a varint at byte ${at} of ${bytes.length}: it does not end`);
}

/** The fields of a message, in order. */
export function fieldsOf(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length;) {
    const [tag, start] = readVarint(bytes, at);
    const [number, afterNumber] = readVarint(bytes, start);
    const field = Math.floor(tag / 8);
    if (tag % 8 === 0) {
      fields.push({ field, isVarint: true, value: number, bytes: none });
      at = afterNumber;
    } else if (tag % 8 === 2 && afterNumber + number <= bytes.length) {
      fields.push({ field, isVarint: false, value: 0, bytes: bytes.subarray(afterNumber, afterNumber + number) });
      at = afterNumber + number;
    } else {
      throw new Error(
        `read field ${field} at byte ${at} of ${bytes.length}: wire type ${tag % 8} or its length is wrong`,
      );
    }
  }
  return fields;
}

/** A message's fields by number: the last one wins, as protobuf has it. */
export class Fields {
  readonly all: readonly Field[];
  readonly #last = new Map<number, Field>();

  constructor(bytes: Buffer) {
    this.all = fieldsOf(bytes);
    for (const field of this.all) this.#last.set(field.field, field);
  }

  has(field: number): boolean {
    return this.#last.has(field);
  }

  uint(field: number): number {
    return this.#last.get(field)?.value ?? 0;
  }

  optionalUint(field: number): number | undefined {
    return this.#last.get(field)?.value;
  }

  bytes(field: number): Buffer {
    return this.#last.get(field)?.bytes ?? none;
  }

  text(field: number): string {
    return this.bytes(field).toString('utf8');
  }

  every(field: number): Buffer[] {
    return this.all.filter((each) => each.field === field).map((each) => each.bytes);
  }

  /** A repeated number, packed or not. */
  uints(field: number): number[] {
    return this.all
      .filter((each) => each.field === field)
      .flatMap((each) => {
        if (each.isVarint) return [each.value];
        const values: number[] = [];
        for (let at = 0; at < each.bytes.length;) {
          const [value, next] = readVarint(each.bytes, at);
          values.push(value);
          at = next;
        }
        return values;
      });
  }
}
