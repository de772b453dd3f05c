/**
 * After a crash: puts what the journal has, and the logs' files may have lost, back into those files. Each entry says where its batch stood. It is left
 * out where that is not true any more: the topic is another one's by now, the segment was deleted or compacted, the log was cut. What lies
 * below a log's recovery point is on the disk. What follows is validated when the log is opened, as if it had been there all the time.
 */
import type { Logger } from "../base/logger.ts";
import { BLOCK_BYTES, type Disk, type DiskFile, fileNames, readWholeFile, syncFile } from "../io/disk.ts";
import { readCompactionMark } from "./compaction-mark.ts";
import { removeJournal } from "./directory-files.ts";
import {
  JOURNAL_FILE,
  LOG_SUFFIX,
  offsetFileName,
  offsetOfFileName,
  PARTITION_METADATA_FILE,
  parsePartitionDirectory,
} from "./file-names.ts";
import {
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameIsWhole,
  JOURNAL_VERSION,
  type JournalEntry,
  journalSalt,
  journalVersion,
  readEntries,
  readFrameHeader,
  wholeBlocks,
} from "./journal-format.ts";
import { decodePartitionMetadata } from "./partition-metadata.ts";
import type { RecoveryPoint } from "./recovery-points.ts";
import { NewerFormat } from "./versioned-text.ts";

export interface ReplayContext {
  readonly disk: Disk;
  readonly logger: Logger;
  readonly dataPath: string;
  readonly recoveryPoints: { get(topicId: string, partition: number): RecoveryPoint | null };
}

interface Frame extends FrameHeader {
  readonly at: number;
}

/** Puts everything back, and removes the journal once that is on the disk. Rejects with NewerFormat, DiskError. */
export async function replayJournal(context: ReplayContext): Promise<void> {
  const { disk, dataPath } = context;
  const path = `${dataPath}/${JOURNAL_FILE}`;
  if (!disk.exists(path)) return;
  const file = disk.open(path, "read");
  try {
    const replay = new Replay(context, new JournalReader(file));
    await replay.run();
  } finally {
    file.close();
  }
  await removeJournal(disk, dataPath);
}

class JournalReader {
  /** Oldest first. */
  readonly frames: Frame[] = [];
  private readonly file: DiskFile;
  private readonly salt: number = 0;
  private buffer = Buffer.alloc(BLOCK_BYTES);

  constructor(file: DiskFile) {
    this.file = file;
    const size = file.size();
    const header = this.read(0, BLOCK_BYTES);
    const version = journalVersion(header);
    if (version === null) return; // it was being made
    if (version !== JOURNAL_VERSION)
      throw new NewerFormat(`${file.path} has version ${version}; this program knows version ${JOURNAL_VERSION}`);
    this.salt = journalSalt(header);
    const halfBytes = Math.floor((size - BLOCK_BYTES) / 2 / BLOCK_BYTES) * BLOCK_BYTES;
    const halves = [0, 1].map((half) => this.framesOf(BLOCK_BYTES + half * halfBytes, halfBytes));
    halves.sort(([a], [b]) => (a?.sequence ?? 0) - (b?.sequence ?? 0));
    this.frames.push(...halves.flat());
  }

  entries(frame: Frame): Generator<JournalEntry> {
    return readEntries(this.read(frame.at, FRAME_HEADER_BYTES + frame.length), frame);
  }

  private framesOf(from: number, bytes: number): Frame[] {
    const frames: Frame[] = [];
    for (let at = from; at < from + bytes; ) {
      const header = readFrameHeader(this.read(at, FRAME_HEADER_BYTES));
      if (header === null || at + FRAME_HEADER_BYTES + header.length > from + bytes) break;
      if (frames.length > 0 && header.sequence !== frames.at(-1)!.sequence + 1) break;
      if (!frameIsWhole(this.read(at, FRAME_HEADER_BYTES + header.length), header, this.salt)) break;
      frames.push({ ...header, at });
      at += wholeBlocks(FRAME_HEADER_BYTES + header.length);
    }
    return frames;
  }

  /** Valid until the next read. */
  private read(at: number, bytes: number): Buffer {
    if (this.buffer.length < bytes) this.buffer = Buffer.allocUnsafeSlow(bytes);
    const into = this.buffer.subarray(0, bytes);
    return into.subarray(0, this.file.read(into, at));
  }
}

/** What decides on a log's entries. */
interface Target {
  /** Null: none of them is to be put back. */
  readonly directory: string | null;
  readonly point: RecoveryPoint | null;
  /** Segments that begin below may be others by now. */
  readonly from: number;
}

const NO_TARGET: Target = { directory: null, point: null, from: 0 };

class Replay {
  private readonly context: ReplayContext;
  private readonly reader: JournalReader;
  private readonly targets = new Map<string, Target>();
  /** A log's entries are void up to the one of this number. */
  private readonly forgottenUpTo = new Map<string, number>();
  /** Segments that entries went to. */
  private readonly paths = new Set<string>();
  private batches = 0;

  constructor(context: ReplayContext, reader: JournalReader) {
    this.context = context;
    this.reader = reader;
  }

  async run(): Promise<void> {
    for (const [number, entry] of this.entries()) if (entry.kind === "forget") this.forgottenUpTo.set(keyOf(entry), number);
    for (const [number, entry] of this.entries())
      if (entry.kind === "records" && number > (this.forgottenUpTo.get(keyOf(entry)) ?? 0)) this.putBack(entry);
    await this.sync();
  }

  /** All of them in the order in which they came, numbered from 1. */
  private *entries(): Generator<[number, JournalEntry]> {
    let number = 0;
    for (const frame of this.reader.frames) for (const entry of this.reader.entries(frame)) yield [++number, entry];
  }

  private putBack(entry: JournalEntry): void {
    const { directory, point, from } = this.targetOf(entry);
    const { segmentBaseOffset, position, bytes } = entry;
    if (directory === null || segmentBaseOffset < from) return;
    if (point !== null && segmentBaseOffset < point.segmentBaseOffset) return;
    if (point !== null && segmentBaseOffset === point.segmentBaseOffset && position < point.position) return;
    const path = `${directory}/${offsetFileName(segmentBaseOffset, LOG_SUFFIX)}`;
    const { disk } = this.context;
    if (!disk.exists(path)) return; // deleted, or its name was not durable: then nothing in it was either
    const file = disk.open(path, "write");
    try {
      if (file.size() < position) return;
      this.paths.add(path);
      if (!holds(file, position, bytes)) this.batches++;
      file.write(bytes, position); // what is there may be in memory alone, and taken for written: a failed sync leaves it so
    } finally {
      file.close();
    }
  }

  private targetOf(entry: JournalEntry): Target {
    const key = keyOf(entry);
    let target = this.targets.get(key);
    if (target === undefined) {
      target = this.find(entry);
      this.targets.set(key, target);
    }
    return target;
  }

  private find({ topicId, directoryName }: JournalEntry): Target {
    const { disk, dataPath, recoveryPoints } = this.context;
    const directory = `${dataPath}/${directoryName}`;
    const partition = parsePartitionDirectory(directoryName)?.partition;
    const metadata = readWholeFile(disk, `${directory}/${PARTITION_METADATA_FILE}`);
    if (partition === undefined || metadata === null || decodePartitionMetadata(metadata) !== topicId) return NO_TARGET;
    const mark = readCompactionMark(disk, directory);
    return { directory, point: recoveryPoints.get(topicId, partition), from: mark?.gapsBelow ?? newestSegment(disk, directory) };
  }

  /** The journal may go when everything is on the disk: after a mere kill of the process, too, where nothing was to be put back. */
  private async sync(): Promise<void> {
    const { disk, dataPath, logger } = this.context;
    const { batches, paths } = this;
    if (paths.size === 0) return;
    if (batches > 0) logger.info("records were put back that a crash had taken from their files", { batches });
    if (disk.syncFileSystem !== null) return disk.syncFileSystem(dataPath);
    for (const path of paths) await syncFile(disk, path);
  }
}

const keyOf = ({ topicId, directoryName }: JournalEntry): string => `${topicId} ${directoryName}`;

/** Compaction never touches it. */
function newestSegment(disk: Disk, directory: string): number {
  const bases = (fileNames(disk, directory) ?? []).map((name) => offsetOfFileName(name, LOG_SUFFIX) ?? 0);
  return Math.max(0, ...bases);
}

function holds(file: DiskFile, position: number, bytes: Buffer): boolean {
  if (file.size() < position + bytes.length) return false;
  const there = Buffer.allocUnsafe(bytes.length);
  return file.read(there, position) === bytes.length && there.equals(bytes);
}
