import { describe, expect, test } from "bun:test";
import { type BatchFixture, readBatch, readBatches, type ShownRecord, show } from "../../test/fixtures/record/read.ts";
import { KafkaError } from "../protocol/errors.ts";
import { buildTransactionMarker, ControlType, controlType, coordinatorEpoch } from "./control.ts";
import { buildBatch, type RecordInput, records } from "./records.ts";

const MIB = 1 << 20;

const shown = (b: Buffer, at = 0, maxBytes = MIB): ShownRecord[] =>
  [...records(b, at, { maxBytes })].map((record) => [
    record.offset,
    record.timestampMs,
    show(record.key),
    show(record.value),
    record.headers.map((header) => [Buffer.from(header.key, "utf8").toString("hex"), show(header.value)]),
  ]);

describe("records of batches made by Kafka", () => {
  for (const fixture of readBatches()) {
    test(fixture.name, () => {
      expect(shown(fixture.bytes)).toEqual(fixture.records);
      const shifted = Buffer.concat([Buffer.alloc(7, 0xee), fixture.bytes, Buffer.alloc(9, 0xee)]);
      expect(shown(shifted, 7)).toEqual(fixture.records);
    });
  }

  test("uncompressed keys and values are views of the batch", () => {
    const { bytes } = readBatch("none-one");
    const [record] = records(bytes, 0, { maxBytes: 0 });
    expect(record!.value!.buffer).toBe(bytes.buffer);
  });

  test("compressed records beyond the bound are refused", () => {
    for (const codec of ["gzip", "snappy", "lz4", "zstd"]) {
      const { bytes, records: all } = readBatch(`${codec}-large`);
      expect(() => shown(bytes, 0, 270_000)).toThrow(KafkaError);
      expect(shown(bytes, 0, 270_030)).toEqual(all);
    }
  });
});

describe("buildBatch", () => {
  const bytesOf = (field: unknown): Buffer | null => (field === null ? null : Buffer.from(field as string, "hex"));
  const inputs = (fixture: BatchFixture): RecordInput[] =>
    fixture.records.map(([, timestampMs, key, value, headers]) => ({
      timestampMs,
      key: bytesOf(key),
      value: bytesOf(value),
      headers: headers.map(([name, header]) => ({ key: Buffer.from(name, "hex").toString("utf8"), value: bytesOf(header) })),
    }));
  const build = (fixture: BatchFixture, compression: "none" | "gzip" | "zstd"): Buffer =>
    buildBatch({
      records: inputs(fixture),
      baseOffset: fixture.baseOffset,
      leaderEpoch: fixture.partitionLeaderEpoch,
      producerId: fixture.producerId,
      producerEpoch: fixture.producerEpoch,
      baseSequence: fixture.baseSequence,
      isTransactional: fixture.isTransactional,
      isControl: fixture.isControl,
      compression,
    });

  // What it can say: CreateTime, consecutive offsets. Long values are digests only and left out.
  const buildable = readBatches().filter(
    (f) =>
      f.timestampType === "CreateTime" &&
      !f.hasDeleteHorizon &&
      f.recordCount > 0 &&
      f.lastOffset - f.baseOffset + 1 === f.recordCount &&
      f.records.every(([, , , value]) => value === null || typeof value === "string"),
  );

  const uncompressed = buildable.filter((f) => f.compression === "none");
  test("there are such batches", () => expect(uncompressed.length).toBeGreaterThan(10));
  for (const fixture of uncompressed) {
    test(`makes the bytes that Kafka makes: ${fixture.name}`, () => {
      expect(build(fixture, "none").toString("hex")).toBe(fixture.bytes.toString("hex"));
    });
  }

  for (const fixture of buildable.filter((f) => f.compression === "gzip" || f.compression === "zstd")) {
    test(`holds what Kafka read in ${fixture.name}`, () => {
      const built = build(fixture, fixture.compression as "gzip" | "zstd");
      expect(shown(built)).toEqual(fixture.records);
      // The header is Kafka's but for the size and the crc, which depend on the compressor.
      const header = (b: Buffer) => Buffer.concat([b.subarray(0, 8), b.subarray(12, 17), b.subarray(21, 61)]).toString("hex");
      expect(header(built)).toBe(header(fixture.bytes));
    });
  }

  test("wants a record", () => {
    expect(() => buildBatch({ records: [] })).toThrow(RangeError);
  });
});

describe("control batches", () => {
  test("transaction markers are Kafka's, byte for byte", () => {
    const abort = readBatch("marker-abort");
    const built = buildTransactionMarker({
      type: "abort",
      producerId: 17,
      producerEpoch: 2,
      coordinatorEpoch: 0,
      timestampMs: 1_760_000_000_000,
    });
    expect(built.toString("hex")).toBe(abort.bytes.toString("hex"));
  });

  test("their kind and epoch are read", () => {
    const [commit] = records(readBatch("marker-commit").bytes, 0, { maxBytes: 0 });
    expect(controlType(commit!.key)).toBe(ControlType.commit);
    expect(coordinatorEpoch(commit!.value)).toBe(11);
    const [leaderChange] = records(readBatch("leader-change").bytes, 0, { maxBytes: 0 });
    expect(controlType(leaderChange!.key)).toBe(2);
  });

  test("keys and values that are too short are refused", () => {
    for (const bytes of [null, Buffer.alloc(0), Buffer.alloc(3)]) {
      expect(() => controlType(bytes)).toThrow(KafkaError);
      expect(() => coordinatorEpoch(bytes)).toThrow(KafkaError);
    }
    expect(() => controlType(Buffer.from([0xff, 0xff, 0, 0]))).toThrow(KafkaError);
  });
});
