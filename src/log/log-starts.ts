/**
 * Where logs begin, as retention and DeleteRecords have moved it: a small file, replaced whole, so that a crash at any moment leaves the
 * old or the new one. A start is shown to nobody before it is in the file on the disk, and no file of the log goes before; a log that is
 * not in it begins with its first segment. Moves that come together are written together. What Kafka has log-start-offset-checkpoint for.
 *
 *   magic "qpls" | version int16 = 1 | count int32 | { topicId 16 bytes | partition int32 | offset int64 } | crc uint32 of all before it
 */
import type { Logger } from "../base/logger.ts";
import { crc32c } from "../bytes/crc32c.ts";
import { type Disk, DiskError, isFailedSync, readWholeFile, replaceFile } from "../io/disk.ts";
import { LOG_STARTS_FILE } from "./file-names.ts";
import type { SyncRounds } from "./sync-rounds.ts";
import { NewerFormat } from "./versioned-text.ts";

const MAGIC = "qpls";
/** The newest version that this program knows. */
export const LOG_STARTS_VERSION = 1;
const HEADER_BYTES = 10;
const ENTRY_BYTES = 28;
const CRC_BYTES = 4;

/** A partition, by its topic's id. */
export interface LogPlace {
  readonly topicId: string;
  readonly partition: number;
}

interface LogStart extends LogPlace {
  readonly offset: number;
}

interface Move extends LogStart {
  /** Whether it counts only if it is larger. */
  readonly raises: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const keyOf = ({ topicId, partition }: LogPlace): string => `${topicId}-${partition}`;

export class LogStarts {
  private readonly disk: Disk;
  private readonly logger: Logger;
  private readonly rounds: SyncRounds;
  private readonly path: string;
  /** As in the file, but for what was forgotten since. */
  private readonly starts = new Map<string, LogStart>();
  private waiting: Move[] = [];
  private writing: Promise<void> | null = null;
  private closed = false;

  constructor(o: { disk: Disk; logger: Logger; rounds: SyncRounds; dataPath: string }) {
    this.disk = o.disk;
    this.logger = o.logger;
    this.rounds = o.rounds;
    this.path = `${o.dataPath}/${LOG_STARTS_FILE}`;
  }

  /** Reads the file. Throws NewerFormat, DiskError. A damaged one is told of, and as good as none. */
  open(): void {
    const bytes = readWholeFile(this.disk, this.path);
    if (bytes !== null) this.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  }

  /** Where the log begins; 0 if the file does not say: then at its first segment. */
  get(place: LogPlace): number {
    return this.starts.get(keyOf(place))?.offset ?? 0;
  }

  /** Moves a log's start up, if it is not there. Resolves when that is on the disk. Rejects with DiskError when it is not; a failed sync ends the process. */
  raise(place: LogPlace, offset: number): Promise<void> {
    return this.move(place, offset, true);
  }

  /** Moves a log's start wherever; otherwise as `raise`. */
  reset(place: LogPlace, offset: number): Promise<void> {
    return this.move(place, offset, false);
  }

  /** The partition is gone; the file need not know at once. */
  forget(place: LogPlace): void {
    this.starts.delete(keyOf(place));
  }

  /** Resolves when all moves so far are written or refused. */
  async settled(): Promise<void> {
    await this.writing;
  }

  /** No more moves; resolves when those that came are written or refused. */
  close(): Promise<void> {
    this.closed = true;
    return this.settled();
  }

  private move({ topicId, partition }: LogPlace, offset: number, raises: boolean): Promise<void> {
    if (this.closed) return Promise.reject(new DiskError("write", this.path, "EBADF", "the data directory was closed"));
    return new Promise((resolve, reject) => {
      this.waiting.push({ topicId, partition, offset, raises, resolve, reject });
      this.writing ??= this.writeAll();
    });
  }

  private async writeAll(): Promise<void> {
    await Promise.resolve(); // all moves of this turn go together
    while (this.waiting.length > 0) await this.write(this.waiting.splice(0));
    this.writing = null;
  }

  private async write(moves: readonly Move[]): Promise<void> {
    const moved = new Map<string, LogStart>();
    for (const move of moves) {
      const key = keyOf(move);
      const before = (moved.get(key) ?? this.starts.get(key))?.offset ?? 0;
      const { topicId, partition, raises } = move;
      moved.set(key, { topicId, partition, offset: raises ? Math.max(before, move.offset) : move.offset });
    }
    try {
      await replaceFile(this.disk, this.path, this.encode(moved));
    } catch (error) {
      if (isFailedSync(error)) this.rounds.fail(error);
      for (const { reject } of moves) reject(error);
      return;
    }
    for (const [key, start] of moved) this.starts.set(key, start);
    for (const { resolve } of moves) resolve();
  }

  private encode(moved: ReadonlyMap<string, LogStart>): Buffer {
    const all: LogStart[] = [...moved.values()];
    for (const [key, start] of this.starts) if (!moved.has(key)) all.push(start);
    const out = Buffer.alloc(HEADER_BYTES + all.length * ENTRY_BYTES + CRC_BYTES);
    out.write(MAGIC, 0, "latin1");
    out.writeInt16BE(LOG_STARTS_VERSION, 4);
    out.writeInt32BE(all.length, 6);
    let at = HEADER_BYTES;
    for (const { topicId, partition, offset } of all) {
      out.write(topicId, at, 16, "base64url");
      out.writeInt32BE(partition, at + 16);
      out.writeBigInt64BE(BigInt(offset), at + 20);
      at += ENTRY_BYTES;
    }
    out.writeUInt32BE(crc32c(out, 0, at), at);
    return out;
  }

  private read(bytes: Buffer): void {
    const isOurs = bytes.length >= HEADER_BYTES + CRC_BYTES && bytes.toString("latin1", 0, 4) === MAGIC;
    if (isOurs && bytes.readInt16BE(4) > LOG_STARTS_VERSION)
      throw new NewerFormat(`${this.path} has version ${bytes.readInt16BE(4)}; this program knows up to ${LOG_STARTS_VERSION}`);
    const end = bytes.length - CRC_BYTES;
    const isWhole = isOurs && end === HEADER_BYTES + bytes.readInt32BE(6) * ENTRY_BYTES;
    if (!isWhole || bytes.readUInt32BE(end) !== crc32c(bytes, 0, end)) {
      this.logger.error("the file of log starts is damaged: logs begin with their first segment", { file: this.path });
      return;
    }
    for (let at = HEADER_BYTES; at < end; at += ENTRY_BYTES) {
      const topicId = bytes.subarray(at, at + 16).toString("base64url");
      const start = { topicId, partition: bytes.readInt32BE(at + 16), offset: Number(bytes.readBigInt64BE(at + 20)) };
      this.starts.set(keyOf(start), start);
    }
  }
}
