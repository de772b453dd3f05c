/**
 * One partition's log: synchronous appends, reads from memory or disk, and its part in the sync rounds. Opening and recovery are in
 * log-open.ts and recovery.ts, searches by time in log-time.ts, truncation in log-truncate.ts. Source: UnifiedLog, LocalLog.
 */
import type { Logger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";
import { type Disk, DiskError, type DiskFile } from "../io/disk.ts";
import type { Random } from "../io/random.ts";
import { KafkaError } from "../protocol/errors.ts";
import { maxTimestamp, setBaseOffset, setPartitionLeaderEpoch, timestampType } from "../record/batch.ts";
import type { ValidBatch } from "../record/validate.ts";
import { EPOCHS_FILE, PARTITION_METADATA_FILE, WRONG_INDEX_PATH } from "./file-names.ts";
import { CorruptLog, extendIndexes } from "./index-recovery.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import { findOffsetForTimestamp, findOffsetOfMaxTimestamp, type TimestampedOffset } from "./log-time.ts";
import { truncateFully, truncateLog } from "./log-truncate.ts";
import { type Handle, OpenFile, type OpenFiles } from "./open-files.ts";
import { encodePartitionMetadata } from "./partition-metadata.ts";
import { applyStored, removeSnapshot, snapshotPaths, writeSnapshot } from "./producer-recovery.ts";
import type { BatchMetadata, ProducerState } from "./producer-state.ts";
import type { RecoveryPoint, RecoveryPoints } from "./recovery-points.ts";
import { NO_INDEX, Segment } from "./segment.ts";
import { BEYOND_SEGMENT, type LogRead, NOTHING_READ, type ReadLimits, readSegment, WrongIndex } from "./segment-read.ts";
import type { SyncRounds, SyncTarget } from "./sync-rounds.ts";
import { LogTail, type TailCache } from "./tail-cache.ts";

export type { TimestampedOffset } from "./log-time.ts";
export type { LogRead, ReadLimits } from "./segment-read.ts";

/** Kafka's topic options of these names; `maxProducers` is ours. */
export interface LogConfig {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly segmentJitterMs: number;
  readonly indexIntervalBytes: number;
  readonly segmentIndexBytes: number;
  readonly producerIdExpirationMs: number;
  /** Beyond this many producers in one partition, the ones that wrote the longest ago are forgotten. */
  readonly maxProducers: number;
}

/** When an append counts: once it is synced, or at once. */
export type Durability = "sync" | "page-cache";

export interface Appended {
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** -1 unless the batch's timestamp type is LogAppendTime. */
  readonly logAppendTimeMs: number;
  /** The producer sent this batch before: nothing was appended, the offsets are those of the first time. It counts when the log is durable up to `lastOffset`. */
  readonly duplicate: boolean;
  readonly logStartOffset: number;
}

/** What all logs of a data directory share. */
export interface LogShared {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly dataPath: string;
  readonly files: OpenFiles;
  readonly tails: TailCache;
  readonly rounds: SyncRounds;
  readonly recoveryPoints: RecoveryPoints;
}

/** What opening finds. */
export interface LogParts {
  readonly topic: string;
  readonly partition: number;
  readonly topicId: string;
  readonly config: LogConfig;
  readonly durability: Durability;
  readonly directory: string;
  readonly directoryExists: boolean;
  readonly segments: Segment[];
  readonly logEndOffset: number;
  readonly recoveryPoint: RecoveryPoint;
  readonly epochs: LeaderEpochs;
  readonly producers: ProducerState;
  /** Offset of the newest producer snapshot, -1 if there is none. */
  readonly snapshotOffset: number;
  /** `epochs.changes` when they were as on the disk. */
  readonly epochsOnDisk: number;
  readonly offline: string | null;
}

/** After so many bytes without a roll the producers are written down all the same, so that a recovery has little to replay. */
const SNAPSHOT_EVERY_BYTES = 64 * 1024 * 1024;

export class Log implements SyncTarget {
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
  /** Why nothing can be read or appended; null as long as all is well. */
  offline: string | null;
  /** Everything below is on the disk, its leader epochs too. */
  recoveryPoint: RecoveryPoint;

  /** The rest is for the files of this folder only. */
  readonly shared: LogShared;
  readonly directory: string;
  readonly segments: Segment[];
  readonly tail: LogTail;
  /** Grows when the log is cut: a read that was under way begins again. */
  cuts = 0;
  snapshotOffset: number;
  private directoryExists: boolean;
  private activeHandle: Handle | null = null;
  /** A write failed and what it left could not be removed yet. */
  private tailIsTorn = false;
  private bytesAtSnapshot = 0;
  private closing = false;
  private closed = false;
  private readonly rebuilding = new Map<Segment, Promise<void>>();

  private dirty = false;
  private activeIsDirty = false;
  /** Written since the last round, besides the active segment. */
  private pendingHandles: Handle[] = [];
  private pendingDirectories = new Set<string>();
  private staleSnapshots: number[] = [];
  private epochsWritten: number;
  private readonly round = {
    running: false,
    files: [] as DiskFile[],
    directories: [] as string[],
    handles: [] as Handle[],
    staleSnapshots: [] as number[],
    endOffset: 0,
    endBytes: 0,
    segmentBaseOffset: 0,
    position: 0,
    epochs: -1,
  };
  private readonly epochsFile: OpenFile;

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
    this.segments = parts.segments;
    this.logStartOffset = parts.segments[0]?.baseOffset ?? parts.logEndOffset;
    this.logEndOffset = parts.logEndOffset;
    this.durableEndOffset = parts.logEndOffset;
    this.recoveryPoint = parts.recoveryPoint;
    this.leaderEpochs = parts.epochs;
    this.epochsWritten = parts.epochsOnDisk;
    this.producers = parts.producers;
    this.snapshotOffset = parts.snapshotOffset;
    this.offline = parts.offline;
    this.tail = new LogTail(shared.tails);
    this.epochsFile = new OpenFile(`${parts.directory}/${EPOCHS_FILE}.tmp`);
  }

  /** The first offset of the earliest transaction that readers of committed data may not pass; null when there is none. */
  get firstOpenTransactionOffset(): number | null {
    return this.producers.firstUnstableOffset;
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
   * Appends a batch whose bytes become the log's: base offset and leader epoch are set in them. Throws KafkaError for what the producer's
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
    segment.appended(bytes.length, lastOffset, batch.maxTimestampMs, this.config.indexIntervalBytes);
    if (leaderEpoch > this.leaderEpochs.latest) this.leaderEpochs.assign(leaderEpoch, baseOffset);
    if (batch.producerId >= 0) {
      if (batch.isControl) applyStored(this.producers, bytes, 0);
      else this.producers.apply(batch, baseOffset, lastOffset, batch.maxTimestampMs);
    }
    this.logEndOffset = lastOffset + 1;
    this.endBytes += bytes.length;
    this.tail.add(bytes, baseOffset, lastOffset);
    this.afterAppend();
    const logAppendTimeMs = timestampType(bytes, 0) === "LogAppendTime" ? maxTimestamp(bytes, 0) : -1;
    return { baseOffset, lastOffset, logAppendTimeMs, duplicate: false, logStartOffset: this.logStartOffset };
  }

  /**
   * Whole batches from the one that holds (or follows) `offset` on: synchronous from memory, a promise when they must come from the disk
   * itself. Less than asked for where a segment or a block ends. Throws, or rejects with, OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
   */
  read(offset: number, limits: ReadLimits): LogRead | Promise<LogRead> {
    this.checkUsable();
    if (offset < this.logStartOffset || offset > this.logEndOffset)
      throw new KafkaError(
        "OFFSET_OUT_OF_RANGE",
        `Received request for offset ${offset} for partition ${this.name}, but we only have log segments in the range ${this.logStartOffset} to ${this.logEndOffset}.`,
      );
    if (offset >= limits.limitOffset || offset === this.logEndOffset) return NOTHING_READ;
    const chunks: Uint8Array[] = [];
    const bytes = this.tail.collect(offset, limits.limitOffset, limits.maxBytes, limits.atLeastOne, chunks);
    if (bytes >= 0) return { chunks, bytes };
    return this.readFiles(offset, limits);
  }

  /** The first record at or after `timestampMs` (in offset order) that lies below `limitOffset`; null if there is none. Rejects as `read` does. */
  offsetForTimestamp(timestampMs: number, limitOffset: number): Promise<TimestampedOffset | null> {
    return findOffsetForTimestamp(this, timestampMs, limitOffset);
  }

  /** The first record that has the largest timestamp of the log; null if it lies at or above `limitOffset`, or the log is empty. */
  offsetOfMaxTimestamp(limitOffset: number): Promise<TimestampedOffset | null> {
    return findOffsetOfMaxTimestamp(this, limitOffset);
  }

  /** Cuts the log so that it ends at `offset`, or where the batch that holds it begins. Resolves when that is durable. No appends meanwhile. */
  truncateTo(offset: number): Promise<void> {
    return truncateLog(this, offset);
  }

  /** Drops everything and goes on with `offset`. Resolves when that is durable. No appends meanwhile. */
  truncateFullyAndStartAt(offset: number): Promise<void> {
    return truncateFully(this, offset);
  }

  /** Takes effect with the next append. */
  updateConfig(config: LogConfig): void {
    this.config = config;
    this.producers.updateLimits(config);
  }

  beginRound(): { readonly files: readonly DiskFile[]; readonly directories: readonly string[] } {
    const { round, active } = this;
    this.dirty = false;
    round.running = true;
    round.files.length = 0;
    [round.handles, this.pendingHandles] = [this.pendingHandles, round.handles];
    [round.staleSnapshots, this.staleSnapshots] = [this.staleSnapshots, round.staleSnapshots];
    for (const handle of round.handles) round.files.push(handle.file);
    round.epochs = this.writeEpochs();
    round.directories = this.pendingDirectories.size === 0 ? NO_DIRECTORIES : [...this.pendingDirectories];
    this.pendingDirectories.clear();
    const syncsActive = (this.durability === "sync" || this.closing) && active !== undefined;
    if (syncsActive && this.activeIsDirty && this.activeHandle !== null) {
      this.activeHandle.holds++;
      round.handles.push(this.activeHandle);
      round.files.push(this.activeHandle.file);
      this.activeIsDirty = false;
    }
    round.endOffset = syncsActive || active === undefined ? this.logEndOffset : active.baseOffset;
    round.endBytes = this.endBytes;
    round.segmentBaseOffset = active?.baseOffset ?? this.logEndOffset;
    round.position = syncsActive ? active.size : 0;
    return round;
  }

  endRound(): void {
    const { round } = this;
    round.running = false;
    for (const handle of round.handles) this.shared.files.release(handle);
    round.handles.length = 0;
    for (const offset of round.staleSnapshots)
      this.attempt("an old producer snapshot", () => removeSnapshot(this.shared.disk, this.directory, offset));
    round.staleSnapshots.length = 0;
    if (this.closed) return;
    if (round.epochs >= 0) this.publishEpochs(round.epochs);
    else if (this.leaderEpochs.changes === this.epochsWritten && !this.pendingDirectories.has(this.directory))
      this.moveRecoveryPoint();
    if (this.durability === "sync") this.moveDurableEnd(Math.min(round.endOffset, this.logEndOffset), round.endBytes);
  }

  /** Whether a round with this log in it is under way. */
  get inRound(): boolean {
    return this.round.running;
  }

  /** Writes what a clean start wants to find: indexes, producers. Marks the log dirty, so that a last round syncs it. */
  prepareClose(): void {
    if (this.offline !== null || this.active === undefined || !this.directoryExists) return;
    this.closing = true;
    this.attempt("the indexes", () => this.finishActive());
    if (this.snapshotOffset !== this.logEndOffset) this.attempt("a producer snapshot", () => this.takeSnapshot());
    this.markDirty();
  }

  /** Closes all files. Appends and reads fail from now on. */
  close(why = "the log is closed"): void {
    this.closed = true;
    this.offline ??= why;
    this.onDurable = null;
    this.tail.clear();
    if (this.activeHandle !== null) this.shared.files.release(this.activeHandle);
    this.activeHandle = null;
    for (const segment of this.segments) segment.close();
    for (const handle of this.pendingHandles.splice(0)) this.shared.files.release(handle);
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
    return makeSegment(this.shared, this.config, this.directory, baseOffset, 0);
  }

  /** Rebuilds a segment's indexes from its data, off the loop, after one of them was caught lying. Rejects with CORRUPT_MESSAGE if the data is bad too. */
  rebuildIndexes(segment: Segment): Promise<void> {
    let rebuilding = this.rebuilding.get(segment);
    if (rebuilding === undefined) {
      rebuilding = this.rebuild(segment).finally(() => this.rebuilding.delete(segment));
      this.rebuilding.set(segment, rebuilding);
    }
    return rebuilding;
  }

  /** Something on the disk has changed that a round must sync. */
  markDirty(): void {
    if (this.dirty || this.closed) return;
    this.dirty = true;
    this.shared.rounds.markDirty(this);
  }

  /** The next round syncs these too. */
  syncSoon(handles: readonly Handle[], directories: readonly string[]): void {
    for (const handle of handles) this.pendingHandles.push(handle);
    for (const directory of directories) this.pendingDirectories.add(directory);
    this.markDirty();
  }

  /** The log was cut or replaced: forgets the open end. */
  resetActive(): void {
    if (this.activeHandle !== null) this.shared.files.release(this.activeHandle);
    this.activeHandle = null;
    this.activeIsDirty = true;
    this.tailIsTorn = false;
    this.tail.clear();
    this.cuts++;
  }

  private async rebuild(segment: Segment): Promise<void> {
    this.shared.logger.warn("an index does not fit its data: rebuilding it", { segment: segment.path });
    const rebuilt = makeSegment(this.shared, this.config, this.directory, segment.baseOffset, 0);
    try {
      while (rebuilt.size < segment.size) await extendIndexes(rebuilt, segment.size, this.config.indexIntervalBytes);
    } catch (error) {
      throw error instanceof CorruptLog ? new KafkaError("CORRUPT_MESSAGE", error.message) : error;
    }
    segment.adoptIndexes(rebuilt);
    if (segment !== this.active) this.attempt("a rebuilt index", () => segment.finishIndexes());
  }

  /** Recovery is over, and what it found is on the disk. */
  settleRecovery(wasRecovered: boolean): void {
    if (this.leaderEpochs.changes !== this.epochsWritten)
      this.markDirty(); // the recovery point moves when they are written
    else if (wasRecovered && this.active !== undefined) {
      this.recoveryPoint = { offset: this.logEndOffset, segmentBaseOffset: this.active.baseOffset, position: this.active.size };
      this.shared.recoveryPoints.note(this);
    }
  }

  /** An empty log that begins at `offset`: its segment file says so on the disk. */
  beginAt(offset: number): void {
    if (!this.directoryExists) this.makeDirectory();
    this.addSegment(offset);
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
    try {
      if (this.tailIsTorn) this.removeTornTail();
      const segment = this.segmentFor(bytes.length, lastOffset, maxTimestampMs);
      segment.writeFullIndexBlocks();
      this.activeHandle ??= segment.hold("write");
      this.tailIsTorn = true;
      this.activeHandle.file.write(bytes, segment.size);
      this.tailIsTorn = false;
      this.activeIsDirty = true;
      return segment;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      if (this.tailIsTorn) this.attempt("the rest of a failed write", () => this.removeTornTail());
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
    const file = disk.open(`${this.directory}/${PARTITION_METADATA_FILE}`, "create");
    try {
      file.truncate(0);
      file.write(encodePartitionMetadata(this.topicId), 0);
    } finally {
      file.close();
    }
    const handle = this.shared.files.hold(new OpenFile(`${this.directory}/${PARTITION_METADATA_FILE}`));
    this.directoryExists = true;
    this.syncNewFiles([handle], [this.shared.dataPath, this.directory]);
  }

  private addSegment(baseOffset: number): Segment {
    const segment = this.makeSegment(baseOffset);
    const handle = segment.hold("create");
    this.activeHandle = handle;
    this.segments.push(segment);
    this.syncNewFiles([], [this.directory]);
    return segment;
  }

  /** Finishes the active segment and begins the next one. Can be called again after a throw. */
  private roll(old: Segment): Segment {
    old.finishIndexes();
    this.takeSnapshot();
    const oldHandle = this.activeHandle ?? old.hold();
    this.activeHandle = oldHandle;
    const finished = [...this.holdIndexes(old), oldHandle];
    let segment: Segment;
    try {
      segment = this.addSegment(this.logEndOffset);
    } catch (error) {
      for (const handle of finished) if (handle !== oldHandle) this.shared.files.release(handle);
      throw error;
    }
    this.syncNewFiles(finished, [this.directory], true);
    this.activeIsDirty = false;
    return segment;
  }

  /** Writes the producers down as they are now. Throws DiskError; can be called again. */
  private takeSnapshot(): void {
    const { files, disk } = this.shared;
    const offset = this.logEndOffset;
    if (this.snapshotOffset === offset) return;
    writeSnapshot(disk, this.directory, offset, this.producers);
    const handles = snapshotPaths(this.directory, offset).map((path) => files.hold(new OpenFile(path)));
    this.syncNewFiles(handles, [this.directory]);
    const old = this.snapshotOffset;
    if (old >= 0 && !this.segments.some((segment) => segment.baseOffset === old)) this.staleSnapshots.push(old);
    this.snapshotOffset = offset;
    this.bytesAtSnapshot = this.endBytes;
  }

  private finishActive(): void {
    this.active!.finishIndexes();
    this.syncNewFiles(this.holdIndexes(this.active!), [this.directory]);
  }

  private holdIndexes(segment: Segment): Handle[] {
    const { files } = this.shared;
    return [files.hold(segment.offsetIndex.file.openFile), files.hold(segment.timeIndex.file.openFile)];
  }

  /** In page-cache mode new files wait for the next round, which only a roll asks for. */
  private syncNewFiles(handles: readonly Handle[], directories: readonly string[], now = this.durability === "sync"): void {
    for (const handle of handles) this.pendingHandles.push(handle);
    for (const directory of directories) this.pendingDirectories.add(directory);
    if (now) this.markDirty();
  }

  private afterAppend(): void {
    if (this.endBytes - this.bytesAtSnapshot > SNAPSHOT_EVERY_BYTES) {
      this.bytesAtSnapshot = this.endBytes;
      if (this.producers.size > 0) this.attempt("a producer snapshot", () => this.takeSnapshot());
    }
    if (this.durability === "sync") this.markDirty();
    else this.moveDurableEnd(this.logEndOffset, this.endBytes);
  }

  private moveDurableEnd(offset: number, bytes: number): void {
    if (offset <= this.durableEndOffset) return;
    this.durableEndOffset = offset;
    this.durableEndBytes = bytes;
    this.producers.onHighWatermark(offset);
    this.onDurable?.(this);
  }

  private moveRecoveryPoint(): void {
    const { endOffset: offset, segmentBaseOffset, position } = this.round;
    if (offset <= this.recoveryPoint.offset && segmentBaseOffset === this.recoveryPoint.segmentBaseOffset) return;
    if (offset > this.logEndOffset) return;
    this.recoveryPoint = { offset, segmentBaseOffset, position };
    this.shared.recoveryPoints.note(this);
  }

  /** Writes changed epochs beside their file, to be synced in the round that begins; returns which change that is, -1 if there is none. */
  private writeEpochs(): number {
    const { files } = this.shared;
    const changes = this.leaderEpochs.changes;
    if (changes === this.epochsWritten || !this.directoryExists) return -1;
    try {
      const handle = files.hold(this.epochsFile, "create");
      this.round.handles.push(handle);
      handle.file.truncate(0);
      handle.file.write(this.leaderEpochs.encode(), 0);
      this.round.files.push(handle.file);
      return changes;
    } catch (error) {
      this.shared.logger.warn("the leader epochs could not be written", { log: this.name, error: String(error) });
      return -1;
    }
  }

  /** The file beside is synced: it takes the place of the old one. */
  private publishEpochs(changes: number): void {
    this.attempt("the leader epochs", () => {
      this.shared.files.retire(this.epochsFile);
      this.shared.disk.rename(this.epochsFile.path, `${this.directory}/${EPOCHS_FILE}`);
      this.epochsWritten = changes;
      this.syncSoon([], [this.directory]);
    });
  }

  /** For what may fail without harm: it is logged and done later, or never. */
  private attempt(what: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.shared.logger.warn(`${what} could not be written`, { log: this.name, error: error.message });
    }
  }

  private readFiles(offset: number, limits: ReadLimits): LogRead | Promise<LogRead> {
    try {
      for (let i = this.segmentIndexOf(offset); i < this.segments.length; i++) {
        const read = readSegment(this.segments[i]!, offset, limits);
        if (read instanceof Promise) return this.readLate(read, offset, limits, i);
        if (read !== BEYOND_SEGMENT) return read;
      }
      return NOTHING_READ;
    } catch (error) {
      return this.readAgain(error, offset, limits);
    }
  }

  private async readLate(pending: Promise<LogRead>, offset: number, limits: ReadLimits, i: number): Promise<LogRead> {
    const { cuts } = this;
    try {
      const read = await pending;
      if (cuts !== this.cuts) return NOTHING_READ;
      const next = this.segments[i + 1];
      if (read !== BEYOND_SEGMENT || next === undefined || next.baseOffset >= limits.limitOffset) return read;
      return await this.readFiles(Math.max(offset, next.baseOffset), limits);
    } catch (error) {
      if (cuts !== this.cuts) return NOTHING_READ;
      return await this.readAgain(error, offset, limits);
    }
  }

  /** A wrong index is rebuilt and the read done once more; anything else is the reader's to hear. */
  private async readAgain(error: unknown, offset: number, limits: ReadLimits): Promise<LogRead> {
    const segment = this.segments[this.segmentIndexOf(offset)];
    if (segment !== undefined && isIndexTrouble(error)) {
      await this.rebuildIndexes(segment);
      return await readSegment(segment, offset, limits);
    }
    throw this.readError(error);
  }

  readError(error: unknown): unknown {
    if (error instanceof DiskError)
      return new KafkaError("KAFKA_STORAGE_ERROR", `Error while reading ${this.name}: ${error.message}`);
    if (error instanceof KafkaError && error.error === "CORRUPT_MESSAGE")
      this.shared.logger.error("corrupt data in a log", { log: this.name, reason: error.message });
    return error;
  }
}

const NO_DIRECTORIES: string[] = [];

const isIndexTrouble = (error: unknown): boolean =>
  error instanceof WrongIndex || (error instanceof DiskError && WRONG_INDEX_PATH.test(error.path));

/** A segment with empty indexes. */
export function makeSegment(shared: LogShared, config: LogConfig, directory: string, baseOffset: number, size: number): Segment {
  const jitterMs = Math.min(config.segmentJitterMs, config.segmentMs);
  return new Segment({
    files: shared.files,
    directory,
    baseOffset,
    size,
    index: NO_INDEX,
    createdMs: shared.clock.nowMs(),
    rollJitterMs: jitterMs <= 0 ? 0 : shared.random.int(Math.min(jitterMs, 2 ** 31)),
  });
}
