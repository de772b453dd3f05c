/**
 * The records inside a batch: iteration over them, decompressed within a bound. (Writing them: `build.ts`, re-exported here.)
 * Source: org.apache.kafka.common.record.internal.DefaultRecord.
 *
 *   length varint | attributes int8 | timestampDelta varlong | offsetDelta varint | keyLength varint, key |
 *   valueLength varint, value | headerCount varint, { keyLength varint, key, valueLength varint, value }
 *
 * Lengths of -1 mean null.
 */
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  baseTimestamp,
  batchBytes,
  compressionType,
  maxTimestamp,
  recordCount,
  timestampType,
} from "./batch.ts";
import { decompress, unpack } from "./compression.ts";
import { invalidRecord } from "./errors.ts";
import type { Pieces } from "./pieces.ts";
import { Cursor } from "./varint.ts";

export { type BatchInput, buildBatch, type RecordInput } from "./build.ts";

export interface RecordHeader {
  key: string;
  value: Uint8Array | null;
}

/** One record. Key, value and header values are views: of the batch's buffer, or of a fresh one if the batch was compressed. */
export interface BatchRecord {
  offset: number;
  /** Milliseconds; the batch's maximum timestamp if its type is LogAppendTime. */
  timestampMs: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: RecordHeader[];
}

const NO_HEADERS: RecordHeader[] = [];

/**
 * The records of the batch at `at`, in order, read one by one. The whole batch must lie within the buffer; its CRC is not
 * checked. Throws KafkaError as the iteration gets there: see `decompress` (`maxBytes` bounds what a compressed batch may
 * come to; uncompressed ones are not copied), and INVALID_RECORD for records that are malformed, too few or too many.
 */
export function* records(b: Buffer, at: number, bounds: { maxBytes: number }): Generator<BatchRecord, void, undefined> {
  const count = recordCount(b, at);
  if (count < 0) throw invalidRecord(`Found invalid record count ${count} in magic v2 batch`);
  if (count === 0) return;
  const body = recordBytes(b, at, bounds.maxBytes);
  const cursor = new Cursor(body, 0, body.length);
  const firstOffset = baseOffset(b, at);
  const firstTimestamp = baseTimestamp(b, at);
  const appendTime = timestampType(b, at) === "LogAppendTime" ? maxTimestamp(b, at) : undefined;
  for (let i = 0; i < count; i++) {
    const record = readRecord(cursor, body.length);
    record.offset += firstOffset;
    record.timestampMs = appendTime ?? record.timestampMs + firstTimestamp;
    yield record;
  }
  if (cursor.at !== body.length) throw invalidRecord("Incorrect declared batch size, records still remaining in file");
}

/** The bytes of the records of the batch at `at`, piece by piece and without a bound on what they come to. Throws as `unpack` does. */
export const recordPieces = (b: Buffer, at: number, zstdWindowMaxBytes?: number): Pieces =>
  unpack(compressionType(b, at), b.subarray(at + BATCH_HEADER_BYTES, at + batchBytes(b, at)), zstdWindowMaxBytes);

/** The same decompressed in one buffer: a view if they are not compressed. */
function recordBytes(b: Buffer, at: number, maxBytes: number): Buffer {
  return decompress(compressionType(b, at), b, at + BATCH_HEADER_BYTES, at + batchBytes(b, at), maxBytes);
}

/** Reads one record; offset and timestamp are still the deltas. */
function readRecord(cursor: Cursor, limit: number): BatchRecord {
  cursor.end = limit;
  const length = cursor.varint();
  const end = cursor.at + length;
  if (length < 0 || end > limit)
    throw invalidRecord(
      `Invalid record size: expected ${length} bytes in record payload, but instead the buffer has only ${limit - cursor.at} remaining bytes.`,
    );
  cursor.end = end;
  cursor.byte();
  const timestampMs = cursor.varlong();
  const offset = cursor.varint();
  const key = cursor.view(cursor.varint());
  const value = cursor.view(cursor.varint());
  const headers = readHeaders(cursor);
  if (cursor.at !== end)
    throw invalidRecord(
      `Invalid record size: expected to read ${length} bytes in record payload, but instead read ${cursor.at - end + length}`,
    );
  return { offset, timestampMs, key, value, headers };
}

function readHeaders(cursor: Cursor): RecordHeader[] {
  const count = cursor.varint();
  if (count === 0) return NO_HEADERS;
  if (count < 0) throw invalidRecord(`Found invalid number of record headers ${count}`);
  if (count > cursor.end - cursor.at)
    throw invalidRecord(`Found invalid number of record headers. ${count} is larger than the remaining size of the buffer`);
  const headers: RecordHeader[] = [];
  for (let i = 0; i < count; i++) {
    const keyLength = cursor.varint();
    if (keyLength < 0) throw invalidRecord(`Invalid negative header key size ${keyLength}`);
    headers.push({ key: cursor.utf8(keyLength), value: cursor.view(cursor.varint()) });
  }
  return headers;
}
