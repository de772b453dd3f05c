/** Finding offsets by timestamp, exact to the record. Source: UnifiedLog.fetchOffsetByTimestamp, LogSegment.findOffsetByTimestamp. */
import { KafkaError } from "../protocol/errors.ts";
import {
  baseOffset,
  baseTimestamp,
  batchBytes,
  crcIsValid,
  lastOffset,
  maxTimestamp,
  partitionLeaderEpoch,
  recordCount,
  timestampType,
} from "../record/batch.ts";
import { recordPieces } from "../record/records.ts";
import { anyRecords, skimRecords } from "../record/skim.ts";
import { scanBatches } from "./batch-scan.ts";
import type { Log } from "./log.ts";
import type { Handle } from "./open-files.ts";
import type { Segment } from "./segment.ts";
import { positionAtOrBefore, WrongIndex } from "./segment-read.ts";

/** A record's place, its own timestamp, and the leader epoch of its batch (-1: unknown). */
export interface TimestampedOffset {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

/** See Log.offsetForTimestamp. */
export function findOffsetForTimestamp(log: Log, timestampMs: number, limitOffset: number): Promise<TimestampedOffset | null> {
  return log.reader.withGoodIndexes(async () => {
    log.checkUsable();
    for (const segment of [...log.segments]) {
      if (segment.maxTimestamp.timestampMs < timestampMs) continue;
      const entry = await segment.timeIndex.lookUp(timestampMs);
      const from = await positionAtOrBefore(segment, Math.max(entry.offset, log.logStartOffset));
      const fits = (record: Found) => record.offset >= log.logStartOffset && record.timestampMs >= timestampMs;
      const found = await findRecord(segment, from, timestampMs, fits);
      if (found !== null) return found.offset < limitOffset ? found : null;
    }
    return null;
  });
}

/** See Log.offsetOfMaxTimestamp. */
export function findOffsetOfMaxTimestamp(log: Log, limitOffset: number): Promise<TimestampedOffset | null> {
  return log.reader.withGoodIndexes(async () => {
    log.checkUsable();
    let latest = log.segments[0];
    if (latest === undefined) return null;
    for (const segment of log.segments) if (segment.maxTimestamp.timestampMs > latest.maxTimestamp.timestampMs) latest = segment;
    const { timestampMs, offset } = latest.maxTimestamp;
    // A log whose records have no timestamps: as in Kafka, its first record has the largest one, -1.
    const from = timestampMs < 0 ? 0 : await positionAtOrBefore(latest, offset);
    const found = await findRecord(latest, from, timestampMs, (record) => record.timestampMs === timestampMs);
    if (found === null && timestampMs < 0) return null;
    if (found === null) throw new WrongIndex(latest);
    return found.offset < limitOffset ? found : null;
  });
}

interface Found {
  readonly offset: number;
  readonly timestampMs: number;
}

/** The first record that fits, in batches from `from` on whose largest timestamp is at least `timestampMs`. */
async function findRecord(
  segment: Segment,
  from: number,
  timestampMs: number,
  fits: (record: Found) => boolean,
): Promise<TimestampedOffset | null> {
  const handle = segment.hold();
  try {
    for (let position = from; ; ) {
      const range = {
        file: handle.file,
        from: position,
        to: segment.size,
        baseOffset: segment.baseOffset,
        nextOffset: segment.baseOffset,
        validate: false,
      };
      let bytes = 0;
      const stopped = await scanBatches(range, (b, at) => {
        bytes = batchBytes(b, at);
        return maxTimestamp(b, at) < timestampMs;
      });
      if (stopped.problem !== null) throw corrupt(segment, stopped.position, stopped.nextOffset, stopped.problem);
      if (stopped.position >= segment.size) return null;
      const batch = await readBatch(segment, handle, stopped.position, bytes);
      const found = firstThatFits(batch, fits);
      if (found !== null) return { ...found, leaderEpoch: partitionLeaderEpoch(batch, 0) };
      position = stopped.position + bytes;
    }
  } finally {
    segment.release(handle);
  }
}

/** Unpacks the batch only as far as it must, and holds a piece of that at a time. */
function firstThatFits(batch: Buffer, fits: (record: Found) => boolean): Found | null {
  const firstOffset = baseOffset(batch, 0);
  const baseMs = baseTimestamp(batch, 0);
  const appendTimeMs = timestampType(batch, 0) === "LogAppendTime" ? maxTimestamp(batch, 0) : null;
  let found: Found | null = null;
  skimRecords(recordPieces(batch, 0), anyRecords(recordCount(batch, 0)), (_, offsetDelta, timestampDelta) => {
    const record = { offset: firstOffset + offsetDelta, timestampMs: appendTimeMs ?? baseMs + timestampDelta };
    if (!fits(record)) return false;
    found = record;
    return true;
  });
  return found;
}

async function readBatch(segment: Segment, handle: Handle, position: number, bytes: number): Promise<Buffer> {
  const batch = Buffer.allocUnsafeSlow(bytes);
  const got = await handle.file.readCold(batch, position);
  if (got < bytes) throw corrupt(segment, position, -1, "the file ends within a batch");
  if (!segment.checked.covers(position, position + bytes)) {
    if (!crcIsValid(batch, 0)) throw corrupt(segment, position, lastOffset(batch, 0), "the CRC is not that of the bytes");
    segment.checked.add(position, position + bytes);
  }
  return batch;
}

const corrupt = (segment: Segment, position: number, offset: number, problem: string): KafkaError =>
  new KafkaError("CORRUPT_MESSAGE", `${segment.path}, offset ${offset}, byte ${position}: ${problem}`);
