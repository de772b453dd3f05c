/**
 * The walk that validation does over every record of a produced batch: reads what it must, allocates nothing per record.
 * Structure is checked as strictly as Kafka's DefaultRecord.readFrom does it (also for compressed batches, where Kafka skips
 * over bodies and does not compare their length with what they hold).
 */
import { invalidRecord } from "./errors.ts";
import { Cursor } from "./varint.ts";

/** What the walk saw. Deltas are milliseconds from the batch's base timestamp. */
export interface Skimmed {
  minTimestampDelta: number;
  maxTimestampDelta: number;
  /** Of the first record that has the maximum. */
  indexOfMaxTimestamp: number;
  /** -1 if every record has a key. */
  firstIndexWithoutKey: number;
  /** Whether record i has offset delta i. */
  isContiguous: boolean;
}

/** The least a record can be: attributes, two deltas, two lengths, a header count. */
const MIN_RECORD_BYTES = 6;

/** Walks exactly `count` records over all of `bytes[start, end)`. Throws INVALID_RECORD if they are not that. */
export function skimRecords(bytes: Buffer, start: number, end: number, count: number): Skimmed {
  const cursor = new Cursor(bytes, start, end);
  let minTimestampDelta = Number.POSITIVE_INFINITY;
  let maxTimestampDelta = Number.NEGATIVE_INFINITY;
  let indexOfMaxTimestamp = 0;
  let firstIndexWithoutKey = -1;
  let isContiguous = true;
  for (let i = 0; i < count; i++) {
    cursor.end = end;
    if (cursor.at >= end) throw invalidRecord("Incorrect declared batch size, premature EOF reached");
    const length = cursor.varint();
    const recordEnd = cursor.at + length;
    if (length < MIN_RECORD_BYTES || recordEnd > end) throw badSize(length, end - cursor.at);
    cursor.end = recordEnd;
    cursor.at++;
    const timestampDelta = cursor.varlong();
    if (timestampDelta > maxTimestampDelta) {
      maxTimestampDelta = timestampDelta;
      indexOfMaxTimestamp = i;
    }
    if (timestampDelta < minTimestampDelta) minTimestampDelta = timestampDelta;
    if (cursor.varint() !== i) isContiguous = false;
    const keyLength = cursor.varint();
    if (keyLength >= 0) cursor.at += keyLength;
    else if (firstIndexWithoutKey < 0) firstIndexWithoutKey = i;
    const valueLength = cursor.varint();
    if (valueLength > 0) cursor.at += valueLength;
    const headerCount = cursor.varint();
    if (headerCount !== 0) skipHeaders(cursor, headerCount);
    if (cursor.at !== recordEnd) throw badSize(length, cursor.at - recordEnd + length);
  }
  if (cursor.at !== end) throw invalidRecord("Incorrect declared batch size, records still remaining in file");
  return { minTimestampDelta, maxTimestampDelta, indexOfMaxTimestamp, firstIndexWithoutKey, isContiguous };
}

const badSize = (declared: number, found: number) =>
  invalidRecord(`Invalid record size: ${declared} bytes declared in record payload, but ${found} found`);

function skipHeaders(cursor: Cursor, count: number): void {
  if (count < 0) throw invalidRecord(`Found invalid number of record headers ${count}`);
  if (count > cursor.end - cursor.at)
    throw invalidRecord(`Found invalid number of record headers. ${count} is larger than the remaining size of the buffer`);
  for (let i = 0; i < count; i++) {
    const keyLength = cursor.varint();
    if (keyLength < 0) throw invalidRecord(`Invalid negative header key size ${keyLength}`);
    cursor.at += keyLength;
    const valueLength = cursor.varint();
    if (valueLength > 0) cursor.at += valueLength;
  }
}
