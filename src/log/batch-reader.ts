/** Reads a finished segment from front to back, batch by batch, blocking: for the thread that cleans logs. */
import type { Disk, DiskFile } from "../io/disk.ts";
import { BATCH_HEADER_BYTES, batchBytes, crcIsValid, lastOffset } from "../record/batch.ts";
import { headerProblem } from "./batch-scan.ts";
import { LOG_SUFFIX, offsetFileName } from "./file-names.ts";
import { CorruptLog } from "./index-recovery.ts";

export class BatchReader {
  /** The current batch begins at `at` of `buffer`, whole; both are valid until the next `next`. */
  buffer: Buffer;
  at = 0;
  bytes = 0;
  private readonly file: DiskFile;
  private readonly size: number;
  private nextOffset: number;
  /** Where `buffer` begins in the file, and how much of it is filled. */
  private position = 0;
  private filled = 0;
  private unpaced = 0;

  /** Throws DiskError. */
  constructor(disk: Disk, directory: string, segment: { baseOffset: number; size: number }, blockBytes: number) {
    this.file = disk.open(`${directory}/${offsetFileName(segment.baseOffset, LOG_SUFFIX)}`, "read");
    this.size = segment.size;
    this.nextOffset = segment.baseOffset;
    this.buffer = Buffer.allocUnsafeSlow(Math.max(blockBytes, BATCH_HEADER_BYTES));
  }

  /** Goes on to the next batch; false at the end. Throws DiskError, or CorruptLog for bytes that are no batch or not the ones that were written. */
  next(): boolean {
    let at = this.at + this.bytes;
    if (this.position + at >= this.size) return false;
    if (at + BATCH_HEADER_BYTES > this.filled) at = this.fill(at, BATCH_HEADER_BYTES);
    this.check(headerProblem(this.buffer, at, this.size - this.position - at, this.nextOffset), at);
    const bytes = batchBytes(this.buffer, at);
    if (at + bytes > this.filled) at = this.fill(at, bytes);
    this.at = at;
    this.bytes = bytes;
    this.nextOffset = lastOffset(this.buffer, at) + 1;
    return true;
  }

  /** Throws CorruptLog unless the CRC of the current batch is right. */
  checkCrc(): void {
    this.check(crcIsValid(this.buffer, this.at) ? null : "the CRC is not that of the bytes", this.at);
  }

  /** Bytes that were read since this was asked last. */
  takeRead(): number {
    const bytes = this.unpaced;
    this.unpaced = 0;
    return bytes;
  }

  /** When the segment was last written to. Throws DiskError. */
  modifiedMs(): number {
    return this.file.modifiedMs();
  }

  close(): void {
    this.file.close();
  }

  /** Reads on so that `need` bytes from `from` on are there; returns where they begin now. */
  private fill(from: number, need: number): number {
    const kept = this.buffer.subarray(from, Math.max(from, this.filled));
    const into = need <= this.buffer.length ? this.buffer : Buffer.allocUnsafeSlow(need);
    kept.copy(into);
    this.buffer = into;
    this.position += from;
    this.filled = kept.length;
    const wanted = Math.min(into.length, this.size - this.position) - this.filled;
    const got = this.file.read(into.subarray(this.filled, this.filled + wanted), this.position + this.filled);
    this.filled += got;
    this.unpaced += got;
    if (this.filled < need) throw new CorruptLog(`${this.file.path} ends at byte ${this.position + this.filled}`);
    return 0;
  }

  private check(problem: string | null, at: number): void {
    if (problem !== null)
      throw new CorruptLog(`${this.file.path}, offset ${this.nextOffset}, byte ${this.position + at}: ${problem}`);
  }
}
