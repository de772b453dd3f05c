/**
 * A cleaned segment takes the place of those that it was made from, so that a crash at any moment leaves the old ones or the new one,
 * whole. `n` stands for the first of the old segments:
 *
 *   1. n.index.cleaned … n.log.cleaned are complete and synced
 *   2. they are renamed to .swap, the log last; the directory is synced: from now on recovery completes what is left to do
 *   3. the broker reads from the .swap files, and the old ones are renamed to .deleted; the directory is synced
 *   4. .swap goes from the names, the log last; the directory is synced, and the .deleted files are removed
 *
 * Source: LocalLog.replaceSegments, LogLoader.load (which sync once, at the end).
 */
import { type Disk, fileNames } from "../io/disk.ts";
import { lastOffset } from "../record/batch.ts";
import { scanBatches } from "./batch-scan.ts";
import type { CleanedGroup } from "./clean-job.ts";
import { CleaningStopped } from "./clean-log.ts";
import {
  CLEANED_SUFFIX,
  DELETED_FILE_SUFFIX,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  offsetFileName,
  offsetOfFileName,
  SWAP_SUFFIX,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from "./file-names.ts";
import { CorruptLog } from "./index-recovery.ts";
import type { Log } from "./log.ts";
import { swapSegments } from "./log-segments.ts";
import { newSegment } from "./new-segment.ts";
import type { Segment } from "./segment.ts";

/** What a segment's files end in, the log's last: it is what counts. */
const SWAPPED_SUFFIXES: readonly string[] = [TRANSACTION_INDEX_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, LOG_SUFFIX];

/**
 * See above; `cuts` is what the log's was when the cleaning began. Resolves when all of it is durable. Rejects
 * with CleaningStopped if the log has become another one, with DiskError, or after a failed sync.
 */
export async function swapIn(log: Log, group: CleanedGroup, cuts: number): Promise<void> {
  const base = group.replaces[0]!;
  mustFit(log, group, cuts);
  renameAll(log.shared.disk, log.directory, base, CLEANED_SUFFIX, SWAP_SUFFIX);
  await directorySynced(log);
  try {
    mustFit(log, group, cuts);
  } catch (error) {
    if (log.offline === null) await withdraw(log, base); // closed: the next start completes it
    throw error;
  }
  const { segment, replaced } = takePlace(log, group);
  const deleted = replaced.flatMap((old) => markDeleted(log.shared.disk, old));
  await directorySynced(log);
  mustBeOpen(log); // closed: the next start completes it
  renameAll(log.shared.disk, log.directory, base, SWAP_SUFFIX, "");
  segment.renamed("");
  await directorySynced(log);
  log.shared.removals.files(deleted, log.config.fileDeleteDelayMs);
}

function mustBeOpen(log: Log): void {
  if (log.offline !== null) throw new CleaningStopped(`${log.name} was closed`);
}

/** Throws CleaningStopped unless the segments are still the log's, and the log is still compacted. Source: LogManager.updateTopicConfig. */
function mustFit(log: Log, { replaces }: CleanedGroup, cuts: number): void {
  const first = log.segments.findIndex((segment) => segment.baseOffset === replaces[0]);
  const fits =
    log.offline === null &&
    log.cuts === cuts &&
    first >= 0 &&
    first + replaces.length < log.segments.length &&
    replaces.every((base, i) => log.segments[first + i]!.baseOffset === base);
  if (!fits) throw new CleaningStopped(`${log.name} has become another one`);
  if (log.config.compaction === null) throw new CleaningStopped(`${log.name} is not compacted any more`);
}

/** Rejects with an Error if the disk keeps the files: the next start will complete them, so nothing may be built on their being gone. */
async function withdraw(log: Log, base: number): Promise<void> {
  for (const suffix of [...SWAPPED_SUFFIXES].reverse()) {
    try {
      log.shared.disk.remove(`${log.directory}/${offsetFileName(base, suffix)}${SWAP_SUFFIX}`);
    } catch (error) {
      throw new Error(`a segment that is not wanted any more cannot be removed: ${(error as Error).message}`);
    }
  }
  await directorySynced(log);
}

/** In memory: from here on readers find the new segment. */
function takePlace(log: Log, group: CleanedGroup): { segment: Segment; replaced: Segment[] } {
  const { shared, config, directory, segments } = log;
  const first = segments.findIndex((old) => old.baseOffset === group.replaces[0]);
  const count = group.replaces.length;
  const segment = newSegment(shared, config, directory, group.replaces[0]!);
  const { offsetEntries, timeEntries } = group;
  segment.size = group.size;
  segment.nextOffset = segments[first + count]!.baseOffset;
  segment.restartIndexes({ offsetEntries, timeEntries, filesAreExact: true });
  if (group.transactionEntries > 0) segment.loadTransactions(group.transactionEntries, true);
  segment.renamed(SWAP_SUFFIX);
  const replaced = segments.slice(first, first + count);
  swapSegments(log, replaced, [segment]);
  for (const base of group.replaces.slice(1)) if (base !== log.snapshotOffset) log.sync.discardSnapshot(base);
  return { segment, replaced };
}

/** The files of a segment that nobody needs any more get names that say so. Returns them. */
function markDeleted(disk: Disk, segment: Segment): string[] {
  const deleted: string[] = [];
  for (const suffix of SWAPPED_SUFFIXES) {
    const path = segment.pathOf(suffix);
    if (!disk.exists(path)) continue;
    disk.rename(path, `${path}${DELETED_FILE_SUFFIX}`);
    deleted.push(`${path}${DELETED_FILE_SUFFIX}`);
  }
  return deleted;
}

function renameAll(disk: Disk, directory: string, base: number, from: string, to: string): void {
  for (const suffix of SWAPPED_SUFFIXES) {
    const path = `${directory}/${offsetFileName(base, suffix)}`;
    if (suffix === LOG_SUFFIX || disk.exists(`${path}${from}`)) disk.rename(`${path}${from}`, `${path}${to}`);
  }
}

async function directorySynced(log: Log): Promise<void> {
  log.sync.include([], [log.directory], true);
  await log.shared.rounds.idle();
}

/** At a start: completes the swaps that were under way; `names` are the directory's files. Resolves to what they are afterwards. Rejects with CorruptLog if one of them cannot be read, with DiskError. */
export async function completeSwaps(disk: Disk, directory: string, names: readonly string[]): Promise<readonly string[]> {
  const bases: number[] = [];
  for (const name of names) {
    if (!name.endsWith(SWAP_SUFFIX)) continue;
    const base = offsetOfFileName(name, `${LOG_SUFFIX}${SWAP_SUFFIX}`);
    if (base !== null) bases.push(base);
    else if (!names.includes(name.replace(/\.[a-z]+\.swap$/, `${LOG_SUFFIX}${SWAP_SUFFIX}`))) disk.remove(`${directory}/${name}`);
  }
  for (const base of bases) await completeSwap(disk, directory, base, names);
  return bases.length === 0 ? names : (fileNames(disk, directory) ?? []);
}

async function completeSwap(disk: Disk, directory: string, base: number, names: readonly string[]): Promise<void> {
  const end = await endOfSwap(disk, `${directory}/${offsetFileName(base, LOG_SUFFIX)}${SWAP_SUFFIX}`, base);
  for (const name of names)
    for (const suffix of SWAPPED_SUFFIXES) {
      const old = offsetOfFileName(name, suffix);
      if (old === null || old < base || (old > base && old >= end)) continue;
      // An index can be made anew, but this one: where it has got its name already it is the new segment's.
      const isNew = old === base && suffix === TRANSACTION_INDEX_SUFFIX && !names.includes(`${name}${SWAP_SUFFIX}`);
      if (!isNew) disk.remove(`${directory}/${name}`);
    }
  await disk.syncDirectory(directory);
  renameAll(disk, directory, base, SWAP_SUFFIX, "");
  await disk.syncDirectory(directory);
}

/** First offset behind the batches of a compacted segment: what begins below it was compacted into it. */
async function endOfSwap(disk: Disk, path: string, base: number): Promise<number> {
  const file = disk.open(path, "read");
  try {
    let end = base;
    const range = { file, from: 0, to: file.size(), baseOffset: base, nextOffset: base, validate: false };
    const { problem, position } = await scanBatches(range, (b, at) => {
      end = lastOffset(b, at) + 1;
      return true;
    });
    if (problem !== null) throw new CorruptLog(`${path}, byte ${position}: ${problem}`);
    return end;
  } finally {
    file.close();
  }
}
