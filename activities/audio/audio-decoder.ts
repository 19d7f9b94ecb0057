/**
 * `audio_data` decoded as it arrives, into one arena that is used again for every batch.
 *
 * Strict in both encodings, decided by the value: an array of integers 0..255 (what real senders send) or canonical
 * base64 (what the interface is published as; RFC 4648 section 4). Whatever else comes is refused, never stored.
 */

/** SQLite's own limit for one value (SQLITE_MAX_LENGTH). */
export const segmentBytesMax = 1_000_000_000;
/** Reserved address space, not memory: pages come as they are written, and go when the arena shrinks. */
const arenaBytesMax = 1 << 30;
const arenaBytesMin = 1 << 20;
/** What an arena keeps between batches; a 128 MiB segment's memory goes back at once. */
const arenaBytesKept = 16 << 20;

const quote = 0x22;
const comma = 0x2c;
const zero = 0x30;
const closeBracket = 0x5d;

export class AudioDecoder {
  private readonly memory = new ArrayBuffer(arenaBytesMin, { maxByteLength: arenaBytesMax });
  private arena = Buffer.from(this.memory, 0, arenaBytesMin);
  private usedBytes = 0;
  private start = 0;
  private encoding: 'integers' | 'base64' = 'integers';
  /** The integer being read; -1 after '[' (an end may follow), -2 after ',' (a digit must), -3 after a blank (no digit may). */
  private integer = -1;
  /** Base64 characters of an unfinished group of four. */
  private carry = '';
  /** A base64 text with JSON escapes (some encoders write `\/`), kept whole until its end. */
  private escaped: string[] | null = null;
  /** True from the closing bracket or quote on. */
  isDone = false;

  /** `refuse` throws, with the place in the answer that only the caller knows. */
  constructor(private readonly refuse: (what: string) => never) {}

  get used(): number {
    return this.usedBytes;
  }

  /** A view of bytes decoded earlier; void after `release`. */
  view(start: number, end: number): Buffer {
    return Buffer.from(this.memory, start, end - start);
  }

  /** Gives the batch's memory back: every view handed out is void from here on. */
  release(): void {
    this.usedBytes = 0;
    if (this.memory.byteLength > arenaBytesKept) this.resize(arenaBytesMin);
  }

  /** Begins a value whose first character, `[` or `"`, was read already. */
  begin(encoding: 'integers' | 'base64'): void {
    this.encoding = encoding;
    this.start = this.usedBytes;
    this.integer = -1;
    this.carry = '';
    this.escaped = null;
    this.isDone = false;
  }

  /** Reads on from `at`; returns the position reached: behind the value's end, or as far as it could go. */
  push(chunk: Buffer, at: number): number {
    return this.encoding === 'integers' ? this.integers(chunk, at) : this.base64(chunk, at);
  }

  private resize(bytes: number): void {
    this.memory.resize(bytes);
    this.arena = Buffer.from(this.memory, 0, bytes);
  }

  private reserve(bytes: number): void {
    const needed = this.usedBytes + bytes;
    if (needed <= this.arena.length) return;
    if (needed - this.start > segmentBytesMax || needed > arenaBytesMax)
      this.refuse(`more than ${segmentBytesMax} bytes of audio`);
    this.resize(Math.min(arenaBytesMax, Math.max(needed, this.arena.length * 2)));
  }

  /** The hot loop: four bytes at once hold one number of one to three digits and its comma. */
  private integers(chunk: Buffer, position: number): number {
    this.reserve(((chunk.length - position) >>> 1) + 2);
    const { arena } = this;
    let used = this.usedBytes;
    let at = position;
    if ((this.integer === -1 || this.integer === -2) && chunk.length >= 4) {
      const words = new DataView(chunk.buffer, chunk.byteOffset, chunk.length);
      const last = chunk.length - 4;
      while (at <= last) {
        // XOR turns digits into 0..9 and the comma into 0x1c.
        const word = words.getUint32(at, true) ^ 0x30303030;
        const first = word & 0xff;
        const second = (word >>> 8) & 0xff;
        const third = (word >>> 16) & 0xff;
        if (first > 9) break;
        if (second === 0x1c) {
          arena[used++] = first;
          at += 2;
        } else if (third === 0x1c && second <= 9 && first !== 0) {
          arena[used++] = first * 10 + second;
          at += 3;
        } else {
          const value = first * 100 + second * 10 + third;
          if (second > 9 || third > 9 || first === 0 || value > 255 || word >>> 24 !== 0x1c) break;
          arena[used++] = value;
          at += 4;
        }
      }
      if (at > position) this.integer = -2;
    }
    this.usedBytes = used;
    return at < chunk.length ? this.integerByte(chunk[at] as number, at) : at;
  }

  /** What the hot loop leaves over: chunk borders, blanks, the end, and everything that is wrong. */
  private integerByte(byte: number, at: number): number {
    const digit = byte - zero;
    if (digit >= 0 && digit <= 9) {
      if (this.integer === 0 || this.integer === -3)
        this.refuse('an integer with a leading zero or a blank in audio_data');
      this.integer = this.integer < 0 ? digit : this.integer * 10 + digit;
      if (this.integer > 255) this.refuse('an integer over 255 in audio_data');
    } else if (byte === comma || byte === closeBracket) {
      if (this.integer >= 0) this.arena[this.usedBytes++] = this.integer;
      else if (this.integer === -2 || (byte === comma && this.integer === -1))
        this.refuse('a missing integer in audio_data');
      this.integer = -2;
      if (byte === closeBracket) this.isDone = true;
    } else if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      if (this.integer >= 0) {
        this.arena[this.usedBytes++] = this.integer;
        this.integer = -3;
      }
    } else {
      this.refuse(`${JSON.stringify(String.fromCharCode(byte))} in audio_data, where integers 0 to 255 are expected,`);
    }
    return at + 1;
  }

  private base64(chunk: Buffer, position: number): number {
    const found = chunk.indexOf(quote, position);
    const end = found < 0 ? chunk.length : found;
    const text = chunk.toString('latin1', position, end);
    if (this.escaped !== null || text.includes('\\')) {
      this.escaped ??= [];
      this.escaped.push(text);
    } else {
      this.decode(text, found >= 0);
    }
    if (found < 0) return end;
    if (this.escaped !== null) this.decode(this.unescape(this.escaped.join('')), true);
    this.isDone = true;
    return found + 1;
  }

  private unescape(text: string): string {
    try {
      return JSON.parse(`"${text}"`) as string;
    } catch {
      return this.refuse('a broken JSON text in audio_data');
    }
  }

  /** Node's decoder skips what it does not know and takes base64url too, so the length and the two others are checked. */
  private decode(piece: string, isLast: boolean): void {
    const text = this.carry.length > 0 ? this.carry + piece : piece;
    // Until the end is seen, the last group is held back: it may be the one with the padding.
    const whole = isLast ? text.length : Math.max(0, text.length - (text.length % 4 || 4));
    const padding = isLast && text.endsWith('=') ? (text.endsWith('==') ? 2 : 1) : 0;
    const bytes = (whole / 4) * 3 - padding;
    this.carry = text.slice(whole);
    if (whole === 0) return;
    const groups = whole === text.length ? text : text.slice(0, whole);
    this.reserve(Math.ceil(bytes) + 3);
    const strict =
      Number.isInteger(bytes) &&
      !groups.includes('-') &&
      !groups.includes('_') &&
      groups.indexOf('=') === (padding === 0 ? -1 : whole - padding);
    if (!strict || this.arena.write(groups, this.usedBytes, 'base64') !== bytes)
      this.refuse('a text that is not strict base64 as audio_data');
    if (padding > 0) {
      const tail = groups.slice(-4);
      if (Buffer.from(tail, 'base64').toString('base64') !== tail)
        this.refuse('a text that is not canonical base64 as audio_data');
    }
    this.usedBytes += bytes;
  }
}
