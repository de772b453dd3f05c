/**
 * One segment of a log: a file of batches, its two indexes, and what is known about it in memory. Source: LogSegment.
 */
import type { DiskFile } from "../io/disk.ts";
import { BATCH_HEADER_BYTES, baseOffset, maxTimestamp } from "../record/batch.ts";
import { MAX_RELATIVE_OFFSET } from "./batch-scan.ts";
import { CheckedRanges } from "./checked-ranges.ts";
import { INDEX_SUFFIX, LOG_SUFFIX, offsetFileName, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX } from "./file-names.ts";
import { OFFSET_ENTRY_BYTES, OffsetIndex } from "./offset-index.ts";
import { type Handle, OpenFile, type OpenFiles } from "./open-files.ts";
import { TIME_ENTRY_BYTES, TimeIndex, type TimestampOffset } from "./time-index.ts";
import { TransactionIndex } from "./transaction-index.ts";

/** Places where readers are likely to go on. */
const HINTS = 8;

/** When a segment is full; see Kafka's topic options of the same names. */
export interface RollLimits {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly segmentIndexBytes: number;
}

/** What the index files hold that may be believed. */
export interface IndexState {
  readonly offsetEntries: number;
  readonly timeEntries: number;
  /** Whether the files exist and hold nothing more. */
  readonly filesAreExact: boolean;
}

export const NO_INDEX: IndexState = { offsetEntries: 0, timeEntries: 0, filesAreExact: false };

export class Segment {
  readonly baseOffset: number;
  readonly directory: string;
  readonly log: OpenFile;
  readonly checked = new CheckedRanges();
  /** Batches begin at 0 and end here. */
  size: number;
  /** No batch holds this offset or a larger one. */
  nextOffset: number;
  /** Made now and then (the start of a run counts), for segments whose first batch has no timestamp. */
  readonly createdMs: number;
  /** Taken off the age at which this segment is rolled, so that not all partitions roll at once. */
  readonly rollJitterMs: number;
  offsetIndex: OffsetIndex;
  timeIndex: TimeIndex;
  /** Aborted transactions whose markers are in this segment. */
  transactions: TransactionIndex;
  private readonly files: OpenFiles;
  /** Behind the names of all its files; "" but for a compacted segment on its way to its place. */
  nameSuffix: string;
  private max: TimestampOffset | null = null;
  /** Kafka's rollingBasedTimestamp: the first batch's maximum timestamp; null: not read yet. */
  private firstTimestampMs: number | null = null;
  private bytesSinceIndexEntry = 0;
  private readonly hintOffsets = new Float64Array(HINTS).fill(-1);
  private readonly hintPositions = new Int32Array(HINTS);
  private nextHint = 0;

  constructor(o: {
    files: OpenFiles;
    directory: string;
    baseOffset: number;
    size: number;
    index: IndexState;
    createdMs: number;
    rollJitterMs: number;
    nameSuffix?: string;
  }) {
    this.files = o.files;
    this.nameSuffix = o.nameSuffix ?? "";
    this.directory = o.directory;
    this.baseOffset = o.baseOffset;
    this.size = o.size;
    this.nextOffset = o.baseOffset;
    this.createdMs = o.createdMs;
    this.rollJitterMs = o.rollJitterMs;
    this.log = new OpenFile(this.pathOf(LOG_SUFFIX));
    [this.offsetIndex, this.timeIndex] = this.makeIndexes(o.index);
    this.transactions = this.makeTransactions(0, true);
  }

  /** The largest timestamp in the segment (-1: none), and the last offset of the first batch that has it. */
  get maxTimestamp(): TimestampOffset {
    this.max ??= this.timeIndex.lastEntry;
    return this.max;
  }

  /** Kafka's largestTimestamp: as `maxTimestamp`, or when the file was last written to where no batch has one. A promise only if pages are cold. */
  largestTimestampMs(): number | Promise<number> {
    const max = this.max ?? this.timeIndex.loadLastEntry();
    return max instanceof Promise ? max.then(() => this.timestampOrAgeMs()) : this.timestampOrAgeMs();
  }

  get path(): string {
    return this.log.path;
  }

  pathOf(suffix: string): string {
    return `${this.directory}/${offsetFileName(this.baseOffset, suffix)}${this.nameSuffix}`;
  }

  /** Its files have got other names: what is behind all of them is now `suffix`. Reads under way go on. */
  renamed(suffix: string): void {
    this.nameSuffix = suffix;
    this.log.path = this.pathOf(LOG_SUFFIX);
    this.offsetIndex.file.openFile.path = this.pathOf(INDEX_SUFFIX);
    this.timeIndex.file.openFile.path = this.pathOf(TIME_INDEX_SUFFIX);
    this.transactions.file.openFile.path = this.pathOf(TRANSACTION_INDEX_SUFFIX);
  }

  /** Whether a batch must go to a new segment. Blocking only for the first batch's header, once. LogSegment.shouldRoll. */
  shouldRoll(batch: { bytes: number; lastOffset: number; maxTimestampMs: number }, limits: RollLimits, nowMs: number): boolean {
    if (this.size === 0) return false;
    if (this.size > limits.segmentBytes - batch.bytes) return true;
    if (this.waitedMs(nowMs, batch.maxTimestampMs) > limits.segmentMs - this.rollJitterMs) return true;
    if (this.offsetIndex.file.count >= Math.floor(limits.segmentIndexBytes / OFFSET_ENTRY_BYTES)) return true;
    if (this.timeIndex.file.count >= Math.floor(limits.segmentIndexBytes / TIME_ENTRY_BYTES) - 1) return true;
    return batch.lastOffset - this.baseOffset > MAX_RELATIVE_OFFSET;
  }

  /** Everything that can fail before a batch is written: reads the last time entry, and makes room for new entries. Throws DiskError, with nothing changed. */
  prepareAppend(): void {
    this.max ??= this.timeIndex.lastEntry;
    if (this.offsetIndex.file.blockIsFull || this.timeIndex.file.blockIsFull) this.flushIndexes();
    if (this.transactions.file.blockIsFull) this.transactions.flush();
  }

  /** Takes in the batch that now stands at the end of the file. Cannot fail after `prepareAppend`. */
  appended(batchBytes: number, lastOffset: number, maxTimestampMs: number, indexIntervalBytes: number): void {
    if (maxTimestampMs > this.maxTimestamp.timestampMs) this.max = { timestampMs: maxTimestampMs, offset: lastOffset };
    if (this.size === 0) this.firstTimestampMs = maxTimestampMs;
    if (this.bytesSinceIndexEntry > indexIntervalBytes) {
      this.offsetIndex.append(lastOffset, this.size);
      this.timeIndex.maybeAppend(this.maxTimestamp.timestampMs, this.maxTimestamp.offset);
      this.bytesSinceIndexEntry = 0;
    }
    this.size += batchBytes;
    this.nextOffset = lastOffset + 1;
    this.bytesSinceIndexEntry += batchBytes;
  }

  /** Removes from the file what a failed write left behind its end. Throws DiskError. */
  cutToSize(): void {
    const file = this.files.use(this.log, "write");
    if (file.size() > this.size) file.truncate(this.size);
  }

  /** What the file of aborted transactions holds that is to be believed. */
  loadTransactions(entries: number, fileIsExact: boolean): void {
    this.files.retire(this.transactions.file.openFile);
    this.transactions = this.makeTransactions(entries, fileIsExact);
  }

  /** Writes the index entries that are in memory. Throws DiskError; can be called again. */
  flushIndexes(): void {
    this.offsetIndex.file.flush();
    this.timeIndex.file.flush();
  }

  /** Nothing more will be appended (now, or in this run): completes and writes the indexes. Throws DiskError; can be called again. */
  finishIndexes(): void {
    this.timeIndex.maybeAppend(this.maxTimestamp.timestampMs, this.maxTimestamp.offset);
    this.flushIndexes();
    this.transactions.flush();
    this.transactions.file.settle();
    this.offsetIndex.file.settle();
    this.timeIndex.file.settle();
  }

  /** Whether the index files are as a clean start wants them. Reads nothing. */
  get indexesAreWritten(): boolean {
    const { offsetIndex, timeIndex, max } = this;
    if (!offsetIndex.file.isWritten || !timeIndex.file.isWritten || !this.transactions.file.isWritten) return false;
    return max === null || timeIndex.lastEntry.timestampMs === max.timestampMs;
  }

  /** Forgets index entries and is ready to take in its batches again, from `position` on; `index` says what is kept. */
  restartIndexes(index: IndexState): void {
    this.files.retire(this.offsetIndex.file.openFile);
    this.files.retire(this.timeIndex.file.openFile);
    [this.offsetIndex, this.timeIndex] = this.makeIndexes(index);
    this.max = null;
    this.bytesSinceIndexEntry = 0;
  }

  /** Takes over the indexes of a stand-in that walked the same data. */
  adoptIndexes(rebuilt: Segment): void {
    this.files.retire(this.offsetIndex.file.openFile);
    this.files.retire(this.timeIndex.file.openFile);
    this.offsetIndex = rebuilt.offsetIndex;
    this.timeIndex = rebuilt.timeIndex;
    this.max = rebuilt.max;
    this.bytesSinceIndexEntry = rebuilt.bytesSinceIndexEntry;
    this.hintOffsets.fill(-1);
    this.renamed(this.nameSuffix);
  }

  /** A file of this segment, for use before the next await. */
  logFile(): DiskFile {
    return this.files.use(this.log);
  }

  /** Keeps the file open across an await; pair with `release`. */
  hold(mode: "read" | "write" | "create" = "read"): Handle {
    return this.files.hold(this.log, mode);
  }

  release(handle: Handle): void {
    this.files.release(handle);
  }

  /** Remembers that the batch that holds or follows `offset` begins at `position`. */
  hint(offset: number, position: number): void {
    this.hintOffsets[this.nextHint] = offset;
    this.hintPositions[this.nextHint] = position;
    this.nextHint = (this.nextHint + 1) % HINTS;
  }

  /** The position of the batch that holds or follows `offset`, -1 if it is not remembered. */
  hintedPosition(offset: number): number {
    for (let i = 0; i < HINTS; i++) if (this.hintOffsets[i] === offset) return this.hintPositions[i]!;
    return -1;
  }

  /** Everything from `size` and `offset` on is gone: forgets what was remembered of it. The indexes are the caller's. */
  forgetFrom(size: number, offset: number): void {
    this.size = size;
    this.nextOffset = offset;
    this.checked.truncate(size);
    this.hintOffsets.fill(-1);
    this.max = null;
    if (size === 0) this.firstTimestampMs = null;
  }

  /** What the indexes hold of batches below `position` and `offset`. Blocking. */
  entriesBelow(position: number, offset: number): IndexState {
    const { offsetIndex, timeIndex } = this;
    this.flushIndexes();
    return {
      offsetEntries: countBelow(offsetIndex.file.count, (n) => offsetIndex.entry(n).position < position),
      timeEntries: countBelow(timeIndex.file.count, (n) => timeIndex.entry(n).offset < offset),
      filesAreExact: false,
    };
  }

  /** Closes the log's file; the indexes live on, with another segment object. */
  closeLog(): void {
    this.files.close(this.log);
  }

  /** Closes the files for good, as soon as nobody reads them. */
  close(): void {
    for (const file of [this.log, ...this.indexFiles]) this.files.close(file);
    this.files.close(this.transactions.file.openFile);
  }

  /** The files of its indexes, once they are written. */
  get indexFiles(): OpenFile[] {
    const files = [this.offsetIndex.file.openFile, this.timeIndex.file.openFile];
    return !this.transactions.hasFile ? files : [...files, this.transactions.file.openFile];
  }

  private makeTransactions(entries: number, fileIsExact: boolean): TransactionIndex {
    return new TransactionIndex(this.files, new OpenFile(this.pathOf(TRANSACTION_INDEX_SUFFIX)), entries, fileIsExact);
  }

  private timestampOrAgeMs(): number {
    const { timestampMs } = this.maxTimestamp;
    return timestampMs >= 0 ? timestampMs : this.logFile().modifiedMs();
  }

  /** Kafka's timeWaitedForRoll: by the batches' timestamps, or by the clock if they have none. */
  private waitedMs(nowMs: number, batchTimestampMs: number): number {
    const first = this.firstTimestamp();
    return first >= 0 ? batchTimestampMs - first : nowMs - this.createdMs;
  }

  /** The first batch's maximum timestamp, -1 if there is none. Blocking, once. Throws DiskError. */
  firstTimestamp(): number {
    if (this.firstTimestampMs === null) {
      const header = Buffer.alloc(BATCH_HEADER_BYTES);
      const isWhole = this.logFile().read(header, 0) === header.length && baseOffset(header, 0) >= this.baseOffset;
      this.firstTimestampMs = isWhole ? maxTimestamp(header, 0) : -1;
    }
    return this.firstTimestampMs;
  }

  private makeIndexes(index: IndexState): [OffsetIndex, TimeIndex] {
    const { files, baseOffset: base } = this;
    return [
      new OffsetIndex(files, new OpenFile(this.pathOf(INDEX_SUFFIX)), base, index.offsetEntries, index.filesAreExact),
      new TimeIndex(files, new OpenFile(this.pathOf(TIME_INDEX_SUFFIX)), base, index.timeEntries, index.filesAreExact),
    ];
  }
}

/** How many of `count` ascending entries come before the first that is not below. */
function countBelow(count: number, isBelow: (n: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBelow(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
