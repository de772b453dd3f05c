/** ListGroups, DescribeGroups, DeleteGroups and OffsetDelete in every version. What is expected is Kafka's KafkaApis and GroupCoordinatorService. */
import { describe, expect, test } from "bun:test";
import { KafkaError } from "../protocol/errors.ts";
import { OffsetCommit } from "../protocol/messages/08-offset-commit.ts";
import { OffsetFetch } from "../protocol/messages/09-offset-fetch.ts";
import { LeaveGroup } from "../protocol/messages/13-leave-group.ts";
import { DescribeGroups } from "../protocol/messages/15-describe-groups.ts";
import { ListGroups } from "../protocol/messages/16-list-groups.ts";
import { DeleteGroups } from "../protocol/messages/42-delete-groups.ts";
import { OffsetDelete } from "../protocol/messages/47-offset-delete.ts";
import { offsetCommit } from "./08-offset-commit.ts";
import { offsetFetch } from "./09-offset-fetch.ts";
import { leaveGroup } from "./13-leave-group.ts";
import { describeGroups } from "./15-describe-groups.ts";
import { listGroups } from "./16-list-groups.ts";
import { deleteGroups } from "./42-delete-groups.ts";
import { offsetDelete } from "./47-offset-delete.ts";
import { GroupRig, T_ID } from "./group-rig.ts";

/** "g" with a stable member, "s" that only keeps an offset of each partition of "t". */
async function twoGroups(): Promise<{ rig: GroupRig; memberId: string }> {
  const rig = new GroupRig();
  const memberId = await rig.member();
  const partitions = [0, 1].map((partitionIndex) => ({ partitionIndex, committedOffset: 9, committedMetadata: "m" }));
  const topics = [{ name: "t", topicId: T_ID, partitions }];
  await rig.ask(offsetCommit, OffsetCommit, 9, { groupId: "s", memberId: "", topics });
  return { rig, memberId };
}

const errorsOf = async (rig: GroupRig, names: string[], version = 3): Promise<[string, number][]> => {
  const { results } = await rig.ask(deleteGroups, DeleteGroups, version, { groupsNames: names });
  return results.map(({ groupId, errorCode }) => [groupId, errorCode]);
};

describe("ListGroups", () => {
  test("tells the state from 4 on and the type from 5 on, which is when they filter", async () => {
    const { rig } = await twoGroups();
    for (let version = 0; version <= 5; version++) {
      const answer = await rig.ask(listGroups, ListGroups, version, {});
      const state = (name: string) => (version < 4 ? "" : name);
      const groupType = version < 5 ? "" : "classic";
      expect(answer).toEqual({
        throttleTimeMs: 0,
        errorCode: 0,
        groups: [
          { groupId: "g", protocolType: "consumer", groupState: state("Stable"), groupType },
          { groupId: "s", protocolType: "", groupState: state("Empty"), groupType },
        ],
      });
    }
    const names = async (request: object) =>
      (await rig.ask(listGroups, ListGroups, 5, request)).groups.map(({ groupId }) => groupId);
    expect(await names({ statesFilter: ["empty"] })).toEqual(["s"]);
    expect(await names({ typesFilter: ["consumer"] })).toEqual([]);
  });

  test("without __consumer_offsets there is none; a partition that cannot be read has none", async () => {
    const nothing = new GroupRig(false);
    expect(await nothing.ask(listGroups, ListGroups, 5, {})).toMatchObject({ errorCode: 0, groups: [] });
    const { rig } = await twoGroups();
    rig.partition.close();
    expect(await rig.ask(listGroups, ListGroups, 5, {})).toMatchObject({ errorCode: 0, groups: [] });
  });
});

describe("DescribeGroups", () => {
  test("a stable group, in every version", async () => {
    const { rig, memberId } = await twoGroups();
    for (let version = 0; version <= 6; version++) {
      for (const includeAuthorizedOperations of version < 3 ? [false] : [false, true]) {
        const request = { groups: ["g", "s"], includeAuthorizedOperations };
        const authorizedOperations = includeAuthorizedOperations ? 0b1101_0100_1000 : -2_147_483_648;
        expect(await rig.ask(describeGroups, DescribeGroups, version, request)).toMatchObject({
          groups: [
            {
              errorCode: 0,
              errorMessage: null,
              groupId: "g",
              groupState: "Stable",
              protocolType: "consumer",
              protocolData: "range",
              authorizedOperations,
              members: [
                {
                  memberId,
                  groupInstanceId: null,
                  clientId: "c",
                  clientHost: "/127.0.0.1",
                  memberMetadata: Buffer.from("m"),
                  memberAssignment: Buffer.from("a"),
                },
              ],
            },
            {
              errorCode: 0,
              groupId: "s",
              groupState: "Empty",
              protocolType: "",
              protocolData: "",
              members: [],
              authorizedOperations,
            },
          ],
        });
      }
    }
  });

  test("no group is dead, and since 6 an error too; an empty name is no other name", async () => {
    const { rig } = await twoGroups();
    for (let version = 0; version <= 6; version++) {
      const { groups } = await rig.ask(describeGroups, DescribeGroups, version, { groups: ["x", ""] });
      const isError = version === 6;
      for (const [i, groupId] of ["x", ""].entries()) {
        expect(groups[i]).toMatchObject({
          groupId,
          groupState: "Dead",
          errorCode: isError ? 69 : 0,
          errorMessage: isError ? `Group ${groupId} not found.` : null,
          protocolType: "",
          members: [],
        });
      }
    }
  });

  test("without a coordinator", async () => {
    const { groups } = await new GroupRig(false).ask(describeGroups, DescribeGroups, 6, { groups: ["g"] });
    expect(groups).toMatchObject([{ groupId: "g", groupState: "", errorCode: 16 }]);
  });
});

describe("DeleteGroups", () => {
  test("each group by itself, in every version; a name that is given twice counts once", async () => {
    for (let version = 0; version <= 3; version++) {
      const { rig, memberId } = await twoGroups();
      expect(await errorsOf(rig, ["g", "s", "x", "s"], version)).toEqual([
        ["g", 68],
        ["s", 0],
        ["x", 69],
      ]);
      await rig.ask(leaveGroup, LeaveGroup, 5, { groupId: "g", members: [{ memberId }] });
      expect(await errorsOf(rig, ["g", "s"], version)).toEqual([
        ["g", 0],
        ["s", 69],
      ]);
      expect((await rig.ask(listGroups, ListGroups, 5, {})).groups).toEqual([]);
    }
  });

  test("when the disk is full the group stays", async () => {
    const { rig } = await twoGroups();
    rig.partition.fails = new KafkaError("KAFKA_STORAGE_ERROR");
    expect(await errorsOf(rig, ["s"])).toEqual([["s", 16]]);
    rig.partition.fails = null;
    expect(await errorsOf(rig, ["s"])).toEqual([["s", 0]]);
  });
});

describe("OffsetDelete", () => {
  const remove = (rig: GroupRig, groupId: string, ...topics: [string, number[]][]) =>
    rig.ask(offsetDelete, OffsetDelete, 0, {
      groupId,
      topics: topics.map(([name, partitions]) => ({
        name,
        partitions: partitions.map((partitionIndex) => ({ partitionIndex })),
      })),
    });

  test("removes what exists and says what does not", async () => {
    const { rig } = await twoGroups();
    expect(await remove(rig, "s", ["t", [1, 5]], ["u", [0]])).toEqual({
      errorCode: 0,
      throttleTimeMs: 0,
      topics: [
        {
          name: "t",
          partitions: [
            { partitionIndex: 5, errorCode: 3 },
            { partitionIndex: 1, errorCode: 0 },
          ],
        },
        { name: "u", partitions: [{ partitionIndex: 0, errorCode: 3 }] },
      ],
    });
    const { topics } = await rig.ask(offsetFetch, OffsetFetch, 7, { groupId: "s", topics: null, groups: [] });
    expect(topics).toMatchObject([{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: 9 }] }]);
  });

  test("members whose metadata nobody understands may read anything; errors of the group stand alone", async () => {
    const { rig } = await twoGroups();
    expect(await remove(rig, "g", ["t", [0]])).toMatchObject({ errorCode: 0, topics: [{ partitions: [{ errorCode: 86 }] }] });
    expect(await remove(rig, "x", ["t", [0]], ["u", [0]])).toMatchObject({ errorCode: 69, topics: [] });
    expect(await remove(rig, "", ["t", [0]])).toMatchObject({ errorCode: 24, topics: [] });
    rig.topicExists = false;
    expect(await remove(rig, "s", ["t", [0]])).toMatchObject({ errorCode: 16, topics: [] });
  });
});

describe("a deleted topic", () => {
  const topic = { name: "t", id: T_ID, isInternal: false, partitions: [], configs: new Map() };

  async function deleted(rig: GroupRig): Promise<() => boolean> {
    let isDone = false;
    rig.broker.groups.topicDeleted(topic).then(() => {
      isDone = true;
    });
    await settle(rig);
    return () => isDone;
  }

  async function settle(rig: GroupRig, ms = 0): Promise<void> {
    rig.clock.advance(ms);
    for (let i = 0; i < 20; i++) {
      await Promise.resolve();
      rig.clock.advance(0);
    }
  }

  const offsets = async (rig: GroupRig) =>
    (await rig.ask(offsetFetch, OffsetFetch, 7, { groupId: "s", topics: null, groups: [] })).topics;

  test("takes the offsets with it once all groups can be known", async () => {
    const { rig } = await twoGroups();
    const isDone = await deleted(rig);
    expect([isDone(), (await offsets(rig)).length]).toEqual([false, 1]);
    rig.broker.groups.start();
    await settle(rig);
    expect([isDone(), (await offsets(rig)).length]).toEqual([true, 0]);
  });

  test("is not forgotten while its offsets cannot be removed", async () => {
    const { rig } = await twoGroups();
    rig.broker.groups.start();
    rig.partition.fails = new KafkaError("KAFKA_STORAGE_ERROR");
    const isDone = await deleted(rig);
    await settle(rig, 9999);
    rig.partition.fails = null;
    expect(isDone()).toBe(false);
    await settle(rig, 1);
    expect([isDone(), (await offsets(rig)).length]).toEqual([true, 0]);
  });

  test("is forgotten when the groups are gone too, and not when the broker stops", async () => {
    const { rig } = await twoGroups();
    rig.broker.groups.start();
    rig.partition.fails = new KafkaError("KAFKA_STORAGE_ERROR");
    const isDone = await deleted(rig);
    rig.partition.close();
    await settle(rig, 10_000);
    expect(isDone()).toBe(true);
    const stopping = (await twoGroups()).rig;
    stopping.broker.groups.start();
    stopping.partition.fails = new KafkaError("KAFKA_STORAGE_ERROR");
    const isStopped = await deleted(stopping);
    stopping.broker.groups.close();
    await settle(stopping, 100_000);
    expect(isStopped()).toBe(false);
  });
});
