/** Opening one partition's log: whose directory it is, recovery, producers, leader epochs. */
import { DiskError, fileNames, readWholeFile } from "../io/disk.ts";
import { baseOffset, partitionLeaderEpoch } from "../record/batch.ts";
import { scanBatches } from "./batch-scan.ts";
import { type CompactionMark, NEVER_COMPACTED, readCompactionMark } from "./compaction-mark.ts";
import {
  ARRIVING_FILE,
  EPOCHS_FILE,
  offsetFileName,
  offsetOfFileName,
  PARTITION_METADATA_FILE,
  SEGMENT_SUFFIXES,
  TRANSACTION_INDEX_SUFFIX,
} from "./file-names.ts";
import { readForeignEnd } from "./foreign-end.ts";
import { CorruptLog } from "./index-recovery.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import { type Durability, Log, type LogConfig, type LogShared } from "./log.ts";
import { discardFiles, isNoSnapshot } from "./log-segments.ts";
import { completeSwaps } from "./log-swap.ts";
import { newSegment } from "./new-segment.ts";
import { hasSnapshotWithin, recoverProducers, removeSnapshot, snapshotOffsets, snapshotPaths } from "./producer-recovery.ts";
import { ProducerState } from "./producer-state.ts";
import { type RecoveredSegments, type RecoveryContext, recoverSegments } from "./recovery.ts";
import type { RecoveryPoint } from "./recovery-points.ts";
import type { Segment } from "./segment.ts";
import { plausibleEntries } from "./transaction-index.ts";

export interface OpenLogOptions {
  readonly topic: string;
  readonly partition: number;
  /** 22 characters; a directory that names another one is a former topic's and is removed. */
  readonly topicId: string;
  readonly config: LogConfig;
  /** Default: that of the data directory. */
  readonly durability?: Durability;
}

export interface OpenContext {
  readonly shared: LogShared;
  readonly directory: string;
  readonly durability: Durability;
  readonly wasCleanShutdown: boolean;
  /** Makes sure that what lies in the directory is this topic's. True if its metadata file was written anew, and is not synced. Throws DiskError. */
  claim(): boolean;
}

/** Opens a log; one that cannot be used comes back with `offline` set. Rejects only after a failed sync. */
export async function openLog(context: OpenContext, o: OpenLogOptions): Promise<Log> {
  const { shared, directory } = context;
  const recoveryPoint = shared.recoveryPoints.get(o.topicId, o.partition);
  const epochs = new LeaderEpochs();
  const producers = new ProducerState(o.config);
  const made: Segment[] = [];
  try {
    // After a crash it may be there and not on the disk, if no round of this log has ever ended.
    const isUnsynced = context.claim() || (recoveryPoint === null && !context.wasCleanShutdown);
    const names = fileNames(shared.disk, directory);
    if (names === null) return emptyLog(context, o, recoveryPoint, epochs, producers);
    const log = await recoverLog(context, o, recoveryPoint, epochs, producers, names, made);
    if (isUnsynced)
      log.sync.include(shared.files.holdOnce([`${directory}/${PARTITION_METADATA_FILE}`]), [directory, shared.dataPath]);
    return log;
  } catch (error) {
    for (const segment of made) segment.close();
    if (shared.rounds.failed || !(error instanceof CorruptLog || error instanceof DiskError)) throw error;
    shared.logger.error("a partition is offline", { log: `${o.topic}-${o.partition}`, reason: error.message });
    return new Log(shared, { ...partsOf(context, o, recoveryPoint, epochs, producers), offline: error.message });
  }
}

/** What is true of a log with nothing on the disk. */
function partsOf(
  context: OpenContext,
  o: OpenLogOptions,
  point: RecoveryPoint | null,
  epochs: LeaderEpochs,
  producers: ProducerState,
) {
  return {
    topic: o.topic,
    partition: o.partition,
    topicId: o.topicId,
    config: o.config,
    durability: context.durability,
    directory: context.directory,
    directoryExists: false,
    isArriving: false,
    segments: [] as Segment[],
    logStartOffset: context.shared.logStarts.get(o),
    logEndOffset: point?.offset ?? 0,
    recoveryPoint: point ?? { offset: 0, segmentBaseOffset: 0, position: 0 },
    compaction: NEVER_COMPACTED,
    epochs,
    producers,
    snapshotOffset: -1,
    epochsOnDisk: epochs.changes,
    offline: null,
  };
}

function emptyLog(
  context: OpenContext,
  o: OpenLogOptions,
  point: RecoveryPoint | null,
  epochs: LeaderEpochs,
  producers: ProducerState,
): Log {
  const logStartOffset = context.shared.logStarts.get(o);
  if (point !== null && point.position > 0 && point.offset > logStartOffset)
    throw new CorruptLog(`${context.directory} is missing, of which everything up to offset ${point.offset} had been synced`);
  return new Log(context.shared, { ...partsOf(context, o, null, epochs, producers), logEndOffset: logStartOffset });
}

async function recoverLog(
  context: OpenContext,
  o: OpenLogOptions,
  point: RecoveryPoint | null,
  epochs: LeaderEpochs,
  producers: ProducerState,
  found: readonly string[],
  made: Segment[],
): Promise<Log> {
  const { shared, directory } = context;
  const names = await completeSwaps(shared.disk, directory, found);
  const epochsWereRead = readEpochs(context, epochs);
  const foreignEnd = readForeignEnd(shared.disk, directory);
  const mark = readCompactionMark(shared.disk, directory);
  const recovery = recoveryContext(context, o, point, epochs, { mark, foreignEnd, names, made });
  const recovered = dropBelowStart(recovery, await recoverSegments(recovery));
  recovered.segments.forEach((segment, i) => {
    segment.nextOffset = recovered.segments[i + 1]?.baseOffset ?? recovered.logEndOffset;
  });
  if (!epochsWereRead && recovered.segments.length > 0) await rebuildEpochs(recovered.segments, epochs);
  const firstOffset = recovered.segments[0]?.baseOffset ?? recovered.logEndOffset;
  const logStartOffset = Math.max(firstOffset, recovery.logStartOffset);
  epochs.truncateFromStart(logStartOffset);
  // Listing a directory is most of a start with many partitions: once is enough where nothing had to be mended.
  const isAsFound = !recovered.wasValidated && recovered.changed.length === 0;
  const left = isAsFound ? names : (fileNames(shared.disk, directory) ?? []);
  const transactionsFrom = loadTransactions(context, recovered, left);
  const restored = await recoverProducers(
    {
      disk: shared.disk,
      logger: shared.logger,
      directory,
      nowMs: shared.clock.nowMs(),
      segments: recovered.segments,
      firstOffset,
      logEndOffset: recovered.logEndOffset,
      names: left,
      // At the recovery point itself a snapshot may be newer than the round.
      trustedOffset: Math.max((point?.offset ?? 0) - 1, foreignEnd),
      transactionsFrom,
    },
    producers,
  );
  const indexed = recovered.segments.filter(({ transactions }) => !transactions.file.isWritten);
  for (const { transactions } of indexed) transactions.flush();
  const log = new Log(shared, {
    ...partsOf(context, o, point, epochs, producers),
    directoryExists: true,
    isArriving: names.includes(ARRIVING_FILE),
    segments: recovered.segments,
    logStartOffset,
    logEndOffset: recovered.logEndOffset,
    // A damaged one: what was found will have been synced when this counts, up to the last segment.
    compaction: mark ?? { gapsBelow: recovered.segments.at(-1)?.baseOffset ?? 0, firstDirtyOffset: 0 },
    snapshotOffset: restored.snapshotOffset,
    epochsOnDisk: epochsWereRead ? 0 : -1,
  });
  for (const offset of restored.older)
    if (offset < firstOffset) discardFiles(shared, snapshotPaths(directory, offset), o.config.fileDeleteDelayMs);
  // A crash may have come between the writing of a snapshot and its sync, and older ones go because there is a newer one.
  const mayBeUnsynced = recovered.wasValidated || !context.wasCleanShutdown;
  const snapshots = mayBeUnsynced ? snapshotOffsets(shared.disk, directory, left).filter((at) => at >= (point?.offset ?? 0)) : [];
  const isChanged = recovered.wasValidated || recovered.changed.length > 0 || restored.removed || indexed.length > 0;
  if (isChanged || snapshots.length > 0) await syncRecovered(context, recovered, indexed, snapshots);
  producers.onHighWatermark(log.durableEndOffset); // what was found is on the disk: transactions that have ended are settled
  log.settleRecovery(recovered.wasValidated);
  return log;
}

/**
 * A log that ends below its start: what was deleted was durable, what lies above was not (page-cache mode). It begins anew at its start,
 * as in LogLoader.
 */
function dropBelowStart(context: RecoveryContext, recovered: RecoveredSegments): RecoveredSegments {
  const { logStartOffset } = context;
  if (recovered.logEndOffset >= logStartOffset) return recovered;
  for (const segment of recovered.segments) {
    segment.close();
    context.discard(segment.baseOffset);
  }
  for (const offset of snapshotOffsets(context.disk, context.directory)) removeSnapshot(context.disk, context.directory, offset);
  context.epochs.clear();
  return { segments: [], logEndOffset: logStartOffset, believedEnd: logStartOffset, wasValidated: false, changed: [] };
}

function recoveryContext(
  context: OpenContext,
  o: OpenLogOptions,
  point: RecoveryPoint | null,
  epochs: LeaderEpochs,
  files: { mark: CompactionMark | null; foreignEnd: number; names: readonly string[]; made: Segment[] },
): RecoveryContext {
  const { shared, directory } = context;
  const { mark, foreignEnd, names, made } = files;
  if (mark === null) shared.logger.warn("the notes about a log's compaction are damaged: it is compacted anew", { directory });
  return {
    disk: shared.disk,
    clock: shared.clock,
    logger: shared.logger,
    directory,
    names,
    indexIntervalBytes: o.config.indexIntervalBytes,
    recoveryPoint: point,
    wasCleanShutdown: context.wasCleanShutdown,
    gapsBelow: Math.max(foreignEnd, mark?.gapsBelow ?? Number.POSITIVE_INFINITY),
    syncedBelow: mark?.gapsBelow ?? 0,
    epochs,
    logStartOffset: shared.logStarts.get(o),
    needsSegmentsBelow: (offset) =>
      context.durability === "sync" &&
      !context.wasCleanShutdown &&
      !hasSnapshotWithin(shared, directory, names, offset, Math.max(offset, point?.offset ?? 0)),
    discard(baseOffset) {
      // Snapshots go later: the newest is needed whatever else goes.
      const paths = SEGMENT_SUFFIXES.filter(isNoSnapshot).map((suffix) => `${directory}/${offsetFileName(baseOffset, suffix)}`);
      discardFiles(shared, paths, o.config.fileDeleteDelayMs);
    },
    remove: (paths) => shared.removals.files(paths),
    makeSegment(baseOffset) {
      const segment = newSegment(shared, o.config, directory, baseOffset);
      made.push(segment);
      segment.size = segment.logFile().size();
      return segment;
    },
  };
}

/** False if there is no whole checkpoint: then the batches must tell. */
function readEpochs(context: OpenContext, epochs: LeaderEpochs): boolean {
  const bytes = readWholeFile(context.shared.disk, `${context.directory}/${EPOCHS_FILE}`);
  return bytes !== null && epochs.load(bytes);
}

/** Takes the epochs from all batches' headers. */
async function rebuildEpochs(segments: readonly Segment[], epochs: LeaderEpochs): Promise<void> {
  epochs.clear();
  for (const segment of segments) {
    const handle = segment.hold();
    try {
      const range = {
        file: handle.file,
        from: 0,
        to: segment.size,
        baseOffset: segment.baseOffset,
        nextOffset: segment.baseOffset,
        validate: false,
      };
      const { problem, position } = await scanBatches(range, (b, at) => {
        const epoch = partitionLeaderEpoch(b, at);
        if (epoch > epochs.latest) epochs.assign(epoch, baseOffset(b, at));
        return true;
      });
      if (problem !== null) throw new CorruptLog(`${segment.path}, byte ${position}: ${problem}`);
    } finally {
      segment.release(handle);
    }
  }
}

/**
 * Takes over the indexes of aborted transactions as far as they are believed. Returns from where on the log has to tell; Infinity if
 * nowhere.
 */
function loadTransactions(context: OpenContext, recovered: RecoveredSegments, names: readonly string[]): number {
  const { disk } = context.shared;
  const { segments, wasValidated, believedEnd } = recovered;
  let from = wasValidated ? believedEnd : Number.POSITIVE_INFINITY;
  const byBase = new Map(segments.map((segment) => [segment.baseOffset, segment]));
  for (const name of names) {
    const segment = byBase.get(offsetOfFileName(name, TRANSACTION_INDEX_SUFFIX) ?? -1);
    const bytes = segment === undefined ? null : readWholeFile(disk, `${context.directory}/${name}`);
    if (segment === undefined || bytes === null) continue;
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const { entries, isExact } = plausibleEntries(whole, segment.baseOffset, segment.nextOffset);
    segment.loadTransactions(entries, isExact);
    if (!isExact && segment.baseOffset < from) from = segment.baseOffset;
  }
  for (const { transactions, nextOffset } of segments) if (nextOffset > from) transactions.truncateTo(from);
  return from;
}

/** What recovery changed or found above the recovery point counts once it is on the disk: in the next round, with whatever else is dirty. */
function syncRecovered(
  context: OpenContext,
  recovered: RecoveredSegments,
  indexed: readonly Segment[],
  snapshots: readonly number[],
): Promise<void> {
  const { shared, directory } = context;
  const { files: openFiles, disk } = shared;
  const wanted = indexed.map(({ transactions }) => transactions.file.openFile);
  for (const segment of recovered.changed) {
    wanted.push(segment.log);
    if (segment !== recovered.segments.at(-1)) wanted.push(segment.offsetIndex.file.openFile, segment.timeIndex.file.openFile);
  }
  const paths = snapshots.flatMap((offset) => snapshotPaths(directory, offset)).filter((path) => disk.exists(path));
  const handles = openFiles.holdAll(wanted);
  handles.push(...openFiles.holdOnce(paths));
  const files = handles.map((handle) => handle.file);
  return new Promise((resolve) => {
    shared.rounds.markDirty({
      beginRound: () => ({ files, directories: [directory, shared.dataPath] }),
      endRound() {
        for (const handle of handles) openFiles.release(handle);
        resolve();
      },
    });
  });
}
