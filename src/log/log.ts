/**
 * One partition's log: synchronous appends, reads, and its part in the sync rounds. Opening and recovery are in
 * log-open.ts and recovery.ts, searches by time in log-time.ts, truncation in log-truncate.ts. Source: UnifiedLog, LocalLog.
 */
import { DiskError, writeWholeFile } from "../io/disk.ts";
import { KafkaError } from "../protocol/errors.ts";
import { BATCH_HEADER_BYTES, maxTimestamp, setBaseOffset, setPartitionLeaderEpoch, timestampType } from "../record/batch.ts";
import { buildTransactionMarker } from "../record/control.ts";
import { markerBatch, type ValidBatch } from "../record/validate.ts";
import type { CompactionMark } from "./compaction-mark.ts";
import { PARTITION_METADATA_FILE } from "./file-names.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import { LogReader } from "./log-read.ts";
import { moveLogStart } from "./log-retention.ts";
import { LogSync, type SyncedLog } from "./log-sync.ts";
import { findOffsetForTimestamp, findOffsetOfMaxTimestamp, type TimestampedOffset } from "./log-time.ts";
import { truncateFully, truncateLog } from "./log-truncate.ts";
import type { Appended, Durability, LogConfig, LogParts, LogShared } from "./log-types.ts";
import { newSegment } from "./new-segment.ts";
import type { Handle } from "./open-files.ts";
import { encodePartitionMetadata } from "./partition-metadata.ts";
import { abortedBy, applyStored, snapshotPaths, writeSnapshot } from "./producer-recovery.ts";
import type { BatchMetadata, ProducerState, TransactionMarker } from "./producer-state.ts";
import type { RecoveryPoint } from "./recovery-points.ts";
import type { Segment } from "./segment.ts";
import { type LogRead, NOTHING_READ, type ReadLimits, type StoredRead } from "./segment-read.ts";
import type { AbortedTransaction } from "./transaction-index.ts";

export type { TimestampedOffset } from "./log-time.ts";
export type { Appended, Durability, LogConfig, LogParts, LogShared } from "./log-types.ts";
export type { LogRead, ReadLimits, StoredRead } from "./segment-read.ts";

/** After so many bytes without a roll the producers are written down all the same, so that a recovery has little to replay. */
const SNAPSHOT_EVERY_BYTES = 64 * 1024 * 1024;

export class Log implements SyncedLog {
  readonly topic: string;
  readonly partition: number;
  /** "topic-0" */
  readonly name: string;
  readonly topicId: string;
  readonly leaderEpochs: LeaderEpochs;
  readonly producers: ProducerState;
  readonly durability: Durability;
  config: LogConfig;
  logStartOffset: number;
  logEndOffset: number;
  /** The end that is known to be synced; the log end in page-cache mode. */
  durableEndOffset: number;
  /** Bytes appended since the log was opened, up to the log end. */
  endBytes = 0;
  /** The same, up to the durable end. */
  durableEndBytes = 0;
  /** Called after `durableEndOffset` moved: at the end of a sync round, or inside `append` in page-cache mode. */
  onDurable: ((log: Log) => void) | null = null;
  /** Called after `logStartOffset` moved. */
  onStartMoved: ((log: Log) => void) | null = null;
  /** Why nothing can be read or appended; null as long as all is well. */
  offline: string | null;

  /** The rest is for the files of this folder only. */
  readonly shared: LogShared;
  readonly directory: string;
  readonly segments: Segment[];
  readonly sync: LogSync;
  readonly reader: LogReader;
  /** Grows when the log is cut: a read that was under way finds nothing. */
  cuts = 0;
  /** While it is cut, nothing else may take segments from it. */
  isBeingCut = false;
  /** Grows when segments left the log or others took their place: a read that was under way begins again. */
  swaps = 0;
  /** Base offsets of segments that left the log, and whose files could not be renamed yet. */
  leftBehind: number[] = [];
  /** The place of the durable end, as the last round left it. */
  private durableAt: RecoveryPoint | null = null;
  /** What is on the disk about the log's compaction. */
  compaction: CompactionMark;
  /** Offset of the newest producer snapshot, -1 if there is none. */
  snapshotOffset: number;
  private directoryExists: boolean;
  /** Its directory was brought here for a topic that is not known yet (arrival.ts): until it is, the log is held against what was brought, so nothing goes. */
  isArriving: boolean;
  /** The active segment's file, held from the write to the end of the append. */
  private writing: Handle | null = null;
  /** A write failed and what it left could not be removed yet. */
  private tailIsTorn = false;
  private bytesAtSnapshot = 0;

  constructor(shared: LogShared, parts: LogParts) {
    this.shared = shared;
    this.topic = parts.topic;
    this.partition = parts.partition;
    this.name = `${parts.topic}-${parts.partition}`;
    this.topicId = parts.topicId;
    this.config = parts.config;
    this.durability = parts.durability;
    this.directory = parts.directory;
    this.directoryExists = parts.directoryExists;
    this.isArriving = parts.isArriving;
    this.segments = parts.segments;
    this.logStartOffset = parts.logStartOffset;
    this.logEndOffset = parts.logEndOffset;
    this.durableEndOffset = parts.logEndOffset;
    this.leaderEpochs = parts.epochs;
    this.producers = parts.producers;
    this.snapshotOffset = parts.snapshotOffset;
    this.compaction = parts.compaction;
    this.offline = parts.offline;
    this.sync = new LogSync(this, parts.recoveryPoint, parts.epochsOnDisk);
    this.reader = new LogReader(this);
  }

  /** The first offset of the earliest transaction that readers of committed data may not pass; null when there is none. */
  get firstOpenTransactionOffset(): number | null {
    const first = this.producers.firstUnstableOffset;
    return first === null ? null : Math.max(first, this.logStartOffset);
  }

  /** The segment that is written to. */
  get active(): Segment | undefined {
    return this.segments.at(-1);
  }

  /** Size of all batches on the disk, in bytes. */
  get sizeBytes(): number {
    let bytes = 0;
    for (const segment of this.segments) bytes += segment.size;
    return bytes;
  }

  /**
   * Appends a batch: base offset and leader epoch are set in its bytes, which are the caller's again afterwards. Throws KafkaError for what the producer's
   * state forbids, and KAFKA_STORAGE_ERROR when the disk refuses; then nothing has changed, and a later append tries again.
   */
  append(batch: ValidBatch, leaderEpoch: number): Appended {
    this.checkUsable();
    if (batch.producerId >= 0 && !batch.isControl) {
      const repeated = this.producers.check(batch);
      if (repeated !== null) return this.alreadyAppended(repeated);
    }
    const { bytes } = batch;
    const baseOffset = this.logEndOffset;
    const lastOffset = baseOffset + batch.lastOffsetDelta;
    setBaseOffset(bytes, 0, baseOffset);
    setPartitionLeaderEpoch(bytes, 0, leaderEpoch);
    const segment = this.write(bytes, lastOffset, batch.maxTimestampMs);
    const position = segment.size;
    segment.checked.add(segment.size, segment.size + bytes.length);
    segment.appended(bytes.length, lastOffset, batch.maxTimestampMs, this.config.indexIntervalBytes);
    if (leaderEpoch > this.leaderEpochs.latest) this.leaderEpochs.assign(leaderEpoch, baseOffset);
    if (batch.producerId >= 0) {
      if (batch.isControl) this.applyMarker(bytes, segment);
      else this.producers.apply(batch, baseOffset, lastOffset, batch.maxTimestampMs);
    }
    this.logEndOffset = lastOffset + 1;
    this.endBytes += bytes.length;
    this.afterAppend(position, bytes);
    const logAppendTimeMs = timestampType(bytes, 0) === "LogAppendTime" ? maxTimestamp(bytes, 0) : -1;
    return { baseOffset, lastOffset, logAppendTimeMs, duplicate: false, logStartOffset: this.logStartOffset };
  }

  /**
   * Appends the marker that ends a transaction. Throws KafkaError INVALID_PRODUCER_EPOCH or TRANSACTION_COORDINATOR_FENCED for one that
   * comes too late, and as `append` does.
   */
  appendMarker(marker: TransactionMarker, transactionVersion: number, leaderEpoch: number): Appended {
    this.checkUsable();
    this.producers.checkMarker(marker, transactionVersion);
    return this.append(markerBatch(buildTransactionMarker(marker), marker), leaderEpoch);
  }

  /**
   * Aborted transactions that have records in [from, upperBound), by ascending marker; a promise if there may be any. Rejects as `read`
   * does. Source: LocalLog.collectAbortedTransactions.
   */
  abortedTransactions(from: number, upperBound: number): AbortedTransaction[] | Promise<AbortedTransaction[]> {
    this.checkUsable();
    return this.reader.abortedTransactions(from, upperBound);
  }

  /**
   * Whole batches from the one that holds (or follows) `offset` on: synchronous from the page cache, a promise when they must come from the
   * disk itself. Less than asked for where a segment or a block ends. Throws, or rejects with, OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
   */
  read(offset: number, limits: ReadLimits): LogRead | Promise<LogRead> {
    return this.hasFrom(offset, limits) ? this.reader.read(offset, limits) : NOTHING_READ;
  }

  /** As `read`, for an answer: the batches are checked, and stay in their file until they are sent. The chunks become the caller's, to send or to release. */
  readStored(offset: number, limits: ReadLimits): StoredRead | Promise<StoredRead> {
    return this.hasFrom(offset, limits) ? this.reader.readStored(offset, limits) : NOTHING_READ;
  }

  /** Whether there may be anything to read. Throws OFFSET_OUT_OF_RANGE, KAFKA_STORAGE_ERROR. */
  private hasFrom(offset: number, { limitOffset, maxBytes, atLeastOne }: ReadLimits): boolean {
    this.checkUsable();
    if (offset < this.logStartOffset || offset > this.logEndOffset)
      throw new KafkaError(
        "OFFSET_OUT_OF_RANGE",
        `Received request for offset ${offset} for partition ${this.name}, but we only have log segments in the range ${this.logStartOffset} to ${this.logEndOffset}.`,
      );
    if (maxBytes < BATCH_HEADER_BYTES && !atLeastOne) return false; // an answer that is full goes through all other partitions, too
    return offset < limitOffset && offset < this.logEndOffset;
  }

  /** The first record at or after `timestampMs` (in offset order) that lies below `limitOffset`; null if there is none. Rejects as `read` does. */
  offsetForTimestamp(timestampMs: number, limitOffset: number): Promise<TimestampedOffset | null> {
    return findOffsetForTimestamp(this, timestampMs, limitOffset);
  }

  /**
   * The first record that has the largest timestamp of the log; null if it lies at or above `limitOffset`, if compaction took it and left its
   * batch (as in Kafka), or if the log is empty. Rejects as `read` does.
   */
  offsetOfMaxTimestamp(limitOffset: number): Promise<TimestampedOffset | null> {
    return findOffsetOfMaxTimestamp(this, limitOffset);
  }

  /** Cuts the log so that it ends at `offset`, or where the batch that holds it begins. Resolves when that is durable. No appends meanwhile. */
  truncateTo(offset: number): Promise<void> {
    return this.cut(() => truncateLog(this, offset));
  }

  /** Drops everything and goes on with `offset`. Resolves when that is durable. No appends meanwhile. */
  truncateFullyAndStartAt(offset: number): Promise<void> {
    return this.cut(() => truncateFully(this, offset));
  }

  /** Moves the log's start up to `offset`, which is durable. Resolves when that is too. Rejects with KAFKA_STORAGE_ERROR; then nothing has changed. */
  moveStart(offset: number): Promise<void> {
    return moveLogStart(this, offset);
  }

  /** Takes effect with the next append. */
  updateConfig(config: LogConfig): void {
    this.config = config;
    this.producers.updateLimits(config);
  }

  /** A round carried the log up to `offset`, which lies at `point` unless the log was cut meanwhile. */
  synced(offset: number, bytes: number, point: RecoveryPoint): void {
    if (this.durability !== "sync" || offset < this.durableEndOffset) return;
    this.durableAt = offset === point.offset ? point : null;
    this.moveDurableEnd(offset, bytes);
  }

  /** Where a segment's batches below `limitOffset` end in its file; -1 if that is not known without looking. */
  positionOf(limitOffset: number, segment: Segment): number {
    if (limitOffset >= segment.nextOffset) return segment.size;
    const { durableAt } = this;
    if (durableAt === null || durableAt.segmentBaseOffset !== segment.baseOffset) return -1;
    return durableAt.offset === limitOffset && durableAt.position <= segment.size ? durableAt.position : -1;
  }

  /** Writes what a clean start wants to find: indexes, producers. A last round syncs it. False if something could not be written: the next start must not trust what is there. */
  prepareClose(): boolean {
    const { active } = this;
    if (this.offline !== null || active === undefined) return true;
    if (this.snapshotOffset === this.logEndOffset && active.indexesAreWritten && !this.sync.hasWork) return true;
    const finished = this.attempt("the indexes", () => this.finishActive());
    const snapped = this.attempt("a producer snapshot", () => this.takeSnapshot());
    this.sync.syncEverything();
    return finished && snapped;
  }

  /** Closes all files. Appends and reads fail from now on. */
  close(why = "the log is closed"): void {
    this.offline ??= why;
    this.onDurable = null;
    this.onStartMoved = null;
    for (const segment of this.segments) segment.close();
    this.sync.close();
  }

  /** The segment that holds `offset`, or the first one above it. */
  segmentIndexOf(offset: number): number {
    let low = 0;
    let high = this.segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.segments[middle]!.baseOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  checkUsable(): void {
    if (this.offline !== null) throw new KafkaError("KAFKA_STORAGE_ERROR", `${this.name} is offline: ${this.offline}`);
  }

  /** Makes a segment object; its file is made by the first write. */
  makeSegment(baseOffset: number): Segment {
    return newSegment(this.shared, this.config, this.directory, baseOffset);
  }

  /** The log was cut or replaced: forgets the open end. */
  resetActive(): void {
    this.sync.forgetActive();
    this.tailIsTorn = false;
    this.durableAt = null;
    this.cuts++;
  }

  /** Recovery is over, and what it found is on the disk. */
  settleRecovery(wasValidated: boolean): void {
    const { active } = this;
    if (!wasValidated || active === undefined) this.sync.recovered(null);
    else this.sync.recovered({ offset: this.logEndOffset, segmentBaseOffset: active.baseOffset, position: active.size });
  }

  /** An empty log that begins at `offset`: its segment file says so on the disk. */
  beginAt(offset: number): void {
    if (!this.directoryExists) this.makeDirectory();
    this.addSegment(offset);
  }

  private async cut(run: () => Promise<void>): Promise<void> {
    this.isBeingCut = true;
    try {
      await this.shared.logStarts.settled();
      await run();
    } finally {
      this.isBeingCut = false;
    }
  }

  private applyMarker(bytes: Buffer, segment: Segment): void {
    const ended = applyStored(this.producers, bytes, 0);
    if (ended?.type === "abort") segment.transactions.append(abortedBy(ended));
  }

  private alreadyAppended(repeated: BatchMetadata): Appended {
    return {
      baseOffset: repeated.lastOffset - repeated.offsetDelta,
      lastOffset: repeated.lastOffset,
      logAppendTimeMs: repeated.timestampMs,
      duplicate: true,
      logStartOffset: this.logStartOffset,
    };
  }

  /** Puts the bytes into the right segment. All of it or nothing. */
  private write(bytes: Uint8Array, lastOffset: number, maxTimestampMs: number): Segment {
    const { trouble } = this.shared;
    try {
      if (this.tailIsTorn) this.removeTornTail();
      const segment = this.segmentFor(bytes.length, lastOffset, maxTimestampMs);
      segment.prepareAppend();
      this.writing = segment.hold("write");
      this.tailIsTorn = true;
      this.writing.file.write(bytes, segment.size);
      this.tailIsTorn = false;
      if (trouble.isThere) trouble.worked(this.name);
      return segment;
    } catch (error) {
      if (this.writing !== null) this.shared.files.release(this.writing);
      this.writing = null;
      if (!(error instanceof DiskError)) throw error;
      if (this.tailIsTorn) this.attempt("the rest of a failed write", () => this.removeTornTail());
      trouble.failed(this.name, error.message);
      throw new KafkaError("KAFKA_STORAGE_ERROR", `Error while appending records to ${this.name}: ${error.message}`);
    }
  }

  private removeTornTail(): void {
    this.active?.cutToSize();
    this.tailIsTorn = false;
  }

  private segmentFor(bytes: number, lastOffset: number, maxTimestampMs: number): Segment {
    if (!this.directoryExists) this.makeDirectory();
    const { active } = this;
    if (active === undefined) return this.addSegment(this.logEndOffset);
    if (!active.shouldRoll({ bytes, lastOffset, maxTimestampMs }, this.config, this.shared.clock.nowMs())) return active;
    return this.roll(active);
  }

  private makeDirectory(): void {
    const { disk } = this.shared;
    disk.makeDirectory(this.directory);
    writeWholeFile(disk, `${this.directory}/${PARTITION_METADATA_FILE}`, encodePartitionMetadata(this.topicId));
    const handles = this.shared.files.holdOnce([`${this.directory}/${PARTITION_METADATA_FILE}`]);
    this.directoryExists = true;
    this.sync.include(handles, [this.shared.dataPath, this.directory]);
  }

  private addSegment(baseOffset: number): Segment {
    const segment = this.makeSegment(baseOffset);
    segment.release(segment.hold("create"));
    this.segments.push(segment);
    this.sync.include([], [this.directory]);
    return segment;
  }

  /** Begins a new segment although the active one is not full. Throws DiskError; can be called again. */
  rollActive(): void {
    if (this.tailIsTorn) this.removeTornTail();
    this.roll(this.active!);
  }

  /** Finishes the active segment and begins the next one. Can be called again after a throw. */
  private roll(old: Segment): Segment {
    old.finishIndexes();
    this.takeSnapshot();
    const finished = this.shared.files.holdAll([...old.indexFiles, old.log]);
    let segment: Segment;
    try {
      segment = this.addSegment(this.logEndOffset);
    } catch (error) {
      for (const handle of finished) this.shared.files.release(handle);
      throw error;
    }
    this.sync.forgetActive();
    this.sync.include(finished, [this.directory], true);
    return segment;
  }

  /** Writes the producers down as they are now. Throws DiskError; can be called again. */
  takeSnapshot(): void {
    const { files, disk } = this.shared;
    const offset = this.logEndOffset;
    if (this.snapshotOffset === offset) return;
    writeSnapshot(disk, this.directory, offset, this.producers);
    const handles = files.holdOnce(snapshotPaths(this.directory, offset));
    this.sync.include(handles, [this.directory]);
    const old = this.snapshotOffset;
    if (old >= 0 && !this.segments.some((segment) => segment.baseOffset === old)) this.sync.discardSnapshot(old);
    this.snapshotOffset = offset;
    this.bytesAtSnapshot = this.endBytes;
  }

  private finishActive(): void {
    this.active!.finishIndexes();
    this.sync.include(this.holdIndexes(this.active!), [this.directory]);
  }

  private holdIndexes(segment: Segment): Handle[] {
    return this.shared.files.holdAll(segment.indexFiles);
  }

  private afterAppend(position: number, bytes: Uint8Array): void {
    if (this.endBytes - this.bytesAtSnapshot > SNAPSHOT_EVERY_BYTES) {
      this.bytesAtSnapshot = this.endBytes;
      this.attempt("a producer snapshot", () => this.takeSnapshot());
    }
    this.sync.appended(this.writing!, position, bytes);
    this.writing = null;
    if (this.durability === "page-cache") this.moveDurableEnd(this.logEndOffset, this.endBytes);
  }

  private moveDurableEnd(offset: number, bytes: number): void {
    if (offset <= this.durableEndOffset) return;
    this.durableEndOffset = offset;
    this.durableEndBytes = bytes;
    this.producers.onHighWatermark(offset);
    this.onDurable?.(this);
  }

  /** For what may fail without harm: it is logged and done later, or never. */
  private attempt(what: string, run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.shared.logger.warn(`${what} could not be written`, { log: this.name, error: error.message });
      return false;
    }
  }
}
