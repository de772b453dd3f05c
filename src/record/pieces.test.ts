import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { readBatches } from "../../test/fixtures/record/read.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Codec } from "./batch.ts";
import { unpack } from "./compression.ts";
import type { Pieces } from "./pieces.ts";
import { anyRecords, skimRecords } from "./skim.ts";
import { xxHash32 } from "./xx-hash.ts";

const MIB = 1 << 20;

/** A hash of everything, and the size; the error's name if it is one of ours. */
function contents(codec: number, bytes: Buffer, windowMaxBytes?: number): { bytes: number; sha: string } | string {
  const hash = new Bun.CryptoHasher("sha1");
  let count = 0;
  try {
    const pieces = unpack(codec, bytes, windowMaxBytes);
    try {
      for (let piece = pieces.next(); piece !== null; piece = pieces.next()) {
        expect(piece.length).toBeGreaterThan(0);
        hash.update(piece);
        count += piece.length;
      }
    } finally {
      pieces.done();
    }
  } catch (error) {
    if (error instanceof KafkaError) return error.error;
    throw error;
  }
  return { bytes: count, sha: hash.digest("hex") };
}

const shaOf = (bytes: Buffer) => ({ bytes: bytes.length, sha: new Bun.CryptoHasher("sha1").update(bytes).digest("hex") });

/** Text that compresses to a third or so; noise of a seed. */
function text(bytes: number): Buffer {
  let state = 7;
  const words: string[] = [];
  for (let size = 0; size < bytes; size += words.at(-1)!.length) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    words.push(`word${(state >>> 8) % 5000} `);
  }
  return Buffer.from(words.join("")).subarray(0, bytes);
}

const noise = (bytes: number): Buffer => {
  const made = Buffer.alloc(bytes);
  let state = 99;
  for (let i = 0; i < bytes; i += 4) {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    made.writeInt32LE(t ^ (t >>> 14), i);
  }
  return made;
};

/** How much the process had at most more than before while `run` ran, in bytes. */
function peakOf(run: () => void): number {
  const high = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024;
  Bun.gc(true);
  writeFileSync("/proc/self/clear_refs", "5");
  const before = high();
  run();
  return high() - before;
}

const uvarint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) | 128, ...uvarint(Math.floor(value / 128))]);

/** A raw snappy block: 1,000 bytes as they are, repeated `times` times by copies of 50 bytes. */
function snappyBlock(times: number): { block: Buffer; unpacked: Buffer } {
  const unit = noise(1000);
  const literal = Buffer.concat([Buffer.from([61 << 2, 999 & 255, 999 >>> 8]), unit]);
  const copies = Buffer.alloc(times * 20 * 3, Buffer.from([(49 << 2) | 2, 1000 & 255, 1000 >>> 8]));
  const length = 1000 * (times + 1);
  return {
    block: Buffer.concat([Buffer.from(uvarint(length)), literal, copies]),
    unpacked: Buffer.alloc(length, unit),
  };
}

const zstd = (bytes: Buffer, params: Record<number, number> = {}) => zstdCompressSync(bytes, { params });

describe("what comes out does not depend on its size", () => {
  const big = text(12 * MIB);
  test("gzip", () => {
    expect(contents(Codec.gzip, gzipSync(big, { level: 1 }))).toEqual(shaOf(big));
    const two = Buffer.concat([
      gzipSync(big.subarray(0, 65_536)),
      gzipSync(big.subarray(0, 65_535)),
      gzipSync(big.subarray(0, 1)),
    ]);
    expect(contents(Codec.gzip, two)).toEqual(
      shaOf(Buffer.concat([big.subarray(0, 65_536), big.subarray(0, 65_535), big.subarray(0, 1)])),
    );
  });

  const wide = { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_contentSizeFlag]: 0 };
  test("zstd, whatever window its frames ask for", () => {
    for (const bytes of [
      big,
      big.subarray(0, 8 * MIB + 1),
      big.subarray(0, 8 * MIB),
      big.subarray(0, 65_536),
      big.subarray(0, 1),
    ]) {
      const narrow = [{}, { [constants.ZSTD_c_windowLog]: 20, [constants.ZSTD_c_contentSizeFlag]: 0 }];
      for (const params of narrow) expect(contents(Codec.zstd, zstd(bytes, params), 8 * MIB)).toEqual(shaOf(bytes));
      const asked = [{ [constants.ZSTD_c_windowLog]: 27 }, wide, { ...wide, [constants.ZSTD_c_checksumFlag]: 1 }];
      for (const params of asked) {
        const compressed = zstd(bytes, params);
        expect(contents(Codec.zstd, compressed)).toEqual(shaOf(bytes));
        // Asking for a wide window is well as long as it is not needed.
        const fits = bytes.length <= 8 * MIB;
        expect(contents(Codec.zstd, compressed, 8 * MIB)).toEqual(fits ? shaOf(bytes) : "MESSAGE_TOO_LARGE");
      }
    }
    const parts = [10, 7 * MIB, 8 * MIB, 1000, 8 * MIB, 100_000, 10].map((size) => big.subarray(0, size));
    const frames = parts.map((part, i) => zstd(part, i % 3 === 0 ? {} : wide));
    expect(contents(Codec.zstd, Buffer.concat(frames), 8 * MIB)).toEqual(shaOf(Buffer.concat(parts)));
    const cut = Buffer.concat(frames).subarray(0, -1);
    expect(contents(Codec.zstd, cut, 8 * MIB)).toBe("INVALID_RECORD");
  });

  test("a snappy block of any size", () => {
    for (const times of [1, 64, 66, 8388, 8389, 20_000]) {
      const { block, unpacked } = snappyBlock(times);
      expect(contents(Codec.snappy, block)).toEqual(shaOf(unpacked));
      expect(contents(Codec.snappy, block.subarray(0, -1))).toBe("INVALID_RECORD");
      expect(contents(Codec.snappy, Buffer.concat([block, Buffer.from([0, 65])]))).toBe("INVALID_RECORD");
      const size = Buffer.alloc(4);
      size.writeInt32BE(block.length);
      const head = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
      expect(contents(Codec.snappy, Buffer.concat([head, size, block, size, block]))).toEqual(
        shaOf(Buffer.concat([unpacked, unpacked])),
      );
    }
  });

  test("a snappy literal of many megabytes, and a copy from far behind it", () => {
    const literal = noise(20 * MIB);
    const length = literal.length - 1;
    const tag = Buffer.from([63 << 2, length & 255, (length >>> 8) & 255, (length >>> 16) & 255, length >>> 24]);
    const plain = Buffer.concat([Buffer.from(uvarint(literal.length)), tag, literal]);
    expect(contents(Codec.snappy, plain)).toEqual(shaOf(literal));
    const copy = (distance: number) => {
      const element = Buffer.alloc(5);
      element[0] = (9 << 2) | 3;
      element.writeUInt32LE(distance, 1);
      return Buffer.concat([Buffer.from(uvarint(literal.length + 10)), tag, literal, element]);
    };
    const near = literal.subarray(-4 * MIB).subarray(0, 10);
    expect(contents(Codec.snappy, copy(4 * MIB))).toEqual(shaOf(Buffer.concat([literal, near])));
    expect(contents(Codec.snappy, copy(15 * MIB))).toBe("MESSAGE_TOO_LARGE");
    expect(contents(Codec.snappy, copy(20 * MIB + 1))).toBe("MESSAGE_TOO_LARGE");
    expect(contents(Codec.snappy, copy(0))).toBe("INVALID_RECORD");
  });
});

describe("what is held does not grow with what comes out", () => {
  const zeros = Buffer.alloc(200 * MIB);
  const lz4Block = Buffer.concat([Buffer.from([0x1f, 0, 1, 0]), Buffer.alloc(16_000, 255), Buffer.from([0, 0x10, 0])]);
  const lz4 = () => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(lz4Block.length);
    const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0]);
    header[6] = (xxHash32(header, 4, 6) >>> 8) & 0xff;
    return Buffer.concat([header, ...Array(25).fill(Buffer.concat([size, lz4Block])), Buffer.alloc(4)]);
  };
  const streamed = (windowLog: number) =>
    zstdCompressSync(zeros, { params: { [constants.ZSTD_c_windowLog]: windowLog, [constants.ZSTD_c_contentSizeFlag]: 0 } });
  const bombs: [string, number, Buffer, number][] = [
    ["gzip", Codec.gzip, gzipSync(zeros, { level: 6 }), 200],
    ["zstd", Codec.zstd, streamed(21), 200],
    ["zstd in one segment", Codec.zstd, zstd(zeros.subarray(0, 100 * MIB), { [constants.ZSTD_c_windowLog]: 27 }), 0],
    ["zstd with a window of 128 MiB", Codec.zstd, streamed(27), 0],
    ["snappy in one block", Codec.snappy, snappyBlock(80_000).block, 76],
    ["lz4", Codec.lz4, lz4(), 95],
  ];
  for (const [name, codec, bomb, atLeastMib] of bombs) {
    test(name, () => {
      let result: ReturnType<typeof contents> = "";
      contents(codec, bomb, 8 * MIB); // whatever the code itself needs
      const peak = peakOf(() => {
        result = contents(codec, bomb, 8 * MIB);
      });
      if (atLeastMib === 0) expect(result).toBe("MESSAGE_TOO_LARGE");
      else expect((result as unknown as { bytes: number }).bytes).toBeGreaterThanOrEqual(atLeastMib * MIB);
      expect(peak).toBeLessThan(20 * MIB);
    });
  }
});

describe("records that lie across pieces", () => {
  /** `bytes` in pieces of `size`, of which the last call's is overwritten as real ones are. */
  function cut(bytes: Buffer, size: number): Pieces {
    const scratch = Buffer.alloc(size);
    let at = 0;
    return {
      next() {
        scratch.fill(0xee);
        if (at === bytes.length) return null;
        const count = bytes.copy(scratch, 0, at, Math.min(at + size, bytes.length));
        at += count;
        return scratch.subarray(0, count);
      },
      done() {},
    };
  }

  const bodies = readBatches().filter((f) => f.compression === "none" && f.timestampType === "CreateTime" && f.recordCount > 0);
  test("there are such batches", () => expect(bodies.length).toBeGreaterThan(10));
  for (const fixture of bodies) {
    test(fixture.name, () => {
      const body = fixture.bytes.subarray(61);
      const deltas = fixture.records.map(([, timestampMs]) => timestampMs - fixture.baseTimestamp);
      const sizes = body.length > 5000 ? [1, 100, 4096] : [1, 2, 3, 5, 7, 11, 13, 64, 1000];
      for (const size of sizes) {
        const seen: [number, number, boolean][] = [];
        const skimmed = skimRecords(
          cut(body, size),
          anyRecords(fixture.recordCount),
          (_, offsetDelta, timestampDelta, hasKey) => {
            seen.push([fixture.baseOffset + offsetDelta, timestampDelta, hasKey]);
            return false;
          },
        );
        expect(seen).toEqual(fixture.records.map(([offset, , key], i) => [offset, deltas[i]!, key !== null]));
        expect(skimmed.maxTimestampDelta).toBe(Math.max(...deltas));
        expect(skimmed.minTimestampDelta).toBe(Math.min(...deltas));
        expect(skimmed.indexOfMaxTimestamp).toBe(deltas.indexOf(Math.max(...deltas)));
        expect(skimmed.firstIndexWithoutKey).toBe(fixture.records.findIndex(([, , key]) => key === null));
        for (const count of [fixture.recordCount - 1, fixture.recordCount + 1])
          if (count > 0) expect(() => skimRecords(cut(body, size), anyRecords(count))).toThrow(KafkaError);
        expect(() => skimRecords(cut(body.subarray(0, -1), size), anyRecords(fixture.recordCount))).toThrow(KafkaError);
        expect(() => skimRecords(cut(Buffer.concat([body, body.subarray(0, 1)]), size), anyRecords(fixture.recordCount))).toThrow(
          KafkaError,
        );
      }
    });
  }

  test("a fault ends the walk where it stands", () => {
    let pulled = 0;
    const endless: Pieces = {
      next() {
        pulled++;
        return Buffer.from([0x0a, 0, 0, 0, 1, 1, 0]); // five bytes are no record
      },
      done() {},
    };
    expect(() => skimRecords(endless, anyRecords(1000))).toThrow(KafkaError);
    expect(pulled).toBe(1);
  });
});
