/** Brings a checked partition's files into a directory of ours, in chunks. The source is only read; indexes and snapshots are made anew when the log is opened. */
import type { Disk, DiskFile } from "../io/disk.ts";
import {
  ARRIVING_FILE,
  EPOCHS_FILE,
  FOREIGN_END_FILE,
  LOG_SUFFIX,
  offsetFileName,
  PARTITION_METADATA_FILE,
} from "../log/file-names.ts";
import { encodeForeignEnd } from "../log/foreign-end.ts";
import { encodePartitionMetadata } from "../log/partition-metadata.ts";
import type { CheckedPartition, SourceSegment } from "./import-check.ts";
import { ImportError } from "./import-source.ts";

const CHUNK_BYTES = 1024 * 1024;

/** The import was told to stop. */
export class ImportStopped extends ImportError {
  override name = "ImportStopped";
  constructor() {
    super("the import was stopped");
  }
}

/** Fills an empty directory; everything in it is synced when this resolves. Rejects with DiskError, ImportError. */
export async function copyPartition(
  disk: Disk,
  partition: CheckedPartition,
  topicId: string,
  directory: string,
  isStopped: () => boolean,
): Promise<void> {
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (const segment of partition.segments) {
    const copy = (to: DiskFile) => copySegment(disk, segment, to, chunk, isStopped);
    await write(disk, `${directory}/${offsetFileName(segment.baseOffset, LOG_SUFFIX)}`, copy);
  }
  const small: [name: string, bytes: Uint8Array | null][] = [
    [EPOCHS_FILE, partition.epochs],
    [PARTITION_METADATA_FILE, encodePartitionMetadata(topicId)],
    [FOREIGN_END_FILE, encodeForeignEnd(partition.logEndOffset)],
    [ARRIVING_FILE, new Uint8Array(0)],
  ];
  for (const [name, bytes] of small)
    if (bytes !== null) await write(disk, `${directory}/${name}`, async (to) => to.write(bytes, 0));
  await disk.syncDirectory(directory);
}

async function write(disk: Disk, path: string, fill: (to: DiskFile) => Promise<void>): Promise<void> {
  const file = disk.open(path, "create");
  try {
    await fill(file);
    await file.sync();
  } finally {
    file.close();
  }
}

async function copySegment(
  disk: Disk,
  { path, bytes }: SourceSegment,
  to: DiskFile,
  chunk: Buffer,
  isStopped: () => boolean,
): Promise<void> {
  const from = disk.open(path, "read");
  try {
    for (let at = 0; at < bytes; at += chunk.length) {
      if (isStopped()) throw new ImportStopped();
      const part = chunk.subarray(0, Math.min(chunk.length, bytes - at));
      if ((await from.readCold(part, at)) < part.length) throw new ImportError(`${path} has become shorter: who writes to it?`);
      to.write(part, at);
    }
  } finally {
    from.close();
  }
}
