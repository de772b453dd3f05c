/** Walks the records of a batch's body without allocating for them: for what must look at every record and keeps few of their fields. */
import { invalidRecord } from "./errors.ts";
import { Cursor } from "./varint.ts";

/** The least a record can be: attributes, two deltas, two lengths, a header count. */
const MIN_RECORD_BYTES = 6;

export class RecordWalk {
  /** The records' bytes, decompressed. */
  readonly body: Buffer;
  /** The current record is `body[start, end)`, its length field included. */
  start: number;
  end: number;
  /** Milliseconds from the batch's base timestamp. */
  timestampDelta = 0;
  /** Where the record goes on behind its timestamp: with the offset delta. */
  afterTimestamp = 0;
  offsetDelta = 0;
  /** The key is `body[keyAt, keyAt + keyBytes)`; -1: there is none. */
  keyAt = 0;
  keyBytes = -1;
  hasValue = false;
  private left: number;
  private readonly cursor: Cursor;

  /** Of exactly `count` records in all of `body`. */
  constructor(body: Buffer, count: number) {
    this.body = body;
    this.start = 0;
    this.end = 0;
    this.left = count;
    this.cursor = new Cursor(body, 0, body.length);
  }

  /** Goes on to the next record; false when there is none. Throws INVALID_RECORD for what is no record, and for bytes behind the last one. */
  next(): boolean {
    const { cursor, body } = this;
    if (this.left === 0) {
      if (this.end !== body.length) throw invalidRecord("Incorrect declared batch size, records still remaining in file");
      return false;
    }
    this.left--;
    this.start = this.end;
    cursor.at = this.end;
    cursor.end = body.length;
    const length = cursor.varint();
    const end = cursor.at + length;
    if (length < MIN_RECORD_BYTES || end > body.length)
      throw invalidRecord(
        `Invalid record size: ${length} bytes declared in record payload, but ${body.length - cursor.at} found`,
      );
    cursor.end = end;
    cursor.at++;
    this.timestampDelta = cursor.varlong();
    this.afterTimestamp = cursor.at;
    this.offsetDelta = cursor.varint();
    this.keyBytes = cursor.varint();
    this.keyAt = cursor.at;
    if (this.keyBytes > 0) cursor.at += this.keyBytes;
    this.hasValue = cursor.varint() >= 0;
    this.end = end;
    return true;
  }
}
