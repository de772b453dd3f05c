/** Administration of partitions and logs through the whole broker, held against what Kafka 4.4 answers with one broker: ReplicationControlManager, ReplicaManager, KafkaRaftClient. */
import { describe, expect, test } from "bun:test";
import { ListOffsets } from "../../src/protocol/messages/02-list-offsets.ts";
import { DeleteTopics } from "../../src/protocol/messages/20-delete-topics.ts";
import { AlterReplicaLogDirs } from "../../src/protocol/messages/34-alter-replica-log-dirs.ts";
import { DescribeLogDirs } from "../../src/protocol/messages/35-describe-log-dirs.ts";
import { CreatePartitions } from "../../src/protocol/messages/37-create-partitions.ts";
import { ElectLeaders } from "../../src/protocol/messages/43-elect-leaders.ts";
import { AlterPartitionReassignments } from "../../src/protocol/messages/45-alter-partition-reassignments.ts";
import { DescribeQuorum } from "../../src/protocol/messages/55-describe-quorum.ts";
import { DescribeProducers } from "../../src/protocol/messages/61-describe-producers.ts";
import { ZERO_UUID } from "../../src/protocol/schema.ts";
import type { BrokerWorld } from "./broker-world.ts";
import { batchOf, create, partitionOf, produce, put, resultOf, TOPIC, worldWithTopic } from "./data-requests.ts";

const LATEST = -1;

async function grow(world: BrokerWorld, count: number): Promise<number> {
  const topics = [{ name: TOPIC, count, assignments: null }];
  const { results } = await world.ask(CreatePartitions, { topics, timeoutMs: 1000, validateOnly: false });
  return results[0]!.errorCode;
}

async function endOf(world: BrokerWorld, partitionIndex: number): Promise<number[]> {
  const topics = [{ name: TOPIC, partitions: [{ partitionIndex, timestamp: LATEST }] }];
  const answer = await world.ask(ListOffsets, { replicaId: -1, isolationLevel: 0, topics, timeoutMs: 1000 });
  const { errorCode, offset } = answer.topics[0]!.partitions[0]!;
  return [errorCode, offset];
}

describe("CreatePartitions", () => {
  test("new partitions take records as soon as it is answered, and have them after a restart and a crash", async () => {
    const world = await worldWithTopic(3, 2);
    expect(await endOf(world, 2)).toEqual([3, -1]);
    expect(await grow(world, 4)).toBe(0);
    for (const index of [0, 2, 3]) await put(world, index, `in ${index}`);
    await world.stop();
    await world.start();
    expect([await endOf(world, 2), await endOf(world, 3), await endOf(world, 4)]).toEqual([
      [0, 1],
      [0, 1],
      [3, -1],
    ]);
    expect(await grow(world, 5)).toBe(0);
    await put(world, 4, "in 4");
    world.crash("power");
    await world.start();
    expect([await endOf(world, 3), await endOf(world, 4)]).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  test("an answer that was given holds after a power cut, also without a record", async () => {
    const world = await worldWithTopic(4, 1);
    expect(await grow(world, 3)).toBe(0);
    world.crash("power");
    await world.start();
    expect([await endOf(world, 2), await endOf(world, 3)]).toEqual([
      [0, 0],
      [3, -1],
    ]);
  });

  test("a topic of the same name afterwards does not see the partitions' records", async () => {
    const world = await worldWithTopic(5, 1);
    await grow(world, 2);
    await put(world, 1, "old");
    await world.ask(DeleteTopics, { topics: [{ name: TOPIC, topicId: ZERO_UUID }], timeoutMs: 1000 });
    await create(world, 1);
    await grow(world, 2);
    expect(await endOf(world, 1)).toEqual([0, 0]);
  });
});

describe("DescribeLogDirs", () => {
  const sizes = async (world: BrokerWorld, version: number, topics: { topic: string; partitions: number[] }[] | null) => {
    const answer = await world.ask(DescribeLogDirs, { topics }, version);
    expect([answer.errorCode, answer.results.length]).toEqual([0, 1]);
    const [directory] = answer.results;
    const described = directory!.topics.flatMap(({ name, partitions }) =>
      partitions.map((p) => [name, p.partitionIndex, p.partitionSize, p.offsetLag, p.isFutureKey]),
    );
    return { ...directory!, described };
  };

  test("the size of every partition on the disk, and from version 4 on that of the disk", async () => {
    const world = await worldWithTopic(1, 3);
    await put(world, 1, "x".repeat(100));
    const bytes = world.disk.open(`/data/${TOPIC}-1/00000000000000000000.log`, "read").size();
    expect(bytes).toBeGreaterThan(100);
    world.disk.capacityBytes = 1_000_000;
    for (let version = 1; version <= 5; version++) {
      const { errorCode, logDir, described, totalBytes, usableBytes, isCordoned } = await sizes(world, version, null);
      expect([errorCode, logDir, isCordoned]).toEqual([0, "/data", false]);
      expect(described).toEqual([
        [TOPIC, 0, 0, 0, false],
        [TOPIC, 1, bytes, 0, false],
        [TOPIC, 2, 0, 0, false],
      ]);
      const used = world.disk.usedBytes();
      expect([totalBytes, usableBytes]).toEqual(version < 4 ? [-1, -1] : [1_000_000, 1_000_000 - used]);
    }
  });

  test("only what is asked for, once, and nothing of what is not here", async () => {
    const world = await worldWithTopic(1, 3);
    const asked = [
      { topic: TOPIC, partitions: [2, 2, 9, -1] },
      { topic: "nope", partitions: [0] },
      { topic: TOPIC, partitions: [0, 2] },
      { topic: "__cluster_metadata", partitions: [0] },
    ];
    expect((await sizes(world, 4, asked)).described).toEqual([
      [TOPIC, 2, 0, 0, false],
      [TOPIC, 0, 0, 0, false],
    ]);
    expect((await sizes(world, 4, [])).topics).toEqual([]);
  });

  test("a replica that is offline has no lag", async () => {
    const world = await worldWithTopic(1, 1);
    await put(world, 0, "a");
    partitionOf(world, 0).log.offline = "damaged";
    expect((await sizes(world, 5, null)).described.map((one) => one[3])).toEqual([-1]);
  });
});

test("AlterReplicaLogDirs: there is one place for a replica", async () => {
  const world = await worldWithTopic(1, 2);
  partitionOf(world, 1).log.offline = "damaged";
  for (const version of [1, 2]) {
    const long = "l".repeat(214);
    const dirs = [
      { path: "/elsewhere", topics: [{ name: TOPIC, partitions: [0] }] },
      { path: "/data", topics: [{ name: TOPIC, partitions: [0, 1, 2] }] }, // the last one counts
      { path: "/data/", topics: [{ name: "other", partitions: [0] }] },
      { path: "/data", topics: [{ name: long, partitions: [0] }] },
      { path: "/data", topics: [{ name: long.slice(1), partitions: [0] }] },
    ];
    const { results } = await world.ask(AlterReplicaLogDirs, { dirs }, version);
    expect(
      results.flatMap(({ topicName, partitions }) => partitions.map((p) => [topicName, p.partitionIndex, p.errorCode])),
    ).toEqual([
      [TOPIC, 0, 0],
      [TOPIC, 1, 56], // KAFKA_STORAGE_ERROR
      [TOPIC, 2, 3],
      ["other", 0, 57], // LOG_DIR_NOT_FOUND
      [long, 0, 17], // no room for the suffix of a replica that is moved
      [long.slice(1), 0, 3],
    ]);
  }
});

describe("ElectLeaders", () => {
  test.each([0, 1, 2])("v%d: every partition has its leader", async (version) => {
    const world = await worldWithTopic(1, 2);
    for (const electionType of version === 0 ? [0] : [0, 1]) {
      const topicPartitions = [
        { topic: TOPIC, partitions: [1, 2] },
        { topic: "nope", partitions: [0] },
      ];
      const answer = await world.ask(ElectLeaders, { electionType, topicPartitions }, version);
      expect(answer).toEqual({
        throttleTimeMs: 0,
        errorCode: 0,
        replicaElectionResults: [
          {
            topic: TOPIC,
            partitionResult: [
              { partitionId: 1, errorCode: 84, errorMessage: "Leader election not needed for topic partition." },
              { partitionId: 2, errorCode: 3, errorMessage: `No such partition as ${TOPIC}-2` },
            ],
          },
          { topic: "nope", partitionResult: [{ partitionId: 0, errorCode: 3, errorMessage: "No such topic as nope" }] },
        ],
      });
      const all = await world.ask(ElectLeaders, { electionType, topicPartitions: null }, version);
      expect(all.replicaElectionResults).toEqual([{ topic: TOPIC, partitionResult: [] }]);
    }
  });

  test("of a kind that there is not", async () => {
    const world = await worldWithTopic(1, 1);
    const answer = await world.ask(ElectLeaders, { electionType: 2, topicPartitions: [{ topic: TOPIC, partitions: [0] }] }, 2);
    const partitionResult = [{ partitionId: 0, errorCode: 42, errorMessage: "Unknown election type 2" }];
    expect(answer).toEqual({ throttleTimeMs: 0, errorCode: 42, replicaElectionResults: [{ topic: TOPIC, partitionResult }] });
    expect((await world.ask(ElectLeaders, { electionType: 9, topicPartitions: null }, 1)).errorCode).toBe(42);
  });
});

describe("AlterPartitionReassignments", () => {
  const alter = async (
    world: BrokerWorld,
    version: number,
    replicas: number[] | null,
    o: { name?: string; index?: number; keep?: boolean } = {},
  ) => {
    const partitions = [{ partitionIndex: o.index ?? 0, replicas }];
    const request = { allowReplicationFactorChange: o.keep !== true, topics: [{ name: o.name ?? TOPIC, partitions }] };
    const answer = await world.ask(AlterPartitionReassignments, request, version);
    expect([answer.errorCode, answer.errorMessage]).toEqual([0, null]);
    if (version >= 1) expect(answer.allowReplicationFactorChange).toBe(o.keep !== true);
    const { errorCode, errorMessage } = answer.responses[0]!.partitions[0]!;
    return [errorCode, errorMessage];
  };

  test.each([0, 1])("v%d: the only place for a replica is where it is", async (version) => {
    const world = await worldWithTopic(1, 1);
    const { nodeId } = world.config;
    expect(await alter(world, version, [nodeId])).toEqual([0, null]);
    expect(await alter(world, version, null)).toEqual([85, null]);
    expect(await alter(world, version, [])).toEqual([39, "The manual partition assignment includes an empty replica list."]);
    expect(await alter(world, version, [nodeId, 77])).toEqual([
      39,
      "The manual partition assignment includes broker 77, but no such broker is registered.",
    ]);
    expect(await alter(world, version, [nodeId, nodeId])).toEqual([
      39,
      `The manual partition assignment includes the broker ${nodeId} more than once.`,
    ]);
    expect(await alter(world, version, [nodeId], { name: "nope" })).toEqual([3, "Unable to find a topic named nope."]);
    expect(await alter(world, version, null, { index: 5 })).toEqual([3, `Unable to find partition ${TOPIC}:5.`]);
    if (version >= 1) expect(await alter(world, version, [nodeId], { keep: true })).toEqual([0, null]);
  });
});

describe("DescribeQuorum", () => {
  const ask = (world: BrokerWorld, version: number, topicName: string, partitionIndex: number) =>
    world.ask(DescribeQuorum, { topics: [{ topicName, partitions: [{ partitionIndex }] }] }, version);

  test.each([0, 1, 2])("v%d: one voter, which leads", async (version) => {
    const world = await worldWithTopic(1, 1);
    const { nodeId } = world.config;
    const first = (await ask(world, version, "__cluster_metadata", 0)).topics[0]!.partitions[0]!;
    await grow(world, 2);
    const answer = await ask(world, version, "__cluster_metadata", 0);
    const [partition] = answer.topics[0]!.partitions;
    const { leaderId, leaderEpoch, highWatermark, currentVoters, observers } = partition!;
    expect([answer.errorCode, partition!.errorCode, leaderId, leaderEpoch, observers]).toEqual([0, 0, nodeId, 1, []]);
    expect(highWatermark).toBeGreaterThan(first.highWatermark);
    const nowMs = version >= 1 ? world.clock.nowMs() : -1;
    expect(currentVoters).toEqual([
      {
        replicaId: nodeId,
        replicaDirectoryId: ZERO_UUID,
        logEndOffset: highWatermark,
        lastFetchTimestamp: nowMs,
        lastCaughtUpTimestamp: nowMs,
      },
    ]);
    const listeners = [{ name: "PLAINTEXT", host: "10.0.0.1", port: 9092 }];
    expect(answer.nodes).toEqual(version < 2 ? [] : [{ nodeId, listeners }]);
    world.crash("kill");
    await world.start();
    expect((await ask(world, version, "__cluster_metadata", 0)).topics[0]!.partitions[0]!.leaderEpoch).toBe(2);
  });

  test("of another partition: not here", async () => {
    const world = await worldWithTopic(1, 1);
    for (const [name, index] of [
      [TOPIC, 0],
      ["__cluster_metadata", 1],
    ] as const) {
      const { topics, nodes } = await ask(world, 2, name, index);
      expect(topics[0]!.partitions[0]).toMatchObject({
        errorCode: 3,
        errorMessage: "This server does not host this topic-partition.",
        currentVoters: [],
      });
      expect(nodes).toEqual([]);
    }
  });
});

describe("DescribeProducers", () => {
  const ask = async (world: BrokerWorld, name: string, partitionIndexes: number[]) =>
    (await world.ask(DescribeProducers, { topics: [{ name, partitionIndexes }] }, 0)).topics[0]!.partitions;

  test("what a partition knows of each producer", async () => {
    const world = await worldWithTopic(1, 2);
    const send = async (text: string, producerId: number, baseSequence: number) => {
      const sent = produce(world, 0, batchOf(world, text, { producerId, baseSequence }));
      await world.clock.run(sent.ended);
      expect(resultOf(sent.response).errorCode).toBe(0);
    };
    for (const baseSequence of [0, 1, 2]) await send("a", 12, baseSequence);
    const timestampMs = world.clock.nowMs();
    await send("b", 13, 0);
    const [first, second, third] = await ask(world, TOPIC, [0, 1, 2]);
    const shared = { producerEpoch: 0, coordinatorEpoch: -1, currentTxnStartOffset: -1 };
    expect(first!.activeProducers).toMatchObject([
      { producerId: 12, lastSequence: 2, ...shared },
      { producerId: 13, lastSequence: 0, lastTimestamp: timestampMs, ...shared },
    ]);
    expect([second!.errorCode, second!.activeProducers]).toEqual([0, []]);
    expect([third!.errorCode, third!.errorMessage, third!.activeProducers]).toEqual([3, null, []]);
  });

  test("what is wrong with a topic or a partition", async () => {
    const world = await worldWithTopic(1, 1);
    expect(await ask(world, "nope", [0])).toMatchObject([{ errorCode: 3, errorMessage: null }]);
    expect(await ask(world, "a b", [0])).toMatchObject([
      {
        errorCode: 17,
        errorMessage:
          "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
      },
    ]);
    partitionOf(world, 0).log.offline = "damaged";
    expect(await ask(world, TOPIC, [0])).toMatchObject([{ errorCode: 56 }]);
  });

  test("an answer has a bound, however often a partition is named", async () => {
    const world = await worldWithTopic(1, 1);
    world.answerRoomBytes = 0;
    const producers = 1000;
    const { log } = partitionOf(world, 0);
    const batch = { producerEpoch: 0, baseSequence: 0, lastSequence: 0, isTransactional: false };
    for (let producerId = 0; producerId < producers; producerId++) log.producers.apply({ ...batch, producerId }, 0, 0, 0);
    const answers = await ask(world, TOPIC, new Array(50).fill(0));
    const told = answers.filter(({ errorCode }) => errorCode === 0).length;
    expect(told).toBe(Math.floor((1024 * 1024) / (37 * producers)));
    expect(answers.at(-1)).toMatchObject({ errorCode: 44, activeProducers: [] });
  });
});

test("error messages of one answer have a bound", async () => {
  const world = await worldWithTopic(1, 1);
  const name = "n".repeat(10_000);
  const partitions = Array.from({ length: 100 }, (_, index) => index);
  const { replicaElectionResults } = await world.ask(ElectLeaders, { topicPartitions: [{ topic: name, partitions }] }, 2);
  const messages = replicaElectionResults[0]!.partitionResult.map(({ errorMessage }) => errorMessage);
  expect(messages[0]).toBe(`No such topic as ${name}`);
  expect(messages.at(-1)).toBeNull();
  expect(messages.join("").length).toBeLessThan(256 * 1024);
});
