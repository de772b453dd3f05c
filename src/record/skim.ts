/**
 * The walk that validation does over every record of a produced batch: reads what it must, allocates nothing per record, and holds no more
 * than a piece of what was unpacked. Structure is checked as strictly as Kafka's DefaultRecord.readFrom does it (also for compressed
 * batches, where Kafka skips over bodies and does not compare their length with what they hold).
 */
import { invalidRecord } from "./errors.ts";
import type { Pieces } from "./pieces.ts";
import { Cursor } from "./varint.ts";

/** What the walk saw. Deltas are milliseconds from the batch's base timestamp. */
export interface Skimmed {
  minTimestampDelta: number;
  maxTimestampDelta: number;
  /** Of the first record that has the maximum. */
  indexOfMaxTimestamp: number;
  /** -1 if every record has a key. */
  firstIndexWithoutKey: number;
  /** Whether record i has offset delta i. */
  isContiguous: boolean;
}

/** So many records, of any size. */
export const anyRecords = (count: number): RecordBounds => ({ count, maxRecordBytes: Number.POSITIVE_INFINITY });

/** Gets what the walk sees of one record, in order; true ends the walk there, and then nothing behind it is checked. */
export type RecordVisitor = (index: number, offsetDelta: number, timestampDelta: number, hasKey: boolean) => boolean;

/** The least a record can be: attributes, two deltas, two lengths, a header count. */
const MIN_RECORD_BYTES = 6;
const NO_BYTES = Buffer.alloc(0);

/** A cursor over pieces, confined to one record at a time. */
class PieceCursor extends Cursor {
  private readonly pieces: Pieces;
  /** Of the current piece, in all bytes. */
  private pieceStart = 0;
  private pieceEnd = 0;
  /** Where the record ends, in all bytes. */
  private recordEnd = Number.POSITIVE_INFINITY;

  constructor(pieces: Pieces) {
    super(NO_BYTES, 0, 0);
    this.pieces = pieces;
  }

  /** Bytes that were read or skipped. */
  get position(): number {
    return this.pieceStart + this.at;
  }

  /** Whether there is nothing more. Only outside of a record. */
  isAtEnd(): boolean {
    return this.at >= this.pieceEnd && !this.nextPiece();
  }

  /** Confines what follows to the next `length` bytes. */
  enter(length: number): void {
    const end = this.at + length;
    this.recordEnd = this.pieceStart + end;
    this.end = end < this.pieceEnd ? end : this.pieceEnd;
  }

  leave(): void {
    this.recordEnd = Number.POSITIVE_INFINITY;
    this.end = this.pieceEnd;
  }

  skip(length: number): void {
    this.at += length;
    if (this.at > this.end) this.skipPieces();
  }

  private skipPieces(): void {
    if (this.position > this.recordEnd) throw invalidRecord("Found invalid record structure: a field is longer than the record");
    while (this.at > this.pieceEnd) if (!this.nextPiece()) throw endsEarly();
  }

  protected override underflow(): number {
    if (this.position >= this.recordEnd || !this.nextPiece()) throw endsEarly();
    return this.bytes[this.at++]!;
  }

  /** Goes on with the next piece; what was skipped beyond the old one is skipped in it, or beyond it. False at the end. */
  private nextPiece(): boolean {
    const piece = this.pieces.next();
    if (piece === null) return false;
    this.at -= this.pieceEnd;
    this.pieceStart += this.pieceEnd;
    this.bytes = piece;
    this.pieceEnd = piece.length;
    this.end = Math.min(piece.length, this.recordEnd - this.pieceStart);
    return true;
  }
}

const endsEarly = () => invalidRecord("Found invalid record structure: it ends early");

/** What the records must be: so many, and none longer (without its length field). */
export interface RecordBounds {
  readonly count: number;
  readonly maxRecordBytes: number;
}

/** Walks exactly the records that are expected over all of `pieces`, which are done with then. Throws INVALID_RECORD if they are not that, and what `pieces` throw. */
export function skimRecords(pieces: Pieces, expected: RecordBounds, visit: RecordVisitor | null = null): Skimmed {
  try {
    return walk(new PieceCursor(pieces), expected, visit);
  } finally {
    pieces.done();
  }
}

function walk(cursor: PieceCursor, { count, maxRecordBytes }: RecordBounds, visit: RecordVisitor | null): Skimmed {
  let minTimestampDelta = Number.POSITIVE_INFINITY;
  let maxTimestampDelta = Number.NEGATIVE_INFINITY;
  let indexOfMaxTimestamp = 0;
  let firstIndexWithoutKey = -1;
  let isContiguous = true;
  let isStopped = false;
  for (let i = 0; i < count && !isStopped; i++) {
    if (cursor.isAtEnd()) throw invalidRecord("Incorrect declared batch size, premature EOF reached");
    const length = cursor.varint();
    if (length < MIN_RECORD_BYTES) throw badSize(length, 0);
    if (length > maxRecordBytes)
      throw invalidRecord(`Record body size ${length} exceeds the configured maximum record size of ${maxRecordBytes}`);
    const recordEnd = cursor.position + length;
    cursor.enter(length);
    cursor.skip(1);
    const timestampDelta = cursor.varlong();
    if (timestampDelta > maxTimestampDelta) {
      maxTimestampDelta = timestampDelta;
      indexOfMaxTimestamp = i;
    }
    if (timestampDelta < minTimestampDelta) minTimestampDelta = timestampDelta;
    const offsetDelta = cursor.varint();
    if (offsetDelta !== i) isContiguous = false;
    const keyLength = cursor.varint();
    if (keyLength >= 0) cursor.skip(keyLength);
    else if (firstIndexWithoutKey < 0) firstIndexWithoutKey = i;
    const valueLength = cursor.varint();
    if (valueLength > 0) cursor.skip(valueLength);
    const headerCount = cursor.varint();
    if (headerCount !== 0) skipHeaders(cursor, headerCount, recordEnd);
    if (cursor.position !== recordEnd) throw badSize(length, cursor.position - recordEnd + length);
    cursor.leave();
    if (visit !== null) isStopped = visit(i, offsetDelta, timestampDelta, keyLength >= 0);
  }
  if (!isStopped && !cursor.isAtEnd()) throw invalidRecord("Incorrect declared batch size, records still remaining in file");
  return { minTimestampDelta, maxTimestampDelta, indexOfMaxTimestamp, firstIndexWithoutKey, isContiguous };
}

const badSize = (declared: number, found: number) =>
  invalidRecord(`Invalid record size: ${declared} bytes declared in record payload, but ${found} found`);

function skipHeaders(cursor: PieceCursor, count: number, recordEnd: number): void {
  if (count < 0) throw invalidRecord(`Found invalid number of record headers ${count}`);
  if (count > recordEnd - cursor.position)
    throw invalidRecord(`Found invalid number of record headers. ${count} is larger than the remaining size of the buffer`);
  for (let i = 0; i < count; i++) {
    const keyLength = cursor.varint();
    if (keyLength < 0) throw invalidRecord(`Invalid negative header key size ${keyLength}`);
    cursor.skip(keyLength);
    const valueLength = cursor.varint();
    if (valueLength > 0) cursor.skip(valueLength);
  }
}
