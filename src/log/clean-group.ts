/** The second half of a cleaning: writes what is left of some segments into one beside them. Source: Cleaner.cleanSegments. */
import {
  baseOffset,
  batchBytes,
  deleteHorizonMs,
  hasProducerId,
  isControl,
  lastOffset,
  maxTimestamp,
  nextOffset,
  producerEpoch,
  producerId,
  recordCount,
} from "../record/batch.ts";
import { emptiedBatch, filterBatch } from "../record/filter.ts";
import type { RecordWalk } from "../record/record-walk.ts";
import { BatchReader } from "./batch-reader.ts";
import type { CleanableSegment, CleanedGroup, CleanJob, CleanStats, LastRecord } from "./clean-job.ts";
import { bodyOf, type CleanSeam } from "./clean-map.ts";
import type { CleanTransactions } from "./clean-transactions.ts";
import { CleanedSegment } from "./cleaned-segment.ts";
import type { OffsetMap } from "./offset-map.ts";

/** What stays of a batch: all of it, nothing, or these bytes. */
type Remains = "all" | "nothing" | Buffer;

export class GroupCleaner {
  private readonly job: CleanJob;
  private readonly map: OffsetMap;
  private readonly transactions: CleanTransactions;
  private readonly seam: CleanSeam;
  private readonly stats: CleanStats;
  private readonly lastRecords: ReadonlyMap<number, LastRecord>;
  /** A batch stayed as it is because it unpacks to too much: what a later tombstone deletes may be in it. */
  private keptWhole = false;

  constructor(job: CleanJob, map: OffsetMap, transactions: CleanTransactions, seam: CleanSeam, stats: CleanStats) {
    this.job = job;
    this.map = map;
    this.transactions = transactions;
    this.seam = seam;
    this.stats = stats;
    this.lastRecords = new Map(job.lastRecords.map((record) => [record.producerId, record]));
  }

  /** Resolves when the new segment is complete and on the disk. Throws as `buildOffsetMap` does; then nothing is left of it, if the disk allows. */
  async clean(group: readonly CleanableSegment[]): Promise<CleanedGroup> {
    const { job, seam, stats } = this;
    const cleaned = new CleanedSegment(seam.disk, job, group);
    this.transactions.onKeptAbort = (aborted) => cleaned.appendAborted(aborted);
    try {
      let modifiedMs = 0;
      for (const segment of group) modifiedMs = await this.copy(segment, cleaned);
      const finished = await cleaned.finish(modifiedMs);
      stats.bytesWritten += finished.size;
      return { replaces: group.map((segment) => segment.baseOffset), ...finished };
    } catch (error) {
      cleaned.discard();
      throw error;
    }
  }

  /** Resolves to when the segment was last written to. */
  private async copy(segment: CleanableSegment, cleaned: CleanedSegment): Promise<number> {
    const { job, seam, stats } = this;
    const reader = new BatchReader(seam.disk, job.directory, segment, job.limits.ioBufferBytes / 2);
    try {
      while (reader.next()) {
        const moved = reader.takeRead() + cleaned.takeWritten();
        if (moved > 0) await seam.pace(moved);
        await cleaned.syncNowAndThen();
        reader.checkCrc();
        const { buffer: b, at } = reader;
        stats.bytesRead += reader.bytes;
        stats.recordsRead += recordCount(b, at);
        const remains = this.remainsOf(b, at);
        if (remains === "nothing") continue;
        const bytes = remains === "all" ? b.subarray(at, at + batchBytes(b, at)) : remains;
        stats.recordsWritten += recordCount(bytes, 0);
        cleaned.append(bytes, lastOffset(bytes, 0), maxTimestamp(bytes, 0));
      }
      return reader.modifiedMs();
    } finally {
      reader.close();
    }
  }

  /** Cleaner.cleanInto's filter: what a batch's transaction, its producer and its place allow, then its records one by one. */
  private remainsOf(b: Buffer, at: number): Remains {
    const { job, transactions } = this;
    const control = isControl(b, at);
    const isDone = control ? transactions.onControlBatch(b, at) : transactions.onBatch(b, at);
    const horizonMs = deleteHorizonMs(b, at);
    const goes = isDone && (!control || (horizonMs !== null && horizonMs <= job.nowMs));
    const staysEmpty = this.isLastOfProducer(b, at) || nextOffset(b, at) === job.highWatermark;
    if (goes || recordCount(b, at) === 0) {
      if (!staysEmpty) return "nothing";
      return recordCount(b, at) === 0 ? "all" : emptiedBatch(b, at);
    }
    const { bytes, records } = this.filter(b, at, control, control && isDone, horizonMs);
    if (records > 0) return bytes ?? "all";
    return staysEmpty ? emptiedBatch(b, at) : "nothing";
  }

  private filter(b: Buffer, at: number, control: boolean, marksHorizon: boolean, horizonMs: number | null) {
    const { job, map, stats } = this;
    const firstOffset = baseOffset(b, at);
    const body = bodyOf(b, at, job.limits.maxDecompressedBytes);
    if (body === null) {
      this.keptWhole = true;
      return { bytes: null, records: recordCount(b, at) };
    }
    const keepsTombstones = horizonMs === null || job.nowMs < horizonMs || this.keptWhole;
    const keeps = (walk: RecordWalk): boolean => {
      const offset = firstOffset + walk.offsetDelta;
      if (offset > map.latestOffset || control) return true;
      if (walk.keyBytes < 0) {
        stats.recordsWithoutKey++;
        return false;
      }
      return (walk.hasValue || keepsTombstones) && offset >= map.get(body, walk.keyAt, walk.keyAt + walk.keyBytes);
    };
    return filterBatch(b, at, body, { keeps, newHorizonMs: job.nowMs + job.deleteRetentionMs, marksHorizon });
  }

  /** Whether the batch is what the state of a producer would be restored from, and so must stay, if only without records. */
  private isLastOfProducer(b: Buffer, at: number): boolean {
    if (!hasProducerId(b, at)) return false;
    const last = this.lastRecords.get(producerId(b, at));
    if (last === undefined) return false;
    if (last.lastDataOffset >= 0) return lastOffset(b, at) === last.lastDataOffset;
    return isControl(b, at) && producerEpoch(b, at) === last.producerEpoch;
  }
}
