/**
 * Cuts what comes from a client into frames (int32 size, then that many bytes). A frame that lies inside one buffer is a view of
 * it. Of one that spans buffers the parts are kept until it is whole, and then copied together: announcing 100 MiB costs nothing.
 */
import { MalformedError } from "../protocol/errors.ts";
import { type ByteCount, Frame, Received } from "./received.ts";

const SIZE_BYTES = 4;
/** Smaller parts of an unfinished frame are copied together into buffers of this size, larger ones are kept as they came. */
const SMALL_BYTES = 4096;

interface Part {
  readonly received: Received;
  view: Buffer;
}

export class FrameSplitter {
  /** Of unfinished frames, how many there have been: changes when one begins. */
  unfinishedSerial = 0;
  private readonly maxFrameBytes: number;
  private readonly count: ByteCount;
  /** What was pushed and not yet cut, the first from `offset` on. */
  private readonly pending: Received[] = [];
  private offset = 0;
  /** The size field of an unfinished frame, as far as it came. */
  private readonly sizeField = Buffer.alloc(SIZE_BYTES);
  private sizeHave = 0;
  /** -1 until the size field is whole. */
  private size = -1;
  private filled = 0;
  /** What came of the unfinished frame, in order; each with its own user of what it is a view of. */
  private parts: Part[] = [];
  private partsBytes = 0;
  /** How much of the last part is filled; 0 when it is not one for small parts. */
  private smallFilled = 0;

  /** `count` sums what is held: pushed buffers until their last frame is released, and unfinished frames. */
  constructor(maxFrameBytes: number, count: ByteCount) {
    this.maxFrameBytes = maxFrameBytes;
    this.count = count;
  }

  push(buffer: Buffer): void {
    if (buffer.byteLength > 0) this.pending.push(new Received(buffer, this.count));
  }

  /** The next whole frame, whose caller is now a user of its `received`; null when more bytes are needed. Throws MalformedError on a size out of range. */
  next(): Frame | null {
    while (this.pending.length > 0) {
      const first = this.pending[0]!;
      const frame = this.sizeHave > 0 ? this.continueFrame(first) : this.beginFrame(first);
      if (this.offset === first.buffer.byteLength) this.dropFirst();
      if (frame !== null) return frame;
    }
    return null;
  }

  /** Whether a frame has begun and not ended in what `next` has seen. */
  get isUnfinished(): boolean {
    return this.sizeHave > 0;
  }

  /** What the unfinished frame holds. */
  get unfinishedBytes(): number {
    return this.partsBytes;
  }

  /** How many bytes the unfinished frame lacks; 0 when there is none, or its size is not known yet. */
  get missingBytes(): number {
    return this.size < 0 ? 0 : this.size - this.filled;
  }

  /** Lets go of everything. */
  clear(): void {
    while (this.pending.length > 0) this.dropFirst();
    this.forgetUnfinished();
  }

  private beginFrame(from: Received): Frame | null {
    const { buffer } = from;
    const left = buffer.byteLength - this.offset;
    if (left >= SIZE_BYTES) {
      const size = this.checked(buffer.readInt32BE(this.offset));
      const at = this.offset + SIZE_BYTES;
      if (left - SIZE_BYTES >= size) {
        this.offset = at + size;
        from.retain();
        return new Frame(from, at, at + size);
      }
    }
    this.unfinishedSerial++;
    return this.continueFrame(from);
  }

  private continueFrame(from: Received): Frame | null {
    if (this.size < 0) {
      const taken = from.buffer.copy(this.sizeField, this.sizeHave, this.offset);
      this.sizeHave += taken;
      this.offset += taken;
      if (this.sizeHave < SIZE_BYTES) return null;
      this.size = this.checked(this.sizeField.readInt32BE(0));
    }
    const wanted = Math.min(this.size - this.filled, from.buffer.byteLength - this.offset);
    if (wanted > 0) this.keep(from, this.offset, this.offset + wanted);
    this.filled += wanted;
    this.offset += wanted;
    return this.filled === this.size ? this.endFrame() : null;
  }

  /** Keeps a part of the unfinished frame. */
  private keep(from: Received, start: number, end: number): void {
    const bytes = end - start;
    if (bytes < SMALL_BYTES) return this.keepSmall(from.buffer, start, end);
    this.smallFilled = 0;
    if (bytes * 2 >= from.buffer.byteLength) {
      from.retain();
      this.addPart({ received: from, view: from.buffer.subarray(start, end) }, bytes);
    } else {
      const copy = Buffer.allocUnsafeSlow(bytes);
      from.buffer.copy(copy, 0, start, end);
      this.addPart({ received: new Received(copy, this.count), view: copy }, bytes);
    }
  }

  private keepSmall(buffer: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const room = this.smallFilled === 0 ? 0 : SMALL_BYTES - this.smallFilled;
      if (room === 0) {
        const empty = Buffer.allocUnsafeSlow(SMALL_BYTES);
        this.addPart({ received: new Received(empty, this.count), view: empty.subarray(0, 0) }, SMALL_BYTES);
        this.smallFilled = 0;
      }
      const last = this.parts[this.parts.length - 1]!;
      const { buffer: target } = last.received;
      const taken = buffer.copy(target, this.smallFilled, at, end);
      this.smallFilled += taken;
      last.view = target.subarray(0, this.smallFilled);
      at += taken;
    }
  }

  private addPart(part: Part, bytes: number): void {
    this.parts.push(part);
    this.partsBytes += bytes;
  }

  private endFrame(): Frame {
    const { size } = this;
    const whole = Buffer.allocUnsafeSlow(size);
    let at = 0;
    for (const { view } of this.parts) {
      whole.set(view, at);
      at += view.byteLength;
    }
    this.forgetUnfinished();
    return new Frame(new Received(whole, this.count), 0, size);
  }

  private forgetUnfinished(): void {
    for (const { received } of this.parts) received.release();
    this.parts = [];
    this.partsBytes = 0;
    this.smallFilled = 0;
    this.filled = 0;
    this.size = -1;
    this.sizeHave = 0;
  }

  private dropFirst(): void {
    this.pending.shift()!.release();
    this.offset = 0;
  }

  private checked(size: number): number {
    if (size < 0 || size > this.maxFrameBytes) {
      const foreign = foreignProtocol(size);
      const hint = foreign === "" ? "" : `; the client seems to speak ${foreign}`;
      throw new MalformedError(`a request of ${size} bytes is announced, the limit is ${this.maxFrameBytes}${hint}`);
    }
    return size;
  }
}

/** What a connection that does not speak Kafka probably speaks, from its first bytes; "" when nothing comes to mind. */
function foreignProtocol(sizeField: number): string {
  if (sizeField >>> 24 === 0x16) return "TLS"; // a handshake record
  const text = String.fromCharCode(sizeField >>> 24, (sizeField >>> 16) & 255, (sizeField >>> 8) & 255, sizeField & 255);
  return ["GET ", "POST", "HEAD", "PUT ", "PRI "].includes(text) ? "HTTP" : "";
}
