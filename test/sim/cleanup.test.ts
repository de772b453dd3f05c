/**
 * cleanup.policy delete, compact and both, and changes from one to the other: random produce, compaction, retention by time and by size,
 * DeleteRecords, restarts, and deaths at any moment and at any call to the disk, against a model that knows every record (cleanup-world.ts).
 */
import { describe, expect, test } from "bun:test";
import { CleanupWorld, POLICIES, type Policy } from "./cleanup-world.ts";
import { DATA_PATH } from "./log-world.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 60);
const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);
const STEPS = 60;

function makeWorld(seed: number): CleanupWorld {
  const { random } = new CleanupWorld({ seed, cleaning: cleaningOf(seed) }).world;
  const durability = random.chance(0.8) ? "sync" : "page-cache";
  return new CleanupWorld({
    seed,
    durability,
    hasSyncFileSystem: random.chance(0.5),
    keys: random.pick([3, 12, 200]),
    transactions: durability === "sync" && random.chance(0.4),
    cleaning: cleaningOf(seed),
    logConfig: { segmentMs: random.pick([7 * 24 * 3600 * 1000, 150]), fileDeleteDelayMs: random.pick([0, 20]) },
    limits: {
      dedupeBufferBytes: 24 * random.pick([4, 64, 4096]),
      ioBufferBytes: random.pick([200, 2000, 100_000]),
      bytesPerSecond: random.pick([1e6, 1e5]),
    },
  });
}

const cleaningOf = (seed: number) => ({
  deleteRetentionMs: [0, 50, 400][seed % 3]!,
  minCompactionLagMs: [0, 0, 0, 60][seed % 4]!,
  maxCompactionLagMs: [2 ** 63, 300][seed % 2]!,
  minCleanableDirtyRatio: [0, 0, 0.5][(seed >> 2) % 3]!,
});

function setSomePolicy(w: CleanupWorld, policy: Policy = w.world.random.pick(POLICIES)): void {
  const { random } = w.world;
  const by = random.int(3);
  w.setPolicy(policy, {
    retentionMs: by === 0 ? -1 : random.pick([100, 300, 1000]),
    retentionBytes: by === 1 ? -1 : random.pick([1000, 4000, 10_000]),
  });
}

async function step(w: CleanupWorld): Promise<void> {
  const { random, clock } = w.world;
  const what = random.int(100);
  if (what < 52) for (let i = random.int(12); i >= 0; i--) w.append();
  else if (what < 75) await clock.advance(random.fraction() * random.pick([3, 40, 400]));
  else if (what < 82) await w.check();
  else if (what < 88) setSomePolicy(w);
  else if (what < 92) await clock.run(w.deleteRecords());
  else await dieAndComeBack(w);
}

async function dieAndComeBack(w: CleanupWorld): Promise<void> {
  const { random, clock } = w.world;
  const how = random.pick(["clean", "kill", "kill", "power", "power"] as const);
  if (how === "clean") await w.stop();
  else {
    if (random.chance(0.3)) w.deleteRecords().catch(() => {}); // the crash ends it
    if (random.chance(0.3)) setSomePolicy(w);
    if (random.chance(0.6)) w.strikeAfter(random.int(30), random.pick(["any", "rename"]));
    for (let i = 0; i < 15 && !w.isStruck; i++) await clock.advance(random.fraction() * 8);
    w.crash(how);
    if (random.chance(0.2)) w.world.disk.remove(`${DATA_PATH}/quarkmq-recovery-points`); // losing them costs time, nothing else
    while (random.chance(0.2)) await w.world.startInVain(random.fraction() * 12, how);
  }
  await w.restart(how);
  await w.check();
}

async function history(seed: number): Promise<void> {
  const w = makeWorld(seed);
  setSomePolicy(w);
  await w.begin();
  for (let i = 0; i < STEPS; i++) await step(w);
  while (w.endTransaction());
  setSomePolicy(w, POLICIES[seed % 3]);
  await w.world.clock.advance(5000);
  w.checkRest();
  if (w.policy !== "delete") await w.checkClean();
  await w.check();
  w.setPolicy("compact", { retentionMs: 0, retentionBytes: 0 });
  await w.checkTombstones();
  await w.stop();
  await w.restart("clean");
  await w.check();
  await w.stop();
}

describe("histories", () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)
    test(`seed ${seed}`, async () => {
      await history(seed);
    });
});

const CLEANING = { deleteRetentionMs: 50, minCompactionLagMs: 0, maxCompactionLagMs: 2 ** 63, minCleanableDirtyRatio: 0 };
const NO_LIMIT = { retentionMs: -1, retentionBytes: -1 };

/** A log of some segments that is not compacted yet, a hundred milliseconds old. */
async function filled(keys: number, bytesPerSecond = 1e6): Promise<CleanupWorld> {
  const w = new CleanupWorld({ seed: 1, keys, cleaning: CLEANING, limits: { bytesPerSecond, dedupeBufferBytes: 24 * 4096 } });
  w.setPolicy("delete", NO_LIMIT);
  await w.begin();
  for (let i = 0; i < 200; i++) w.append();
  await w.world.clock.advance(100);
  return w;
}

test("compaction makes no record younger: what it emptied goes when the records that were in it would have", async () => {
  const w = await filled(1);
  await w.world.clock.advance(700);
  w.setPolicy("compact,delete", { retentionMs: 1000, retentionBytes: -1 });
  await w.world.clock.advance(150);
  expect(w.log.segments.slice(0, -1).map(({ size }) => size)).toContain(0);
  expect(w.log.logStartOffset).toBe(0);
  await w.world.clock.advance(150);
  expect([w.log.logStartOffset, w.log.logEndOffset]).toEqual([w.endOffset, w.endOffset]);
  await w.check();
  await w.stop();
});

test("retention that takes segments from under a cleaning is no trouble with the disk: it begins anew at once", async () => {
  const w = await filled(12, 20_000);
  const { clock } = w.world;
  w.setPolicy("compact,delete", NO_LIMIT);
  await clock.advance(100);
  expect(w.log.compaction.gapsBelow).toBe(w.log.active!.baseOffset); // it reads
  await clock.run(w.deleteRecordsBelow(Math.floor(w.endOffset / 2)));
  await clock.advance(20_000);
  expect(w.log.segments[0]!.baseOffset).toBeGreaterThan(0);
  expect(w.log.compaction.firstDirtyOffset).toBe(w.log.active!.baseOffset);
  await w.checkClean();
  await w.check();
  await w.stop();
});

test("a cleaning ends when the log is not compacted any more: nothing goes that was there when the policy changed", async () => {
  for (let afterMs = 5; afterMs < 400; afterMs += 15) {
    const w = await filled(12, 200_000);
    const { clock } = w.world;
    w.setPolicy("compact", NO_LIMIT);
    await clock.advance(afterMs);
    w.setPolicy("delete", NO_LIMIT);
    await w.check();
    await clock.advance(3000);
    await w.check();
    await w.stop();
    await w.restart("clean");
    await w.check();
    await w.stop();
  }
});
