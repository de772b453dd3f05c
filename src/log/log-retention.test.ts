/** What retention takes, segment by segment, worked out by hand; on a simulated disk and clock. */
import { describe, expect, test } from "bun:test";
import { DATA_PATH, LogWorld, type ModelLog } from "../../test/sim/log-world.ts";
import { isFailedSync } from "../io/disk.ts";
import { settleArrival } from "./arrival.ts";
import { ARRIVING_FILE } from "./file-names.ts";
import type { Log, LogConfig } from "./log.ts";
import { applyRetention } from "./log-retention.ts";

const HOUR_MS = 3_600_000;
/** A batch of one record of 40 bytes without a key. */
const BATCH_BYTES = 61 + 48;

/** A log of five batches a segment; everything durable. Retention is off until `keep`. */
async function filled(batches: number, config: Partial<LogConfig> = {}): Promise<{ world: LogWorld; a: ModelLog; log: Log }> {
  const world = new LogWorld({
    seed: 1,
    logConfig: { segmentBytes: 5 * BATCH_BYTES + 20, ...config },
  });
  await world.start();
  const a = await world.create("a");
  await append(world, a, batches);
  return { world, a, log: a.log! };
}

async function append(world: LogWorld, a: ModelLog, batches: number): Promise<void> {
  for (let i = 0; i < batches; i++) {
    const { bytes } = world.append(a, { records: 1, valueBytes: 40 });
    expect(Math.abs(bytes.length - BATCH_BYTES)).toBeLessThanOrEqual(8); // keys are of up to 7 bytes
  }
  await world.clock.advance(100);
}

async function apply(world: LogWorld, log: Log, config: Partial<LogConfig>): Promise<number[]> {
  log.updateConfig({ ...log.config, ...config });
  await world.clock.run(applyRetention(log));
  return log.segments.map(({ baseOffset }) => baseOffset);
}

describe("by size", () => {
  test("the oldest segments go as long as what stays is no less than retention.bytes", async () => {
    const { world, log } = await filled(22);
    const sizes = log.segments.map(({ size }) => size);
    const bases = log.segments.map(({ baseOffset }) => baseOffset);
    expect(bases.length).toBeGreaterThan(3);
    const total = sizes.reduce((sum, size) => sum + size);
    expect(await apply(world, log, { retentionBytes: -1 })).toEqual(bases);
    expect(await apply(world, log, { retentionBytes: total })).toEqual(bases);
    expect(await apply(world, log, { retentionBytes: total - sizes[0]! + 1 })).toEqual(bases);
    expect(await apply(world, log, { retentionBytes: total - sizes[0]! })).toEqual(bases.slice(1));
    expect(log.logStartOffset).toBe(bases[1]!);
    expect(await apply(world, log, { retentionBytes: total - sizes[0]! - sizes[1]! - sizes[2]! })).toEqual(bases.slice(3));
  });

  test("retention.bytes 0 leaves nothing, and the log goes on where it ended", async () => {
    const { world, a, log } = await filled(22);
    expect(await apply(world, log, { retentionBytes: 0 })).toEqual([22]);
    expect([log.logStartOffset, log.logEndOffset]).toEqual([22, 22]);
    expect(await apply(world, log, { retentionBytes: 0 })).toEqual([22]);
    await append(world, a, 1);
    await world.check(a);
  });
});

describe("by time", () => {
  test("a segment goes when its largest timestamp is older than retention.ms, not before", async () => {
    const { world, a, log } = await filled(7);
    await world.clock.advance(HOUR_MS);
    await append(world, a, 8);
    const [first, second, third] = log.segments;
    const ageMs = world.clock.nowMs() - first!.maxTimestamp.timestampMs;
    expect(await apply(world, log, { retentionMs: ageMs })).toContain(first!.baseOffset);
    expect(await apply(world, log, { retentionMs: ageMs - 1 })).not.toContain(first!.baseOffset);
    // The second segment begins with records that are as old, and ends with new ones.
    expect(await apply(world, log, { retentionMs: HOUR_MS / 2 })).toEqual([second!.baseOffset, third!.baseOffset]);
  });

  test("one whose records are of the future stays, and those behind it", async () => {
    const { world, a, log } = await filled(0);
    world.clock.jump(HOUR_MS);
    await append(world, a, 6);
    world.clock.jump(-HOUR_MS);
    await append(world, a, 6);
    await world.clock.advance(1000);
    const bases = log.segments.map(({ baseOffset }) => baseOffset);
    expect(await apply(world, log, { retentionMs: 500 })).toEqual(bases);
  });

  test("one without any timestamp is as old as its file", async () => {
    const { world, log } = await filled(12);
    for (const segment of log.segments) Object.assign(segment, { max: { timestampMs: -1, offset: segment.baseOffset } });
    await world.clock.advance(HOUR_MS);
    expect(await apply(world, log, { retentionMs: HOUR_MS + 1000 })).toContain(0);
    expect(await apply(world, log, { retentionMs: HOUR_MS - 1000 })).toEqual([12]);
  });

  test("when all is old the active segment is rolled, and goes too", async () => {
    const { world, a, log } = await filled(3);
    await world.clock.advance(HOUR_MS);
    expect(await apply(world, log, { retentionMs: 1000 })).toEqual([3]);
    expect(log.active!.size).toBe(0);
    await world.clock.advance(1000);
    world.crash("power");
    await world.start();
    world.adopt(a, "power");
    await world.check(a);
    expect([a.log!.logStartOffset, a.log!.logEndOffset]).toEqual([3, 3]);
  });
});

test("nothing at or beyond the high watermark goes", async () => {
  const { world, a, log } = await filled(10);
  world.disk.pause = () => new Promise(() => {}); // no sync ends any more
  for (let i = 0; i < 8; i++) world.append(a, { records: 1, valueBytes: 40 });
  const { durableEndOffset } = log;
  expect(durableEndOffset).toBe(10);
  const applying = apply(world, log, { retentionBytes: 0 });
  applying.catch(() => {});
  await world.clock.advance(1000);
  expect(log.logStartOffset).toBeLessThanOrEqual(durableEndOffset);
  expect(log.logEndOffset).toBe(18);
});

test("records that come while all of a log is found old stay", async () => {
  const { world, a, log } = await filled(3);
  await world.clock.advance(HOUR_MS);
  log.updateConfig({ ...log.config, retentionMs: 1000 });
  const applying = applyRetention(log);
  world.append(a, { records: 1, valueBytes: 40 });
  await world.clock.run(applying);
  expect(log.logStartOffset).toBe(0);
  await world.check(a);
});

test("a segment that is begun while all of a log is found old stays, and what comes then with it", async () => {
  const world = new LogWorld({ seed: 1, durability: "page-cache", logConfig: { segmentBytes: 600 } });
  await world.start();
  const a = await world.create("a");
  await append(world, a, 3);
  const log = a.log!;
  await world.clock.advance(HOUR_MS);
  log.updateConfig({ ...log.config, retentionMs: 1000 });
  const comesLate = async () => {
    if (a.batches.length === 4) world.append(a, { records: 1, valueBytes: 40 });
  };
  const applying = applyRetention(log, comesLate);
  world.clock.jump(-HOUR_MS);
  world.append(a, { records: 1, valueBytes: 300 }); // begins a segment, and is old
  world.clock.jump(HOUR_MS);
  await world.clock.run(applying);
  expect([a.batches.length, log.segments.length]).toEqual([5, 2]);
  expect(log.logStartOffset).toBe(0);
  await world.check(a);
});

test("what was brought in stays until its topic is known, and what is known goes even if the mark cannot", async () => {
  for (const fault of [null, { code: "EIO" }]) {
    const { world, a, log } = await filled(22);
    const bases = log.segments.map(({ baseOffset }) => baseOffset);
    await world.stop();
    world.clock.reset();
    world.disk.open(`${DATA_PATH}/a-0/${ARRIVING_FILE}`, "create").close();
    await world.start();
    expect(await apply(world, a.log!, { retentionBytes: 0 })).toEqual(bases);
    world.disk.fault = () => fault;
    settleArrival(a.log!);
    world.disk.fault = null;
    expect(await apply(world, a.log!, { retentionBytes: 0 })).toEqual([22]);
    await world.check(a);
  }
});

describe("cleanup.policy", () => {
  test("a change of it counts at once: what was found old before stays", async () => {
    const { world, log } = await filled(22);
    await world.clock.advance(HOUR_MS);
    log.updateConfig({ ...log.config, retentionMs: 1 });
    const bases = log.segments.map(({ baseOffset }) => baseOffset);
    const change = async () => log.updateConfig({ ...log.config, deletes: false, compacts: true });
    await world.clock.run(applyRetention(log, change));
    expect([log.logStartOffset, log.segments.map(({ baseOffset }) => baseOffset)]).toEqual([0, bases]);
  });

  for (const [deletes, compacts] of [
    [false, true],
    [false, false],
  ] as const)
    test(`without delete (compact: ${compacts}) only what lies below the log's start goes`, async () => {
      const { world, log } = await filled(22, { deletes, compacts });
      await world.clock.advance(HOUR_MS);
      const bases = log.segments.map(({ baseOffset }) => baseOffset);
      expect(await apply(world, log, { retentionBytes: 0, retentionMs: 1 })).toEqual(bases);
      await world.clock.run(log.moveStart(bases[2]! - 1));
      expect(await apply(world, log, {})).toEqual(bases.slice(1));
      await world.clock.run(log.moveStart(bases[2]!));
      expect(await apply(world, log, {})).toEqual(bases.slice(2));
      await world.clock.run(log.moveStart(22));
      expect(await apply(world, log, {})).toEqual(bases.slice(-1)); // the last segment stays
    });
});

describe("a log's start", () => {
  test("is durable when it is said to be, and not shown before", async () => {
    const { world, a, log } = await filled(22);
    const moving = log.moveStart(7);
    expect(log.logStartOffset).toBe(0);
    await world.clock.run(moving);
    expect(log.logStartOffset).toBe(7);
    world.crash("power");
    await world.start();
    world.adopt(a, "power");
    expect(a.log!.logStartOffset).toBe(7);
    await world.check(a);
  });

  test("of several moves at a time the farthest counts, whatever their order", async () => {
    const { world, a, log } = await filled(22);
    await world.clock.run(Promise.all([log.moveStart(9), log.moveStart(4), log.moveStart(6)]));
    expect(log.logStartOffset).toBe(9);
    world.crash("power");
    await world.start();
    world.adopt(a, "power");
    expect(a.log!.logStartOffset).toBe(9);
  });

  test("stays where it was when the disk refuses, and moves when it is asked again", async () => {
    const { world, log } = await filled(22);
    world.disk.fault = (operation) => (operation === "write" ? { code: "ENOSPC" } : null);
    expect(await world.clock.run(log.moveStart(7).catch((error) => `${error.error}`))).toBe("KAFKA_STORAGE_ERROR");
    expect(log.logStartOffset).toBe(0);
    world.disk.fault = null;
    await world.clock.run(log.moveStart(7));
    expect(log.logStartOffset).toBe(7);
    expect(isFailedSync(world.fatal)).toBeFalse();
  });

  test("trims the leader epochs", async () => {
    const { world, a, log } = await filled(10);
    world.epoch = 5;
    await append(world, a, 10);
    await world.clock.run(log.moveStart(4));
    expect(log.leaderEpochs.entries).toEqual([
      { epoch: 1, startOffset: 4 },
      { epoch: 5, startOffset: 10 },
    ]);
    await world.clock.run(log.moveStart(13));
    expect(log.leaderEpochs.entries).toEqual([{ epoch: 5, startOffset: 13 }]);
    await world.clock.advance(100);
    world.crash("power");
    await world.start();
    expect(a.log!.leaderEpochs.entries).toEqual([{ epoch: 5, startOffset: 13 }]);
  });

  test("outlives segments that a crash left below it", async () => {
    const { world, a, log } = await filled(22);
    const third = log.segments[2]!.baseOffset;
    await world.clock.run(log.moveStart(third + 1));
    world.crash("kill"); // before retention has looked
    await world.start();
    world.adopt(a, "kill");
    expect(a.log!.segments[0]!.baseOffset).toBe(third);
    expect(a.log!.logStartOffset).toBe(third + 1);
    await world.clock.advance(1000);
    expect(world.disk.list("/data/a-0")!.filter(({ name }) => name < `${third}`.padStart(20, "0"))).toEqual([]);
    await world.check(a);
  });
});

test("producers that wrote only into what is gone are known after a power cut", async () => {
  const { world, a } = await filled(0);
  for (let i = 0; i < 12; i++) world.append(a, { producerId: 7, sequence: i, records: 1, valueBytes: 40 });
  for (let i = 0; i < 12; i++) world.append(a, { records: 1, valueBytes: 40 });
  await world.clock.advance(100);
  const { log } = a;
  expect(await apply(world, log!, { retentionBytes: 300 })).not.toContain(0);
  expect(log!.segments[0]!.baseOffset).toBeGreaterThan(12);
  world.crash("power");
  await world.start();
  world.adopt(a, "power");
  await world.check(a);
  expect(() => world.append(a, { producerId: 7, sequence: 50, records: 1 })).toThrow("Out of order");
});
