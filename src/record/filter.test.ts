/** What compaction makes of a batch. The reader of the results is our own, which the golden tests and kafka-dump-log (e2e) hold to Kafka's. */
import { describe, expect, test } from "bun:test";
import {
  attributes,
  BATCH_HEADER_BYTES,
  baseOffset,
  baseSequence,
  batchBytes,
  Codec,
  type CodecName,
  compressionType,
  computeCrc,
  crcIsValid,
  deleteHorizonMs,
  isTransactional,
  lastOffset,
  lastSequence,
  maxTimestamp,
  partitionLeaderEpoch,
  producerId,
  recordCount,
  setMaxTimestamp,
} from "./batch.ts";
import { type BatchInput, buildBatch } from "./build.ts";
import { decompress } from "./compression.ts";
import { emptiedBatch, filterBatch } from "./filter.ts";
import { newCompressor } from "./recompress.ts";
import { records } from "./records.ts";

const FROM_MS = 1_700_000_000_000;
const HORIZON_MS = FROM_MS + 86_400_000;

/** The batch in a codec that `buildBatch` does not write. */
function inCodec(b: Buffer, codec: CodecName): Buffer {
  const compressor = newCompressor({ codec, level: codec === "lz4" ? 1 : 0 }, 1e6);
  compressor.write(b.subarray(BATCH_HEADER_BYTES));
  const batch = compressor.finish(BATCH_HEADER_BYTES)!;
  b.copy(batch, 0, 0, BATCH_HEADER_BYTES);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt16BE(attributes(b, 0) | Codec[codec], 21);
  batch.writeUInt32BE(computeCrc(batch, 0), 17);
  return batch;
}

/** Five records k0 … k4, the third a tombstone, times not in order. */
function plainBatch(o: Partial<BatchInput> = {}): Buffer {
  const times = [5, 0, 300_000, -7, 2];
  return buildBatch({
    records: times.map((ms, i) => ({
      key: Buffer.from(`k${i}`),
      value: i === 2 ? null : Buffer.from(`value ${i}`),
      timestampMs: FROM_MS + ms,
      headers: i === 4 ? [{ key: "h", value: null }] : [],
    })),
    baseOffset: 1000,
    producerId: 7,
    producerEpoch: 3,
    baseSequence: 20,
    leaderEpoch: 9,
    ...o,
  });
}

const bodyOf = (b: Buffer): Buffer => decompress(compressionType(b, 0), b, BATCH_HEADER_BYTES, b.length, 1e6);

const read = (b: Buffer) =>
  Array.from(records(b, 0, { maxBytes: 1e6 }), ({ offset, timestampMs, key, value, headers }) => ({
    offset,
    timestampMs,
    key: key?.toString() ?? null,
    value: value?.toString() ?? null,
    headers,
  }));

const filter = (b: Buffer, keeps: (offset: number) => boolean, marksHorizon = false) =>
  filterBatch(b, 0, bodyOf(b), {
    keeps: (_, offset) => keeps(offset),
    newHorizonMs: HORIZON_MS,
    marksHorizon,
  });

function expectSameFrame(filtered: Buffer, original: Buffer): void {
  expect(crcIsValid(filtered, 0)).toBeTrue();
  expect(batchBytes(filtered, 0)).toBe(filtered.length);
  for (const field of [baseOffset, lastOffset, producerId, baseSequence, lastSequence, partitionLeaderEpoch, isTransactional])
    expect(field(filtered, 0)).toEqual(field(original, 0) as never);
}

describe.each(["none", "gzip", "snappy", "lz4", "zstd"] as const)("a batch with codec %s", (compression) => {
  const batch = (o: Partial<BatchInput> = {}): Buffer => inCodec(plainBatch(o), compression);

  test("that keeps all its records, and no tombstone among them, stays as it is", () => {
    const original = batch({ records: [{ key: Buffer.from("k"), value: Buffer.from("v"), timestampMs: FROM_MS }] });
    expect(filter(original, () => true)).toEqual({ bytes: null, records: 1 });
  });

  test("loses records and keeps offsets, times, headers, sequences and codec", () => {
    const original = batch({ isTransactional: true });
    const { bytes, records: count } = filter(original, (offset) => offset % 2 === 1 || offset === 1004);
    expect(count).toBe(3);
    expect(read(bytes!)).toEqual(read(original).filter(({ offset }) => offset % 2 === 1 || offset === 1004));
    expectSameFrame(bytes!, original);
    expect(compressionType(bytes!, 0)).toBe(compressionType(original, 0));
    expect(recordCount(bytes!, 0)).toBe(3);
    expect(maxTimestamp(bytes!, 0)).toBe(FROM_MS + 2);
    expect(deleteHorizonMs(bytes!, 0)).toBeNull();
  });

  test("gets a delete horizon with its first tombstone, once", () => {
    const original = batch();
    const { bytes } = filter(original, () => true);
    expect(deleteHorizonMs(bytes!, 0)).toBe(HORIZON_MS);
    expect(read(bytes!)).toEqual(read(original));
    expectSameFrame(bytes!, original);
    expect(maxTimestamp(bytes!, 0)).toBe(FROM_MS + 300_000);
    const again = filterBatch(bytes!, 0, bodyOf(bytes!), {
      keeps: (_, offset) => offset > 1001,
      newHorizonMs: HORIZON_MS + 1,
      marksHorizon: false,
    });
    expect(deleteHorizonMs(again.bytes!, 0)).toBe(HORIZON_MS);
    expect(read(again.bytes!)).toEqual(read(original).slice(2));
  });
});

const batch = plainBatch;

test("nothing is left", () => {
  expect(filter(batch(), () => false)).toEqual({ bytes: Buffer.alloc(0), records: 0 });
});

test("a marker whose transaction is gone gets a horizon", () => {
  const original = batch({ records: [{ key: Buffer.alloc(4), value: Buffer.alloc(6), timestampMs: FROM_MS }], isControl: true });
  const { bytes } = filter(original, () => true, true);
  expect(deleteHorizonMs(bytes!, 0)).toBe(HORIZON_MS);
  expect(read(bytes!)).toEqual(read(original));
});

test("records of the type LogAppendTime keep the time of the append", () => {
  const original = batch();
  setMaxTimestamp(original, 0, "LogAppendTime", FROM_MS + 999);
  const { bytes } = filter(original, () => true);
  expect(read(bytes!)).toEqual(read(original));
  expect(read(bytes!)[0]!.timestampMs).toBe(FROM_MS + 999);
});

test("an emptied batch says what its producer wrote last, and is 61 bytes", () => {
  const original = inCodec(batch({ isTransactional: true }), "gzip");
  const empty = emptiedBatch(original, 0);
  expect(empty.length).toBe(BATCH_HEADER_BYTES);
  expectSameFrame(empty, original);
  expect([recordCount(empty, 0), compressionType(empty, 0), maxTimestamp(empty, 0)]).toEqual([0, 0, FROM_MS + 300_000]);
  expect(attributes(empty, 0)).toBe(0x10);
  expect(read(empty)).toEqual([]);
});
