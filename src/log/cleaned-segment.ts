/** A segment that a cleaning writes: beside the others, under names that end in `.cleaned`, until it is complete and synced. */
import type { Disk } from "../io/disk.ts";
import type { CleanableSegment, CleanedGroup, CleanJob } from "./clean-job.ts";
import { CLEANED_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX } from "./file-names.ts";
import { type Handle, type OpenFile, OpenFiles } from "./open-files.ts";
import { NO_INDEX, Segment } from "./segment.ts";
import type { AbortedTransaction } from "./transaction-index.ts";

/** Written, but not synced, at most: a large sync would make those of the broker's rounds wait. */
const SYNC_EVERY_BYTES = 4 * 1024 * 1024;

export class CleanedSegment {
  private readonly disk: Disk;
  private readonly segment: Segment;
  private readonly handle: Handle;
  private readonly files: OpenFiles;
  private readonly indexIntervalBytes: number;
  /** Then it must have one too, or a start could not tell the old one from its own (log-swap.ts). */
  private readonly replacesTransactionIndex: boolean;
  private readonly buffer: Buffer;
  private buffered = 0;
  /** What the file holds. */
  private written = 0;
  private unpaced = 0;
  private unsynced = 0;

  /** Throws DiskError. */
  constructor(disk: Disk, job: CleanJob, group: readonly CleanableSegment[]) {
    const { baseOffset, hasTransactionIndex } = group[0]!;
    this.disk = disk;
    this.replacesTransactionIndex = hasTransactionIndex;
    this.files = new OpenFiles(disk, 4);
    this.indexIntervalBytes = job.indexIntervalBytes;
    this.segment = new Segment({
      files: this.files,
      directory: job.directory,
      baseOffset,
      size: 0,
      index: NO_INDEX,
      createdMs: job.nowMs,
      rollJitterMs: 0,
      nameSuffix: CLEANED_SUFFIX,
    });
    this.remove(); // of a cleaning that failed
    this.handle = this.segment.hold("create");
    this.buffer = Buffer.allocUnsafeSlow(Math.max(4096, job.limits.ioBufferBytes / 2));
  }

  /** Adds a batch; its bytes are copied. Throws DiskError. */
  append(bytes: Buffer, lastOffset: number, maxTimestampMs: number): void {
    if (this.buffered + bytes.length > this.buffer.length) this.flush();
    if (bytes.length > this.buffer.length) this.write(bytes);
    else {
      bytes.copy(this.buffer, this.buffered);
      this.buffered += bytes.length;
    }
    this.segment.prepareAppend();
    this.segment.appended(bytes.length, lastOffset, maxTimestampMs, this.indexIntervalBytes);
  }

  /** Of the transaction something is left. */
  appendAborted(aborted: AbortedTransaction): void {
    if (this.segment.transactions.file.blockIsFull) this.segment.transactions.flush();
    this.segment.transactions.append(aborted);
  }

  /** Bytes that were written since this was asked last. */
  takeWritten(): number {
    const bytes = this.unpaced;
    this.unpaced = 0;
    return bytes;
  }

  async syncNowAndThen(): Promise<void> {
    if (this.unsynced < SYNC_EVERY_BYTES) return;
    this.unsynced = 0;
    await this.handle.file.sync();
  }

  /**
   * Nothing more comes: everything is written and synced. Retention goes by `modifiedMs` where no timestamp is left: when the newest of the
   * old segments was written to, as in Cleaner.cleanSegments. Rejects with DiskError.
   */
  async finish(modifiedMs: number): Promise<Omit<CleanedGroup, "replaces">> {
    const { segment, files } = this;
    const { offsetIndex, timeIndex, transactions } = segment;
    this.flush();
    this.handle.file.setModifiedMs(modifiedMs);
    await this.handle.file.sync();
    segment.finishIndexes();
    if (this.replacesTransactionIndex || transactions.hasFile) files.use(transactions.file.openFile, "create");
    for (const openFile of [offsetIndex.file.openFile, timeIndex.file.openFile, transactions.file.openFile])
      if (openFile.handle !== null) await this.sync(openFile);
    this.close();
    return {
      size: segment.size,
      offsetEntries: offsetIndex.file.count,
      timeEntries: timeIndex.file.count,
      transactionEntries: transactions.file.count,
    };
  }

  private async sync(openFile: OpenFile): Promise<void> {
    const handle = this.files.hold(openFile);
    try {
      await handle.file.sync();
    } finally {
      this.files.release(handle);
    }
  }

  /** It is not wanted: removes its files, if the disk allows; the next start does it otherwise. */
  discard(): void {
    this.close();
    try {
      this.remove();
    } catch {}
  }

  private remove(): void {
    for (const suffix of [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX])
      this.disk.remove(this.segment.pathOf(suffix));
  }

  private close(): void {
    if (this.segment.log.isClosed) return;
    this.files.release(this.handle);
    this.segment.close();
  }

  private flush(): void {
    if (this.buffered === 0) return;
    const bytes = this.buffer.subarray(0, this.buffered);
    this.buffered = 0;
    this.write(bytes);
  }

  private write(bytes: Buffer): void {
    this.handle.file.write(bytes, this.written);
    this.written += bytes.length;
    this.unpaced += bytes.length;
    this.unsynced += bytes.length;
  }
}
