/**
 * Compacts the logs of a data directory one after the other, the dirtiest first. It decides what is to be cleaned and puts the results in
 * their places; the work itself is a CleanerRunner's, in a thread. Source: LogCleaner, LogCleanerManager.
 */
import type { Logger } from "../base/logger.ts";
import type { Clock, Scheduled } from "../io/clock.ts";
import { type Disk, DiskError, isFailedSync } from "../io/disk.ts";
import type { Random } from "../io/random.ts";
import type { CleanableSegment, CleanJob, CleanLimits, CleanStats } from "./clean-job.ts";
import { CleaningStopped, type SwapIn } from "./clean-log.ts";
import { type CompactionConfig, filthiest, type Plan, planCleaning } from "./clean-plan.ts";
import { markCompaction } from "./compaction-mark.ts";
import type { Log } from "./log.ts";
import { swapIn } from "./log-swap.ts";
import type { Segment } from "./segment.ts";
import type { AbortedTransaction } from "./transaction-index.ts";

/** A log whose cleaning failed because of the disk is left alone for so long. */
const RETRY_AFTER_MS = 60_000;

/** Does one cleaning at a time, off the loop. */
export interface CleanerRunner {
  /** See cleanLog. */
  run(job: CleanJob, swapIn: SwapIn): Promise<CleanStats>;
  /** What runs is to reject soon, with CleaningStopped. */
  stop(): void;
  /** Nothing runs, and nothing will for a while: gives back what it holds. */
  rest(): void;
}

export interface CleanerSettings {
  readonly isEnabled: boolean;
  readonly limits: CleanLimits;
  /** After it has found nothing to do it looks again in so long. */
  readonly backoffMs: number;
}

export interface CleanerOptions {
  readonly logs: () => Iterable<Log>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly runner: CleanerRunner;
  /** Asked for each time: they may change while the broker runs. */
  readonly settings: () => CleanerSettings;
}

interface Candidate {
  readonly log: Log;
  readonly config: CompactionConfig;
  readonly plan: Plan;
}

export class LogCleaner {
  private readonly o: CleanerOptions;
  private timer: Scheduled | null = null;
  private working: Promise<void> | null = null;
  private closed = false;
  /** Corrupt, or half changed: not before the next start. */
  private readonly uncleanable = new WeakSet<Log>();
  private readonly retryAtMs = new WeakMap<Log, number>();

  constructor(o: CleanerOptions) {
    this.o = o;
  }

  /** Begins to look for what is to be cleaned. */
  start(): void {
    this.later();
  }

  /** Ends what runs. Resolves when no file is touched any more. */
  async close(): Promise<void> {
    this.closed = true;
    this.timer?.cancel();
    this.o.runner.stop();
    await this.working;
    this.o.runner.rest();
  }

  private later(): void {
    if (this.closed) return;
    this.timer = this.o.clock.schedule(this.o.settings().backoffMs, () => {
      this.working = this.cleanAll().finally(() => {
        this.working = null;
        this.later();
      });
    });
  }

  private async cleanAll(): Promise<void> {
    if (this.o.settings().isEnabled)
      for (let chosen = this.choose(); chosen !== null && !this.closed; chosen = this.choose()) await this.clean(chosen);
    this.o.runner.rest();
  }

  private choose(): Candidate | null {
    const nowMs = this.o.clock.nowMs();
    const candidates: Candidate[] = [];
    for (const log of this.o.logs()) {
      const { compaction: config } = log.config;
      if (config === null || log.segments.length < 2 || isOver(log) || this.uncleanable.has(log)) continue;
      if (nowMs < (this.retryAtMs.get(log) ?? nowMs)) continue;
      const plan = this.plan(log, config, nowMs);
      if (plan !== null) candidates.push({ log, config, plan });
    }
    return filthiest(candidates);
  }

  private plan(log: Log, config: CompactionConfig, nowMs: number): Plan | null {
    try {
      return planCleaning({ ...viewOf(log), config }, nowMs);
    } catch (error) {
      this.failed(log, error);
      return null;
    }
  }

  private async clean({ log, config, plan }: Candidate): Promise<void> {
    const { runner, logger, clock } = this.o;
    const { cuts } = log;
    const { baseOffset } = log.segments[0]!;
    const startMs = clock.monotonicMs();
    try {
      const { gapsBelow, firstDirtyOffset } = log.compaction;
      if (plan.endOffset > gapsBelow) await markCompaction(log, { gapsBelow: plan.endOffset, firstDirtyOffset });
      const aborted = await log.abortedTransactions(log.segments[0]!.baseOffset, plan.endOffset);
      if (this.closed || isOver(log) || log.cuts !== cuts) return;
      const stats = await runner.run(this.jobOf(log, config, plan, aborted), async (group) => {
        if (this.closed) throw new CleaningStopped("the broker is stopping");
        await swapIn(log, group, cuts);
      });
      if (log.offline !== null || log.cuts !== cuts) return;
      await markCompaction(log, { gapsBelow: log.compaction.gapsBelow, firstDirtyOffset: stats.endOffset });
      logger.info("a log was compacted", {
        ...fieldsOf(log, plan, stats),
        milliseconds: Math.round(clock.monotonicMs() - startMs),
      });
    } catch (error) {
      // Retention took files that were still to be read: what is left is planned anew.
      const isShorter = log.segments[0]?.baseOffset !== baseOffset && !isHalfChanged(log);
      const isForThat = isShorter && error instanceof DiskError && !isFailedSync(error);
      this.failed(log, isForThat ? new CleaningStopped(`the beginning of ${log.name} is gone`) : error);
    }
  }

  private jobOf(log: Log, config: CompactionConfig, plan: Plan, aborted: readonly AbortedTransaction[]): CleanJob {
    const { random, clock, settings } = this.o;
    const toClean = log.segments.filter((segment) => segment.baseOffset < plan.endOffset);
    return {
      name: log.name,
      directory: log.directory,
      segments: toClean.map((segment) => cleanable(segment, log.shared.disk)),
      firstDirtyOffset: plan.firstDirtyOffset,
      endOffset: plan.endOffset,
      highWatermark: log.durableEndOffset,
      nowMs: clock.nowMs(),
      deleteRetentionMs: config.deleteRetentionMs,
      segmentBytes: log.config.segmentBytes,
      segmentIndexBytes: log.config.segmentIndexBytes,
      indexIntervalBytes: log.config.indexIntervalBytes,
      lastRecords: Array.from(log.producers.entries(), ({ producerId, epoch, batches }) => ({
        producerId,
        lastDataOffset: batches.at(-1)?.lastOffset ?? -1,
        producerEpoch: epoch,
      })),
      aborted: [...aborted].sort((a, b) => a.firstOffset - b.firstOffset),
      limits: settings().limits,
      seed: random.int(0x7fff_ffff),
    };
  }

  private failed(log: Log, error: unknown): void {
    if (error instanceof CleaningStopped || isOver(log)) return;
    if (isFailedSync(error)) return log.shared.rounds.fail(error); // of a file that nobody needs, but of the same disk
    const reason = error instanceof Error ? error.message : String(error);
    if (error instanceof DiskError && !isHalfChanged(log)) {
      this.retryAtMs.set(log, this.o.clock.nowMs() + RETRY_AFTER_MS);
      this.o.logger.warn("a log could not be compacted; it is tried again", { log: log.name, reason });
    } else {
      this.uncleanable.add(log);
      this.o.logger.error("a log cannot be compacted; it is not tried again before the next start", { log: log.name, reason });
    }
  }
}

/** It is closed, or the process is ending. */
const isOver = (log: Log): boolean => log.offline !== null || log.shared.rounds.failed;

/** A segment did not get its place: the next start completes that, and no other cleaning may come in between. */
const isHalfChanged = (log: Log): boolean => log.segments.some((segment) => segment.nameSuffix !== "");

function viewOf(log: Log) {
  const { durableEndOffset, firstOpenTransactionOffset } = log;
  return {
    segments: log.segments.map(planned),
    logStartOffset: log.logStartOffset,
    logEndOffset: log.logEndOffset,
    firstDirtyOffset: log.compaction.firstDirtyOffset,
    lastStableOffset: Math.min(durableEndOffset, firstOpenTransactionOffset ?? durableEndOffset),
    firstUnsyncedSegment: log.sync.recoveryPoint.segmentBaseOffset,
  };
}

const planned = (segment: Segment) => ({
  baseOffset: segment.baseOffset,
  size: segment.size,
  largestTimestampMs: () => (segment.maxTimestamp.timestampMs >= 0 ? segment.maxTimestamp.timestampMs : segment.createdMs),
  firstTimestampMs: () => (segment.size === 0 ? -1 : segment.firstTimestamp()),
});

const cleanable = ({ baseOffset, size, offsetIndex, timeIndex, transactions }: Segment, disk: Disk): CleanableSegment => ({
  baseOffset,
  size,
  offsetIndexBytes: offsetIndex.file.count * offsetIndex.file.entryBytes,
  timeIndexBytes: timeIndex.file.count * timeIndex.file.entryBytes,
  hasTransactionIndex: transactions.hasFile || disk.exists(transactions.file.path),
});

const fieldsOf = (log: Log, plan: Plan, stats: CleanStats) => ({
  log: log.name,
  from: plan.firstDirtyOffset,
  to: stats.endOffset,
  bytesBefore: stats.bytesRead,
  bytesAfter: stats.bytesWritten,
  recordsBefore: stats.recordsRead,
  recordsAfter: stats.recordsWritten,
  keys: stats.keys,
  ...(stats.recordsWithoutKey > 0 ? { recordsWithoutKey: stats.recordsWithoutKey } : {}),
  ...(stats.batchesKeptWhole > 0 ? { batchesKeptWhole: stats.batchesKeptWhole } : {}),
});
