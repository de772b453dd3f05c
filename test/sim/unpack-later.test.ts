/** Batches that are unpacked off the loop: what they may overtake, and what becomes of them when the topic, the client or the broker goes. */
import { describe, expect, test } from "bun:test";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { ZERO_UUID } from "../../src/protocol/schema.ts";
import { compressionType } from "../../src/record/batch.ts";
import { buildBatch } from "../../src/record/records.ts";
import { BrokerWorld } from "./broker-world.ts";
import { batchOf, create, fetch, partitionOf, partitionsOf, produce, readAll, remove, resultOf, TOPIC } from "./data-requests.ts";

async function worldThatWaits(configs: Record<string, string> = {}, maxDecompressedRequestBytes = 1 << 20): Promise<BrokerWorld> {
  const world = new BrokerWorld(1, { maxDecompressedRequestBytes });
  await world.start();
  await create(world, 3, configs);
  world.unpacking = { laterChance: 1, maxMs: 50 };
  return world;
}

const zeros = (world: BrokerWorld, bytes: number): Buffer =>
  buildBatch({ records: [{ key: null, value: Buffer.alloc(bytes), timestampMs: world.clock.nowMs() }], compression: "gzip" });

describe("batches that are unpacked off the loop", () => {
  test("reach the log in the order of their connection, and hold up nobody else's", async () => {
    const world = await worldThatWaits();
    const slow = produce(world, 0, batchOf(world, "first"));
    world.unpacking.laterChance = 0;
    const behind = ["second", "third"].map((text) => produce(world, 0, batchOf(world, text)));
    const own = world.connection;
    world.connection = { ...own, id: 2 };
    const other = produce(world, 0, batchOf(world, "of another client"));
    await world.clock.run(other.ended);
    expect([slow, ...behind].map(({ response }) => response)).toEqual([null, null, null]);
    for (const asked of [slow, ...behind]) await world.clock.run(asked.ended);
    expect([other, slow, ...behind].map(({ response }) => resultOf(response).baseOffset)).toEqual([0, 1, 2, 3]);
    expect(await readAll(world, 0)).toEqual(["of another client", "first", "second", "third"]);
    world.connection = own;
    const next = produce(world, 0, batchOf(world, "at once"));
    expect(partitionOf(world, 0).logEndOffset).toBe(5); // nobody is in line any more
    await world.clock.run(next.ended);
  });

  test("with those of the same request, for several partitions", async () => {
    const world = await worldThatWaits();
    const partitionData = [0, 1, 2].map((index) => ({
      index,
      records: index === 1 ? Buffer.alloc(5) : batchOf(world, `${index}`),
    }));
    const topicData = [{ name: TOPIC, topicId: ZERO_UUID, partitionData }];
    const { responses } = await world.ask(Produce, { acks: -1, timeoutMs: 1000, topicData }, 12);
    const told = responses[0]!.partitionResponses.map(({ index, errorCode, baseOffset }) => [index, errorCode, baseOffset]);
    expect(told).toEqual([
      [0, 0, 0],
      [1, 87, -1],
      [2, 0, 0],
    ]);
  });

  test("count together against the request's bound", async () => {
    const world = await worldThatWaits({}, 25_000);
    const partitionData = [0, 1, 2].map((index) => ({ index, records: zeros(world, 10_000) }));
    const topicData = [{ name: TOPIC, topicId: ZERO_UUID, partitionData }];
    const { responses } = await world.ask(Produce, { acks: -1, timeoutMs: 1000, topicData }, 12);
    expect(responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)).toEqual([0, 0, 10]);
  });

  test("have the time of their append, not of their arrival", async () => {
    const world = await worldThatWaits({ "message.timestamp.type": "LogAppendTime", "compression.type": "lz4" });
    world.unpacking.maxMs = 1000;
    const [slow, behind] = [produce(world, 0, batchOf(world, "a")), produce(world, 0, batchOf(world, "b"))];
    const sentMs = world.clock.nowMs();
    await world.clock.run(slow!.ended);
    await world.clock.run(behind!.ended);
    const times = [slow, behind].map((asked) => resultOf(asked!.response).logAppendTimeMs);
    expect(times[0]).toBeGreaterThan(sentMs);
    expect(times[1]).toBeGreaterThanOrEqual(times[0]!);
  });

  test("without acks too: silence, or the connection closes", async () => {
    const world = await worldThatWaits();
    const good = produce(world, 0, batchOf(world, "a"), 0);
    const bad = produce(world, 0, Buffer.alloc(5), 0);
    await world.clock.run(good.ended);
    await world.clock.run(bad.ended);
    await world.clock.advance(100); // to the disk
    expect([good.silent, bad.dropped]).toEqual([true, "produce with acks=0 failed with error 87"]);
    expect(await readAll(world, 0)).toEqual(["a"]);
  });

  test("of a topic that is deleted meanwhile, and made again, are not written", async () => {
    const world = await worldThatWaits();
    world.unpacking.maxMs = 5000;
    const asked = produce(world, 0, batchOf(world, "a"));
    await remove(world);
    await create(world, 3);
    expect(asked.response).toBeNull();
    await world.clock.run(asked.ended);
    expect(resultOf(asked.response).errorCode).toBe(3);
    expect(partitionOf(world, 0).logEndOffset).toBe(0);
  });

  test("are given up when the broker stops", async () => {
    const world = await worldThatWaits();
    world.unpacking.maxMs = 1_000_000;
    const asked = [produce(world, 0, batchOf(world, "a")), produce(world, 1, batchOf(world, "b"))];
    await world.stop();
    for (const one of asked) {
      await world.clock.run(one.ended);
      expect(resultOf(one.response).errorCode).toBe(6);
    }
  });
});

test("a topic's codec: batches of all others are stored in it, those of its own as they came", async () => {
  const world = new BrokerWorld(1);
  await world.start();
  await create(world, 1, { "compression.type": "gzip" });
  const plain = batchOf(world, "a ".repeat(500));
  const packed = zeros(world, 5000);
  const kept = Buffer.from(packed);
  for (const batch of [plain, packed]) await world.clock.run(produce(world, 0, batch).ended);
  const stored = partitionsOf(await fetch(world, { offsets: { 0: 0 } }))[0]!.records!;
  const second = 12 + stored.readInt32BE(8);
  expect([compressionType(stored, 0), compressionType(stored, second)]).toEqual([1, 1]);
  expect(second).toBeLessThan(200);
  expect(stored.subarray(second + 21).equals(kept.subarray(21))).toBe(true);
  expect(await readAll(world, 0)).toEqual(["a ".repeat(500), Buffer.alloc(5000).toString()]);
});
