/** Batches that are refused for single records: a key or a time that the topic does not take. Source: LogValidator.validateRecord, processRecordErrors. */
import { KafkaError } from "../protocol/errors.ts";
import { baseOffset, baseTimestamp, maxTimestamp, NO_TIMESTAMP, recordCount, timestampType } from "./batch.ts";
import { type BatchRules, where } from "./batch-rules.ts";
import { recordPieces } from "./records.ts";
import { anyRecords, type Skimmed, skimRecords } from "./skim.ts";

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

export interface RecordTimes {
  minMs: number;
  maxMs: number;
  indexOfMax: number;
}

/** The timestamps that Kafka sees in the records: the batch's maximum for all of them if the client set LogAppendTime. */
export function recordTimes(batch: Buffer, skimmed: Skimmed): RecordTimes {
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
export function mayHaveRecordErrors(batch: Buffer, skimmed: Skimmed, times: RecordTimes, rules: BatchRules): boolean {
  if (rules.compacted && skimmed.firstIndexWithoutKey >= 0) return true;
  if (timestampType(batch, 0) === "LogAppendTime") return true;
  return rules.timestampType === "CreateTime" && (isOutOfRange(times.minMs, rules) || isOutOfRange(times.maxMs, rules));
}

const isOutOfRange = (timestampMs: number, rules: BatchRules): boolean =>
  rules.nowMs - timestampMs > rules.beforeMaxMs ||
  timestampMs - rules.nowMs > rules.afterMaxMs ||
  Math.abs(timestampMs) > MAX_TIMESTAMP_MS;

/** LogValidator.validateRecord for each record, processRecordErrors for all; returns if none is at fault. */
export function throwRecordErrors(batch: Buffer, rules: BatchRules): void {
  const errors: RecordError[] = [];
  let count = 0;
  let hasTimestampError = false;
  const isAppendTime = timestampType(batch, 0) === "LogAppendTime";
  const baseMs = baseTimestamp(batch, 0);
  const appendTimeMs = maxTimestamp(batch, 0);
  const firstOffset = baseOffset(batch, 0);
  skimRecords(
    recordPieces(batch, 0, rules.maxZstdWindowBytes),
    anyRecords(recordCount(batch, 0)),
    (batchIndex, offsetDelta, timestampDelta, hasKey) => {
      let message: string | undefined;
      if (rules.compacted && !hasKey) message = `Compacted topic cannot accept message without key${where(rules)}`;
      else {
        const timestampMs = isAppendTime ? appendTimeMs : baseMs + timestampDelta;
        message = timestampError(batch, firstOffset + offsetDelta, timestampMs, rules);
        hasTimestampError ||= message !== undefined;
      }
      if (message !== undefined && ++count <= MAX_RECORD_ERRORS) errors.push({ batchIndex, batchIndexErrorMessage: message });
      return false;
    },
  );
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
