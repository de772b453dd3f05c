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
 * - records beyond `maxDecompressedBytes` are MESSAGE_TOO_LARGE (Kafka has no bound), and so is zstd that needs a window beyond
 *   `maxZstdWindowBytes` (Kafka: 128 MiB), or snappy that refers back by more than 4 MiB in a block of more than 8 MiB;
 * - timestamps beyond ±2^53 ms are INVALID_TIMESTAMP whatever the topic's limits say;
 * - null records are INVALID_RECORD (Kafka: NullPointerException);
 * - a batch that is compressed anew keeps the bytes of its records: Kafka writes them again, without their unused attributes, and with the
 *   batch's maximum as the time of each if the producer set LogAppendTime, which none does.
 */
import { KafkaError } from "../protocol/errors.ts";
import {
  attributes,
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
  isTransactional,
  lastOffsetDelta,
  lastSequence,
  MAGIC,
  magic,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  partitionLeaderEpoch,
  producerEpoch,
  producerId,
  recordCount,
  setMaxTimestamp,
  TIMESTAMP_TYPE_BIT,
  TRANSACTIONAL_BIT,
  writeHeader,
} from "./batch.ts";
import { type BatchRules, where } from "./batch-rules.ts";
import { checkedBatch } from "./envelope.ts";
import { invalidRecord } from "./errors.ts";
import { isRecompressed } from "./recompress.ts";
import { mayHaveRecordErrors, recordTimes, throwRecordErrors } from "./record-errors.ts";
import { type Unpacked, type UnpackJob, unpackBatch } from "./unpack-batch.ts";

export type { BatchRules } from "./batch-rules.ts";
export { checkedBatch } from "./envelope.ts";
export { type RecordError, RecordErrors } from "./record-errors.ts";

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

/**
 * Validates what a client sent for one partition and makes it ready for the log. The buffer must be the caller's to change:
 * timestamp type, maximum timestamp and CRC are rewritten in place where Kafka rewrites them; trailing bytes that are no
 * whole batch are left out of the result. Throws KafkaError; RecordErrors where single records are at fault.
 * The same in steps, for those who want the second one done elsewhere: `checkedBatch`, `unpackJob` and what does it, `chargeUnpacked`, `finishBatch`.
 */
export function validateClientBatch(received: Buffer | null, rules: BatchRules): ValidBatch {
  const batch = checkedBatch(received, rules);
  const unpacked = unpackBatch(unpackJob(batch, rules));
  chargeUnpacked(batch, unpacked, rules);
  return finishBatch(batch, unpacked, rules);
}

/** What is to be done with the records of a batch that was checked. Throws MESSAGE_TOO_LARGE if its request may unpack nothing more. */
export function unpackJob(batch: Buffer, rules: BatchRules): UnpackJob {
  const codec = compressionType(batch, 0);
  const { target = null, unpacking, maxDecompressedBytes } = rules;
  const isCompressed = codec !== Codec.none;
  const maxBytes = isCompressed ? Math.min(maxDecompressedBytes, unpacking?.leftBytes ?? maxDecompressedBytes) : batch.length;
  if (maxBytes < 1) throw new KafkaError("MESSAGE_TOO_LARGE", "The compressed batches of the request unpack to too much");
  return {
    codec,
    bytes: batch.subarray(BATCH_HEADER_BYTES),
    recordCount: recordCount(batch, 0),
    maxBytes,
    maxZstdWindowBytes: rules.maxZstdWindowBytes,
    maxRecordBytes: isCompressed ? (rules.maxRecordBytes ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY,
    target: isRecompressed(codec, target) ? target : null,
    maxResultBytes: rules.maxMessageBytes - BATCH_HEADER_BYTES,
  };
}

/** Takes what was unpacked off what the batches of the request may come to. */
export function chargeUnpacked(batch: Buffer, { bytes }: Unpacked, { unpacking }: BatchRules): void {
  if (unpacking !== undefined && compressionType(batch, 0) !== Codec.none) unpacking.leftBytes -= bytes;
}

/** The last step: `unpacked` is what came of the job. Throws as `validateClientBatch` does. */
export function finishBatch(checked: Buffer, unpacked: Unpacked, rules: BatchRules): ValidBatch {
  if (unpacked.skimmed instanceof KafkaError) throw unpacked.skimmed;
  const { skimmed } = unpacked;
  const times = recordTimes(checked, skimmed);
  if (mayHaveRecordErrors(checked, skimmed, times, rules)) throwRecordErrors(checked, rules);
  if (!skimmed.isContiguous) throw invalidRecord(`Record offsets within the batch are not incremental${where(rules)}`);
  const isAppendTime = rules.timestampType === "LogAppendTime";
  const maxTimestampMs = isAppendTime ? rules.nowMs : Math.max(times.maxMs, NO_TIMESTAMP);
  const batch = rewritten(checked, unpacked, maxTimestampMs, rules);
  if (batch.length > rules.segmentBytes)
    throw new KafkaError(
      "RECORD_LIST_TOO_LARGE",
      `Message batch size is ${batch.length} bytes in append${where(rules)}, which exceeds the maximum configured segment size of ${rules.segmentBytes}.`,
    );
  return {
    bytes: batch,
    recordCount: recordCount(batch, 0),
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

/** The batch with the topic's timestamps: in place, or with a header of its own before records that were compressed anew. */
function rewritten(batch: Buffer, { records, isTooLarge }: Unpacked, maxTimestampMs: number, rules: BatchRules): Buffer {
  if (isTooLarge)
    throw new KafkaError(
      "MESSAGE_TOO_LARGE",
      `The batch compressed anew in append${where(rules)} exceeds the maximum configured size of ${rules.maxMessageBytes}.`,
    );
  if (records === null) {
    setMaxTimestamp(batch, 0, rules.timestampType, maxTimestampMs);
    return batch;
  }
  const timestampBit = rules.timestampType === "LogAppendTime" ? TIMESTAMP_TYPE_BIT : 0;
  writeHeader(records, 0, {
    baseOffset: baseOffset(batch, 0),
    batchBytes: records.length,
    partitionLeaderEpoch: partitionLeaderEpoch(batch, 0),
    attributes: Codec[rules.target!.codec] | timestampBit | (attributes(batch, 0) & TRANSACTIONAL_BIT),
    lastOffsetDelta: lastOffsetDelta(batch, 0),
    baseTimestamp: baseTimestamp(batch, 0),
    maxTimestamp: maxTimestampMs,
    producerId: producerId(batch, 0),
    producerEpoch: producerEpoch(batch, 0),
    baseSequence: baseSequence(batch, 0),
    recordCount: recordCount(batch, 0),
  });
  return records;
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
