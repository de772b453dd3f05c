/**
 * Owns the writing of Kafka's primitive types into a list of chunks. Small fields go to a scratch buffer that grows; byte fields
 * of REFERENCE_MIN bytes or more are referenced, not copied, and stored ones are not even read: the records of a fetch go to the
 * socket from where they lie.
 */
import { type Chunk, releaseChunks } from "./chunks.ts";
import { LONG_MAX, LONG_MIN } from "./reader.ts";

/** From this size on a byte field is referenced instead of copied, in bytes. */
export const REFERENCE_MIN = 1024;

const INITIAL_SCRATCH = 1024;
/** A scratch doubles when it grows, but by no more than this. */
const MAX_SPARE = 1 << 20;
const MAX_STRING_BYTES = 0x7fff;
const TWO_32 = 2 ** 32;
const TWO_53 = 2 ** 53;

/** Faster on JSC than `write(value, at, encoding)`, and absent from the published types. */
type WritingBuffer = Buffer & {
  utf8Write(value: string, at: number): number;
  base64urlWrite(value: string, at: number, length: number): number;
};

/**
 * Collects one message after another: after `finish()` it is empty again and may be reused. What `finish()` returned is never
 * written to again. Values that do not fit their type are refused with RangeError, never wrapped.
 */
export class Writer {
  private readonly scratchBytes: number;
  private scratch: WritingBuffer;
  private view: DataView;
  /** Where in the scratch the chunk that is being written begins. */
  private start = 0;
  private at = 0;
  /** Bytes of this message before scratch[0], so that base + at is the size so far. */
  private base = 0;
  private chunks: Chunk[] = [];
  /** Inside tagged fields nothing is referenced: their size stands before them and they may have to be moved. */
  private tagDepth = 0;

  /** `scratchBytes`: how much to allocate at a time. What `finish()` returns keeps that much alive. */
  constructor(scratchBytes: number = INITIAL_SCRATCH) {
    this.scratchBytes = scratchBytes;
    this.scratch = Buffer.allocUnsafeSlow(scratchBytes) as WritingBuffer;
    this.view = new DataView(this.scratch.buffer, this.scratch.byteOffset, this.scratch.byteLength);
  }

  /** Bytes written since the last `finish()`. */
  get size(): number {
    return this.base + this.at;
  }

  bool(value: boolean): void {
    if (this.at + 1 > this.scratch.length) this.grow(1);
    this.scratch[this.at++] = value ? 1 : 0;
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) throw unfit("int8", value);
    if (this.at + 1 > this.scratch.length) this.grow(1);
    this.view.setInt8(this.at++, value);
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) throw unfit("int16", value);
    if (this.at + 2 > this.scratch.length) this.grow(2);
    this.view.setInt16(this.at, value);
    this.at += 2;
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) throw unfit("uint16", value);
    if (this.at + 2 > this.scratch.length) this.grow(2);
    this.view.setUint16(this.at, value);
    this.at += 2;
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw unfit("int32", value);
    if (this.at + 4 > this.scratch.length) this.grow(4);
    this.view.setInt32(this.at, value);
    this.at += 4;
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) throw unfit("uint32", value);
    if (this.at + 4 > this.scratch.length) this.grow(4);
    this.view.setUint32(this.at, value);
    this.at += 4;
  }

  /** Integers up to ±2^53, and ±2^63 for Long.MAX and Long.MIN. */
  int64(value: number): void {
    if (this.at + 8 > this.scratch.length) this.grow(8);
    if (Number.isSafeInteger(value)) {
      this.view.setInt32(this.at, Math.floor(value / TWO_32));
      this.view.setUint32(this.at + 4, value >>> 0);
    } else this.wideInt64(value);
    this.at += 8;
  }

  bits64(value: bigint): void {
    if (this.at + 8 > this.scratch.length) this.grow(8);
    this.view.setBigInt64(this.at, value);
    this.at += 8;
  }

  float64(value: number): void {
    if (this.at + 8 > this.scratch.length) this.grow(8);
    this.view.setFloat64(this.at, value);
    this.at += 8;
  }

  /** 22 characters of base64url. */
  uuid(value: string): void {
    if (value.length !== 22) throw unfit("uuid", value);
    if (this.at + 16 > this.scratch.length) this.grow(16);
    if (this.scratch.base64urlWrite(value, this.at, 16) !== 16) throw unfit("uuid", value);
    this.at += 16;
  }

  /** 0..2^32-1, one to five bytes. */
  uvarint(value: number): void {
    if (value >>> 0 !== value) throw unfit("unsigned varint", value);
    if (this.at + 5 > this.scratch.length) this.grow(5);
    let rest = value;
    while (rest >= 128) {
      this.scratch[this.at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.scratch[this.at++] = rest;
  }

  /** Zigzag, -2^31..2^31-1. */
  varint(value: number): void {
    if ((value | 0) !== value) throw unfit("varint", value);
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  /** Zigzag of 64 bits; the same values as `int64`. */
  varlong(value: number): void {
    if (!Number.isSafeInteger(value) && Math.abs(value) !== TWO_53 && value !== LONG_MAX && value !== LONG_MIN)
      throw unfit("varlong", value);
    const exact = value === LONG_MAX ? 2n ** 63n - 1n : BigInt(value);
    let rest = BigInt.asUintN(64, (exact << 1n) ^ (exact >> 63n));
    if (this.at + 10 > this.scratch.length) this.grow(10);
    while (rest >= 128n) {
      this.scratch[this.at++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.scratch[this.at++] = Number(rest);
  }

  /** int16 length, then UTF-8. */
  string(value: string): void {
    const length = stringBytes(value);
    if (this.at + 2 + length > this.scratch.length) this.grow(2 + length);
    this.view.setInt16(this.at, length);
    this.scratch.utf8Write(value, this.at + 2);
    this.at += 2 + length;
  }

  /** Unsigned varint of length + 1, then UTF-8. */
  compactString(value: string): void {
    const length = stringBytes(value);
    this.uvarint(length + 1);
    if (this.at + length > this.scratch.length) this.grow(length);
    this.scratch.utf8Write(value, this.at);
    this.at += length;
  }

  /** The bytes alone, without a length. From REFERENCE_MIN on they are referenced: they must not change until they were sent. */
  bytes(value: Uint8Array): void {
    const length = value.byteLength;
    if (length >= REFERENCE_MIN && this.tagDepth === 0) return this.reference(value);
    if (this.at + length > this.scratch.length) this.grow(length);
    this.scratch.set(value, this.at);
    this.at += length;
  }

  /** int32 length, then the bytes, or all of several chunks one after another. */
  sizedBytes(value: Uint8Array | readonly Chunk[]): void {
    this.int32(byteLength(value));
    this.allBytes(value);
  }

  /** Unsigned varint of length + 1, then the bytes, or all of several chunks one after another. */
  compactBytes(value: Uint8Array | readonly Chunk[]): void {
    this.uvarint(byteLength(value) + 1);
    this.allBytes(value);
  }

  /** Leaves room for an int32; give what it returns to `patchInt32`. */
  reserveInt32(): number {
    const position = this.size;
    this.int32(0);
    return position;
  }

  patchInt32(position: number, value: number): void {
    if ((value | 0) !== value) throw unfit("int32", value);
    const inScratch = position - this.base;
    if (inScratch >= this.start && inScratch + 4 <= this.at) {
      this.view.setInt32(inScratch, value);
      return;
    }
    let before = 0;
    for (const chunk of this.chunks) {
      if (position < before + chunk.byteLength) {
        if (!(chunk instanceof Uint8Array)) break;
        new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength).setInt32(position - before, value);
        return;
      }
      before += chunk.byteLength;
    }
    throw new RangeError(`nothing was reserved at ${position}`);
  }

  /** Begins a tagged field; give what it returns to `endTag` when the value is written. */
  beginTag(tag: number): number {
    this.uvarint(tag);
    this.tagDepth++;
    this.uvarint(0); // one byte for the size: enough below 128
    return this.size;
  }

  endTag(begin: number): void {
    this.tagDepth--;
    const from = begin - this.base;
    const length = this.at - from;
    const extra = uvarintBytes(length) - 1;
    if (extra > 0) {
      if (this.at + extra > this.scratch.length) this.grow(extra);
      const moved = begin - this.base;
      this.scratch.copyWithin(moved + extra, moved, moved + length);
    }
    let at = begin - this.base - 1;
    for (let rest = length; ; rest >>>= 7) {
      if (rest < 128) {
        this.scratch[at++] = rest;
        break;
      }
      this.scratch[at++] = (rest & 127) | 128;
    }
    this.at = at + length;
  }

  /** The message as chunks to be sent in order; never empty. Stored ones become the caller's. The writer is then empty and may be reused. */
  finish(): Chunk[] {
    this.closeChunk();
    const { chunks } = this;
    if (chunks.length === 0) chunks.push(new Uint8Array(0));
    this.chunks = [];
    this.base = -this.at;
    return chunks;
  }

  /** As `finish`, but in one piece: copied if the message has several chunks. For messages without stored bytes. */
  finishOne(): Uint8Array {
    const chunks = this.finish() as Uint8Array[];
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  /** Forgets what was written since the last `finish()`, and releases it: for a caller whose message failed half-way. */
  discard(): void {
    releaseChunks(this.chunks);
    this.chunks = [];
    this.tagDepth = 0;
    this.start = this.at;
    this.base = -this.at;
  }

  private allBytes(value: Uint8Array | readonly Chunk[]): void {
    if (value instanceof Uint8Array) return this.bytes(value);
    for (const chunk of value) {
      if (chunk instanceof Uint8Array) this.bytes(chunk);
      else this.reference(chunk);
    }
  }

  private reference(chunk: Chunk): void {
    if (this.tagDepth > 0 && !(chunk instanceof Uint8Array)) throw new RangeError("stored bytes cannot stand in a tagged field");
    this.closeChunk();
    this.chunks.push(chunk);
    this.base += chunk.byteLength;
  }

  private closeChunk(): void {
    if (this.at === this.start) return;
    this.chunks.push(this.scratch.subarray(this.start, this.at));
    this.start = this.at;
  }

  /** Makes room: what is not yet a chunk moves to a larger (or fresh) scratch, what is one stays where it is. */
  private grow(wanted: number): void {
    const pending = this.at - this.start;
    const needed = pending + wanted;
    const old = this.scratch;
    this.scratch = Buffer.allocUnsafeSlow(Math.max(this.scratchBytes, needed + Math.min(needed, MAX_SPARE))) as WritingBuffer;
    this.view = new DataView(this.scratch.buffer, this.scratch.byteOffset, this.scratch.byteLength);
    this.scratch.set(old.subarray(this.start, this.at), 0);
    this.base += this.start;
    this.start = 0;
    this.at = pending;
  }

  private wideInt64(value: number): void {
    if (value === LONG_MAX) {
      this.view.setInt32(this.at, 0x7fffffff);
      this.view.setUint32(this.at + 4, 0xffffffff);
    } else if (value === LONG_MIN || value === TWO_53 || value === -TWO_53) {
      this.view.setInt32(this.at, value / TWO_32);
      this.view.setUint32(this.at + 4, 0);
    } else throw unfit("int64", value);
  }
}

/** Bytes of an unsigned varint. */
export function uvarintBytes(value: number): number {
  if (value < 128) return 1;
  if (value < 16384) return 2;
  if (value < 2097152) return 3;
  return value < 268435456 ? 4 : 5;
}

function byteLength(value: Uint8Array | readonly Chunk[]): number {
  if (value instanceof Uint8Array) return value.byteLength;
  let total = 0;
  for (const chunk of value) total += chunk.byteLength;
  return total;
}

function stringBytes(value: string): number {
  const length = Buffer.byteLength(value);
  if (length > MAX_STRING_BYTES) throw new RangeError(`a string of ${length} bytes is longer than ${MAX_STRING_BYTES}`);
  return length;
}

const unfit = (type: string, value: unknown): RangeError => new RangeError(`${String(value)} is no ${type}`);
