/**
 * The data directory: its lock, its format version, the marker of a clean shutdown, the recovery points, and all logs in it.
 *
 *   .lock                     held by the running broker
 *   quarkmq-format            version of everything here that is ours (versioned-text.ts)
 *   quarkmq-clean-shutdown    written last by a clean shutdown, removed first by a start
 *   quarkmq-recovery-points   see recovery-points.ts
 *   quarkmq-log-starts        see log-starts.ts
 *   quarkmq-journal           see journal.ts
 *   <topic>-<partition>/      a log, in Kafka's formats
 *   <topic>-<partition>.<32 hex>-delete/   a deleted log, removed in the background
 */
import type { Logger } from "../base/logger.ts";
import type { Clock, Scheduled } from "../io/clock.ts";
import { type Disk, DiskError, type DiskLock, type DiskSpace } from "../io/disk.ts";
import type { Random } from "../io/random.ts";
import {
  checkFormat,
  DataDirectoryError,
  makeDirectoryDurably,
  removeJournal,
  takeCleanShutdownMarker,
  writeCleanShutdownMarker,
} from "./directory-files.ts";
import { distrustMemory, markFailedSync } from "./failed-sync.ts";
import { LOCK_FILE, partitionDirectoryName } from "./file-names.ts";
import { Journal } from "./journal.ts";
import { replayJournal } from "./journal-replay.ts";
import type { Durability, Log, LogShared } from "./log.ts";
import { type OpenLogOptions, openLog } from "./log-open.ts";
import { LogStarts } from "./log-starts.ts";
import { OpenFiles } from "./open-files.ts";
import { type FoundPartition, PartitionDirectories } from "./partition-directories.ts";
import { RecoveryPoints } from "./recovery-points.ts";
import { Removals } from "./removals.ts";
import { RetentionChecks } from "./retention-checks.ts";
import { SyncRounds } from "./sync-rounds.ts";
import { NewerFormat } from "./versioned-text.ts";
import { WriteTrouble } from "./write-trouble.ts";

export { DataDirectoryError } from "./directory-files.ts";
export type { FoundPartition } from "./partition-directories.ts";

/** Kafka's producer.id.expiration.check.interval.ms. */
const PRODUCER_CHECK_INTERVAL_MS = 10 * 60 * 1000;
const CLOSED_TOGETHER = 2048;
/** The longest that a file waits for its sync whose records are in the journal. */
const LEISURE_MS = 1000;

export interface LogDirectoryConfig {
  /** When an append counts, for logs that do not say otherwise. */
  readonly durability: Durability;
  /** A sync round of more files than this is one syncfs, where there is one. Measured: 8. */
  readonly syncFileSystemAbove: number;
  /** Size of the journal's file (journal.ts); 0 for none. */
  readonly journalBytes: number;
  /** The journal serves while rounds have more logs in them than this. */
  readonly journalAbove: number;
  /** Recovery points are written at most this often. */
  readonly recoveryPointIntervalMs: number;
  /** Bound on open files that nobody uses right now or that wait to be synced; and on those that answers on their way hold. */
  readonly openFilesMax: number;
  /** Logs that are opened, and perhaps recovered, side by side. */
  readonly recoveriesMax: number;
  /** How often logs are looked through for what retention does not keep. */
  readonly retentionCheckIntervalMs: number;
}

export const DEFAULT_LOG_DIRECTORY_CONFIG: LogDirectoryConfig = {
  durability: "sync",
  syncFileSystemAbove: 8,
  journalBytes: 0,
  journalAbove: 2,
  recoveryPointIntervalMs: 1000,
  openFilesMax: 512,
  recoveriesMax: 8,
  retentionCheckIntervalMs: 5 * 60 * 1000,
};

export interface LogDirectoryOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Absolute, without a slash at its end; made when missing. */
  readonly path: string;
  readonly config: LogDirectoryConfig;
  /** A sync has failed, or recovery points were lost for good: nothing may be acknowledged any more. Must end the process. */
  readonly onFatal: (error: unknown) => void;
}

/** A partition whose files were put together elsewhere in the data directory. */
export interface Arrival {
  readonly topic: string;
  readonly partition: number;
  readonly topicId: string;
  /** From `temporaryDirectory`. */
  readonly directory: string;
  /** Records below it were deleted. */
  readonly logStartOffset: number;
}

export class LogDirectory {
  readonly rounds: SyncRounds;
  /** What the last clean shutdown said; null after a crash and on the first start. */
  readonly lastCleanShutdown: { readonly incarnation: number } | null;
  private readonly shared: LogShared;
  private readonly config: LogDirectoryConfig;
  private readonly lock: DiskLock;
  private readonly logs = new Set<Log>();
  private readonly directories: PartitionDirectories;
  private readonly retention: RetentionChecks;
  private opening = 0;
  private readonly waiting: (() => void)[] = [];
  private producerCheck: Scheduled | null = null;
  private incarnation = 0;
  private closed = false;

  private constructor(shared: LogShared, o: LogDirectoryOptions, lock: DiskLock, lastIncarnation: number | null) {
    const { config } = o;
    this.shared = shared;
    this.config = config;
    this.lock = lock;
    this.rounds = shared.rounds;
    this.directories = new PartitionDirectories(shared);
    const { clock, logger, onFatal } = o;
    this.retention = new RetentionChecks({
      clock,
      logger,
      logs: this.logs,
      intervalMs: config.retentionCheckIntervalMs,
      onFatal,
    });
    this.lastCleanShutdown = lastIncarnation === null ? null : { incarnation: lastIncarnation };
    this.incarnation = lastIncarnation ?? 0;
  }

  /** Takes the directory. Rejects with DataDirectoryError if another process has it, if it is of a newer format, or if it cannot be written. */
  static async open(o: LogDirectoryOptions): Promise<LogDirectory> {
    const { disk, logger, path } = o;
    let lock: DiskLock | null = null;
    try {
      await makeDirectoryDurably(disk, path);
      lock = disk.lock(`${path}/${LOCK_FILE}`);
      if (lock === null) throw new DataDirectoryError(`${path} is in use by another process (it holds ${path}/${LOCK_FILE})`);
      await distrustMemory(disk, logger, path);
      await checkFormat(disk, path);
      const lastIncarnation = await takeCleanShutdownMarker(disk, path);
      const directory = new LogDirectory(await share(o, lastIncarnation !== null), o, lock, lastIncarnation);
      directory.start();
      return directory;
    } catch (error) {
      if (lock !== null) markFailedSync(disk, logger, path, error);
      lock?.release();
      if (error instanceof NewerFormat) throw new DataDirectoryError(error.message);
      if (error instanceof DiskError) throw new DataDirectoryError(`${path} cannot be used as data directory: ${error.message}`);
      throw error;
    }
  }

  /** The incarnation that a clean shutdown will write down. */
  setIncarnation(incarnation: number): void {
    this.incarnation = incarnation;
  }

  /** Absolute. */
  get path(): string {
    return this.shared.dataPath;
  }

  /** Of the file system that it is on. Throws DiskError. */
  space(): DiskSpace {
    return this.shared.disk.space(this.shared.dataPath);
  }

  /** Directories that no log was opened for. Throws DiskError. */
  unclaimed(): FoundPartition[] {
    const open = new Set<string>();
    for (const { name } of this.logs) open.add(name);
    return this.directories.found((name) => !open.has(name));
  }

  /** Moves such a directory out of the way; it is kept under another name. Resolves when that is durable. Rejects with DiskError. */
  setAside({ topic, partition }: FoundPartition): Promise<void> {
    return this.directories.setAside(partitionDirectoryName(topic, partition));
  }

  /** The logs that are open, in no particular order. */
  openLogs(): Iterable<Log> {
    return this.logs;
  }

  /** Opens a log; nothing of it needs to exist. One that cannot be used comes back with `offline` set. */
  async openLog(o: OpenLogOptions): Promise<Log> {
    const name = partitionDirectoryName(o.topic, o.partition);
    const { shared } = this;
    const directory = this.directories.pathOf(name);
    await this.directories.whenFree(name);
    if (this.opening >= this.config.recoveriesMax) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.opening++;
    try {
      const durability = o.durability ?? this.config.durability;
      const wasCleanShutdown = this.lastCleanShutdown !== null;
      const claim = () => this.directories.claim(name, o.topicId);
      const log = await openLog({ shared, directory, durability, wasCleanShutdown, claim }, o);
      this.logs.add(log);
      return log;
    } finally {
      this.opening--;
      this.waiting.shift()?.();
    }
  }

  /** The log is no more: its directory is renamed and removed in the background. Resolves when it has left its name for good. Rejects after a failed sync. */
  deleteLog(log: Log): Promise<void> {
    const after = log.sync.inRound ? this.rounds.idle() : undefined; // a round syncs it by its name
    this.logs.delete(log);
    log.close("it was deleted");
    this.shared.trouble.forget(log.name);
    this.shared.recoveryPoints.forget(log.sync);
    this.shared.logStarts.forget(log);
    return this.directories.discard(log.name, log.topicId, after);
  }

  /** Removes a directory that no open log has; see `deleteLog`. */
  discard({ topic, partition, topicId }: FoundPartition): Promise<void> {
    return this.directories.discard(partitionDirectoryName(topic, partition), topicId);
  }

  /** Makes a directory to put a partition's files together in, for `bringIn`. It goes by itself at a start if it never gets there. Throws DiskError. */
  temporaryDirectory(topic: string, partition: number): string {
    return this.directories.temporary(topic, partition);
  }

  /** Removes such a directory in the background. */
  discardTemporary(directory: string): void {
    this.shared.removals.directory(directory);
  }

  /**
   * Gives directories (synced, with all that is in them) their place, to be opened there. Whatever has the place goes, and what was known
   * of it. Resolves when that is durable. Rejects with DiskError; then some may have their place, and none is what it says.
   */
  async bringIn(arrivals: readonly Arrival[]): Promise<void> {
    const { recoveryPoints, logStarts } = this.shared;
    await recoveryPoints.forgetAll(arrivals);
    const moved = arrivals.filter((arrival) => arrival.logStartOffset !== logStarts.get(arrival));
    await Promise.all(moved.map((arrival) => logStarts.reset(arrival, arrival.logStartOffset)));
    for (const { topic, partition, directory } of arrivals)
      await this.directories.moveIn(directory, partitionDirectoryName(topic, partition));
    await this.directories.syncNames();
  }

  /** Ends cleanly: a last round, everything that a clean start wants, the marker, the lock. Rejects after a failed sync, or when the disk refuses. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.producerCheck?.cancel();
    this.retention.close();
    this.directories.close();
    this.shared.removals.close();
    try {
      await this.finish();
    } finally {
      this.lock.release();
    }
  }

  private async finish(): Promise<void> {
    const { disk, dataPath, recoveryPoints, logStarts, journal } = this.shared;
    await logStarts.close();
    while (this.rounds.busy) await this.rounds.idle();
    const isClean = await this.closeLogs([...this.logs]);
    await recoveryPoints.close();
    await journal.close(isClean);
    if (isClean) await writeCleanShutdownMarker(disk, dataPath, this.incarnation);
  }

  /** Some at a time: each holds files open until its last round has ended. False if one could not write what a clean start needs. */
  private async closeLogs(logs: readonly Log[]): Promise<boolean> {
    let isClean = true;
    for (let i = 0; i < logs.length; i += CLOSED_TOGETHER) {
      const some = logs.slice(i, i + CLOSED_TOGETHER);
      for (const log of some) if (!log.prepareClose()) isClean = false;
      while (this.rounds.busy) await this.rounds.idle();
      for (const log of some) log.close();
    }
    if (this.rounds.failed) await this.rounds.idle(); // rejects
    return isClean;
  }

  private start(): void {
    this.directories.removeDeleted();
    this.retention.start();
    this.checkProducersLater();
  }

  private checkProducersLater(): void {
    const { clock } = this.shared;
    this.producerCheck = clock.schedule(PRODUCER_CHECK_INTERVAL_MS, () => {
      const nowMs = clock.nowMs();
      for (const log of this.logs) log.producers.removeExpired(nowMs);
      this.checkProducersLater();
    });
  }
}

async function share(o: LogDirectoryOptions, wasCleanShutdown: boolean): Promise<LogShared> {
  const { disk, clock, random, logger, path, config } = o;
  const rounds = new SyncRounds({
    ...{ disk, path, clock },
    onFatal(error) {
      markFailedSync(disk, logger, path, error);
      o.onFatal(error);
    },
    syncFileSystemAbove: config.syncFileSystemAbove,
    leisureMs: Math.min(config.recoveryPointIntervalMs, LEISURE_MS),
  });
  const recoveryPoints = new RecoveryPoints({
    disk,
    clock,
    logger,
    rounds,
    dataPath: path,
    intervalMs: config.recoveryPointIntervalMs,
  });
  await recoveryPoints.open();
  if (wasCleanShutdown) await removeJournal(disk, path);
  else await replayJournal({ disk, logger, dataPath: path, recoveryPoints });
  const logStarts = new LogStarts({ disk, logger, rounds, dataPath: path });
  logStarts.open();
  rounds.setRider(recoveryPoints);
  const files = new OpenFiles(disk, config.openFilesMax);
  return {
    disk,
    clock,
    random,
    logger,
    dataPath: path,
    files,
    rounds,
    journal: new Journal({
      ...{ disk, random, logger, rounds, dataPath: path },
      ...{ bytes: config.journalBytes, above: config.journalAbove },
    }),
    recoveryPoints,
    logStarts,
    trouble: new WriteTrouble(logger, clock),
    removals: new Removals(o),
  };
}
