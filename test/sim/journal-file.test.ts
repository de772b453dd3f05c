/** The journal's file: made, full, refused by the disk, of a newer version, removed. */
import { expect, test } from "bun:test";
import { DATA_PATH, endOf, LogWorld, type ModelLog } from "./log-world.ts";

const PATH = `${DATA_PATH}/quarkmq-journal`;
const BLOCK_BYTES = 4096;

/** It serves whatever number of logs is written to, unless that is said. */
async function begun(journalBytes: number, journalAbove = 0): Promise<{ world: LogWorld; model: ModelLog }> {
  const config = { journalBytes, recoveryPointIntervalMs: 1000, journalAbove };
  const world = new LogWorld({ seed: 1, config, logConfig: { segmentBytes: 1_000_000 } });
  await world.start();
  return { world, model: await world.create("a") };
}

async function append(world: LogWorld, model: ModelLog, batches: number): Promise<void> {
  for (let i = 0; i < batches; i++) {
    world.append(model, { records: 1, valueBytes: 500 });
    await world.clock.advance(10);
  }
}

/** Everything is there after it. */
async function survives(world: LogWorld, model: ModelLog, how: "kill" | "power"): Promise<void> {
  world.crash(how);
  await world.start();
  world.adopt(model, "clean");
  await world.checkAll();
}

/** How often each operation was called on a path. */
function countCalls(world: LogWorld): Map<string, number> {
  const calls = new Map<string, number>();
  world.disk.fault = (operation, path) => {
    const key = `${operation} ${path}`;
    calls.set(key, (calls.get(key) ?? 0) + 1);
    return null;
  };
  return calls;
}

test("it is made when a sixteenth of its size was written, and goes with a clean stop", async () => {
  const { world, model } = await begun(9 * BLOCK_BYTES);
  await append(world, model, 3);
  expect(world.disk.exists(PATH)).toBeFalse();
  await append(world, model, 3);
  expect(world.disk.exists(PATH)).toBeTrue();
  await world.stop();
  expect(world.disk.exists(PATH)).toBeFalse();
});

test("0, and what has no room for two blocks, is none", async () => {
  for (const bytes of [0, 2 * BLOCK_BYTES]) {
    const { world, model } = await begun(bytes);
    await append(world, model, 50);
    expect(world.disk.exists(PATH)).toBeFalse();
    expect(model.durableEnd).toBe(endOf(model));
  }
});

test("few logs are synced by themselves: there is none", async () => {
  const { world, model } = await begun(9 * BLOCK_BYTES, 8);
  await append(world, model, 50);
  expect(world.disk.exists(PATH)).toBeFalse();
  expect(model.durableEnd).toBe(endOf(model));
});

test("records are durable by it before their own file is synced", async () => {
  const { world, model } = await begun(129 * BLOCK_BYTES);
  await append(world, model, 80);
  await world.clock.advance(5000); // everything is quiet
  const calls = countCalls(world);
  await append(world, model, 5);
  expect(model.durableEnd).toBe(endOf(model));
  expect(calls.get(`write ${PATH}`)).toBe(5);
  expect(calls.get(`fdatasync ${model.log!.active!.path}`)).toBeUndefined();
  await survives(world, model, "power");
});

test("what a failed sync left in memory alone is written again", async () => {
  const { world, model } = await begun(129 * BLOCK_BYTES);
  await append(world, model, 80);
  await world.clock.advance(5000);
  await append(world, model, 5);
  expect(model.durableEnd).toBe(endOf(model));
  world.disk.failWriteBack(model.log!.active!.path);
  await survives(world, model, "kill");
  await survives(world, model, "power");
});

test("a batch that it has no room for waits for a round", async () => {
  const { world, model } = await begun(5 * BLOCK_BYTES);
  await append(world, model, 30);
  world.append(model, { records: 1, valueBytes: 3 * BLOCK_BYTES });
  await world.clock.advance(50);
  expect(model.durableEnd).toBe(endOf(model));
  await survives(world, model, "power");
});

test("a disk with little room is left to the logs", async () => {
  const { world, model } = await begun(33 * BLOCK_BYTES);
  world.disk.capacityBytes = 4 * 33 * BLOCK_BYTES; // something is there already
  await append(world, model, 40);
  expect(world.disk.exists(PATH)).toBeFalse();
  expect(model.durableEnd).toBe(endOf(model));
  world.disk.capacityBytes = 5 * 33 * BLOCK_BYTES;
  await append(world, model, 40);
  expect(world.disk.exists(PATH)).toBeTrue();
});

test.each(["while it is made", "later"])("a full disk %s: it goes, and rounds do without", async (when) => {
  const { world, model } = await begun(33 * BLOCK_BYTES);
  if (when === "later") await append(world, model, 40);
  expect(world.disk.exists(PATH)).toBe(when === "later");
  world.disk.fault = (operation, path) => (operation === "write" && path === PATH ? { code: "ENOSPC" } : null);
  await append(world, model, 40);
  expect(world.fatal).toBeNull();
  expect(model.durableEnd).toBe(endOf(model));
  expect(world.disk.exists(PATH)).toBeFalse();
  await survives(world, model, "power");
});

test("one of a newer version is refused, and stays", async () => {
  const { world, model } = await begun(33 * BLOCK_BYTES);
  await append(world, model, 40);
  world.crash("kill");
  world.disk.damage(PATH, 5, 1 ^ 2); // version 1 -> 2
  await expect(world.start()).rejects.toThrow(`${PATH} has version 2; this program knows up to 1`);
  expect(world.disk.exists(PATH)).toBeTrue();
});
