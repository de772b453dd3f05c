/**
 * Varints of record bodies: protobuf's base 128, zig-zag. Read through one Cursor per walk, so that nothing is allocated per field.
 * Source: org.apache.kafka.common.utils.ByteUtils.
 */
import { invalidRecord } from "./errors.ts";

/** A position in `bytes[at, end)`. Reads past the end, or of overlong varints, throw INVALID_RECORD. */
export class Cursor {
  at: number;
  end: number;
  bytes: Buffer;

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    return this.at >= this.end ? this.underflow() : this.bytes[this.at++]!;
  }

  /** The byte behind the end: there is none, unless a cursor knows where to go on. */
  protected underflow(): number {
    throw invalidRecord("Found invalid record structure: it ends early");
  }

  /** Signed 32-bit. At most five bytes; bits above the 32nd are dropped. */
  varint(): number {
    let raw = this.byte();
    if (raw >= 0x80) {
      raw &= 0x7f;
      for (let shift = 7; ; shift += 7) {
        const next = this.byte();
        raw |= (next & 0x7f) << shift;
        if (next < 0x80) break;
        if (shift === 28) throw invalidRecord("Varint is too long, the most significant bit in the 5th byte is set");
      }
    }
    return (raw >>> 1) ^ -(raw & 1);
  }

  /** Signed 64-bit as a number, exact to ±2^53. At most ten bytes. */
  varlong(): number {
    const first = this.byte();
    if (first < 0x80) return (first >>> 1) ^ -(first & 1);
    // Three lanes of 28, 28 and 8 bits; halved lane by lane, so that only magnitudes beyond 2^53 lose bits.
    let low = first & 0x7f;
    let middle = 0;
    let high = 0;
    for (let shift = 7; ; shift += 7) {
      const next = this.byte();
      const bits = next & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift < 56) middle |= bits << (shift - 28);
      else high |= (bits << (shift - 56)) & 0xff;
      if (next < 0x80) break;
      if (shift === 63) throw invalidRecord("Varlong is too long, most significant bit in the 10th byte is set");
    }
    const half = high * 2 ** 55 + middle * 2 ** 27 + (low >>> 1);
    return (low & 1) === 0 ? half : -half - 1;
  }

  /** A view of the next `length` bytes; null if `length` is negative. */
  view(length: number): Buffer | null {
    if (length < 0) return null;
    if (length > this.end - this.at) throw invalidRecord("Found invalid record structure: a field is longer than the record");
    const from = this.at;
    this.at += length;
    return this.bytes.subarray(from, this.at);
  }

  /** A string of the next `length` bytes of UTF-8. */
  utf8(length: number): string {
    if (length > this.end - this.at) throw invalidRecord("Found invalid record structure: a field is longer than the record");
    const from = this.at;
    this.at += length;
    return this.bytes.toString("utf8", from, this.at);
  }
}

/** Bytes that `value` takes as a zig-zag varint; `value` within ±2^53. */
export function varintBytes(value: number): number {
  let rest = zigZag(value);
  let bytes = 1;
  while (rest >= 0x80) {
    rest = Math.floor(rest / 0x80);
    bytes++;
  }
  return bytes;
}

/** Writes `value` (within ±2^52) as a zig-zag varint and returns the position behind it. */
export function writeVarint(bytes: Buffer, at: number, value: number): number {
  let rest = zigZag(value);
  let to = at;
  while (rest >= 0x80) {
    bytes[to++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[to++] = rest;
  return to;
}

const zigZag = (value: number): number => (value >= 0 ? value * 2 : -value * 2 - 1);
