/**
 * What a partition's directory says about its compaction, with a version and a checksum (versioned-text.ts):
 *
 *   version: 1
 *   gapsBelow: 6001
 *   firstDirtyOffset: 5800
 *
 * Below `gapsBelow` offsets may be missing, and everything had been synced before that was written: recovery must know, whatever else was
 * lost. Below `firstDirtyOffset` a cleaning has been: losing that costs the work of another one. Without the file both are 0.
 */
import { type Disk, isFailedSync, readWholeFile, replaceFile } from "../io/disk.ts";
import { COMPACTION_FILE } from "./file-names.ts";
import type { Log } from "./log.ts";
import { decodeVersionedText, encodeVersionedText } from "./versioned-text.ts";

const VERSION = 1;

export interface CompactionMark {
  readonly gapsBelow: number;
  readonly firstDirtyOffset: number;
}

export const NEVER_COMPACTED: CompactionMark = { gapsBelow: 0, firstDirtyOffset: 0 };

/** Null: it is damaged, so that there may be gaps anywhere. Throws NewerFormat, DiskError. */
export function readCompactionMark(disk: Disk, directory: string): CompactionMark | null {
  const path = `${directory}/${COMPACTION_FILE}`;
  const bytes = readWholeFile(disk, path);
  if (bytes === null) return NEVER_COMPACTED;
  const values = decodeVersionedText(path, bytes, VERSION);
  const gapsBelow = Number(values?.get("gapsBelow") ?? "none");
  const firstDirtyOffset = Number(values?.get("firstDirtyOffset") ?? "none");
  if (!Number.isSafeInteger(gapsBelow) || !Number.isSafeInteger(firstDirtyOffset)) return null;
  return { gapsBelow, firstDirtyOffset };
}

/** Writes what is true of the log from now on. Resolves when it is durable. Rejects with DiskError; a failed sync ends the process. */
export async function markCompaction(log: Log, mark: CompactionMark): Promise<void> {
  const { disk, rounds } = log.shared;
  try {
    await replaceFile(disk, `${log.directory}/${COMPACTION_FILE}`, encodeVersionedText(VERSION, { ...mark }));
  } catch (error) {
    if (isFailedSync(error) && log.offline === null) rounds.fail(error); // of a log that was deleted meanwhile the directory is gone
    throw error;
  }
  log.compaction = mark;
}
