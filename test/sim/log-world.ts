/**
 * A data directory on a simulated disk, next to a model of what was appended to it. The model knows nothing of files: batches in order,
 * how far they are durable, and who produced them. `check` compares everything that can be seen with it.
 */
import { expect } from "bun:test";
import { silentLogger } from "../../src/base/logger.ts";
import { isStored, releaseChunks, type StoredBytes } from "../../src/bytes/chunks.ts";
import { DiskError } from "../../src/io/disk.ts";
import type { Durability, Log, LogConfig } from "../../src/log/log.ts";
import { DEFAULT_LOG_DIRECTORY_CONFIG, LogDirectory, type LogDirectoryConfig } from "../../src/log/log-directory.ts";
import type { StoredRead } from "../../src/log/segment-read.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import {
  baseOffset,
  baseSequence,
  batchBytes,
  lastOffset,
  lastOffsetDelta,
  lastSequence,
  maxTimestamp,
  producerEpoch,
  producerId,
  recordCount,
  setBaseOffset,
  setPartitionLeaderEpoch,
} from "../../src/record/batch.ts";
import { buildBatch } from "../../src/record/build.ts";
import { buildTransactionMarker } from "../../src/record/control.ts";
import type { ValidBatch } from "../../src/record/validate.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeDisk } from "./fake-disk.ts";
import { SeededRandom } from "./seeded-random.ts";

export const DATA_PATH = "/data";

/** A batch as the model remembers it. */
export interface ModelBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly bytes: Buffer;
  readonly timestamps: readonly number[];
  readonly producerId: number;
  readonly epoch: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly isTransactional: boolean;
  /** What a marker says, null for data. */
  readonly marker: "abort" | "commit" | null;
}

interface ModelTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** By the letter of KIP-98: what the batches say of transactions. */
function transactionsOf(batches: readonly ModelBatch[]): { aborted: ModelTransaction[]; open: Map<number, number> } {
  const open = new Map<number, number>();
  const aborted: ModelTransaction[] = [];
  for (const { producerId: id, isTransactional, marker, baseOffset: offset } of batches) {
    if (marker === null && isTransactional && !open.has(id)) open.set(id, offset);
    if (marker === null) continue;
    const firstOffset = open.get(id);
    open.delete(id);
    if (marker === "abort" && firstOffset !== undefined) aborted.push({ producerId: id, firstOffset, lastOffset: offset });
  }
  return { aborted, open };
}

export interface ModelLog {
  readonly topic: string;
  topicId: string;
  batches: ModelBatch[];
  /** Where an empty log goes on. */
  startOffset: number;
  /** What a reader or a producer was ever told to be safe. */
  durableEnd: number;
  /** The largest log start that anybody was shown: it never goes back. */
  shownStart: number;
  /** A crash came while it was cut: it may have begun anew at its start. */
  wasBeingCut: boolean;
  log: Log | null;
}

export const endOf = (model: ModelLog): number => (model.batches.at(-1)?.lastOffset ?? model.startOffset - 1) + 1;

/** What the log takes: a batch of ours as if validated. */
export function validBatch(bytes: Buffer, isTransactional = false): ValidBatch {
  return {
    bytes,
    recordCount: recordCount(bytes, 0),
    lastOffsetDelta: lastOffsetDelta(bytes, 0),
    maxTimestampMs: maxTimestamp(bytes, 0),
    offsetOfMaxTimestampDelta: 0,
    producerId: producerId(bytes, 0),
    producerEpoch: producerEpoch(bytes, 0),
    baseSequence: baseSequence(bytes, 0),
    lastSequence: lastSequence(bytes, 0),
    isTransactional,
    isControl: false,
  };
}

export interface WorldOptions {
  readonly seed: number;
  readonly durability?: Durability;
  readonly hasSyncFileSystem?: boolean;
  readonly hotChance?: number;
  readonly logConfig?: Partial<LogConfig>;
  readonly config?: Partial<LogDirectoryConfig>;
}

export const SMALL_LOG: LogConfig = {
  segmentBytes: 4000,
  segmentMs: 7 * 24 * 3600 * 1000,
  segmentJitterMs: 0,
  indexIntervalBytes: 400,
  segmentIndexBytes: 4096,
  fileDeleteDelayMs: 20,
  deletes: true,
  compacts: false,
  retentionMs: -1,
  retentionBytes: -1,
  producerIdExpirationMs: 24 * 3600 * 1000,
  maxProducers: 100,
  compaction: null,
};

export class LogWorld {
  readonly random: SeededRandom;
  readonly clock = new FakeClock();
  readonly disk: FakeDisk;
  readonly logs: ModelLog[] = [];
  readonly durability: Durability;
  directory: LogDirectory | null = null;
  fatal: unknown = null;
  epoch = 0;
  /** Of data directories that were opened. */
  private lives = 0;
  private readonly config: LogDirectoryConfig;
  /** What logs are opened with. */
  logConfig: LogConfig;
  /** Told when a log's start was seen to move. */
  onStartMoved: ((from: number, to: number) => void) | null = null;
  private topicIds = 0;

  constructor(o: WorldOptions) {
    this.random = new SeededRandom(o.seed);
    this.durability = o.durability ?? "sync";
    this.disk = new FakeDisk({
      random: this.random,
      clock: this.clock,
      hasSyncFileSystem: o.hasSyncFileSystem ?? false,
      hotChance: o.hotChance ?? 0.7,
    });
    this.config = {
      ...DEFAULT_LOG_DIRECTORY_CONFIG,
      durability: this.durability,
      recoveryPointIntervalMs: 5,
      openFilesMax: 6,
      ...o.config,
    };
    this.logConfig = { ...SMALL_LOG, ...o.logConfig };
  }

  /** Starts a broker, so to speak, and opens all logs. Rejects as LogDirectory.open does. */
  async start(): Promise<void> {
    this.fatal = null;
    this.directory = await this.clock.run(this.openDirectory());
    this.epoch++;
    for (const model of this.logs) await this.open(model);
  }

  /** A start that is crashed before it is over, perhaps. */
  async startInVain(afterMs: number, how: "kill" | "power"): Promise<void> {
    let alive = true;
    const starting = this.openDirectory().then(async (directory) => {
      for (const model of this.logs) if (alive) await this.openLogIn(directory, model);
    });
    starting.catch(() => {}); // a second crash while it waits
    await this.clock.advance(afterMs);
    alive = false;
    this.crash(how);
  }

  private openDirectory(): Promise<LogDirectory> {
    const life = ++this.lives;
    return LogDirectory.open({
      disk: this.disk,
      clock: this.clock,
      random: this.random,
      logger: silentLogger,
      path: DATA_PATH,
      config: this.config,
      onFatal: (error) => {
        if (life === this.lives) this.fatal = error; // what a dead one still tries means nothing
      },
    });
  }

  private openLogIn(directory: LogDirectory, model: ModelLog): Promise<Log> {
    return directory.openLog({ topic: model.topic, partition: 0, topicId: model.topicId, config: this.logConfig });
  }

  async open(model: ModelLog): Promise<Log> {
    const { directory } = this;
    const log = await this.clock.run(this.openLogIn(directory!, model));
    model.log = log;
    model.durableEnd = Math.max(model.durableEnd, log.durableEndOffset);
    log.onStartMoved = () => this.seeStart(model);
    log.onDurable = () => {
      if (this.directory !== directory) return; // what a dead one still says means nothing
      model.durableEnd = Math.max(model.durableEnd, log.durableEndOffset);
    };
    return log;
  }

  /** A topic with nothing in it yet. */
  async create(topic: string): Promise<ModelLog> {
    const model: ModelLog = {
      topic,
      topicId: this.newTopicId(),
      batches: [],
      startOffset: 0,
      durableEnd: 0,
      shownStart: 0,
      wasBeingCut: false,
      log: null,
    };
    this.logs.push(model);
    if (this.directory !== null) await this.open(model);
    return model;
  }

  newTopicId(): string {
    const id = Buffer.alloc(16);
    id.writeInt32BE(++this.topicIds, 12);
    return id.toString("base64url");
  }

  async stop(): Promise<void> {
    await this.clock.run(this.directory!.close());
    expect(this.disk.openFiles).toBe(0);
    this.directory = null;
  }

  /** The process dies, or the machine. */
  crash(how: "kill" | "power"): void {
    if (how === "kill") this.disk.kill();
    else this.disk.cutPower();
    this.clock.reset();
    this.directory = null;
  }

  /** Appends random records; the model learns of them if the log took them. */
  append(
    model: ModelLog,
    o: {
      producerId?: number;
      epoch?: number;
      sequence?: number;
      records?: number;
      valueBytes?: number;
      isTransactional?: boolean;
    } = {},
  ): ModelBatch {
    const { random } = this;
    const count = o.records ?? 1 + random.int(4);
    const records = Array.from({ length: count }, () => ({
      key: random.chance(0.5) ? null : random.bytes(random.int(8)),
      value: random.bytes(o.valueBytes ?? random.int(random.chance(0.1) ? 900 : 120)),
      timestampMs: this.clock.nowMs() + random.int(100) - 50,
    }));
    const producer = o.producerId ?? -1;
    const isTransactional = o.isTransactional ?? false;
    const bytes = buildBatch({
      records,
      isTransactional,
      ...(producer < 0 ? {} : { producerId: producer, producerEpoch: o.epoch ?? 0, baseSequence: o.sequence ?? 0 }),
    });
    const batch = validBatch(bytes, isTransactional);
    const appended = model.log!.append(batch, this.epoch);
    const remembered: ModelBatch = {
      baseOffset: appended.baseOffset,
      lastOffset: appended.lastOffset,
      bytes: Buffer.from(bytes),
      timestamps: records.map((record) => record.timestampMs),
      producerId: producer,
      epoch: batch.producerEpoch,
      firstSequence: batch.baseSequence,
      lastSequence: batch.lastSequence,
      isTransactional,
      marker: null,
    };
    if (appended.duplicate) throw new Error("unexpected duplicate");
    expect(appended.baseOffset).toBe(endOf(model));
    model.batches.push(remembered);
    return remembered;
  }

  /** Ends a transaction of the producer, if it has one, as the log's last batch says its epoch. */
  end(model: ModelLog, id: number, marker: "abort" | "commit", epoch: number): ModelBatch {
    const timestampMs = this.clock.nowMs();
    const said = { type: marker, producerId: id, producerEpoch: epoch, coordinatorEpoch: 0, timestampMs };
    const { baseOffset: offset } = model.log!.appendMarker(said, 1, this.epoch);
    expect(offset).toBe(endOf(model));
    const bytes = buildTransactionMarker(said);
    setBaseOffset(bytes, 0, offset);
    setPartitionLeaderEpoch(bytes, 0, this.epoch);
    const batch: ModelBatch = {
      baseOffset: offset,
      lastOffset: offset,
      bytes,
      timestamps: [timestampMs],
      producerId: id,
      epoch,
      firstSequence: -1,
      lastSequence: -1,
      isTransactional: true,
      marker,
    };
    model.batches.push(batch);
    return batch;
  }

  /** Where the log begins: never before where it was seen to begin, never beyond what is durable. */
  seeStart(model: ModelLog): void {
    const { logStartOffset, durableEndOffset } = model.log!;
    expect(logStartOffset).toBeGreaterThanOrEqual(model.shownStart);
    expect(logStartOffset).toBeLessThanOrEqual(durableEndOffset);
    const { shownStart } = model;
    model.shownStart = logStartOffset;
    if (logStartOffset > shownStart) this.onStartMoved?.(shownStart, logStartOffset);
  }

  /** After a start: what survived must be a beginning of what was appended, with all that was durable in it. */
  adopt(model: ModelLog, how: "clean" | "kill" | "power"): void {
    const log = model.log!;
    expect(log.offline).toBeNull();
    if (how === "power") expect(log.logEndOffset).toBeGreaterThanOrEqual(this.durability === "sync" ? model.durableEnd : 0);
    else expect(log.logEndOffset).toBe(endOf(model));
    if (log.logStartOffset < model.shownStart) expect(log.logStartOffset).toBe(model.shownStart);
    // In page-cache mode a start can survive the records below it: then the log begins anew.
    const kept = model.batches.filter((batch) => batch.lastOffset < log.logEndOffset);
    const mayBeAnew = (this.durability === "page-cache" || model.wasBeingCut) && log.logStartOffset === log.logEndOffset;
    if (mayBeAnew && log.producers.size === 0) Object.assign(model, { batches: [], startOffset: log.logEndOffset });
    else model.batches = kept;
    model.wasBeingCut = false;
    expect(endOf(model)).toBe(log.logEndOffset);
    model.durableEnd = log.durableEndOffset;
    expect(log.durableEndOffset).toBe(log.logEndOffset);
  }

  async checkAll(): Promise<void> {
    for (const model of this.logs) await this.check(model);
  }

  /** Everything that can be seen of a log. */
  async check(model: ModelLog): Promise<void> {
    const log = model.log!;
    for (let looked = false; !looked; ) {
      this.seeStart(model);
      const { logStartOffset } = log;
      try {
        await this.checkBytes(model);
        this.checkProducers(model);
        await this.checkTimes(model);
        await this.checkTransactions(model);
        looked = true;
      } catch (error) {
        if (log.logStartOffset === logStartOffset) throw error; // else retention came in between: again
      }
    }
  }

  /** Which transactions are open, and which were aborted, over the whole log and in some range. */
  private async checkTransactions(model: ModelLog): Promise<void> {
    const log = model.log!;
    const { aborted, open } = transactionsOf(model.batches);
    for (const [id, firstOffset] of open) expect(log.producers.entry(id)?.currentTxnFirstOffset).toBe(firstOffset);
    const firstOpen = log.firstOpenTransactionOffset;
    if (log.durableEndOffset === log.logEndOffset)
      expect(firstOpen).toBe(open.size === 0 ? null : Math.max(log.logStartOffset, Math.min(...open.values())));
    const from = log.logStartOffset + this.random.int(log.logEndOffset - log.logStartOffset + 1);
    const to = from + this.random.int(log.logEndOffset - from + 1);
    for (const [low, high] of [
      [log.logStartOffset, log.logEndOffset],
      [from, to],
    ] as const) {
      const told = await this.clock.run(Promise.resolve(log.abortedTransactions(low, high)));
      const found = told.map(({ producerId: id, firstOffset, lastOffset: last }) => ({
        producerId: id,
        firstOffset,
        lastOffset: last,
      }));
      expect(found).toEqual(aborted.filter(({ firstOffset, lastOffset: last }) => last >= low && firstOffset < high));
    }
  }

  private async checkBytes(model: ModelLog): Promise<void> {
    const log = model.log!;
    const read: Buffer[] = [];
    // What is appended, deleted or cut while the disk is read is for the next look.
    const { logStartOffset } = log;
    for (let offset = logStartOffset; offset < log.logEndOffset; ) {
      const maxBytes = this.random.pick([1, 300, 2000, 100_000]);
      const result = await this.read(log, offset, maxBytes);
      expect(result.bytes).toBeGreaterThan(0);
      for (const chunk of result.chunks) {
        const b = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
        read.push(b);
        let at = 0;
        for (; at < b.length; at += batchBytes(b, at)) {
          if (offset === logStartOffset) expect(baseOffset(b, at)).toBeLessThanOrEqual(offset);
          else expect(baseOffset(b, at)).toBe(offset);
          offset = lastOffset(b, at) + 1;
        }
        expect(at).toBe(b.length);
      }
    }
    const there = model.batches.filter(({ lastOffset }) => lastOffset >= logStartOffset);
    expect(Buffer.concat(read).equals(Buffer.concat(there.map(({ bytes }) => bytes)))).toBeTrue();
    if (logStartOffset > 0)
      expect(() => log.read(logStartOffset - 1, { limitOffset: log.logEndOffset, maxBytes: 1, atLeastOne: true })).toThrow(
        "we only have log segments",
      );
  }

  /** As a coordinator reads it, or as a fetch: what lies in a file is read later, when its segment may have left the log. */
  private async read(log: Log, offset: number, maxBytes: number): Promise<{ chunks: Uint8Array[]; bytes: number }> {
    const limits = { limitOffset: log.logEndOffset, maxBytes, atLeastOne: true };
    const reading = this.random.chance(0.5) ? log.read(offset, limits) : log.readStored(offset, limits);
    const { chunks, bytes } = reading instanceof Promise ? await this.clock.run<StoredRead>(reading) : reading;
    try {
      return { chunks: await Promise.all(chunks.map((chunk) => (isStored(chunk) ? this.readLater(chunk) : chunk))), bytes };
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      return await this.read(log, offset, maxBytes); // the connection is gone; its client asks again
    } finally {
      releaseChunks(chunks);
    }
  }

  private async readLater(chunk: StoredBytes): Promise<Buffer> {
    if (this.random.chance(0.3)) await this.clock.advance(this.random.fraction() * 5);
    const into = Buffer.alloc(chunk.byteLength);
    expect(await this.clock.run(chunk.readCold(into, 0))).toBe(into.length);
    return into;
  }

  private checkProducers(model: ModelLog): void {
    const producers = new Set(model.batches.map((batch) => batch.producerId).filter((id) => id >= 0));
    for (const id of producers) {
      const own = model.batches.filter((batch) => batch.producerId === id);
      const epoch = own.at(-1)!.epoch;
      const window = own.filter((batch) => batch.epoch === epoch && batch.marker === null).slice(-5);
      const entry = model.log!.producers.entry(id);
      expect(entry?.epoch).toBe(epoch);
      expect(entry?.batches.map((batch) => [batch.lastOffset - batch.offsetDelta, batch.lastOffset, batch.lastSequence])).toEqual(
        window.map((batch) => [batch.baseOffset, batch.lastOffset, batch.lastSequence]),
      );
    }
    expect(model.log!.producers.size).toBe(producers.size);
  }

  private async checkTimes(model: ModelLog): Promise<void> {
    const log = model.log!;
    const all = model.batches.flatMap((batch) =>
      batch.timestamps.map((timestampMs, i) => ({ timestampMs, offset: batch.baseOffset + i })),
    );
    const records = all.filter(({ offset }) => offset >= log.logStartOffset);
    const top = Math.max(-1, ...records.map((record) => record.timestampMs));
    for (const wanted of [top, top + 1, top - this.random.int(200), 0]) {
      const found = await this.clock.run(log.offsetForTimestamp(wanted, log.logEndOffset));
      expect(found?.offset).toBe(records.find((record) => record.timestampMs >= wanted)?.offset);
    }
    const latest = await this.clock.run(log.offsetOfMaxTimestamp(log.logEndOffset));
    expect(latest?.offset).toBe(records.find((record) => record.timestampMs === top)?.offset);
  }
}

/** Whether an error is a Kafka error of that name. */
export const isKafkaError = (error: unknown, name: string): boolean => error instanceof KafkaError && error.error === name;
