/** ListOffsets and OffsetForLeaderEpoch through the whole broker, held against what Kafka 4.4 answers: ReplicaManager.fetchOffset, Partition.fetchOffsetForTimestamp, UnifiedLog.fetchOffsetByTimestamp, LeaderEpochFileCache. */
import { describe, expect, test } from "bun:test";
import { KafkaError } from "../../src/protocol/errors.ts";
import { ListOffsets } from "../../src/protocol/messages/02-list-offsets.ts";
import { OffsetForLeaderEpoch } from "../../src/protocol/messages/23-offset-for-leader-epoch.ts";
import { buildBatch } from "../../src/record/records.ts";
import { validateClientBatch } from "../../src/record/validate.ts";
import type { BrokerWorld } from "./broker-world.ts";
import { batchOf, leadWith, partitionOf, produce, put, TOPIC, worldWithTopic } from "./data-requests.ts";

interface ListOptions {
  version?: number;
  partition?: number;
  isolationLevel?: number;
  replicaId?: number;
  currentLeaderEpoch?: number;
}

/** [error code, offset, timestamp, leader epoch] */
async function list(world: BrokerWorld, timestamp: number, o: ListOptions = {}): Promise<number[]> {
  const { version = 11, partition = 0, isolationLevel = 0, replicaId = -1, currentLeaderEpoch = -1 } = o;
  const partitions = [{ partitionIndex: partition, timestamp, currentLeaderEpoch }];
  const request = { replicaId, isolationLevel, topics: [{ name: TOPIC, partitions }], timeoutMs: 1000 };
  const { topics } = await world.ask(ListOffsets, request, version);
  const found = topics[0]!.partitions[0]!;
  return [found.errorCode, found.offset, found.timestamp, found.leaderEpoch];
}

const [LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING] = [-1, -2, -3, -4, -5, -6] as const;

function appendTransactional(world: BrokerWorld, index: number): void {
  const records = [{ key: null, value: Buffer.from("open"), timestampMs: world.clock.nowMs() }];
  const batch = buildBatch({ records, producerId: 7, producerEpoch: 0, baseSequence: 0, isTransactional: true });
  const partition = partitionOf(world, index);
  partition.append(validateClientBatch(batch, world.broker.batchRules(partition, 12)));
}

describe("ListOffsets", () => {
  test("of an empty partition: both ends are 0, in the leader's epoch; there is no largest timestamp", async () => {
    const world = await worldWithTopic();
    expect(await list(world, LATEST)).toEqual([0, 0, -1, 0]);
    expect(await list(world, EARLIEST)).toEqual([0, 0, -1, 0]);
    expect(await list(world, MAX_TIMESTAMP)).toEqual([0, -1, -1, -1]);
    expect(await list(world, 0)).toEqual([0, -1, -1, -1]);
  });

  test("knows each special timestamp from its version on, before it looks for the partition", async () => {
    const world = await worldWithTopic();
    const since = [
      [LATEST, 1],
      [EARLIEST, 1],
      [MAX_TIMESTAMP, 7],
      [EARLIEST_LOCAL, 8],
      [LATEST_TIERED, 9],
      [EARLIEST_PENDING, 11],
    ] as const;
    for (const [timestamp, first] of since)
      for (let version = 1; version <= 11; version++) {
        const [code] = await list(world, timestamp, { version });
        expect(code, `${timestamp} in v${version}`).toBe(version < first ? 35 : 0);
      }
    expect(await list(world, -7)).toEqual([35, -1, -1, -1]);
    expect(await list(world, -7, { partition: 9, currentLeaderEpoch: 5 })).toEqual([35, -1, -1, -1]);
    expect(await list(world, LATEST, { partition: 9 })).toEqual([3, -1, -1, -1]);
  });

  test("tells leader epochs from v4 on", async () => {
    const world = await worldWithTopic();
    const startMs = world.clock.nowMs();
    await put(world, 0, "a");
    const partition = partitionOf(world, 0);
    leadWith(partition, 4);
    await put(world, 0, "b");
    leadWith(partition, 6);
    expect(await list(world, LATEST)).toEqual([0, 2, -1, 6]); // the leader's, whatever it has written
    expect(await list(world, EARLIEST)).toEqual([0, 0, -1, 0]);
    expect(await list(world, EARLIEST_LOCAL)).toEqual([0, 0, -1, 0]);
    expect(await list(world, startMs)).toEqual([0, 0, startMs, 0]);
    expect((await list(world, startMs + 1))[3]).toBe(4);
    expect((await list(world, MAX_TIMESTAMP))[3]).toBe(4);
    expect(await list(world, LATEST_TIERED)).toEqual([0, -1, -1, -1]);
    expect(await list(world, EARLIEST_PENDING)).toEqual([0, -1, -1, -1]);
    for (const version of [1, 2, 3]) expect(await list(world, LATEST, { version })).toEqual([0, 2, -1, -1]);
    for (const version of [4, 5, 6]) expect(await list(world, LATEST, { version })).toEqual([0, 2, -1, 6]);
  });

  test("checks the client's leader epoch", async () => {
    const world = await worldWithTopic();
    leadWith(partitionOf(world, 0), 3);
    expect(await list(world, LATEST, { currentLeaderEpoch: 3 })).toEqual([0, 0, -1, 3]);
    expect(await list(world, LATEST, { currentLeaderEpoch: 2 })).toEqual([74, -1, -1, -1]);
    expect(await list(world, LATEST, { currentLeaderEpoch: 4 })).toEqual([75, -1, -1, -1]);
    expect(await list(world, LATEST, { currentLeaderEpoch: -2 })).toEqual([74, -1, -1, -1]);
  });

  test("shows nothing that is not on the disk", async () => {
    const world = await worldWithTopic();
    await put(world, 0, "a");
    const lateMs = world.clock.nowMs();
    produce(world, 0, batchOf(world, "b"));
    expect(await list(world, LATEST)).toEqual([0, 1, -1, 0]);
    expect(await list(world, LATEST, { replicaId: -2 })).toEqual([0, 1, -1, 0]);
    expect((await list(world, lateMs))[1]).toBe(-1);
    expect((await list(world, MAX_TIMESTAMP))[1]).toBe(-1); // as in Kafka, the largest one, or none
    await world.clock.advance(100);
    expect(await list(world, LATEST)).toEqual([0, 2, -1, 0]);
    expect(await list(world, lateMs)).toEqual([0, 1, lateMs, 0]);
  });

  test("ends at the last stable offset for consumers of committed records", async () => {
    const world = await worldWithTopic();
    await put(world, 0, "a");
    const openMs = world.clock.nowMs();
    appendTransactional(world, 0);
    await world.clock.advance(100);
    expect(await list(world, LATEST)).toEqual([0, 2, -1, 0]);
    expect(await list(world, LATEST, { isolationLevel: 1 })).toEqual([0, 1, -1, 0]);
    expect(await list(world, LATEST, { isolationLevel: 1, replicaId: -2 })).toEqual([0, 2, -1, 0]);
    expect((await list(world, openMs, { isolationLevel: 1 })).slice(0, 3)).toEqual([0, -1, -1]);
    expect((await list(world, openMs)).slice(0, 3)).toEqual([0, 1, openMs]);
    expect((await list(world, MAX_TIMESTAMP, { isolationLevel: 1 }))[1]).toBe(-1);
    expect(await list(world, LATEST, { isolationLevel: 1, version: 1 })).toEqual([0, 2, -1, -1]); // v1 has no isolation
  });

  test("answers a partition that is named twice once, with INVALID_REQUEST, and a topic once", async () => {
    const world = await worldWithTopic();
    const one = (partitionIndex: number) => ({ partitionIndex, timestamp: LATEST });
    const topics = [
      { name: TOPIC, partitions: [one(0), one(1)] },
      { name: "other", partitions: [one(0)] },
      { name: TOPIC, partitions: [one(2), one(0)] },
    ];
    const { topics: told } = await world.ask(ListOffsets, { replicaId: -1, isolationLevel: 0, topics, timeoutMs: 0 }, 11);
    expect(told.map(({ name, partitions }) => [name, ...partitions.map((p) => [p.partitionIndex, p.errorCode])])).toEqual([
      [TOPIC, [0, 42], [1, 0], [2, 0]],
      ["other", [0, 3]],
    ]);
  });

  test("of a partition on a broken disk", async () => {
    const world = await worldWithTopic();
    partitionOf(world, 0).log.offline = "a test";
    for (const timestamp of [LATEST, EARLIEST, MAX_TIMESTAMP, 0]) expect(await list(world, timestamp)).toEqual([56, -1, -1, -1]);
  });

  test("of a partition that goes while it is searched, with why it went", async () => {
    const world = await worldWithTopic();
    await put(world, 0, "a");
    const partition = partitionOf(world, 0);
    const found = list(world, MAX_TIMESTAMP);
    partition.close(new KafkaError("UNKNOWN_TOPIC_OR_PARTITION"));
    partition.log.close("it was deleted");
    expect(await found).toEqual([3, -1, -1, -1]);
  });
});

describe("OffsetForLeaderEpoch", () => {
  /** [error code, epoch, end offset] */
  async function find(
    world: BrokerWorld,
    leaderEpoch: number,
    o: { current?: number; partition?: number; version?: number } = {},
  ) {
    const { current = -1, partition = 0, version = 4 } = o;
    const topics = [{ topic: TOPIC, partitions: [{ partition, currentLeaderEpoch: current, leaderEpoch }] }];
    const response = await world.ask(OffsetForLeaderEpoch, { topics }, version);
    const found = response.topics[0]!.partitions[0]!;
    expect(found.partition).toBe(partition);
    return [found.errorCode, found.leaderEpoch, found.endOffset];
  }

  test("knows the leader's epoch before anything was written in it", async () => {
    const world = await worldWithTopic();
    expect(await find(world, 0)).toEqual([0, 0, 0]);
  });

  test("finds the largest epoch up to the one that is asked for, and where it ended", async () => {
    const world = await worldWithTopic();
    const partition = partitionOf(world, 0);
    partition.log.leaderEpochs.clear();
    for (const epoch of [2, 5, 6]) {
      leadWith(partition, epoch);
      for (const text of ["a", "b", "c"]) await put(world, 0, text);
    }
    for (const version of [2, 3, 4]) {
      expect(await find(world, 0, { version })).toEqual([0, 0, 0]); // before all that are known: ends where they begin
      expect(await find(world, 2, { version })).toEqual([0, 2, 3]);
      expect(await find(world, 4, { version })).toEqual([0, 2, 3]);
      expect(await find(world, 5, { version })).toEqual([0, 5, 6]);
      expect(await find(world, 6, { version })).toEqual([0, 6, 9]);
      expect(await find(world, 7, { version })).toEqual([0, -1, -1]);
      expect(await find(world, -1, { version })).toEqual([0, -1, -1]);
    }
  });

  test("does not go beyond what is on the disk", async () => {
    const world = await worldWithTopic();
    await put(world, 0, "a");
    produce(world, 0, batchOf(world, "b"));
    expect(await find(world, 0)).toEqual([0, 0, 1]);
  });

  test("checks the client's leader epoch, the partition and its disk", async () => {
    const world = await worldWithTopic();
    leadWith(partitionOf(world, 0), 3);
    expect((await find(world, 0, { current: 3 }))[0]).toBe(0);
    expect(await find(world, 0, { current: 2 })).toEqual([74, -1, -1]);
    expect(await find(world, 0, { current: 4 })).toEqual([75, -1, -1]);
    expect(await find(world, 0, { partition: 9 })).toEqual([3, -1, -1]);
    partitionOf(world, 0).log.offline = "a test";
    expect(await find(world, 0)).toEqual([56, -1, -1]);
  });

  test("and an epoch that is known before it is written survives a restart", async () => {
    const world = await worldWithTopic();
    expect(await find(world, 0)).toEqual([0, 0, 0]);
    await world.stop();
    await world.start();
    expect(await find(world, 0)).toEqual([0, 0, 0]);
    await put(world, 0, "a");
    world.crash("power");
    await world.start();
    expect(await find(world, 0)).toEqual([0, 0, 1]);
    expect(partitionOf(world, 0).log.leaderEpochs.entries).toEqual([{ epoch: 0, startOffset: 0 }]);
  });
});
