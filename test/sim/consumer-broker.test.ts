/** Groups of the consumer protocol through the whole broker on a simulated disk: epochs, partitions and offsets survive any crash. */
import { describe, expect, test } from "bun:test";
import { OffsetCommit } from "../../src/protocol/messages/08-offset-commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09-offset-fetch.ts";
import { FindCoordinator } from "../../src/protocol/messages/10-find-coordinator.ts";
import { CreateTopics } from "../../src/protocol/messages/19-create-topics.ts";
import { DeleteTopics } from "../../src/protocol/messages/20-delete-topics.ts";
import { CreatePartitions } from "../../src/protocol/messages/37-create-partitions.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68-consumer-group-heartbeat.ts";
import { ConsumerGroupDescribe } from "../../src/protocol/messages/69-consumer-group-describe.ts";
import type { RequestInput } from "../../src/protocol/schema.ts";
import { BrokerWorld } from "./broker-world.ts";

async function createTopic(world: BrokerWorld, name: string, numPartitions: number): Promise<void> {
  const topics = [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }];
  expect((await world.ask(CreateTopics, { topics, timeoutMs: 1000 })).topics[0]!.errorCode).toBe(0);
}

async function worldWithTopic(seed: number): Promise<BrokerWorld> {
  const world = new BrokerWorld(seed);
  await world.start();
  await createTopic(world, "t", 3);
  await world.ask(FindCoordinator, { keyType: 0, coordinatorKeys: ["g"] });
  return world;
}

const NEWS = { rebalanceTimeoutMs: 60_000, topicPartitions: [], subscribedTopicNames: ["t"] };

function beat(
  world: BrokerWorld,
  memberId: string,
  memberEpoch: number,
  more: Partial<RequestInput<typeof ConsumerGroupHeartbeat>> = {},
) {
  const news = memberEpoch === 0 && more.subscribedTopicRegex === undefined ? NEWS : {};
  return world.ask(ConsumerGroupHeartbeat, { groupId: "g", memberId, memberEpoch, ...news, ...more });
}

const described = async (world: BrokerWorld) =>
  (await world.ask(ConsumerGroupDescribe, { groupIds: ["g"], includeAuthorizedOperations: false })).groups[0]!;

async function commit(world: BrokerWorld, memberId: string, epoch: number, committedOffset: number): Promise<number> {
  const partitions = [{ partitionIndex: 0, committedOffset, committedMetadata: "" }];
  const topics = [{ name: "t", topicId: "AAAAAAAAAAAAAAAAAAAAAA", partitions }];
  const asked = { groupId: "g", memberId, generationIdOrMemberEpoch: epoch, topics };
  return (await world.ask(OffsetCommit, asked, 9)).topics[0]!.partitions[0]!.errorCode;
}

async function committed(world: BrokerWorld): Promise<number> {
  const topics = [{ name: "t", topicId: "AAAAAAAAAAAAAAAAAAAAAA", partitionIndexes: [0] }];
  const { groups } = await world.ask(OffsetFetch, { groups: [{ groupId: "g", memberId: null, memberEpoch: -1, topics }] }, 9);
  return groups[0]!.topics[0]!.partitions[0]!.committedOffset;
}

describe("a rebalance goes on where a crash found it", () => {
  for (const how of ["power", "kill"] as const) {
    test(`after ${how === "power" ? "a power cut" : "kill -9"}, in every state`, async () => {
      const world = await worldWithTopic(how.length);
      const crash = async (): Promise<void> => {
        const before = await described(world);
        world.crash(how);
        await world.start();
        expect(await described(world)).toEqual(before);
      };
      expect(await beat(world, "A", 0)).toMatchObject({ errorCode: 0, memberEpoch: 2 });
      expect(await commit(world, "A", 2, 42)).toBe(0);
      await crash();
      await world.clock.advance(1100); // no target assignment within a second of the last
      const b = await beat(world, "B", 0);
      expect(b).toMatchObject({ memberEpoch: 3, assignment: { topicPartitions: [] } });
      await crash();
      const letsGo = (await beat(world, "A", 2)).assignment!.topicPartitions;
      expect(letsGo[0]!.partitions.length).toBe(2);
      await crash();
      expect((await beat(world, "B", 3)).assignment).toBeNull(); // A has not let go
      expect((await beat(world, "A", 2, { topicPartitions: letsGo })).memberEpoch).toBe(3);
      await crash();
      expect((await beat(world, "B", 3)).assignment!.topicPartitions[0]!.partitions.length).toBe(1);
      expect((await described(world)).groupState).toBe("Stable");
      await crash();
      expect(await commit(world, "A", 4, 43)).toBe(113);
      expect(await commit(world, "C", 3, 43)).toBe(25);
      expect(await committed(world)).toBe(42);
      expect(world.fatal).toBeNull();
      await world.stop();
    });
  }
});

test("the group hears of partitions and topics that come and go", async () => {
  const world = await worldWithTopic(7);
  const all = (answer: Awaited<ReturnType<typeof beat>>) =>
    answer.assignment?.topicPartitions.map(({ partitions }) => partitions) ?? null;
  expect(all(await beat(world, "A", 0, { ...NEWS, subscribedTopicNames: null, subscribedTopicRegex: "t|u.*" }))).toEqual([]);
  await world.clock.advance(1100);
  expect(all(await beat(world, "A", 1))).toEqual([[0, 1, 2]]);
  const topics = [{ name: "t", count: 5, assignments: null }];
  expect((await world.ask(CreatePartitions, { topics, timeoutMs: 1000, validateOnly: false })).results[0]!.errorCode).toBe(0);
  await world.clock.advance(1100);
  expect(all(await beat(world, "A", 2))).toEqual([[0, 1, 2, 3, 4]]);
  await createTopic(world, "u-1", 1);
  await world.clock.advance(11_000); // topics of patterns are not looked for more often
  await beat(world, "A", 3);
  await world.clock.advance(100);
  expect(
    all(await beat(world, "A", 3))!
      .flat()
      .sort(),
  ).toEqual([0, 0, 1, 2, 3, 4]);
  await world.ask(DeleteTopics, { topicNames: ["t"], timeoutMs: 1000 }, 5);
  await world.clock.advance(1100);
  expect(all(await beat(world, "A", 4))).toEqual([[0]]);
  expect(world.fatal).toBeNull();
  await world.stop();
});

test("a full disk refuses to change a group, and it goes on when there is room", async () => {
  const world = await worldWithTopic(8);
  await beat(world, "A", 0);
  world.disk.capacityBytes = world.disk.usedBytes();
  expect((await beat(world, "B", 0)).errorCode).toBe(16);
  expect((await beat(world, "A", 2)).errorCode).toBe(0); // nothing to write
  await world.clock.advance(50_000); // the session ends, and that cannot be written
  expect((await described(world)).members.map(({ memberId }) => memberId)).toEqual(["A"]);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await world.clock.advance(2000);
  expect((await described(world)).groupState).toBe("Empty");
  await world.stop();
});
