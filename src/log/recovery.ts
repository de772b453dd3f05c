/**
 * Opening a partition's directory. What lies below the recovery point is believed; what lies above it is validated, and the first bad
 * batch ends the log there: the rest is moved aside, never destroyed. Source of the rules: this project's own durability rules; Kafka's LogLoader does more.
 */
import type { Logger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import { baseOffset, batchBytes, lastOffset, maxTimestamp, partitionLeaderEpoch } from "../record/batch.ts";
import { scanBatches } from "./batch-scan.ts";
import { moveSegmentAside, moveTailAside } from "./cut-tail.ts";
import {
  DELETED_FILE_SUFFIX,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  offsetOfFileName,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from "./file-names.ts";
import { CorruptLog, completeIndexes, indexAsFound, indexOfFinishedSegment, plausibleIndex } from "./index-recovery.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import type { RecoveryPoint } from "./recovery-points.ts";
import type { Segment } from "./segment.ts";

export interface RecoveryContext {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: string;
  /** Its files, as they were found. */
  readonly names: readonly string[];
  readonly indexIntervalBytes: number;
  /** Null: nothing is believed. */
  readonly recoveryPoint: RecoveryPoint | null;
  /** After a clean shutdown nothing is read but names and sizes. */
  readonly wasCleanShutdown: boolean;
  /** Compaction, ours or another broker's, may have taken batches out below this offset. */
  readonly gapsBelow: number;
  /** Everything below this offset was synced when a compaction began, and a segment begins there. 0: not known. */
  readonly syncedBelow: number;
  readonly epochs: LeaderEpochs;
  /** Records below it were deleted; segments that lie below it whole are what a crash left. 0 if nothing ever was. */
  readonly logStartOffset: number;
  /** Whether what is known of producers below `offset`, where a segment begins, is nowhere but in the segments below it. */
  needsSegmentsBelow(offset: number): boolean;
  /** Renames a segment's files and removes them in the background. */
  discard(baseOffset: number): void;
  /** Removes files in the background. */
  remove(paths: readonly string[]): void;
  /** The segment of that file, with its size; its indexes are still empty. */
  makeSegment(baseOffset: number): Segment;
}

export interface RecoveredSegments {
  /** In order; none if the directory holds no log. */
  readonly segments: Segment[];
  readonly logEndOffset: number;
  /** Everything below was on the disk before. */
  readonly believedEnd: number;
  /** Whether batches above the recovery point were found: they count once they are synced. */
  readonly wasValidated: boolean;
  /** Segments with files (all but the last one: indexes too) that must be synced. */
  readonly changed: readonly Segment[];
}

/** Loads the segments of a directory. Throws CorruptLog when what was synced is not there. */
export async function recoverSegments(context: RecoveryContext): Promise<RecoveredSegments> {
  const segments = findSegments(context);
  if (segments.length === 0) {
    const { recoveryPoint, logStartOffset } = context;
    if (recoveryPoint !== null && recoveryPoint.position > 0 && recoveryPoint.offset > logStartOffset)
      throw missing(context, recoveryPoint);
    const end = Math.max(recoveryPoint?.offset ?? 0, logStartOffset);
    return { segments, logEndOffset: end, believedEnd: end, wasValidated: false, changed: [] };
  }
  const point = startingPoint(context, segments);
  const first = segments.findIndex((segment) => segment.baseOffset >= point.segmentBaseOffset);
  const active = segments.at(-1)!;
  const isExact = active.baseOffset === point.segmentBaseOffset && active.size === point.position;
  const changed: Segment[] = [];
  for (let i = 0; i < (first < 0 ? segments.length : first); i++)
    if (await loadFinished(context, segments[i]!, segments[i + 1]?.baseOffset ?? point.offset)) changed.push(segments[i]!);
  if (isExact) {
    await loadActive(context, active, point);
    return { segments, logEndOffset: point.offset, believedEnd: point.offset, wasValidated: false, changed };
  }
  const logEndOffset = first < 0 ? point.offset : await validateFrom(context, segments, first, point);
  context.epochs.truncateFromEnd(logEndOffset);
  return {
    segments,
    logEndOffset,
    believedEnd: point.offset,
    wasValidated: true,
    changed: [...changed, ...segments.slice(first < 0 ? segments.length : first)],
  };
}

/**
 * The log files of the directory by base offset; index files without one are removed, and segments below the log's start. Those stay for
 * retention if a crash has taken the producer snapshot behind them.
 */
function findSegments(context: RecoveryContext): Segment[] {
  const { disk, directory, names, logStartOffset } = context;
  const bases = new Set<number>();
  for (const name of names) {
    const base = offsetOfFileName(name, LOG_SUFFIX);
    if (base !== null) bases.add(base);
  }
  for (const name of names) {
    const base =
      offsetOfFileName(name, INDEX_SUFFIX) ??
      offsetOfFileName(name, TIME_INDEX_SUFFIX) ??
      offsetOfFileName(name, TRANSACTION_INDEX_SUFFIX);
    if ((base !== null && !bases.has(base)) || /\.(cleaned|tmp)$/.test(name)) disk.remove(`${directory}/${name}`);
  }
  context.remove(names.filter((name) => name.endsWith(DELETED_FILE_SUFFIX)).map((name) => `${directory}/${name}`));
  const sorted = [...bases].sort((a, b) => a - b);
  let first = Math.max(
    0,
    sorted.findLastIndex((base) => base <= logStartOffset),
  );
  if (first > 0 && context.needsSegmentsBelow(sorted[first]!)) first = 0;
  for (const base of sorted.slice(0, first)) context.discard(base);
  return sorted.slice(first).map((base) => context.makeSegment(base));
}

/** Where validation begins. */
function startingPoint(context: RecoveryContext, segments: readonly Segment[]): RecoveryPoint {
  const { recoveryPoint: point, syncedBelow } = context;
  const base = segments[0]!.baseOffset;
  // The segment that an older recovery point names may be a part of a larger one by now.
  if (syncedBelow > base && (point === null || point.offset <= syncedBelow))
    return { offset: syncedBelow, segmentBaseOffset: syncedBelow, position: 0 };
  if (point === null) return { offset: base, segmentBaseOffset: base, position: 0 };
  // Its segment was deleted: what follows is read from its beginning.
  if (point.segmentBaseOffset < base && base <= context.logStartOffset)
    return { offset: base, segmentBaseOffset: base, position: 0 };
  const segment = segments.find((candidate) => candidate.baseOffset === point.segmentBaseOffset);
  if (segment === undefined && point.position > 0) throw missing(context, point);
  if (segment !== undefined && segment.size < point.position)
    throw new CorruptLog(
      `${segment.path} ends at byte ${segment.size}, but ${point.position} bytes of it, up to offset ${point.offset}, had been synced`,
    );
  return point;
}

const missing = (context: RecoveryContext, point: RecoveryPoint): CorruptLog =>
  new CorruptLog(
    `${context.directory} has no segment ${point.segmentBaseOffset}, of which ${point.position} bytes, up to offset ${point.offset}, had been synced`,
  );

/** A segment that was complete and synced. True if its indexes had to be written anew. */
async function loadFinished(context: RecoveryContext, segment: Segment, endOffset: number): Promise<boolean> {
  const { disk, logger, wasCleanShutdown } = context;
  const index = wasCleanShutdown ? indexAsFound(disk, segment) : indexOfFinishedSegment(disk, segment, endOffset);
  if (index !== null) {
    segment.restartIndexes(index);
    return false;
  }
  logger.warn("rebuilding a segment's indexes", { segment: segment.path });
  await completeIndexes(
    segment,
    { offsetEntries: 0, timeEntries: 0, filesAreExact: false },
    segment.size,
    context.indexIntervalBytes,
  );
  segment.finishIndexes();
  return true;
}

/** The last segment, all of it below the recovery point. */
async function loadActive(context: RecoveryContext, segment: Segment, point: RecoveryPoint): Promise<void> {
  const found = context.wasCleanShutdown ? indexAsFound(context.disk, segment) : null;
  if (found !== null) return segment.restartIndexes(found);
  await loadBelow(context, segment, point);
}

/** Brings the indexes of [0, point.position) up to date from whatever the files hold. */
async function loadBelow(context: RecoveryContext, segment: Segment, point: RecoveryPoint): Promise<void> {
  const kept = plausibleIndex(context.disk, segment, point.position, point.offset);
  await completeIndexes(segment, kept, point.position, context.indexIntervalBytes);
}

/** Validates segments[first…] from the recovery point on; returns the log's end. Bad ones leave `segments`. */
async function validateFrom(context: RecoveryContext, segments: Segment[], first: number, point: RecoveryPoint): Promise<number> {
  let nextOffset = point.offset;
  for (let i = first; i < segments.length; i++) {
    const segment = segments[i]!;
    const fileBytes = segment.size;
    const isFirst = segment.baseOffset === point.segmentBaseOffset;
    const from = isFirst ? point.position : 0;
    if (!isFirst && !mayFollow(context, nextOffset, segment.baseOffset)) {
      await cutSegments(context, segments, i, `begins at offset ${segment.baseOffset} where ${nextOffset} is expected`);
      break;
    }
    if (isFirst) await loadBelow(context, segment, point);
    else segment.size = 0;
    const stopped = await validate(context, segment, from, fileBytes, Math.max(nextOffset, segment.baseOffset));
    nextOffset = stopped.nextOffset;
    if (stopped.problem !== null) {
      await moveTailAside(context, segment, fileBytes, nextOffset, stopped.problem);
      await cutSegments(context, segments, i + 1, "follows a segment that was cut");
      break;
    }
    if (i + 1 < segments.length) segment.finishIndexes();
  }
  return nextOffset;
}

/** Whether what begins at `base` can be the next thing behind `nextOffset`. */
const mayFollow = (context: RecoveryContext, nextOffset: number, base: number): boolean =>
  base === nextOffset || (base > nextOffset && base <= context.gapsBelow);

/** Takes in the good batches of [from, fileBytes). */
async function validate(context: RecoveryContext, segment: Segment, from: number, fileBytes: number, nextOffset: number) {
  const handle = segment.hold();
  let expected = nextOffset;
  let gap: string | null = null;
  try {
    const range = { file: handle.file, from, to: fileBytes, baseOffset: segment.baseOffset, nextOffset, validate: true };
    const stopped = await scanBatches(range, (b, at) => {
      const base = baseOffset(b, at);
      const last = lastOffset(b, at);
      if (!mayFollow(context, expected, base)) gap = `base offset ${base} where ${expected} is expected`;
      if (gap !== null) return false;
      const epoch = partitionLeaderEpoch(b, at);
      if (epoch > context.epochs.latest) context.epochs.assign(epoch, base);
      segment.appended(batchBytes(b, at), last, maxTimestamp(b, at), context.indexIntervalBytes);
      expected = last + 1;
      return true;
    });
    segment.checked.add(from, stopped.position);
    return { nextOffset: stopped.nextOffset, problem: stopped.problem ?? gap };
  } finally {
    segment.release(handle);
  }
}

/** The log ends before segments[first]: they are moved aside, the last one first, so that a crash in between leaves no hole. */
async function cutSegments(context: RecoveryContext, segments: Segment[], first: number, why: string): Promise<void> {
  while (segments.length > first) {
    const segment = segments.pop()!;
    segment.close();
    await moveSegmentAside(context, segment, why);
  }
}
