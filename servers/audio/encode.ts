/** Audio bytes as JSON text, a page at a time: no segment ever stands in memory as one string. */

/** How `audio_data` is written: base64, as the interface is published, or integers, as the original senders write it. */
export const encodings = ['base64', 'integers'] as const;
export type Encoding = (typeof encodings)[number];

/** Audio bytes encoded in one go. A multiple of 3, so that base64 slices join without padding between them. */
export const sliceBytes = 48 * 1024;
/** What goes to the connection at once. */
const pageBytes = 512 * 1024;
/** Room that must be left: a slice in the wider encoding (4 characters a byte) and the text between two segments. */
const roomBytes = sliceBytes * 4 + 512;

/** A page of the answer being filled; `full` when the next slice may not fit any more. */
export interface Page {
  text(ascii: string): void;
  /** `first` begins the value, `last` ends it; slices between are multiples of 3 bytes. */
  audio(slice: Uint8Array, first: boolean, last: boolean): void;
  readonly full: boolean;
  /**
   * What was written; the page is empty again. The bytes stay as they are until the take after the next one: by then a
   * connection has them, because every page but the last is more than it buffers before it asks its writer to wait.
   */
  take(): Buffer;
}

export function createPage(encoding: Encoding): Page {
  // Two in turn, not a new one each time: garbage of this size is what a feed's memory would otherwise be made of.
  let buffer = Buffer.allocUnsafeSlow(pageBytes);
  let other = Buffer.allocUnsafeSlow(pageBytes);
  let at = 0;
  const text = (ascii: string) => {
    at += buffer.write(ascii, at, 'latin1');
  };
  const audio = (slice: Uint8Array, first: boolean, last: boolean) => {
    if (encoding === 'base64') {
      text((first ? '"' : '') + toBase64(slice) + (last ? '"' : ''));
      return;
    }
    const start = at;
    at = writeIntegers(slice, buffer, at);
    if (first && slice.length === 0) text('[');
    else if (first) buffer[start] = openBracket; // in place of the first comma
    if (last) text(']');
  };
  return {
    text,
    audio,
    get full() {
      return at + roomBytes > pageBytes;
    },
    take() {
      const page = buffer.subarray(0, at);
      [buffer, other] = [other, buffer];
      at = 0;
      return page;
    },
  };
}

/** Characters that this many bytes of audio take in base64, with their quotes. */
export function base64Length(bytes: number): number {
  return Math.ceil(bytes / 3) * 4 + '""'.length;
}

/** Characters that these bytes take as integers, with their brackets: they must be looked at, one by one. */
export function integersLength(audio: Uint8Array): number {
  let length = audio.length === 0 ? '[]'.length : '[]'.length - ','.length;
  for (let index = 0; index < audio.length; index++) length += widths[audio[index] as number] as number;
  return length;
}

function toBase64(slice: Uint8Array): string {
  return Buffer.from(slice.buffer, slice.byteOffset, slice.byteLength).toString('base64');
}

const openBracket = '['.charCodeAt(0);

// ",0" to ",255" as little-endian words, and how much of each word counts: one store a byte of audio, whatever its
// digits; the next store overwrites what was too much. Measured: 2 times a table of single characters.
const words = new Uint32Array(256);
const widths = new Uint8Array(256);
for (let value = 0; value < 256; value++) {
  const digits = `,${value}`;
  widths[value] = digits.length;
  words[value] = Buffer.from(digits.padEnd(4, ' '), 'latin1').readUInt32LE();
}

function writeIntegers(slice: Uint8Array, target: Buffer, from: number): number {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  let at = from;
  for (let index = 0; index < slice.length; index++) {
    const value = slice[index] as number;
    view.setUint32(at, words[value] as number, true);
    at += widths[value] as number;
  }
  return at;
}
