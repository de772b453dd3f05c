/**
 * Runs a pure machine over one partition of an internal topic: loads it from the log, appends what its steps decide, applies that
 * at once, and releases its replies when the high watermark has passed the log end that the step saw. A failed append applies
 * nothing. Source of the shape: Kafka's CoordinatorRuntime.
 */

import { assert } from "../base/assert.ts";
import type { Logger } from "../base/logger.ts";
import type { Effects, Machine } from "../base/machine.ts";
import { oneBuffer } from "../bytes/chunks.ts";
import type { Clock } from "../io/clock.ts";
import type { Deadline, Deadlines } from "../io/deadlines.ts";
import type { LogRead, ReadLimits } from "../log/log.ts";
import type { TransactionMarker } from "../log/producer-state.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  type CodecName,
  isControl,
  isTransactional,
  nextOffset,
  producerEpoch,
  producerId,
} from "../record/batch.ts";
import { ControlType, controlType } from "../record/control.ts";
import { buildBatch, records } from "../record/records.ts";
import { ownBatch, type ValidBatch } from "../record/validate.ts";
import type { PartitionWatcher } from "./partition.ts";

/** Who asked: the host gives it out with a command, and finds the caller by it when the machine replies, in this step or a later one. */
interface Ticketed {
  readonly ticket: number;
}

/** A machine that can be hosted. */
export interface Coordinator<Command, Rec, Reply> extends Machine<Command, Rec, Reply> {
  /** What to add to nowMs (a monotonic clock) to get the wall clock. The host sets it before every call. */
  wallOffsetMs: number;
  /** All records of the log have been applied. */
  loaded(nowMs: number): Effects<Rec, Reply>;
  /** The effects of the last step or tick could not be appended; their replies became errors. What follows from it must have no records. */
  rejected(effects: Effects<Rec, Reply>, nowMs: number): Effects<Rec, Reply>;
  /** It will not be called again: what it shares with others is given back. */
  unload(): void;
}

/** In whose transaction records stand. */
export interface BatchProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** How the machine's records stand in the log. */
export interface RecordCodec<Rec> {
  encode(record: Rec): { key: Uint8Array; value: Uint8Array | null };
  /**
   * Null for a record that is not the machine's; `producer` in whose transaction it stands, null for none. Throws for what cannot be
   * read; the machine is then not loaded.
   */
  decode(key: Uint8Array, value: Uint8Array | null, producer: BatchProducer | null): Rec | null;
  /** In whose transaction a record stands. The records of a step are alike in that. Without it: in none. */
  producerOf?(record: Rec): BatchProducer | null;
  /** What the machine has to apply when a marker ends a producer's transaction. Without it: nothing. */
  ended?(producerId: number, result: "commit" | "abort"): Rec;
}

/** The part of a Partition that a host needs. */
export interface HostedPartition {
  readonly log: {
    readonly name: string;
    readonly logStartOffset: number;
    readonly logEndOffset: number;
    read(offset: number, limits: ReadLimits): LogRead | Promise<LogRead>;
  };
  readonly closedWith: KafkaError | null;
  append(batch: ValidBatch): unknown;
  appendMarker(marker: TransactionMarker, transactionVersion: number): unknown;
  onceDurable(logEndOffset: number, run: (error: KafkaError | null) => void): void;
  watch(watcher: PartitionWatcher): void;
  unwatch(watcher: PartitionWatcher): void;
}

export interface HostOptions<Command, Rec, Reply> {
  readonly partition: HostedPartition;
  readonly codec: RecordCodec<Rec>;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly logger: Logger;
  /** A fresh machine, before any record. */
  create(): Coordinator<Command, Rec, Reply>;
  /** The largest batch that may be appended. */
  maxBatchBytes(): number;
  /** Commands that may wait while the machine loads; more are answered with COORDINATOR_LOAD_IN_PROGRESS. */
  readonly maxQueued: number;
  /** A reply that is not durable after this time becomes an error; what it told of may still happen. */
  readonly replyTimeoutMs: number;
  /** How batches are written; what is in the log may be in any codec. Default: none. */
  readonly compression?: CodecName;
  /** Gets replies that nobody asked for (ticket 0), when what the machine has seen is durable. Without it there are none. */
  unasked?(reply: Reply): void;
}

/** A command as a caller writes it: the host adds the ticket. */
export type Unaddressed<Command> = Command extends Ticketed ? Omit<Command, "ticket"> : never;

/** Gets the reply, or why there is none. Called once. */
export type Answer<Reply> = (outcome: Reply | KafkaError) => void;

const NEVER = (): boolean => false;
/** The ticket of replies that nobody asked for. */
const UNASKED = 0;
/** The most that a record takes beside its key and value. */
const RECORD_OVERHEAD_BYTES = 32;
/** How much of the log is read at a time. */
const LOAD_BYTES = 1024 * 1024;
/** Our batches are not compressed; imported ones may be. */
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024;
/** After a load that failed, for how long callers are sent away without another try. */
const RELOAD_AFTER_MS = 1000;

export class CoordinatorHost<Command extends Ticketed, Rec, Reply extends Ticketed> implements PartitionWatcher {
  readonly partition: HostedPartition;
  private readonly o: HostOptions<Command, Rec, Reply>;
  /** Null until it is loaded. */
  private machine: Coordinator<Command, Rec, Reply> | null = null;
  private loading = false;
  private loadEnds: (() => void)[] = [];
  private loadAgainAtMs = Number.NEGATIVE_INFINITY;
  /** What waits for the machine to be loaded; `fail` for what has no ticket. */
  private queue: { run(): void; fail: ((error: KafkaError) => void) | null }[] = [];
  private readonly callers = new Map<number, Answer<Reply>>();
  private tickets = 0;
  private alarm: Deadline | null = null;
  private closed = false;

  constructor(options: HostOptions<Command, Rec, Reply>) {
    this.o = options;
    this.partition = options.partition;
    this.partition.watch(this);
  }

  /** Callers that wait for an answer. */
  get waiting(): number {
    return this.callers.size;
  }

  /**
   * Takes a command; the answer comes now or later. While the machine loads, commands wait in order; one that `isStale` by then is not
   * carried out.
   */
  submit(command: Unaddressed<Command>, answer: Answer<Reply>, isStale: () => boolean = NEVER): void {
    const refusal = this.refusal();
    if (refusal !== null) {
      answer(refusal);
      return;
    }
    const ticket = ++this.tickets;
    this.callers.set(ticket, answer);
    const addressed = { ...command, ticket } as unknown as Command;
    const run = (): void => (isStale() ? this.answer(ticket, new KafkaError("NETWORK_EXCEPTION")) : this.step(addressed));
    if (this.machine === null) this.queue.push({ run, fail: null });
    else this.step(addressed);
  }

  /**
   * Writes the marker that ends a transaction in this partition, and has the machine apply what that means. The answer comes when it is
   * durable; an error that callers of a log know, also COORDINATOR_LOAD_IN_PROGRESS and NOT_COORDINATOR.
   */
  endTransaction(marker: TransactionMarker, transactionVersion: number, answer: (error: KafkaError | null) => void): void {
    const refusal = this.refusal();
    if (refusal !== null) return answer(refusal);
    const run = () => answerOnce(answer, (done) => this.writeMarker(marker, transactionVersion, done));
    if (this.machine === null) this.queue.push({ run, fail: answer });
    else run();
  }

  private writeMarker(marker: TransactionMarker, transactionVersion: number, answer: (error: KafkaError | null) => void): void {
    const { machine, partition } = this;
    if (machine === null) return answer(notCoordinator("this broker does not host it any more"));
    partition.appendMarker(marker, transactionVersion);
    const record = this.o.codec.ended?.(marker.producerId, marker.type);
    if (record !== undefined) machine.apply(record);
    this.arm(machine);
    partition.onceDurable(partition.log.logEndOffset, answer);
  }

  /** Looks at the machine as it is now, in memory only; null while there is none. */
  peek<T>(look: (machine: Coordinator<Command, Rec, Reply>) => T): T | null {
    return this.machine === null ? null : look(this.machine);
  }

  /** Why no command is taken now, null if one is. */
  private refusal(): KafkaError | null {
    if (this.closed || this.partition.closedWith !== null) return notCoordinator("this broker does not host it any more");
    if (this.machine !== null) return null;
    if (!this.beginLoad()) return notCoordinator("it could not be loaded");
    return this.queue.length < this.o.maxQueued ? null : new KafkaError("COORDINATOR_LOAD_IN_PROGRESS");
  }

  /** Begins to load the machine if that has not been done, so that the first command need not wait for it. */
  prepare(): void {
    if (!this.closed && this.machine === null) this.beginLoad();
  }

  /** Resolves when no load is under way: the machine is there, or could not be loaded, or the host is closed. */
  async settled(): Promise<void> {
    if (this.loading) await new Promise<void>((resolve) => this.loadEnds.push(resolve));
  }

  /** Answers everybody who waits with NOT_COORDINATOR. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.alarm?.cancel();
    this.partition.unwatch(this);
    this.machine?.unload();
    this.machine = null;
    this.failAll(notCoordinator("this broker does not host it any more"));
  }

  onReadable(): void {}

  onClosed(): void {
    this.close();
  }

  private step(command: Command): void {
    const { machine } = this;
    if (machine === null) return; // closed meanwhile: the caller has been answered
    this.take(machine, machine.step(command, this.now(machine)));
    this.arm(machine);
  }

  private tick(): void {
    const { machine } = this;
    this.alarm = null;
    if (machine === null) return;
    while (machine.wakeAtMs <= this.o.clock.monotonicMs()) this.take(machine, machine.tick(this.now(machine)));
    this.arm(machine);
  }

  private now(machine: Coordinator<Command, Rec, Reply>): number {
    const nowMs = this.o.clock.monotonicMs();
    machine.wallOffsetMs = this.o.clock.nowMs() - nowMs;
    return nowMs;
  }

  /** Appends, applies, and lets the replies wait for the disk. */
  private take(machine: Coordinator<Command, Rec, Reply>, effects: Effects<Rec, Reply>): void {
    const failure = this.append(machine, effects);
    if (failure === null) {
      this.release(effects.replies);
      return;
    }
    for (const { ticket } of effects.replies) this.answer(ticket, failure);
    const after = machine.rejected(effects, this.now(machine));
    assert(after.records.length === 0, "a coordinator answers a failed append with records");
    this.release(after.replies);
  }

  /** Appends and applies. Null, or the error to answer with; then nothing has been done, or a part of what can be split. */
  private append(machine: Coordinator<Command, Rec, Reply>, { records, canBeSplit }: Effects<Rec, Reply>): KafkaError | null {
    const limit = this.o.maxBatchBytes();
    let from = 0;
    while (from < records.length) {
      const next = canBeSplit ? this.batchEnd(records, from, limit) : records.length;
      const batch = records.slice(from, next);
      const failure = this.appendBatch(batch, limit);
      if (failure !== null) return failure;
      for (const record of batch) machine.apply(record);
      from = next;
    }
    return null;
  }

  /** The first record after `from` that goes into another batch: after at least one. */
  private batchEnd(records: readonly Rec[], from: number, limit: number): number {
    let bytes = BATCH_HEADER_BYTES;
    for (let i = from; i < records.length; i++) {
      const { key, value } = this.o.codec.encode(records[i]!);
      bytes += RECORD_OVERHEAD_BYTES + key.length + (value?.length ?? 0);
      if (bytes > limit && i > from) return i;
    }
    return records.length;
  }

  /** The error to answer with if it cannot be done; then nothing has been appended. */
  private appendBatch(records: readonly Rec[], limit: number): KafkaError | null {
    try {
      const timestampMs = this.o.clock.nowMs();
      const producer = this.o.codec.producerOf?.(records[0]!) ?? null;
      const { compression = "none" } = this.o;
      const encoded = records.map((record) => ({ ...this.o.codec.encode(record), timestampMs }));
      const batch = buildBatch({ records: encoded, ...producer, isTransactional: producer !== null, compression });
      if (batch.length > limit) throw new KafkaError("RECORD_LIST_TOO_LARGE", `${batch.length} bytes, ${limit} are allowed`);
      this.partition.append({ ...ownBatch(batch, timestampMs), ...producer, isTransactional: producer !== null });
      return null;
    } catch (error) {
      // What the disk refuses the log has told of, once for many requests.
      const isTold = error instanceof KafkaError && ["INVALID_PRODUCER_EPOCH", "KAFKA_STORAGE_ERROR"].includes(error.error);
      if (!isTold)
        this.o.logger.error("a coordinator could not write", { partition: this.partition.log.name, error: String(error) });
      if (error instanceof KafkaError) return coordinatorError(error);
      if (error instanceof RangeError) return new KafkaError("UNKNOWN_SERVER_ERROR"); // something that no record can hold
      throw error;
    }
  }

  /** Answers once what the machine has seen so far is durable. */
  private release(all: readonly Reply[]): void {
    const replies = this.o.unasked === undefined ? all : all.filter(({ ticket }) => ticket !== UNASKED);
    if (replies.length < all.length) for (const reply of all) if (reply.ticket === UNASKED) this.tell(reply);
    if (replies.length === 0) return;
    let timeout: Deadline | null = null;
    let isOver = false;
    const finish = (error: KafkaError | null): void => {
      if (isOver) return;
      isOver = true;
      timeout?.cancel();
      for (const reply of replies) this.answer(reply.ticket, error === null ? reply : coordinatorError(error));
    };
    this.partition.onceDurable(this.partition.log.logEndOffset, finish);
    // `isOver` may be true by now.
    if (!isOver) timeout = this.o.deadlines.in(this.o.replyTimeoutMs, () => finish(new KafkaError("REQUEST_TIMED_OUT")));
  }

  private tell(reply: Reply): void {
    this.partition.onceDurable(this.partition.log.logEndOffset, (error) => {
      if (error === null && !this.closed) this.o.unasked?.(reply);
    });
  }

  private answer(ticket: number, outcome: Reply | KafkaError): void {
    const answer = this.callers.get(ticket);
    if (answer === undefined) return; // the host was closed: it has been answered
    this.callers.delete(ticket);
    answer(outcome);
  }

  private failAll(error: KafkaError): void {
    const answers = [...this.callers.values()];
    const { queue } = this;
    this.callers.clear();
    this.queue = [];
    for (const answer of answers) answer(error);
    for (const { fail } of queue) fail?.(error);
  }

  private arm(machine: Coordinator<Command, Rec, Reply>): void {
    const { wakeAtMs } = machine;
    if (wakeAtMs === Number.POSITIVE_INFINITY || (this.alarm !== null && this.alarm.atMs <= wakeAtMs)) return;
    this.alarm?.cancel();
    this.alarm = this.o.deadlines.in(Math.max(wakeAtMs - this.o.clock.monotonicMs(), 0), () => this.tick());
  }

  /** False if it failed a moment ago. An empty log is loaded on return. */
  private beginLoad(): boolean {
    if (this.loading) return true;
    if (this.o.clock.monotonicMs() < this.loadAgainAtMs) return false;
    const { log } = this.partition;
    if (log.logEndOffset === log.logStartOffset) {
      this.begin(this.o.create());
      return true;
    }
    this.loading = true;
    const machine = this.o.create();
    this.load(machine)
      .then(
        () => this.begin(machine),
        (error: unknown) => this.loadFailed(machine, error),
      )
      .finally(() => {
        for (const ended of this.loadEnds.splice(0)) ended();
      });
    return true;
  }

  private async load(machine: Coordinator<Command, Rec, Reply>): Promise<void> {
    const { log } = this.partition;
    const startedMs = this.o.clock.monotonicMs();
    let offset = log.logStartOffset;
    let applied = 0;
    while (offset < log.logEndOffset) {
      const read = await log.read(offset, { limitOffset: log.logEndOffset, maxBytes: LOAD_BYTES, atLeastOne: true });
      if (read.bytes === 0)
        throw new KafkaError("KAFKA_STORAGE_ERROR", `nothing to read at offset ${offset} of ${log.logEndOffset}`);
      const bytes = oneBuffer(read.chunks);
      for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) {
        offset = nextOffset(bytes, at);
        if (isControl(bytes, at)) this.applyMarker(machine, bytes, at);
        else applied += this.applyBatch(machine, bytes, at);
      }
      await new Promise<void>((resolve) => this.o.clock.schedule(0, resolve)); // others have their turn
    }
    const tookMs = Math.round(this.o.clock.monotonicMs() - startedMs);
    this.o.logger.info("coordinator loaded", { partition: log.name, records: applied, endOffset: offset, tookMs });
  }

  private applyBatch(machine: Coordinator<Command, Rec, Reply>, bytes: Buffer, at: number): number {
    let applied = 0;
    const producer = isTransactional(bytes, at)
      ? { producerId: producerId(bytes, at), producerEpoch: producerEpoch(bytes, at) }
      : null;
    for (const { key, value } of records(bytes, at, { maxBytes: MAX_DECOMPRESSED_BYTES })) {
      const record = key === null ? null : this.o.codec.decode(key, value, producer);
      if (record === null) continue;
      machine.apply(record);
      applied++;
    }
    return applied;
  }

  private applyMarker(machine: Coordinator<Command, Rec, Reply>, bytes: Buffer, at: number): void {
    for (const { key } of records(bytes, at, { maxBytes: MAX_DECOMPRESSED_BYTES })) {
      const type = controlType(key);
      if (type !== ControlType.abort && type !== ControlType.commit) return;
      const record = this.o.codec.ended?.(producerId(bytes, at), type === ControlType.commit ? "commit" : "abort");
      if (record !== undefined) machine.apply(record);
      return;
    }
  }

  private begin(machine: Coordinator<Command, Rec, Reply>): void {
    this.loading = false;
    if (this.closed) {
      machine.unload();
      return;
    }
    this.machine = machine;
    this.take(machine, machine.loaded(this.now(machine)));
    const { queue } = this;
    this.queue = [];
    for (const { run } of queue) run();
    this.arm(machine);
  }

  private loadFailed(machine: Coordinator<Command, Rec, Reply>, error: unknown): void {
    this.loading = false;
    machine.unload();
    this.loadAgainAtMs = this.o.clock.monotonicMs() + RELOAD_AFTER_MS;
    this.o.logger.error("a coordinator could not be loaded", { partition: this.partition.log.name, error: String(error) });
    this.failAll(notCoordinator("it could not be loaded"));
  }
}

/** Runs what may throw a KafkaError or answer. */
function answerOnce(answer: (error: KafkaError | null) => void, run: (answer: (error: KafkaError | null) => void) => void): void {
  try {
    run(answer);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    answer(error);
  }
}

const notCoordinator = (why: string): KafkaError => new KafkaError("NOT_COORDINATOR", why);

/** What a caller of a coordinator is told of an error of its partition. Source: CoordinatorOperationExceptionHelper. */
export function coordinatorError(error: KafkaError): KafkaError {
  const name = TOLD_AS[error.error];
  return name === undefined ? error : new KafkaError(name, error.message);
}

const TOLD_AS: Partial<Record<ErrorName, ErrorName>> = {
  NETWORK_EXCEPTION: "COORDINATOR_LOAD_IN_PROGRESS",
  UNKNOWN_TOPIC_OR_PARTITION: "COORDINATOR_NOT_AVAILABLE",
  NOT_ENOUGH_REPLICAS: "COORDINATOR_NOT_AVAILABLE",
  REQUEST_TIMED_OUT: "COORDINATOR_NOT_AVAILABLE",
  NOT_LEADER_OR_FOLLOWER: "NOT_COORDINATOR",
  KAFKA_STORAGE_ERROR: "NOT_COORDINATOR",
  MESSAGE_TOO_LARGE: "UNKNOWN_SERVER_ERROR",
  RECORD_LIST_TOO_LARGE: "UNKNOWN_SERVER_ERROR",
  INVALID_FETCH_SIZE: "UNKNOWN_SERVER_ERROR",
};
