/**
 * After a failed sync Linux takes what could not be written for written, and says so once. The process ends; but a later start would find those
 * pages in memory, believe them, sync them without a complaint, and tell clients that their records are safe. So the end leaves a mark,
 * and a start that finds it lets the disk tell what is there. The mark itself need not be durable: if the machine loses it, it loses its memory, too.
 * Source: Rebello et al., "Can Applications Recover from fsync Failures?" (USENIX ATC 2020).
 */
import type { Logger } from "../base/logger.ts";
import { type Disk, DiskError, isFailedSync, writeWholeFile } from "../io/disk.ts";
import { FAILED_SYNC_FILE } from "./file-names.ts";
import { encodeVersionedText } from "./versioned-text.ts";

const VERSION = 1;

/** Leaves the mark, if that is what `error` says. Must not throw: the process is about to end. */
export function markFailedSync(disk: Disk, logger: Logger, dataPath: string, error: unknown): void {
  if (!isFailedSync(error)) return;
  try {
    writeWholeFile(disk, `${dataPath}/${FAILED_SYNC_FILE}`, encodeVersionedText(VERSION, {}));
  } catch (unmarked) {
    if (!(unmarked instanceof DiskError)) throw unmarked;
    const advice = "restart the machine before the broker: what is only in its memory would be taken for written";
    logger.warn(`the failed sync could not be noted; ${advice}`, { error: unmarked.message });
  }
}

/** At a start, before anything is read: where there is a mark, nothing that is only in memory is believed. Rejects with DiskError. */
export async function distrustMemory(disk: Disk, logger: Logger, dataPath: string): Promise<void> {
  const mark = `${dataPath}/${FAILED_SYNC_FILE}`;
  if (!disk.exists(mark)) return;
  await disk.syncFileSystem?.(dataPath).catch(() => {}); // it tells of what has failed before, once
  if (dropTree(disk, dataPath)) logger.warn("a sync had failed when the broker ended: all files are read from the disk again");
  else
    logger.warn(
      "a sync had failed when the broker ended: restart the machine, this system keeps in memory what may not be on the disk",
    );
  disk.remove(mark);
}

/** False if any file could not be dropped. */
function dropTree(disk: Disk, directory: string): boolean {
  let isDropped = true;
  for (const { name, isDirectory } of disk.list(directory) ?? []) {
    const path = `${directory}/${name}`;
    if (!(isDirectory ? dropTree(disk, path) : disk.dropCached(path))) isDropped = false;
  }
  return isDropped;
}
