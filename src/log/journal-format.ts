/**
 * The journal's file: a header, then two halves of the same size, each filled with frames from its beginning again and again.
 *
 *   header (4 KiB): magic "qjnl" | version int16 = 2 | salt uint32 | zeros (version 1 was in no release)
 *   frame (a multiple of 4 KiB): magic "qjfr" | crc uint32 | sequence int64 | length int32 | entries, `length` bytes | zeros
 *   entry: kind int8 | key length int16 | segmentBaseOffset int64 | position int32 | length int32 | key | batch, `length` bytes
 *   key: topicId, 16 bytes | name of the partition's directory
 *
 * The crc covers the file's salt, a random number, and the frame from its sequence to the end of its entries, but for what each batch's own
 * CRC covers: nobody has to read it once more. Sequences grow by one from frame to frame: what a half held before does not go on where the
 * new frames end. What was a record then and looks like a frame is none: nobody outside knows the salt.
 */
import { crc32c } from "../bytes/crc32c.ts";
import { blockBuffer } from "../io/block-buffer.ts";
import { BLOCK_BYTES } from "../io/disk.ts";
import { BATCH_HEADER_BYTES, batchBytes, crcIsValid, UNCHECKED_BYTES } from "../record/batch.ts";

const HEADER_MAGIC = "qjnl";
const FRAME_MAGIC = "qjfr";
/** The only version that this program knows. */
export const JOURNAL_VERSION = 2;
export const FRAME_HEADER_BYTES = 20;
const CRC_FROM = 8;
const ENTRY_HEADER_BYTES = 19;
const TOPIC_ID_BYTES = 16;

/** A batch stands at `position` of the segment at `segmentBaseOffset`. */
const RECORDS = 1;
/** Nothing that was said of this log before is true any more. */
const FORGET = 2;

/** An entry as it is read; `bytes` is a view of what was read. */
export interface JournalEntry {
  readonly kind: "records" | "forget";
  readonly topicId: string;
  readonly directoryName: string;
  readonly segmentBaseOffset: number;
  readonly position: number;
  readonly bytes: Buffer;
}

export interface FrameHeader {
  readonly sequence: number;
  /** Of its entries. */
  readonly length: number;
}

export const wholeBlocks = (bytes: number): number => Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;

/** A log's name in entries. */
export function journalKey(topicId: string, directoryName: string): Buffer {
  return Buffer.concat([Buffer.from(topicId, "base64url"), Buffer.from(directoryName, "latin1")]);
}

/** `salt`: a random number below 2^32. */
export function journalHeader(salt: number): Buffer {
  const header = blockBuffer(BLOCK_BYTES).fill(0);
  header.write(HEADER_MAGIC, 0, "latin1");
  header.writeInt16BE(JOURNAL_VERSION, 4);
  header.writeUInt32BE(salt, 6);
  return header;
}

/** Of a header of our version. */
export const journalSalt = (header: Buffer): number => header.readUInt32BE(6);

/** Null if it is none. */
export function journalVersion(header: Buffer): number | null {
  return header.length >= BLOCK_BYTES && header.toString("latin1", 0, 4) === HEADER_MAGIC ? header.readInt16BE(4) : null;
}

export const entryBytes = (key: Buffer, bytes: number): number => ENTRY_HEADER_BYTES + key.length + bytes;

/** Writes an entry of a batch, or without one that the log's earlier entries are void, at `at` of a frame; returns where it ends. */
export function writeEntry(
  frame: Buffer,
  at: number,
  key: Buffer,
  segmentBaseOffset: number,
  position: number,
  bytes: Uint8Array | null,
): number {
  frame.writeInt8(bytes === null ? FORGET : RECORDS, at);
  frame.writeInt16BE(key.length, at + 1);
  frame.writeBigInt64BE(BigInt(segmentBaseOffset), at + 3);
  frame.writeInt32BE(position, at + 11);
  frame.writeInt32BE(bytes?.length ?? 0, at + 15);
  frame.set(key, at + ENTRY_HEADER_BYTES);
  const from = at + ENTRY_HEADER_BYTES + key.length;
  if (bytes !== null) frame.set(bytes, from);
  return from + (bytes?.length ?? 0);
}

/** Completes a frame whose entries end at `end`: writes its header and the zeros behind it. Returns its size. */
export function finishFrame(frame: Buffer, end: number, sequence: number, salt: number): number {
  const size = wholeBlocks(end);
  frame.fill(0, end, size);
  frame.write(FRAME_MAGIC, 0, "latin1");
  frame.writeBigInt64BE(BigInt(sequence), 8);
  frame.writeInt32BE(end - FRAME_HEADER_BYTES, 16);
  frame.writeUInt32BE(frameCrc(frame, end, salt), 4);
  return size;
}

/** The header of a frame, or null if there is none. */
export function readFrameHeader(b: Buffer): FrameHeader | null {
  if (b.length < FRAME_HEADER_BYTES || b.toString("latin1", 0, 4) !== FRAME_MAGIC) return null;
  const [sequence, length] = [Number(b.readBigInt64BE(8)), b.readInt32BE(16)];
  return length >= 0 && sequence > 0 ? { sequence, length } : null;
}

/** Whether everything in it is as it was written. */
export function frameIsWhole(frame: Buffer, header: FrameHeader, salt: number): boolean {
  const end = FRAME_HEADER_BYTES + header.length;
  if (frame.length < end || frame.readUInt32BE(4) !== frameCrc(frame, end, salt)) return false;
  for (const { kind, bytes } of readEntries(frame, header)) if (kind === "records" && !batchIsWhole(bytes)) return false;
  return true;
}

const batchIsWhole = (bytes: Buffer): boolean =>
  bytes.length >= BATCH_HEADER_BYTES && batchBytes(bytes, 0) === bytes.length && crcIsValid(bytes, 0);

/** Of a frame that ends at `end`. One whose entries do not end there has been damaged: the crc of what could be followed. */
function frameCrc(frame: Buffer, end: number, salt: number): number {
  let crc = crc32c(frame, CRC_FROM, FRAME_HEADER_BYTES, salt);
  for (let at = FRAME_HEADER_BYTES; at < end; ) {
    if (at + ENTRY_HEADER_BYTES > end) return crc;
    const bytesAt = batchAt(frame, at);
    const next = bytesAt + batchLength(frame, at);
    if (next > end) return crc;
    crc = crc32c(frame, at, Math.min(next, bytesAt + UNCHECKED_BYTES), crc);
    at = next;
  }
  return crc;
}

/** Where the batch of the entry at `at` begins. */
const batchAt = (frame: Buffer, at: number): number => at + ENTRY_HEADER_BYTES + frame.readUInt16BE(at + 1);

const batchLength = (frame: Buffer, at: number): number => frame.readUInt32BE(at + 15);

/** The entries of a whole frame. */
export function* readEntries(frame: Buffer, { length }: FrameHeader): Generator<JournalEntry> {
  const end = FRAME_HEADER_BYTES + length;
  for (let at = FRAME_HEADER_BYTES; at < end; ) {
    const keyAt = at + ENTRY_HEADER_BYTES;
    const bytesAt = batchAt(frame, at);
    const next = bytesAt + batchLength(frame, at);
    yield {
      kind: frame.readInt8(at) === FORGET ? "forget" : "records",
      topicId: frame.toString("base64url", keyAt, keyAt + TOPIC_ID_BYTES),
      directoryName: frame.toString("latin1", keyAt + TOPIC_ID_BYTES, bytesAt),
      segmentBaseOffset: Number(frame.readBigInt64BE(at + 3)),
      position: frame.readInt32BE(at + 11),
      bytes: frame.subarray(bytesAt, next),
    };
    at = next;
  }
}
