/**
 * What a produced batch must be before it may enter a log, and what is rewritten in it.
 * Source: ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords, LogValidator (Kafka 4.4), in that order of checks.
 *
 * Where we differ, and why:
 * - an unknown codec is UNSUPPORTED_COMPRESSION_TYPE and compressed bytes that do not decompress are INVALID_RECORD: both leak
 *   out of Kafka as UNKNOWN_SERVER_ERROR. None of the three is retriable. So do malformed varints and headers cut short;
 * - offset deltas that are not 0, 1, 2... are INVALID_RECORD. Kafka answers UNKNOWN_SERVER_ERROR if the batch is compressed
 *   (UnsupportedOperationException) and stores it as it is if not, after which consumers see offsets outside the batch;
 * - a record's length must be that of its fields in compressed batches too: Kafka stores what its own consumers cannot read;
 * - records beyond `maxDecompressedBytes` are MESSAGE_TOO_LARGE (Kafka has no bound);
 * - timestamps beyond ±2^53 ms are INVALID_TIMESTAMP whatever the topic's limits say;
 * - null records are INVALID_RECORD (Kafka: NullPointerException).
 */
import { KafkaError } from "../protocol/errors.ts";
import {
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  baseOffset,
  baseSequence,
  baseTimestamp,
  batchBytes,
  Codec,
  compressionType,
  crc,
  crcIsValid,
  hasProducerId,
  isControl,
  isTransactional,
  LOG_OVERHEAD_BYTES,
  lastOffset,
  lastOffsetDelta,
  lastSequence,
  MAGIC,
  magic,
  maxTimestamp,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  producerEpoch,
  producerId,
  recordCount,
  setMaxTimestamp,
  type TimestampType,
  timestampType,
} from "./batch.ts";
import { invalidRecord } from "./errors.ts";
import { recordBytes, records } from "./records.ts";
import { type Skimmed, skimRecords } from "./skim.ts";

/** The topic's and the broker's limits that a batch is held against. Sizes in bytes, times in milliseconds. */
export interface BatchRules {
  /** `max.message.bytes`: of the batch as it came. */
  maxMessageBytes: number;
  /** `segment.bytes`. */
  segmentBytes: number;
  /** `message.timestamp.type`. */
  timestampType: TimestampType;
  /** `message.timestamp.before.max.ms`. */
  beforeMaxMs: number;
  /** `message.timestamp.after.max.ms`. */
  afterMaxMs: number;
  nowMs: number;
  /** `cleanup.policy` contains `compact`. */
  compacted: boolean;
  /** Version of the Produce request: below 7 there is no zstd. */
  produceVersion: number;
  /** Bound on what a compressed batch may come to. */
  maxDecompressedBytes: number;
  /** What the batches of one request may still come to together; each takes its share. Without it there is no such bound. */
  unpacking?: { leftBytes: number } | undefined;
  /** For messages: "topic-0". */
  topicPartition?: string;
}

/** A batch that may be appended. Its base offset is 0 and its leader epoch the client's: both are the log's to set. */
export interface ValidBatch {
  /** The one batch: a view of what was given, changed in place where Kafka changes it. */
  bytes: Buffer;
  recordCount: number;
  lastOffsetDelta: number;
  /** As stored: `nowMs` if the topic's type is LogAppendTime; -1 if no record has a timestamp. */
  maxTimestampMs: number;
  /** Offset delta of the first record that has the maximum timestamp. */
  offsetOfMaxTimestampDelta: number;
  /** -1 if the batch has no producer; then epoch and sequences mean nothing. */
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
  lastSequence: number;
  isTransactional: boolean;
  /** False but for transaction markers: clients may not write control batches. */
  isControl: boolean;
}

/** A batch of this broker's own, as `buildBatch` made it: no producer, and one timestamp for all its records. The bytes become the log's. */
export function ownBatch(bytes: Buffer, timestampMs: number): ValidBatch {
  return {
    bytes,
    recordCount: recordCount(bytes, 0),
    lastOffsetDelta: lastOffsetDelta(bytes, 0),
    maxTimestampMs: timestampMs,
    offsetOfMaxTimestampDelta: 0,
    producerId: NO_PRODUCER_ID,
    producerEpoch: NO_PRODUCER_EPOCH,
    baseSequence: NO_SEQUENCE,
    lastSequence: NO_SEQUENCE,
    isTransactional: false,
    isControl: false,
  };
}

/** A marker as `buildTransactionMarker` made it. The bytes become the log's. */
export function markerBatch(
  bytes: Buffer,
  marker: { producerId: number; producerEpoch: number; timestampMs: number },
): ValidBatch {
  const { producerId: id, producerEpoch: epoch, timestampMs } = marker;
  return { ...ownBatch(bytes, timestampMs), producerId: id, producerEpoch: epoch, isTransactional: true, isControl: true };
}

/** One record that was refused, in ProduceResponse's own field names. */
export interface RecordError {
  batchIndex: number;
  batchIndexErrorMessage: string;
}

/**
 * A batch refused for some of its records. Kafka sends `recordErrors` and the message (ProduceResponse v8+) for these only;
 * for every other error of a partition its error_message is null.
 */
export class RecordErrors extends KafkaError {
  readonly recordErrors: RecordError[];
  constructor(error: "INVALID_TIMESTAMP" | "INVALID_RECORD", detail: string, recordErrors: RecordError[]) {
    super(error, detail);
    this.recordErrors = recordErrors;
  }
}

/** So many records are named in an answer; all are counted. A bound of ours: the smallest records would make it 15 times the batch. */
const MAX_RECORD_ERRORS = 1000;
const MAX_TIMESTAMP_MS = Number.MAX_SAFE_INTEGER;

/**
 * Validates what a client sent for one partition and makes it ready for the log. The buffer must be the caller's to change:
 * timestamp type, maximum timestamp and CRC are rewritten in place where Kafka rewrites them; trailing bytes that are no
 * whole batch are left out of the result. Throws KafkaError; RecordErrors where single records are at fault.
 */
export function validateClientBatch(received: Buffer | null, rules: BatchRules): ValidBatch {
  const batch = onlyBatch(received, rules);
  checkEnvelope(batch, rules);
  checkHeader(batch, rules);
  const count = recordCount(batch, 0);
  const body = unpack(batch, rules);
  const skimmed = skimAndForget(body, batch, count);
  const times = recordTimes(batch, skimmed);
  if (mayHaveRecordErrors(batch, skimmed, times, rules)) throwRecordErrors(batch, rules);
  if (!skimmed.isContiguous) throw invalidRecord(`Record offsets within the batch are not incremental${where(rules)}`);
  const isAppendTime = rules.timestampType === "LogAppendTime";
  const maxTimestampMs = isAppendTime ? rules.nowMs : Math.max(times.maxMs, NO_TIMESTAMP);
  setMaxTimestamp(batch, 0, rules.timestampType, maxTimestampMs);
  if (batch.length > rules.segmentBytes)
    throw new KafkaError(
      "RECORD_LIST_TOO_LARGE",
      `Message batch size is ${batch.length} bytes in append${where(rules)}, which exceeds the maximum configured segment size of ${rules.segmentBytes}.`,
    );
  return {
    bytes: batch,
    recordCount: count,
    lastOffsetDelta: lastOffsetDelta(batch, 0),
    maxTimestampMs,
    offsetOfMaxTimestampDelta: isAppendTime ? 0 : times.indexOfMax,
    producerId: producerId(batch, 0),
    producerEpoch: producerEpoch(batch, 0),
    baseSequence: baseSequence(batch, 0),
    lastSequence: lastSequence(batch, 0),
    isTransactional: isTransactional(batch, 0),
    isControl: false,
  };
}

/** The records' bytes, within what the batch and its request may come to. Throws MESSAGE_TOO_LARGE. */
function unpack(batch: Buffer, rules: BatchRules): Buffer {
  const { unpacking, maxDecompressedBytes } = rules;
  if (unpacking === undefined || compressionType(batch, 0) === Codec.none) return recordBytes(batch, 0, maxDecompressedBytes);
  const maxBytes = Math.min(maxDecompressedBytes, unpacking.leftBytes);
  if (maxBytes < 1) throw new KafkaError("MESSAGE_TOO_LARGE", "The compressed batches of the request unpack to too much");
  unpacking.leftBytes -= maxBytes; // all of it, should it turn out to be damaged or too large
  const body = recordBytes(batch, 0, maxBytes);
  unpacking.leftBytes += maxBytes - body.length;
  return body;
}

/**
 * Walks the records. What was unpacked for it is freed at once: the runtime would not get round to it within one request, and a
 * request of a few MiB can hold hundreds of batches that unpack to the bound each.
 */
function skimAndForget(body: Buffer, batch: Buffer, count: number): Skimmed {
  try {
    return skimRecords(body, 0, body.length, count);
  } finally {
    const { buffer } = body;
    if (buffer !== batch.buffer && buffer.byteLength === body.length && buffer instanceof ArrayBuffer) buffer.transfer(0);
  }
}

const where = (rules: BatchRules): string =>
  rules.topicPartition === undefined ? "" : ` in topic partition ${rules.topicPartition}`;

/** The one batch that a Produce request may hold for a partition: ProduceRequest.validateRecords. */
function onlyBatch(received: Buffer | null, rules: BatchRules): Buffer {
  const version = rules.produceVersion;
  const bytes = received === null ? 0 : wholeBatchBytes(received, 0);
  if (received === null || bytes === 0)
    throw invalidRecord(`Produce requests with version ${version} must have at least one record batch per partition`);
  if (magic(received, 0) !== MAGIC)
    throw invalidRecord(
      `Produce requests with version ${version} are only allowed to contain record batches with magic version 2`,
    );
  if (version < 7 && compressionType(received, 0) === Codec.zstd)
    throw new KafkaError(
      "UNSUPPORTED_COMPRESSION_TYPE",
      `Produce requests with version ${version} are not allowed to use ZStandard compression`,
    );
  if (wholeBatchBytes(received, bytes) !== 0)
    throw invalidRecord(
      `Produce requests with version ${version} are only allowed to contain exactly one record batch per partition`,
    );
  return bytes === received.length ? received : received.subarray(0, bytes);
}

/** Least `batchLength` of a record set of any magic. */
const MIN_BATCH_LENGTH = 14;

/** Size of the batch at `at` if all of it is there, else 0. Throws CORRUPT_MESSAGE as ByteBufferLogInputStream does. */
function wholeBatchBytes(b: Buffer, at: number): number {
  const remaining = b.length - at;
  if (remaining < LOG_OVERHEAD_BYTES) return 0;
  const bytes = batchBytes(b, at);
  if (bytes < MIN_BATCH_LENGTH + LOG_OVERHEAD_BYTES)
    throw new KafkaError(
      "CORRUPT_MESSAGE",
      `Record size ${bytes - LOG_OVERHEAD_BYTES} is less than the minimum record overhead (${MIN_BATCH_LENGTH})`,
    );
  if (remaining < BATCH_PREFIX_BYTES) return 0;
  const version = magic(b, at);
  if (version < 0 || version > MAGIC) throw new KafkaError("CORRUPT_MESSAGE", `Invalid magic found in record: ${version}`);
  return bytes > remaining ? 0 : bytes;
}

/** UnifiedLog.analyzeAndValidateRecords. */
function checkEnvelope(batch: Buffer, rules: BatchRules): void {
  if (baseOffset(batch, 0) !== 0)
    throw invalidRecord(
      `The baseOffset of the record batch in the append${where(rules)} should be 0, but it is ${baseOffset(batch, 0)}`,
    );
  if (batch.length > rules.maxMessageBytes)
    throw new KafkaError(
      "MESSAGE_TOO_LARGE",
      `The record batch size in the append${where(rules)} is ${batch.length} bytes which exceeds the maximum configured value of ${rules.maxMessageBytes}.`,
    );
  if (batch.length < BATCH_HEADER_BYTES)
    throw new KafkaError("CORRUPT_MESSAGE", `Record is corrupt${where(rules)}: the header is cut short.`);
  if (!crcIsValid(batch, 0))
    throw new KafkaError("CORRUPT_MESSAGE", `Record is corrupt (stored crc = ${crc(batch, 0)})${where(rules)}.`);
}

/** LogValidator.validateBatch. */
function checkHeader(batch: Buffer, rules: BatchRules): void {
  const first = baseOffset(batch, 0);
  const last = lastOffset(batch, 0);
  const count = recordCount(batch, 0);
  if (last < first) throw invalidRecord(`Batch has an invalid offset range: [${first}, ${last}]${where(rules)}`);
  if (count <= 0) throw invalidRecord(`Invalid reported count for record batch: ${count}${where(rules)}`);
  if (last - first + 1 !== count)
    throw invalidRecord(`Inconsistent batch offset range [${first}, ${last}] and count of records ${count}${where(rules)}`);
  if (isControl(batch, 0)) throw invalidRecord(`Clients are not allowed to write control records${where(rules)}`);
  if (hasProducerId(batch, 0) && baseSequence(batch, 0) < 0)
    throw invalidRecord(
      `Invalid sequence number ${baseSequence(batch, 0)} in record batch with producerId ${producerId(batch, 0)}${where(rules)}`,
    );
}

interface RecordTimes {
  minMs: number;
  maxMs: number;
  indexOfMax: number;
}

/** The timestamps that Kafka sees in the records: the batch's maximum for all of them if the client set LogAppendTime. */
function recordTimes(batch: Buffer, skimmed: Skimmed): RecordTimes {
  if (timestampType(batch, 0) === "LogAppendTime") {
    const ms = maxTimestamp(batch, 0);
    return { minMs: ms, maxMs: ms, indexOfMax: 0 };
  }
  const baseMs = baseTimestamp(batch, 0);
  return {
    minMs: baseMs + skimmed.minTimestampDelta,
    maxMs: baseMs + skimmed.maxTimestampDelta,
    indexOfMax: skimmed.indexOfMaxTimestamp,
  };
}

/** False if certainly no single record is at fault: the usual case, decided without looking at records again. */
function mayHaveRecordErrors(batch: Buffer, skimmed: Skimmed, times: RecordTimes, rules: BatchRules): boolean {
  if (rules.compacted && skimmed.firstIndexWithoutKey >= 0) return true;
  if (timestampType(batch, 0) === "LogAppendTime") return true;
  return rules.timestampType === "CreateTime" && (isOutOfRange(times.minMs, rules) || isOutOfRange(times.maxMs, rules));
}

const isOutOfRange = (timestampMs: number, rules: BatchRules): boolean =>
  rules.nowMs - timestampMs > rules.beforeMaxMs ||
  timestampMs - rules.nowMs > rules.afterMaxMs ||
  Math.abs(timestampMs) > MAX_TIMESTAMP_MS;

/** LogValidator.validateRecord for each record, processRecordErrors for all; returns if none is at fault. */
function throwRecordErrors(batch: Buffer, rules: BatchRules): void {
  const errors: RecordError[] = [];
  let count = 0;
  let hasTimestampError = false;
  let batchIndex = 0;
  for (const record of records(batch, 0, { maxBytes: rules.maxDecompressedBytes })) {
    let message: string | undefined;
    if (rules.compacted && record.key === null) message = `Compacted topic cannot accept message without key${where(rules)}`;
    else {
      message = timestampError(batch, record.offset, record.timestampMs, rules);
      hasTimestampError ||= message !== undefined;
    }
    if (message !== undefined && ++count <= MAX_RECORD_ERRORS) errors.push({ batchIndex, batchIndexErrorMessage: message });
    batchIndex++;
  }
  if (count === 0) return;
  if (hasTimestampError)
    throw new RecordErrors("INVALID_TIMESTAMP", "One or more records have been rejected due to invalid timestamp", errors);
  const shown = errors.slice(0, 3).map((e) => `RecordError(batchIndex=${e.batchIndex}, message='${e.batchIndexErrorMessage}')`);
  throw new RecordErrors(
    "INVALID_RECORD",
    `One or more records have been rejected due to ${count} record errors in total, and only showing the first three errors at most: [${shown.join(", ")}]`,
    errors,
  );
}

/** As Kafka writes it: Long.MAX_VALUE, which as a number is 2^63, in its own digits. */
const int64 = (value: number): bigint => (value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value));

/** LogValidator.validateTimestamp. */
function timestampError(batch: Buffer, offset: number, timestampMs: number, rules: BatchRules): string | undefined {
  if (rules.timestampType === "CreateTime" && timestampMs !== NO_TIMESTAMP) {
    if (!isOutOfRange(timestampMs, rules)) return undefined;
    return (
      `Timestamp ${int64(timestampMs)} of message with offset ${offset} is out of range. ` +
      `The timestamp should be within [${int64(rules.nowMs) - int64(rules.beforeMaxMs)}, ${int64(rules.nowMs) + int64(rules.afterMaxMs)}]`
    );
  }
  if (timestampType(batch, 0) === "LogAppendTime")
    return `Invalid timestamp type in message with offset ${offset}. Producer should not set timestamp type to LogAppendTime.`;
  return undefined;
}

/**
 * What `validateStoredBatch` finds. `incomplete`: the buffer ends before the batch does. `bytes` are needed then, or 61 where the
 * length is not there yet; a damaged length can ask for 2 GiB, so hold it against what the file has.
 */
export type StoredBatch =
  | { kind: "ok"; bytes: number }
  | { kind: "incomplete"; bytes: number }
  | { kind: "corrupt"; reason: string };

/**
 * Checks the batch at `at` as it was read back from a log: header and CRC, for recovery and the first read of cold data.
 * Its records are not walked: the CRC vouches for them. Source: LogSegment.recover, DefaultRecordBatch.ensureValid.
 */
export function validateStoredBatch(b: Buffer, at: number, end: number = b.length): StoredBatch {
  const remaining = end - at;
  if (remaining < BATCH_PREFIX_BYTES) return { kind: "incomplete", bytes: BATCH_HEADER_BYTES };
  const version = magic(b, at);
  if (version !== MAGIC) return { kind: "corrupt", reason: `magic ${version} where 2 is expected` };
  const bytes = batchBytes(b, at);
  if (bytes < BATCH_HEADER_BYTES) return { kind: "corrupt", reason: `a batch of ${bytes} bytes, less than its header` };
  if (bytes > remaining) return { kind: "incomplete", bytes };
  if (!crcIsValid(b, at)) return { kind: "corrupt", reason: `stored crc ${crc(b, at)} is not that of the bytes` };
  if (lastOffsetDelta(b, at) < 0) return { kind: "corrupt", reason: `last offset delta ${lastOffsetDelta(b, at)}` };
  if (recordCount(b, at) < 0) return { kind: "corrupt", reason: `record count ${recordCount(b, at)}` };
  return { kind: "ok", bytes };
}
