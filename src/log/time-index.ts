/**
 * The sparse index from timestamps to offsets in a segment. Format (Kafka's TimeIndex): entries of `timestamp int64 |
 * offset - baseOffset int32`, meaning that no batch before that offset has a larger timestamp; the offset is the last one of the batch
 * that has it. Timestamps and offsets ascend.
 */
import { IndexFile } from "./index-file.ts";
import type { OpenFile, OpenFiles } from "./open-files.ts";

export const TIME_ENTRY_BYTES = 12;

/** The largest timestamp so far (-1: none), and the last offset of the batch that has it. */
export interface TimestampOffset {
  readonly timestampMs: number;
  readonly offset: number;
}

export class TimeIndex {
  readonly file: IndexFile;
  private readonly baseOffset: number;
  private last: TimestampOffset | null = null;

  /** `entries`: how many entries of the file to believe; see IndexFile. */
  constructor(files: OpenFiles, openFile: OpenFile, baseOffset: number, entries: number, fileIsExact: boolean) {
    this.file = new IndexFile(files, openFile, TIME_ENTRY_BYTES, entries, fileIsExact);
    this.baseOffset = baseOffset;
  }

  /** The last entry; {-1, baseOffset} when there is none. Reads the file, blocking, the first time. */
  get lastEntry(): TimestampOffset {
    this.last ??= this.file.count === 0 ? this.none() : this.entry(this.file.count - 1);
    return this.last;
  }

  /** The same, off the loop where the page is cold. */
  loadLastEntry(): TimestampOffset | Promise<TimestampOffset> {
    if (this.last !== null) return this.last;
    const found = this.lookUp(Number.MAX_SAFE_INTEGER);
    if (!(found instanceof Promise)) {
      this.last = found;
      return found;
    }
    return found.then((entry) => {
      this.last ??= entry; // something may have been appended meanwhile
      return this.last;
    });
  }

  /** Adds an entry if its timestamp is above the last one. Kafka: TimeIndex.maybeAppend. */
  maybeAppend(timestampMs: number, offset: number): void {
    if (timestampMs <= this.lastEntry.timestampMs) return;
    const at = this.file.push();
    this.file.tailBytes.writeBigInt64BE(BigInt(timestampMs), at);
    this.file.tailBytes.writeInt32BE(offset - this.baseOffset, at + 8);
    this.last = { timestampMs, offset };
  }

  /** The last entry whose timestamp is at or below `timestampMs`; {-1, baseOffset} when there is none. */
  lookUp(timestampMs: number): TimestampOffset | Promise<TimestampOffset> {
    return this.file.search(
      (entries, at) => readTimestamp(entries, at) <= timestampMs,
      (entries, at) => this.parse(entries, at),
    );
  }

  /** Entry `n`, counted from 0; blocking. */
  entry(n: number): TimestampOffset {
    return this.file.entryAt(n, (entries, at) => this.parse(entries, at));
  }

  /** Keeps the first `count` entries. */
  truncate(count: number): void {
    this.file.truncate(count);
    this.last = null;
  }

  private parse(entries: Buffer, at: number): TimestampOffset {
    if (at < 0) return this.none();
    return { timestampMs: readTimestamp(entries, at), offset: this.baseOffset + entries.readInt32BE(at + 8) };
  }

  private none(): TimestampOffset {
    return { timestampMs: -1, offset: this.baseOffset };
  }
}

const readTimestamp = (entries: Buffer, at: number): number => Number(entries.readBigInt64BE(at));
