/**
 * A second, faster way to durability: what is appended to logs is also put, in the order in which it came, into one file that has its room
 * on the disk already. One write there, past the page cache (DurableFile), stands for the syncs of all the files that the records went to.
 * Those follow at leisure (sync-rounds.ts), and then let a half of the journal be used again. After a crash journal-replay.ts puts back
 * into the files what they had lost.
 *
 * It costs a second write of everything, so it serves only while more than a few logs are synced at a time. The file is made when that has come to a good deal,
 * filled with zeros once, and removed by a clean shutdown. Without it, or while it has no room, logs wait for the rounds as if there were
 * none; so they do from then on if it cannot be written.
 */
import type { Logger } from "../base/logger.ts";
import { blockBuffer } from "../io/block-buffer.ts";
import { BLOCK_BYTES, type Disk, type DurableFile, isFailedSync } from "../io/disk.ts";
import type { Random } from "../io/random.ts";
import { removeJournal } from "./directory-files.ts";
import { JOURNAL_FILE } from "./file-names.ts";
import { entryBytes, FRAME_HEADER_BYTES, finishFrame, journalHeader, wholeBlocks, writeEntry } from "./journal-format.ts";
import type { SyncRounds } from "./sync-rounds.ts";

/** The most of one frame: what is appended while one is written. */
const FRAME_MOST_BYTES = 4 * 1024 * 1024;
const FILL_BYTES = 4 * 1024 * 1024;
/** The file is made when this part of its size was appended. */
const MADE_AFTER_PART = 16;
/** And if so many times its size is free. */
const FREE_TIMES = 4;

/** A log, as far as the journal goes. */
export interface JournalSource {
  /** See journal-format.ts. */
  readonly journalKey: Buffer;
  /** The journal's own: it has something of the log that is not on its way yet. */
  isInJournal: boolean;
  /** What was given to the journal is on its way to the disk: what is appended from now on comes later. Must not throw. */
  beginJournal(): void;
  /** It is on the disk. Must not throw. */
  endJournal(): void;
  /** It could not be written: only a round makes it durable. Must not throw. */
  loseJournal(): void;
}

type State = "none" | "making" | "ready" | "off";

export interface JournalOptions {
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
  readonly rounds: SyncRounds;
  readonly dataPath: string;
  /** The most that its file may take. */
  readonly bytes: number;
  /** It serves while rounds have more logs in them than this. */
  readonly above: number;
}

export class Journal {
  private readonly disk: Disk;
  private readonly logger: Logger;
  private readonly rounds: SyncRounds;
  private readonly dataPath: string;
  private readonly bytes: number;
  private readonly above: number;
  private readonly halfBytes: number;
  private readonly frameMostBytes: number;
  private state: State = "none";
  private file: DurableFile | null = null;
  private making: Promise<void> | null = null;
  /** Its file goes: it could not be written any more. */
  private retiring: Promise<void> | null = null;
  private appendedBytes = 0;
  /** The half that is written to, and where in it. */
  private half = 0;
  private at = 0;
  /** What the other half holds may be needed still. */
  private otherIsTaken = false;
  private sequence = 0;
  /** See journal-format.ts. */
  private readonly salt: number;
  /** The frame that is put together, and the one that is being written. */
  private frame: Buffer = Buffer.alloc(0);
  private writtenFrame: Buffer = Buffer.alloc(0);
  private end = FRAME_HEADER_BYTES;
  private sources: JournalSource[] = [];
  private writtenSources: JournalSource[] = [];
  private isScheduled = false;
  private isWriting = false;
  private waiters: (() => void)[] = [];

  constructor(o: JournalOptions) {
    this.disk = o.disk;
    this.logger = o.logger;
    this.rounds = o.rounds;
    this.dataPath = o.dataPath;
    this.above = o.above;
    this.salt = Buffer.from(o.random.bytes(4)).readUInt32BE(0);
    this.halfBytes = Math.floor((o.bytes - BLOCK_BYTES) / 2 / BLOCK_BYTES) * BLOCK_BYTES;
    this.bytes = BLOCK_BYTES + 2 * this.halfBytes;
    this.frameMostBytes = Math.min(FRAME_MOST_BYTES, this.halfBytes);
    if (this.halfBytes < BLOCK_BYTES) this.state = "off";
  }

  /** A batch was appended to a log. False: it is not in the journal, and only a round makes it durable. The bytes stay the caller's. */
  take(source: JournalSource, segmentBaseOffset: number, position: number, bytes: Uint8Array): boolean {
    if (this.rounds.width <= this.above) return false; // few logs are synced as fast, and written once
    if (!this.isReady) {
      if (this.state === "none") this.makeAfter(bytes.length);
      return false;
    }
    if (!this.hasRoom(entryBytes(source.journalKey, bytes.length))) return false;
    this.put(source, segmentBaseOffset, position, bytes);
    return true;
  }

  /** Whatever the journal holds of the log is void. Resolves when that is on the disk. Nothing may be appended to the log meanwhile. */
  async forget(source: JournalSource): Promise<void> {
    await this.idle();
    await this.retiring;
    while (this.isReady && !this.hasRoom(entryBytes(source.journalKey, 0))) {
      await this.rounds.idle();
      await this.idle();
    }
    if (this.isReady) this.put(source, 0, 0, null);
    await this.idle();
    await this.retiring;
  }

  /** Resolves when everything that was taken is on the disk. Never, after a failed sync. */
  async idle(): Promise<void> {
    while (this.isWriting || this.isScheduled) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }

  /** Ends it. With `removes` its file goes, too: everything is in the logs' files, durably. Rejects with DiskError. */
  async close(removes: boolean): Promise<void> {
    await this.making;
    await this.idle();
    await this.retiring;
    this.state = "off";
    this.file?.close();
    this.file = null;
    if (removes) this.disk.remove(`${this.dataPath}/${JOURNAL_FILE}`);
  }

  private get isReady(): boolean {
    return this.state === "ready";
  }

  private hasRoom(bytes: number): boolean {
    const end = this.end + bytes;
    if (end > this.frameMostBytes) return false;
    return this.at + wholeBlocks(end) <= this.halfBytes || !this.otherIsTaken;
  }

  private put(source: JournalSource, segmentBaseOffset: number, position: number, bytes: Uint8Array | null): void {
    const end = this.end + entryBytes(source.journalKey, bytes?.length ?? 0);
    if (end > this.frame.length) this.grow(end);
    this.end = writeEntry(this.frame, this.end, source.journalKey, segmentBaseOffset, position, bytes);
    if (!source.isInJournal) {
      source.isInJournal = true;
      this.sources.push(source);
    }
    if (this.isScheduled || this.isWriting) return;
    this.isScheduled = true;
    queueMicrotask(() => this.write());
  }

  private grow(bytes: number): void {
    const larger = blockBuffer(Math.min(this.frameMostBytes, Math.max(wholeBlocks(bytes), 2 * this.frame.length)));
    larger.set(this.frame.subarray(0, this.end));
    this.frame = larger;
  }

  /** Writes what was put together. */
  private write(): void {
    this.isScheduled = false;
    if (this.rounds.failed || this.file === null) return;
    this.isWriting = true;
    [this.frame, this.writtenFrame] = [this.writtenFrame, this.frame];
    [this.sources, this.writtenSources] = [this.writtenSources, this.sources];
    for (const source of this.writtenSources) {
      source.isInJournal = false;
      source.beginJournal();
    }
    const size = finishFrame(this.writtenFrame, this.end, ++this.sequence, this.salt);
    this.end = FRAME_HEADER_BYTES;
    const at = this.place(size);
    this.file.write(this.writtenFrame.subarray(0, size), at).then(
      () => this.written(),
      (error) => this.retire(error),
    );
  }

  /** A frame could not be written, although it had its room: rounds go on without a journal, and its file goes when nothing needs it. */
  private retire(error: unknown): void {
    if (this.rounds.failed) return;
    this.logger.warn("the journal could not be written: each change of a file is synced by itself", { error: String(error) });
    this.state = "off";
    for (const source of [...this.writtenSources, ...this.sources]) source.loseJournal();
    this.writtenSources.length = 0;
    this.sources.length = 0;
    this.end = FRAME_HEADER_BYTES;
    this.isWriting = false;
    this.retiring = this.rounds.idle().then(() => {
      this.file?.close();
      this.file = null;
      return removeJournal(this.disk, this.dataPath);
    });
    this.retiring.catch((failed) => this.rounds.fail(failed)); // a start would take what it holds for true
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  private written(): void {
    if (this.rounds.failed) return;
    this.isWriting = false;
    for (const source of this.writtenSources) source.endJournal();
    this.writtenSources.length = 0;
    if (this.end > FRAME_HEADER_BYTES && !this.isScheduled) this.write();
    if (this.isWriting || this.isScheduled) return;
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  /** Where a frame goes. A half that is left is needed until the files have what it holds. */
  private place(size: number): number {
    if (this.at + size > this.halfBytes) {
      this.half = 1 - this.half;
      this.at = 0;
      this.otherIsTaken = true;
      const free = () => {
        this.otherIsTaken = false;
      };
      this.rounds.idle().then(free, () => {}); // after a failed sync the process ends
    }
    const at = BLOCK_BYTES + this.half * this.halfBytes + this.at;
    this.at += size;
    return at;
  }

  private makeAfter(bytes: number): void {
    this.appendedBytes += bytes;
    if (this.appendedBytes * MADE_AFTER_PART < this.bytes) return;
    this.appendedBytes = 0;
    this.state = "making";
    this.making = this.make().catch((error) => {
      if (isFailedSync(error)) return this.rounds.fail(error);
      this.state = "off";
      this.logger.warn("there is no journal: each change of a file is synced by itself", { error: String(error) });
    });
  }

  private async make(): Promise<void> {
    const { disk, dataPath } = this;
    const path = `${dataPath}/${JOURNAL_FILE}`;
    disk.remove(path);
    if (disk.space(dataPath).usableBytes < FREE_TIMES * this.bytes) {
      this.state = "none"; // until as much was appended again
      return;
    }
    const file = disk.openDurable(path);
    try {
      await file.write(journalHeader(this.salt), 0);
      const zeros = blockBuffer(Math.min(FILL_BYTES, this.halfBytes)).fill(0);
      for (let at = BLOCK_BYTES; at < this.bytes; at += zeros.length)
        await file.write(zeros.subarray(0, Math.min(zeros.length, this.bytes - at)), at);
      await disk.syncDirectory(dataPath);
    } catch (error) {
      file.close();
      if (!isFailedSync(error)) disk.remove(path);
      throw error;
    }
    this.file = file;
    this.state = "ready";
  }
}
