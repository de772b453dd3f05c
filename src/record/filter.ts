/**
 * Takes records out of a stored batch, as compaction does: offsets, sequences and the batch's first and last offset stay, the codec too.
 * A batch that keeps all its records stays byte for byte. Source: MemoryRecords.filterTo, KIP-534 for the delete horizon.
 */
import {
  attributes,
  BATCH_HEADER_BYTES,
  baseOffset,
  baseSequence,
  baseTimestamp,
  COMPRESSION_MASK,
  CONTROL_BIT,
  Codec,
  type CodecName,
  compressionType,
  DELETE_HORIZON_BIT,
  hasDeleteHorizon,
  lastOffsetDelta,
  maxTimestamp,
  NO_TIMESTAMP,
  partitionLeaderEpoch,
  producerEpoch,
  producerId,
  recordCount,
  TIMESTAMP_TYPE_BIT,
  TRANSACTIONAL_BIT,
  timestampType,
  writeHeader,
} from "./batch.ts";
import { newCompressor, type Target } from "./recompress.ts";
import { RecordWalk } from "./record-walk.ts";
import { varintBytes, writeVarint } from "./varint.ts";

export interface BatchFilter {
  /** Whether the record that the walk stands at stays. */
  keeps(walk: RecordWalk, offset: number): boolean;
  /** From when on tombstones that are met for the first time may go. */
  readonly newHorizonMs: number;
  /** The batch gets a delete horizon although it holds no tombstone: a marker whose transaction is gone. */
  readonly marksHorizon: boolean;
}

/** What is left of a batch: `bytes` null if it stays as it is; no records and no bytes if nothing is. */
export interface Filtered {
  readonly bytes: Buffer | null;
  readonly records: number;
}

/** What a walk over a batch's records found. */
interface Kept {
  /** [from, to, from, to, …] of the body: what stays, neighbours together. */
  readonly runs: number[];
  readonly records: number;
  readonly hasTombstone: boolean;
  readonly maxTimestampMs: number;
}

/** Filters the batch at `at`, whose records are `body`, unpacked; its CRC must have been checked. Throws INVALID_RECORD. */
export function filterBatch(b: Buffer, at: number, body: Buffer, filter: BatchFilter): Filtered {
  const count = recordCount(b, at);
  const kept = walk(b, at, new RecordWalk(body, count), filter);
  if (kept.records === 0) return { bytes: Buffer.alloc(0), records: 0 };
  const getsHorizon = (kept.hasTombstone || filter.marksHorizon) && !hasDeleteHorizon(b, at);
  if (kept.records === count && !getsHorizon) return { bytes: null, records: count };
  const left = getsHorizon
    ? rebased(body, kept, baseTimestamp(b, at) - filter.newHorizonMs)
    : Buffer.concat(slices(body, kept.runs));
  const base = getsHorizon ? filter.newHorizonMs : baseTimestamp(b, at);
  return { bytes: rebuilt(b, at, left, kept, base, getsHorizon), records: kept.records };
}

/** The batch without records: it still says what its producer wrote last, and which offsets it had. DefaultRecordBatch.writeEmptyHeader. */
export function emptiedBatch(b: Buffer, at: number): Buffer {
  const batch = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES);
  writeHeader(batch, 0, {
    ...headerOf(b, at),
    batchBytes: BATCH_HEADER_BYTES,
    attributes: attributes(b, at) & (TIMESTAMP_TYPE_BIT | TRANSACTIONAL_BIT | CONTROL_BIT),
    baseTimestamp: NO_TIMESTAMP,
    maxTimestamp: maxTimestamp(b, at),
    recordCount: 0,
  });
  return batch;
}

function walk(b: Buffer, at: number, records: RecordWalk, filter: BatchFilter): Kept {
  const firstOffset = baseOffset(b, at);
  const runs: number[] = [];
  let count = 0;
  let hasTombstone = false;
  let maxDelta = Number.NEGATIVE_INFINITY;
  while (records.next()) {
    if (!filter.keeps(records, firstOffset + records.offsetDelta)) continue;
    count++;
    if (!records.hasValue) hasTombstone = true;
    if (records.timestampDelta > maxDelta) maxDelta = records.timestampDelta;
    if (runs.length > 0 && runs[runs.length - 1] === records.start) runs[runs.length - 1] = records.end;
    else runs.push(records.start, records.end);
  }
  const maxTimestampMs =
    timestampType(b, at) === "LogAppendTime" ? maxTimestamp(b, at) : count === 0 ? NO_TIMESTAMP : baseTimestamp(b, at) + maxDelta;
  return { runs, records: count, hasTombstone, maxTimestampMs };
}

const slices = (body: Buffer, runs: readonly number[]): Buffer[] => {
  const out: Buffer[] = [];
  for (let i = 0; i < runs.length; i += 2) out.push(body.subarray(runs[i], runs[i + 1]));
  return out;
};

/** The kept records with `shiftMs` more in each timestamp delta: the base timestamp has become another. */
function rebased(body: Buffer, kept: Kept, shiftMs: number): Buffer {
  const parts: Buffer[] = [];
  for (const run of slices(body, kept.runs)) {
    const records = new RecordWalk(run, Number.POSITIVE_INFINITY);
    while (records.end < run.length && records.next()) parts.push(withDelta(records, records.timestampDelta + shiftMs));
  }
  return Buffer.concat(parts);
}

/** The record that the walk stands at, with another timestamp delta. */
function withDelta({ body, start, end, afterTimestamp }: RecordWalk, delta: number): Buffer {
  const length = 1 + varintBytes(delta) + (end - afterTimestamp);
  const record = Buffer.allocUnsafe(varintBytes(length) + length);
  let at = writeVarint(record, 0, length);
  record[at++] = body[attributesAt(body, start)]!;
  at = writeVarint(record, at, delta);
  body.copy(record, at, afterTimestamp, end);
  return record;
}

/** Where a record's attributes stand: behind its length. */
function attributesAt(body: Buffer, start: number): number {
  let at = start;
  while (body[at]! >= 0x80) at++;
  return at + 1;
}

function rebuilt(b: Buffer, at: number, body: Buffer, kept: Kept, baseTimestampMs: number, getsHorizon: boolean): Buffer {
  const compressor = newCompressor(sameCodec(compressionType(b, at)), Number.MAX_SAFE_INTEGER);
  compressor.write(body);
  const batch = compressor.finish(BATCH_HEADER_BYTES)!; // no bound, so not null
  const meaning = COMPRESSION_MASK | TIMESTAMP_TYPE_BIT | TRANSACTIONAL_BIT | CONTROL_BIT | DELETE_HORIZON_BIT;
  writeHeader(batch, 0, {
    ...headerOf(b, at),
    batchBytes: batch.length,
    attributes: (attributes(b, at) & meaning) | (getsHorizon ? DELETE_HORIZON_BIT : 0),
    baseTimestamp: baseTimestampMs,
    maxTimestamp: kept.maxTimestampMs,
    recordCount: kept.records,
  });
  return batch;
}

/** The batch's own codec at its usual level, whatever the topic says: as in Kafka. */
function sameCodec(id: number): Target {
  const codec = (Object.keys(Codec) as CodecName[]).find((name) => Codec[name] === id)!;
  return { codec, level: USUAL_LEVEL[codec] };
}

const USUAL_LEVEL: Readonly<Record<CodecName, number>> = { none: 0, gzip: -1, snappy: 0, lz4: 9, zstd: 3 };

/** What never changes. */
const headerOf = (b: Buffer, at: number) => ({
  baseOffset: baseOffset(b, at),
  partitionLeaderEpoch: partitionLeaderEpoch(b, at),
  lastOffsetDelta: lastOffsetDelta(b, at),
  producerId: producerId(b, at),
  producerEpoch: producerEpoch(b, at),
  baseSequence: baseSequence(b, at),
});
