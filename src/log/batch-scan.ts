/** Walks the batches of a segment's file in order, off the loop: for recovery, for rebuilding indexes and producer state, for searches by time. */
import type { DiskFile } from "../io/disk.ts";
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  batchBytes,
  crcIsValid,
  isControl,
  lastOffset,
  lastOffsetDelta,
  MAGIC,
  magic,
} from "../record/batch.ts";

/** Read at once where batches lie close together. */
const BLOCK_BYTES = 256 * 1024;
/** Read at once where they do not, and only their headers matter. */
const SPARSE_BATCH_BYTES = 16 * 1024;

/** The largest distance from a segment's base offset that its indexes can hold. */
export const MAX_RELATIVE_OFFSET = 0x7fff_ffff;

export interface ScanRange {
  readonly file: DiskFile;
  readonly from: number;
  readonly to: number;
  /** The segment's; offsets must lie within 2^31 of it, or an index could not hold them. */
  readonly baseOffset: number;
  /** No batch may begin below this offset. */
  readonly nextOffset: number;
  /** Reads batches whole and checks their CRC; otherwise only headers are read (control batches are whole in any case). */
  readonly validate: boolean;
}

/** Where a scan stopped: at `to`, where the visitor said so, or at the first batch that is none (`problem` says why). */
export interface ScanEnd {
  readonly position: number;
  readonly nextOffset: number;
  readonly problem: string | null;
}

/** Gets the header of the batch at `at` (the whole batch: see ScanRange) for the length of the call; `position` is that in the file. False stops before it. */
export type BatchVisitor = (b: Buffer, at: number, position: number) => boolean;

/** What makes the bytes at `at` no batch header, or null. `left`: bytes from there to the end of what may hold the batch. */
export function headerProblem(b: Buffer, at: number, left: number, nextOffset: number): string | null {
  const bytes = batchBytes(b, at);
  if (magic(b, at) !== MAGIC || bytes < BATCH_HEADER_BYTES)
    return isZero(b, at) ? "zeros" : `no batch: magic ${magic(b, at)}, ${bytes} bytes`;
  if (bytes > left) return `a batch of ${bytes} bytes, of which ${left} are there`;
  if (lastOffsetDelta(b, at) < 0) return `last offset delta ${lastOffsetDelta(b, at)}`;
  if (!(baseOffset(b, at) >= nextOffset)) return `base offset ${baseOffset(b, at)} where at least ${nextOffset} is expected`;
  return null;
}

function isZero(b: Buffer, at: number): boolean {
  for (let i = at; i < at + BATCH_HEADER_BYTES; i++) if (b[i] !== 0) return false;
  return true;
}

/** A window over the file that moves forward. */
class Window {
  bytes: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  private readonly file: DiskFile;
  private readonly end: number;
  private start = 0;
  private length = 0;

  constructor(file: DiskFile, end: number) {
    this.file = file;
    this.end = end;
  }

  /** Makes `need` bytes at `position` available, reading about `wish`; returns their place in `bytes`, or -1 if the file ends before. */
  async at(position: number, need: number, wish: number): Promise<number> {
    if (position >= this.start && position + need <= this.start + this.length) return position - this.start;
    if (need > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(need);
    const count = Math.min(Math.max(need, Math.min(wish, this.bytes.length)), this.end - position);
    this.start = position;
    this.length = await this.file.readCold(this.bytes.subarray(0, count), position);
    return this.length >= need ? 0 : -1;
  }
}

/** Visits the batches of a range. Throws DiskError when the file cannot be read. */
export async function scanBatches(range: ScanRange, visit: BatchVisitor): Promise<ScanEnd> {
  const window = new Window(range.file, range.to);
  let { from: position, nextOffset } = range;
  let wish = BLOCK_BYTES;
  const stop = (problem: string | null): ScanEnd => ({ position, nextOffset, problem });
  while (position < range.to) {
    const left = range.to - position;
    if (left < BATCH_HEADER_BYTES) return stop(`${left} bytes, less than a batch's header`);
    let at = await window.at(position, BATCH_HEADER_BYTES, wish);
    if (at < 0) return stop("the file ends here");
    const problem = headerProblem(window.bytes, at, left, nextOffset);
    if (problem !== null) return stop(problem);
    const last = lastOffset(window.bytes, at);
    if (last - range.baseOffset > MAX_RELATIVE_OFFSET) return stop(`offset ${last} is too far from the segment's base`);
    const bytes = batchBytes(window.bytes, at);
    if (range.validate || isControl(window.bytes, at)) {
      at = await window.at(position, bytes, Math.max(bytes, BLOCK_BYTES));
      if (at < 0) return stop("the file ends within a batch");
    }
    if (range.validate && !crcIsValid(window.bytes, at)) return stop("the CRC is not that of the bytes");
    if (!visit(window.bytes, at, position)) return stop(null);
    nextOffset = lastOffset(window.bytes, at) + 1;
    position += bytes;
    wish = range.validate || bytes <= SPARSE_BATCH_BYTES ? BLOCK_BYTES : BATCH_HEADER_BYTES;
  }
  return stop(null);
}
