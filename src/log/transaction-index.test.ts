/** The index of aborted transactions, against bytes and answers of Kafka 4.3.1's TransactionIndex for the same input. */
import { expect, test } from "bun:test";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { readWholeFile } from "../io/disk.ts";
import { OpenFile, OpenFiles } from "./open-files.ts";
import { type AbortedTransaction, plausibleEntries, TransactionIndex } from "./transaction-index.ts";

const BYTES =
  "00000000000000000fa000000000000003de00000000000003ec00000000000003e8" +
  "00000000000000000fa100000000000003e800000000000003f200000000000003f3" +
  "0000000001000000000000000000000003fc000000012a05f200000000000000041a";

const ENTRIES: AbortedTransaction[] = [
  { producerId: 4000, firstOffset: 990, lastOffset: 1004, lastStableOffset: 1000 },
  { producerId: 4001, firstOffset: 1000, lastOffset: 1010, lastStableOffset: 1011 },
  { producerId: 2 ** 40, firstOffset: 1020, lastOffset: 5_000_000_000, lastStableOffset: 1050 },
];

function place() {
  const disk = new FakeDisk({ random: new SeededRandom(1) });
  disk.makeDirectory("/log");
  const newIndex = (entries = 0) => new TransactionIndex(new OpenFiles(disk, 10), new OpenFile("/log/x"), entries, true);
  const hex = () => Buffer.from(readWholeFile(disk, "/log/x") ?? []).toString("hex");
  return { disk, newIndex, hex };
}

test("writes what Kafka writes, and no file for nothing", () => {
  const { disk, newIndex, hex } = place();
  const index = newIndex();
  index.flush();
  expect(disk.exists("/log/x")).toBeFalse();
  for (const entry of ENTRIES) index.append(entry);
  index.flush();
  expect(hex()).toBe(BYTES);
});

test.each([
  [0, 990, [], true],
  [0, 991, [1004], true],
  [1000, 1001, [1004, 1010], true],
  [1005, 1011, [1010], true],
  [1005, 1012, [1010], true],
  [1011, 1020, [], true],
  [1011, 1021, [5_000_000_000], true],
  [0, 1051, [1004, 1010, 5_000_000_000], false],
] as const)("finds what overlaps [%d, %d), as Kafka does", async (from, upperBound, markers, isComplete) => {
  for (const stored of [0, 2, 3]) {
    const { disk, newIndex } = place();
    disk.open("/log/x", "create").write(Buffer.from(BYTES, "hex").subarray(0, stored * 34), 0);
    const index = newIndex(stored);
    for (const entry of ENTRIES.slice(stored)) index.append(entry); // in memory only
    const found: AbortedTransaction[] = [];
    expect(await index.collect(from, upperBound, found)).toBe(isComplete);
    expect(found.map(({ lastOffset }) => lastOffset)).toEqual([...markers]);
  }
});

test("is cut by its markers", () => {
  const { newIndex, hex } = place();
  const index = newIndex();
  for (const entry of ENTRIES) index.append(entry);
  index.flush();
  index.truncateTo(1011);
  index.flush();
  expect(hex()).toBe(BYTES.slice(0, 2 * 68));
  index.truncateTo(1010);
  index.append(ENTRIES[2]!);
  index.flush();
  expect(hex()).toBe(BYTES.slice(0, 68) + BYTES.slice(2 * 68));
});

test("is believed as far as it can be right", () => {
  const whole = Buffer.from(BYTES, "hex");
  expect(plausibleEntries(whole, 1000, 5_000_000_001)).toEqual({ entries: 3, isExact: true });
  expect(plausibleEntries(whole, 1000, 5_000_000_000)).toEqual({ entries: 2, isExact: false }); // a marker beyond the log
  expect(plausibleEntries(whole, 1005, 5_000_000_001)).toEqual({ entries: 0, isExact: false }); // a marker of another segment
  expect(plausibleEntries(whole.subarray(0, 67), 1000, 5_000_000_001)).toEqual({ entries: 1, isExact: false });
  for (const at of [0, 10, 18, 26]) {
    const flipped = Buffer.from(whole);
    flipped[34 + at]! ^= 0x40;
    expect(plausibleEntries(flipped, 1000, 5_000_000_001).entries).toBe(1);
  }
});
