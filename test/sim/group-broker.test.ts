/** Groups through the whole broker on a simulated disk: what was acknowledged is there after any crash. */
import { describe, expect, test } from "bun:test";
import { OffsetCommit } from "../../src/protocol/messages/08-offset-commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09-offset-fetch.ts";
import { FindCoordinator } from "../../src/protocol/messages/10-find-coordinator.ts";
import { JoinGroup } from "../../src/protocol/messages/11-join-group.ts";
import { Heartbeat } from "../../src/protocol/messages/12-heartbeat.ts";
import { LeaveGroup } from "../../src/protocol/messages/13-leave-group.ts";
import { SyncGroup } from "../../src/protocol/messages/14-sync-group.ts";
import { CreateTopics } from "../../src/protocol/messages/19-create-topics.ts";
import { DeleteTopics } from "../../src/protocol/messages/20-delete-topics.ts";
import type { RequestInput } from "../../src/protocol/schema.ts";
import { BrokerWorld } from "./broker-world.ts";

const PARTITIONS = 3;

async function worldWithTopic(seed: number): Promise<BrokerWorld> {
  const world = new BrokerWorld(seed);
  await world.start();
  const topics = [{ name: "t", numPartitions: PARTITIONS, replicationFactor: 1, assignments: [], configs: [] }];
  await world.ask(CreateTopics, { topics, timeoutMs: 1000 });
  const found = await world.ask(FindCoordinator, { keyType: 0, coordinatorKeys: ["g"] });
  expect(found.coordinators[0]).toMatchObject({ errorCode: 0, nodeId: world.config.nodeId });
  return world;
}

const join = (world: BrokerWorld, memberId: string) =>
  world.send(JoinGroup, 9, {
    groupId: "g",
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 30_000,
    memberId,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: Buffer.from("m") }],
  });

async function newMemberId(world: BrokerWorld): Promise<string> {
  const asked = join(world, "");
  await world.clock.run(asked.ended);
  expect(asked.response!.errorCode).toBe(79);
  return asked.response!.memberId;
}

const NAMES = { protocolType: "consumer", protocolName: "range" };

const commitOf = (
  groupId: string,
  partitionIndex: number,
  committedOffset: number,
  member?: { memberId: string; generation: number },
) =>
  ({
    groupId,
    memberId: member?.memberId ?? "",
    generationIdOrMemberEpoch: member?.generation ?? -1,
    topics: [{ name: "t", topicId: "", partitions: [{ partitionIndex, committedOffset, committedMetadata: "m" }] }],
  }) as unknown as RequestInput<typeof OffsetCommit>;

const errorOf = (response: { topics: { partitions: { errorCode: number }[] }[] } | null) =>
  response?.topics[0]?.partitions[0]?.errorCode;

async function committed(world: BrokerWorld, groupId: string): Promise<number[]> {
  const partitionIndexes = Array.from({ length: PARTITIONS }, (_, i) => i);
  const { groups } = await world.ask(
    OffsetFetch,
    { groups: [{ groupId, topics: [{ name: "t", topicId: "AAAAAAAAAAAAAAAAAAAAAA", partitionIndexes }] }] },
    9,
  );
  expect(groups[0]!.errorCode).toBe(0);
  return groups[0]!.topics[0]!.partitions.map((partition) => partition.committedOffset);
}

test("two members join, one leads, both survive a power cut of the broker", async () => {
  const world = await worldWithTopic(1);
  const [a, b] = [await newMemberId(world), await newMemberId(world)];
  const joins = [join(world, a), join(world, b)];
  for (const { ended } of joins) await world.clock.run(ended);
  let answers = joins.map(({ response }) => response!);
  if (answers[0]!.members.length < 2) {
    // The first wait was over before the second came: it makes the group rebalance.
    const again = join(world, a);
    await world.clock.run(again.ended);
    answers = [again.response!, answers[1]!];
  }
  const generationId = answers[0]!.generationId;
  expect(answers[0]!.members.map(({ memberId }) => memberId).toSorted()).toEqual([a, b].toSorted());
  const who = { groupId: "g", generationId, ...NAMES };
  const follower = world.send(SyncGroup, 5, { ...who, memberId: b, assignments: [] });
  const assignments = [
    { memberId: a, assignment: Buffer.from("for a") },
    { memberId: b, assignment: Buffer.from("for b") },
  ];
  expect((await world.ask(SyncGroup, { ...who, memberId: a, assignments })).assignment.toString()).toBe("for a");
  await world.clock.run(follower.ended);
  expect(follower.response!.assignment.toString()).toBe("for b");
  expect(errorOf(await world.ask(OffsetCommit, commitOf("g", 0, 42, { memberId: a, generation: generationId }), 9))).toBe(0);

  world.crash("power");
  await world.start();

  for (const memberId of [a, b]) {
    expect((await world.ask(Heartbeat, { groupId: "g", generationId, memberId })).errorCode).toBe(0);
  }
  expect((await world.ask(SyncGroup, { ...who, memberId: b, assignments: [] })).assignment.toString()).toBe("for b");
  expect(await committed(world, "g")).toEqual([42, -1, -1]);
  const left = await world.ask(LeaveGroup, { groupId: "g", members: [{ memberId: a }, { memberId: b }] });
  expect(left.members.map(({ errorCode }) => errorCode)).toEqual([0, 0]);
  await world.stop();
  await world.start();
  expect((await world.ask(Heartbeat, { groupId: "g", generationId, memberId: a })).errorCode).toBe(25);
  expect(await committed(world, "g")).toEqual([42, -1, -1]);
  await world.stop();
});

test("a full disk refuses commits and nothing else; when there is room again they go on", async () => {
  const world = await worldWithTopic(2);
  expect(errorOf(await world.ask(OffsetCommit, commitOf("g", 1, 10), 9))).toBe(0);
  world.disk.capacityBytes = world.disk.usedBytes();
  expect(errorOf(await world.ask(OffsetCommit, commitOf("g", 1, 11), 9))).toBe(16);
  expect(await committed(world, "g")).toEqual([-1, 10, -1]);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  expect(errorOf(await world.ask(OffsetCommit, commitOf("g", 1, 12), 9))).toBe(0);
  expect(await committed(world, "g")).toEqual([-1, 12, -1]);
  await world.stop();
});

describe("no acknowledged commit is lost", () => {
  for (let seed = 1; seed <= 15; seed++) {
    test(`seed ${seed}`, async () => {
      const world = await worldWithTopic(seed);
      const { random } = world;
      const groups = Array.from({ length: 6 }, (_, i) => `group-${i}`);
      /** By group and partition: the last that was acknowledged, and the last that was sent. */
      const sure = new Map<string, number>();
      const sent = new Map<string, number>();
      let offset = 0;
      for (let round = 0; round < 12; round++) {
        const open: { key: string; offset: number; asked: ReturnType<typeof world.send<typeof OffsetCommit>> }[] = [];
        for (let i = random.int(30); i >= 0; i--) {
          const [groupId, partition] = [random.pick(groups), random.int(PARTITIONS)];
          const key = `${groupId}/${partition}`;
          open.push({ key, offset: ++offset, asked: world.send(OffsetCommit, 9, commitOf(groupId, partition, offset)) });
          sent.set(key, offset);
          if (random.chance(0.3)) await world.clock.advance(random.int(5));
        }
        await world.clock.advance(random.int(20));
        for (const each of open) if (errorOf(each.asked.response) === 0) sure.set(each.key, each.offset);
        if (random.chance(0.7)) {
          world.crash(random.chance(0.5) ? "power" : "kill");
          await world.start();
        } else if (random.chance(0.3)) {
          await world.stop();
          await world.start();
        }
        for (const groupId of groups) {
          for (const [partition, found] of (await committed(world, groupId)).entries()) {
            const key = `${groupId}/${partition}`;
            expect(found).toBeGreaterThanOrEqual(sure.get(key) ?? -1);
            expect(found).toBeLessThanOrEqual(sent.get(key) ?? -1);
            sure.set(key, found); // it was shown, so it stays
          }
        }
      }
      expect(sure.size).toBeGreaterThan(10);
      expect(world.fatal).toBeNull();
      await world.stop();
    });
  }
});

describe("what was committed for a deleted topic is gone with it", () => {
  for (let seed = 101; seed <= 110; seed++) {
    test(`whatever happens meanwhile, seed ${seed}`, async () => {
      const world = await worldWithTopic(seed);
      const { random } = world;
      for (let i = 0; i < 6; i++) expect(errorOf(await world.ask(OffsetCommit, commitOf(`group-${i}`, i % 3, 7), 9))).toBe(0);
      const deletion = world.send(DeleteTopics, 5, { topicNames: ["t"], timeoutMs: 1000 });
      await world.clock.advance(random.int(30));
      for (let i = random.int(4) - 1; i > 0; i--) {
        await world.clock.advance(random.int(20));
        world.crash(random.chance(0.5) ? "power" : "kill");
        await world.start();
      }
      if (deletion.response === null) await world.ask(DeleteTopics, { topicNames: ["t"], timeoutMs: 1000 }, 5); // it may be gone already
      await world.clock.advance(15_000); // what failed is tried again
      for (let i = 0; i < 6; i++) expect(await committed(world, `group-${i}`)).toEqual([-1, -1, -1]);
      expect(await world.broker.store.snapshot("topics/")).toMatchObject({ kvs: [{}] }); // __consumer_offsets alone
      expect(world.fatal).toBeNull();
      await world.stop();
    });
  }
});
