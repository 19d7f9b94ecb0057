/**
 * A sender's answer, `[{"id":1,"timestamp_ms":…,"is_timestamp_from_source":0,"audio_data":…}, …]`, parsed as it arrives.
 *
 * One answer can be over a gigabyte, more than the longest string V8 can hold, so bytes go straight from the socket's
 * chunk into the decoder's arena. A row that is not what the interface says refuses the answer.
 */
import { Arena } from './arena';
import { RecordRefused } from '../shared/failures';
import { AudioDecoder } from './audio-decoder';

/** A segment as it came; `audio` is a view into the arena, valid until the next batch is asked for. */
export interface Segment {
  readonly id: number;
  readonly timestampMs: number;
  readonly isTimestampFromSource: 0 | 1;
  readonly audio: Buffer;
}

/** Thrown when an answer is not what the interface says. Asking again may help once; a human has to look if it does not. */
export class SegmentRefused extends RecordRefused {
  override name = 'SegmentRefused';
}

/** Longer keys and scalars than any version of the interface has. */
const tokenBytesMax = 64;

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const closeBrace = 0x7d;

type State =
  'array' | 'row' | 'rowEnd' | 'key' | 'keyText' | 'colon' | 'value' | 'scalar' | 'text' | 'valueEnd' | 'audio' | 'end';

export class SegmentParser {
  private state: State = 'array';
  private readonly decoder: AudioDecoder;
  private rows: { id: number; timestampMs: number; flag: 0 | 1; start: number; end: number }[] = [];
  private token = '';
  private key = '';
  private fields = new Map<string, string>();
  private audioStart = -1;
  private audioEnd = -1;
  private rowCount = 0;

  /** Audio goes to `arena`, which no other answer may be using meanwhile. */
  constructor(private readonly arena = new Arena()) {
    this.decoder = new AudioDecoder(arena, (what) => this.refuse(what));
  }

  /**
   * Reads from `position` to the end of `chunk`, or to the end of the row with which the batch reaches `batchBytes`.
   * Returns the position reached. Throws SegmentRefused.
   */
  push(chunk: Buffer, position: number, batchBytes: number): number {
    let at = position;
    const rowsBefore = this.rowCount;
    while (at < chunk.length) {
      at = this.state === 'audio' ? this.audio(chunk, at) : this.step(chunk, at);
      if (this.rowCount > rowsBefore && this.arena.used >= batchBytes) break;
    }
    return at;
  }

  get pendingBytes(): number {
    return this.arena.used;
  }

  get isBetweenRows(): boolean {
    return this.state === 'rowEnd' || this.state === 'end';
  }

  /** The complete rows so far, in the order they came. Ask for it between rows only. */
  take(): Segment[] {
    const rows = this.rows.map(({ id, timestampMs, flag, start, end }) => ({
      id,
      timestampMs,
      isTimestampFromSource: flag,
      audio: this.arena.view(start, end),
    }));
    this.rows = [];
    return rows;
  }

  /** Gives the batch's memory back: every view handed out is void from here on. */
  release(): void {
    this.arena.release();
  }

  /** Call at the end of the answer. Throws SegmentRefused when it ended in the middle. */
  finish(): void {
    if (this.state !== 'end') throw new SegmentRefused(`the answer ends in the middle of ${this.where()}`);
  }

  private where(): string {
    const id = this.fields.get('id');
    return id === undefined ? `row ${this.rowCount + 1}` : `segment ${id}`;
  }

  private refuse(what: string): never {
    throw new SegmentRefused(`${what} in ${this.where()}`);
  }

  /** Structure, keys and small values, a byte at a time: under a hundred bytes a row. */
  private step(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number;
    const blank = byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
    if (this.state === 'keyText' || this.state === 'text') return this.text(byte, at);
    if (this.state === 'scalar') return this.scalar(byte, blank, at);
    if (blank) return at + 1;
    const character = String.fromCharCode(byte);
    switch (this.state) {
      case 'array':
        return this.expect(character, { '[': 'row' }, at);
      case 'row':
        // An empty array ends here; after a comma a row must follow.
        if (character === ']' && this.rowCount > 0) return this.unexpected(character);
        if (character === '{') this.beginRow();
        return this.expect(character, { '{': 'key', ']': 'end' }, at);
      case 'rowEnd':
        return this.expect(character, { ',': 'row', ']': 'end' }, at);
      case 'key':
        return this.expect(character, { '"': 'keyText' }, at);
      case 'colon':
        return this.expect(character, { ':': 'value' }, at);
      case 'value':
        return this.beginValue(character, at);
      case 'valueEnd':
        if (character === '}') this.endRow();
        return this.expect(character, { ',': 'key', '}': 'rowEnd' }, at);
      default:
        return this.unexpected(character);
    }
  }

  private expect(character: string, next: Partial<Record<string, State>>, at: number): number {
    const state = next[character];
    if (state === undefined) return this.unexpected(character);
    this.state = state;
    return at + 1;
  }

  private unexpected(character: string): never {
    return this.refuse(`unexpected ${JSON.stringify(character)}`);
  }

  private beginRow(): void {
    this.fields = new Map();
    this.audioStart = this.audioEnd = -1;
  }

  private beginValue(character: string, at: number): number {
    if (this.key === 'audio_data') {
      if (character !== '[' && character !== '"') this.refuse('audio_data is neither base64 nor an array of integers');
      this.audioStart = this.arena.used;
      this.decoder.begin(character === '[' ? 'integers' : 'base64');
      this.state = 'audio';
      return at + 1;
    }
    if (character === '[' || character === '{') this.refuse(`a nested value for ${this.key}`);
    this.token = '';
    this.state = character === '"' ? 'text' : 'scalar';
    return character === '"' ? at + 1 : at;
  }

  private audio(chunk: Buffer, at: number): number {
    const position = this.decoder.push(chunk, at);
    if (this.decoder.isDone) {
      this.audioEnd = this.arena.used;
      this.state = 'valueEnd';
    }
    return position;
  }

  private text(byte: number, at: number): number {
    if (byte !== quote) {
      if (byte === backslash || byte < 0x20 || this.token.length >= tokenBytesMax)
        this.refuse('a key or text that is not ours');
      this.token += String.fromCharCode(byte);
    } else if (this.state === 'keyText') {
      this.key = this.token;
      if (this.fields.has(this.key) || (this.key === 'audio_data' && this.audioStart >= 0))
        this.refuse(`${this.key} twice`);
      this.token = '';
      this.state = 'colon';
    } else {
      this.fields.set(this.key, JSON.stringify(this.token));
      this.token = '';
      this.state = 'valueEnd';
    }
    return at + 1;
  }

  private scalar(byte: number, blank: boolean, at: number): number {
    if (!blank && byte !== comma && byte !== closeBrace) {
      if (this.token.length >= tokenBytesMax) this.refuse(`an endless value for ${this.key}`);
      this.token += String.fromCharCode(byte);
      return at + 1;
    }
    this.fields.set(this.key, this.token);
    this.token = '';
    this.state = 'valueEnd';
    return at;
  }

  private endRow(): void {
    if (this.audioStart < 0) this.refuse('no audio_data');
    const flag = this.wholeNumber('is_timestamp_from_source');
    if (flag !== 0 && flag !== 1) this.refuse(`is_timestamp_from_source ${flag} (0 or 1)`);
    const id = this.wholeNumber('id');
    if (id < 1) this.refuse(`id ${id}`);
    this.rows.push({
      id,
      timestampMs: this.wholeNumber('timestamp_ms'),
      flag,
      start: this.audioStart,
      end: this.audioEnd,
    });
    this.rowCount += 1;
    this.fields = new Map();
    this.token = '';
  }

  private wholeNumber(key: string): number {
    const text = this.fields.get(key);
    if (text === undefined) return this.refuse(`no ${key}`);
    const value = Number(text);
    if (!/^-?(0|[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(value)) this.refuse(`${key} ${text.slice(0, 40)}`);
    return value;
  }
}
