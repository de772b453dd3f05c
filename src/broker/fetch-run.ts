/**
 * One fetch from first read to answer: it reads its targets, waits on their partitions until enough is readable if it must, and
 * reads once more. Source of the rules: Kafka's ReplicaManager.fetchMessages and DelayedFetch.
 *
 * Where we differ, and why:
 * - a fetch that could read on but for a bound (a segment's or block's end, its own max bytes) is answered with what it has, although
 *   that is less than min_bytes: waiting would bring it nothing. Kafka looks at the segment's end only;
 * - one from above the high watermark waits, where Kafka answers at once with nothing and is asked again;
 * - unknown partitions stand where they were asked for, not behind all others.
 */
import { type Chunk, releaseChunks } from "../bytes/chunks.ts";
import type { Clock } from "../io/clock.ts";
import type { Deadline, Deadlines } from "../io/deadlines.ts";
import { NOTHING_READ } from "../log/segment-read.ts";
import type { AbortedTransaction } from "../log/transaction-index.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import type { FetchTarget } from "./fetch-target.ts";
import type { Isolation, Partition } from "./partition.ts";
import { type PartitionRead, readPartition } from "./partition-read.ts";

/** One fetch reads for so long before others get their turn: what is hot is read on the loop itself. */
const TURN_MS = 5;
/** How long a parked fetch sleeps before it looks whether its connection is still there. */
const ABANDONED_CHECK_MS = 30_000;

/** What one read of one target gave. `records` belong to whoever has the result: to be sent or released. */
export interface TargetResult {
  readonly target: FetchTarget;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  readonly divergingEpoch: { epoch: number; endOffset: number } | null;
  readonly records: readonly Chunk[];
  readonly bytes: number;
  /** Those that have records in what was read; null unless committed data was asked for. */
  readonly abortedTransactions: AbortedTransaction[] | null;
  /** Where the next read would begin, if this one brought something. */
  readonly nextOffset: number;
  /** Up to where the read might go: the end of what was readable when it began. */
  readonly limitOffset: number;
}

export interface FetchLimits {
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly isolation: Isolation;
  /** The client says that it is a replica. */
  readonly isReplica: boolean;
}

/** Whose fetch it is: a single request, or a request of a session. */
export interface FetchOwner {
  /** The targets to read now, in the order they are served. */
  targets(): Iterable<FetchTarget>;
  /** Whether any of the targets, read now or not, has a partition; if none has, there is nothing to wait for. */
  hasPartition(): boolean;
  /** Finds the target's partition, or the error to answer. */
  resolve(target: FetchTarget): Partition | KafkaError;
  /** The most that an answer should hold now. */
  roomBytes(): number;
  /** Called once, before time passes for the first time: from now on `moved` and `closed` must be told of all targets with a partition. */
  onYield(): void;
  /** True when nobody waits for the answer any more. */
  isAbandoned(): boolean;
  /** The end: what to answer, the owner's from now on. One of onDone, onCut and onFailed is called, once. */
  onDone(results: readonly TargetResult[]): void;
  /** The end, by `cut`. */
  onCut(error: KafkaError | null): void;
  /** The end, by something that should not be. */
  onFailed(error: unknown): void;
}

const NO_RESULTS: TargetResult[] = [];
/** The client has to cut its log first. */
const NO_READ: PartitionRead = { stored: NOTHING_READ, aborted: null, limitOffset: 0, heldBackAt: -1 };
/** Of a target whose read has yet to come: what moves until then, the read will bring. */
const UNREAD = -1;

export class FetchRun {
  private readonly limits: FetchLimits;
  private readonly owner: FetchOwner;
  private readonly clock: Clock;
  private readonly deadlines: Deadlines;
  private results: TargetResult[] = NO_RESULTS;
  /** Of records in `results`. */
  private bytes = 0;
  /** What is there to be read, over all targets: each one's `available`, but no more than its maxBytes. */
  private readable = 0;
  private remaining = 0;
  /** Set when the answer must not wait: an error of a partition, or a diverging epoch. */
  private urgent = false;
  /** A partition closed since the last read. */
  private hasClosed = false;
  private state: "reading" | "parked" | "ended" = "reading";
  private hasYielded = false;
  private deadline: Deadline | null = null;
  private endsAtMs = 0;

  constructor(limits: FetchLimits, owner: FetchOwner, clock: Clock, deadlines: Deadlines) {
    this.limits = limits;
    this.owner = owner;
    this.clock = clock;
    this.deadlines = deadlines;
  }

  start(): void {
    this.endsAtMs = this.clock.monotonicMs() + this.limits.maxWaitMs;
    this.read(() => this.afterFirstRead());
  }

  /** A target of this fetch has `bytes` more to read. */
  moved(target: FetchTarget, bytes: number): void {
    if (this.state === "ended" || target.available === UNREAD) return;
    this.count(target, bytes);
    if (this.state === "parked" && (this.readable >= this.limits.minBytes || this.isReleased(target))) this.wake(false);
  }

  /** The partition of a target of this fetch was closed. */
  closed(): void {
    this.hasClosed = true;
    if (this.state === "parked") this.wake(true);
  }

  /** Ends the fetch now, with nothing read. */
  cut(error: KafkaError | null): void {
    if (this.state === "ended") return;
    this.end();
    this.owner.onCut(error);
  }

  private afterFirstRead(): void {
    const { minBytes, maxWaitMs } = this.limits;
    if (this.urgent || this.bytes >= minBytes || maxWaitMs <= 0 || this.hasMore() || !this.owner.hasPartition()) this.finish();
    else this.parkUnlessMoved();
  }

  /** What was counted was readable, but a reader of committed data may have seen less of it, or nothing: then it waits on. */
  private afterLaterRead(isLast: boolean): void {
    const { isolation, minBytes } = this.limits;
    const isEnough = isolation === "read_committed" ? this.bytes >= minBytes || this.hasMore() : this.bytes > 0;
    if (isLast || this.urgent || isEnough || this.clock.monotonicMs() >= this.endsAtMs) this.finish();
    else this.parkUnlessMoved();
  }

  private parkUnlessMoved(): void {
    // While one target was read from the disk, a partition closed, or enough came to others that had been read before.
    const { hasClosed } = this;
    const isReleasedMeanwhile = this.results.some(({ target }) => this.isReleased(target));
    if (hasClosed || isReleasedMeanwhile || this.readable >= this.limits.minBytes)
      return this.read(() => this.afterLaterRead(hasClosed));
    this.dropResults(); // the records that they hold would be held for as long as it waits
    this.state = "parked";
    this.beginYield();
    this.sleep();
  }

  /** Reads again and answers: enough is readable, the time is over, or a partition closed. */
  private wake(isLast: boolean): void {
    this.state = "reading";
    this.deadline?.cancel();
    this.deadline = null;
    if (this.owner.isAbandoned()) this.finish();
    else this.read(() => this.afterLaterRead(isLast));
  }

  private sleep(): void {
    const leftMs = this.endsAtMs - this.clock.monotonicMs();
    this.deadline = this.deadlines.in(Math.min(leftMs, ABANDONED_CHECK_MS), () => {
      this.deadline = null;
      if (leftMs <= ABANDONED_CHECK_MS || this.owner.isAbandoned()) this.wake(true);
      else this.sleep();
    });
  }

  private beginYield(): void {
    if (this.hasYielded) return;
    this.hasYielded = true;
    this.owner.onYield();
  }

  private end(): void {
    this.state = "ended";
    this.deadline?.cancel();
    this.deadline = null;
    this.dropResults();
  }

  private dropResults(): void {
    for (const { records } of this.results) releaseChunks(records);
    this.results = NO_RESULTS;
  }

  private finish(): void {
    const { results } = this;
    this.results = NO_RESULTS;
    this.end();
    this.owner.onDone(results);
  }

  private fail(error: unknown): void {
    this.end();
    this.owner.onFailed(error);
  }

  /** Reads every target in order; synchronous as long as the log answers at once. */
  private read(then: () => void): void {
    this.dropResults();
    this.results = [];
    this.bytes = 0;
    this.readable = 0;
    this.remaining = Math.min(this.limits.maxBytes, this.owner.roomBytes());
    this.urgent = false;
    this.hasClosed = false;
    this.readFrom(this.owner.targets()[Symbol.iterator](), then);
  }

  private readFrom(targets: Iterator<FetchTarget>, then: () => void): void {
    const beganMs = this.clock.monotonicMs();
    try {
      for (let next = targets.next(); next.done !== true; next = targets.next()) {
        const before = this.bytes;
        const pending = this.readOne(next.value) ?? (this.bytes > before ? this.othersTurn(beganMs) : null);
        if (pending !== null) return this.readLater(pending, targets, then);
      }
      then();
    } catch (error) {
      this.fail(error);
    }
  }

  private othersTurn(beganMs: number): Promise<void> | null {
    if (this.clock.monotonicMs() - beganMs < TURN_MS) return null;
    return new Promise((resolve) => this.clock.schedule(0, resolve));
  }

  private readLater(pending: Promise<void>, targets: Iterator<FetchTarget>, then: () => void): void {
    const rest: FetchTarget[] = []; // the owner's may change meanwhile
    for (let next = targets.next(); next.done !== true; next = targets.next()) {
      next.value.available = UNREAD;
      rest.push(next.value);
    }
    this.beginYield();
    pending.then(
      () => {
        if (this.state !== "ended") this.readFrom(rest.values(), then);
      },
      (error) => this.fail(error),
    );
  }

  private readOne(target: FetchTarget): Promise<void> | null {
    target.available = 0;
    const partition = this.find(target);
    if (partition instanceof KafkaError) {
      // That there is no such partition is no reason to answer the others at once: KafkaApis sorts those out first.
      if (partition.error === "INCONSISTENT_TOPIC_ID") this.urgent = true;
      this.keepError(target, partition);
      return null;
    }
    try {
      this.checkClient(partition, target);
      const divergingEpoch = divergence(partition, target);
      if (divergingEpoch !== null) {
        this.urgent = true;
        this.keep(target, partition, NO_READ, divergingEpoch);
        return null;
      }
      const maxBytes = Math.min(target.maxBytes, this.remaining);
      const { isolation } = this.limits;
      const { fetchOffset } = target;
      const read = readPartition({ partition, fetchOffset, isolation, maxBytes, atLeastOne: this.bytes === 0 });
      if (read instanceof Promise) return this.keepLate(read, target, partition);
      this.keep(target, partition, read, null);
      return null;
    } catch (error) {
      this.refuse(target, error);
      return null;
    }
  }

  private keepLate(pending: Promise<PartitionRead>, target: FetchTarget, partition: Partition): Promise<void> {
    return pending.then(
      (read) => {
        if (this.state !== "ended") this.keep(target, partition, read, null);
        else releaseChunks(read.stored.chunks);
      },
      (error) => {
        if (this.state !== "ended") this.refuse(target, partition.closedWith ?? error);
      },
    );
  }

  private find(target: FetchTarget): Partition | KafkaError {
    if (target.partition !== null) return target.partition;
    const found = this.owner.resolve(target);
    if (!(found instanceof KafkaError)) target.partition = found;
    return found;
  }

  private checkClient(partition: Partition, target: FetchTarget): void {
    partition.checkLeaderEpoch(target.currentLeaderEpoch);
    // Partition.followerReplicaOrThrow: this broker has the only replica.
    if (this.limits.isReplica)
      throw new KafkaError(target.currentLeaderEpoch < 0 ? "NOT_LEADER_OR_FOLLOWER" : "UNKNOWN_LEADER_EPOCH");
  }

  private count(target: FetchTarget, bytes: number): void {
    const before = Math.min(target.available, target.maxBytes);
    target.available += bytes;
    this.readable += Math.min(target.available, target.maxBytes) - before;
  }

  private keep(
    target: FetchTarget,
    partition: Partition,
    { stored, aborted, limitOffset, heldBackAt }: PartitionRead,
    divergingEpoch: TargetResult["divergingEpoch"],
  ): void {
    this.bytes += stored.bytes;
    this.remaining = Math.max(0, this.remaining - stored.bytes);
    this.count(target, stored.bytes);
    target.heldBackAt = heldBackAt;
    this.results.push({
      target,
      errorCode: ErrorCode.NONE,
      highWatermark: partition.highWatermark,
      lastStableOffset: partition.lastStableOffset,
      logStartOffset: partition.logStartOffset,
      divergingEpoch,
      records: stored.chunks,
      bytes: stored.bytes,
      abortedTransactions: aborted,
      nextOffset: stored.nextOffset,
      limitOffset,
    });
  }

  /** An error of the read itself: the fetch is answered at once. */
  private refuse(target: FetchTarget, error: unknown): void {
    if (!(error instanceof KafkaError)) throw error;
    this.urgent = true;
    this.keepError(target, error);
  }

  private keepError(target: FetchTarget, error: KafkaError): void {
    this.results.push({
      target,
      errorCode: error.code,
      highWatermark: -1,
      lastStableOffset: -1,
      logStartOffset: -1,
      divergingEpoch: null,
      records: NOTHING_READ.chunks,
      bytes: 0,
      abortedTransactions: null,
      nextOffset: -1,
      limitOffset: -1,
    });
  }

  /** A transaction has ended because of which a read of the target ended early: much may be readable by that alone. */
  private isReleased({ heldBackAt, partition }: FetchTarget): boolean {
    if (heldBackAt < 0 || partition === null || this.limits.isolation !== "read_committed") return false;
    return partition.lastStableOffset > heldBackAt;
  }

  /** Whether a read ended below what was readable, although its target asked for more. */
  private hasMore(): boolean {
    for (const { target, bytes, nextOffset, limitOffset } of this.results) {
      if (bytes >= target.maxBytes) continue;
      if ((bytes === 0 ? target.fetchOffset : nextOffset) < limitOffset) return true;
    }
    return false;
  }
}

/**
 * KIP-595: the client's history differs from ours below its fetch offset. Null when it does not, or when it did not say.
 * Source: Partition.readRecords. The end is no more than the high watermark, which is all that a client may hear of.
 */
function divergence(partition: Partition, target: FetchTarget): { epoch: number; endOffset: number } | null {
  const { lastFetchedEpoch, fetchOffset } = target;
  if (lastFetchedEpoch < 0) return null;
  const { epoch, endOffset } = partition.log.leaderEpochs.endOffsetFor(lastFetchedEpoch, partition.logEndOffset);
  if (epoch < 0 || endOffset < 0) throw new KafkaError("OFFSET_OUT_OF_RANGE", "no end offset for the epoch last fetched");
  if (fetchOffset < partition.logStartOffset) throw new KafkaError("OFFSET_OUT_OF_RANGE", "below the log's start");
  if (epoch >= lastFetchedEpoch && endOffset >= fetchOffset) return null;
  return { epoch, endOffset: Math.min(endOffset, partition.highWatermark) };
}
