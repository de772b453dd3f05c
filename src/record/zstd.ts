/**
 * The shape of zstd frames. The runtime's decompressor accepts frames that are cut short and ignores what follows them; Java
 * consumers do neither, so a batch with either fault would stop them for good. And it takes as much memory as a frame's header asks
 * for: see `narrowed`. Source: RFC 8878, section 3.1.
 */
import { badCompression, looksBackTooFar } from "./errors.ts";

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const SINGLE_SEGMENT_BIT = 0x20;
const CHECKSUM_BIT = 0x04;
/** Decompressors refuse a larger window, unless told otherwise; those of consumers too. */
const WINDOW_LIMIT_BYTES = 2 ** 27;
const RUN_LENGTH_BLOCK = 1;
const RESERVED_BLOCK = 3;
/** Bytes for the decompressor: frames, or the header of one, or the rest of that one. */
export interface ZstdPart {
  readonly bytes: Buffer;
  /** The rest of a frame that was narrowed: if it comes to more than this, what comes out may be wrong. Null for all others. */
  readonly maxContentBytes: number | null;
}

export interface ZstdFrames {
  /** In order: views of what was checked, and new headers. */
  readonly parts: readonly ZstdPart[];
  /** The largest window that they ask for. */
  readonly windowBytes: number;
}

/**
 * Throws INVALID_RECORD unless `bytes` are one or more whole frames and nothing else, MESSAGE_TOO_LARGE if one says that it needs a window
 * of more than `windowMaxBytes` (at least 1 KiB). Their contents are not looked at.
 */
export function checkZstdFrames(bytes: Buffer, windowMaxBytes: number): ZstdFrames {
  const parts: ZstdPart[] = [];
  let from = 0;
  let windowBytes = 0;
  let at = 0;
  do {
    const header = frameHeader(bytes, at);
    if (header === null) {
      at = within(bytes, at + 8 + bytes.readUInt32LE(at + 4));
      continue;
    }
    const start = at;
    at = frameEnd(bytes, header);
    windowBytes = Math.max(windowBytes, Math.min(header.windowBytes, windowMaxBytes));
    if (header.windowBytes <= windowMaxBytes) continue;
    if (header.contentBytes > windowMaxBytes) throw looksBackTooFar("zstd", windowMaxBytes);
    if (start > from) parts.push({ bytes: bytes.subarray(from, start), maxContentBytes: null });
    parts.push({ bytes: narrowed(bytes, start, header, windowMaxBytes), maxContentBytes: null });
    parts.push({ bytes: bytes.subarray(header.end, at), maxContentBytes: windowMaxBytes });
    from = at;
  } while (at < bytes.length);
  if (at > from) parts.push({ bytes: bytes.subarray(from, at), maxContentBytes: null });
  return { parts, windowBytes };
}

interface FrameHeader {
  readonly end: number;
  readonly descriptor: number;
  readonly windowBytes: number;
  /** 0: the header does not say. */
  readonly contentBytes: number;
}

/** Null for a frame that is to be skipped. */
function frameHeader(bytes: Buffer, start: number): FrameHeader | null {
  if (bytes.length - start < 8) throw badCompression("zstd: a frame is cut short");
  const magic = bytes.readUInt32LE(start);
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) return null;
  if (magic !== FRAME_MAGIC) throw badCompression("zstd: no frame");
  const descriptor = bytes[start + 4]!;
  const isSingleSegment = (descriptor & SINGLE_SEGMENT_BIT) !== 0;
  const contentSizeBytes = CONTENT_SIZE_BYTES[descriptor >>> 6]! || (isSingleSegment ? 1 : 0);
  const end = within(bytes, start + 5 + (isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]! + contentSizeBytes);
  const contentBytes = contentSize(bytes, end - contentSizeBytes, contentSizeBytes);
  const windowBytes = isSingleSegment ? contentBytes : windowOf(bytes[start + 5]!);
  if (windowBytes > WINDOW_LIMIT_BYTES) throw badCompression("zstd: a window of more than 128 MiB");
  return { end, descriptor, windowBytes, contentBytes };
}

const windowOf = (descriptor: number): number => 2 ** (10 + (descriptor >>> 3)) * (1 + (descriptor & 7) / 8);

function contentSize(bytes: Buffer, at: number, size: number): number {
  if (size === 0) return 0;
  if (size === 8) return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
  return size === 2 ? bytes.readUInt16LE(at) + 256 : bytes.readUIntLE(at, size);
}

/**
 * The header of the frame at `start`, with a window that is just enough for `windowMaxBytes` of content: the highest levels of zstd ask
 * for 128 MiB whatever they compress. A frame that comes to more must not be used: the decompressor does not notice what it lacks.
 */
function narrowed(bytes: Buffer, start: number, { end, descriptor }: FrameHeader, windowMaxBytes: number): Buffer {
  const fieldsAt = start + ((descriptor & SINGLE_SEGMENT_BIT) !== 0 ? 5 : 6);
  const begin = Buffer.from(bytes.subarray(start, start + 6));
  begin[4] = descriptor & ~SINGLE_SEGMENT_BIT;
  begin[5] = Math.max(0, Math.ceil(Math.log2(windowMaxBytes)) - 10) << 3;
  return Buffer.concat([begin, bytes.subarray(fieldsAt, end)]);
}

function frameEnd(bytes: Buffer, { end, descriptor }: FrameHeader): number {
  let at = end;
  for (let isLast = false; !isLast; ) {
    if (bytes.length - at < 3) throw badCompression("zstd: a frame is cut short");
    const block = bytes.readUIntLE(at, 3);
    const type = (block >>> 1) & 3;
    if (type === RESERVED_BLOCK) throw badCompression("zstd: a block of a reserved type");
    isLast = (block & 1) !== 0;
    at += 3 + (type === RUN_LENGTH_BLOCK ? 1 : block >>> 3);
  }
  return within(bytes, at + ((descriptor & CHECKSUM_BIT) !== 0 ? 4 : 0));
}

function within(bytes: Buffer, end: number): number {
  if (end > bytes.length) throw badCompression("zstd: a frame is cut short");
  return end;
}
