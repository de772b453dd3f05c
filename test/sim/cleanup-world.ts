/**
 * A log whose cleanup.policy, retention and start change while it is compacted and dies (CompactionWorld), and a model of what that may
 * take: of each record what must still be there, and of the log's start who may have moved it. What lies on the disk is looked up by name.
 */
import { expect } from "bun:test";
import type { CompactionConfig } from "../../src/log/clean-plan.ts";
import type { LogConfig } from "../../src/log/log.ts";
import { CompactionWorld, type CompactionWorldOptions, type KeyedRecord } from "./compaction-world.ts";
import { isKafkaError } from "./log-world.ts";

export type Policy = "delete" | "compact" | "compact,delete";
export const POLICIES: readonly Policy[] = ["delete", "compact", "compact,delete"];

/** What is in force since some time. */
interface Rules {
  readonly sinceMs: number;
  readonly policy: Policy;
  readonly retentionMs: number;
  readonly retentionBytes: number;
}

export interface CleanupWorldOptions extends CompactionWorldOptions {
  readonly cleaning: CompactionConfig;
}

/** So long may pass between what retention or a cleaning decided and what is seen of it: they wait for the disk. */
const GRACE_MS = 40;
const RETENTION_CHECK_MS = 25;

export class CleanupWorld extends CompactionWorld {
  private readonly cleaning: CompactionConfig;
  /** The newest last. */
  private readonly rules: Rules[] = [];
  /** What DeleteRecords was ever asked for. */
  private deletedBelow = 0;
  private readonly appendedMs = new Map<number, number>();
  /** When files of the log last got other names. */
  private swappedMs = Number.NEGATIVE_INFINITY;
  /** From here on nothing is compacted; Infinity: anything may be. */
  private untouchedFrom = Number.POSITIVE_INFINITY;
  /** Offsets that were seen since nothing is compacted any more, and so stay; null: nobody has looked yet. */
  private untouched: Set<number> | null = null;
  private callsLeft = Number.POSITIVE_INFINITY;
  private countsRenamesOnly = false;

  constructor(o: CleanupWorldOptions) {
    super({ ...o, retentionCheckIntervalMs: RETENTION_CHECK_MS });
    this.cleaning = o.cleaning;
    this.world.onStartMoved = (from, to) => this.checkMove(from, to);
  }

  get policy(): Policy {
    return this.rules.at(-1)!.policy;
  }

  /** Puts other rules in force, as an operator does: the log may be in the middle of anything. */
  setPolicy(policy: Policy, retention: { readonly retentionMs: number; readonly retentionBytes: number }): void {
    const { world } = this;
    this.rules.push({ sinceMs: world.clock.nowMs(), policy, ...retention });
    const config: LogConfig = {
      ...world.logConfig,
      ...retention,
      deletes: policy.includes("delete"),
      compacts: policy.includes("compact"),
      compaction: policy.includes("compact") ? this.cleaning : null,
    };
    world.logConfig = config;
    if (policy !== "delete") Object.assign(this, { untouchedFrom: Number.POSITIVE_INFINITY, untouched: null });
    else if (this.untouchedFrom === Number.POSITIVE_INFINITY && this.model !== undefined) this.untouchedFrom = this.endOffset;
    else if (this.model === undefined) this.untouchedFrom = 0;
    this.model?.log?.updateConfig(config);
  }

  override append(o: Parameters<CompactionWorld["append"]>[0] = {}): void {
    const first = this.endOffset;
    super.append(o);
    for (let offset = first; offset < this.endOffset; offset++) this.appendedMs.set(offset, this.world.clock.nowMs());
  }

  /** Begins to delete records below somewhere in the middle. */
  deleteRecords(): Promise<void> {
    const { log } = this;
    return this.deleteRecordsBelow(log.logStartOffset + this.world.random.int(log.durableEndOffset - log.logStartOffset + 1));
  }

  deleteRecordsBelow(offset: number): Promise<void> {
    this.deletedBelow = Math.max(this.deletedBelow, offset);
    return this.log.moveStart(offset);
  }

  override takeOver(how: "clean" | "kill" | "power"): void {
    this.watchDisk();
    // A swap that was begun before the policy changed may be completed, or undone in part.
    if (how !== "clean") this.untouched = null;
    super.takeOver(how);
    this.untouchedFrom = this.untouchedFrom > this.endOffset ? Math.min(this.untouchedFrom, this.endOffset) : this.untouchedFrom;
    if (this.policy !== "delete") this.untouchedFrom = Number.POSITIVE_INFINITY;
  }

  override async begin(): Promise<void> {
    await super.begin();
    this.watchDisk();
  }

  /** The process or the machine dies at the disk operation, or at the renaming of a file, that many from now. Nothing it does afterwards reaches the disk. */
  strikeAfter(calls: number, which: "any" | "rename"): void {
    this.callsLeft = calls;
    this.countsRenamesOnly = which === "rename";
  }

  get isStruck(): boolean {
    return this.callsLeft < 0;
  }

  override crash(how: "kill" | "power"): void {
    super.crash(how);
    this.callsLeft = Number.POSITIVE_INFINITY;
  }

  private watchDisk(): void {
    const { disk, clock } = this.world;
    disk.fault = (operation, path) => {
      if (operation === "rename" && path.endsWith(".log")) this.swappedMs = clock.nowMs();
      if (operation === "rename" || !this.countsRenamesOnly) this.callsLeft--;
      return this.isStruck ? { code: "EIO" } : null;
    };
  }

  override checkRecords(seen: readonly KeyedRecord[], start: number): void {
    super.checkRecords(seen, start);
    const there = new Set(seen.map(({ offset }) => offset));
    const nowMs = this.world.clock.nowMs();
    const newest = new Map(this.appended.map((record) => [record.key, record.offset]));
    const { deleteRetentionMs, minCompactionLagMs } = this.cleaning;
    for (const { offset, key, value, timestampMs } of this.appended) {
      if (offset < start) continue;
      const isYoungTombstone = value === null && nowMs - this.appendedMs.get(offset)! < deleteRetentionMs;
      const isNewest = this.o.transactions !== true && newest.get(key) === offset;
      const isTooYoung = minCompactionLagMs > 0 && timestampMs > nowMs - minCompactionLagMs;
      const isUntouched = offset >= this.untouchedFrom || this.untouched?.has(offset) === true;
      if ((isNewest && (value !== null || isYoungTombstone)) || isTooYoung || isUntouched)
        expect([offset, there.has(offset)]).toEqual([offset, true]);
    }
    if (this.policy === "delete") this.untouched ??= there;
  }

  override async check(): Promise<void> {
    await super.check();
    const { shownStart } = this.model;
    if (shownStart === 0) return;
    const below = this.world.random.pick([0, shownStart - 1, this.world.random.int(shownStart)]);
    const limits = { limitOffset: this.endOffset, maxBytes: 1, atLeastOne: true };
    expect(() => this.log.read(below, limits)).toThrow("we only have log segments");
  }

  /** Who may have moved the log's start: DeleteRecords; and retention, where it was in force, over what was old or too much. */
  private checkMove(from: number, to: number): void {
    const nowMs = this.world.clock.nowMs();
    const inForce = this.rules.filter((_, i) => (this.rules[i + 1]?.sinceMs ?? nowMs) >= nowMs - GRACE_MS);
    const gone = this.appended.filter(({ offset }) => offset >= Math.max(from, this.deletedBelow) && offset < to);
    const newest = new Map(this.appended.map(({ key, offset }) => [key, offset]));
    for (const record of gone) {
      // What was compacted away, or may have been, had no say any more.
      const isSure = newest.get(record.key) === record.offset && record.value !== null && this.o.transactions !== true;
      if (!isSure && record.offset < this.untouchedFrom) continue;
      expect([record.offset, inForce.some((rules) => this.mayTake(record, rules, nowMs))]).toEqual([record.offset, true]);
    }
    const isRetained = inForce.some(({ policy }) => policy !== "compact");
    if (!isRetained) expect(to).toBeLessThanOrEqual(this.deletedBelow);
  }

  private mayTake(record: KeyedRecord, { policy, retentionMs, retentionBytes }: Rules, nowMs: number): boolean {
    if (policy === "compact") return false;
    if (retentionMs >= 0 && nowMs - record.timestampMs > retentionMs) return true;
    if (retentionBytes < 0) return false;
    const isMeasured = nowMs - this.swappedMs > GRACE_MS; // else the log may have become smaller since
    return !isMeasured || this.bytesFrom(record.offset + 1) >= retentionBytes;
  }

  /** Of the log's segments that begin at `offset` or above. */
  private bytesFrom(offset: number): number {
    return this.segmentSizes()
      .filter(({ base }) => base >= offset)
      .reduce((bytes, { size }) => bytes + size, 0);
  }

  /** Of the files that are the log's, by their names. */
  private segmentSizes(): { readonly base: number; readonly size: number }[] {
    const { disk } = this.world;
    const names = disk.list(this.log.directory)!.map(({ name }) => name);
    const files = names.filter((name) => /^\d{20}\.log(\.swap)?$/.test(name));
    const used = files.filter((name) => name.endsWith(".log") || !files.includes(name.replace(".swap", "")));
    return used.map((name) => {
      const file = disk.open(`${this.log.directory}/${name}`, "read");
      const size = file.size();
      file.close();
      return { base: Number(name.slice(0, 20)), size };
    });
  }

  /** After all has come to rest: what no policy keeps has gone. Records are no younger than retention.ms. */
  checkRest(): void {
    const { policy, retentionMs, retentionBytes } = this.rules.at(-1)!;
    if (policy === "compact") return;
    if (retentionMs >= 0) expect([this.log.logStartOffset, this.bytesFrom(0)]).toEqual([this.endOffset, 0]);
    const sizes = this.segmentSizes();
    if (retentionBytes >= 0 && sizes.length > 1) expect(this.bytesFrom(sizes[0]!.base + 1)).toBeLessThan(retentionBytes);
  }

  /** Appends and waits until tombstones that are there now must have gone. None may be left of those that a cleaning has passed. */
  async checkTombstones(): Promise<void> {
    const { clock } = this.world;
    const { firstDirtyOffset } = this.log.compaction;
    for (let pass = 0; pass < 3; pass++) {
      for (let i = 0; i < 30; i++) this.append();
      while (this.o.transactions === true && this.endTransaction());
      await clock.advance(this.cleaning.deleteRetentionMs + 2000);
    }
    const seen = await this.readAll();
    expect(seen.filter(({ offset, value }) => offset < firstDirtyOffset && value === null)).toEqual([]);
  }
}

/** Whether it is what a dying disk makes of a call. */
export const isStorageError = (error: unknown): boolean => isKafkaError(error, "KAFKA_STORAGE_ERROR");
