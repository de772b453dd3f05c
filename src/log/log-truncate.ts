/** Cutting a log short, and beginning it anew: what a follower does when its leader has a different history. Source: UnifiedLog.truncateTo, truncateFullyAndStartAt. */
import { KafkaError } from "../protocol/errors.ts";
import { baseOffset, lastOffset } from "../record/batch.ts";
import { scanBatches } from "./batch-scan.ts";
import { markCompaction } from "./compaction-mark.ts";
import { INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX } from "./file-names.ts";
import { completeIndexes } from "./index-recovery.ts";
import type { Log } from "./log.ts";
import { recoverProducers, removeSnapshot, snapshotOffsets } from "./producer-recovery.ts";
import type { Segment } from "./segment.ts";
import { positionAtOrBefore } from "./segment-read.ts";

/** Where the log will end. */
interface Cut {
  readonly segment: Segment;
  readonly position: number;
  readonly offset: number;
}

/** See Log.truncateTo. */
export async function truncateLog(log: Log, offset: number): Promise<void> {
  log.checkUsable();
  if (offset >= log.logEndOffset) return;
  if (offset < log.logStartOffset) return truncateFully(log, offset);
  const { rounds, recoveryPoints } = log.shared;
  while (rounds.busy) await rounds.idle();
  await log.sync.forgetJournaled();
  const cut = await log.reader.withGoodIndexes(() => findCut(log, offset));
  if (cut === null) return;
  if (cut.offset < log.logStartOffset) return truncateFully(log, log.logStartOffset); // nothing is left of what can be seen
  if (cut.offset < log.sync.recoveryPoint.offset) {
    log.sync.recoveryPoint = { offset: cut.offset, segmentBaseOffset: cut.segment.baseOffset, position: cut.position };
    await recoveryPoints.lower(log.sync, log.sync.recoveryPoint);
  }
  await lowerCompactionMark(log, cut.segment.baseOffset);
  log.resetActive();
  while (log.active !== cut.segment) removeSegment(log, log.segments.pop()!);
  await cutSegment(log, cut);
  log.logEndOffset = cut.offset;
  log.durableEndOffset = Math.min(log.durableEndOffset, cut.offset);
  log.leaderEpochs.truncateFromEnd(cut.offset);
  await restoreProducers(log);
  await makeDurable(log);
  await lowerStart(log);
}

/** See Log.truncateFullyAndStartAt. */
export async function truncateFully(log: Log, offset: number): Promise<void> {
  log.checkUsable();
  const { rounds, recoveryPoints } = log.shared;
  while (rounds.busy) await rounds.idle();
  await log.sync.forgetJournaled();
  const first = log.segments[0]?.baseOffset ?? offset;
  log.sync.recoveryPoint = { offset: first, segmentBaseOffset: first, position: 0 };
  await recoveryPoints.lower(log.sync, log.sync.recoveryPoint);
  await lowerCompactionMark(log, 0);
  log.resetActive();
  while (log.segments.length > 0) removeSegment(log, log.segments.pop()!);
  for (const snapshot of snapshotOffsets(log.shared.disk, log.directory))
    removeSnapshot(log.shared.disk, log.directory, snapshot);
  log.producers.clear();
  log.leaderEpochs.clear();
  log.snapshotOffset = -1;
  log.logStartOffset = offset;
  log.logEndOffset = offset;
  log.durableEndOffset = offset;
  log.beginAt(offset);
  await makeDurable(log);
  await lowerStart(log);
  log.sync.recoveryPoint = { offset, segmentBaseOffset: offset, position: 0 };
  await recoveryPoints.lower(log.sync, log.sync.recoveryPoint);
}

/** What is known of a compaction up to `offset` stays true. */
async function lowerCompactionMark(log: Log, offset: number): Promise<void> {
  const { gapsBelow, firstDirtyOffset } = log.compaction;
  if (gapsBelow <= offset && firstDirtyOffset <= offset) return;
  await markCompaction(log, { gapsBelow: Math.min(gapsBelow, offset), firstDirtyOffset: Math.min(firstDirtyOffset, offset) });
}

/** The batch that holds `offset` (or the first one above it) goes, with all behind it. */
async function findCut(log: Log, offset: number): Promise<Cut | null> {
  for (let i = log.segmentIndexOf(offset); i < log.segments.length; i++) {
    const segment = log.segments[i]!;
    const from = await positionAtOrBefore(segment, offset);
    const handle = segment.hold();
    try {
      let base = -1;
      const range = {
        file: handle.file,
        from,
        to: segment.size,
        baseOffset: segment.baseOffset,
        nextOffset: segment.baseOffset,
        validate: false,
      };
      const stopped = await scanBatches(range, (b, at) => {
        if (lastOffset(b, at) < offset) return true;
        base = baseOffset(b, at);
        return false;
      });
      if (stopped.problem !== null)
        throw new KafkaError("CORRUPT_MESSAGE", `${segment.path}, byte ${stopped.position}: ${stopped.problem}`);
      if (base >= 0) return { segment, position: stopped.position, offset: Math.min(base, Math.max(offset, segment.baseOffset)) };
    } finally {
      segment.release(handle);
    }
  }
  return null;
}

function removeSegment(log: Log, segment: Segment): void {
  const { disk } = log.shared;
  segment.close();
  disk.remove(segment.path);
  disk.remove(segment.pathOf(INDEX_SUFFIX));
  disk.remove(segment.pathOf(TIME_INDEX_SUFFIX));
  disk.remove(segment.pathOf(TRANSACTION_INDEX_SUFFIX));
}

async function cutSegment(log: Log, { segment, position, offset }: Cut): Promise<void> {
  const handle = segment.hold("write");
  try {
    handle.file.truncate(position);
  } finally {
    segment.release(handle);
  }
  segment.forgetFrom(position, offset);
  const kept = segment.entriesBelow(position, offset);
  await completeIndexes(segment, kept, position, log.config.indexIntervalBytes);
  segment.transactions.truncateTo(offset);
  segment.transactions.flush();
  segment.nextOffset = offset;
}

async function restoreProducers(log: Log): Promise<void> {
  const { disk, logger, clock } = log.shared;
  const { directory, segments, logStartOffset, logEndOffset } = log;
  const range = {
    segments,
    firstOffset: segments[0]?.baseOffset ?? logStartOffset,
    logEndOffset,
    trustedOffset: logEndOffset,
    transactionsFrom: Number.POSITIVE_INFINITY,
  };
  const restored = await recoverProducers({ disk, logger, directory, nowMs: clock.nowMs(), ...range }, log.producers);
  log.snapshotOffset = restored.snapshotOffset;
  log.producers.onHighWatermark(log.durableEndOffset);
}

/** A log that ends below its start is begun anew there when it is opened: that must not be, once it has been cut. */
async function lowerStart({ shared, topicId, partition, logEndOffset }: Log): Promise<void> {
  const place = { topicId, partition };
  if (logEndOffset < shared.logStarts.get(place)) await shared.logStarts.reset(place, logEndOffset);
}

async function makeDurable(log: Log): Promise<void> {
  const { rounds } = log.shared;
  const { active } = log;
  const handles = active === undefined ? [] : [active.hold()];
  if (active?.transactions.hasFile) handles.push(log.shared.files.hold(active.transactions.file.openFile));
  log.sync.include(handles, [log.directory], true);
  await rounds.idle();
}
