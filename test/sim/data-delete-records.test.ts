/** DeleteRecords and retention through the whole broker: what clients are told, and what they never see again. Source: KafkaApis.handleDeleteRecordsRequest. */
import { describe, expect, test } from "bun:test";
import { ListOffsets } from "../../src/protocol/messages/02-list-offsets.ts";
import { FindCoordinator } from "../../src/protocol/messages/10-find-coordinator.ts";
import { DeleteRecords } from "../../src/protocol/messages/21-delete-records.ts";
import { BrokerWorld } from "./broker-world.ts";
import {
  create,
  errorsOf,
  fetch,
  partitionOf,
  partitionsOf,
  put,
  remove,
  resign,
  sendFetch,
  TOPIC,
  valuesOf,
  worldWithTopic,
} from "./data-requests.ts";

const SMALL = { "internal.segment.bytes": "300", "file.delete.delay.ms": "100" };

const request = (offsets: Record<number, number>, name = TOPIC) => ({
  topics: [{ name, partitions: Object.entries(offsets).map(([index, offset]) => ({ partitionIndex: Number(index), offset })) }],
  timeoutMs: 1000,
});

/** [index, error code, low watermark] of each. */
async function deleteBelow(world: BrokerWorld, offsets: Record<number, number>, name = TOPIC, version = 2) {
  const { topics } = await world.ask(DeleteRecords, request(offsets, name), version);
  return topics.flatMap(({ partitions }) =>
    partitions.map(({ partitionIndex, errorCode, lowWatermark }) => [partitionIndex, errorCode, lowWatermark]),
  );
}

async function earliest(world: BrokerWorld, timestamp = -2): Promise<number> {
  const topics = [{ name: TOPIC, partitions: [{ partitionIndex: 0, timestamp, currentLeaderEpoch: -1 }] }];
  const { topics: answered } = await world.ask(ListOffsets, { replicaId: -1, isolationLevel: 0, topics, timeoutMs: 1000 });
  return answered[0]!.partitions[0]!.offset;
}

async function filled(configs: Record<string, string> = SMALL, records = 20): Promise<BrokerWorld> {
  const world = new BrokerWorld(1, { logRetentionCheckIntervalMs: 1000 });
  await world.start();
  await create(world, 2, configs);
  for (let i = 0; i < records; i++) await put(world, 0, `record ${i}`);
  return world;
}

describe("DeleteRecords", () => {
  for (const version of [0, 1, 2])
    test(`version ${version} answers the new start, and the old one where it is further already`, async () => {
      const world = await filled();
      expect(await deleteBelow(world, { 0: 7, 1: 0 }, TOPIC, version)).toEqual([
        [0, 0, 7],
        [1, 0, 0],
      ]);
      expect(await deleteBelow(world, { 0: 3 }, TOPIC, version)).toEqual([[0, 0, 7]]);
      expect(await earliest(world)).toBe(7);
      expect(valuesOf(await fetch(world, { offsets: { 0: 7 } }))[0]![0]).toBe("record 7");
      expect(errorsOf(await fetch(world, { offsets: { 0: 6 } }))).toEqual([[0, 1]]);
    });

  test("-1 is the high watermark; what is above it, or below -1, is out of range", async () => {
    const world = await filled();
    expect(await deleteBelow(world, { 0: 21 })).toEqual([[0, 1, -1]]);
    expect(await deleteBelow(world, { 0: -2 })).toEqual([[0, 1, -1]]);
    expect(await deleteBelow(world, { 0: -1 })).toEqual([[0, 0, 20]]);
    expect([await earliest(world), await earliest(world, -1)]).toEqual([20, 20]);
    await put(world, 0, "next");
    expect(valuesOf(await fetch(world, { offsets: { 0: 20 } }))).toEqual({ 0: ["next"] });
  });

  test("refuses what Kafka refuses", async () => {
    const world = await filled({ ...SMALL, "cleanup.policy": "compact" }, 0);
    expect(await deleteBelow(world, { 0: 0 })).toEqual([[0, 44, -1]]); // POLICY_VIOLATION
    expect(await deleteBelow(world, { 2: 0 })).toEqual([[2, 3, -1]]); // UNKNOWN_TOPIC_OR_PARTITION
    expect(await deleteBelow(world, { 0: 0 }, "nothing")).toEqual([[0, 3, -1]]);
    await world.ask(FindCoordinator, { keyType: 0, coordinatorKeys: ["g"] });
    expect(await deleteBelow(world, { 0: 0 }, "__consumer_offsets")).toEqual([[0, 17, -1]]); // INVALID_TOPIC_EXCEPTION
    resign(partitionOf(world, 0));
    expect(await deleteBelow(world, { 0: 0 })).toEqual([[0, 6, -1]]); // NOT_LEADER_OR_FOLLOWER
  });

  for (const policy of ["delete", "compact,delete", ""])
    test(`is allowed with cleanup.policy "${policy}"`, async () => {
      const world = await filled({ ...SMALL, "cleanup.policy": policy }, 0);
      expect(await deleteBelow(world, { 0: 0 })).toEqual([[0, 0, 0]]);
    });

  test("of a partition that is named twice the last counts", async () => {
    const world = await filled();
    const twice = { name: TOPIC, partitions: [5, 2].map((offset) => ({ partitionIndex: 0, offset })) };
    const { topics } = await world.ask(DeleteRecords, { topics: [twice], timeoutMs: 1000 });
    expect(topics).toMatchObject([{ name: TOPIC, partitions: [{ partitionIndex: 0, errorCode: 0, lowWatermark: 2 }] }]);
  });

  test("a disk that refuses is a storage error, and nothing has changed", async () => {
    const world = await filled();
    world.disk.fault = (operation) => (operation === "write" ? { code: "ENOSPC" } : null);
    expect(await deleteBelow(world, { 0: 7 })).toEqual([[0, 56, -1]]);
    world.disk.fault = null;
    expect(await earliest(world)).toBe(0);
    expect(await deleteBelow(world, { 0: 7 })).toEqual([[0, 0, 7]]);
  });

  test("whoever waits when the topic is deleted is told so", async () => {
    const world = await filled();
    const asked = world.send(DeleteRecords, 2, request({ 0: 7 }));
    await remove(world);
    await world.clock.run(asked.ended);
    expect(asked.response!.topics[0]!.partitions[0]!.errorCode).toBe(3);
  });

  test("an acknowledged one outlives a power cut, however soon it comes", async () => {
    for (let seed = 1; seed < 30; seed++) {
      const world = await filled();
      const asked = world.send(DeleteRecords, 2, request({ 0: 13 }));
      await world.clock.advance(seed / 3);
      const wasAnswered = asked.response !== null;
      world.crash("power");
      await world.start();
      if (wasAnswered) expect(await earliest(world)).toBe(13);
      else expect([0, 13]).toContain(await earliest(world));
    }
  });
});

describe("a fetch session", () => {
  test("is told that the log's start moved, once, although there is nothing to read", async () => {
    const world = await filled();
    const { sessionId } = await fetch(world, { offsets: { 0: 20, 1: 0 }, session: [0, 0], maxWaitMs: 0 });
    const next = (epoch: number) => fetch(world, { offsets: {}, session: [sessionId, epoch], maxWaitMs: 0 });
    expect(partitionsOf(await next(1))).toEqual([]);
    await deleteBelow(world, { 0: 7 });
    expect(partitionsOf(await next(2))).toMatchObject([{ partitionIndex: 0, errorCode: 0, logStartOffset: 7 }]);
    expect(partitionsOf(await next(3))).toEqual([]);
  });

  test("hears of it at the end of a wait that it began before", async () => {
    const world = await filled();
    const { sessionId } = await fetch(world, { offsets: { 0: 20, 1: 0 }, session: [0, 0], maxWaitMs: 0 });
    const waiting = sendFetch(world, { offsets: {}, session: [sessionId, 1], maxWaitMs: 500 });
    await deleteBelow(world, { 0: 7 });
    await world.clock.run(waiting.ended);
    expect(partitionsOf(waiting.response)).toMatchObject([{ partitionIndex: 0, logStartOffset: 7 }]);
  });
});

describe("retention", () => {
  test("removes what is old, tells where the log begins, and leaves no file", async () => {
    const world = await filled({ ...SMALL, "retention.ms": "60000" });
    await world.clock.advance(50_000);
    for (let i = 20; i < 24; i++) await put(world, 0, `record ${i}`);
    await world.clock.advance(20_000);
    const start = await earliest(world);
    expect(start).toBeGreaterThan(15);
    expect(start).toBeLessThanOrEqual(20);
    const { log } = partitionOf(world, 0);
    const names = world.disk.list(`/data/${TOPIC}-0`)!.map(({ name }) => name);
    const bases = log.segments.map(({ baseOffset }) => `${baseOffset}`.padStart(20, "0"));
    expect(names.filter((name) => /^\d/.test(name) && !bases.includes(name.slice(0, 20)))).toEqual([]);
    expect(await earliest(world, world.clock.nowMs() - 100_000)).toBe(start);
    expect(errorsOf(await fetch(world, { offsets: { 0: start - 1 } }))).toEqual([[0, 1]]);
    await world.clock.advance(100_000);
    expect(await earliest(world)).toBe(24);
    await put(world, 0, "goes on");
    expect(valuesOf(await fetch(world, { offsets: { 0: 24 } }))).toEqual({ 0: ["goes on"] });
  });

  test("a topic's configs stand above the server's", async () => {
    const world = new BrokerWorld(1, { logRetentionCheckIntervalMs: 1000, logRetentionBytes: 0 });
    await world.start();
    await create(world, 1, { "retention.bytes": "-1", "retention.ms": "-1" });
    for (let i = 0; i < 5; i++) await put(world, 0, `record ${i}`);
    await world.clock.advance(10_000_000);
    expect(await earliest(world)).toBe(0);
    await remove(world);
    await create(world, 1);
    for (let i = 0; i < 5; i++) await put(world, 0, `record ${i}`);
    await world.clock.advance(2000);
    expect(await earliest(world)).toBe(5);
  });

  test("the first look comes after half a minute, or after the interval", async () => {
    const world = await worldWithTopic(1, 1);
    partitionOf(world, 0).log.updateConfig({ ...partitionOf(world, 0).log.config, retentionBytes: 0 });
    await put(world, 0, "old");
    await world.clock.advance(29_000);
    expect(await earliest(world)).toBe(0);
    await world.clock.advance(2000);
    expect(await earliest(world)).toBe(1);
  });
});
