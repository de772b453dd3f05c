/** What of a produced batch is checked before its records are looked at. Source: ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords, LogValidator.validateBatch. */
import { KafkaError } from "../protocol/errors.ts";
import {
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  baseOffset,
  baseSequence,
  batchBytes,
  Codec,
  compressionType,
  crc,
  crcIsValid,
  hasProducerId,
  isControl,
  LOG_OVERHEAD_BYTES,
  lastOffset,
  MAGIC,
  magic,
  producerId,
  recordCount,
} from "./batch.ts";
import { type BatchRules, where } from "./batch-rules.ts";
import { invalidRecord } from "./errors.ts";

/** The one batch of what was received, without what follows it; its size, CRC and header are good. Throws KafkaError. */
export function checkedBatch(received: Buffer | null, rules: BatchRules): Buffer {
  const batch = onlyBatch(received, rules);
  checkEnvelope(batch, rules);
  checkHeader(batch, rules);
  return batch;
}

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
