/** A topic is deleted and made again while the disk refuses a call, any of them, or the broker dies, at any moment: nothing of it stays, nothing old is read. */
import { describe, expect, test } from "bun:test";
import { CreateTopics } from "../../src/protocol/messages/19-create-topics.ts";
import { DeleteTopics } from "../../src/protocol/messages/20-delete-topics.ts";
import { ZERO_UUID } from "../../src/protocol/schema.ts";
import { BrokerWorld } from "./broker-world.ts";
import { create, put, readAll, TOPIC } from "./data-requests.ts";

const SYNCS = new Set(["fdatasync", "fsync", "syncfs"]);

async function filled(seed: number): Promise<BrokerWorld> {
  const world = new BrokerWorld(seed);
  await world.start();
  await create(world, 2);
  for (const index of [0, 1]) await put(world, index, "old");
  return world;
}

const sendDeletion = (world: BrokerWorld) =>
  world.send(DeleteTopics, 6, { topics: [{ name: TOPIC, topicId: ZERO_UUID }], timeoutMs: 1000 });

/** Deletes it, if it is still there, makes it anew, and looks at what there is. */
async function checkAnew(world: BrokerWorld): Promise<void> {
  const deleted = sendDeletion(world);
  await world.clock.run(deleted.ended);
  const topics = [{ name: TOPIC, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }];
  const created = await world.ask(CreateTopics, { topics, timeoutMs: 1000 });
  expect(created.topics[0]!.errorCode).toBe(0);
  expect(await readAll(world, 0)).toEqual([]);
  await put(world, 0, "new");
  expect(await readAll(world, 0)).toEqual(["new"]);
  await world.clock.advance(61_000);
  const names = world.disk
    .list("/data")!
    .filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => name);
  expect(names).toEqual(["__cluster_metadata-0", `${TOPIC}-0`]);
}

test("every call to the disk fails once while it goes", async () => {
  const whole = await filled(1);
  const before = whole.disk.calls;
  await whole.clock.run(sendDeletion(whole).ended);
  await whole.clock.advance(10_000);
  const calls = whole.disk.calls - before;
  expect(calls).toBeGreaterThan(10);
  for (let at = 0; at < calls; at++) {
    const world = await filled(1);
    let left = at;
    let failed = "";
    world.disk.fault = (operation) => {
      if (left-- !== 0) return null;
      failed = operation;
      return { code: "EIO" };
    };
    sendDeletion(world);
    await world.clock.advance(10_000);
    world.disk.fault = null;
    expect(world.fatal !== null, `call ${at}, ${failed}`).toBe(SYNCS.has(failed));
    if (world.fatal !== null) {
      world.crash("power");
      world.fatal = null;
      await world.start();
    }
    await checkAnew(world);
    await world.stop();
    expect(world.disk.openFiles).toBe(0);
  }
});

describe("the broker dies while it goes, or while it comes again", () => {
  for (const how of ["kill", "power"] as const)
    test(how, async () => {
      for (let step = 0; step < 60; step++) {
        const world = await filled(1 + step);
        sendDeletion(world);
        if (step % 2 === 1) {
          await world.clock.advance(3);
          const topics = [{ name: TOPIC, numPartitions: 3, replicationFactor: 1, assignments: [], configs: [] }];
          world.send(CreateTopics, 7, { topics, timeoutMs: 1000 });
        }
        await world.clock.advance(step / 6);
        world.crash(how);
        await world.start();
        if (step % 3 === 0) {
          await world.clock.advance(step / 12);
          world.crash(how);
          await world.start();
        }
        await checkAnew(world);
      }
    });
});

describe("a directory that no topic owns", () => {
  const directories = (world: BrokerWorld): string[] =>
    world.disk
      .list("/data")!
      .filter(({ isDirectory }) => isDirectory)
      .map(({ name }) => name);

  test("is found by a start, and kept under another name, as Kafka does", async () => {
    const world = await filled(1);
    await world.stop();
    world.clock.reset();
    world.disk.rename(`/data/${TOPIC}-1`, "/data/stranger-0"); // with the id of a topic that has no such partition
    world.disk.makeDirectory("/data/nameless-3");
    world.disk.makeDirectory("/data/not a partition");
    await world.start();
    const names = directories(world);
    const strays = names.filter((name) => /^(stranger-0|nameless-3)\.[0-9a-f]{32}-stray$/.test(name));
    expect(strays.length).toBe(2);
    expect(names.filter((name) => !strays.includes(name))).toEqual(["__cluster_metadata-0", "not a partition", `${TOPIC}-0`]);
    const stranger = strays.find((name) => name.startsWith("stranger"))!;
    expect(world.disk.list(`/data/${stranger}`)!.map(({ name }) => name)).toContain("00000000000000000000.log");
    world.crash("power");
    await world.start();
    expect(directories(world)).toEqual(names);
  });

  test("does not keep the broker from its start, though the disk does not let it go", async () => {
    const world = await filled(1);
    await world.stop();
    world.clock.reset();
    world.disk.makeDirectory("/data/nameless-3");
    world.disk.fault = (operation, path) => (operation === "rename" && path === "/data/nameless-3" ? { code: "EIO" } : null);
    await world.start();
    expect(directories(world)).toContain("nameless-3");
    expect(await readAll(world, 0)).toEqual(["old"]);
  });
});
