/** Our files against bytes that Kafka 4.3.1's own classes wrote from the same input. */
import { describe, expect, test } from "bun:test";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { readWholeFile } from "../io/disk.ts";
import { lastOffset, maxTimestamp } from "../record/batch.ts";
import { buildBatch } from "../record/build.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import { OffsetIndex } from "./offset-index.ts";
import { OpenFile, OpenFiles } from "./open-files.ts";
import { decodePartitionMetadata, encodePartitionMetadata } from "./partition-metadata.ts";
import { BrokenSnapshot, decodeSnapshot, decodeWindows, encodeSnapshot, encodeWindows } from "./producer-snapshot.ts";
import type { ProducerEntry } from "./producer-state.ts";
import { NO_INDEX, Segment } from "./segment.ts";
import { TimeIndex } from "./time-index.ts";

function place() {
  const disk = new FakeDisk({ random: new SeededRandom(1) });
  disk.makeDirectory("/log");
  return {
    disk,
    files: new OpenFiles(disk, 10),
    hexOf: (path: string) => Buffer.from(readWholeFile(disk, path)!).toString("hex"),
  };
}

describe("OffsetIndex", () => {
  const bytes = "00000004000010040000000a0000206c00010d8877359400";

  test("writes what Kafka writes", () => {
    const { files, hexOf } = place();
    const index = new OffsetIndex(files, new OpenFile("/log/i"), 1000, 0, false);
    index.append(1004, 4100);
    index.append(1010, 8300);
    index.append(70000, 2_000_000_000);
    index.file.flush();
    expect(hexOf("/log/i")).toBe(bytes);
  });

  test("reads what Kafka wrote", () => {
    const { disk, files } = place();
    disk.open("/log/i", "create").write(Buffer.from(bytes, "hex"), 0);
    const index = new OffsetIndex(files, new OpenFile("/log/i"), 1000, 3, true);
    expect([999, 1000, 1003].map((offset) => index.lookUp(offset))).toEqual(Array(3).fill({ offset: 1000, position: 0 }));
    expect([1004, 1009].map((offset) => index.lookUp(offset))).toEqual(Array(2).fill({ offset: 1004, position: 4100 }));
    expect(index.lookUp(69_999)).toEqual({ offset: 1010, position: 8300 });
    expect(index.lookUp(1_000_000)).toEqual({ offset: 70_000, position: 2_000_000_000 });
  });
});

describe("TimeIndex", () => {
  const bytes = "0000018bcfe56800000000040000018bcfe598390000000a";

  test("writes what Kafka writes: only timestamps that grow", () => {
    const { files, hexOf } = place();
    const index = new TimeIndex(files, new OpenFile("/log/t"), 1000, 0, false);
    index.maybeAppend(1_700_000_000_000, 1004);
    index.maybeAppend(1_700_000_000_000, 1006);
    index.maybeAppend(1_700_000_012_345, 1010);
    index.file.flush();
    expect(hexOf("/log/t")).toBe(bytes);
  });

  test("reads what Kafka wrote", () => {
    const { disk, files } = place();
    disk.open("/log/t", "create").write(Buffer.from(bytes, "hex"), 0);
    const index = new TimeIndex(files, new OpenFile("/log/t"), 1000, 2, true);
    expect(index.lastEntry).toEqual({ timestampMs: 1_700_000_012_345, offset: 1010 });
    expect(index.lookUp(1_699_999_999_999)).toEqual({ timestampMs: -1, offset: 1000 });
    expect(index.lookUp(1_700_000_000_000)).toEqual({ timestampMs: 1_700_000_000_000, offset: 1004 });
  });
});

test("a segment gets the index entries that Kafka's LogSegment gives it", () => {
  const { files, hexOf } = place();
  const segment = new Segment({
    files,
    directory: "/log",
    baseOffset: 500,
    size: 0,
    index: NO_INDEX,
    createdMs: 0,
    rollJitterMs: 0,
  });
  let offset = 500;
  for (let i = 0; i < 40; i++) {
    const count = 1 + (i % 3);
    const timestampMs = 1_700_000_000_000 + ((i * 7) % 11) * 100 + i * 10;
    const value = Buffer.alloc(1000 + ((i * 271) % 900));
    const records = Array.from({ length: count }, (_, j) => ({ key: null, value, timestampMs: timestampMs + j }));
    const batch = buildBatch({ baseOffset: offset, records });
    segment.prepareAppend();
    segment.appended(batch.length, lastOffset(batch, 0), maxTimestamp(batch, 0), 4096);
    offset += count;
  }
  segment.finishIndexes();
  expect(offset).toBe(579);
  expect(segment.size).toBe(115_288);
  expect(hexOf("/log/00000000000000000500.index")).toBe(
    "00000006000020d50000000b000031bf0000000c00004324000000120000636900000018000081a40000001d00009687000000200000aadc000000240000c60c" +
      "000000290000d8e50000002c0000ea820000003000010cd80000003500011da700000036000132750000003c00015608000000420001779100000047000188d5" +
      "0000004800019a940000004d0001aad30000004e0001bb8d",
  );
  expect(hexOf("/log/00000000000000000500.timeindex")).toBe(
    "0000018bcfe56c06000000060000018bcfe56c760000001d0000018bcfe56ce3000000320000018bcfe56d5000000048",
  );
});

describe("producer snapshots", () => {
  const snapshot =
    "0001a4a6a31c000000030000000000000fa000030000000c0000000000000078000000020000018bcfe569f4ffffffffffffffffffffffff" +
    "0000000000000fa10000000000010000000000000064000000010000018bcfe56a58000000070000000000000063" +
    "001fffffffffffff7fffffffffffffffffffffffffff000000000000018bcfe56abc00000002ffffffffffffffff";
  const entries: ProducerEntry[] = [
    {
      producerId: 4000,
      epoch: 3,
      coordinatorEpoch: -1,
      lastTimestampMs: 1_700_000_000_500,
      currentTxnFirstOffset: -1,
      batches: [
        { lastSequence: 9, lastOffset: 109, offsetDelta: 4, timestampMs: 1_700_000_000_000 },
        { lastSequence: 12, lastOffset: 120, offsetDelta: 2, timestampMs: 1_700_000_000_500 },
      ],
    },
    {
      producerId: 4001,
      epoch: 0,
      coordinatorEpoch: 7,
      lastTimestampMs: 1_700_000_000_600,
      currentTxnFirstOffset: 99,
      batches: [{ lastSequence: 1, lastOffset: 100, offsetDelta: 1, timestampMs: 1_700_000_000_600 }],
    },
    {
      producerId: 9_007_199_254_740_991,
      epoch: 32_767,
      coordinatorEpoch: 2,
      lastTimestampMs: 1_700_000_000_700,
      currentTxnFirstOffset: -1,
      batches: [],
    },
  ];

  test("are what Kafka writes", () => {
    expect(encodeSnapshot(entries).toString("hex")).toBe(snapshot);
    expect(encodeSnapshot([]).toString("hex")).toBe("000148674bc700000000");
  });

  test("of Kafka's are read: the last batch of each producer", () => {
    const read = decodeSnapshot(Buffer.from(snapshot, "hex"));
    expect(read).toEqual(entries.map((entry) => ({ ...entry, batches: entry.batches.slice(-1) })));
  });

  test("of ours hold the whole windows", () => {
    expect(decodeWindows(encodeWindows(entries))).toEqual(entries);
  });

  test("that are damaged anywhere, cut or too long are refused", () => {
    for (const [bytes, decode] of [
      [encodeSnapshot(entries), decodeSnapshot],
      [encodeWindows(entries), decodeWindows],
    ] as const) {
      for (let at = 0; at < bytes.length; at++) {
        const damaged = Buffer.from(bytes);
        damaged[at]! ^= 0x10;
        expect(() => decode(damaged)).toThrow(BrokenSnapshot);
        expect(() => decode(bytes.subarray(0, at))).toThrow(BrokenSnapshot);
      }
      expect(() => decode(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(BrokenSnapshot);
    }
  });
});

describe("leader-epoch-checkpoint", () => {
  const text = "0\n3\n0 0\n4 120\n5 9000000000\n";

  test("is what Kafka writes, and read back", () => {
    const epochs = new LeaderEpochs();
    epochs.assign(0, 0);
    epochs.assign(4, 120);
    epochs.assign(5, 9_000_000_000);
    expect(epochs.encode().toString()).toBe(text);
    const read = new LeaderEpochs();
    expect(read.load(Buffer.from(text))).toBeTrue();
    expect(read.entries).toEqual(epochs.entries);
  });

  test.each(["", "0\n", "1\n0\n", "0\n2\n0 0\n", "0\n1\n0 0", "0\n1\n0 0 0\n", "0\n2\n4 9\n3 10\n", "0\n1\nx y\n"])(
    "%j is no checkpoint",
    (broken) => {
      expect(new LeaderEpochs().load(Buffer.from(broken))).toBeFalse();
    },
  );
});

describe("partition.metadata", () => {
  test("is what Kafka writes, and read back", () => {
    const text = "version: 0\ntopic_id: MIaQ3KFXRQWNus0NmLcVhw";
    expect(encodePartitionMetadata("MIaQ3KFXRQWNus0NmLcVhw").toString()).toBe(text);
    expect(decodePartitionMetadata(Buffer.from(text))).toBe("MIaQ3KFXRQWNus0NmLcVhw");
    expect(decodePartitionMetadata(Buffer.from(`${text}\n`))).toBe("MIaQ3KFXRQWNus0NmLcVhw");
  });

  test.each(["", "version: 0", "version: x\ntopic_id: MIaQ3KFXRQWNus0NmLcVhw", "version: 0\ntopic_id: MIaQ3KFXRQW"])(
    "%j is none",
    (broken) => {
      expect(decodePartitionMetadata(Buffer.from(broken))).toBeNull();
    },
  );
});
