import { describe, expect, test } from "bun:test";
import { readBatch, readBatches } from "../../test/fixtures/record/read.ts";
import * as batch from "./batch.ts";

describe("headers of batches made by Kafka", () => {
  for (const fixture of readBatches()) {
    test(fixture.name, () => {
      const { name, bytes, compression, records, ...expected } = fixture;
      // Not at the buffer's beginning, to see that every read is relative.
      const b = Buffer.concat([Buffer.alloc(13, 0xee), bytes, Buffer.alloc(5, 0xee)]);
      expect({
        baseOffset: batch.baseOffset(b, 13),
        batchBytes: batch.batchBytes(b, 13),
        partitionLeaderEpoch: batch.partitionLeaderEpoch(b, 13),
        magic: batch.magic(b, 13),
        crc: batch.crc(b, 13),
        timestampType: batch.timestampType(b, 13),
        isTransactional: batch.isTransactional(b, 13),
        isControl: batch.isControl(b, 13),
        hasDeleteHorizon: batch.hasDeleteHorizon(b, 13),
        lastOffset: batch.lastOffset(b, 13),
        nextOffset: batch.nextOffset(b, 13),
        baseTimestamp: batch.baseTimestamp(b, 13),
        maxTimestamp: batch.maxTimestamp(b, 13),
        producerId: batch.producerId(b, 13),
        producerEpoch: batch.producerEpoch(b, 13),
        baseSequence: batch.baseSequence(b, 13),
        lastSequence: batch.lastSequence(b, 13),
        recordCount: batch.recordCount(b, 13),
      }).toEqual(expected);
      expect(batch.compressionType(b, 13)).toBe(batch.Codec[compression]);
      expect(batch.crcIsValid(b, 13)).toBe(true);
    });
  }
});

describe("patching in place", () => {
  test("base offset and leader epoch lie outside the crc", () => {
    const { bytes } = readBatch("none-mixed");
    for (const offset of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 12345, Number.MAX_SAFE_INTEGER]) {
      batch.setBaseOffset(bytes, 0, offset);
      expect(batch.baseOffset(bytes, 0)).toBe(offset);
      expect(bytes.readBigInt64BE(0)).toBe(BigInt(offset));
    }
    for (const epoch of [-1, 0, 5, 2 ** 31 - 1]) {
      batch.setPartitionLeaderEpoch(bytes, 0, epoch);
      expect(batch.partitionLeaderEpoch(bytes, 0)).toBe(epoch);
    }
    expect(batch.crcIsValid(bytes, 0)).toBe(true);
  });

  test("a batch becomes, byte for byte, the one that Kafka built with that offset and epoch", () => {
    const expected = readBatch("leader-epoch").bytes;
    const bytes = Buffer.from(expected);
    batch.setBaseOffset(bytes, 0, 0);
    batch.setPartitionLeaderEpoch(bytes, 0, -1);
    expect(bytes.equals(expected)).toBe(false);
    batch.setBaseOffset(bytes, 0, 5);
    batch.setPartitionLeaderEpoch(bytes, 0, 2_000_000_000);
    expect(bytes.equals(expected)).toBe(true);
  });

  test("negative int64 values are written in two's complement", () => {
    const { bytes } = readBatch("none-one");
    batch.setMaxTimestamp(bytes, 0, "CreateTime", -1);
    expect(bytes.readBigInt64BE(35)).toBe(-1n);
    batch.setMaxTimestamp(bytes, 0, "CreateTime", -(2 ** 40) - 3);
    expect(bytes.readBigInt64BE(35)).toBe(-(2n ** 40n) - 3n);
    expect(batch.crcIsValid(bytes, 0)).toBe(true);
  });
});

test("sequence numbers wrap from 2^31 - 1 to 0", () => {
  expect(batch.incrementSequence(5, 3)).toBe(8);
  expect(batch.incrementSequence(2 ** 31 - 1, 0)).toBe(2 ** 31 - 1);
  expect(batch.incrementSequence(2 ** 31 - 1, 1)).toBe(0);
  expect(batch.incrementSequence(2 ** 31 - 3, 4)).toBe(1);
});

test("every flipped bit behind the crc is seen", () => {
  const { bytes } = readBatch("none-mixed");
  for (let at = 17; at < bytes.length; at++) {
    for (const bit of [1, 128]) {
      bytes[at]! ^= bit;
      expect(batch.crcIsValid(bytes, 0)).toBe(false);
      bytes[at]! ^= bit;
    }
  }
});
