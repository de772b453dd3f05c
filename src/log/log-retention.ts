/**
 * What of a log is too old, too much, or below its start, and its going. The start moves first, on the disk; what lies below it goes after.
 * Source: UnifiedLog.deleteOldSegments, deletableSegments, maybeIncrementLogStartOffset.
 */
import { DiskError } from "../io/disk.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { Log } from "./log.ts";
import { discardLeftBehind, removeOldest } from "./log-segments.ts";

/** See Log.moveStart. */
export async function moveLogStart(log: Log, offset: number): Promise<void> {
  log.checkUsable();
  if (offset <= log.logStartOffset) return;
  const { shared, cuts } = log;
  try {
    await keepProducers(log, offset);
    if (log.isBeingCut) throw new KafkaError("KAFKA_STORAGE_ERROR", `${log.name} is being cut`);
    await shared.logStarts.raise(log, offset);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    throw new KafkaError("KAFKA_STORAGE_ERROR", `Error while moving the start of ${log.name}: ${error.message}`);
  }
  if (log.offline !== null) shared.logStarts.forget(log); // it may have been deleted meanwhile
  log.checkUsable();
  if (offset <= log.logStartOffset || cuts !== log.cuts || log.isBeingCut) return;
  log.logStartOffset = offset;
  log.leaderEpochs.truncateFromStart(offset);
  if (log.sync.epochsAreBehind) log.sync.markDirty();
  log.onStartMoved?.(log);
}

/**
 * What is known of producers from segments that go, if those below `offset` go, must be in a snapshot. A roll makes one, but a crash may
 * have taken it. Resolves when it is on the disk. Rejects with DiskError, or after a failed sync.
 */
async function keepProducers(log: Log, offset: number): Promise<void> {
  const { sync, shared, segments } = log;
  const first = segments[log.segmentIndexOf(offset)];
  const isKept = first === undefined || first === segments[0] || log.snapshotOffset >= first.baseOffset;
  if (!isKept && log.producers.size > 0) {
    log.takeSnapshot();
    sync.markDirty();
  }
  if (sync.inRound || sync.hasWork) await shared.rounds.idle();
}

/**
 * Removes what retention does not keep. `turn` resolves when it is this log's turn to make and rename files, which may block. Rejects with
 * DiskError, KafkaError; then it is to be tried again later.
 */
export async function applyRetention(log: Log, turn: () => Promise<void> = async () => {}): Promise<void> {
  log.checkUsable();
  if (log.isBeingCut || log.isArriving) return;
  if (log.leftBehind.length > 0) discardLeftBehind(log);
  const { segments, cuts, swaps, logEndOffset, config } = log;
  const all = segments.length;
  let count = await log.reader.withGoodIndexes(() => countOld(log));
  if (count === 0) return;
  await turn();
  // What was the last one has grown meanwhile, or others were begun behind it: they are not what was looked at.
  if (logEndOffset !== log.logEndOffset) count = Math.min(count, all - 1);
  const isAsDecided = cuts === log.cuts && swaps === log.swaps && config === log.config;
  if (count > 0 && mayStill(log) && isAsDecided) {
    if (count === segments.length) log.rollActive();
    await log.moveStart(segments[count]!.baseOffset);
    await turn();
  }
  count = countBelowStart(log);
  if (count === 0 || !mayStill(log)) return;
  await keepProducers(log, log.logStartOffset);
  removeBelowStart(log, count);
}

/** How many of the oldest segments are to go; all of them if nothing that is in the log is to be kept. */
async function countOld(log: Log): Promise<number> {
  const below = countBelowStart(log);
  if (!log.config.deletes) return below;
  const { retentionMs } = log.config;
  const nowMs = log.shared.clock.nowMs();
  let count = below + countAboveSize(log, below);
  if (retentionMs < 0) return count;
  while (mayGo(log, count) && nowMs - (await log.segments[count]!.largestTimestampMs()) > retentionMs) count++;
  return count;
}

/** Segments that begin before their successor's base, which the log's start has reached. */
function countBelowStart({ segments, logStartOffset }: Log): number {
  let count = 0;
  while (count + 1 < segments.length && segments[count + 1]!.baseOffset <= logStartOffset) count++;
  return count;
}

/** Of the segments from `first` on, those that can go without leaving less than retention.bytes. */
function countAboveSize(log: Log, first: number): number {
  const { retentionBytes } = log.config;
  if (retentionBytes < 0) return 0;
  let excess = -retentionBytes;
  for (let i = first; i < log.segments.length; i++) excess += log.segments[i]!.size;
  let count = 0;
  for (; mayGo(log, first + count); count++) {
    excess -= log.segments[first + count]!.size;
    if (excess < 0) break;
  }
  return count;
}

/** Nothing at or beyond the high watermark goes, and no last segment that is empty. */
function mayGo({ segments, logEndOffset, durableEndOffset }: Log, i: number): boolean {
  const segment = segments[i];
  if (segment === undefined || (i === segments.length - 1 && segment.size === 0)) return false;
  return durableEndOffset >= (segments[i + 1]?.baseOffset ?? logEndOffset);
}

const mayStill = ({ offline, isBeingCut }: Log): boolean => offline === null && !isBeingCut;

function removeBelowStart(log: Log, most: number): void {
  if (!mayStill(log)) return;
  const count = Math.min(most, countBelowStart(log));
  if (count === 0) return;
  const { name, logStartOffset, shared, segments } = log;
  if (segments.slice(0, count).some(({ nameSuffix }) => nameSuffix !== "")) return; // it is getting its names: the next time
  removeOldest(log, count);
  shared.logger.info("old segments were deleted", { log: name, segments: count, logStartOffset });
}
