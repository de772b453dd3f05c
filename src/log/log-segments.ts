/**
 * Taking segments out of a log that lives: nobody finds them any more, reads that are under way end on what they hold (or begin again),
 * and their files go in the background. Source: LocalLog.removeAndDeleteSegments, deleteSegmentFiles, replaceSegments.
 */
import { assert } from "../base/assert.ts";
import { DiskError } from "../io/disk.ts";
import { DELETED_FILE_SUFFIX, offsetFileName, SEGMENT_SUFFIXES, SNAPSHOT_SUFFIX, WINDOWS_SUFFIX } from "./file-names.ts";
import type { Log } from "./log.ts";
import type { LogShared } from "./log-types.ts";
import type { Segment } from "./segment.ts";

/**
 * Puts `by` in the place of neighbouring segments of the log, in memory: from now on reads find those. The old ones are closed for good; a
 * read that has one of their files open may finish. Never the active segment. The files are the caller's.
 */
export function swapSegments(log: Log, old: readonly Segment[], by: readonly Segment[]): void {
  const first = log.segments.indexOf(old[0]!);
  const areNeighbours = first >= 0 && old.every((segment, i) => log.segments[first + i] === segment);
  assert(areNeighbours && old.at(-1) !== log.active, "only neighbouring segments before the active one can be swapped");
  log.segments.splice(first, old.length, ...by);
  log.swaps++;
  for (const segment of old) segment.close();
}

/**
 * Removes the oldest segments: the log begins with the next one. The log's start must be durable there before, so that a power cut in
 * between cannot bring back a part of them.
 */
export function removeOldest(log: Log, count: number): void {
  const gone = log.segments.slice(0, count);
  swapSegments(log, gone, []);
  for (const { baseOffset } of gone) log.leftBehind.push(baseOffset);
  discardLeftBehind(log);
}

/** Renames what could not be renamed before. What the disk does not let go stays for the next time, or for the next opening. */
export function discardLeftBehind(log: Log): void {
  const { directory, config, snapshotOffset, shared } = log;
  log.leftBehind = log.leftBehind.filter((baseOffset) => {
    const suffixes = baseOffset === snapshotOffset ? SEGMENT_SUFFIXES.filter(isNoSnapshot) : SEGMENT_SUFFIXES;
    return !discardFiles(
      shared,
      suffixes.map((suffix) => `${directory}/${offsetFileName(baseOffset, suffix)}`),
      config.fileDeleteDelayMs,
    );
  });
}

/** The newest snapshot says more than the log itself: it stays until there is a newer one. */
export const isNoSnapshot = (suffix: string): boolean => suffix !== SNAPSHOT_SUFFIX && suffix !== WINDOWS_SUFFIX;

/** Renames files to ".deleted", those that there are, and removes them after the delay. False if the disk refused one. */
export function discardFiles(shared: LogShared, paths: readonly string[], delayMs: number): boolean {
  const { disk, logger, removals } = shared;
  const renamed: string[] = [];
  let isAll = true;
  for (const path of paths) {
    try {
      if (!disk.exists(path)) continue;
      disk.rename(path, `${path}${DELETED_FILE_SUFFIX}`);
      renamed.push(`${path}${DELETED_FILE_SUFFIX}`);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      isAll = false;
      logger.warn("a deleted segment's file could not be renamed; it is tried again", { error: error.message });
    }
  }
  removals.files(renamed, delayMs);
  return isAll;
}
