/** What becomes of a log whose cleaning fails; the cleaning itself is a stand-in. */
import { expect, test } from "bun:test";
import { LogWorld } from "../../test/sim/log-world.ts";
import { silentLogger } from "../base/logger.ts";
import { DiskError } from "../io/disk.ts";
import type { CleanStats } from "./clean-job.ts";
import { LogCleaner } from "./cleaner.ts";
import { SWAP_SUFFIX } from "./file-names.ts";
import type { Log } from "./log.ts";
import { removeOldest } from "./log-segments.ts";

const COMPACTION = { deleteRetentionMs: 50, minCompactionLagMs: 0, maxCompactionLagMs: 2 ** 63, minCleanableDirtyRatio: 0 };
const LIMITS = { dedupeBufferBytes: 1000, loadFactor: 0.9, ioBufferBytes: 2000, bytesPerSecond: 1e6, maxDecompressedBytes: 1e6 };

/** How often a cleaning is begun in five minutes, where each ends after `meanwhile`: with its error, or with one of the disk. */
async function cleaningsOf(meanwhile: (log: Log) => unknown): Promise<number> {
  const world = new LogWorld({ seed: 1, logConfig: { segmentBytes: 1000, compacts: true, compaction: COMPACTION } });
  await world.start();
  const a = await world.create("a");
  for (let i = 0; i < 40; i++) world.append(a, { records: 1, valueBytes: 60 });
  await world.clock.advance(2000);
  const log = a.log!;
  expect(log.segments.length).toBeGreaterThan(3);
  let cleanings = 0;
  const run = async (): Promise<CleanStats> => {
    cleanings++;
    throw meanwhile(log) ?? new DiskError("rename", log.directory, "EIO");
  };
  const cleaner = new LogCleaner({
    logs: () => [log],
    clock: world.clock,
    random: world.random,
    logger: silentLogger,
    runner: { run, stop() {}, rest() {} },
    settings: () => ({ isEnabled: true, limits: LIMITS, backoffMs: 1000 }),
  });
  cleaner.start();
  await world.clock.advance(290_000);
  await world.clock.run(cleaner.close());
  return cleanings;
}

function dropFirst(log: Log): void {
  log.logStartOffset = log.segments[1]!.baseOffset;
  removeOldest(log, 1);
}

test("it is tried again after a minute", async () => {
  expect(await cleaningsOf(() => {})).toBe(5);
});

test("it is planned anew at once when retention took the beginning", async () => {
  let isFirst = true;
  const once = (log: Log) => {
    if (isFirst) dropFirst(log);
    isFirst = false;
  };
  expect(await cleaningsOf(once)).toBe(6);
});

test("it is left alone when a segment did not get its place, though retention took the beginning", async () => {
  const halfWay = (log: Log) => {
    dropFirst(log);
    log.segments[1]!.renamed(SWAP_SUFFIX);
  };
  expect(await cleaningsOf(halfWay)).toBe(1);
});

test("it is left alone after what is no error of the disk", async () => {
  expect(await cleaningsOf(() => new Error("files that are in the way"))).toBe(1);
});
