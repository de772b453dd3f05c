/** Expectations from Kafka's LeaderEpochFileCacheTest. */
import { expect, test } from "bun:test";
import { LeaderEpochs } from "./leader-epochs.ts";

function of(...entries: [epoch: number, startOffset: number][]): LeaderEpochs {
  const epochs = new LeaderEpochs();
  for (const [epoch, startOffset] of entries) epochs.assign(epoch, startOffset);
  return epochs;
}
const listOf = (epochs: LeaderEpochs): [number, number][] => epochs.entries.map(({ epoch, startOffset }) => [epoch, startOffset]);

test("an epoch ends where the next one begins, the latest at the log end", () => {
  const epochs = of([2, 10], [4, 20], [6, 30]);
  const endOf = (epoch: number) => {
    const { epoch: found, endOffset } = epochs.endOffsetFor(epoch, 45);
    return [found, endOffset];
  };
  expect(endOf(6)).toEqual([6, 45]);
  expect(endOf(4)).toEqual([4, 30]);
  expect(endOf(5)).toEqual([4, 30]); // the largest at or below
  expect(endOf(1)).toEqual([1, 10]); // older than all that is known
  expect(endOf(7)).toEqual([-1, -1]);
  expect(endOf(-1)).toEqual([-1, -1]);
  expect(of().endOffsetFor(0, 45)).toEqual({ epoch: -1, endOffset: -1 });
});

test("only a new epoch is noted; what contradicts it goes", () => {
  expect(listOf(of([0, 0], [0, 5], [1, 7]))).toEqual([
    [0, 0],
    [1, 7],
  ]);
  expect(listOf(of([2, 10], [4, 20], [3, 15]))).toEqual([
    [2, 10],
    [3, 15],
  ]);
  expect(listOf(of([2, 10], [4, 10]))).toEqual([[4, 10]]);
  expect(listOf(of([2, 10], [2, 5]))).toEqual([[2, 5]]);
});

test("cut at the end and at the start", () => {
  const epochs = of([2, 6], [3, 8], [4, 11]);
  epochs.truncateFromEnd(11);
  expect(listOf(epochs)).toEqual([
    [2, 6],
    [3, 8],
  ]);
  epochs.truncateFromStart(9);
  expect(listOf(epochs)).toEqual([[3, 9]]);
  const unchanged = epochs.changes;
  epochs.truncateFromStart(9);
  epochs.truncateFromStart(5);
  epochs.truncateFromEnd(20);
  expect(epochs.changes).toBe(unchanged);
  expect(listOf(epochs)).toEqual([[3, 9]]);
});

test("the epoch of an offset", () => {
  const epochs = of([2, 10], [4, 20]);
  expect([9, 10, 19, 20, 99].map((offset) => epochs.epochForOffset(offset))).toEqual([-1, 2, 2, 4, 4]);
});
