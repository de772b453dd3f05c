/**
 * Owns the sequential big-endian reading of Kafka's primitive types from one frame or record. Never copies: byte fields are
 * views of what is read. Nothing is read past `limit`, and no length or count is believed before it is compared with the
 * bytes that are left.
 */

/** Bytes that cannot be what they claim: too short, too long, or out of range. Its message does not say where: see `Reader.at`. */
export class OutOfBounds extends Error {
  override name = "OutOfBounds";
}

/** Items that the arrays of one frame may hold together, unless the caller sets another cap (DoS bound, not a Kafka limit). */
export const DEFAULT_ITEM_LIMIT = 100_000;

/** Kafka refuses longer strings in every version (Short.MAX). */
const MAX_STRING_BYTES = 0x7fff;

const TWO_32 = 2 ** 32;
const TWO_53 = 2 ** 53;
/** Long.MAX_VALUE is 2^63 - 1, which no double holds: it is read as, and written from, 2^63. */
export const LONG_MAX = 2 ** 63;
export const LONG_MIN = -(2 ** 63);

/** What JSC offers on buffers beyond the published types; faster than TextDecoder and `toString`. */
type SlicingBuffer = Buffer & {
  utf8Slice(start: number, end: number): string;
  base64urlSlice(start: number, end: number): string;
};

/** Reads `buf` from `at` up to `limit`. Every method moves `at`; after a throw its value is where reading stopped. */
export class Reader {
  readonly buf: Buffer;
  /** The next byte to read. */
  at: number;
  /** The first byte that may not be read. */
  readonly limit: number;
  /** How many more array items may be read: a small frame must not become a hundred thousand objects. */
  itemsLeft: number = DEFAULT_ITEM_LIMIT;
  private readonly view: DataView;

  constructor(buf: Uint8Array, at = 0, limit: number = buf.byteLength) {
    if (at < 0 || limit > buf.byteLength || at > limit)
      throw new RangeError(`cannot read ${at}..${limit} of ${buf.byteLength} bytes`);
    this.buf = buf instanceof Buffer ? buf : Buffer.from(buf.buffer, buf.byteOffset, buf.byteLength);
    this.at = at;
    this.limit = limit;
    this.view = new DataView(buf.buffer, buf.byteOffset, limit);
  }

  get remaining(): number {
    return this.limit - this.at;
  }

  /** Any byte but 0 is true, as in Kafka. */
  bool(): boolean {
    return this.int8() !== 0;
  }

  int8(): number {
    const at = this.at;
    if (at + 1 > this.limit) throw this.short(1);
    this.at = at + 1;
    return this.view.getInt8(at);
  }

  int16(): number {
    const at = this.at;
    if (at + 2 > this.limit) throw this.short(2);
    this.at = at + 2;
    return this.view.getInt16(at);
  }

  uint16(): number {
    const at = this.at;
    if (at + 2 > this.limit) throw this.short(2);
    this.at = at + 2;
    return this.view.getUint16(at);
  }

  int32(): number {
    const at = this.at;
    if (at + 4 > this.limit) throw this.short(4);
    this.at = at + 4;
    return this.view.getInt32(at);
  }

  uint32(): number {
    const at = this.at;
    if (at + 4 > this.limit) throw this.short(4);
    this.at = at + 4;
    return this.view.getUint32(at);
  }

  /** Exact: values up to ±2^53, and Long.MAX (as 2^63) and Long.MIN. Anything else out there is refused, never rounded. */
  int64(): number {
    const at = this.at;
    if (at + 8 > this.limit) throw this.short(8);
    this.at = at + 8;
    const high = this.view.getInt32(at);
    const low = this.view.getUint32(at + 4);
    const value = high * TWO_32 + low;
    if (value < TWO_53 && value > -TWO_53) return value;
    return this.wideInt64(high, low);
  }

  /** All 64 bits, signed: for numbers that are not counted with, such as hashes. */
  bits64(): bigint {
    const at = this.at;
    if (at + 8 > this.limit) throw this.short(8);
    this.at = at + 8;
    return this.view.getBigInt64(at);
  }

  float64(): number {
    const at = this.at;
    if (at + 8 > this.limit) throw this.short(8);
    this.at = at + 8;
    return this.view.getFloat64(at);
  }

  /** 22 characters of base64url, as Kafka prints topic ids. */
  uuid(): string {
    const at = this.at;
    if (at + 16 > this.limit) throw this.short(16);
    this.at = at + 16;
    return (this.buf as SlicingBuffer).base64urlSlice(at, at + 16);
  }

  /** Unsigned, at most five bytes, 0..2^32-1 (ByteUtils.readUnsignedVarint). */
  uvarint(): number {
    let at = this.at;
    const { buf, limit } = this;
    if (at >= limit) throw this.short(1);
    let byte = buf[at++]!;
    if (byte < 128) {
      this.at = at;
      return byte;
    }
    let value = byte & 127;
    for (let shift = 7; shift < 35; shift += 7) {
      if (at >= limit) throw this.short(1);
      byte = buf[at++]!;
      value |= (byte & 127) << shift;
      if (byte < 128) {
        this.at = at;
        return value >>> 0;
      }
    }
    throw new OutOfBounds("a varint is longer than five bytes");
  }

  /** Zigzag, -2^31..2^31-1 (record fields). */
  varint(): number {
    const raw = this.uvarint();
    return (raw >>> 1) ^ -(raw & 1);
  }

  /** Zigzag of 64 bits in at most ten bytes; exact as `int64` is. */
  varlong(): number {
    let low = 0;
    let middle = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= this.limit) throw this.short(1);
      const byte = this.buf[this.at++]!;
      if (shift < 28) low |= (byte & 127) << shift;
      else if (shift < 56) middle |= (byte & 127) << (shift - 28);
      else high |= (byte & 127) << (shift - 56);
      if (byte < 128) return this.unzigzag(low, middle, high);
    }
    throw new OutOfBounds("a varlong is longer than ten bytes");
  }

  /** A string of `length` bytes; its length has been read by the caller. Bytes that are not UTF-8 become U+FFFD, as in Java. */
  utf8(length: number): string {
    if (length > MAX_STRING_BYTES) throw new OutOfBounds(`a string of ${length} bytes is longer than ${MAX_STRING_BYTES}`);
    const at = this.at;
    if (at + length > this.limit) throw this.short(length);
    this.at = at + length;
    return (this.buf as SlicingBuffer).utf8Slice(at, at + length);
  }

  /** A view of the next `length` bytes: it shares memory with the frame and keeps the frame alive. */
  slice(length: number): Buffer {
    const at = this.at;
    if (at + length > this.limit) throw this.short(length);
    this.at = at + length;
    return this.buf.subarray(at, at + length);
  }

  skip(length: number): void {
    if (this.at + length > this.limit) throw this.short(length);
    this.at += length;
  }

  /** Checks an array's count before anything is allocated for it: against the bytes left, and against the cap on items. */
  items(count: number, minItemBytes: number): number {
    if (count * minItemBytes > this.limit - this.at) {
      throw new OutOfBounds(
        `an array of ${count} items of at least ${minItemBytes} bytes, but only ${this.remaining} bytes are left`,
      );
    }
    this.itemsLeft -= count;
    if (this.itemsLeft < 0) throw new OutOfBounds(`an array of ${count} items exceeds the limit on items of one frame`);
    return count;
  }

  /** Skips a section of tagged fields of which none is known. */
  skipTags(): void {
    for (let count = this.uvarint(); count > 0; count--) {
      this.uvarint();
      this.skip(this.uvarint());
    }
  }

  /** Called by compiled decoders where a length says null and the field has no null. */
  unexpectedNull(): OutOfBounds {
    return new OutOfBounds("null in a field that is not nullable");
  }

  /** Called by compiled decoders after a known tagged field: its value must fill the size that was announced, exactly. */
  endTag(tag: number, end: number): void {
    if (this.at !== end) throw new OutOfBounds(`tagged field ${tag} ends at byte ${this.at}, but its size says ${end}`);
  }

  private short(wanted: number): OutOfBounds {
    return new OutOfBounds(`${wanted} bytes wanted, ${this.remaining} left`);
  }

  private wideInt64(high: number, low: number): number {
    if (high === 0x7fffffff && low === 0xffffffff) return LONG_MAX;
    if (high === -0x80000000 && low === 0) return LONG_MIN;
    if (low === 0 && (high === 0x200000 || high === -0x200000)) return high * TWO_32;
    throw new OutOfBounds(`int64 ${(BigInt(high) << 32n) | BigInt(low)} is beyond ±2^53`);
  }

  /** `low` and `middle` hold 28 bits each, `high` the rest. */
  private unzigzag(low: number, middle: number, high: number): number {
    if (high > 0xff) throw new OutOfBounds("a varlong is wider than 64 bits");
    const lowWord = (low | (middle << 28)) >>> 0;
    const highWord = ((middle >>> 4) | (high << 24)) >>> 0;
    const negative = lowWord & 1;
    const value = ((lowWord >>> 1) | (highWord << 31)) >>> 0;
    const upper = highWord >>> 1;
    if (negative === 0) return this.checked(upper, value);
    return this.checked(~upper, ~value >>> 0);
  }

  private checked(high: number, low: number): number {
    const value = (high | 0) * TWO_32 + low;
    return value < TWO_53 && value > -TWO_53 ? value : this.wideInt64(high | 0, low);
  }
}
