import { expect, test } from "bun:test";
import { LogTail, TailCache } from "./tail-cache.ts";

/** The offsets of the batches that are found; a batch's first byte is its base offset. */
function collect(
  tail: LogTail,
  offset: number,
  o: { limit?: number; maxBytes?: number; atLeastOne?: boolean } = {},
): number[] | null {
  const into: Uint8Array[] = [];
  const bytes = tail.collect(offset, o.limit ?? 1000, o.maxBytes ?? 1e9, o.atLeastOne ?? true, into);
  expect(bytes).toBe(bytes < 0 ? -1 : into.reduce((sum, chunk) => sum + chunk.length, 0));
  return bytes < 0 ? null : into.map((chunk) => chunk[0]!);
}

/** Ten offsets and 100 bytes a batch, each in a buffer of its own. */
function add(tail: LogTail, baseOffset: number, bytes = 100): void {
  tail.add(Buffer.from(new Uint8Array(bytes).fill(baseOffset)), baseOffset, baseOffset + 9);
}

test("gives whole batches from the one that holds the offset on", () => {
  const tail = new LogTail(new TailCache(10_000));
  expect(collect(tail, 0)).toBeNull();
  for (const base of [10, 20, 30, 40]) add(tail, base);
  expect(collect(tail, 9)).toBeNull();
  expect(collect(tail, 10)).toEqual([10, 20, 30, 40]);
  expect(collect(tail, 29)).toEqual([20, 30, 40]);
  expect(collect(tail, 50)).toEqual([]);
  expect(collect(tail, 10, { limit: 30 })).toEqual([10, 20]);
  expect(collect(tail, 10, { limit: 31 })).toEqual([10, 20, 30]);
  expect(collect(tail, 10, { maxBytes: 299 })).toEqual([10, 20]);
  expect(collect(tail, 10, { maxBytes: 99 })).toEqual([10]);
  expect(collect(tail, 10, { maxBytes: 99, atLeastOne: false })).toEqual([]);
});

test("keeps within its budget; the oldest batch of all logs goes first", () => {
  const cache = new TailCache(350);
  const [a, b] = [new LogTail(cache), new LogTail(cache)];
  add(a, 10);
  add(b, 10);
  add(a, 20);
  expect(cache.bytes).toBe(300);
  add(b, 20);
  expect(cache.bytes).toBe(300);
  expect(a.startOffset).toBe(20);
  expect(b.startOffset).toBe(10);
  add(a, 30, 400); // larger than the budget: nothing is left, not even itself
  expect(cache.bytes).toBe(0);
  expect([a, b].map((tail) => tail.startOffset)).toEqual([Infinity, Infinity]);
});

test("counts a buffer once, whole, for as long as any batch in it is cached", () => {
  const cache = new TailCache(2000);
  const tail = new LogTail(cache);
  const received = Buffer.from(new ArrayBuffer(1000));
  tail.add(received.subarray(0, 50), 0, 0);
  tail.add(received.subarray(50, 90), 1, 1);
  expect(cache.bytes).toBe(1000);
  add(tail, 2, 1000);
  expect(cache.bytes).toBe(2000);
  add(tail, 12, 10); // evicts both small ones: only then are their 1000 bytes free
  expect(cache.bytes).toBe(1010);
  expect(tail.startOffset).toBe(2);
});

test("a cleared log starts anew, and what it had does not disturb", () => {
  const cache = new TailCache(1000);
  const [a, b] = [new LogTail(cache), new LogTail(cache)];
  for (let i = 0; i < 5; i++) add(a, i * 10);
  a.clear();
  expect(a.startOffset).toBe(Infinity);
  add(a, 70);
  for (let i = 0; i < 9; i++) add(b, i * 10);
  expect(collect(a, 70)).toEqual([70]);
  expect(cache.bytes).toBeLessThanOrEqual(1000);
  add(b, 90);
  expect(collect(a, 70)).toBeNull();
});

test("wraps around its ring for a long time", () => {
  const cache = new TailCache(1000);
  const tail = new LogTail(cache);
  for (let i = 0; i < 500; i++) {
    tail.add(Buffer.from(new Uint8Array(100).fill(i % 250)), i, i);
    expect(collect(tail, i)).toEqual([i % 250]);
    const start = Math.max(0, i - 9);
    expect(tail.startOffset).toBe(start);
    expect(collect(tail, start)?.length).toBe(i - start + 1);
  }
});
