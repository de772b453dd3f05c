/** Builds batches of our own: what coordinators, the metadata log and tests write. */
import {
  BATCH_HEADER_BYTES,
  CONTROL_BIT,
  Codec,
  type CodecName,
  NO_PARTITION_LEADER_EPOCH,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  TRANSACTIONAL_BIT,
  writeHeader,
} from "./batch.ts";
import { newCompressor } from "./recompress.ts";
import { varintBytes, writeVarint } from "./varint.ts";

export interface RecordInput {
  key: Uint8Array | null;
  value: Uint8Array | null;
  /** Default: none. */
  headers?: readonly { readonly key: string; readonly value: Uint8Array | null }[];
  timestampMs: number;
}

export interface BatchInput {
  /** At least one. */
  records: readonly RecordInput[];
  /** Default 0: the log assigns it. */
  baseOffset?: number;
  /** Defaults -1: no producer. */
  producerId?: number;
  producerEpoch?: number;
  baseSequence?: number;
  /** Default "none". */
  compression?: CodecName;
  isControl?: boolean;
  isTransactional?: boolean;
  /** Default -1: the log assigns it. */
  leaderEpoch?: number;
}

/** Kafka's default levels. */
const USUAL_LEVEL: Readonly<Record<CodecName, number>> = { none: 0, gzip: -1, snappy: 0, lz4: 9, zstd: 3 };

/**
 * A batch of type CreateTime whose records have consecutive offsets: a new buffer, the caller's. Uncompressed, it is byte for
 * byte what Kafka's MemoryRecordsBuilder makes of the same input.
 */
export function buildBatch(input: BatchInput): Buffer {
  const { records } = input;
  if (records.length === 0) throw new RangeError("a batch needs a record");
  const baseTimestamp = records[0]!.timestampMs;
  const compression = input.compression ?? "none";
  let maxTimestamp = NO_TIMESTAMP;
  let bodyBytes = 0;
  const lengths = new Array<number>(records.length);
  const headers = records.map(encodedHeaders);
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!;
    maxTimestamp = Math.max(maxTimestamp, record.timestampMs);
    const length = recordLength(record, headers[i]!, record.timestampMs - baseTimestamp, i);
    lengths[i] = length;
    bodyBytes += varintBytes(length) + length;
  }
  let batch: Buffer = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + bodyBytes);
  let at = BATCH_HEADER_BYTES;
  for (let i = 0; i < records.length; i++) {
    at = writeVarint(batch, at, lengths[i]!);
    at = writeRecord(batch, at, records[i]!, headers[i]!, records[i]!.timestampMs - baseTimestamp, i);
  }
  if (compression !== "none") {
    const compressor = newCompressor({ codec: compression, level: USUAL_LEVEL[compression] }, Number.POSITIVE_INFINITY);
    compressor.write(batch.subarray(BATCH_HEADER_BYTES));
    batch = compressor.finish(BATCH_HEADER_BYTES)!; // without a bound there is an end
  }
  writeHeader(batch, 0, {
    baseOffset: input.baseOffset ?? 0,
    batchBytes: batch.length,
    partitionLeaderEpoch: input.leaderEpoch ?? NO_PARTITION_LEADER_EPOCH,
    attributes: Codec[compression] | (input.isTransactional ? TRANSACTIONAL_BIT : 0) | (input.isControl ? CONTROL_BIT : 0),
    lastOffsetDelta: records.length - 1,
    baseTimestamp,
    maxTimestamp,
    producerId: input.producerId ?? NO_PRODUCER_ID,
    producerEpoch: input.producerEpoch ?? NO_PRODUCER_EPOCH,
    baseSequence: input.baseSequence ?? NO_SEQUENCE,
    recordCount: records.length,
  });
  return batch;
}

interface EncodedHeader {
  key: Buffer;
  value: Uint8Array | null;
}

const NONE: EncodedHeader[] = [];

const encodedHeaders = (record: RecordInput): EncodedHeader[] =>
  record.headers?.map(({ key, value }) => ({ key: Buffer.from(key, "utf8"), value })) ?? NONE;

const fieldBytes = (field: Uint8Array | null): number => (field === null ? 1 : varintBytes(field.length) + field.length);

function recordLength(record: RecordInput, headers: EncodedHeader[], timestampDelta: number, offsetDelta: number): number {
  let length = 1 + varintBytes(timestampDelta) + varintBytes(offsetDelta);
  length += fieldBytes(record.key) + fieldBytes(record.value) + varintBytes(headers.length);
  for (const header of headers) length += fieldBytes(header.key) + fieldBytes(header.value);
  return length;
}

function writeRecord(
  b: Buffer,
  start: number,
  record: RecordInput,
  headers: EncodedHeader[],
  timestampDelta: number,
  offsetDelta: number,
): number {
  let at = start;
  b[at++] = 0;
  at = writeVarint(b, at, timestampDelta);
  at = writeVarint(b, at, offsetDelta);
  at = writeField(b, at, record.key);
  at = writeField(b, at, record.value);
  at = writeVarint(b, at, headers.length);
  for (const header of headers) {
    at = writeField(b, at, header.key);
    at = writeField(b, at, header.value);
  }
  return at;
}

function writeField(b: Buffer, start: number, field: Uint8Array | null): number {
  const at = writeVarint(b, start, field === null ? -1 : field.length);
  if (field === null) return at;
  b.set(field, at);
  return at + field.length;
}
