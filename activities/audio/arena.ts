/**
 * The memory of a batch: audio is decoded into it, bound to SQLite out of it, and then it is used again, by the next batch
 * and the next answer. One that is thrown away costs a full garbage collection (measured), so a feed keeps its own.
 *
 * Resizable memory, because a segment must lie in one piece and may be 128 MiB: it grows without a copy and shrinks at once.
 */

/** Reserved address space, not memory: pages come as they are written, and go when the arena shrinks. */
const bytesMax = 1 << 30;
const bytesMin = 1 << 20;
/** Growing costs no copy, so it grows by little: V8 writes zeros over all that an arena shrinks by, used or not. */
const stepBytes = 1 << 20;
/** What an arena keeps between batches; a 128 MiB segment's memory goes back at once. */
const bytesKept = 16 << 20;

export class Arena {
  private readonly memory = new ArrayBuffer(bytesMin, { maxByteLength: bytesMax });
  /** All of it; another object after each `reserve`. Write behind `used` only. */
  bytes = Buffer.from(this.memory, 0, bytesMin);
  /** Bytes that hold something. */
  used = 0;

  /** Makes room for so many bytes behind `used`. False if there can be no such room. */
  reserve(count: number): boolean {
    const needed = this.used + count;
    if (needed > this.bytes.length && needed <= bytesMax) this.resize(Math.ceil(needed / stepBytes) * stepBytes);
    return needed <= bytesMax;
  }

  /** Copies in what has room by `reserve`. */
  append(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.used);
    this.used += bytes.length;
  }

  /** A view of bytes written earlier; void after `release`. */
  view(start: number, end: number): Buffer {
    return Buffer.from(this.memory, start, end - start);
  }

  /** Gives the batch's memory back: every view handed out is void from here on. */
  release(): void {
    this.used = 0;
    if (this.memory.byteLength > bytesKept) this.resize(bytesMin);
  }

  private resize(bytes: number): void {
    this.memory.resize(bytes);
    this.bytes = Buffer.from(this.memory, 0, bytes);
  }
}
