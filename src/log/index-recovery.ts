/** Whether index files can be believed, and making them anew from the data when they cannot. */
import type { Disk } from "../io/disk.ts";
import { readWholeFile } from "../io/disk.ts";
import { batchBytes, lastOffset, maxTimestamp } from "../record/batch.ts";
import { scanBatches } from "./batch-scan.ts";
import { INDEX_SUFFIX, TIME_INDEX_SUFFIX } from "./file-names.ts";
import { OFFSET_ENTRY_BYTES } from "./offset-index.ts";
import { type IndexState, NO_INDEX, type Segment } from "./segment.ts";
import { TIME_ENTRY_BYTES } from "./time-index.ts";

/** Data that was known to be on the disk and is not there, or is not what was written. The partition goes offline; nothing is changed. */
export class CorruptLog extends Error {
  override name = "CorruptLog";
}

/** The sizes of a segment's index files; null for a missing one. */
interface IndexFileSizes {
  readonly offsetBytes: number | null;
  readonly timeBytes: number | null;
}

function sizeOf(disk: Disk, path: string): number | null {
  if (!disk.exists(path)) return null;
  const file = disk.open(path, "read");
  try {
    return file.size();
  } finally {
    file.close();
  }
}

const sizesOf = (disk: Disk, segment: Segment): IndexFileSizes => ({
  offsetBytes: sizeOf(disk, segment.pathOf(INDEX_SUFFIX)),
  timeBytes: sizeOf(disk, segment.pathOf(TIME_INDEX_SUFFIX)),
});

/** The index files as they are, if their sizes can be right. Enough after a clean shutdown: every look-up is checked against the data. */
export function indexAsFound(disk: Disk, segment: Segment): IndexState | null {
  const { offsetBytes, timeBytes } = sizesOf(disk, segment);
  if (offsetBytes === null || timeBytes === null) return segment.size === 0 ? NO_INDEX : null;
  if (offsetBytes % OFFSET_ENTRY_BYTES !== 0 || timeBytes % TIME_ENTRY_BYTES !== 0) return null;
  return {
    offsetEntries: offsetBytes / OFFSET_ENTRY_BYTES,
    timeEntries: timeBytes / TIME_ENTRY_BYTES,
    filesAreExact: true,
  };
}

/** Of a segment that was synced with its indexes: the files as they are, if their last entries can be right. `endOffset`: where the next segment begins. */
export function indexOfFinishedSegment(disk: Disk, segment: Segment, endOffset: number): IndexState | null {
  const found = indexAsFound(disk, segment);
  if (found === null) return null;
  segment.restartIndexes(found);
  if (found.offsetEntries > 0) {
    const { offset, position } = segment.offsetIndex.entry(found.offsetEntries - 1);
    if (offset < segment.baseOffset || offset >= endOffset || position <= 0 || position >= segment.size) return null;
  }
  if (found.timeEntries > 0) {
    const { offset, timestampMs } = segment.timeIndex.lastEntry;
    if (offset < segment.baseOffset || offset >= endOffset) return null;
    // They ascend; zeros do not, and one alone is more likely a hole in the file than a record of 1970.
    const before = found.timeEntries > 1 ? segment.timeIndex.entry(found.timeEntries - 2).timestampMs : 0;
    if (timestampMs <= before) return null;
  }
  if (found.timeEntries === 0 && segment.size > 0) return null; // every finished segment with timestamps has one
  return found;
}

/**
 * Of a segment that was being written to when the process died: the longest beginning of both files that ascends and points below
 * `position`. Blocks may be missing, torn or zero; whether the rest is right shows when the data is compared with it.
 */
export function plausibleIndex(disk: Disk, segment: Segment, position: number, offset: number): IndexState {
  const offsets = toBuffer(readWholeFile(disk, segment.pathOf(INDEX_SUFFIX)));
  const times = toBuffer(readWholeFile(disk, segment.pathOf(TIME_INDEX_SUFFIX)));
  let offsetEntries = 0;
  for (let at = 0, lastRelative = -1, lastPosition = -1; at + OFFSET_ENTRY_BYTES <= offsets.length; at += OFFSET_ENTRY_BYTES) {
    const relative = offsets.readInt32BE(at);
    const entryPosition = offsets.readInt32BE(at + 4);
    if (relative <= lastRelative || entryPosition <= lastPosition || entryPosition >= position) break;
    [lastRelative, lastPosition] = [relative, entryPosition];
    offsetEntries++;
  }
  const end = offset - segment.baseOffset;
  let timeEntries = 0;
  for (let at = 0, lastMs = -1n, lastRelative = -1; at + TIME_ENTRY_BYTES <= times.length; at += TIME_ENTRY_BYTES) {
    const timestampMs = times.readBigInt64BE(at);
    const relative = times.readInt32BE(at + 8);
    if (timestampMs <= lastMs || relative < lastRelative || relative < 0 || relative >= end) break;
    if (timestampMs > BigInt(Number.MAX_SAFE_INTEGER)) break;
    [lastMs, lastRelative] = [timestampMs, relative];
    timeEntries++;
  }
  return { offsetEntries, timeEntries, filesAreExact: false };
}

/**
 * Makes the indexes of [0, `end`) complete, keeping what `kept` names where the data agrees: the batches behind the last kept time entry
 * are walked (headers only), all of them if anything disagrees. Afterwards the segment ends at `end`, and batches can be appended.
 * Throws CorruptLog if the data itself is no chain of batches up to `end`.
 */
export async function completeIndexes(
  segment: Segment,
  kept: IndexState,
  end: number,
  indexIntervalBytes: number,
): Promise<void> {
  if (kept.offsetEntries > 0 && (await walkFromKept(segment, kept, end, indexIntervalBytes))) return;
  segment.restartIndexes(NO_INDEX);
  const problem = await walk(segment, 0, end, indexIntervalBytes, () => true);
  if (problem !== null) throw new CorruptLog(problem);
}

/** Takes in the batches between the segment's end and `end`. Throws CorruptLog if they are none. */
export async function extendIndexes(segment: Segment, end: number, indexIntervalBytes: number): Promise<void> {
  const problem = await walk(segment, segment.size, end, indexIntervalBytes, () => true);
  if (problem !== null) throw new CorruptLog(problem);
}

/** False if the data does not bear the kept entries out. */
async function walkFromKept(segment: Segment, kept: IndexState, end: number, indexIntervalBytes: number): Promise<boolean> {
  segment.restartIndexes(kept);
  const newestTime = segment.timeIndex.lastEntry;
  let n = kept.offsetEntries;
  // From the newest time entry on nothing is known of the timestamps.
  while (n > 1 && segment.offsetIndex.entry(n - 1).offset > newestTime.offset) n--;
  const first = segment.offsetIndex.entry(n - 1);
  if (kept.timeEntries > 0 && first.offset > newestTime.offset) return false;
  segment.offsetIndex.file.truncate(n);
  const seen = { first: false, newestTime: kept.timeEntries === 0 && first.position === 0 };
  const problem = await walk(segment, first.position, end, indexIntervalBytes, (b, at, position) => {
    if (position === first.position) seen.first = lastOffset(b, at) === first.offset;
    if (lastOffset(b, at) === newestTime.offset) seen.newestTime = maxTimestamp(b, at) === newestTime.timestampMs;
    return seen.first;
  });
  return problem === null && seen.first && seen.newestTime && segment.size === end;
}

/** Takes in the batches of [from, end) by their headers; returns what is wrong with them, or null. */
async function walk(
  segment: Segment,
  from: number,
  end: number,
  indexIntervalBytes: number,
  visit: (b: Buffer, at: number, position: number) => boolean,
): Promise<string | null> {
  segment.size = from;
  const handle = segment.hold();
  try {
    const range = {
      file: handle.file,
      from,
      to: end,
      baseOffset: segment.baseOffset,
      nextOffset: segment.baseOffset,
      validate: false,
    };
    const stopped = await scanBatches(range, (b, at, position) => {
      if (!visit(b, at, position)) return false;
      segment.appended(batchBytes(b, at), lastOffset(b, at), maxTimestamp(b, at), indexIntervalBytes);
      return true;
    });
    return stopped.problem === null
      ? null
      : `${segment.path}, offset ${stopped.nextOffset}, byte ${stopped.position}: ${stopped.problem}`;
  } finally {
    segment.release(handle);
  }
}

const toBuffer = (bytes: Uint8Array | null): Buffer =>
  bytes === null ? Buffer.alloc(0) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
