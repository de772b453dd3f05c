/** Random histories of logs on a simulated disk, each from a seed: nothing durable is lost, order is kept, no foreign byte is read. */
import { describe, expect, test } from "bun:test";
import { endOf, isKafkaError, LogWorld, type ModelLog } from "./log-world.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 150);
const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);

/**
 * They found something once. 1073: a producer's window was lost when an index of aborted transactions was made anew. 1686, 1998, 3594: with
 * segments below the log's start that the next start or retention removed, when a crash had taken the snapshot behind them.
 */
const KEPT_SEEDS = [1073, 1686, 1998, 3594];

/** Producers of these ids and above write in transactions. */
const TRANSACTIONAL_SINCE = 3;
const PRODUCERS = 6;

/** Sequences of each producer in each log. */
class Producers {
  private readonly next = new Map<string, { epoch: number; sequence: number }>();

  append(world: LogWorld, model: ModelLog, id: number): void {
    const key = `${model.topic} ${id}`;
    const at = this.next.get(key) ?? { epoch: 0, sequence: 0 };
    const isTransactional = id >= TRANSACTIONAL_SINCE;
    if (isTransactional && world.random.chance(0.3)) {
      world.end(model, id, world.random.pick(["abort", "abort", "commit"]), at.epoch);
      this.next.set(key, at);
      return;
    }
    if (world.random.chance(0.03)) {
      at.epoch++;
      at.sequence = 0;
    }
    const batch = world.append(model, { producerId: id, epoch: at.epoch, sequence: at.sequence, isTransactional });
    this.next.set(key, { epoch: at.epoch, sequence: batch.lastSequence + 1 });
  }

  /** After a crash producers go on behind what survived. */
  resync(model: ModelLog): void {
    for (const key of [...this.next.keys()]) {
      const [topic, id] = key.split(" ");
      if (topic !== model.topic) continue;
      const last = model.batches.findLast((batch) => batch.producerId === Number(id));
      if (last === undefined) this.next.delete(key);
      else {
        const data = model.batches.findLast((batch) => batch.producerId === Number(id) && batch.marker === null);
        const sequence = data?.epoch === last.epoch ? data.lastSequence + 1 : 0;
        this.next.set(key, { epoch: last.epoch, sequence });
      }
    }
  }
}

async function step(world: LogWorld, producers: Producers): Promise<void> {
  const { random, clock } = world;
  const model = random.pick(world.logs);
  const dice = random.int(100);
  if (dice < 60) producers.append(world, model, random.int(PRODUCERS));
  else if (dice < 70) world.append(model);
  else if (dice < 85) await clock.advance(random.fraction() * 5);
  else if (dice < 90) await world.check(model);
  else if (dice < 92) await readWhileAppending(world, model, producers);
  else if (dice < 93) await fillDisk(world, model, producers);
  else if (dice < 95) await moveStart(world, model, producers);
  else if (dice < 97) await truncate(world, model, producers);
  else await restart(world, producers);
}

/** The disk is full for a while: appends fail whole, reads go on. */
async function fillDisk(world: LogWorld, model: ModelLog, producers: Producers): Promise<void> {
  world.disk.capacityBytes = world.disk.usedBytes() + world.random.int(300);
  for (let i = 0; i < 5; i++) {
    const end = endOf(model);
    try {
      world.append(model);
    } catch (error) {
      if (!isKafkaError(error, "KAFKA_STORAGE_ERROR")) throw error;
      expect(endOf(model)).toBe(end);
      expect(model.log!.logEndOffset).toBe(end);
    }
  }
  await world.check(model);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  producers.append(world, model, 1);
}

/** A read that has to wait for the disk sees whole batches from its offset on, whatever is appended meanwhile. */
async function readWhileAppending(world: LogWorld, model: ModelLog, producers: Producers): Promise<void> {
  const { random, clock } = world;
  const { logStartOffset } = model.log!;
  const offset = logStartOffset + random.int(endOf(model) - logStartOffset + 1);
  const limits = { limitOffset: endOf(model), maxBytes: random.pick([1, 500, 5000]), atLeastOne: true };
  const pending = model.log!.read(offset, limits);
  for (let i = random.int(6); i > 0; i--) producers.append(world, model, random.int(3));
  let chunks: readonly Uint8Array[] = [];
  try {
    ({ chunks } = pending instanceof Promise ? await clock.run(pending) : pending);
  } catch (error) {
    if (!isKafkaError(error, "OFFSET_OUT_OF_RANGE") || offset >= model.log!.logStartOffset) throw error;
    return; // its segment is gone
  }
  const expected = Buffer.concat(
    model.batches
      .filter((batch) => batch.lastOffset >= offset && batch.baseOffset < limits.limitOffset)
      .map((batch) => batch.bytes),
  );
  const read = Buffer.concat(chunks);
  expect(read.equals(expected.subarray(0, read.length))).toBeTrue();
  expect(read.length > 0).toBe(expected.length > 0);
}

/** Records are deleted up to somewhere; now and then the process or the machine dies while that happens. */
async function moveStart(world: LogWorld, model: ModelLog, producers: Producers): Promise<void> {
  const { random, clock } = world;
  const log = model.log!;
  const offset = random.int(log.durableEndOffset + 1);
  const moving = log.moveStart(offset);
  if (random.chance(0.3)) {
    moving.catch(() => {}); // the crash ends it
    const how = random.pick(["kill", "power"] as const);
    await clock.advance(random.fraction() * 8);
    world.crash(how);
    await startAgain(world, producers, how);
    return;
  }
  if (random.chance(0.3)) producers.append(world, model, random.int(3));
  await clock.run(moving);
  expect(log.logStartOffset).toBeGreaterThanOrEqual(offset);
  await world.check(model);
}

/** The log is cut somewhere, or begun anew; now and then the power fails while that happens. */
async function truncate(world: LogWorld, model: ModelLog, producers: Producers): Promise<void> {
  const { random, clock } = world;
  if (random.chance(0.2)) {
    const offset = random.int(1000);
    await clock.run(model.log!.truncateFullyAndStartAt(offset));
    Object.assign(model, { batches: [], startOffset: offset, durableEnd: offset, shownStart: offset });
  } else {
    const offset = model.startOffset + random.int(endOf(model) - model.startOffset + 1);
    const isBelowStart = offset < model.log!.logStartOffset;
    const cutting = model.log!.truncateTo(offset);
    if (isBelowStart) {
      await clock.run(cutting);
      Object.assign(model, { batches: [], startOffset: offset, durableEnd: offset, shownStart: offset });
      producers.resync(model);
      return world.checkAll();
    }
    const kept = model.batches.filter((batch) => batch.lastOffset < offset);
    if (random.chance(0.3) && world.durability === "sync") {
      cutting.catch(() => {}); // the crash ends it
      await clock.advance(random.fraction() * 5);
      model.durableEnd = Math.min(model.durableEnd, (kept.at(-1)?.lastOffset ?? model.startOffset - 1) + 1);
      world.crash("power");
      model.wasBeingCut = true;
      await startAgain(world, producers, "power");
      return;
    }
    await clock.run(cutting);
    const wasCut = kept.length < model.batches.length;
    model.batches = kept;
    if (endOf(model) < model.shownStart) Object.assign(model, { batches: [], startOffset: model.shownStart });
    if (wasCut) model.durableEnd = endOf(model);
  }
  expect(model.log!.logEndOffset).toBe(endOf(model));
  producers.resync(model);
  await world.checkAll();
}

async function startAgain(world: LogWorld, producers: Producers, crashed: "clean" | "kill" | "power"): Promise<void> {
  let how = crashed;
  while (how !== "clean" && world.random.chance(0.2)) {
    how = how === "power" || world.random.chance(0.5) ? "power" : "kill";
    await world.startInVain(world.random.fraction() * 12, how);
  }
  await world.start();
  for (const model of world.logs) {
    world.adopt(model, how);
    producers.resync(model);
  }
  await world.checkAll();
}

async function restart(world: LogWorld, producers: Producers): Promise<void> {
  const how = world.random.pick(["clean", "kill", "power", "power"] as const);
  if (how === "clean") await world.stop();
  else world.crash(how);
  await startAgain(world, producers, how);
  expect(world.directory!.lastCleanShutdown !== null).toBe(how === "clean");
  if (!world.random.chance(0.3)) return;
  const ends = world.logs.map(endOf);
  world.crash("power"); // recovery again, of what recovery left
  await world.start();
  for (const model of world.logs) world.adopt(model, world.durability === "sync" ? "clean" : "power");
  if (world.durability === "sync") expect(world.logs.map(endOf)).toEqual(ends);
  for (const model of world.logs) producers.resync(model);
  await world.checkAll();
}

async function history(seed: number): Promise<void> {
  const world = new LogWorld({
    seed,
    durability: seed % 5 === 0 ? "page-cache" : "sync",
    hasSyncFileSystem: seed % 2 === 0,
    hotChance: [0, 0.5, 1][seed % 3]!,
    config: {
      syncFileSystemAbove: seed % 4,
      journalAbove: seed % 3,
      journalBytes: seed % 4 === 1 ? 0 : (20 + (seed % 6) * 8) * 1024,
      recoveryPointIntervalMs: [0, 5, 1000][seed % 3]!,
      retentionCheckIntervalMs: [3, 20, 100_000][seed % 3]!,
    },
    logConfig: {
      segmentBytes: 1500 + (seed % 7) * 1000,
      segmentIndexBytes: seed % 11 === 0 ? 48 : 4096,
      retentionBytes: [-1, -1, 4000, 0][seed % 4]!,
      retentionMs: [-1, 200, -1, 1][seed % 4]!,
      fileDeleteDelayMs: [0, 5, 1000][seed % 3]!,
    },
  });
  await world.start();
  for (let i = 0; i < 1 + (seed % 3); i++) await world.create(`t${i}`);
  const producers = new Producers();
  for (let i = 0; i < 150; i++) {
    await step(world, producers);
    expect(world.fatal).toBeNull();
  }
  await world.checkAll();
}

describe("a log on a simulated disk", () => {
  const seeds = new Set(Array.from({ length: SEEDS }, (_, i) => FIRST_SEED + i));
  for (const seed of seeds.union(new Set(KEPT_SEEDS)))
    test(`seed ${seed}`, async () => {
      await history(seed);
    });
});
