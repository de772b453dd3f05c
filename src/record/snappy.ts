/**
 * Snappy decompression: the block format, alone or in the framing of xerial's snappy-java (what Java clients send).
 * Source: snappy's format_description.txt; org.xerial.snappy.SnappyInputStream.
 *
 * The framing: magic 82 'SNAPPY' 00, version int32, compatible version int32, then chunks of {int32 size, block}. The header
 * may stand again between chunks (concatenated streams).
 */
import { badCompression, decompressedTooLarge } from "./errors.ts";

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_MAGIC_HEAD = XERIAL_MAGIC.readInt32BE(0);
const XERIAL_HEADER_BYTES = 16;
/** No snappy element makes more than 64 bytes out of 3; a block that claims more than this is lying. */
const MAX_EXPANSION = 64;

/** Decompresses all of `bytes` into a new buffer. Throws INVALID_RECORD if malformed, MESSAGE_TOO_LARGE beyond `maxBytes`. */
export function decompressSnappy(bytes: Buffer, maxBytes: number): Buffer {
  if (!isXerial(bytes)) {
    const output = allocate(blockLength(bytes, 0, bytes.length), maxBytes);
    decodeBlock(bytes, 0, bytes.length, output, 0);
    return output;
  }
  let total = 0;
  forEachChunk(bytes, (start, end) => {
    total += blockLength(bytes, start, end);
    if (total > maxBytes) throw decompressedTooLarge(maxBytes);
  });
  const output = allocate(total, maxBytes);
  let to = 0;
  forEachChunk(bytes, (start, end) => {
    to = decodeBlock(bytes, start, end, output, to);
  });
  return output;
}

const isXerial = (bytes: Buffer): boolean =>
  bytes.length >= XERIAL_HEADER_BYTES && XERIAL_MAGIC.compare(bytes, 0, XERIAL_MAGIC.length) === 0;

function forEachChunk(bytes: Buffer, chunk: (start: number, end: number) => void): void {
  let at = XERIAL_HEADER_BYTES;
  while (at < bytes.length) {
    if (bytes.length - at < 4) throw badCompression("snappy: a chunk's size is cut short");
    const size = bytes.readInt32BE(at);
    if (size === XERIAL_MAGIC_HEAD) {
      at += XERIAL_HEADER_BYTES;
      continue;
    }
    at += 4;
    if (size <= 0 || size > bytes.length - at) throw badCompression("snappy: a chunk's size is wrong");
    chunk(at, at + size);
    at += size;
  }
}

function allocate(length: number, maxBytes: number): Buffer {
  if (length > maxBytes) throw decompressedTooLarge(maxBytes);
  return Buffer.allocUnsafe(length);
}

/** The decompressed length that a block begins with, refused if the block is too small for it. */
function blockLength(bytes: Buffer, start: number, end: number): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = start + i < end ? bytes[start + i]! : 0x80;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) {
      if (length > (end - start) * MAX_EXPANSION) throw badCompression("snappy: the block is too small for its length");
      return length;
    }
  }
  throw badCompression("snappy: the block's length is malformed");
}

/** Decodes one block to `output[to...]`, where its length has been made sure of; returns the position behind it. */
function decodeBlock(bytes: Buffer, start: number, end: number, output: Buffer, outputStart: number): number {
  const outputEnd = outputStart + blockLength(bytes, start, end);
  let at = start;
  while (bytes[at]! >= 0x80) at++;
  at++;
  let to = outputStart;
  while (at < end) {
    const tag = bytes[at++]!;
    let length = (tag >>> 2) + 1;
    let distance: number;
    switch (tag & 3) {
      case 0: {
        if (length > 60) {
          const lengthBytes = length - 60;
          if (lengthBytes > end - at) throw badCompression("snappy: a literal is cut short");
          length = bytes.readUIntLE(at, lengthBytes) + 1;
          at += lengthBytes;
        }
        if (length > end - at || length > outputEnd - to) throw badCompression("snappy: a literal is too long");
        to = copyLiteral(bytes, at, length, output, to);
        at += length;
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
        distance = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
        at += 4;
    }
    if (at > end || distance === 0 || distance > to - outputStart || length > outputEnd - to)
      throw badCompression("snappy: a copy lies outside the block");
    for (const copyEnd = to + length; to < copyEnd; to++) output[to] = output[to - distance]!;
  }
  if (to !== outputEnd) throw badCompression("snappy: the block is shorter than its length");
  return to;
}

function copyLiteral(from: Buffer, at: number, length: number, output: Buffer, to: number): number {
  if (length > 24) from.copy(output, to, at, at + length);
  else for (let i = 0; i < length; i++) output[to + i] = from[at + i]!;
  return to + length;
}
