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
      if (segment.nextOffset <= log.logStartOffset || segment.maxTimestamp.timestampMs < timestampMs) continue;
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
    const { logStartOffset } = log; // one that moves meanwhile must not make the index look wrong
    let latest: MaxOf | null = null;
    for (const segment of [...log.segments]) {
      if (segment.nextOffset <= logStartOffset) continue;
      const max = await maxFrom(segment, logStartOffset);
      if (latest === null || max.timestampMs > latest.timestampMs) latest = max;
    }
    if (latest === null) return null;
    // A log whose records have no timestamps: as in Kafka, its first record has the largest one, -1.
    const { segment, timestampMs } = latest;
    const offset = timestampMs < 0 ? segment.baseOffset : latest.offset;
    const from = await positionAtOrBefore(segment, Math.max(offset, logStartOffset));
    const fits = (record: Found) => record.timestampMs === timestampMs && record.offset >= logStartOffset;
    const found = await findRecord(segment, from, timestampMs, fits);
    if (found !== null) return found.offset < limitOffset ? found : null;
    if (timestampMs < 0 || (await hasBatchOf(segment, from, timestampMs))) return null;
    throw new WrongIndex(segment);
  });
}

/** The largest timestamp of a segment's records from some offset on, and where to look for it. */
interface MaxOf {
  readonly segment: Segment;
  readonly timestampMs: number;
  readonly offset: number;
}

/** What the segment remembers may be that of a record below `start`: then the rest is read. */
async function maxFrom(segment: Segment, start: number): Promise<MaxOf> {
  if (segment.baseOffset >= start) return { segment, ...segment.maxTimestamp };
  const from = await positionAtOrBefore(segment, start);
  const handle = segment.hold();
  let max: MaxOf = { segment, timestampMs: -1, offset: start };
  const take = (timestampMs: number, offset: number) => {
    if (timestampMs > max.timestampMs) max = { segment, timestampMs, offset };
  };
  try {
    const range = { ...wholeOf(segment, handle), from };
    const straddling = { position: -1, bytes: 0 };
    const stopped = await scanBatches(range, (b, at, position) => {
      if (baseOffset(b, at) < start && lastOffset(b, at) >= start)
        Object.assign(straddling, { position, bytes: batchBytes(b, at) });
      else if (lastOffset(b, at) >= start) take(maxTimestamp(b, at), lastOffset(b, at));
      return true;
    });
    if (stopped.problem !== null) throw corrupt(segment, stopped.position, stopped.nextOffset, stopped.problem);
    if (straddling.position < 0) return max;
    const batch = await readBatch(segment, handle, straddling.position, straddling.bytes);
    firstThatFits(batch, ({ offset, timestampMs }) => {
      if (offset >= start && timestampMs >= max.timestampMs) max = { segment, timestampMs, offset };
      return false;
    });
    return max;
  } finally {
    segment.release(handle);
  }
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
      const range = { ...wholeOf(segment, handle), from: position };
      let bytes = 0;
      const stopped = await scanBatches(range, (b, at) => {
        bytes = batchBytes(b, at);
        return maxTimestamp(b, at) < timestampMs;
      });
      if (stopped.problem !== null) throw corrupt(segment, stopped.position, stopped.nextOffset, stopped.problem);
      if (stopped.position >= range.to) return null; // what was appended meanwhile is not searched
      const batch = await readBatch(segment, handle, stopped.position, bytes);
      const found = firstThatFits(batch, fits);
      if (found !== null) return { ...found, leaderEpoch: partitionLeaderEpoch(batch, 0) };
      position = stopped.position + bytes;
    }
  } finally {
    segment.release(handle);
  }
}

/** Whether a batch from `from` on says that this is its largest timestamp: compaction may have left it without records. */
async function hasBatchOf(segment: Segment, from: number, timestampMs: number): Promise<boolean> {
  const handle = segment.hold();
  try {
    const range = { ...wholeOf(segment, handle), from };
    const stopped = await scanBatches(range, (b, at) => maxTimestamp(b, at) !== timestampMs);
    if (stopped.problem !== null) throw corrupt(segment, stopped.position, stopped.nextOffset, stopped.problem);
    return stopped.position < range.to;
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

/** All batches that the segment has now. */
const wholeOf = (segment: Segment, { file }: Handle) => ({
  file,
  from: 0,
  to: segment.size,
  baseOffset: segment.baseOffset,
  nextOffset: segment.baseOffset,
  validate: false,
});

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
