/**
 * A keyed, compacted log on a simulated disk, next to a model of what was appended: every record, by offset. Compaction may take records
 * away, and nothing else: what a reader makes of the log, the last value of each key, is at any time what the model says.
 */
import { expect } from "bun:test";
import { silentLogger } from "../../src/base/logger.ts";
import type { CleanLimits } from "../../src/log/clean-job.ts";
import type { CompactionConfig } from "../../src/log/clean-plan.ts";
import { LogCleaner } from "../../src/log/cleaner.ts";
import { cleanerInProcess } from "../../src/log/cleaner-in-process.ts";
import type { Log, LogConfig } from "../../src/log/log.ts";
import {
  batchBytes,
  crcIsValid,
  isControl,
  isTransactional,
  lastOffset,
  nextOffset,
  producerId,
} from "../../src/record/batch.ts";
import { buildBatch } from "../../src/record/build.ts";
import { records } from "../../src/record/records.ts";
import { isKafkaError, LogWorld, type ModelLog, validBatch } from "./log-world.ts";

export interface KeyedRecord {
  readonly offset: number;
  readonly key: string;
  readonly value: string | null;
  readonly timestampMs: number;
}

/** What a transaction of the model has come to. */
interface Transaction {
  readonly producerId: number;
  readonly offsets: Set<number>;
  outcome: "open" | "commit" | "abort";
  markerOffset: number;
}

export interface CompactionWorldOptions {
  /** Whether there are producers with transactions too. */
  readonly transactions?: boolean;
  readonly seed: number;
  readonly durability?: "sync" | "page-cache";
  readonly hasSyncFileSystem?: boolean;
  readonly compaction?: Partial<CompactionConfig>;
  readonly logConfig?: Partial<LogConfig>;
  readonly retentionCheckIntervalMs?: number;
  readonly limits?: Partial<CleanLimits>;
  readonly keys?: number;
}

const COMPACTION: CompactionConfig = {
  deleteRetentionMs: 50,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 2 ** 63,
  minCleanableDirtyRatio: 0,
};

const LIMITS: CleanLimits = {
  dedupeBufferBytes: 24 * 64,
  loadFactor: 0.9,
  ioBufferBytes: 2000,
  bytesPerSecond: 1e6,
  maxDecompressedBytes: 1e6,
};

const TOMBSTONE_CHANCE = 0.2;
export const PRODUCERS = 3;
/** Ids of producers with transactions. */
const TRANSACTIONAL = [10, 11];

export class CompactionWorld {
  readonly world: LogWorld;
  readonly appended: KeyedRecord[] = [];
  model!: ModelLog;
  cleaner: LogCleaner | null = null;
  protected transactions: Transaction[] = [];
  /** Offsets of all that was appended, markers too. */
  private end = 0;
  protected readonly o: CompactionWorldOptions;
  /** Next sequence of each producer, and what a crash might make of it. */
  private readonly sequences = new Map<number, number>();

  constructor(o: CompactionWorldOptions) {
    this.o = o;
    this.world = new LogWorld({
      seed: o.seed,
      durability: o.durability ?? "sync",
      hasSyncFileSystem: o.hasSyncFileSystem ?? false,
      config: {
        journalBytes: [0, 20, 60][o.seed % 3]! * 1024,
        journalAbove: o.seed % 2,
        ...(o.retentionCheckIntervalMs === undefined ? {} : { retentionCheckIntervalMs: o.retentionCheckIntervalMs }),
      },
      logConfig: { segmentBytes: 1500, compaction: { ...COMPACTION, ...o.compaction }, ...o.logConfig },
    });
  }

  get log(): Log {
    return this.model.log!;
  }

  get endOffset(): number {
    return this.end;
  }

  /** Up to where readers of committed data may read. */
  get lastStableOffset(): number {
    const { durableEndOffset, firstOpenTransactionOffset } = this.log;
    return Math.min(durableEndOffset, firstOpenTransactionOffset ?? durableEndOffset);
  }

  async begin(): Promise<void> {
    await this.world.start();
    this.model = await this.world.create("compacted");
    this.startCleaner();
  }

  /** Starts again after a crash or a stop, and takes over what was left. */
  async restart(how: "clean" | "kill" | "power"): Promise<void> {
    await this.world.start();
    this.takeOver(how);
    this.startCleaner();
  }

  takeOver(how: "clean" | "kill" | "power"): void {
    const { log, model } = this;
    expect(log.offline).toBeNull();
    if (how !== "power") expect(log.logEndOffset).toBe(this.endOffset);
    expect(log.logEndOffset).toBeGreaterThanOrEqual(this.world.durability === "sync" ? model.durableEnd : 0);
    expect(log.logEndOffset).toBeLessThanOrEqual(this.endOffset);
    this.end = log.logEndOffset;
    while ((this.appended.at(-1)?.offset ?? -1) >= this.end) this.appended.pop();
    for (const transaction of this.transactions) {
      for (const offset of transaction.offsets) if (offset >= this.end) transaction.offsets.delete(offset);
      if (transaction.markerOffset >= this.end) Object.assign(transaction, { outcome: "open", markerOffset: -1 });
    }
    this.transactions = this.transactions.filter(({ offsets }) => offsets.size > 0);
    model.durableEnd = log.durableEndOffset;
    this.world.seeStart(model);
    this.checkProducers(how);
  }

  async stop(): Promise<void> {
    await this.world.clock.run(this.cleaner!.close());
    this.cleaner = null;
    await this.world.stop();
  }

  crash(how: "kill" | "power"): void {
    this.cleaner = null;
    this.world.crash(how);
  }

  startCleaner(): void {
    const { clock, random, disk, directory } = this.world;
    this.cleaner = new LogCleaner({
      logs: () => directory!.openLogs(),
      clock,
      random,
      logger: silentLogger,
      runner: cleanerInProcess(disk, clock),
      settings: () => ({ isEnabled: true, limits: { ...LIMITS, ...this.o.limits }, backoffMs: 10 }),
    });
    this.cleaner.start();
  }

  /** Appends a batch of random keys. */
  append(o: { records?: number; codec?: "none" | "gzip" | "zstd" } = {}): void {
    const { random, clock } = this.world;
    const count = o.records ?? 1 + random.int(5);
    const input = Array.from({ length: count }, () => ({
      key: `k${random.int(this.o.keys ?? 12)}`,
      value: random.chance(TOMBSTONE_CHANCE) ? null : `${this.appended.length}-${"v".repeat(random.int(60))}`,
      timestampMs: clock.nowMs() + random.int(20) - 10,
    }));
    if (this.o.transactions === true && random.chance(0.3)) return void this.endTransaction();
    const isTransactional = this.o.transactions === true && random.chance(0.5);
    const producer = isTransactional ? random.pick(TRANSACTIONAL) : random.int(PRODUCERS + 1) - 1;
    const sequence = this.sequences.get(producer) ?? 0;
    const bytes = buildBatch({
      records: input.map(({ key, value, timestampMs }) => ({
        key: Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
        timestampMs,
        headers: random.chance(0.1) ? [{ key: "h", value: Buffer.from("x") }] : [],
      })),
      compression: o.codec ?? random.pick(["none", "none", "gzip", "zstd"] as const),
      ...(producer < 0 ? {} : { producerId: producer, producerEpoch: 0, baseSequence: sequence, isTransactional }),
    });
    const { baseOffset } = this.log.append({ ...validBatch(bytes), isTransactional }, this.world.epoch);
    expect(baseOffset).toBe(this.endOffset);
    this.end += count;
    if (isTransactional) for (let i = 0; i < count; i++) this.openOf(producer).offsets.add(baseOffset + i);
    for (const [i, record] of input.entries()) this.appended.push({ offset: baseOffset + i, ...record });
    if (producer >= 0) this.sequences.set(producer, sequence + count);
  }

  private openOf(producerId: number): Transaction {
    let open = this.transactions.find((transaction) => transaction.producerId === producerId && transaction.outcome === "open");
    if (open === undefined) {
      open = { producerId, offsets: new Set(), outcome: "open", markerOffset: -1 };
      this.transactions.push(open);
    }
    return open;
  }

  /** Commits or aborts a transaction; false if none is open. */
  endTransaction(): boolean {
    const { random, clock } = this.world;
    const open = this.transactions.find(({ outcome }) => outcome === "open");
    if (open === undefined) return false;
    const type = random.pick(["commit", "abort"] as const);
    const marker = { type, producerId: open.producerId, producerEpoch: 0, coordinatorEpoch: 0, timestampMs: clock.nowMs() };
    const { baseOffset } = this.log.appendMarker(marker, 1, this.world.epoch);
    this.end++;
    Object.assign(open, { outcome: type, markerOffset: baseOffset });
    return true;
  }

  /** Everything that can be seen of the log. */
  async check(): Promise<void> {
    this.world.seeStart(this.model);
    const { swaps } = this.log;
    const { start, seen } = await this.readFromStart();
    this.checkRecords(seen, start);
    try {
      await this.checkPlaces(seen);
      await this.checkTimes(seen);
      await this.checkCommitted();
    } catch (error) {
      if (swaps === this.log.swaps && start === this.log.logStartOffset) throw error;
      await this.check(); // it was compacted, or shortened, meanwhile
    }
  }

  /** Each record of a log that begins at `start` was appended so. */
  checkRecords(seen: readonly KeyedRecord[], start: number): void {
    const byOffset = new Map(this.appended.map((record) => [record.offset, record]));
    let previous = -1;
    for (const record of seen) {
      expect(record.offset).toBeGreaterThan(previous);
      previous = record.offset;
      expect(record).toEqual(byOffset.get(record.offset)!);
    }
    if (this.o.transactions !== true) expectState(seen, from(start, this.appended));
  }

  /** What a reader of committed data ends with is what the model ends with; of what was aborted it sees nothing. */
  private async checkCommitted(): Promise<void> {
    const end = this.lastStableOffset;
    const { logStartOffset: start } = this.log;
    const aborted = new Set(
      this.transactions.filter(({ outcome }) => outcome === "abort").flatMap(({ offsets }) => [...offsets]),
    );
    const seen = await this.readCommitted(end);
    expect(seen.filter(({ offset }) => aborted.has(offset))).toEqual([]);
    expectState(
      seen,
      from(start, this.appended).filter(({ offset }) => offset < end && !aborted.has(offset)),
    );
  }

  /** As a consumer does it: by the aborted transactions that a fetch answer names. */
  async readCommitted(end: number): Promise<KeyedRecord[]> {
    const { log } = this;
    const { logStartOffset: start } = log;
    const found = await this.world.clock.run(Promise.resolve(log.abortedTransactions(start, end)));
    const aborted = [...found].sort((a, b) => a.firstOffset - b.firstOffset);
    const ongoing = new Set<number>();
    const seen: KeyedRecord[] = [];
    for (let offset = start; offset < end; ) {
      const batches = await this.read(offset, 1000);
      if (batches.length === 0) break;
      for (const b of batches) {
        offset = nextOffset(b, 0);
        while (aborted.length > 0 && aborted[0]!.firstOffset <= lastOffset(b, 0)) ongoing.add(aborted.shift()!.producerId);
        if (isControl(b, 0)) ongoing.delete(producerId(b, 0));
        else if (!(isTransactional(b, 0) && ongoing.has(producerId(b, 0)))) seen.push(...recordsIn(b));
      }
    }
    return from(start, seen).filter((record) => record.offset < end);
  }

  /** Below where the log is said to be clean, no key is there twice, and nothing that was aborted. */
  async checkClean(): Promise<void> {
    const { firstDirtyOffset } = this.log.compaction;
    const clean = (await this.readAll()).filter(({ offset }) => offset < firstDirtyOffset);
    const aborted = this.transactions.filter(({ outcome }) => outcome === "abort");
    for (const { offset, key } of clean) {
      expect(aborted.find(({ offsets }) => offsets.has(offset))).toBeUndefined();
      expect([key, clean.filter((other) => other.key === key).length]).toEqual([key, 1]);
    }
  }

  /** A fetch at any offset begins with the batch that holds it, or with the next one. */
  private async checkPlaces(seen: readonly KeyedRecord[]): Promise<void> {
    for (let i = 0; i < 10; i++) {
      const { logStartOffset } = this.log;
      const wanted = logStartOffset + this.world.random.int(this.endOffset - logStartOffset + 1);
      const some = await this.read(wanted, 1);
      const found = some.flatMap(recordsIn).find(({ offset }) => offset >= wanted);
      if (found === undefined) continue; // a batch without records
      expect(found.offset).toBe(from(wanted, seen)[0]!.offset);
    }
  }

  private async checkTimes(seen: readonly KeyedRecord[]): Promise<void> {
    if (this.o.transactions === true) return; // markers have times too
    const { clock, random } = this.world;
    const top = Math.max(-1, ...seen.map(({ timestampMs }) => timestampMs));
    for (const wanted of [top, top + 1, top - random.int(200), 0]) {
      const found = await clock.run(this.log.offsetForTimestamp(wanted, this.log.logEndOffset));
      expect(found?.offset).toBe(seen.find((record) => record.timestampMs >= wanted)?.offset);
    }
  }

  /** What a producer would go on with is still known. */
  private checkProducers(how: "clean" | "kill" | "power"): void {
    for (const [producerId, next] of this.sequences) {
      if (producerId < 0) continue;
      const entry = this.log.producers.entry(producerId);
      const last = entry?.batches.at(-1)?.lastSequence ?? -1;
      // A power cut may have taken the newest ones.
      expect(last).toBeLessThan(next);
      if (how !== "power") expect([producerId, last]).toEqual([producerId, next - 1]);
      this.sequences.set(producerId, last + 1);
    }
  }

  async readAll(): Promise<KeyedRecord[]> {
    return (await this.readFromStart()).seen;
  }

  /** As `readAll`, and where the log began when that began. */
  private async readFromStart(): Promise<{ start: number; seen: KeyedRecord[] }> {
    const { logStartOffset: start } = this.log;
    try {
      return { start, seen: await this.readOn(start) };
    } catch (error) {
      if (!isKafkaError(error, "OFFSET_OUT_OF_RANGE") || this.log.logStartOffset === start) throw error;
      return this.readFromStart();
    }
  }

  private async readOn(start: number): Promise<KeyedRecord[]> {
    const seen: KeyedRecord[] = [];
    for (let offset = start; offset < this.log.logEndOffset; ) {
      const batches = await this.read(offset, this.world.random.pick([1, 400, 100_000]));
      // In page-cache mode a power cut may have taken all that followed what was compacted away.
      if (batches.length === 0 && this.world.durability === "page-cache") break;
      expect(batches.length).toBeGreaterThan(0);
      for (const b of batches) {
        expect(crcIsValid(b, 0)).toBeTrue();
        expect(lastOffset(b, 0)).toBeGreaterThanOrEqual(offset);
        for (const record of recordsIn(b)) if (record.offset >= offset) seen.push(record);
        offset = nextOffset(b, 0);
      }
    }
    return seen;
  }

  private async read(offset: number, maxBytes: number): Promise<Buffer[]> {
    const limits = { limitOffset: this.log.logEndOffset, maxBytes, atLeastOne: true };
    const result = this.log.read(offset, limits);
    const { chunks } = result instanceof Promise ? await this.world.clock.run(result) : result;
    return chunks.flatMap((chunk) => {
      const b = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      const batches: Buffer[] = [];
      for (let at = 0; at < b.length; at += batchBytes(b, at)) batches.push(b.subarray(at, at + batchBytes(b, at)));
      return batches;
    });
  }
}

const from = (start: number, records: readonly KeyedRecord[]): readonly KeyedRecord[] =>
  records.filter(({ offset }) => offset >= start);

/** A reader of `seen` ends with what one of `wanted` ends with: the same last value of each key, and no key that was deleted. */
function expectState(seen: readonly KeyedRecord[], wanted: readonly KeyedRecord[]): void {
  const state = new Map(seen.map(({ key, value }) => [key, value]));
  const model = new Map(wanted.map(({ key, value }) => [key, value]));
  for (const [key, value] of model) expect([key, state.get(key) ?? null]).toEqual([key, value]);
  for (const key of state.keys()) expect(model.has(key)).toBeTrue();
}

const recordsIn = (b: Buffer): KeyedRecord[] =>
  isControl(b, 0)
    ? []
    : Array.from(records(b, 0, { maxBytes: 1e7 }), ({ offset, key, value, timestampMs }) => ({
        offset,
        key: key!.toString(),
        value: value?.toString() ?? null,
        timestampMs,
      }));
