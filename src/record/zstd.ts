/**
 * The shape of zstd frames. The runtime's decompressor accepts frames that are cut short and ignores what follows them; Java
 * consumers do neither, so a batch with either fault would stop them for good. Source: RFC 8878, section 3.1.
 */
import { badCompression } from "./errors.ts";

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const RUN_LENGTH_BLOCK = 1;
const RESERVED_BLOCK = 3;

/** Throws INVALID_RECORD unless `bytes` are one or more whole frames and nothing else. Their contents are not looked at. */
export function checkZstdFrames(bytes: Buffer): void {
  let at = 0;
  do at = frameEnd(bytes, at);
  while (at < bytes.length);
}

function frameEnd(bytes: Buffer, start: number): number {
  if (bytes.length - start < 8) throw badCompression("zstd: a frame is cut short");
  const magic = bytes.readUInt32LE(start);
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) return within(bytes, start + 8 + bytes.readUInt32LE(start + 4));
  if (magic !== FRAME_MAGIC) throw badCompression("zstd: no frame");
  const descriptor = bytes[start + 4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const contentSizeBytes = CONTENT_SIZE_BYTES[descriptor >>> 6]! || (isSingleSegment ? 1 : 0);
  let at = start + 5 + (isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]! + contentSizeBytes;
  for (let isLast = false; !isLast; ) {
    if (bytes.length - at < 3) throw badCompression("zstd: a frame is cut short");
    const block = bytes.readUIntLE(at, 3);
    const type = (block >>> 1) & 3;
    if (type === RESERVED_BLOCK) throw badCompression("zstd: a block of a reserved type");
    isLast = (block & 1) !== 0;
    at += 3 + (type === RUN_LENGTH_BLOCK ? 1 : block >>> 3);
  }
  return within(bytes, at + ((descriptor & 0x04) !== 0 ? 4 : 0));
}

function within(bytes: Buffer, end: number): number {
  if (end > bytes.length) throw badCompression("zstd: a frame is cut short");
  return end;
}
