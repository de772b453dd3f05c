/**
 * Hostile frames from a seed: requests of every API and version with values at the edges, the same with bytes changed, and frames that
 * lie about lengths, counts and what unpacks from them.
 */

import { gzipSync } from "node:zlib";
import { Writer } from "../../src/bytes/writer.ts";
import { writeRequest } from "../../src/protocol/frames.ts";
import { APIS } from "../../src/protocol/messages/index.ts";
import { type AnyApi, type AnyField, covers, type Fields, parseVersions } from "../../src/protocol/schema.ts";
import type { SeededRandom } from "../sim/seeded-random.ts";
import { int16, int32, int64, request, string } from "../support/wire.ts";
import { batchOf, noProducer, sealBatch, varint } from "./batches.ts";

const words = [
  "fuzz",
  "fuzz",
  "fuzz",
  "",
  ".",
  "..",
  "../x",
  "__consumer_offsets",
  "a".repeat(249),
  "a".repeat(300),
  "é\u0000",
  "group",
];
const counts = [0, 1, 2, -1, -2, 100, 1001, 100_001, 0x7fffffff, -0x80000000, 0x40000000];
const longs = [0, 1, -1, -2, 5, 1000, 2 ** 31, 2 ** 53, -(2 ** 53)];
/** Fields that make an answer wait, which is no fault: kept short. */
const waits = new Set(["maxWaitMs", "timeoutMs", "rebalanceTimeoutMs", "sessionTimeoutMs"]);

/** How a record begins whose value is 1 GiB of zeros: whoever checks it has to go on to its end. */
const endlessRecord = Buffer.concat([varint((1 << 30) + 10), Buffer.from([0, 0, 0, 1]), varint(1 << 30)]);
const endless = Buffer.concat([endlessRecord, Buffer.alloc(128 << 20)]);

/** An LZ4 block of one literal and a match of distance 1 that goes on for 4 MiB; with its size before it. */
function lz4Block(): Buffer {
  const block = Buffer.concat([Buffer.from([0x1f, 0, 1, 0]), Buffer.alloc(16_445, 255), Buffer.from([0, 0x10, 0])]);
  return Buffer.concat([lz4Size(block.length), block]);
}

const lz4Size = (word: number): Buffer => Buffer.from(new Uint32Array([word]).buffer);

/** They unpack to 128 MiB, but for snappy, which cannot make more than 21 of one. */
const bomb = {
  gzip: gzipSync(endless, { level: 6 }),
  zstd: Buffer.from(Bun.zstdCompressSync(endless)),
  snappy: Buffer.concat([
    Buffer.from([0x8f, 0x88, 0x89, 0x0a, endlessRecord.length << 2]),
    endlessRecord,
    Buffer.from([0]),
    Buffer.alloc(3 * 330_000, Buffer.from([0xfe, 1, 0])),
  ]),
  lz4: Buffer.concat([
    Buffer.from("04224d18607073", "hex"),
    lz4Size((0x8000_0000 | endlessRecord.length) >>> 0),
    endlessRecord,
    ...Array<Buffer>(32).fill(lz4Block()),
    Buffer.alloc(4),
  ]),
};

/** Record bytes that a producer should not send. */
export function hostileRecords(random: SeededRandom): Buffer {
  const good = () => batchOf([Buffer.from("fuzz"), Buffer.alloc(random.int(100))], noProducer, -1);
  const sealed = (body: Buffer, attributes: number, count: number) => sealBatch(body, count, noProducer, -1, attributes);
  switch (random.int(9)) {
    case 0:
      return good();
    case 1:
      return Buffer.concat([good(), good()]);
    case 2:
      return sealed(bomb.gzip, 1, 1 + random.int(3));
    case 3:
      return sealed(bomb.zstd, 4, 1);
    case 4: // snappy and lz4 that promise much
      return random.chance(0.5)
        ? sealed(Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.from(random.bytes(40))]), 2, 1)
        : sealed(Buffer.concat([Buffer.from("04224d186070730000ff7f", "hex"), Buffer.from(random.bytes(64))]), 3, 1);
    case 5: // counts and lengths that the CRC vouches for
      return sealed(Buffer.from(random.bytes(random.int(80))), random.int(65536) - 32768, random.pick(counts));
    case 6: {
      const length = random.pick([0x7fffffff, -1, 0x3fffffff, -0x80000000, 5]);
      const record = Buffer.concat([Buffer.from([0, 0, 0]), varint(length), varint(length), Buffer.from("xyz")]);
      return sealed(Buffer.concat([varint(random.pick([record.length, 0x7fffffff, -5])), record]), 0, 1);
    }
    case 7: {
      const damaged = good();
      damaged[random.int(damaged.length)]! ^= 1 << random.int(8);
      return damaged;
    }
    default:
      return good().subarray(0, random.int(90));
  }
}

function scalarOf(kind: string, name: string, random: SeededRandom): unknown {
  if (waits.has(name)) return random.int(100);
  const bits = /\d+/.exec(kind)?.[0];
  switch (kind) {
    case "bool":
      return random.chance(0.5);
    case "uuid":
      return random.chance(0.3) ? "AAAAAAAAAAAAAAAAAAAAAA" : Buffer.from(random.bytes(16)).toString("base64url");
    case "float64":
      return random.pick([0, -1, Number.NaN, Number.MAX_VALUE]);
    case "int64":
      return random.pick(longs);
    case "int32":
      return random.chance(0.6) ? random.int(3) : random.pick(counts);
    case "uint32":
      return random.int(2 ** 31);
    default:
      return kind.startsWith("u") ? random.int(2 ** Number(bits)) : random.int(4) - 1;
  }
}

function valueOfField(field: AnyField, name: string, version: number, random: SeededRandom, depth: number): unknown {
  if (covers(field.nullableVersions, version) && random.chance(0.15)) return null;
  switch (field.kind) {
    case "string":
      return random.pick(words);
    case "bytes":
      return random.bytes(random.int(random.chance(0.1) ? 3000 : 30));
    case "records":
      return hostileRecords(random);
    case "struct":
      return message(field.of as Fields, version, random, depth + 1);
    case "array": {
      const count = random.chance(0.02) && depth === 0 && name !== "topicData" ? 3000 : random.int(4);
      return Array.from({ length: count }, () => valueOfField(field.of as AnyField, name, version, random, depth + 1));
    }
    default:
      return scalarOf(field.kind, name, random);
  }
}

function message(fields: Fields, version: number, random: SeededRandom, depth = 0): Record<string, unknown> {
  const made: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields))
    if (covers(field.versions, version)) made[name] = valueOfField(field, name, version, random, depth);
  return made;
}

/** A request that is well formed, though what it says may be nonsense. */
export function wellFormed(random: SeededRandom): Buffer {
  const api: AnyApi = random.pick(APIS);
  const range = parseVersions(api.declared)!;
  const version = range.min + random.int(range.max - range.min + 1);
  const start = { correlationId: random.int(1 << 30), clientId: random.pick(words) };
  return Buffer.concat(writeRequest(new Writer(), api, version, start, message(api.request, version, random)));
}

/** Changes a frame; its size may then lie. Never makes it a request of more than 4 MiB. */
function mutate(frame: Buffer, random: SeededRandom): Buffer {
  let changed = Buffer.from(frame);
  for (let n = 1 + random.int(4); n > 0; n--) {
    const at = 4 + random.int(Math.max(1, changed.length - 4));
    switch (random.int(7)) {
      case 0:
      case 1:
        if (at < changed.length) changed[at]! ^= 1 << random.int(8);
        break;
      case 2:
        if (at + 4 <= changed.length) changed.writeInt32BE(random.pick(counts), at);
        break;
      case 3: // a varint, as long as it may be or longer
        changed = Buffer.concat([
          changed.subarray(0, at),
          Buffer.alloc(random.pick([4, 5, 9, 10]), 0xff),
          Buffer.from([0x0f]),
          changed.subarray(at),
        ]);
        break;
      case 4:
        changed = changed.subarray(0, at);
        break;
      case 5:
        changed = Buffer.concat([changed, Buffer.from(random.bytes(random.int(50)))]);
        break;
      default:
        if (at + 2 <= changed.length) changed.writeInt16BE(random.pick([-1, 0x7fff, -0x8000, 0]), at);
    }
  }
  if (changed.length >= 4)
    changed.writeInt32BE(random.chance(0.95) ? changed.length - 4 : random.pick([0, -1, 3, changed.length + 10, 0x7fffffff]));
  return changed;
}

/** A frame of one of all kinds. */
export function hostileFrame(random: SeededRandom): Buffer {
  const kind = random.int(20);
  if (kind < 6) return wellFormed(random);
  if (kind < 19) return mutate(wellFormed(random), random);
  const size = random.int(4000);
  return Buffer.concat([int32(size), Buffer.from(random.bytes(size))]);
}

/** Frames of up to a mebibyte, and a little more, that try to cost more than they are: by name. Some hold nearly as many items as are allowed. */
export function largeFrames(): Map<string, Buffer> {
  const many = (count: number, item: Buffer) => Buffer.concat([int32(count), Buffer.alloc(count * item.length, item)]);
  const produce = (records: Buffer) => {
    // Version 7: the first that takes zstd.
    const body = [int16(-1), int16(-1), int32(1000), int32(1), string("fuzz"), int32(1), int32(0)];
    return request(0, 7, 1, Buffer.concat([...body, int32(records.length), records]));
  };
  const flexible = (key: number, version: number, body: Buffer) =>
    request(key, version, 1, Buffer.concat([Buffer.from([0]), body]));
  const uvarint = (n: number) => {
    const bytes: number[] = [];
    for (; n > 127; n = Math.floor(n / 128)) bytes.push((n % 128) | 128);
    return Buffer.from([...bytes, n]);
  };
  const tags = Buffer.concat(
    Array.from({ length: 100_000 }, (_, tag) => Buffer.concat([uvarint(1000 + tag), Buffer.from([1, 0])])),
  );
  const topicOfMany = Buffer.concat([string("t"), int32(0x7fffffff), int16(1), int32(0), int32(0)]);
  const fetchHead = [int32(-1), int32(10), int32(0), int32(1000), Buffer.from([0])];
  const emptyRecords = (count: number) =>
    sealBatch(Buffer.alloc(count * 7, Buffer.from([12, 0, 0, 0, 1, 1, 0])), count, noProducer, -1);
  return new Map([
    ["metadata of 300,000 empty names", request(3, 1, 1, many(300_000, string("")))],
    ["metadata of 39,000 names", request(3, 1, 1, many(39_000, string("a".repeat(24))))],
    [
      "fetch of 175,000 topics",
      request(1, 4, 1, Buffer.concat([...fetchHead, many(175_000, Buffer.concat([string(""), int32(0)]))])),
    ],
    [
      "produce of 39,000 partitions",
      request(
        0,
        3,
        1,
        Buffer.concat([
          int16(-1),
          int16(-1),
          int32(9),
          int32(1),
          string("fuzz"),
          many(39_000, Buffer.concat([int32(7), int32(-1)])),
        ]),
      ),
    ],
    ["topics of 2^31-1 partitions", request(19, 2, 1, Buffer.concat([many(39_000, topicOfMany), int32(1000), Buffer.from([0])]))],
    ["100,000 unknown tags", flexible(3, 9, Buffer.concat([Buffer.from([1, 0, 0, 0]), uvarint(100_000), tags]))],
    ["a gzip bomb", produce(Buffer.concat([sealBatch(bomb.gzip, 1, noProducer, -1, 1)]))],
    [
      "a gzip bomb of a mebibyte",
      produce(sealBatch(gzipSync(Buffer.concat([endlessRecord, Buffer.alloc(1000 << 20)]), { level: 6 }), 1, noProducer, -1, 1)),
    ],
    ["a zstd bomb", produce(sealBatch(bomb.zstd, 1, noProducer, -1, 4))],
    ["a snappy bomb", produce(sealBatch(bomb.snappy, 1, noProducer, -1, 2))],
    ["an lz4 bomb", produce(sealBatch(bomb.lz4, 1, noProducer, -1, 3))],
    ["145,000 records", produce(emptyRecords(145_000))],
    ["a mebibyte of one record", produce(batchOf([Buffer.alloc(1_000_000)], noProducer, -1))],
    [
      "names of groups",
      request(
        8,
        2,
        1,
        Buffer.concat([
          string("g"),
          int32(-1),
          string(""),
          int64(-1),
          many(39_000, Buffer.concat([string("a".repeat(20)), int32(0)])),
        ]),
      ),
    ],
  ]);
}
