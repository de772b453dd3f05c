/**
 * Snappy decompression: the block format, alone or in the framing of xerial's snappy-java (what Java clients send).
 * Source: snappy's format_description.txt; org.xerial.snappy.SnappyInputStream.
 *
 * The framing: magic 82 'SNAPPY' 00, version int32, compatible version int32, then chunks of {int32 size, block}. The header
 * may stand again between chunks (concatenated streams).
 */
import { badCompression, looksBackTooFar } from "./errors.ts";
import { free, type Pieces, pieceBuffer } from "./pieces.ts";

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_MAGIC_HEAD = XERIAL_MAGIC.readInt32BE(0);
const XERIAL_HEADER_BYTES = 16;
/** No snappy element makes more than 64 bytes out of 3; a block that claims more than this is lying. */
const MAX_EXPANSION = 64;

const INT_MAX = 0x7fff_ffff;
/** How far back a copy may refer in a block of more than WINDOW_MAX_BYTES. The widest encoders that are known have blocks of 4 MiB. */
const LOOK_BACK_BYTES = 4 * 1024 * 1024;
/** Blocks up to this size are decoded as one piece. */
const WINDOW_MAX_BYTES = 2 * LOOK_BACK_BYTES;
/** The longest copy. */
const COPY_MAX_BYTES = 64;

/** The contents of `bytes`, block by block, and those of a very long block in several pieces. */
export class SnappyPieces implements Pieces {
  private readonly bytes: Buffer;
  private readonly isFramed: boolean;
  /** Of the next chunk. */
  private at: number;
  private output: Buffer = pieceBuffer;
  /** The block that is being decoded. */
  private block: Block | null = null;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.isFramed = isXerial(bytes);
    this.at = this.isFramed ? XERIAL_HEADER_BYTES : 0;
  }

  next(): Buffer | null {
    for (;;) {
      this.block ??= this.nextBlock();
      if (this.block === null) return null;
      const piece = decodeSome(this.bytes, this.block, this.output);
      if (this.block.left === 0) this.block = null;
      if (piece.length > 0) return piece;
    }
  }

  done(): void {
    free(this.output);
    this.output = pieceBuffer;
  }

  private nextBlock(): Block | null {
    const { bytes } = this;
    if (!this.isFramed) {
      if (this.at > 0) return null;
      this.at = 1;
      return this.begin(0, bytes.length);
    }
    while (this.at < bytes.length) {
      if (bytes.length - this.at < 4) throw badCompression("snappy: a chunk's size is cut short");
      const size = bytes.readInt32BE(this.at);
      if (size === XERIAL_MAGIC_HEAD) {
        this.at += XERIAL_HEADER_BYTES;
        continue;
      }
      const start = this.at + 4;
      if (size <= 0 || size > bytes.length - start) throw badCompression("snappy: a chunk's size is wrong");
      this.at = start + size;
      return this.begin(start, start + size);
    }
    return null;
  }

  private begin(start: number, end: number): Block {
    const block = beginBlock(this.bytes, start, end);
    const windowBytes = Math.min(block.left, WINDOW_MAX_BYTES);
    if (windowBytes > this.output.length) {
      free(this.output);
      this.output = Buffer.allocUnsafeSlow(windowBytes);
    }
    return block;
  }
}

const isXerial = (bytes: Buffer): boolean =>
  bytes.length >= XERIAL_HEADER_BYTES && XERIAL_MAGIC.compare(bytes, 0, XERIAL_MAGIC.length) === 0;

interface Block {
  /** Of the next element. */
  at: number;
  readonly end: number;
  /** What is still to come of the block's contents. */
  left: number;
  /** What is still to come of a literal that did not fit. */
  literalLeft: number;
  /** Decoded bytes that the output begins with, for copies to refer to. */
  held: number;
  /** Whether earlier ones were given up. */
  hasForgotten: boolean;
}

/** Reads the length that a block begins with, refused if the block is too small for it. */
function beginBlock(bytes: Buffer, start: number, end: number): Block {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = start + i < end ? bytes[start + i]! : 0x80;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) {
      if (length > (end - start) * MAX_EXPANSION || length > INT_MAX)
        throw badCompression("snappy: the block is too small for its length");
      // An integer to the compiler too: a position that came out of a double makes the loop below ten times slower.
      return { at: start + i + 1, end, left: length | 0, literalLeft: 0, held: 0, hasForgotten: false };
    }
  }
  throw badCompression("snappy: the block's length is malformed");
}

/** Decodes a block to its end, or until `output` is full; returns the new bytes in it. */
function decodeSome(bytes: Buffer, block: Block, output: Buffer): Buffer {
  if (block.held > LOOK_BACK_BYTES) {
    output.copyWithin(0, block.held - LOOK_BACK_BYTES, block.held);
    block.held = LOOK_BACK_BYTES;
    block.hasForgotten = true;
  }
  const { end } = block;
  const from = block.held;
  /** Where the block's contents end; beyond the output for a very long block. */
  const blockEnd = from + block.left;
  const full = blockEnd <= output.length ? blockEnd : output.length - COPY_MAX_BYTES;
  /** Elements that begin below it are decoded; in the last part all, so that what is too much is found. */
  const stop = full === blockEnd ? blockEnd + 1 : full;
  let at = block.at;
  let to = from;
  let { literalLeft } = block;
  if (literalLeft > 0) {
    const count = Math.min(literalLeft, full - to);
    to = copyLiteral(bytes, at, count, output, to);
    at += count;
    literalLeft -= count;
  }
  while (at < end && to < stop) {
    const tag = bytes[at++]!;
    let length = (tag >>> 2) + 1;
    let distance: number;
    switch (tag & 3) {
      case 0: {
        if (length > 60) {
          const lengthBytes = length - 60;
          if (lengthBytes > end - at) throw badCompression("snappy: a literal is cut short");
          length = int(bytes, at, lengthBytes) + 1;
          at += lengthBytes;
        }
        if (length <= 0 || length > end - at || length > blockEnd - to) throw badCompression("snappy: a literal is too long");
        const count = Math.min(length, full - to);
        to = copyLiteral(bytes, at, count, output, to);
        at += count;
        literalLeft = length - count;
        continue;
      }
      case 1:
        length = ((tag >>> 2) & 7) + 4;
        distance = ((tag >>> 5) << 8) | bytes[at]!;
        at += 1;
        break;
      case 2:
        distance = bytes[at]! | (bytes[at + 1]! << 8);
        at += 2;
        break;
      default:
        distance = int(bytes, at, 4);
        at += 4;
    }
    if (at > end || distance === 0 || length > blockEnd - to) throw badCompression("snappy: a copy lies outside the block");
    if (distance > to || distance < 0) {
      if (block.hasForgotten) throw looksBackTooFar("snappy", LOOK_BACK_BYTES);
      throw badCompression("snappy: a copy lies outside the block");
    }
    const copyEnd = to + length;
    // A copy that overlaps itself repeats; short ones are faster by hand.
    if (length >= 20 && distance >= length) output.copyWithin(to, to - distance, copyEnd - distance);
    else for (; to < copyEnd; to++) output[to] = output[to - distance]!;
    to = copyEnd;
  }
  block.at = at;
  block.held = to;
  block.literalLeft = literalLeft;
  block.left = blockEnd - to;
  if (at === end && literalLeft === 0 && block.left > 0) throw badCompression("snappy: the block is shorter than its length");
  return output.subarray(from, to);
}

/** Little endian, of up to four bytes; 2^31 and above come out negative. Not readUIntLE: a number that may be a double makes loops slow. */
function int(bytes: Buffer, at: number, count: number): number {
  let value = 0;
  for (let i = 0; i < count; i++) value |= bytes[at + i]! << (8 * i);
  return value;
}

function copyLiteral(from: Buffer, at: number, length: number, output: Buffer, to: number): number {
  if (length > 24) from.copy(output, to, at, at + length);
  else for (let i = 0; i < length; i++) output[to + i] = from[at + i]!;
  return to + length;
}
