/**
 * LZ4 decompression: the frame format with independent blocks, which is what Kafka reads and writes.
 * Source: lz4_Frame_format.md, lz4_Block_format.md; org.apache.kafka.common.compress.Lz4BlockInputStream (the first frame only;
 * header and block checksums are verified, the content checksum is not; dependent blocks are refused).
 */
import { badCompression, decompressedTooLarge } from "./errors.ts";
import { xxHash32 } from "./xx-hash.ts";

const FRAME_MAGIC = 0x184d2204;
const UNCOMPRESSED_BIT = 0x8000_0000;
/** No LZ4 sequence makes more than 255 bytes out of one. */
const MAX_EXPANSION = 255;
const MIN_MATCH = 4;

interface Frame {
  firstBlockAt: number;
  maxBlockBytes: number;
  hasBlockChecksums: boolean;
  hasContentChecksum: boolean;
}

/** Decompresses the frame that `bytes` begin with into a new buffer. Throws INVALID_RECORD if malformed, MESSAGE_TOO_LARGE beyond `maxBytes`. */
export function decompressLz4(bytes: Buffer, maxBytes: number): Buffer {
  const frame = readFrameHeader(bytes);
  let mostBytes = 0;
  forEachBlock(bytes, frame, (start, end, isCompressed) => {
    mostBytes += isCompressed ? Math.min(frame.maxBlockBytes, (end - start) * MAX_EXPANSION) : end - start;
  });
  const output = Buffer.allocUnsafe(Math.min(mostBytes, maxBytes));
  let to = 0;
  forEachBlock(bytes, frame, (start, end, isCompressed) => {
    if (isCompressed)
      to = decodeBlock(bytes, start, end, output, to, Math.min(output.length, to + frame.maxBlockBytes), maxBytes);
    else {
      if (end - start > output.length - to) throw decompressedTooLarge(maxBytes);
      to += bytes.copy(output, to, start, end);
    }
  });
  return output.subarray(0, to);
}

function readFrameHeader(bytes: Buffer): Frame {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== FRAME_MAGIC) throw badCompression("lz4: no frame");
  const flags = bytes[4]!;
  const blockDescriptor = bytes[5]!;
  if (flags >>> 6 !== 1) throw badCompression("lz4: unknown frame version");
  if ((flags & 0x20) === 0) throw badCompression("lz4: dependent blocks");
  if ((flags & 0x03) !== 0 || (blockDescriptor & 0x8f) !== 0) throw badCompression("lz4: reserved bits are set");
  const blockSizeId = blockDescriptor >>> 4;
  if (blockSizeId < 4) throw badCompression("lz4: unknown block size");
  const checksumAt = (flags & 0x08) === 0 ? 6 : 14;
  if (checksumAt >= bytes.length) throw badCompression("lz4: the frame header is cut short");
  if (((xxHash32(bytes, 4, checksumAt) >>> 8) & 0xff) !== bytes[checksumAt]!)
    throw badCompression("lz4: the frame header's checksum is wrong");
  return {
    firstBlockAt: checksumAt + 1,
    maxBlockBytes: 1 << (2 * blockSizeId + 8),
    hasBlockChecksums: (flags & 0x10) !== 0,
    hasContentChecksum: (flags & 0x04) !== 0,
  };
}

function forEachBlock(bytes: Buffer, frame: Frame, block: (start: number, end: number, isCompressed: boolean) => void): void {
  let at = frame.firstBlockAt;
  for (;;) {
    if (bytes.length - at < 4) throw badCompression("lz4: the stream ends early");
    const word = bytes.readUInt32LE(at);
    at += 4;
    const size = word % UNCOMPRESSED_BIT;
    if (size === 0) {
      if (frame.hasContentChecksum && bytes.length - at < 4) throw badCompression("lz4: the stream ends early");
      return;
    }
    const end = at + size;
    if (size > frame.maxBlockBytes) throw badCompression("lz4: a block is larger than the frame allows");
    if (end + (frame.hasBlockChecksums ? 4 : 0) > bytes.length) throw badCompression("lz4: the stream ends early");
    if (frame.hasBlockChecksums && xxHash32(bytes, at, end) !== bytes.readUInt32LE(end))
      throw badCompression("lz4: a block's checksum is wrong");
    block(at, end, word < UNCOMPRESSED_BIT);
    at = end + (frame.hasBlockChecksums ? 4 : 0);
  }
}

/** Decodes one block to `output[outputStart, limit)`; returns the position behind it. */
function decodeBlock(
  bytes: Buffer,
  start: number,
  end: number,
  output: Buffer,
  outputStart: number,
  limit: number,
  maxBytes: number,
): number {
  const overflow = () =>
    limit === maxBytes ? decompressedTooLarge(maxBytes) : badCompression("lz4: a block is larger than the frame allows");
  let at = start;
  let to = outputStart;
  for (;;) {
    if (at >= end) throw badCompression("lz4: a block ends early");
    const token = bytes[at++]!;
    let length = token >>> 4;
    if (length === 15) {
      let more: number;
      do {
        if (at >= end) throw badCompression("lz4: a block ends early");
        more = bytes[at++]!;
        length += more;
      } while (more === 255);
    }
    if (length > end - at) throw badCompression("lz4: a literal is too long");
    if (length > limit - to) throw overflow();
    if (length > 24) bytes.copy(output, to, at, at + length);
    else for (let i = 0; i < length; i++) output[to + i] = bytes[at + i]!;
    to += length;
    at += length;
    if (at === end) return to;

    const distance = bytes[at]! | (bytes[at + 1]! << 8);
    at += 2;
    length = (token & 15) + MIN_MATCH;
    if (length === 15 + MIN_MATCH) {
      let more: number;
      do {
        if (at >= end) throw badCompression("lz4: a block ends early");
        more = bytes[at++]!;
        length += more;
      } while (more === 255);
    }
    if (at > end || distance === 0 || distance > to - outputStart) throw badCompression("lz4: a match lies outside the block");
    if (length > limit - to) throw overflow();
    to = copyMatch(output, to, distance, length);
  }
}

/** Repeats what lies `distance` before `to` for `length` bytes, overlapping itself if it must. */
function copyMatch(output: Buffer, to: number, distance: number, length: number): number {
  const end = to + length;
  if (length > 32) {
    // Each pass doubles what can be copied without overlap.
    let done = to;
    while (done < end) {
      const chunk = Math.min(end - done, done - (to - distance));
      output.copyWithin(done, to - distance, to - distance + chunk);
      done += chunk;
    }
    return end;
  }
  for (let i = to; i < end; i++) output[i] = output[i - distance]!;
  return end;
}
