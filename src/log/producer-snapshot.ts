/**
 * Producer state on disk: Kafka's snapshot, which holds the last batch of each producer, and our own companion of it, which holds the
 * whole windows. Both say what was true at the offset in their name.
 *
 *   .snapshot           version int16 = 1 | crc uint32 | count int32 | { producerId int64, epoch int16, lastSequence int32, lastOffset int64,
 *                       offsetDelta int32, timestamp int64, coordinatorEpoch int32, currentTxnFirstOffset int64 }; the crc covers all after it
 *   .producer-windows   magic "qpwn" | version int16 = 1 | crc uint32 | count int32 | { producerId int64, epoch int16, coordinatorEpoch int32,
 *                       lastTimestamp int64, currentTxnFirstOffset int64, batches int8, batches × { lastSequence int32, lastOffset int64,
 *                       offsetDelta int32, timestamp int64 } }; the crc covers all after it
 *
 * Source: ProducerStateManager.writeSnapshot, ProducerSnapshot.json.
 */
import { crc32c } from "../bytes/crc32c.ts";
import { type BatchMetadata, type ProducerEntry, WINDOW_BATCHES } from "./producer-state.ts";

const SNAPSHOT_VERSION = 1;
const SNAPSHOT_HEADER_BYTES = 10;
const SNAPSHOT_ENTRY_BYTES = 46;
const WINDOWS_MAGIC = "qpwn";
/** The newest version of `.producer-windows` that this program knows. */
export const WINDOWS_VERSION = 1;
const WINDOWS_HEADER_BYTES = 14;
const WINDOWS_ENTRY_BYTES = 31;
const WINDOWS_BATCH_BYTES = 24;
/** No plausible file holds more; a count above it is damage. */
const ENTRIES_MAX = 50_000_000;

/** A producer snapshot that cannot be used; the state has to come from an older one, or from the log. */
export class BrokenSnapshot extends Error {
  override name = "BrokenSnapshot";
}

const NOTHING_WRITTEN: BatchMetadata = { lastSequence: -1, lastOffset: -1, offsetDelta: 0, timestampMs: -1 };

/** The bytes of a `.snapshot` file; the caller's. */
export function encodeSnapshot(entries: readonly ProducerEntry[]): Buffer {
  const out = Buffer.alloc(SNAPSHOT_HEADER_BYTES + entries.length * SNAPSHOT_ENTRY_BYTES);
  out.writeInt16BE(SNAPSHOT_VERSION, 0);
  out.writeInt32BE(entries.length, 6);
  let at = SNAPSHOT_HEADER_BYTES;
  for (const entry of entries) {
    const last = entry.batches.at(-1) ?? NOTHING_WRITTEN;
    writeInt64(out, at, entry.producerId);
    out.writeInt16BE(entry.epoch, at + 8);
    out.writeInt32BE(last.lastSequence, at + 10);
    writeInt64(out, at + 14, last.lastOffset);
    out.writeInt32BE(last.offsetDelta, at + 22);
    writeInt64(out, at + 26, entry.lastTimestampMs);
    out.writeInt32BE(entry.coordinatorEpoch, at + 34);
    writeInt64(out, at + 38, entry.currentTxnFirstOffset);
    at += SNAPSHOT_ENTRY_BYTES;
  }
  out.writeUInt32BE(crc32c(out, 6), 2);
  return out;
}

/** The entries of a `.snapshot` file. Throws BrokenSnapshot. */
export function decodeSnapshot(bytes: Buffer): ProducerEntry[] {
  if (bytes.length < SNAPSHOT_HEADER_BYTES) throw new BrokenSnapshot(`${bytes.length} bytes are no producer snapshot`);
  if (bytes.readInt16BE(0) !== SNAPSHOT_VERSION) throw new BrokenSnapshot(`unknown version ${bytes.readInt16BE(0)}`);
  if (bytes.readUInt32BE(2) !== crc32c(bytes, 6)) throw new BrokenSnapshot("the CRC is not that of the bytes");
  const count = bytes.readInt32BE(6);
  if (count < 0 || bytes.length !== SNAPSHOT_HEADER_BYTES + count * SNAPSHOT_ENTRY_BYTES)
    throw new BrokenSnapshot(`${bytes.length} bytes cannot hold ${count} producers`);
  const entries: ProducerEntry[] = [];
  for (let at = SNAPSHOT_HEADER_BYTES; at < bytes.length; at += SNAPSHOT_ENTRY_BYTES) entries.push(readSnapshotEntry(bytes, at));
  return entries;
}

function readSnapshotEntry(bytes: Buffer, at: number): ProducerEntry {
  const timestampMs = readInt64(bytes, at + 26);
  const lastOffset = readInt64(bytes, at + 14);
  const last = { lastSequence: bytes.readInt32BE(at + 10), lastOffset, offsetDelta: bytes.readInt32BE(at + 22), timestampMs };
  return {
    producerId: readInt64(bytes, at),
    epoch: bytes.readInt16BE(at + 8),
    coordinatorEpoch: bytes.readInt32BE(at + 34),
    lastTimestampMs: timestampMs,
    currentTxnFirstOffset: readInt64(bytes, at + 38),
    batches: lastOffset >= 0 ? [last] : [],
  };
}

/** The bytes of a `.producer-windows` file; the caller's. */
export function encodeWindows(entries: readonly ProducerEntry[]): Buffer {
  const batches = entries.reduce((sum, entry) => sum + entry.batches.length, 0);
  const out = Buffer.alloc(WINDOWS_HEADER_BYTES + entries.length * WINDOWS_ENTRY_BYTES + batches * WINDOWS_BATCH_BYTES);
  out.write(WINDOWS_MAGIC, 0, "latin1");
  out.writeInt16BE(WINDOWS_VERSION, 4);
  out.writeInt32BE(entries.length, 10);
  let at = WINDOWS_HEADER_BYTES;
  for (const entry of entries) {
    writeInt64(out, at, entry.producerId);
    out.writeInt16BE(entry.epoch, at + 8);
    out.writeInt32BE(entry.coordinatorEpoch, at + 10);
    writeInt64(out, at + 14, entry.lastTimestampMs);
    writeInt64(out, at + 22, entry.currentTxnFirstOffset);
    out.writeInt8(entry.batches.length, at + 30);
    at += WINDOWS_ENTRY_BYTES;
    for (const batch of entry.batches) {
      out.writeInt32BE(batch.lastSequence, at);
      writeInt64(out, at + 4, batch.lastOffset);
      out.writeInt32BE(batch.offsetDelta, at + 12);
      writeInt64(out, at + 16, batch.timestampMs);
      at += WINDOWS_BATCH_BYTES;
    }
  }
  out.writeUInt32BE(crc32c(out, 10), 6);
  return out;
}

/** The entries of a `.producer-windows` file. Throws BrokenSnapshot, for one of a newer version too: the `.snapshot` beside it still serves. */
export function decodeWindows(bytes: Buffer): ProducerEntry[] {
  if (bytes.length < WINDOWS_HEADER_BYTES || bytes.toString("latin1", 0, 4) !== WINDOWS_MAGIC)
    throw new BrokenSnapshot("not a file of producer windows");
  if (bytes.readInt16BE(4) !== WINDOWS_VERSION) throw new BrokenSnapshot(`unknown version ${bytes.readInt16BE(4)}`);
  if (bytes.readUInt32BE(6) !== crc32c(bytes, 10)) throw new BrokenSnapshot("the CRC is not that of the bytes");
  const count = bytes.readInt32BE(10);
  if (count < 0 || count > ENTRIES_MAX) throw new BrokenSnapshot(`${count} producers`);
  const entries: ProducerEntry[] = [];
  let at = WINDOWS_HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    if (at + WINDOWS_ENTRY_BYTES > bytes.length) throw new BrokenSnapshot("it ends within a producer");
    const batchCount = bytes.readInt8(at + 30);
    const end = at + WINDOWS_ENTRY_BYTES + batchCount * WINDOWS_BATCH_BYTES;
    if (batchCount < 0 || batchCount > WINDOW_BATCHES || end > bytes.length) throw new BrokenSnapshot("it ends within a batch");
    entries.push({
      producerId: readInt64(bytes, at),
      epoch: bytes.readInt16BE(at + 8),
      coordinatorEpoch: bytes.readInt32BE(at + 10),
      lastTimestampMs: readInt64(bytes, at + 14),
      currentTxnFirstOffset: readInt64(bytes, at + 22),
      batches: readBatches(bytes, at + WINDOWS_ENTRY_BYTES, end),
    });
    at = end;
  }
  return entries;
}

function readBatches(bytes: Buffer, from: number, to: number): BatchMetadata[] {
  const batches: BatchMetadata[] = [];
  for (let at = from; at < to; at += WINDOWS_BATCH_BYTES)
    batches.push({
      lastSequence: bytes.readInt32BE(at),
      lastOffset: readInt64(bytes, at + 4),
      offsetDelta: bytes.readInt32BE(at + 12),
      timestampMs: readInt64(bytes, at + 16),
    });
  return batches;
}

const readInt64 = (bytes: Buffer, at: number): number => Number(bytes.readBigInt64BE(at));
const writeInt64 = (bytes: Buffer, at: number, value: number): void => void bytes.writeBigInt64BE(BigInt(value), at);
