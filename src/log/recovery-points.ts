/**
 * Up to where each log is known to be on the disk: a journal in the data directory. A sync round now and then begins by noting what
 * earlier rounds synced, and syncs the journal with the rest. What it says was true before it was written, so that a lost tail of it
 * only means that more is validated after a crash.
 *
 *   header: magic "qprp" | version int16 = 1 | 10 zero bytes
 *   entry (48 bytes): topicId 16 bytes | partition int32 | offset int64 | segmentBaseOffset int64 | position int32 | 4 zero bytes | crc uint32
 *
 * The crc covers the entry before it. A later entry of a partition replaces an earlier one; the first broken entry ends the journal.
 */

import type { Logger } from "../base/logger.ts";
import { crc32c } from "../bytes/crc32c.ts";
import type { Clock, Scheduled } from "../io/clock.ts";
import { type Disk, DiskError, type DiskFile, isFailedSync, readWholeFile, replaceFile } from "../io/disk.ts";
import { RECOVERY_POINTS_FILE } from "./file-names.ts";
import type { RoundRider, SyncRounds } from "./sync-rounds.ts";
import { NewerFormat } from "./versioned-text.ts";

const MAGIC = "qprp";
/** The newest version that this program knows. */
export const RECOVERY_POINTS_VERSION = 1;
const HEADER_BYTES = 16;
const ENTRY_BYTES = 48;
/** The journal is written anew when it is larger than this and than four times what it needs. */
const COMPACT_ABOVE_BYTES = 256 * 1024;

/** All offsets below `offset` are on the disk; the next batch begins at `position` of the segment at `segmentBaseOffset`. */
export interface RecoveryPoint {
  readonly offset: number;
  readonly segmentBaseOffset: number;
  readonly position: number;
}

/** A log, as far as its recovery point goes. */
export interface RecoveryPointSource {
  readonly topicId: string;
  readonly partition: number;
  readonly recoveryPoint: RecoveryPoint;
}

const keyOf = (topicId: string, partition: number): string => `${topicId}-${partition}`;

export class RecoveryPoints implements RoundRider {
  private readonly disk: Disk;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly rounds: SyncRounds;
  private readonly path: string;
  private readonly intervalMs: number;
  private points = new Map<string, { topicId: string; partition: number; point: RecoveryPoint }>();
  private readonly moved = new Set<RecoveryPointSource>();
  private file: DiskFile | null = null;
  private bytes = 0;
  private lastWriteMs = Number.NEGATIVE_INFINITY;
  private timer: Scheduled | null = null;
  private rewriting: Promise<void> | null = null;
  /** Replaced, but perhaps still being synced by a round. */
  private replaced: DiskFile[] = [];
  private closed = false;

  constructor(o: { disk: Disk; clock: Clock; logger: Logger; rounds: SyncRounds; dataPath: string; intervalMs: number }) {
    this.disk = o.disk;
    this.clock = o.clock;
    this.logger = o.logger;
    this.rounds = o.rounds;
    this.path = `${o.dataPath}/${RECOVERY_POINTS_FILE}`;
    this.intervalMs = o.intervalMs;
  }

  /** Reads the journal and writes it anew, without its history. Throws NewerFormat, DiskError. */
  async open(): Promise<void> {
    const bytes = readWholeFile(this.disk, this.path);
    if (bytes !== null) this.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    await this.rewrite();
  }

  /** What the journal says of a partition; null if nothing, and then nothing of it may be believed. */
  get(topicId: string, partition: number): RecoveryPoint | null {
    return this.points.get(keyOf(topicId, partition))?.point ?? null;
  }

  /** The log's recovery point has moved; it is noted in some later round. */
  note(log: RecoveryPointSource): void {
    this.moved.add(log);
    if (this.timer !== null || this.closed) return;
    const delayMs = Math.max(0, this.lastWriteMs + this.intervalMs - this.clock.monotonicMs());
    this.timer = this.clock.schedule(delayMs, () => {
      this.timer = null;
      if (this.moved.size > 0) this.rounds.nudge();
    });
  }

  /** The partition is gone: its points must not be taken for those of a later one. */
  forget(log: RecoveryPointSource): void {
    this.moved.delete(log);
    this.points.delete(keyOf(log.topicId, log.partition));
  }

  /** Forgets partitions that have no log, and resolves when that is on the disk. Rejects with DiskError. */
  async forgetAll(places: readonly { readonly topicId: string; readonly partition: number }[]): Promise<void> {
    const known = places.filter(({ topicId, partition }) => this.points.delete(keyOf(topicId, partition)));
    if (known.length > 0) await this.rewrite();
  }

  /** Notes a point at once and resolves when it is on the disk: needed before a log is cut below what the journal says. */
  async lower(log: RecoveryPointSource, point: RecoveryPoint): Promise<void> {
    this.moved.delete(log);
    this.points.set(keyOf(log.topicId, log.partition), { topicId: log.topicId, partition: log.partition, point });
    await this.rewrite();
  }

  /** At the beginning of a round: writes what has moved, if the interval has passed. */
  ride(): DiskFile | null {
    for (const file of this.replaced.splice(0)) file.close();
    if (this.moved.size === 0 || this.file === null || this.rewriting !== null || this.closed) return null;
    const now = this.clock.monotonicMs();
    if (now - this.lastWriteMs < this.intervalMs) return null;
    this.lastWriteMs = now;
    return this.writeMoved() ? this.file : null;
  }

  /** Writes everything down, synced: the end of a clean shutdown. */
  async close(): Promise<void> {
    this.closed = true;
    this.timer?.cancel();
    this.timer = null;
    for (const log of this.moved) this.remember(log);
    this.moved.clear();
    await this.rewrite();
    for (const file of this.replaced.splice(0)) file.close();
    this.file?.close();
    this.file = null;
  }

  private writeMoved(): boolean {
    const out = Buffer.alloc(this.moved.size * ENTRY_BYTES);
    let at = 0;
    for (const log of this.moved) {
      this.remember(log);
      at = writeEntry(out, at, log.topicId, log.partition, log.recoveryPoint);
    }
    try {
      this.file!.write(out, this.bytes);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.logger.warn("recovery points could not be written; a crash now means a longer recovery", { error: error.message });
      return false;
    }
    this.moved.clear();
    this.bytes += out.length;
    if (this.bytes > COMPACT_ABOVE_BYTES && this.bytes > 4 * this.points.size * ENTRY_BYTES) this.compact();
    return true;
  }

  private remember(log: RecoveryPointSource): void {
    const { topicId, partition, recoveryPoint } = log;
    this.points.set(keyOf(topicId, partition), { topicId, partition, point: { ...recoveryPoint } });
  }

  /** In the background; rounds go on without the journal meanwhile. */
  private compact(): void {
    this.rewrite().catch((error) => {
      if (!this.closed) this.logger.warn("the recovery points could not be compacted", { error: String(error) });
    });
  }

  /** Replaces the journal by one of what is known now; one replacement at a time. Rejects with DiskError; a failed sync ends the process. */
  private rewrite(): Promise<void> {
    const after = this.rewriting ?? Promise.resolve();
    const rewriting = after.catch(() => {}).then(() => this.replace());
    this.rewriting = rewriting;
    const done = () => {
      if (this.rewriting === rewriting) this.rewriting = null;
    };
    rewriting.then(done, done);
    return rewriting;
  }

  private async replace(): Promise<void> {
    const out = Buffer.alloc(HEADER_BYTES + this.points.size * ENTRY_BYTES);
    out.write(MAGIC, 0, "latin1");
    out.writeInt16BE(RECOVERY_POINTS_VERSION, 4);
    let at = HEADER_BYTES;
    for (const { topicId, partition, point } of this.points.values()) at = writeEntry(out, at, topicId, partition, point);
    try {
      await replaceFile(this.disk, this.path, out);
    } catch (error) {
      if (isFailedSync(error)) this.rounds.fail(error);
      throw error;
    }
    if (this.file !== null) this.replaced.push(this.file);
    this.file = this.disk.open(this.path, "write");
    this.bytes = out.length;
  }

  private read(bytes: Buffer): void {
    if (bytes.length < HEADER_BYTES || bytes.toString("latin1", 0, 4) !== MAGIC) {
      this.logger.warn("the recovery points are unreadable: all logs are validated", { file: this.path });
      return;
    }
    const version = bytes.readInt16BE(4);
    if (version > RECOVERY_POINTS_VERSION)
      throw new NewerFormat(`${this.path} has version ${version}; this program knows up to ${RECOVERY_POINTS_VERSION}`);
    for (let at = HEADER_BYTES; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
      if (bytes.readUInt32BE(at + ENTRY_BYTES - 4) !== crc32c(bytes, at, at + ENTRY_BYTES - 4)) break;
      const topicId = bytes.subarray(at, at + 16).toString("base64url");
      const partition = bytes.readInt32BE(at + 16);
      const point = {
        offset: Number(bytes.readBigInt64BE(at + 20)),
        segmentBaseOffset: Number(bytes.readBigInt64BE(at + 28)),
        position: bytes.readInt32BE(at + 36),
      };
      this.points.set(keyOf(topicId, partition), { topicId, partition, point });
    }
  }
}

function writeEntry(out: Buffer, at: number, topicId: string, partition: number, point: RecoveryPoint): number {
  out.write(topicId, at, 16, "base64url");
  out.writeInt32BE(partition, at + 16);
  out.writeBigInt64BE(BigInt(point.offset), at + 20);
  out.writeBigInt64BE(BigInt(point.segmentBaseOffset), at + 28);
  out.writeInt32BE(point.position, at + 36);
  out.writeUInt32BE(crc32c(out, at, at + ENTRY_BYTES - 4), at + ENTRY_BYTES - 4);
  return at + ENTRY_BYTES;
}
