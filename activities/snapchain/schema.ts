/**
 * Protobuf by the schemas in wire/: bytes to plain objects and back. 64-bit numbers are JavaScript numbers; one beyond
 * 2^53 is refused, for no fid, height, event id or time of the network comes near it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BufferReader, parse, Root, type Type } from 'protobufjs';
import { reasonOf, RecordRefused } from '../shared/failures';

const files = ['message.proto', 'event.proto', 'calls.proto'];

/**
 * A kind of message. `T` is what its fields are, by the schema; who reads one declares the fields it wants. Those that
 * were not on the wire are on the object's prototype: read them by name, for a spread would lose them.
 */
export interface WireType<T> {
  /** Throws what protobufjs throws: whoever calls knows which thing the bytes were, and says so. */
  decode(bytes: Buffer): T;
  encode(value: Partial<T>): Buffer;
}

/**
 * The library's reader makes objects of 64-bit numbers unless a switch is set for the whole process, which Temporal's own
 * messages would not survive. So the reader is ours, and the switch stays where it is.
 */
class NumberReader extends (BufferReader as unknown as new (bytes: Buffer) => {
  buf: Buffer;
  pos: number;
  len: number;
}) {
  uint64(): number {
    const { buf, len } = this;
    let value = 0;
    let scale = 1;
    for (let length = 0; length < 10; length += 1) {
      if (this.pos >= len) throw new RangeError(`number cut off at byte ${this.pos}`);
      const byte = buf[this.pos++] as number;
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw new RangeError(`number beyond 2^53 before byte ${this.pos}`);
  }
}

const noBytes = Buffer.alloc(0);
const root = loaded();

function loaded(): Root {
  const schema = new Root();
  for (const file of files) parse(readFileSync(join(__dirname, 'wire', file), 'utf8'), schema);
  schema.resolveAll();
  for (const type of schema.nestedArray) setDefaults(type as Type);
  return schema;
}

/**
 * What a field is that was not on the wire: null where absence is told from emptiness, else 0 or no bytes. The library
 * itself would make a Long of numbers, an array of bytes, and an empty text of a oneof's member.
 */
function setDefaults(type: Type): void {
  const defaults = type.ctor.prototype as unknown as Record<string, unknown>;
  for (const field of type.fieldsArray) {
    if (field.repeated) continue;
    if (field.hasPresence) defaults[field.name] = null;
    else if (field.type === 'uint64') defaults[field.name] = 0;
    else if (field.type === 'bytes') defaults[field.name] = noBytes;
  }
}

export function wireType<T>(name: string): WireType<T> {
  const type = root.lookupType(name);
  return {
    decode: (bytes) => type.decode(new NumberReader(bytes) as unknown as BufferReader) as unknown as T,
    encode: (value) => type.encode(value).finish() as Buffer,
  };
}

/** Decodes what is one record by itself. Throws RecordRefused, naming where it was and what it should have been. */
export function decodeAs<T>(type: WireType<T>, bytes: Buffer, where: string, what: string): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw new RecordRefused(`${where}: ${what} of ${bytes.length} bytes cannot be read: ${reasonOf(error)}`);
  }
}
