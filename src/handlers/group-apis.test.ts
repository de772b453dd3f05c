/** The handlers of the group APIs over a coordinator in memory, through the codecs of each version. */
import { describe, expect, test } from "bun:test";
import { OffsetCommit } from "../protocol/messages/08-offset-commit.ts";
import { OffsetFetch } from "../protocol/messages/09-offset-fetch.ts";
import { FindCoordinator } from "../protocol/messages/10-find-coordinator.ts";
import { Heartbeat } from "../protocol/messages/12-heartbeat.ts";
import { LeaveGroup } from "../protocol/messages/13-leave-group.ts";
import { SyncGroup } from "../protocol/messages/14-sync-group.ts";
import { ZERO_UUID } from "../protocol/schema.ts";
import { offsetCommit } from "./08-offset-commit.ts";
import { offsetFetch } from "./09-offset-fetch.ts";
import { findCoordinator } from "./10-find-coordinator.ts";
import { heartbeat } from "./12-heartbeat.ts";
import { leaveGroup } from "./13-leave-group.ts";
import { syncGroup } from "./14-sync-group.ts";
import { GroupRig as Rig, T_ID, UNKNOWN_ID, UUID_1 } from "./group-rig.ts";

describe("FindCoordinator", () => {
  test("makes __consumer_offsets when asked the first time, and names this broker, in every version", async () => {
    for (let version = 0; version <= 6; version++) {
      const rig = new Rig(false);
      const answer = await rig.ask(findCoordinator, FindCoordinator, version, { key: "g", coordinatorKeys: ["g", "h"] });
      expect(rig.topicExists).toBe(true);
      const here = { nodeId: 7, host: "here", port: 9092, errorCode: 0 };
      if (version < 4) expect(answer).toMatchObject(here);
      else
        expect(answer.coordinators).toMatchObject([
          { key: "g", ...here },
          { key: "h", ...here },
        ]);
    }
  });

  test("can be asked again when the topic could not be made", async () => {
    const rig = new Rig(false);
    rig.creationFails = true;
    const answer = await rig.ask(findCoordinator, FindCoordinator, 2, { key: "g", coordinatorKeys: [] });
    expect(answer).toMatchObject({ errorCode: 15, nodeId: -1, host: "", port: -1 });
  });

  test("refuses what comes later for good", async () => {
    const rig = new Rig();
    const share = await rig.ask(findCoordinator, FindCoordinator, 6, { keyType: 2, coordinatorKeys: ["x"] });
    expect(share.coordinators).toMatchObject([{ key: "x", errorCode: 42, nodeId: -1, host: "", port: -1 }]);
  });
});

describe("JoinGroup", () => {
  test("versions 0 to 3 join at once, the leader gets the members", async () => {
    for (let version = 0; version <= 3; version++) {
      const rig = new Rig();
      expect(await rig.join(version)).toMatchObject({
        errorCode: 0,
        generationId: 1,
        protocolName: "range",
        leader: `c-${UUID_1}`,
        memberId: `c-${UUID_1}`,
        members: [{ memberId: `c-${UUID_1}`, metadata: Buffer.from("m") }],
      });
    }
  });

  test("version 0 has one timeout for both", async () => {
    const rig = new Rig();
    const { memberId, generationId } = await rig.join(0);
    await rig.ask(syncGroup, SyncGroup, 0, { groupId: "g", generationId, memberId, assignments: [] });
    const [batch] = rig.partition.batches;
    expect(batch!.includes(Buffer.from([0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]))).toBe(true); // 10000, twice
  });

  test("versions 4 to 9 first tell the id; the protocol name is null from 7", async () => {
    for (let version = 4; version <= 9; version++) {
      const rig = new Rig();
      const told = await rig.join(version);
      expect(told).toMatchObject({ errorCode: 79, memberId: `c-${UUID_1}`, generationId: -1, leader: "", members: [] });
      expect(told.protocolName).toBe(version < 7 ? "" : null);
      const joined = await rig.join(version, { memberId: told.memberId });
      expect(joined).toMatchObject({ errorCode: 0, generationId: 1, memberId: told.memberId, protocolName: "range" });
      expect(joined.protocolType).toBe(version < 7 ? null : "consumer");
    }
  });

  test("errors of the coordinator itself look the same", async () => {
    const rig = new Rig(false);
    for (const version of [0, 6, 7, 9]) {
      const answer = await rig.join(version);
      expect(answer).toMatchObject({ errorCode: 16, generationId: -1, leader: "", memberId: "", members: [] });
      expect(answer.protocolName).toBe(version < 7 ? "" : null);
    }
  });
});

describe("SyncGroup, Heartbeat, LeaveGroup", () => {
  test("a member's life, in every version", async () => {
    for (let version = 0; version <= 5; version++) {
      const rig = new Rig();
      const { memberId, generationId } = await rig.join(3);
      const assignments = [{ memberId, assignment: Buffer.from("mine") }];
      const names = { protocolType: "consumer", protocolName: "range" };
      const who = { groupId: "g", memberId, generationId };
      const synced = await rig.ask(syncGroup, SyncGroup, version, { ...who, ...names, assignments });
      expect(synced).toMatchObject({ errorCode: 0, assignment: Buffer.from("mine") });
      expect(synced.protocolName).toBe(version < 5 ? null : "range");
      expect(await rig.ask(heartbeat, Heartbeat, Math.min(version, 4), who)).toMatchObject({ errorCode: 0 });
      const left = await rig.ask(leaveGroup, LeaveGroup, version, { groupId: "g", memberId, members: [{ memberId }] });
      expect(left.errorCode).toBe(0);
      expect(left.members).toMatchObject(version < 3 ? [] : [{ memberId, groupInstanceId: null, errorCode: 0 }]);
      const again = await rig.ask(leaveGroup, LeaveGroup, version, { groupId: "g", memberId, members: [{ memberId }] });
      expect(version < 3 ? again.errorCode : again.members[0]!.errorCode).toBe(25);
      expect(await rig.ask(heartbeat, Heartbeat, 0, who)).toMatchObject({ errorCode: 25 });
    }
  });

  test("SyncGroup v5 must name the protocol (KIP-559)", async () => {
    const rig = new Rig();
    const { memberId, generationId } = await rig.join(3);
    const answer = await rig.ask(syncGroup, SyncGroup, 5, { groupId: "g", memberId, generationId, assignments: [] });
    expect(answer).toMatchObject({ errorCode: 23, assignment: Buffer.alloc(0) });
  });

  test("without a coordinator", async () => {
    const rig = new Rig(false);
    const who = { groupId: "g", memberId: "m", generationId: 1 };
    expect(await rig.ask(heartbeat, Heartbeat, 4, who)).toMatchObject({ errorCode: 16 });
    expect(await rig.ask(syncGroup, SyncGroup, 4, { ...who, assignments: [] })).toMatchObject({ errorCode: 16 });
    const left = await rig.ask(leaveGroup, LeaveGroup, 4, { groupId: "g", members: [{ memberId: "m" }] });
    expect(left).toMatchObject({ errorCode: 16, members: [] });
  });
});

describe("OffsetCommit and OffsetFetch", () => {
  const partition = (partitionIndex: number, committedOffset: number) => ({
    partitionIndex,
    committedOffset,
    committedLeaderEpoch: 4,
    committedMetadata: "m",
  });

  test("by name and by id, what exists is committed and the rest is refused one by one", async () => {
    for (let version = 2; version <= 10; version++) {
      const rig = new Rig();
      const memberId = await rig.member();
      const byId = version >= 10;
      const topics = [
        { name: "t", topicId: T_ID, partitions: [partition(0, 5), partition(2, 6), partition(1, 7)] },
        { name: "u", topicId: UNKNOWN_ID, partitions: [partition(0, 8)] },
      ];
      const request = { groupId: "g", generationIdOrMemberEpoch: 1, memberId, topics };
      expect((await rig.ask(offsetCommit, OffsetCommit, version, request)).topics).toMatchObject([
        {
          ...(byId ? { topicId: T_ID } : { name: "t" }),
          partitions: [
            { partitionIndex: 0, errorCode: 0 },
            { partitionIndex: 2, errorCode: 3 },
            { partitionIndex: 1, errorCode: 0 },
          ],
        },
        { ...(byId ? { topicId: UNKNOWN_ID } : { name: "u" }), partitions: [{ partitionIndex: 0, errorCode: byId ? 100 : 3 }] },
      ]);
      const epoch = version >= 6 ? 4 : -1;
      const fetched = await rig.ask(offsetFetch, OffsetFetch, 7, { groupId: "g", topics: null, groups: [] });
      expect(fetched.topics).toMatchObject([
        {
          name: "t",
          partitions: [
            { partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: epoch, metadata: "m", errorCode: 0 },
            { partitionIndex: 1, committedOffset: 7, committedLeaderEpoch: epoch },
          ],
        },
      ]);
    }
  });

  test("an unknown group differs by version; a failed coordinator is said for every partition", async () => {
    const rig = new Rig();
    const request = {
      groupId: "nobody",
      generationIdOrMemberEpoch: 3,
      memberId: "m",
      topics: [{ name: "t", topicId: T_ID, partitions: [partition(0, 5)] }],
    };
    const errorOf = async (version: number) =>
      (await rig.ask(offsetCommit, OffsetCommit, version, request)).topics[0]!.partitions[0]!.errorCode;
    expect([await errorOf(8), await errorOf(9), await errorOf(10)]).toEqual([22, 69, 69]);
    rig.topicExists = false;
    expect([await errorOf(2), await errorOf(10)]).toEqual([16, 16]);
  });

  test("a fetch asks for partitions of one group up to v7, of several from v8, by id from v10", async () => {
    const rig = new Rig();
    const topics = [{ name: "t", topicId: T_ID, partitions: [partition(1, 9)] }];
    await rig.ask(offsetCommit, OffsetCommit, 9, { groupId: "g", memberId: "", topics });
    const asked = [
      { name: "t", topicId: T_ID, partitionIndexes: [0, 1] },
      { name: "u", topicId: UNKNOWN_ID, partitionIndexes: [0] },
    ];
    const there = [
      { partitionIndex: 0, committedOffset: -1, metadata: "", errorCode: 0 },
      { partitionIndex: 1, committedOffset: 9, metadata: "m", errorCode: 0 },
    ];
    for (let version = 1; version <= 7; version++) {
      const answer = await rig.ask(offsetFetch, OffsetFetch, version, { groupId: "g", topics: asked, groups: [] });
      expect(answer.topics).toMatchObject([
        { name: "t", partitions: there },
        { name: "u", partitions: [{ partitionIndex: 0, committedOffset: -1, errorCode: 0 }] },
      ]);
    }
    for (const version of [8, 9, 10]) {
      const groups = [
        { groupId: "g", topics: asked },
        { groupId: "h", topics: asked },
        { groupId: "g", topics: null },
      ];
      const answer = await rig.ask(offsetFetch, OffsetFetch, version, { groups });
      const t = version < 10 ? { name: "t" } : { topicId: T_ID };
      const u = version < 10 ? { name: "u" } : { topicId: UNKNOWN_ID };
      expect(answer.groups).toMatchObject([
        {
          groupId: "g",
          errorCode: 0,
          topics: [
            { ...t, partitions: there },
            { ...u, partitions: [{ errorCode: version < 10 ? 0 : 100 }] },
          ],
        },
        { groupId: "h", errorCode: 0, topics: [{ ...t, partitions: [{ committedOffset: -1 }, { committedOffset: -1 }] }, u] },
        { groupId: "g", errorCode: 0, topics: [{ ...t, partitions: [there[1]!] }] },
      ]);
    }
  });

  test("errors of a group stand with its partitions in v1, on top up to v7, with the group from v8", async () => {
    const rig = new Rig(false);
    const topics = [{ name: "t", topicId: ZERO_UUID, partitionIndexes: [0] }];
    expect(await rig.ask(offsetFetch, OffsetFetch, 1, { groupId: "g", topics, groups: [] })).toMatchObject({
      topics: [{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: -1, metadata: "", errorCode: 16 }] }],
    });
    expect(await rig.ask(offsetFetch, OffsetFetch, 2, { groupId: "g", topics, groups: [] })).toMatchObject({
      topics: [],
      errorCode: 16,
    });
    const answer = await rig.ask(offsetFetch, OffsetFetch, 8, { groups: [{ groupId: "g", topics }] });
    expect(answer.groups).toEqual([{ groupId: "g", topics: [], errorCode: 16 }]);
  });
});
