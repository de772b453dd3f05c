/** ConsumerGroupHeartbeat and ConsumerGroupDescribe from request to answer. What groups decide is tested in group/consumer/. */
import { describe, expect, test } from "bun:test";
import { KafkaError } from "../protocol/errors.ts";
import { DescribeGroups } from "../protocol/messages/15-describe-groups.ts";
import { ConsumerGroupHeartbeat } from "../protocol/messages/68-consumer-group-heartbeat.ts";
import { ConsumerGroupDescribe } from "../protocol/messages/69-consumer-group-describe.ts";
import { describeGroups as describeClassicGroups } from "./15-describe-groups.ts";
import { consumerGroupHeartbeat } from "./68-consumer-group-heartbeat.ts";
import { consumerGroupDescribe } from "./69-consumer-group-describe.ts";
import { GroupRig, T_ID } from "./group-rig.ts";

const UNSUPPORTED_VERSION = 35;
const joining = { groupId: "g", memberEpoch: 0, rebalanceTimeoutMs: 60_000, topicPartitions: [], subscribedTopicNames: ["t"] };
const join = (rig: GroupRig, memberId: string, version = 1) =>
  rig.ask(consumerGroupHeartbeat, ConsumerGroupHeartbeat, version, { ...joining, memberId });
const describeGroups = (rig: GroupRig, groupIds: string[], version = 1, includeAuthorizedOperations = false) =>
  rig.ask(consumerGroupDescribe, ConsumerGroupDescribe, version, { groupIds, includeAuthorizedOperations });

describe("ConsumerGroupHeartbeat", () => {
  test("gives a member its partitions by topic id, in every version", async () => {
    for (const version of [0, 1]) {
      const answer = await join(new GroupRig(), "A", version);
      expect(answer).toMatchObject({
        errorCode: 0,
        errorMessage: null,
        memberId: "A",
        memberEpoch: 2,
        heartbeatIntervalMs: 5000,
      });
      expect(answer.assignment).toEqual({ topicPartitions: [{ topicId: T_ID, partitions: [0, 1] }] });
    }
  });

  test("version 0 may ask for a member id, version 1 may not", async () => {
    expect((await join(new GroupRig(), "", 0)).memberId).toMatch(/^[\w-]{22}$/);
    expect(await join(new GroupRig(), "", 1)).toMatchObject({
      errorCode: 42,
      errorMessage: "MemberId can't be empty.",
      memberId: null,
    });
  });

  test("tells errors of the coordinator's partition", async () => {
    const rig = new GroupRig();
    rig.partition.fails = new KafkaError("KAFKA_STORAGE_ERROR");
    expect((await join(rig, "A")).errorCode).toBe(16);
    expect((await join(new GroupRig(false), "A")).errorCode).toBe(16);
  });

  test("a group can have its own times, within the broker's bounds", async () => {
    const rig = new GroupRig();
    rig.groupConfigs.set("g", new Map([["consumer.heartbeat.interval.ms", "7000"]]));
    expect((await join(rig, "A")).heartbeatIntervalMs).toBe(7000);
    rig.groupConfigs.set("g", new Map([["consumer.heartbeat.interval.ms", "1"]]));
    expect((await join(rig, "A")).heartbeatIntervalMs).toBe(5000);
  });

  test("is refused where the cluster has not agreed on it", async () => {
    const rig = new GroupRig();
    rig.groupVersion = 0;
    const refusal = { errorCode: UNSUPPORTED_VERSION, errorMessage: "The version of API is not supported." };
    expect(await join(rig, "A")).toMatchObject(refusal);
    expect((await describeGroups(rig, ["g"])).groups).toMatchObject([{ groupId: "g", errorCode: UNSUPPORTED_VERSION }]);
  });
});

describe("ConsumerGroupDescribe", () => {
  test("tells members with topics by name, and their type from version 1 on", async () => {
    const rig = new GroupRig();
    await join(rig, "A");
    for (const version of [0, 1]) {
      const assignment = { topicPartitions: [{ topicId: T_ID, topicName: "t", partitions: [0, 1] }] };
      const member = { memberId: "A", memberEpoch: 2, clientId: "c", clientHost: "/127.0.0.1", subscribedTopicNames: ["t"] };
      expect((await describeGroups(rig, ["g"], version)).groups).toMatchObject([
        {
          ...{ errorCode: 0, groupId: "g", groupState: "Stable", groupEpoch: 2, assignmentEpoch: 2, assignorName: "uniform" },
          members: [{ ...member, assignment, targetAssignment: assignment, memberType: version === 0 ? -1 : 1 }],
          authorizedOperations: -2147483648,
        },
      ]);
    }
    expect((await describeGroups(rig, ["g"], 1, true)).groups[0]!.authorizedOperations).toBe(0b1101_0100_1000);
  });

  test("DescribeGroups sends away to it", async () => {
    const rig = new GroupRig();
    await join(rig, "A");
    const answer = await rig.ask(describeClassicGroups, DescribeGroups, 6, { groups: ["g"], includeAuthorizedOperations: false });
    expect(answer.groups[0]).toMatchObject({
      errorCode: 69,
      errorMessage: "Group g is not a classic group.",
      groupState: "Dead",
    });
  });

  test("answers each group for itself", async () => {
    const rig = new GroupRig();
    await join(rig, "A");
    const { groups } = await describeGroups(rig, ["g", "", "other"]);
    expect(groups.map(({ groupId, errorCode, errorMessage }) => [groupId, errorCode, errorMessage])).toEqual([
      ["g", 0, null],
      ["", 24, null],
      ["other", 69, "Group other not found."],
    ]);
  });
});
