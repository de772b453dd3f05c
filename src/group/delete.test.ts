/** What removes groups and offsets on request. Expectations are Kafka's: ClassicGroup.validateDeleteGroup, OffsetMetadataManager. */
import { describe, expect, test } from "bun:test";
import { Scenario } from "./scenario.ts";

const T1 = "t1AAAAAAAAAAAAAAAAAAAA";
const T2 = "t2AAAAAAAAAAAAAAAAAAAA";
const noMember = { memberId: "", generationId: -1 };

/** A subscription as consumers write it, for `protocols` of a scenario: version 0, topics, no user data. */
function subscription(...topics: string[]): Uint8Array {
  const parts: Buffer[] = [Buffer.from([0, 0, 0, 0, 0, topics.length])];
  for (const topic of topics) parts.push(Buffer.from([0, topic.length]), Buffer.from(topic));
  parts.push(Buffer.from([255, 255, 255, 255]));
  return Buffer.concat(parts);
}

/** One member that reads these topics, in a stable generation, with an offset of each. */
function reading(metadata: Uint8Array, topics: readonly string[], protocolType = "consumer"): Scenario {
  const s = new Scenario();
  const protocols = metadata.length === 0 ? "range:" : `range:${Buffer.from(metadata).toString()}`;
  s.join("A", { protocols, protocolType, mustKnowMemberId: false }).at(3000);
  s.sync("A", "A-1=a");
  s.commit(
    "A",
    topics.map((topic) => ({ topic, offset: 1 })),
  );
  s.heard();
  return s;
}

describe("deleting a group", () => {
  test("takes its offsets and itself; then nobody knows it", () => {
    const s = Scenario.stable(["A"]);
    s.commit("A", [{ offset: 5 }, { topic: "u", partition: 3, offset: 6 }])
      .leave("A")
      .heard();
    expect(s.delete().describe().fetch("A").delete().heard()).toEqual([
      "log offset t-0 removed",
      "log offset u-3 removed",
      "log group removed",
      "admin < delete NONE",
      "admin < describe nothing",
      "A < fetch",
      "admin < delete GROUP_ID_NOT_FOUND",
    ]);
    expect(s.restarted().shard.groups.size).toBe(0);
    expect(s.memory.heldBytes).toBe(0);
    expect(s.shard.step({ kind: "list", ticket: 99, states: [], types: [] }, 0).replies).toHaveLength(1);
    expect(s.shard.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("is refused while anybody is in it", () => {
    const s = new Scenario();
    s.join("A").join("A").delete().at(3000).delete();
    s.sync("A").delete();
    expect(s.heard().filter((line) => line.startsWith("admin"))).toEqual([
      "admin < delete NON_EMPTY_GROUP",
      "admin < delete NON_EMPTY_GROUP",
      "admin < delete NON_EMPTY_GROUP",
    ]);
  });

  test("that gave out a member id: who comes back with it starts over, and its alarm is gone", () => {
    const s = new Scenario();
    s.join("A").delete().join("A").join("A", { memberId: "" }).at(20_000);
    expect(s.heard()).toEqual([
      "A < join MEMBER_ID_REQUIRED id=A-1",
      "log group removed",
      "admin < delete NONE",
      "A < join UNKNOWN_MEMBER_ID id=A-1",
      "A < join MEMBER_ID_REQUIRED id=A-3",
    ]);
    expect(s.memory.heldBytes).toBe(0);
  });

  test("that cannot be written changes nothing", () => {
    const s = new Scenario();
    s.commit("A", [{ offset: 5 }], noMember).heard();
    s.appendsFail = true;
    expect(s.delete().fetch("A").heard()).toEqual(["admin < append failed", "A < fetch t-0=5/-1/"]);
  });
});

describe("deleting offsets", () => {
  test("of what the group does not read; partitions without an offset are no error", () => {
    const s = reading(subscription("t", "v"), ["t", "u"]);
    const topics = [
      { topic: "t", partitions: [0, 1] },
      { topic: "u", partitions: [0, 7, 0] },
    ];
    expect(s.deleteOffsets(topics).fetch("A").heard()).toEqual([
      "log offset u-0 removed",
      "admin < delete-offsets NONE GROUP_SUBSCRIBED_TO_TOPIC,GROUP_SUBSCRIBED_TO_TOPIC NONE,NONE,NONE",
      "A < fetch t-0=1/-1/",
    ]);
  });

  test("of a group whose members all left, whatever they read", () => {
    const s = reading(subscription("t"), ["t"]);
    s.leave("A").heard();
    expect(s.deleteOffsets([{ topic: "t", partitions: [0] }]).heard()).toEqual([
      "log offset t-0 removed",
      "admin < delete-offsets NONE NONE",
    ]);
  });

  test.each([
    ["nothing", new Uint8Array(0)],
    ["a cut array", Buffer.from([0, 0, 0, 0, 0, 2, 0, 1, 0x74])],
    ["a null array", Buffer.from([0, 0, 127, 127])],
  ])("of consumers that subscribe with %s: they might read anything", (_, metadata) => {
    const s = reading(metadata, ["t"]);
    expect(s.deleteOffsets([{ topic: "t", partitions: [0] }]).heard()).toEqual([
      "admin < delete-offsets NONE GROUP_SUBSCRIBED_TO_TOPIC",
    ]);
  });

  test("of members that are no consumers is refused as a whole, as are no group and no name", () => {
    const s = reading(subscription("v"), ["t"], "connect");
    s.deleteOffsets([{ topic: "t", partitions: [0] }]);
    s.groupId = "other";
    s.deleteOffsets([{ topic: "t", partitions: [0] }]);
    s.groupId = "";
    s.deleteOffsets([{ topic: "t", partitions: [0] }]);
    expect(s.heard()).toEqual([
      "admin < delete-offsets NON_EMPTY_GROUP",
      "admin < delete-offsets GROUP_ID_NOT_FOUND",
      "admin < delete-offsets INVALID_GROUP_ID",
    ]);
  });
});

describe("deleting topics", () => {
  test("takes what was committed for them in every group; a newer topic of the name keeps its own", () => {
    const s = new Scenario();
    for (const groupId of ["g", "h"]) {
      s.groupId = groupId;
      s.commit(
        "A",
        [
          { offset: 1, topicId: T1 },
          { partition: 1, offset: 2, topicId: T2 },
          { partition: 2, offset: 3 },
        ],
        noMember,
      );
      s.commit("A", [{ topic: "u", offset: 4, topicId: T1 }], noMember);
    }
    s.heard();
    s.topicsDeleted([
      { name: "t", id: T1 },
      { name: "w", id: T2 },
    ]);
    expect(s.heard()).toEqual([
      "log offset t-0 removed",
      "log offset t-2 removed",
      "log offset t-0 removed",
      "log offset t-2 removed",
      "admin < topics-deleted",
    ]);
    expect(s.fetch("A").heard()).toEqual(["A < fetch t-1=2/-1/ u-0=4/-1/"]);
  });

  test("takes what is pending for them in transactions too; a commit that comes later brings nothing back", () => {
    const s = new Scenario();
    s.commitInTransaction(
      "A",
      [
        { offset: 1, topicId: T1 },
        { topic: "u", offset: 2, topicId: T2 },
      ],
      noMember,
    );
    s.commit("A", [{ partition: 1, offset: 3, topicId: T2 }], noMember);
    s.commitInTransaction("A", [{ partition: 1, offset: 4, topicId: T1 }], { ...noMember, producerId: 2 }).heard();
    expect(s.topicsDeleted([{ name: "t", id: T1 }]).heard()).toEqual(["log offset t-0 removed", "admin < topics-deleted"]);
    s.shard.apply({ kind: "transaction-end", producerId: 1, result: "commit" });
    s.shard.apply({ kind: "transaction-end", producerId: 2, result: "abort" });
    expect(s.fetch("A").heard()).toEqual(["A < fetch t-1=3/-1/ u-0=2/-1/"]);
  });
});
