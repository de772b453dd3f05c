/** For tests: a clock that stands still, and a partition in memory that is synced when a test says so. */
import type { Clock, Scheduled } from "../io/clock.ts";
import type { Random } from "../io/random.ts";
import type { LogRead, ReadLimits } from "../log/log.ts";
import type { TransactionMarker } from "../log/producer-state.ts";
import { NOTHING_READ } from "../log/segment-read.ts";
import { KafkaError } from "../protocol/errors.ts";
import { baseOffset, nextOffset, setBaseOffset } from "../record/batch.ts";
import { buildTransactionMarker } from "../record/control.ts";
import { markerBatch, type ValidBatch } from "../record/validate.ts";
import type { HostedPartition } from "./coordinator-host.ts";
import type { PartitionWatcher } from "./partition.ts";

export class RigClock implements Clock {
  atMs = 0;
  private tasks: { atMs: number; run: () => void }[] = [];

  nowMs(): number {
    return 1_700_000_000_000 + this.atMs;
  }

  monotonicMs(): number {
    return this.atMs;
  }

  schedule(delayMs: number, run: () => void): Scheduled {
    const task = { atMs: this.atMs + delayMs, run };
    this.tasks.push(task);
    return { cancel: () => this.tasks.splice(this.tasks.indexOf(task) >>> 0, 1) };
  }

  /** Runs what is due until then, in order. */
  advance(ms: number): void {
    const until = this.atMs + ms;
    for (;;) {
      const next = this.tasks.filter((task) => task.atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.tasks.splice(this.tasks.indexOf(next), 1);
      this.atMs = Math.max(this.atMs, next.atMs);
      next.run();
    }
    this.atMs = until;
  }
}

/** Counts up: bytes that differ every time, and are the same in every run. */
export const rigRandom = (): Random => {
  let next = 0;
  return { bytes: (count) => new Uint8Array(count).fill(++next), int: (below) => ++next % below };
};

export class RigPartition implements HostedPartition {
  closedWith: KafkaError | null = null;
  /** When set, appends fail with it. */
  fails: KafkaError | null = null;
  /** After so many appends the disk fails. */
  appendsLeft = Number.POSITIVE_INFINITY;
  /** Appended batches are durable at once. */
  syncsAtOnce = true;
  readonly batches: Buffer[] = [];
  private durableEnd = 0;
  private waiters: { offset: number; run: (error: KafkaError | null) => void }[] = [];
  private readonly watchers = new Set<PartitionWatcher>();

  readonly log = ((partition: RigPartition) => ({
    name: "__consumer_offsets-0",
    get logStartOffset(): number {
      return partition.batches.length === 0 ? 0 : baseOffset(partition.batches[0]!, 0);
    },
    get logEndOffset(): number {
      return partition.batches.length === 0 ? 0 : nextOffset(partition.batches.at(-1)!, 0);
    },
    read: (offset: number, _limits: ReadLimits): LogRead => {
      if (partition.fails !== null) throw partition.fails;
      const batch = partition.batches.find((each) => nextOffset(each, 0) > offset);
      if (batch === undefined) return NOTHING_READ;
      return { ...NOTHING_READ, chunks: [batch], bytes: batch.length, nextOffset: nextOffset(batch, 0) };
    },
  }))(this);

  appendMarker(marker: TransactionMarker): void {
    this.append(markerBatch(buildTransactionMarker(marker), marker));
  }

  append(batch: ValidBatch): void {
    if (this.fails !== null) throw this.fails;
    if (this.appendsLeft-- <= 0) throw new KafkaError("KAFKA_STORAGE_ERROR");
    setBaseOffset(batch.bytes, 0, this.log.logEndOffset);
    this.batches.push(batch.bytes);
    if (this.syncsAtOnce) this.sync();
  }

  onceDurable(offset: number, run: (error: KafkaError | null) => void): void {
    if (this.closedWith !== null) run(this.closedWith);
    else if (this.durableEnd >= offset) run(null);
    else this.waiters.push({ offset, run });
  }

  sync(): void {
    this.durableEnd = this.log.logEndOffset;
    const { waiters } = this;
    this.waiters = [];
    for (const { run } of waiters) run(null);
  }

  watch(watcher: PartitionWatcher): void {
    this.watchers.add(watcher);
  }

  unwatch(watcher: PartitionWatcher): void {
    this.watchers.delete(watcher);
  }

  close(): void {
    this.closedWith = new KafkaError("NOT_LEADER_OR_FOLLOWER");
    const { waiters } = this;
    this.waiters = [];
    for (const { run } of waiters) run(this.closedWith);
    for (const watcher of [...this.watchers]) watcher.onClosed();
  }
}
