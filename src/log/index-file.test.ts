import { describe, expect, test } from "bun:test";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { readWholeFile } from "../io/disk.ts";
import { OffsetIndex } from "./offset-index.ts";
import { OpenFile, OpenFiles } from "./open-files.ts";
import { TimeIndex } from "./time-index.ts";

function place(hotChance: number) {
  const disk = new FakeDisk({ random: new SeededRandom(1), hotChance });
  disk.makeDirectory("/log");
  return { disk, files: new OpenFiles(disk, 10) };
}

describe.each([1, 0, 0.5])("with pages in memory at %p", (hotChance) => {
  test("thousands of entries, on the file and in memory, are found as a plain search finds them", async () => {
    const { files } = place(hotChance);
    const index = new OffsetIndex(files, new OpenFile("/log/i"), 100, 0, false);
    const entries: [number, number][] = [];
    const random = new SeededRandom(5);
    for (let i = 0, offset = 100, position = 0; i < 3000; i++) {
      offset += 1 + random.int(9);
      position += 1 + random.int(9000);
      index.append(offset, position);
      entries.push([offset, position]);
      if (index.file.blockIsFull && i < 2800) index.file.flush();
    }
    expect(index.file.count).toBe(3000);
    for (let i = 0; i < 300; i++) {
      const wanted = 95 + random.int(entries.at(-1)![0]);
      const [offset, position] = entries.findLast(([at]) => at <= wanted) ?? [100, 0];
      expect(await index.lookUp(wanted)).toEqual({ offset, position });
    }
    expect(index.entry(2999).position).toBe(entries[2999]![1]);
    expect(index.entry(10).position).toBe(entries[10]![1]);
  });
});

test("a search in memory is synchronous, a cold one is not", () => {
  const { files } = place(0);
  const index = new OffsetIndex(files, new OpenFile("/log/i"), 0, 0, false);
  index.append(10, 100);
  index.file.flush();
  index.append(20, 200);
  expect(index.lookUp(25)).toEqual({ offset: 20, position: 200 });
  expect(index.lookUp(15)).toBeInstanceOf(Promise);
});

test("a flush that fails keeps everything, and the next one leaves no trace of it", () => {
  const { disk, files } = place(1);
  const index = new TimeIndex(files, new OpenFile("/log/t"), 0, 0, false);
  index.maybeAppend(1, 1);
  index.file.flush();
  index.maybeAppend(2, 2);
  index.maybeAppend(3, 3);
  disk.fault = (operation) => (operation === "write" ? { code: "ENOSPC", written: 17 } : null);
  expect(() => index.file.flush()).toThrow("ENOSPC");
  expect(index.lastEntry).toEqual({ timestampMs: 3, offset: 3 });
  disk.fault = null;
  index.file.flush();
  expect(Buffer.from(readWholeFile(disk, "/log/t")!).toString("hex")).toBe(
    "000000000000000100000001000000000000000200000002000000000000000300000003",
  );
});

test("cut back, on the file or in memory, the rest is gone for good", () => {
  const { disk, files } = place(1);
  const index = new OffsetIndex(files, new OpenFile("/log/i"), 0, 0, false);
  for (let i = 1; i <= 4; i++) index.append(i, i * 10);
  index.file.flush();
  index.append(5, 50);
  index.file.truncate(4);
  expect(index.lookUp(9)).toEqual({ offset: 4, position: 40 });
  index.file.truncate(1);
  index.append(7, 70);
  index.file.flush();
  expect(Buffer.from(readWholeFile(disk, "/log/i")!).toString("hex")).toBe("000000010000000a0000000700000046");
});
