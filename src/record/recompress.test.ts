import { describe, expect, test } from "bun:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import {
  FIXTURE_LEADER_EPOCH,
  FIXTURE_NOW_MS,
  FIXTURE_PARTITION,
  readRecompressed,
  type VerdictFixture,
} from "../../test/fixtures/record/read.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Codec, type CodecName, compressionType, setPartitionLeaderEpoch } from "./batch.ts";
import { decompress } from "./compression.ts";
import { newCompressor, type Target } from "./recompress.ts";
import { RecordErrors, validateClientBatch, validateStoredBatch } from "./validate.ts";

const MIB = 1 << 20;
const targetOf = (name: string): Target => ({
  codec: name === "uncompressed" ? "none" : (name as CodecName),
  level: { gzip: -1, lz4: 9, zstd: 3 }[name] ?? 0,
});

/** The error as a client sees it, or the batch. */
function judge(fixture: VerdictFixture): Buffer | { error: string; recordErrors?: [number, string][] } {
  try {
    const { bytes } = validateClientBatch(fixture.bytes, {
      ...fixture,
      beforeMaxMs: fixture.beforeMaxMs ?? 2 ** 63,
      nowMs: FIXTURE_NOW_MS,
      maxDecompressedBytes: MIB,
      maxZstdWindowBytes: MIB,
      target: fixture.compressionType === undefined ? null : targetOf(fixture.compressionType),
      topicPartition: FIXTURE_PARTITION,
    });
    setPartitionLeaderEpoch(bytes, 0, FIXTURE_LEADER_EPOCH);
    return bytes;
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    if (!(error instanceof RecordErrors)) return { error: error.error };
    return { error: error.error, recordErrors: error.recordErrors.map((e) => [e.batchIndex, e.batchIndexErrorMessage]) };
  }
}

/** All of the header but its size and CRC, which depend on the compressor. */
const header = (b: Buffer) => Buffer.concat([b.subarray(0, 8), b.subarray(12, 17), b.subarray(21, 61)]).toString("hex");
const body = (b: Buffer) => decompress(compressionType(b, 0), b, 61, b.length, MIB).toString("hex");

describe("Kafka's verdicts on batches by the topic's compression", () => {
  const fixtures = readRecompressed();
  test("there are many of each kind", () => {
    expect(fixtures.filter((f) => f.stored !== undefined).length).toBeGreaterThan(250);
    expect(fixtures.filter((f) => f.error !== undefined).length).toBeGreaterThan(150);
  });

  for (const fixture of fixtures) {
    test(`${fixture.name}: ${fixture.error ?? "stored"}`, () => {
      const ours = judge(fixture);
      if (fixture.stored === undefined) {
        const { error, recordErrors } = fixture;
        return expect<unknown>(ours).toEqual({ error, ...(recordErrors && { recordErrors }) });
      }
      const kafkas = Buffer.from(fixture.stored, "base64");
      expect(ours).toBeInstanceOf(Buffer);
      const batch = ours as Buffer;
      expect(header(batch)).toBe(header(kafkas));
      expect(body(batch)).toBe(body(kafkas));
      expect(validateStoredBatch(batch, 0)).toEqual({ kind: "ok", bytes: batch.length });
      const isKept = compressionType(fixture.bytes, 0) === compressionType(kafkas, 0);
      // Kept as it came, or not compressed: every byte is Kafka's.
      if (isKept || fixture.compressionType === "uncompressed") expect(batch.toString("hex")).toBe(kafkas.toString("hex"));
    });
  }
});

/** Contents that compressors meet: nothing, runs, text, noise; of sizes around those of blocks. */
function contents(): Buffer[] {
  let state = 3;
  const next = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    return (state >>> 8) % below;
  };
  const noise = Buffer.from(Array.from({ length: 200_000 }, () => next(256)));
  const text = Buffer.from(Array.from({ length: 40_000 }, () => `w${next(300)} `).join(""));
  const near = Buffer.concat(Array.from({ length: 300 }, () => noise.subarray(next(3000), 3000 + next(400))));
  const made: Buffer[] = [];
  for (const whole of [
    noise,
    text,
    near,
    Buffer.alloc(200_000),
    Buffer.alloc(200_000, "ab"),
    Buffer.alloc(200_000, noise.subarray(0, 70)),
  ])
    for (const size of [
      0, 1, 4, 5, 11, 12, 13, 15, 16, 17, 60, 64, 100, 1000, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 150_000,
    ])
      made.push(whole.subarray(0, size));
  return made;
}

describe("compressors", () => {
  const compressed = (target: Target, bytes: Buffer, pieceBytes: number, maxBytes = MIB): Buffer | null => {
    const compressor = newCompressor(target, maxBytes);
    const scratch = Buffer.alloc(pieceBytes);
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const count = bytes.copy(scratch, 0, at, at + pieceBytes);
      compressor.write(scratch.subarray(0, count));
      scratch.fill(0xee); // a piece is only lent
    }
    return compressor.finish(0);
  };

  const targets: Target[] = [
    { codec: "none", level: 0 },
    { codec: "snappy", level: 0 },
    ...[-1, 1, 6, 9].map((level) => ({ codec: "gzip", level }) as const),
    ...[1, 2, 5, 9, 12, 17].map((level) => ({ codec: "lz4", level }) as const),
    ...[-100, 0, 1, 3, 9, 19].map((level) => ({ codec: "zstd", level }) as const),
  ];
  const all = contents();
  for (const target of targets) {
    test(`${target.codec} ${target.level}: what is compressed comes back`, () => {
      const slow = target.codec === "zstd" && target.level > 9;
      for (const bytes of slow ? all.filter((b) => b.length < 2000) : all) {
        const whole = compressed(target, bytes, 65_536)!;
        const back = decompress(Codec[target.codec], whole, 0, whole.length, MIB);
        expect(back.equals(bytes), `${bytes.length}`).toBe(true);
        if (target.codec === "gzip") expect(gunzipSync(whole).equals(bytes)).toBe(true);
        if (target.codec === "zstd") expect(zstdDecompressSync(whole).equals(bytes)).toBe(true);
        if (bytes.length > 0 && bytes.length < 40_000) {
          const cut = compressed(target, bytes, 777)!;
          expect(decompress(Codec[target.codec], cut, 0, cut.length, MIB).equals(bytes)).toBe(true);
        }
      }
    });

    test(`${target.codec} ${target.level}: no more than is allowed`, () => {
      const bytes = all.find((b) => b.length === 32_769)!;
      const { length } = compressed(target, bytes, 4096)!;
      expect(compressed(target, bytes, 4096, length)!.length).toBe(length);
      expect(compressed(target, bytes, 4096, length - 1)).toBeNull();
      expect(compressed(target, bytes, 4096, 0)).toBeNull();
    });
  }

  test("levels matter", () => {
    const text = all.filter((b) => b.length === 65_536)[1]!;
    const size = (codec: CodecName, level: number) => compressed({ codec, level }, text, 65_536)!.length;
    expect(size("gzip", 9)).toBeLessThan(size("gzip", 1));
    expect(size("zstd", 9)).toBeLessThan(size("zstd", 1));
    expect(size("lz4", 12)).toBeLessThan(size("lz4", 9));
    expect(size("lz4", 1)).toBeLessThan(size("lz4", 9)); // as in Kafka: 9 is the fast one
    expect(size("snappy", 0)).toBeLessThan(text.length);
  });

  test("zstd of more than it gathers", () => {
    const bytes = Buffer.alloc(9 * MIB, all.filter((b) => b.length === 150_000)[1]!);
    const whole = compressed({ codec: "zstd", level: 3 }, bytes, 65_536)!;
    expect(zstdDecompressSync(whole).equals(bytes)).toBe(true);
    expect(whole.length).toBeLessThan(MIB);
  });
});
