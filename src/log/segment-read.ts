/**
 * Reading batches from a segment's file: positions by hint or index, one block at a time, cut at whole batches, the CRC of what was not
 * checked since the start. Synchronous while the pages are in memory; what is cold is read in the pool.
 */
import type { Chunk } from "../bytes/chunks.ts";
import { KafkaError } from "../protocol/errors.ts";
import { BATCH_HEADER_BYTES, baseOffset, batchBytes, crcIsValid, lastOffset, MAGIC, magic } from "../record/batch.ts";
import { headerProblem } from "./batch-scan.ts";
import type { OffsetPosition } from "./offset-index.ts";
import type { Segment } from "./segment.ts";

/** No read takes more than this from a file at once, unless a single batch is larger. */
const READ_MAX_BYTES = 1024 * 1024;
/** Read in front of the wanted batch when only the index says where it is. */
const SEEK_SLACK_BYTES = 8 * 1024;

/** Whole batches. What is stored has to be sent or released by whoever has it. */
export interface StoredRead {
  readonly chunks: readonly Chunk[];
  readonly bytes: number;
  /** What follows begins at or above it; -1 if nothing was read. */
  readonly nextOffset: number;
}

/** Whole batches in memory, in buffers of the reader's own. */
export interface LogRead extends StoredRead {
  readonly chunks: readonly Uint8Array[];
  /** Where they lie; null if nothing was read. */
  readonly place: { readonly segment: Segment; readonly position: number } | null;
}

export interface ReadLimits {
  /** No batch that begins at or above this offset. */
  readonly limitOffset: number;
  readonly maxBytes: number;
  /** The first batch even if it is larger than `maxBytes`. */
  readonly atLeastOne: boolean;
  /** The batches are only wanted to be checked: a read that is no promise leaves them in a buffer that the next such read overwrites. */
  readonly checkOnly?: boolean;
}

/** An index entry that the data does not bear out: rebuild the segment's indexes. */
export class WrongIndex extends Error {
  override name = "WrongIndex";
  readonly segment: Segment;
  constructor(segment: Segment) {
    super(`the indexes of ${segment.path} do not fit it`);
    this.segment = segment;
  }
}

export const NOTHING_READ: LogRead = { chunks: [], bytes: 0, nextOffset: -1, place: null };
/** The segment has no batch at or above the offset: the next segment may. */
export const BEYOND_SEGMENT: LogRead = { chunks: [], bytes: 0, nextOffset: -1, place: null };

/** For hot reads that only check. */
const checkBuffer = Buffer.allocUnsafeSlow(READ_MAX_BYTES + SEEK_SLACK_BYTES);

/** Where a read begins. */
interface ReadStart {
  readonly position: number;
  /** The batch there begins at or above this offset. */
  readonly nextOffset: number;
  /** The last offset of the batch there, by the index; -1: unknown. */
  readonly expectedLastOffset: number;
}

/** One read on its way: what to read next, and what to make of it. */
class SegmentRead {
  readonly segment: Segment;
  private readonly offset: number;
  private readonly limits: ReadLimits;
  /** The segment's end when the read began. */
  private readonly end: number;
  private readonly endOffset: number;
  /** The next batch begins at or above it. */
  private nextOffset: number;
  /** Last offset that the batch at the first position must have, by the index; -1: unknown. */
  private expectedLastOffset: number;
  position: number;
  /** Fewer bytes than this are of no use. */
  need = BATCH_HEADER_BYTES;
  private buffer: Buffer;
  private mayShare: boolean;
  result: LogRead = BEYOND_SEGMENT;

  constructor(segment: Segment, offset: number, limits: ReadLimits, start: ReadStart) {
    this.segment = segment;
    this.offset = offset;
    this.limits = limits;
    this.end = segment.size;
    this.endOffset = segment.nextOffset;
    this.nextOffset = start.nextOffset;
    this.position = start.position;
    this.expectedLastOffset = start.expectedLastOffset;
    this.mayShare = limits.checkOnly === true;
    const slack = start.expectedLastOffset < 0 ? BATCH_HEADER_BYTES : SEEK_SLACK_BYTES;
    this.buffer = this.bufferOf(Math.max(Math.min(limits.maxBytes, READ_MAX_BYTES) + slack, BATCH_HEADER_BYTES));
  }

  /** What to read into, at `position`. */
  get into(): Buffer {
    const left = this.end - this.position;
    return this.buffer.length <= left ? this.buffer : this.buffer.subarray(0, left);
  }

  /** Others may read before this one goes on. */
  unshare(): void {
    this.mayShare = false;
    if (this.buffer.buffer === checkBuffer.buffer) this.buffer = this.bufferOf(this.buffer.length);
  }

  get atEnd(): boolean {
    return this.position >= this.end;
  }

  /** Looks at the `got` bytes that were read at `position`. True: the read is done. False: read `need` bytes or more at `position`. */
  take(got: number): boolean {
    const b = this.buffer;
    let at = 0;
    while (at + BATCH_HEADER_BYTES <= got) {
      const problem = this.headerProblem(b, at);
      this.checkIndexEntry(b, at, problem);
      if (problem !== null) throw this.corrupt(at, this.offset, problem);
      if (lastOffset(b, at) >= this.offset) return this.takeFrom(at, got);
      this.nextOffset = lastOffset(b, at) + 1;
      at += batchBytes(b, at);
    }
    this.position += at;
    this.need = BATCH_HEADER_BYTES;
    return this.atEnd;
  }

  /** The wanted batch begins at `from` of the buffer. */
  private takeFrom(from: number, got: number): boolean {
    const b = this.buffer;
    const { limitOffset, maxBytes, atLeastOne } = this.limits;
    this.result = NOTHING_READ;
    if (baseOffset(b, from) >= limitOffset) return true;
    const first = batchBytes(b, from);
    if (first > maxBytes && !atLeastOne) return true;
    const wanted = first + this.lookAhead(from, first);
    if (from + wanted > got) return this.readMore(from, wanted);
    let at = from;
    while (at + BATCH_HEADER_BYTES <= got && (at === from || baseOffset(b, at) < limitOffset)) {
      const problem = this.headerProblem(b, at);
      const bytes = batchBytes(b, at);
      if (problem === null && (at + bytes > got || (at > from && at + bytes - from > maxBytes))) break;
      const fault = problem ?? this.fault(b, at, bytes, got);
      if (fault !== null) {
        if (at > from) break; // the good ones first; the next read says what is wrong
        throw this.corrupt(at, baseOffset(b, at), fault);
      }
      this.nextOffset = lastOffset(b, at) + 1;
      at += bytes;
    }
    const end = this.position + at;
    this.segment.checked.add(this.position + from, end);
    this.segment.hint(this.nextOffset, end);
    const place = { segment: this.segment, position: this.position + from };
    this.result = { chunks: [b.subarray(from, at)], bytes: at - from, nextOffset: this.nextOffset, place };
    return true;
  }

  private readMore(from: number, bytes: number): false {
    this.position += from;
    this.need = bytes;
    this.expectedLastOffset = -1;
    if (this.buffer.length < bytes) this.buffer = this.bufferOf(bytes);
    return false;
  }

  /** Bytes of the next batch that are needed to check this one: its header, if there is one and this one was not checked before. */
  private lookAhead(at: number, bytes: number): number {
    const end = this.position + at + bytes;
    return end === this.end || this.segment.checked.covers(end - bytes, end) ? 0 : BATCH_HEADER_BYTES;
  }

  /** What is wrong with a batch that was not checked before. The CRC does not cover the base offset: the next batch must begin above it. */
  private fault(b: Buffer, at: number, bytes: number, got: number): string | null {
    const position = this.position + at;
    if (this.segment.checked.covers(position, position + bytes)) return null;
    if (!crcIsValid(b, at)) return "the CRC is not that of the bytes";
    const next = at + bytes;
    if (position + bytes === this.end) return null;
    if (next + BATCH_HEADER_BYTES > got) return "its successor was not read";
    return magic(b, next) !== MAGIC || baseOffset(b, next) > lastOffset(b, at)
      ? null
      : `last offset ${lastOffset(b, at)} where ${baseOffset(b, next)} follows`;
  }

  /** What is wrong with the header at `at`: offsets must ascend and stay within the segment. */
  private headerProblem(b: Buffer, at: number): string | null {
    const problem = headerProblem(b, at, this.end - this.position - at, this.nextOffset);
    if (problem !== null || lastOffset(b, at) < this.endOffset) return problem;
    return `last offset ${lastOffset(b, at)} where the segment ends before ${this.endOffset}`;
  }

  /** The first batch of a read by index must be the one that the entry means. */
  private checkIndexEntry(b: Buffer, at: number, problem: string | null): void {
    if (this.expectedLastOffset < 0) return;
    if (problem !== null || lastOffset(b, at) !== this.expectedLastOffset) throw new WrongIndex(this.segment);
    this.expectedLastOffset = -1;
  }

  private corrupt(at: number, offset: number, problem: string): KafkaError {
    return new KafkaError("CORRUPT_MESSAGE", `${this.segment.path}, offset ${offset}, byte ${this.position + at}: ${problem}`);
  }

  private bufferOf(bytes: number): Buffer {
    const size = Math.min(bytes, this.end - this.position);
    return this.mayShare && size <= checkBuffer.length ? checkBuffer.subarray(0, size) : Buffer.allocUnsafeSlow(size);
  }
}

/**
 * Reads from the batch that holds or follows `offset`; BEYOND_SEGMENT if the segment has none. Throws (or rejects with) CORRUPT_MESSAGE for
 * bytes that are not what was written, WrongIndex, DiskError.
 */
export function readSegment(segment: Segment, offset: number, limits: ReadLimits): LogRead | Promise<LogRead> {
  const hinted = segment.hintedPosition(offset);
  if (hinted >= 0) return readFrom(segment, offset, limits, { position: hinted, nextOffset: offset, expectedLastOffset: -1 });
  const found = segment.offsetIndex.lookUp(offset);
  if (found instanceof Promise) return found.then((entry) => readFromEntry(segment, offset, limits, entry));
  return readFromEntry(segment, offset, limits, found);
}

function readFromEntry(segment: Segment, offset: number, limits: ReadLimits, entry: OffsetPosition): LogRead | Promise<LogRead> {
  const { position } = entry;
  if (position < 0 || (position > 0 && position >= segment.size)) throw new WrongIndex(segment);
  const expectedLastOffset = position === 0 ? -1 : entry.offset;
  return readFrom(segment, offset, limits, { position, nextOffset: segment.baseOffset, expectedLastOffset });
}

/** Position of a batch at or before the one that holds `offset`, by the index, checked against the data. Rejects with WrongIndex, DiskError. */
export async function positionAtOrBefore(segment: Segment, offset: number): Promise<number> {
  const entry = await segment.offsetIndex.lookUp(offset);
  if (entry.position === 0) return 0;
  const left = segment.size - entry.position;
  if (entry.position < 0 || left < BATCH_HEADER_BYTES) throw new WrongIndex(segment);
  const header = Buffer.alloc(BATCH_HEADER_BYTES);
  const handle = segment.hold();
  try {
    const got = await handle.file.readCold(header, entry.position);
    const isBatch = got === header.length && headerProblem(header, 0, left, segment.baseOffset) === null;
    if (!isBatch || lastOffset(header, 0) !== entry.offset) throw new WrongIndex(segment);
  } finally {
    segment.release(handle);
  }
  return entry.position;
}

function readFrom(segment: Segment, offset: number, limits: ReadLimits, start: ReadStart): LogRead | Promise<LogRead> {
  if (start.position >= segment.size) return BEYOND_SEGMENT;
  const read = new SegmentRead(segment, offset, limits, start);
  const file = segment.logFile();
  while (!read.atEnd) {
    const got = file.readHot(read.into, read.position);
    if (got < read.need) return readCold(read);
    if (read.take(got)) break;
  }
  return read.result;
}

async function readCold(read: SegmentRead): Promise<LogRead> {
  read.unshare();
  const handle = read.segment.hold();
  try {
    const { file } = handle;
    while (!read.atEnd) {
      const got = await file.readCold(read.into, read.position);
      if (got < read.need) throw new KafkaError("CORRUPT_MESSAGE", `${file.path} ends at byte ${read.position + got}`);
      if (read.take(got)) break;
    }
    return read.result;
  } finally {
    read.segment.release(handle);
  }
}
