import { describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { readBatch, readBatches } from "../../test/fixtures/record/read.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Codec } from "./batch.ts";
import { decompress } from "./compression.ts";
import { xxHash32 } from "./xx-hash.ts";

const MIB = 1 << 20;
const CODECS = ["gzip", "snappy", "lz4", "zstd"] as const;

/** The error's name if it is one of ours; anything else thrown fails the test. */
function outcome(codec: number, bytes: Buffer, maxBytes = MIB): string | number {
  try {
    return decompress(codec, bytes, 0, bytes.length, maxBytes).length;
  } catch (error) {
    if (error instanceof KafkaError) return error.error;
    throw error;
  }
}

const payload = (name: string): Buffer => readBatch(name).bytes.subarray(61);

/** A small generator (mulberry32) with a seed, so that a failure can be had again. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

describe("the bound", () => {
  for (const codec of CODECS) {
    test(`${codec}: exact to the byte`, () => {
      const bytes = payload(`${codec}-large`);
      const length = outcome(Codec[codec], bytes) as number;
      expect(length).toBeGreaterThan(270_000);
      expect(outcome(Codec[codec], bytes, length)).toBe(length);
      expect(outcome(Codec[codec], bytes, length - 1)).toBe("MESSAGE_TOO_LARGE");
      expect(outcome(Codec[codec], bytes, 1)).toBe("MESSAGE_TOO_LARGE");
    });
  }

  test("no compression is a view and not bounded", () => {
    const bytes = Buffer.from("abc");
    expect(decompress(Codec.none, bytes, 1, 3, 0).toString()).toBe("bc");
  });

  test("unknown codecs", () => {
    for (const codec of [5, 6, 7]) expect(outcome(codec, Buffer.from("abc"))).toBe("UNSUPPORTED_COMPRESSION_TYPE");
  });
});

describe("decompression bombs of 1 MiB are refused in time and space", () => {
  const BOUND = 16 * MIB;
  const repeat = (part: Buffer): Buffer => Buffer.concat(Array(Math.floor(MIB / part.length)).fill(part));
  const zeros = Buffer.alloc(MIB);
  const bombs: Record<(typeof CODECS)[number], Buffer> = {
    // A thousand gzip members of 1 MiB each: 1 GiB.
    gzip: repeat(gzipSync(zeros)),
    // One block of 64-byte copies in 3 bytes each: 21 MiB.
    snappy: snappyBomb(),
    // Blocks of 4 MiB whose matches go on and on: 255 MiB.
    lz4: lz4Bomb(),
    // Run-length blocks of 128 KiB in 4 bytes: 32 GiB.
    zstd: zstdBomb(),
  };
  for (const codec of CODECS) {
    test(codec, () => {
      expect(bombs[codec].length).toBeGreaterThan(MIB * 0.99);
      const rssBefore = process.memoryUsage.rss();
      const cpuBefore = process.cpuUsage(); // the machine may be busy with other things
      expect(outcome(Codec[codec], bombs[codec], BOUND)).toBe("MESSAGE_TOO_LARGE");
      const { user, system } = process.cpuUsage(cpuBefore);
      expect((user + system) / 1000).toBeLessThan(1000);
      expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(4 * BOUND);
    });
  }

  test("many small zstd frames", () => {
    expect(outcome(Codec.zstd, repeat(zstdCompressSync(zeros)), BOUND)).toBe("MESSAGE_TOO_LARGE");
  });

  test("a snappy block that claims more than it can hold allocates nothing", () => {
    expect(outcome(Codec.snappy, Buffer.from([0xff, 0xff, 0xff, 0x7f, 0, 0]), BOUND)).toBe("INVALID_RECORD");
  });

  function snappyBomb(): Buffer {
    const copies = Math.floor((MIB - 8) / 3);
    const preamble = [];
    for (let rest = 1 + copies * 64; rest > 0; rest = Math.floor(rest / 128))
      preamble.push((rest % 128) | (rest >= 128 ? 128 : 0));
    return Buffer.concat([Buffer.from([...preamble, 0, 0]), Buffer.alloc(copies * 3, Buffer.from([0xfe, 1, 0]))]);
  }

  function lz4Bomb(): Buffer {
    // One literal, a match of distance 1 with 16 KiB of length bytes, one last literal.
    const block = Buffer.concat([Buffer.from([0x1f, 0, 1, 0]), Buffer.alloc(16000, 255), Buffer.from([0, 0x10, 0])]);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(block.length);
    const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0]);
    header[6] = (xxHash32(header, 4, 6) >>> 8) & 0xff;
    return Buffer.concat([header, repeat(Buffer.concat([size, block])), Buffer.alloc(4)]);
  }

  function zstdBomb(): Buffer {
    // A block's three bytes are its size << 3 | its type << 1 | whether it is the last; then the byte to repeat.
    const blocks = Buffer.alloc(MIB - 16, Buffer.from([0x02, 0x00, 0x10, 0x00]));
    blocks[blocks.length - 4]! |= 1;
    return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]), blocks]);
  }
});

describe("malformed streams are INVALID_RECORD or another stream, never anything else", () => {
  for (const codec of CODECS) {
    const streams = readBatches()
      .filter((fixture) => fixture.compression === codec)
      .map((fixture) => fixture.bytes.subarray(61));

    test(`${codec}: cut short`, () => {
      for (const stream of streams.filter((s) => s.length < 600)) {
        const whole = outcome(Codec[codec], stream);
        for (let length = 0; length < stream.length; length++) {
          const result = outcome(Codec[codec], Buffer.from(stream.subarray(0, length)));
          // Concatenated streams may be cut between two.
          if (typeof result === "number") expect(result).toBeLessThan(whole as number);
          else expect(result).toBe("INVALID_RECORD");
        }
      }
    });

    test(`${codec}: with changed bytes`, () => {
      const below = generator(1);
      for (const stream of streams) {
        for (let i = 0; i < 300; i++) {
          const changed = Buffer.from(stream);
          for (let n = below(4); n >= 0; n--) changed[below(changed.length)] = below(256);
          outcome(Codec[codec], changed);
        }
      }
    });

    test(`${codec}: noise`, () => {
      const below = generator(2);
      for (let i = 0; i < 2000; i++) {
        const noise = Buffer.from(Array.from({ length: below(200) }, () => below(256)));
        outcome(Codec[codec], noise, 10_000);
        // Behind a right beginning it gets further.
        outcome(Codec[codec], Buffer.concat([streams[0]!.subarray(0, below(24)), noise]), 10_000);
      }
    });
  }

  test("zstd: bytes after the last frame, and a frame without its checksum", () => {
    const stream = payload("zstd-mixed");
    expect(outcome(Codec.zstd, stream)).toBeNumber();
    expect(outcome(Codec.zstd, Buffer.concat([stream, Buffer.from("tail")]))).toBe("INVALID_RECORD");
    const withChecksum = Buffer.from(stream);
    withChecksum[4]! |= 0x04;
    expect(outcome(Codec.zstd, withChecksum)).toBe("INVALID_RECORD");
    const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]);
    expect(outcome(Codec.zstd, Buffer.concat([stream, skippable]))).toBe(outcome(Codec.zstd, stream));
    expect(outcome(Codec.zstd, Buffer.concat([skippable, stream]))).toBe(outcome(Codec.zstd, stream));
  });

  test("lz4: wrong checksums, dependent blocks, reserved bits", () => {
    const stream = payload("lz4-all-options");
    expect(outcome(Codec.lz4, stream)).toBeNumber();
    for (const at of [4, 5, 6, 13, 14, 20]) {
      const changed = Buffer.from(stream);
      changed[at]! ^= 1;
      expect([at, outcome(Codec.lz4, changed)]).toEqual([at, "INVALID_RECORD"]);
    }
    const dependent = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0, 0, 0, 0, 0]);
    dependent[6] = (xxHash32(dependent, 4, 6) >>> 8) & 0xff;
    expect(outcome(Codec.lz4, dependent)).toBe("INVALID_RECORD");
  });
});

// Vectors of the reference implementation (xxHash's `xxhsum -H0`, lz4-java's XXHashFactory).
test.each([
  ["", 0x02cc5d05],
  ["a", 0x550d7456],
  ["abc", 0x32d153ff],
  ["Nobody inspects the spammish repetition", 0xe2293b2f],
])("xxHash32 of %p", (text, expected) => {
  const bytes = Buffer.from(text);
  expect(xxHash32(bytes, 0, bytes.length)).toBe(expected);
});
