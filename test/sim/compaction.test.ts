/** Random produce, compact, delete keys, restart, kill and power cut, against a model that knows every record (compaction-world.ts). */
import { expect, test } from "bun:test";
import { CompactionWorld } from "./compaction-world.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 60);
const FROM = Number(process.env.SIM_FROM ?? 0);

async function history(seed: number): Promise<void> {
  const some = new CompactionWorld({ seed });
  const { random } = some.world;
  const durability = random.chance(0.8) ? "sync" : "page-cache";
  const w = new CompactionWorld({
    seed,
    durability,
    hasSyncFileSystem: random.chance(0.5),
    keys: random.pick([3, 12, 200]),
    // In page-cache mode a power cut takes markers that compaction relied on, as in Kafka: what was aborted may be committed then.
    transactions: durability === "sync" && random.chance(0.5),
    compaction: { deleteRetentionMs: random.pick([0, 50, 1000]), minCleanableDirtyRatio: random.pick([0, 0.5]) },
    limits: { dedupeBufferBytes: 24 * random.pick([4, 64, 4096]), ioBufferBytes: random.pick([200, 2000, 100_000]) },
  });
  await w.begin();
  for (let step = 0; step < 60; step++) {
    const what = random.int(100);
    if (what < 60) for (let i = random.int(12); i >= 0; i--) w.append();
    else if (what < 85) await w.world.clock.advance(random.fraction() * random.pick([3, 40, 400]));
    else if (what < 92) await w.check();
    else await dieAndComeBack(w);
  }
  await w.world.clock.advance(5000);
  await w.checkClean();
  await w.check();
  await w.stop();
  await w.restart("clean");
  await w.check();
  await w.stop();
}

async function dieAndComeBack(w: CompactionWorld): Promise<void> {
  const how = w.world.random.pick(["clean", "kill", "power", "power"] as const);
  if (how === "clean") await w.stop();
  else {
    await w.world.clock.advance(w.world.random.fraction() * 30);
    w.crash(how);
    while (w.world.random.chance(0.2)) await w.world.startInVain(w.world.random.fraction() * 12, how);
  }
  await w.restart(how);
  await w.check();
}

test("histories", async () => {
  for (let seed = FROM; seed < FROM + SEEDS; seed++) {
    try {
      await history(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
    }
  }
}, 120_000);

test("a log is compacted: superseded records go, offsets stay, and in time the tombstones go too", async () => {
  const w = new CompactionWorld({ seed: 1, keys: 5, limits: { dedupeBufferBytes: 24 * 1000 } });
  await w.begin();
  for (let i = 0; i < 200; i++) w.append();
  const before = w.log.sizeBytes;
  await w.world.clock.advance(1000);
  expect(w.log.sizeBytes).toBeLessThan(before / 5);
  await w.check();
  const { firstDirtyOffset } = w.log.compaction;
  expect(firstDirtyOffset).toBe(w.log.active!.baseOffset);
  const clean = (await w.readAll()).filter(({ offset }) => offset < firstDirtyOffset);
  expect(clean.length).toBeLessThanOrEqual(5);
  for (let i = 0; i < 50; i++) w.append();
  await w.world.clock.advance(1000);
  for (let i = 0; i < 50; i++) w.append();
  await w.world.clock.advance(1000);
  await w.check();
  await w.stop();
});

test("a tombstone stays as long as a batch lies before it that unpacks to too much to be cleaned", async () => {
  const limits = { dedupeBufferBytes: 24 * 1000, maxDecompressedBytes: 150 };
  const w = new CompactionWorld({ seed: 3, keys: 150, limits, compaction: { deleteRetentionMs: 0 } });
  await w.begin();
  for (let pass = 0; pass < 5; pass++) {
    for (let i = 0; i < 40; i++) w.append();
    await w.world.clock.advance(1000);
    await w.check();
  }
  await w.stop();
});
