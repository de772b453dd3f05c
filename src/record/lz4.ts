/**
 * LZ4 decompression: the frame format with independent blocks, which is what Kafka reads and writes.
 * Source: lz4_Frame_format.md, lz4_Block_format.md; org.apache.kafka.common.compress.Lz4BlockInputStream (the first frame only;
 * header and block checksums are verified, the content checksum is not; dependent blocks are refused).
 */
import { badCompression } from "./errors.ts";
import { free, type Pieces, pieceBuffer } from "./pieces.ts";
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

/** The contents of the frame that `bytes` begin with, block by block. Blocks come to 64 KiB mostly, to 4 MiB at most. */
export class Lz4Pieces implements Pieces {
  private readonly bytes: Buffer;
  private readonly frame: Frame;
  private at: number;
  private output: Buffer = pieceBuffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.frame = readFrameHeader(bytes);
    this.at = this.frame.firstBlockAt;
  }

  next(): Buffer | null {
    for (;;) {
      const block = readBlock(this.bytes, this.at, this.frame);
      if (block === null) return null;
      this.at = block.nextAt;
      const piece = this.unpack(block);
      if (piece.length > 0) return piece;
    }
  }

  done(): void {
    free(this.output);
    this.output = pieceBuffer;
  }

  private unpack({ start, end, isCompressed }: Block): Buffer {
    const { bytes } = this;
    if (!isCompressed) return bytes.subarray(start, end);
    const mostBytes = Math.min(this.frame.maxBlockBytes, (end - start) * MAX_EXPANSION);
    if (mostBytes > this.output.length) {
      free(this.output);
      this.output = Buffer.allocUnsafeSlow(mostBytes);
    }
    return this.output.subarray(0, decodeBlock(bytes, start, end, this.output, mostBytes));
  }
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

interface Block {
  readonly start: number;
  readonly end: number;
  readonly isCompressed: boolean;
  readonly nextAt: number;
}

/** Null at the end of the frame. */
function readBlock(bytes: Buffer, at: number, frame: Frame): Block | null {
  const start = at + 4;
  if (start > bytes.length) throw badCompression("lz4: the stream ends early");
  const word = bytes.readUInt32LE(at);
  const size = word % UNCOMPRESSED_BIT;
  if (size === 0) {
    if (frame.hasContentChecksum && bytes.length - start < 4) throw badCompression("lz4: the stream ends early");
    return null;
  }
  const end = start + size;
  const nextAt = end + (frame.hasBlockChecksums ? 4 : 0);
  if (size > frame.maxBlockBytes) throw badCompression("lz4: a block is larger than the frame allows");
  if (nextAt > bytes.length) throw badCompression("lz4: the stream ends early");
  if (frame.hasBlockChecksums && xxHash32(bytes, start, end) !== bytes.readUInt32LE(end))
    throw badCompression("lz4: a block's checksum is wrong");
  return { start, end, isCompressed: word < UNCOMPRESSED_BIT, nextAt };
}

/** Decodes one block to `output[0, limit)`; returns how many bytes that were. */
function decodeBlock(bytes: Buffer, start: number, end: number, output: Buffer, limit: number): number {
  let at = start;
  let to = 0;
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
    if (length > limit - to) throw badCompression("lz4: a block is larger than the frame allows");
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
    if (at > end || distance === 0 || distance > to) throw badCompression("lz4: a match lies outside the block");
    if (length > limit - to) throw badCompression("lz4: a block is larger than the frame allows");
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
