/**
 * Record batches, written and read by hand: the tortures' own eyes, so that nothing of quarkmq's judges quarkmq. Uncompressed
 * batches of the format 2, records without key (but for markers of transactions) and headers; every batch that is read has its CRC checked.
 */

import { int16, int32, int64 } from "../support/wire.ts";

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

/** CRC-32C, a byte at a time. */
export function fastCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ table[(crc ^ bytes[i]!) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}

/** A signed varint (zigzag), up to 2^31. */
export function varint(n: number): Buffer {
  let left = ((n << 1) ^ (n >> 31)) >>> 0;
  const bytes: number[] = [];
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}

/** Bits of a batch's attributes. */
export const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

export interface Producer {
  id: number;
  epoch: number;
}

export const noProducer: Producer = { id: -1, epoch: -1 };

/** A batch of these values; `sequence` is the first record's, -1 without a producer. */
export function batchOf(values: Buffer[], producer: Producer, sequence: number, attributes = 0): Buffer {
  const records = values.map((value, i) => {
    const body = Buffer.concat([Buffer.from([0, 0]), varint(i), varint(-1), varint(value.length), value, Buffer.from([0])]);
    return Buffer.concat([varint(body.length), body]);
  });
  return sealBatch(Buffer.concat(records), values.length, producer, sequence, attributes);
}

/** A batch around bytes that may be anything, with a CRC that holds. */
export function sealBatch(body: Buffer, count: number, producer: Producer, sequence: number, attributes = 0): Buffer {
  const now = Date.now();
  const head = [int16(attributes), int32((count - 1) | 0), int64(now), int64(now), int64(producer.id), int16(producer.epoch)];
  const sealed = Buffer.concat([...head, int32(sequence), int32(count), body]);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(fastCrc32c(sealed));
  return Buffer.concat([int64(0), int32(sealed.length + 9), int32(-1), Buffer.from([2]), crc, sealed]);
}

export interface ReadRecord {
  offset: number;
  value: string;
}

export interface ReadBatch {
  producerId: number;
  lastOffset: number;
  /** Part of a transaction; so is the marker that ends it. */
  isTransactional: boolean;
  /** What the batch says when it is a marker: it has no records then. */
  marker: "commit" | "abort" | null;
  records: ReadRecord[];
}

/** Thrown when bytes that a broker gave are not what a checking consumer accepts. */
export class Unacceptable extends Error {}

/** Whole batches, as a consumer reads them that checks every CRC; a last batch that was cut off is left out. */
export function readBatches(bytes: Buffer): ReadBatch[] {
  const found: ReadBatch[] = [];
  for (let at = 0; at + 61 <= bytes.length; ) {
    const end = at + 12 + bytes.readInt32BE(at + 8);
    if (end < at + 61) throw new Unacceptable(`a batch of ${end - at} bytes`);
    if (end > bytes.length) break;
    if (bytes[at + 16] !== 2) throw new Unacceptable(`a batch of format ${bytes[at + 16]}`);
    if (fastCrc32c(bytes.subarray(at + 21, end)) !== bytes.readUInt32BE(at + 17)) throw new Unacceptable("a CRC does not hold");
    const attributes = bytes.readInt16BE(at + 21);
    const records = readRecords(bytes, at);
    const isControl = (attributes & CONTROL) !== 0;
    found.push({
      producerId: Number(bytes.readBigInt64BE(at + 43)),
      lastOffset: Number(bytes.readBigInt64BE(at)) + bytes.readInt32BE(at + 23),
      isTransactional: (attributes & TRANSACTIONAL) !== 0,
      marker: isControl ? (records[0]!.key.readInt16BE(2) === 1 ? "commit" : "abort") : null,
      records: isControl ? [] : records.map(({ offset, value }) => ({ offset, value })),
    });
    at = end;
  }
  return found;
}

/** The records of the batch that begins at `at`, with their keys: only markers have one. */
function readRecords(bytes: Buffer, at: number): (ReadRecord & { key: Buffer })[] {
  const base = Number(bytes.readBigInt64BE(at));
  let cursor = at + 61;
  const next = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[cursor++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
  };
  return Array.from({ length: bytes.readInt32BE(at + 57) }, () => {
    const stop = next() + cursor;
    cursor += 1; // attributes
    next(); // timestamp delta
    const offset = base + next();
    const keyBytes = Math.max(0, next());
    const key = bytes.subarray(cursor, cursor + keyBytes);
    cursor += keyBytes;
    const valueBytes = next();
    const value = bytes.toString("latin1", cursor, cursor + valueBytes);
    cursor = stop;
    return { offset, key, value };
  });
}
