/**
 * The record batch, magic 2, as a view: functions from (buffer, position of the batch) to its header fields. Nothing is
 * allocated and nothing is copied. The caller has made sure that the header (61 bytes) lies within the buffer.
 * Source: KIP-98, org.apache.kafka.common.record.internal.DefaultRecordBatch.
 *
 *   0 baseOffset int64 | 8 batchLength int32 | 12 partitionLeaderEpoch int32 | 16 magic int8 | 17 crc uint32 |
 *   21 attributes int16 | 23 lastOffsetDelta int32 | 27 baseTimestamp int64 | 35 maxTimestamp int64 | 43 producerId int64 |
 *   51 producerEpoch int16 | 53 baseSequence int32 | 57 recordCount int32 | 61 records
 *
 * The CRC covers everything from the attributes on: base offset and leader epoch can be patched without touching it.
 * int64 fields are numbers, exact to ±2^53.
 */
import { crc32c } from "../bytes/crc32c.ts";

/** Bytes before the first record. */
export const BATCH_HEADER_BYTES = 61;
/** baseOffset and batchLength: what `batchLength` does not count. */
export const LOG_OVERHEAD_BYTES = 12;
/** Bytes needed to know a batch's size and magic. */
export const BATCH_PREFIX_BYTES = 17;
/** The only magic that we read and write. */
export const MAGIC = 2;

/** Bytes at the beginning of a batch that its CRC does not cover: those before its attributes. */
export const UNCHECKED_BYTES = 21;

export const NO_PRODUCER_ID = -1;
export const NO_PRODUCER_EPOCH = -1;
export const NO_SEQUENCE = -1;
export const NO_TIMESTAMP = -1;
export const NO_PARTITION_LEADER_EPOCH = -1;

/** Compression codec ids, attributes bits 0-2. */
export const Codec = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;
export type CodecName = keyof typeof Codec;
export type TimestampType = "CreateTime" | "LogAppendTime";

export const COMPRESSION_MASK = 0x07;
export const TIMESTAMP_TYPE_BIT = 0x08;
export const TRANSACTIONAL_BIT = 0x10;
export const CONTROL_BIT = 0x20;
export const DELETE_HORIZON_BIT = 0x40;

const LENGTH_AT = 8;
const LEADER_EPOCH_AT = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = UNCHECKED_BYTES;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const BASE_SEQUENCE_AT = 53;
const RECORD_COUNT_AT = 57;

const TWO_32 = 0x1_0000_0000;
const MAX_SEQUENCE = 0x7fff_ffff;

const readInt64 = (b: Buffer, at: number): number => b.readInt32BE(at) * TWO_32 + b.readUInt32BE(at + 4);

function writeInt64(b: Buffer, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  b.writeInt32BE(high, at);
  b.writeUInt32BE(value - high * TWO_32, at + 4);
}

export const baseOffset = (b: Buffer, at: number): number => readInt64(b, at);
/** Size of the whole batch, header and length field included, as the batch says it. */
export const batchBytes = (b: Buffer, at: number): number => b.readInt32BE(at + LENGTH_AT) + LOG_OVERHEAD_BYTES;
export const partitionLeaderEpoch = (b: Buffer, at: number): number => b.readInt32BE(at + LEADER_EPOCH_AT);
export const magic = (b: Buffer, at: number): number => b.readInt8(at + MAGIC_AT);
/** The stored CRC, unsigned. */
export const crc = (b: Buffer, at: number): number => b.readUInt32BE(at + CRC_AT);
/** All sixteen bits; only the low seven mean anything. */
export const attributes = (b: Buffer, at: number): number => b.readInt16BE(at + ATTRIBUTES_AT);
export const lastOffsetDelta = (b: Buffer, at: number): number => b.readInt32BE(at + LAST_OFFSET_DELTA_AT);
export const lastOffset = (b: Buffer, at: number): number => baseOffset(b, at) + lastOffsetDelta(b, at);
/** First offset after the batch. */
export const nextOffset = (b: Buffer, at: number): number => lastOffset(b, at) + 1;
/** Milliseconds; with the delete horizon bit set, the time at which tombstones may go. */
export const baseTimestamp = (b: Buffer, at: number): number => readInt64(b, at + BASE_TIMESTAMP_AT);
export const maxTimestamp = (b: Buffer, at: number): number => readInt64(b, at + MAX_TIMESTAMP_AT);
export const producerId = (b: Buffer, at: number): number => readInt64(b, at + PRODUCER_ID_AT);
export const producerEpoch = (b: Buffer, at: number): number => b.readInt16BE(at + PRODUCER_EPOCH_AT);
export const baseSequence = (b: Buffer, at: number): number => b.readInt32BE(at + BASE_SEQUENCE_AT);
export const recordCount = (b: Buffer, at: number): number => b.readInt32BE(at + RECORD_COUNT_AT);

/** The codec's id, 0 to 7; 5 to 7 name no codec. */
export const compressionType = (b: Buffer, at: number): number => attributes(b, at) & COMPRESSION_MASK;
export const timestampType = (b: Buffer, at: number): TimestampType =>
  (attributes(b, at) & TIMESTAMP_TYPE_BIT) === 0 ? "CreateTime" : "LogAppendTime";
export const isTransactional = (b: Buffer, at: number): boolean => (attributes(b, at) & TRANSACTIONAL_BIT) !== 0;
export const isControl = (b: Buffer, at: number): boolean => (attributes(b, at) & CONTROL_BIT) !== 0;
export const hasDeleteHorizon = (b: Buffer, at: number): boolean => (attributes(b, at) & DELETE_HORIZON_BIT) !== 0;
/** When tombstones and markers of the batch may go; null: not decided yet (KIP-534). */
export const deleteHorizonMs = (b: Buffer, at: number): number | null => (hasDeleteHorizon(b, at) ? baseTimestamp(b, at) : null);
export const hasProducerId = (b: Buffer, at: number): boolean => producerId(b, at) > NO_PRODUCER_ID;

/** Sequence numbers count to 2^31 - 1 and go on at 0. */
export const incrementSequence = (sequence: number, increment: number): number =>
  sequence > MAX_SEQUENCE - increment ? increment - (MAX_SEQUENCE - sequence) - 1 : sequence + increment;

/** Sequence number of the last record that the batch was made with; -1 if it has none. */
export function lastSequence(b: Buffer, at: number): number {
  const first = baseSequence(b, at);
  return first === NO_SEQUENCE ? NO_SEQUENCE : incrementSequence(first, lastOffsetDelta(b, at));
}

/** In place; outside the CRC. */
export const setBaseOffset = (b: Buffer, at: number, offset: number): void => writeInt64(b, at, offset);
/** In place; outside the CRC. */
export const setPartitionLeaderEpoch = (b: Buffer, at: number, epoch: number): void => {
  b.writeInt32BE(epoch, at + LEADER_EPOCH_AT);
};

/** The CRC of the batch's bytes as they are now. The whole batch must lie within the buffer. */
export const computeCrc = (b: Buffer, at: number): number => crc32c(b, at + ATTRIBUTES_AT, at + batchBytes(b, at));
/** Whether the stored CRC is that of the bytes. The whole batch must lie within the buffer. */
export const crcIsValid = (b: Buffer, at: number): boolean => crc(b, at) === computeCrc(b, at);

/** Everything that `writeHeader` puts down. */
export interface BatchHeader {
  baseOffset: number;
  batchBytes: number;
  partitionLeaderEpoch: number;
  attributes: number;
  lastOffsetDelta: number;
  baseTimestamp: number;
  maxTimestamp: number;
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
  recordCount: number;
}

/** Writes a header in front of records that are already in place at `at` + 61, and the CRC over both. */
export function writeHeader(b: Buffer, at: number, header: BatchHeader): void {
  writeInt64(b, at, header.baseOffset);
  b.writeInt32BE(header.batchBytes - LOG_OVERHEAD_BYTES, at + LENGTH_AT);
  b.writeInt32BE(header.partitionLeaderEpoch, at + LEADER_EPOCH_AT);
  b.writeInt8(MAGIC, at + MAGIC_AT);
  b.writeInt16BE(header.attributes, at + ATTRIBUTES_AT);
  b.writeInt32BE(header.lastOffsetDelta, at + LAST_OFFSET_DELTA_AT);
  writeInt64(b, at + BASE_TIMESTAMP_AT, header.baseTimestamp);
  writeInt64(b, at + MAX_TIMESTAMP_AT, header.maxTimestamp);
  writeInt64(b, at + PRODUCER_ID_AT, header.producerId);
  b.writeInt16BE(header.producerEpoch, at + PRODUCER_EPOCH_AT);
  b.writeInt32BE(header.baseSequence, at + BASE_SEQUENCE_AT);
  b.writeInt32BE(header.recordCount, at + RECORD_COUNT_AT);
  b.writeUInt32BE(computeCrc(b, at), at + CRC_AT);
}

/**
 * Sets timestamp type and maximum timestamp in place and recomputes the CRC; does nothing if both are as given already.
 * Attribute bits without a meaning are cleared when it writes, as DefaultRecordBatch.setMaxTimestamp does.
 */
export function setMaxTimestamp(b: Buffer, at: number, type: TimestampType, timestampMs: number): void {
  if (timestampType(b, at) === type && maxTimestamp(b, at) === timestampMs) return;
  const kept = attributes(b, at) & (COMPRESSION_MASK | TRANSACTIONAL_BIT | CONTROL_BIT | DELETE_HORIZON_BIT);
  b.writeInt16BE(type === "LogAppendTime" ? kept | TIMESTAMP_TYPE_BIT : kept, at + ATTRIBUTES_AT);
  writeInt64(b, at + MAX_TIMESTAMP_AT, timestampMs);
  b.writeUInt32BE(computeCrc(b, at), at + CRC_AT);
}
