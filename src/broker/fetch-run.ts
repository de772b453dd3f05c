/**
 * One fetch from first read to answer: it reads every target, waits on the partitions until enough is readable if it must, and
 * reads once more. Source of the rules: Kafka's ReplicaManager.fetchMessages and DelayedFetch.
 */
import type { Deadline, Deadlines } from "../io/deadlines.ts";
import type { LogRead } from "../log/log.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { batchBytes, lastOffset } from "../record/batch.ts";
import type { Isolation, Partition, PartitionWatcher } from "./partition.ts";

/** How long a parked fetch sleeps before it looks whether its connection is still there. */
const ABANDONED_CHECK_MS = 30_000;

/** Who is told that a target may have more to read. */
export interface TargetListener {
  moved(target: FetchTarget, bytes: number): void;
}

/** One partition of a fetch: what the client asks for and, within a session, what it was last told. */
export class FetchTarget implements PartitionWatcher {
  /** "" when the client speaks topic ids. */
  readonly topic: string;
  readonly topicId: string;
  readonly index: number;
  fetchOffset = 0;
  maxBytes = 0;
  currentLeaderEpoch = -1;
  lastFetchedEpoch = -1;
  toldHighWatermark = -1;
  toldLogStartOffset = -1;
  /** Null until it is found, and again after it closed. */
  partition: Partition | null = null;
  /** Readable bytes seen by the fetch that is parked on it, capped by maxBytes. */
  available = 0;
  private readonly listener: TargetListener;

  constructor(topic: string, topicId: string, index: number, listener: TargetListener) {
    this.topic = topic;
    this.topicId = topicId;
    this.index = index;
    this.listener = listener;
  }

  onReadable(bytes: number): void {
    this.listener.moved(this, bytes);
  }

  onClosed(): void {
    this.partition = null;
    this.listener.moved(this, Number.POSITIVE_INFINITY);
  }
}

/** What one read of one target gave. `records` are views that stay valid until the answer is written. */
export interface TargetResult {
  readonly target: FetchTarget;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  readonly divergingEpoch: { epoch: number; endOffset: number } | null;
  readonly records: Uint8Array[];
  readonly bytes: number;
}

export interface FetchLimits {
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly isolation: Isolation;
}

export interface FetchRunOptions {
  readonly limits: FetchLimits;
  readonly deadlines: Deadlines;
  /** The targets to read now, in the order they are served. */
  targets(): Iterable<FetchTarget>;
  /** Finds the target's partition, or the error to answer. */
  resolve(target: FetchTarget): Partition | KafkaError;
  /** Called when the fetch begins and ends to wait. */
  park(run: FetchRun | null): void;
  /** True when nobody waits for the answer any more. */
  abandoned(): boolean;
  done(results: TargetResult[]): void;
}

const NO_RECORDS: Uint8Array[] = [];

export class FetchRun {
  private readonly o: FetchRunOptions;
  private results: TargetResult[] = [];
  private bytes = 0;
  private remaining = 0;
  /** Set when the answer must not wait: an error, or a diverging epoch. */
  private urgent = false;
  private parked = false;
  private deadline: Deadline | null = null;
  private endsAtMs = 0;

  constructor(o: FetchRunOptions) {
    this.o = o;
  }

  start(nowMs: number): void {
    this.endsAtMs = nowMs + this.o.limits.maxWaitMs;
    this.readAll(() => {
      const { minBytes, maxWaitMs } = this.o.limits;
      if (this.urgent || this.bytes >= minBytes || maxWaitMs <= 0 || this.hasMore()) this.finish();
      else this.wait(nowMs);
    });
  }

  /** A target of this fetch has `bytes` more to read. */
  moved(target: FetchTarget, bytes: number): void {
    if (!this.parked) return;
    const before = Math.min(target.available, target.maxBytes);
    target.available += bytes;
    this.bytes += Math.min(target.available, target.maxBytes) - before;
    if (bytes === Number.POSITIVE_INFINITY || this.bytes >= this.o.limits.minBytes) this.wake();
  }

  /** Reads again and answers: enough is readable, the time is over, or the broker stops. */
  wake(): void {
    if (!this.parked) return;
    this.parked = false;
    this.deadline?.cancel();
    this.o.park(null);
    if (this.o.abandoned()) this.o.done([]);
    else this.readAll(() => this.finish());
  }

  /** Whether a read ended early, at the end of a segment or of a block: then it is no use to wait for new records (DelayedFetch, case F). */
  private hasMore(): boolean {
    return this.results.some(({ target, records, bytes }) => {
      if (bytes === 0 || bytes >= target.maxBytes || target.partition === null) return false;
      return nextOffset(records[records.length - 1]!) < target.partition.readableEnd(this.o.limits.isolation);
    });
  }

  private wait(nowMs: number): void {
    for (const result of this.results) result.target.available = result.bytes;
    this.parked = true;
    this.o.park(this);
    this.sleep(nowMs);
  }

  private sleep(nowMs: number): void {
    const leftMs = this.endsAtMs - nowMs;
    this.deadline = this.o.deadlines.in(Math.min(leftMs, ABANDONED_CHECK_MS), () => {
      if (leftMs <= ABANDONED_CHECK_MS || this.o.abandoned()) this.wake();
      else this.sleep(nowMs + ABANDONED_CHECK_MS);
    });
  }

  private finish(): void {
    this.o.done(this.results);
  }

  /** Reads every target in order; synchronous as long as the log answers at once. */
  private readAll(then: () => void): void {
    this.results = [];
    this.bytes = 0;
    this.urgent = false;
    this.remaining = this.o.limits.maxBytes;
    const targets = [...this.o.targets()];
    const from = (start: number): void => {
      for (let i = start; i < targets.length; i++) {
        const pending = this.readOne(targets[i]!);
        if (pending !== null) {
          pending.then(() => from(i + 1));
          return;
        }
      }
      then();
    };
    from(0);
  }

  private readOne(target: FetchTarget): Promise<void> | null {
    try {
      const partition = this.find(target);
      partition.checkLeaderEpoch(target.currentLeaderEpoch);
      const diverging = divergence(partition, target);
      if (diverging !== null) {
        this.urgent = true;
        this.keep(target, partition, diverging, { chunks: NO_RECORDS, bytes: 0 });
        return null;
      }
      const maxBytes = Math.min(target.maxBytes, this.remaining);
      const read = partition.read(target.fetchOffset, this.o.limits.isolation, maxBytes, this.bytes === 0);
      if (!(read instanceof Promise)) {
        this.keep(target, partition, null, read);
        return null;
      }
      return read.then(
        (late) => this.keep(target, partition, null, late),
        (error) => this.failed(target, error),
      );
    } catch (error) {
      this.failed(target, error);
      return null;
    }
  }

  private find(target: FetchTarget): Partition {
    if (target.partition !== null) return target.partition;
    const found = this.o.resolve(target);
    if (found instanceof KafkaError) throw found;
    target.partition = found;
    return found;
  }

  private keep(target: FetchTarget, partition: Partition, divergingEpoch: TargetResult["divergingEpoch"], read: LogRead): void {
    this.bytes += read.bytes;
    this.remaining = Math.max(0, this.remaining - read.bytes);
    this.results.push({
      target,
      errorCode: ErrorCode.NONE,
      highWatermark: partition.highWatermark,
      lastStableOffset: partition.lastStableOffset,
      logStartOffset: partition.logStartOffset,
      divergingEpoch,
      records: read.chunks,
      bytes: read.bytes,
    });
  }

  private failed(target: FetchTarget, error: unknown): void {
    if (!(error instanceof KafkaError)) throw error;
    this.urgent = true;
    this.results.push({
      target,
      errorCode: error.code,
      highWatermark: -1,
      lastStableOffset: -1,
      logStartOffset: -1,
      divergingEpoch: null,
      records: NO_RECORDS,
      bytes: 0,
    });
  }
}

/** The offset behind the last of some whole batches. */
function nextOffset(batches: Uint8Array): number {
  const b = Buffer.from(batches.buffer, batches.byteOffset, batches.byteLength);
  let at = 0;
  while (at + batchBytes(b, at) < b.length) at += batchBytes(b, at);
  return lastOffset(b, at) + 1;
}

/** KIP-595: the client's history differs from ours below its fetch offset. Null when it does not, or when it did not say. */
function divergence(partition: Partition, target: FetchTarget): { epoch: number; endOffset: number } | null {
  if (target.lastFetchedEpoch < 0) return null;
  const known = partition.log.leaderEpochs.endOffsetFor(target.lastFetchedEpoch, partition.logEndOffset);
  if (known.epoch < 0 || known.endOffset < 0)
    throw new KafkaError("OFFSET_OUT_OF_RANGE", "no end offset for the epoch last fetched");
  const agrees = known.epoch >= target.lastFetchedEpoch && known.endOffset >= target.fetchOffset;
  return agrees ? null : known;
}
