/** Expectations are those of Kafka's LogCleanerManagerTest and LogCleanerTest, where they have one. */
import { describe, expect, test } from "bun:test";
import { groupSegments } from "./clean-groups.ts";
import { type CompactionConfig, filthiest, type PlannedLog, planCleaning } from "./clean-plan.ts";

const NOW = 1_000_000;
const CONFIG: CompactionConfig = {
  deleteRetentionMs: 86_400_000,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 2 ** 63,
  minCleanableDirtyRatio: 0.5,
};

/** Segments of ten offsets and 100 bytes each; `agesMs`: of their records. */
function log(
  o: { segments?: number; agesMs?: number[]; config?: Partial<CompactionConfig> } & Partial<Omit<PlannedLog, "config">>,
) {
  const count = typeof o.segments === "number" ? o.segments : 5;
  const { config, agesMs, segments: _, ...rest } = o;
  return {
    segments: Array.from({ length: count }, (_unused, i) => ({
      baseOffset: i * 10,
      size: 100,
      largestTimestampMs: () => NOW - (agesMs?.[i] ?? 10_000),
      firstTimestampMs: () => NOW - (agesMs?.[i] ?? 10_000) - 1,
    })),
    logStartOffset: 0,
    logEndOffset: count * 10,
    firstDirtyOffset: 0,
    lastStableOffset: count * 10,
    firstUnsyncedSegment: Number.POSITIVE_INFINITY,
    config: { ...CONFIG, ...config },
    ...rest,
  } as PlannedLog;
}

describe("how far a log can be cleaned", () => {
  test.each([
    ["all but the active segment", {}, 0, 40, 1],
    ["from where it is dirty", { firstDirtyOffset: 20 }, 20, 40, 0.5],
    ["not beyond the last stable offset, in whole segments", { lastStableOffset: 25 }, 0, 20, 1],
    ["not beyond what is known to be on the disk", { firstUnsyncedSegment: 30 }, 0, 30, 1],
    ["nothing when nothing is stable", { lastStableOffset: 5 }, 0, 0, 0],
    ["from the log's start when the start has moved", { firstDirtyOffset: 3, logStartOffset: 10 }, 10, 40, 0.75],
    ["from the log's start when the mark lies beyond the end", { firstDirtyOffset: 60 }, 0, 40, 1],
    ["nothing when all is clean", { firstDirtyOffset: 40 }, 40, 40, 0],
    ["a segment that is clean in part counts twice, as in Kafka", { firstDirtyOffset: 25 }, 25, 40, 200 / 500],
  ] as const)("%s", (_, change, firstDirtyOffset, endOffset, dirtyRatio) => {
    expect(planCleaning(log(change), NOW)).toMatchObject({ firstDirtyOffset, endOffset, dirtyRatio });
  });

  test("up to the first segment with a record younger than min.compaction.lag.ms", () => {
    const young = log({ agesMs: [9000, 8000, 50, 7000, 0], config: { minCompactionLagMs: 1000 } });
    expect(planCleaning(young, NOW).endOffset).toBe(20);
    const old = log({ agesMs: [9000, 8000, 1000, 7000, 0], config: { minCompactionLagMs: 1000 } });
    expect(planCleaning(old, NOW).endOffset).toBe(40);
  });

  test("an empty log", () => {
    expect(planCleaning({ ...log({}), segments: [] }, NOW).isDue).toBeFalse();
  });
});

describe("when a log is cleaned", () => {
  test("when its dirty part is more than min.cleanable.dirty.ratio", () => {
    expect(planCleaning(log({ firstDirtyOffset: 20 }), NOW).isDue).toBeFalse(); // 0.5 is not more than 0.5
    expect(planCleaning(log({ firstDirtyOffset: 10 }), NOW).isDue).toBeTrue();
    expect(planCleaning(log({ firstDirtyOffset: 40, config: { minCleanableDirtyRatio: 0 } }), NOW).isDue).toBeFalse();
  });

  test("when a dirty record is older than max.compaction.lag.ms", () => {
    const config = { maxCompactionLagMs: 5000 };
    expect(planCleaning(log({ firstDirtyOffset: 30, agesMs: [9000, 9000, 9000, 4000, 0], config }), NOW).isDue).toBeFalse();
    expect(planCleaning(log({ firstDirtyOffset: 30, agesMs: [9000, 9000, 9000, 6000, 0], config }), NOW).isDue).toBeTrue();
    const unstable = { firstDirtyOffset: 30, lastStableOffset: 31, agesMs: [9000, 9000, 9000, 6000, 0], config };
    expect(planCleaning(log(unstable), NOW).isDue).toBeFalse();
  });

  test("the dirtiest that is due comes first", () => {
    const plan = (dirtyRatio: number, isDue: boolean) => ({ plan: { firstDirtyOffset: 0, endOffset: 9, dirtyRatio, isDue } });
    const [a, b, c] = [plan(0.6, true), plan(0.9, false), plan(0.8, true)];
    expect(filthiest([a, b, c])).toBe(c);
    expect(filthiest([b])).toBeNull();
  });
});

describe("which segments become one", () => {
  const segment = (baseOffset: number, size: number, indexBytes = 8) => ({
    baseOffset,
    size,
    offsetIndexBytes: indexBytes,
    timeIndexBytes: indexBytes,
    hasTransactionIndex: false,
  });
  const bases = (segments: ReturnType<typeof segment>[], bounds = {}) =>
    groupSegments(segments, { segmentBytes: 1000, segmentIndexBytes: 100, endOffset: 1e6, ...bounds }).map((group) =>
      group.map(({ baseOffset }) => baseOffset),
    );

  test("neighbours, up to the size of a segment", () => {
    expect(bases([segment(0, 400), segment(10, 600), segment(20, 1), segment(30, 1000)])).toEqual([[0, 10], [20], [30]]);
  });

  test("up to the size of an index", () => {
    expect(bases([segment(0, 1, 50), segment(10, 1, 50), segment(20, 1, 8)])).toEqual([[0, 10], [20]]);
  });

  test("as far as an index can count", () => {
    const far = 2 ** 31;
    expect(bases([segment(0, 1), segment(10, 1)], { endOffset: far })).toEqual([[0, 10]]);
    expect(bases([segment(0, 1), segment(10, 1)], { endOffset: far + 1 })).toEqual([[0], [10]]);
    expect(bases([segment(0, 1), segment(10, 0)], { endOffset: far + 1 })).toEqual([[0, 10]]);
  });
});
