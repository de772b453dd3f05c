/**
 * The aborted transactions whose markers lie in a segment, by ascending marker: what readers of committed data must leave out. Unlike
 * the other indexes it is no hint: entries are on the disk when their markers count, and recovery makes those above the recovery point
 * anew. A segment without aborted transactions has no file. Format (Kafka's TransactionIndex, AbortedTxn.json), entries of:
 *
 *   version int16 = 0 | producerId int64 | firstOffset int64 | lastOffset int64 (the marker's) | lastStableOffset int64
 */
import { IndexFile } from "./index-file.ts";
import type { OpenFile, OpenFiles } from "./open-files.ts";

export const TRANSACTION_ENTRY_BYTES = 34;
const VERSION = 0;

export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** That of the abort marker. */
  readonly lastOffset: number;
  /** Where the next transaction that was open then begins, else the offset behind the marker. */
  readonly lastStableOffset: number;
}

export class TransactionIndex {
  readonly file: IndexFile;
  /** Whether there is a file, perhaps an empty one. */
  hasFile: boolean;
  /** For whoever syncs it: whether entries came since, and whether the file's name was synced too. */
  isDirty = false;
  nameIsSynced: boolean;

  /** `entries`: how many entries of the file to believe; see IndexFile. */
  constructor(files: OpenFiles, openFile: OpenFile, entries: number, fileIsExact: boolean) {
    this.file = new IndexFile(files, openFile, TRANSACTION_ENTRY_BYTES, entries, fileIsExact);
    this.hasFile = entries > 0 || !fileIsExact;
    this.nameIsSynced = this.hasFile;
  }

  /** Adds an entry, in memory. Its marker lies behind those of all others. */
  append(entry: AbortedTransaction): void {
    this.isDirty = true;
    const at = this.file.push();
    const bytes = this.file.tailBytes;
    bytes.writeInt16BE(VERSION, at);
    writeInt64(bytes, at + 2, entry.producerId);
    writeInt64(bytes, at + 10, entry.firstOffset);
    writeInt64(bytes, at + 18, entry.lastOffset);
    writeInt64(bytes, at + 26, entry.lastStableOffset);
  }

  /** Writes what is in memory; makes no file for nothing. Throws DiskError; can be called again. */
  flush(): void {
    if (this.file.isWritten) return;
    this.hasFile = true;
    this.file.flush();
  }

  /** Entry `n`, counted from 0; blocking. */
  entry(n: number): AbortedTransaction {
    return this.file.entryAt(n, readEntry);
  }

  /** Forgets entries whose marker lies at or above `offset`. Blocking. */
  truncateTo(offset: number): void {
    let low = 0;
    let high = this.file.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.entry(middle).lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    this.file.truncate(low);
  }

  /**
   * Adds to `found` what overlaps [from, upperBound). True if the next segment's index has nothing more to say. Rejects with DiskError.
   * Source: TransactionIndex.collectAbortedTxns.
   */
  async collect(from: number, upperBound: number, found: AbortedTransaction[]): Promise<boolean> {
    if (this.file.count === 0) return false;
    const first = await this.file.search(
      (entries, at) => readInt64(entries, at + 18) < from,
      (_entries, _at, n) => n + 1,
    );
    let isComplete = false;
    await this.file.visit(first, (entries, at) => {
      const entry = readEntry(entries, at);
      if (entry.lastOffset >= from && entry.firstOffset < upperBound) found.push(entry);
      isComplete = entry.lastStableOffset >= upperBound;
      return !isComplete;
    });
    return isComplete;
  }
}

/** Whether an entry can stand in the index of a segment of [baseOffset, nextOffset), behind one whose marker is at `previous`. */
export const isPlausibleEntry = (entry: AbortedTransaction, baseOffset: number, nextOffset: number, previous: number): boolean =>
  entry.producerId >= 0 &&
  entry.firstOffset >= 0 &&
  entry.firstOffset < entry.lastOffset &&
  entry.lastOffset > previous &&
  entry.lastOffset >= baseOffset &&
  entry.lastOffset < nextOffset &&
  entry.lastStableOffset <= entry.lastOffset + 1;

/** The entries of a whole file as far as they can be right, and whether that is all of it. */
export function plausibleEntries(bytes: Buffer, baseOffset: number, nextOffset: number): { entries: number; isExact: boolean } {
  let entries = 0;
  let previous = -1;
  for (let at = 0; at + TRANSACTION_ENTRY_BYTES <= bytes.length; at += TRANSACTION_ENTRY_BYTES) {
    const entry = readEntry(bytes, at);
    if (bytes.readInt16BE(at) !== VERSION || !isPlausibleEntry(entry, baseOffset, nextOffset, previous)) break;
    previous = entry.lastOffset;
    entries++;
  }
  return { entries, isExact: entries * TRANSACTION_ENTRY_BYTES === bytes.length };
}

const readEntry = (bytes: Buffer, at: number): AbortedTransaction => ({
  producerId: readInt64(bytes, at + 2),
  firstOffset: readInt64(bytes, at + 10),
  lastOffset: readInt64(bytes, at + 18),
  lastStableOffset: readInt64(bytes, at + 26),
});

const readInt64 = (bytes: Buffer, at: number): number => Number(bytes.readBigInt64BE(at));
const writeInt64 = (bytes: Buffer, at: number, value: number): void => void bytes.writeBigInt64BE(BigInt(value), at);
