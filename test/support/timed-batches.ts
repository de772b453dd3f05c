/** Batches whose records have the times that a test wants, in any codec, by hand: so that each compressed one holds what it should. */
import { gzipSync, zstdCompressSync } from "node:zlib";
import { varint } from "../torture/batches.ts";
import type { Codec } from "./driver.ts";
import { crc32c, int16, int32, int64 } from "./wire.ts";

const codecIds: Record<Codec, number> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 };

/** A signed varint of up to 2^53. */
function varlong(n: number): Buffer {
  let left = BigInt.asUintN(64, (BigInt(n) << 1n) ^ (BigInt(n) >> 63n));
  const bytes: number[] = [];
  for (; left > 0x7fn; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(left)]);
}

/** The simplest that each format allows: snappy as one literal, lz4 as one block that is not compressed. */
function packed(codec: Codec, body: Buffer): Buffer {
  switch (codec) {
    case "none":
      return body;
    case "gzip":
      return gzipSync(body);
    case "zstd":
      return zstdCompressSync(body);
    case "snappy": {
      const sizes = [body.length & 0x7f, body.length >>> 7].map((seven, i) => (i === 0 ? seven | 0x80 : seven));
      const last = body.length - 1; // below 2^14, as the varint above
      return Buffer.concat([Buffer.from([...sizes, 61 << 2, last & 0xff, last >>> 8]), body]);
    }
    case "lz4": {
      const size = Buffer.alloc(4);
      size.writeUInt32LE((0x8000_0000 | body.length) >>> 0);
      return Buffer.concat([Buffer.from("04224d18604082", "hex"), size, body, Buffer.alloc(4)]);
    }
  }
}

/** What the header says instead of what is right. */
export interface Lies {
  maxTimestamp?: number;
  /** Beside the codec. */
  attributes?: number;
}

/** A batch of a record for each time, with a key and `valueBytes` of value each. */
export function timedBatch(codec: Codec, times: readonly number[], valueBytes = 10, lies: Lies = {}): Buffer {
  const base = times[0]!;
  const records = times.map((time, i) => {
    const value = Buffer.alloc(valueBytes, `${time} `);
    const parts = [Buffer.from([0]), varlong(time - base), varint(i), varint(1), Buffer.from("k"), varint(value.length), value];
    const body = Buffer.concat([...parts, varint(0)]);
    return Buffer.concat([varint(body.length), body]);
  });
  const sealed = Buffer.concat([
    ...[int16(codecIds[codec] | (lies.attributes ?? 0)), int32(times.length - 1)],
    ...[int64(base), int64(lies.maxTimestamp ?? Math.max(...times)), int64(-1), int16(-1), int32(-1), int32(times.length)],
    packed(codec, Buffer.concat(records)),
  ]);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32c(sealed));
  return Buffer.concat([int64(0), int32(sealed.length + 9), int32(-1), Buffer.from([2]), crc, sealed]);
}
