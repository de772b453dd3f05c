/** The journal's file: made, full, refused by the disk, of another version, damaged, removed. */
import { expect, test } from "bun:test";
import { crc32c } from "../../src/bytes/crc32c.ts";
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
  const path = model.log!.active!.path;
  world.disk.failWriteBack(path);
  world.crash("kill");
  const calls = countCalls(world);
  await world.start();
  expect(calls.get(`write ${path}`)).toBe(5);
  world.adopt(model, "clean");
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

function journalOf(world: LogWorld): Buffer {
  const file = world.disk.open(PATH, "read");
  const bytes = Buffer.alloc(file.size());
  file.read(bytes, 0);
  file.close();
  return bytes;
}

/** Where its newest frame begins, and where that frame's entries end. */
function newestFrame(bytes: Buffer): [number, number] {
  let newest = -1;
  for (let at = BLOCK_BYTES; at < bytes.length; at += BLOCK_BYTES) {
    const isFrame = bytes.toString("latin1", at, at + 4) === "qjfr";
    if (isFrame && (newest < 0 || bytes.readBigInt64BE(at + 8) > bytes.readBigInt64BE(newest + 8))) newest = at;
  }
  return [newest, newest + 20 + bytes.readInt32BE(newest + 16)];
}

/** Its header, its only entry's header and key, and the batch: what the frame's CRC covers and what the batch's does. */
test.each([0, 4, 8, 16, 20, 21, 23, 31, 35, 39, 55, 57, 65, 70, 75, 79, 100, -400, -1])(
  "a frame in which byte %d has changed is not put back",
  async (at) => {
    const { world, model } = await begun(129 * BLOCK_BYTES);
    await append(world, model, 80);
    await world.clock.advance(5000); // everything before is in the file
    const before = endOf(model);
    await append(world, model, 1);
    const [start, end] = newestFrame(journalOf(world));
    world.disk.damage(PATH, at < 0 ? end + at : start + at, 0x41);
    world.disk.failWriteBack(model.log!.active!.path); // the file has lost the last batch
    model.durableEnd = before;
    const path = model.log!.active!.path;
    world.crash("power");
    const calls = countCalls(world);
    await world.start();
    expect(calls.get(`write ${path}`)).toBeUndefined();
    world.adopt(model, "power");
    expect(endOf(model)).toBe(before);
    await world.checkAll();
  },
);

/** Old records may lie behind the newest frame: whoever wrote them may have made them look like the next one. */
test.each([true, false])("a frame is one if its writer knew the salt: %p", async (isKnown) => {
  const { world, model } = await begun(129 * BLOCK_BYTES);
  await append(world, model, 80);
  const journal = journalOf(world);
  const [start, end] = newestFrame(journal);
  const frame = journal.subarray(start, end);
  const batchAt = 20 + 19 + frame.readInt16BE(20 + 1);
  frame.writeBigInt64BE(frame.readBigInt64BE(8) + 1n, 8);
  frame.writeInt32BE(model.log!.active!.size, 20 + 11);
  frame.writeBigInt64BE(BigInt(endOf(model)), batchAt);
  const salt = isKnown ? journal.readUInt32BE(6) : 0;
  frame.writeUInt32BE(crc32c(frame, 8, batchAt + 21, salt), 4);
  const file = world.disk.open(PATH, "write");
  file.write(frame, start + Math.ceil(frame.length / BLOCK_BYTES) * BLOCK_BYTES);
  file.close();
  world.crash("kill");
  await world.start();
  expect(model.log!.logEndOffset).toBe(endOf(model) + (isKnown ? 1 : 0));
});

test("one of another version is refused, and stays", async () => {
  const { world, model } = await begun(33 * BLOCK_BYTES);
  await append(world, model, 40);
  world.crash("kill");
  world.disk.damage(PATH, 5, 2 ^ 3); // version 2 -> 3
  await expect(world.start()).rejects.toThrow(`${PATH} has version 3; this program knows version 2`);
  expect(world.disk.exists(PATH)).toBeTrue();
});
