import { describe, expect, test } from "bun:test";
import {
  FIXTURE_LEADER_EPOCH,
  FIXTURE_NOW_MS,
  FIXTURE_PARTITION,
  readBatch,
  readBatches,
  readVerdicts,
  type VerdictFixture,
} from "../../test/fixtures/record/read.ts";
import { crc32c } from "../bytes/crc32c.ts";
import { KafkaError } from "../protocol/errors.ts";
import { lastOffsetDelta, setPartitionLeaderEpoch } from "./batch.ts";
import { buildBatch, records } from "./records.ts";
import { type BatchRules, RecordErrors, type ValidBatch, validateClientBatch, validateStoredBatch } from "./validate.ts";

const MIB = 1 << 20;
const RULES: BatchRules = {
  maxMessageBytes: MIB,
  segmentBytes: 1 << 30,
  timestampType: "CreateTime",
  beforeMaxMs: 2 ** 63,
  afterMaxMs: 3_600_000,
  nowMs: FIXTURE_NOW_MS,
  compacted: false,
  produceVersion: 12,
  maxDecompressedBytes: MIB,
  maxZstdWindowBytes: 8 * MIB,
  topicPartition: FIXTURE_PARTITION,
};

/** The batch if it is valid, else the error; anything thrown that is no KafkaError fails the test. */
function judge(bytes: Buffer | null, rules: Partial<BatchRules> = {}): ValidBatch | KafkaError {
  try {
    return validateClientBatch(bytes, { ...RULES, ...rules });
  } catch (error) {
    if (error instanceof KafkaError) return error;
    throw error;
  }
}

const errorOf = (verdict: ValidBatch | KafkaError): string => (verdict instanceof KafkaError ? verdict.error : "NONE");

describe("Kafka's verdicts", () => {
  // What Kafka answers UNKNOWN_SERVER_ERROR because an exception that it has no code for gets out.
  const NAMED: Record<string, string> = {
    "codec-5-version-6": "UNSUPPORTED_COMPRESSION_TYPE",
    "codec-5": "UNSUPPORTED_COMPRESSION_TYPE",
    "codec-6": "UNSUPPORTED_COMPRESSION_TYPE",
    "codec-7": "UNSUPPORTED_COMPRESSION_TYPE",
    "batch-length-14": "CORRUPT_MESSAGE",
  };
  // What Kafka stores, and its consumers then stumble over.
  const STRICTER = /^(none-offset-delta|(gzip|snappy|lz4|zstd)-length-too-|gzip-garbage-after$)/;
  // Kafka prints a Java object here.
  const plain = (message: string) => message.replace(/(Partial)?DefaultRecord\(offset=(\d+), .*?bytes\)/, "with offset $2");

  const kafkaSays = (fixture: VerdictFixture) => {
    if (fixture.stored === undefined) {
      const errors = fixture.recordErrors?.map(([index, message]) => [index, plain(message)]);
      return { error: fixture.error, message: fixture.recordErrors && fixture.message, recordErrors: errors };
    }
    return { stored: fixture.stored, maxTimestamp: fixture.maxTimestamp, lastOffset: fixture.lastOffset };
  };

  const weSay = (fixture: VerdictFixture) => {
    const verdict = judge(fixture.bytes, { ...fixture, beforeMaxMs: fixture.beforeMaxMs ?? 2 ** 63 });
    if (verdict instanceof RecordErrors) {
      const errors = verdict.recordErrors.map((error) => [error.batchIndex, error.batchIndexErrorMessage]);
      return { error: verdict.error, message: verdict.message, recordErrors: errors };
    }
    if (verdict instanceof KafkaError) return { error: verdict.error, message: undefined, recordErrors: undefined };
    setPartitionLeaderEpoch(verdict.bytes, 0, FIXTURE_LEADER_EPOCH);
    return {
      stored: verdict.bytes.toString("base64"),
      maxTimestamp: verdict.maxTimestampMs,
      lastOffset: verdict.lastOffsetDelta,
    };
  };

  const verdicts = readVerdicts();
  test("there are many of each kind", () => {
    expect(verdicts.filter((f) => f.stored !== undefined).length).toBeGreaterThan(80);
    expect(verdicts.filter((f) => f.error !== undefined).length).toBeGreaterThan(150);
  });

  for (const fixture of verdicts) {
    const { name } = fixture;
    if (STRICTER.test(name) && fixture.stored !== undefined) {
      test(`${name}: stored by Kafka, refused by us`, () => expect(weSay(fixture)).toMatchObject({ error: "INVALID_RECORD" }));
    } else if (fixture.error === "UNKNOWN_SERVER_ERROR") {
      test(`${name}: ${fixture.exception} in Kafka, named by us`, () =>
        expect(weSay(fixture)).toMatchObject({ error: NAMED[name] ?? "INVALID_RECORD" }));
    } else {
      test(`${name}: ${fixture.error ?? "stored"}`, () => expect<unknown>(weSay(fixture)).toEqual(kafkaSays(fixture)));
    }
  }
});

describe("a valid batch", () => {
  test("is described", () => {
    const { bytes } = readBatch("idempotent");
    expect(judge(bytes)).toEqual({
      bytes,
      recordCount: 8,
      lastOffsetDelta: 7,
      maxTimestampMs: FIXTURE_NOW_MS + 7,
      offsetOfMaxTimestampDelta: 5,
      producerId: 4_000_000_017,
      producerEpoch: 3,
      baseSequence: 12,
      lastSequence: 19,
      isTransactional: false,
      isControl: false,
    });
    expect(judge(readBatch("transactional").bytes)).toMatchObject({ isTransactional: true, producerId: 17 });
    expect(judge(readBatch("idempotent-sequence-wraps").bytes)).toMatchObject({ baseSequence: 2 ** 31 - 3, lastSequence: 1 });
    expect(judge(bytes, { timestampType: "LogAppendTime" })).toMatchObject({
      maxTimestampMs: FIXTURE_NOW_MS,
      offsetOfMaxTimestampDelta: 0,
    });
  });

  test("of every codec is a view of what came, unchanged, without what follows it", () => {
    for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"]) {
      const { bytes } = readBatch(`${codec}-mixed`);
      const received = Buffer.concat([bytes, Buffer.from([1, 2, 3])]);
      const verdict = judge(received) as ValidBatch;
      expect(verdict.bytes.buffer).toBe(received.buffer);
      expect(verdict.bytes.equals(bytes)).toBe(true);
      expect(verdict.recordCount).toBe(8);
    }
  });
});

describe("bounds of ours", () => {
  test("null records", () => expect(errorOf(judge(null))).toBe("INVALID_RECORD"));

  test("decompressed size", () => {
    const { bytes } = readBatch("zstd-large");
    expect(errorOf(judge(bytes, { maxDecompressedBytes: 270_000 }))).toBe("MESSAGE_TOO_LARGE");
    expect(errorOf(judge(bytes))).toBe("NONE");
  });

  test("the window that zstd asks for", () => {
    const value = Buffer.alloc(300_000);
    const batch = () => buildBatch({ records: [{ key: null, value, timestampMs: FIXTURE_NOW_MS }], compression: "zstd" });
    expect(errorOf(judge(batch(), { maxZstdWindowBytes: 300_100 }))).toBe("NONE");
    expect(errorOf(judge(batch(), { maxZstdWindowBytes: 300_000 }))).toBe("MESSAGE_TOO_LARGE");
  });

  test("record errors: a thousand named, all counted", () => {
    const batch = buildBatch({ records: Array(2500).fill({ key: null, value: null, timestampMs: FIXTURE_NOW_MS }) });
    const error = judge(batch, { compacted: true }) as RecordErrors;
    expect(error).toBeInstanceOf(RecordErrors);
    expect(error.recordErrors.length).toBe(1000);
    expect(error.recordErrors[999]!.batchIndex).toBe(999);
    expect(error.message).toStartWith("One or more records have been rejected due to 2500 record errors in total");
    expect(error.message.length).toBeLessThan(600);
  });

  test("timestamps that a number does not hold", () => {
    const batch = (timestampMs: number) => buildBatch({ records: [{ key: null, value: null, timestampMs }] });
    const anything = { beforeMaxMs: 2 ** 63, afterMaxMs: 2 ** 63 };
    expect(errorOf(judge(batch(2 ** 53 - 1), anything))).toBe("NONE");
    expect(errorOf(judge(batch(2 ** 53), anything))).toBe("INVALID_TIMESTAMP");
  });

  test("a count of two thousand million costs nothing", () => {
    const { bytes } = readBatch("none-one");
    bytes.writeInt32BE(2 ** 31 - 1, 57);
    bytes.writeInt32BE(2 ** 31 - 2, 23);
    bytes.writeUInt32BE(crc32c(bytes, 21), 17);
    expect(errorOf(judge(bytes))).toBe("INVALID_RECORD");
  });
});

describe("changed bytes", () => {
  const small = readBatches().filter((fixture) => fixture.bytes.length < 700);
  const client = small.filter((fixture) => errorOf(judge(Buffer.from(fixture.bytes))) === "NONE");
  test("there are such batches", () => expect(client.length).toBeGreaterThan(15));

  test("any one of them is caught, but for the leader epoch, which is the broker's", () => {
    for (const { bytes } of client) {
      for (let at = 0; at < bytes.length; at++) {
        if (at >= 12 && at < 16) continue;
        const changed = Buffer.from(bytes);
        changed[at]! ^= 0x11;
        expect([at, errorOf(judge(changed))]).not.toEqual([at, "NONE"]);
      }
    }
  });

  test("with a crc that fits they are refused or taken, and what is taken can be read", () => {
    let taken = 0;
    for (const { bytes } of client) {
      for (let at = 21; at < bytes.length; at++) {
        for (const bits of [0x01, 0x80, 0xff]) {
          const changed = Buffer.from(bytes);
          changed[at]! ^= bits;
          changed.writeUInt32BE(crc32c(changed, 21), 17);
          const verdict = judge(changed);
          if (verdict instanceof KafkaError) continue;
          taken++;
          const read = [...records(verdict.bytes, 0, { maxBytes: MIB })];
          expect(read.map((record) => record.offset)).toEqual([...read.keys()]);
          expect(validateStoredBatch(verdict.bytes, 0)).toEqual({ kind: "ok", bytes: bytes.length });
        }
      }
    }
    expect(taken).toBeGreaterThan(100);
  });
});

describe("validateStoredBatch", () => {
  test("takes every batch that Kafka wrote, wherever it lies", () => {
    for (const { bytes } of readBatches()) {
      const b = Buffer.concat([Buffer.alloc(5), bytes, Buffer.alloc(3)]);
      expect(validateStoredBatch(b, 5)).toEqual({ kind: "ok", bytes: bytes.length });
      expect(validateStoredBatch(b, 5, 5 + bytes.length)).toEqual({ kind: "ok", bytes: bytes.length });
      expect(validateStoredBatch(b, 5, 4 + bytes.length)).toEqual({ kind: "incomplete", bytes: bytes.length });
    }
  });

  test("says how much it needs", () => {
    const { bytes } = readBatch("none-one");
    expect(validateStoredBatch(bytes, 0, 0)).toEqual({ kind: "incomplete", bytes: 61 });
    expect(validateStoredBatch(bytes, 0, 16)).toEqual({ kind: "incomplete", bytes: 61 });
    expect(validateStoredBatch(bytes, 0, 17)).toEqual({ kind: "incomplete", bytes: bytes.length });
  });

  test("names what is wrong", () => {
    const reason = (change: (b: Buffer) => void, refit = true) => {
      const { bytes } = readBatch("none-one");
      change(bytes);
      if (refit) bytes.writeUInt32BE(crc32c(bytes, 21), 17);
      const found = validateStoredBatch(bytes, 0);
      return found.kind === "corrupt" ? found.reason : found.kind;
    };
    expect(reason((b) => b.fill(0))).toContain("magic 0");
    expect(reason((b) => b.writeInt8(1, 16))).toContain("magic 1");
    expect(reason((b) => b.writeInt32BE(48, 8))).toContain("60 bytes");
    expect(reason((b) => b.writeInt32BE(-1, 8))).toContain("11 bytes");
    expect(reason((b) => b.writeInt32BE(-(2 ** 31), 8))).toContain("bytes");
    expect(reason((b) => b.writeInt8(1, 30), false)).toContain("crc");
    expect(reason((b) => b.writeInt32BE(-1, 23))).toContain("last offset delta -1");
    expect(reason((b) => b.writeInt32BE(-5, 57))).toContain("record count -5");
    expect(reason((b) => expect(lastOffsetDelta(b, 0)).toBe(0))).toBe("ok");
  });

  test("any changed byte is caught, but for base offset and leader epoch", () => {
    const { bytes } = readBatch("transactional");
    for (let at = 8; at < bytes.length; at++) {
      if (at >= 12 && at < 16) continue;
      const changed = Buffer.from(bytes);
      changed[at]! ^= 0x40;
      expect([at, validateStoredBatch(changed, 0).kind]).not.toEqual([at, "ok"]);
    }
  });
});
