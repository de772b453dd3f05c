/**
 * One partition as its leader sees it: the log, the high watermark, and those who wait for it to move. Replies and readers
 * both hang on the high watermark, so nothing that a power cut can take back is ever shown.
 */
import type { Appended, Log, StoredRead } from "../log/log.ts";
import type { TransactionMarker } from "../log/producer-state.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { ValidBatch } from "../record/validate.ts";

/** Told when more became readable, when the log's start moved, or when the partition went away. Called synchronously; must not throw. */
export interface PartitionWatcher {
  /** `bytes` more bytes are readable than at the last call; 0 when only the log's start moved. */
  onReadable(bytes: number): void;
  /** The partition was closed (its topic was deleted, or the broker stops): read again for the error. */
  onClosed(): void;
}

/** Kafka's read isolation: what a consumer may see. */
export type Isolation = "read_uncommitted" | "read_committed";

/** DeleteRecordsRequest.HIGH_WATERMARK. */
const HIGH_WATERMARK = -1;

interface Waiter {
  readonly offset: number;
  readonly run: (error: KafkaError | null) => void;
}

export class Partition {
  readonly topic: string;
  readonly topicId: string;
  readonly index: number;
  readonly log: Log;
  /** Grows when leadership changes; stored in every batch. On one node it stays what the metadata says. */
  readonly leaderEpoch: number;
  /** Whether this broker leads it, by the metadata: only then may it be written to and read from here. */
  readonly isLeader: boolean;
  /** Set once when the partition stops serving; every later use answers with it. */
  closedWith: KafkaError | null = null;

  /** In order of offset, because the log only grows: a queue with a moving head. */
  private waiters: Waiter[] = [];
  private head = 0;
  private readonly watchers = new Set<PartitionWatcher>();
  private shownBytes: number;

  constructor(o: { topic: string; topicId: string; index: number; log: Log; leaderEpoch: number; isLeader: boolean }) {
    this.topic = o.topic;
    this.topicId = o.topicId;
    this.index = o.index;
    this.log = o.log;
    this.leaderEpoch = o.leaderEpoch;
    this.isLeader = o.isLeader;
    this.shownBytes = o.log.durableEndBytes;
    o.log.onDurable = () => this.advance();
    o.log.onStartMoved = () => this.tellWatchers(0);
    // Partition.makeLeader: a leader knows its epoch from the start, not from its first batch on.
    if (o.log.offline === null && o.leaderEpoch > o.log.leaderEpochs.latest)
      o.log.leaderEpochs.assign(o.leaderEpoch, o.log.logEndOffset);
  }

  get logStartOffset(): number {
    return this.log.logStartOffset;
  }

  get logEndOffset(): number {
    return this.log.logEndOffset;
  }

  /** With one replica the in-sync set is this broker alone, so the minimum over it is our own synced end. */
  get highWatermark(): number {
    return this.log.durableEndOffset;
  }

  /** Up to where read_committed consumers may read: no transaction that is still open begins below it. */
  get lastStableOffset(): number {
    const open = this.log.firstOpenTransactionOffset;
    return open === null ? this.highWatermark : Math.min(open, this.highWatermark);
  }

  /** The first offset that a consumer of this isolation may not see. */
  readableEnd(isolation: Isolation): number {
    return isolation === "read_committed" ? this.lastStableOffset : this.highWatermark;
  }

  /** Appends one validated batch; synchronous, after it the batch's bytes are the caller's again. Throws KafkaError; then nothing was applied. */
  append(batch: ValidBatch): Appended {
    this.mustServe();
    return this.log.append(batch, this.leaderEpoch);
  }

  /** Appends the marker that ends a transaction; see Log.appendMarker. */
  appendMarker(marker: TransactionMarker, transactionVersion: number): Appended {
    this.mustServe();
    return this.log.appendMarker(marker, transactionVersion, this.leaderEpoch);
  }

  /** Whole batches from the one that holds `offset`, none beyond what `isolation` may see. The chunks become the caller's, to send or to release. */
  read(offset: number, isolation: Isolation, maxBytes: number, atLeastOne: boolean): StoredRead | Promise<StoredRead> {
    this.mustServe();
    return this.log.readStored(offset, { limitOffset: this.readableEnd(isolation), maxBytes, atLeastOne });
  }

  /**
   * Moves the log's start up to `offset` (-1: the high watermark). Resolves with the start, durable. Rejects with a KafkaError; then nothing
   * has changed, but for a partition that was closed meanwhile. Source: Partition.deleteRecordsOnLeader.
   */
  async deleteRecords(offset: number): Promise<number> {
    this.checkLeaderEpoch(-1);
    const { log } = this;
    if (log.config.compacts && !log.config.deletes)
      throw new KafkaError(
        "POLICY_VIOLATION",
        `Records of partition ${log.name} can not be deleted due to the configured policy`,
      );
    const start = offset === HIGH_WATERMARK ? this.highWatermark : offset;
    if (start < 0) throw new KafkaError("OFFSET_OUT_OF_RANGE", `The offset ${start} for partition ${log.name} is not valid`);
    if (start > this.highWatermark)
      throw new KafkaError(
        "OFFSET_OUT_OF_RANGE",
        `Cannot increment the log start offset to ${start} of partition ${log.name} since it is larger than the high watermark ${this.highWatermark}`,
      );
    await log.moveStart(start).catch((error) => {
      throw this.closedWith ?? error;
    });
    if (this.closedWith !== null) throw this.closedWith;
    return this.logStartOffset;
  }

  /**
   * Runs `run` when the high watermark has reached `logEndOffset` (at once when it has), in the order of offsets;
   * with an error when the partition closes before.
   */
  onceDurable(logEndOffset: number, run: (error: KafkaError | null) => void): void {
    if (this.closedWith !== null) run(this.closedWith);
    else if (this.highWatermark >= logEndOffset) run(null);
    else this.waiters.push({ offset: logEndOffset, run });
  }

  watch(watcher: PartitionWatcher): void {
    if (this.closedWith === null) this.watchers.add(watcher);
  }

  unwatch(watcher: PartitionWatcher): void {
    this.watchers.delete(watcher);
  }

  /**
   * KIP-320: -1 asks for no check. Throws FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, or what keeps the partition from being served; of
   * several faults the one that Kafka finds first.
   */
  checkLeaderEpoch(epochOfClient: number): void {
    if (this.closedWith !== null) throw this.closedWith;
    const { offline, name } = this.log;
    if (offline !== null) throw new KafkaError("KAFKA_STORAGE_ERROR", `${name} is offline: ${offline}`);
    if (epochOfClient !== -1 && epochOfClient !== this.leaderEpoch)
      throw new KafkaError(epochOfClient < this.leaderEpoch ? "FENCED_LEADER_EPOCH" : "UNKNOWN_LEADER_EPOCH");
    this.mustServe();
  }

  /** Stops serving: everybody who waits is answered with `error`. The log itself is closed or deleted by its owner. */
  close(error: KafkaError): void {
    if (this.closedWith !== null) return;
    this.closedWith = error;
    this.log.onDurable = null;
    this.log.onStartMoved = null;
    const waiting = this.waiters.slice(this.head);
    this.waiters = [];
    this.head = 0;
    for (const waiter of waiting) waiter.run(error);
    for (const watcher of [...this.watchers]) watcher.onClosed();
    this.watchers.clear();
  }

  private mustServe(): void {
    if (this.closedWith !== null) throw this.closedWith;
    if (!this.isLeader) throw new KafkaError("NOT_LEADER_OR_FOLLOWER", `this broker does not lead ${this.log.name}`);
  }

  private advance(): void {
    const end = this.highWatermark;
    while (this.head < this.waiters.length && this.waiters[this.head]!.offset <= end) {
      const waiter = this.waiters[this.head]!;
      this.head++;
      waiter.run(null);
    }
    if (this.head === this.waiters.length) {
      this.waiters.length = 0;
      this.head = 0;
    } else if (this.head >= 1024 && this.head * 2 > this.waiters.length) {
      this.waiters = this.waiters.slice(this.head);
      this.head = 0;
    }
    const bytes = this.log.durableEndBytes - this.shownBytes;
    this.shownBytes = this.log.durableEndBytes;
    this.tellWatchers(bytes);
  }

  private tellWatchers(bytes: number): void {
    for (const watcher of this.watchers) watcher.onReadable(bytes);
  }
}
