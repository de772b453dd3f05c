/**
 * The file that says up to where another broker wrote a partition, with a version and a checksum (versioned-text.ts):
 *
 *   version: 1
 *   endOffset: 6001
 *
 * Compaction may have taken offsets out below; above, every offset is there. Recovery must know, whatever else was lost.
 */
import { type Disk, readWholeFile } from "../io/disk.ts";
import { FOREIGN_END_FILE } from "./file-names.ts";
import { CorruptLog } from "./index-recovery.ts";
import { decodeVersionedText, encodeVersionedText } from "./versioned-text.ts";

const VERSION = 1;

/** The file's bytes. */
export const encodeForeignEnd = (endOffset: number): Buffer => encodeVersionedText(VERSION, { endOffset });

/** Offsets below this one may be missing from the log; 0 where every batch is ours. Throws CorruptLog, NewerFormat, DiskError. */
export function readForeignEnd(disk: Disk, directory: string): number {
  const path = `${directory}/${FOREIGN_END_FILE}`;
  const bytes = readWholeFile(disk, path);
  if (bytes === null) return 0;
  const endOffset = Number(decodeVersionedText(path, bytes, VERSION)?.get("endOffset") ?? "");
  if (!Number.isSafeInteger(endOffset) || endOffset < 0) throw new CorruptLog(`${path} is damaged`);
  return endOffset;
}
