/** What OffsetCommit and OffsetFetch answer. Expectations are Kafka's: ClassicGroup.validateOffsetCommit, OffsetMetadataManager. */
import { describe, expect, test } from "bun:test";
import { ANY_TOPIC_ID } from "./offsets.ts";
import { Scenario, WALL_AT_ZERO_MS } from "./scenario.ts";

const T1 = "t1AAAAAAAAAAAAAAAAAAAA";
const T2 = "t2AAAAAAAAAAAAAAAAAAAA";
const noMember = { memberId: "", generationId: -1 };

describe("committing", () => {
  test("by a member of the generation", () => {
    const s = Scenario.stable(["A"]);
    s.commit("A", [
      { offset: 5, leaderEpoch: 3, metadata: "m", topicId: T1 },
      { partition: 1, offset: 7 },
    ]).fetch("A");
    expect(s.heard()).toEqual(["log offset t-0 5", "log offset t-1 7", "A < commit NONE NONE", "A < fetch t-0=5/3/m t-1=7/-1/"]);
    expect(s.log.at(-2)).toEqual({
      kind: "offset",
      groupId: "g",
      topic: "t",
      partition: 0,
      value: { offset: 5, leaderEpoch: 3, metadata: "m", committedMs: WALL_AT_ZERO_MS + 6000, expiresMs: -1, topicId: T1 },
    });
  });

  test("by nobody in particular: an unknown group becomes known, an empty one takes it, one with members does not", () => {
    const s = new Scenario();
    s.commit("admin", [{ offset: 1 }], noMember)
      .commit("admin", [{ offset: 2 }], { generationId: -1, memberId: "any" })
      .fetch("admin");
    expect(s.heard()).toEqual([
      "log offset t-0 1",
      "admin < commit NONE",
      "log offset t-0 2",
      "admin < commit NONE",
      "admin < fetch t-0=2/-1/",
    ]);
    const stable = Scenario.stable(["A"]);
    stable.commit("admin", [{}], noMember).commit("A", [{}], { generationId: -1 });
    expect(stable.heard()).toEqual(["admin < commit UNKNOWN_MEMBER_ID", "A < commit ILLEGAL_GENERATION"]);
    stable.leave("A").commit("admin", [{ offset: 9 }], noMember);
    expect(stable.heard().at(-1)).toBe("admin < commit NONE");
  });

  test("is fenced by group, member, generation and instance", () => {
    const s = Scenario.stable(["A"]);
    s.commit("A", [{}, {}], { generationId: 0 }).commit("A", [{}], { memberId: "x" }).commit("A", [{}], { instanceId: "i" });
    s.groupId = "other";
    s.commit("A", [{}]).commit("A", [{}], { knowsGroupIdNotFound: false });
    expect(s.heard()).toEqual([
      "A < commit ILLEGAL_GENERATION ILLEGAL_GENERATION",
      "A < commit UNKNOWN_MEMBER_ID",
      "A < commit UNKNOWN_MEMBER_ID",
      "A < commit GROUP_ID_NOT_FOUND",
      "A < commit ILLEGAL_GENERATION",
    ]);
    expect(s.shard.groups.has("other")).toBe(false);
  });

  test("while joins are collected the old generation may still commit; once the new one is known it must wait for its part", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A")
      .commit("B", [{ offset: 3 }])
      .join("B");
    expect(s.heard()[1]).toBe("B < commit NONE");
    s.commit("B", [{ offset: 4 }]);
    expect(s.heard()).toEqual(["B < commit REBALANCE_IN_PROGRESS"]);
  });

  test("shows that the member lives", () => {
    const s = Scenario.stable(["A"]);
    s.at(15_000).commit("A", [{}]).at(24_999).heartbeat("A");
    expect(s.heard().at(-1)).toBe("A < heartbeat NONE");
  });

  test("refuses too long metadata for that partition alone", () => {
    const s = Scenario.stable(["A"]);
    s.commit("A", [{ metadata: "x".repeat(4097) }, { partition: 1, offset: 1, metadata: "x".repeat(4096) }]);
    expect(s.heard()).toEqual(["log offset t-1 1", "A < commit OFFSET_METADATA_TOO_LARGE NONE"]);
  });

  test("keeps the retention that old clients ask for", () => {
    const s = new Scenario();
    s.commit("A", [{ offset: 1 }], { ...noMember, retentionMs: 5000 });
    expect(s.log[0]).toMatchObject({ value: { committedMs: WALL_AT_ZERO_MS, expiresMs: WALL_AT_ZERO_MS + 5000 } });
  });

  test.each([2 ** 53, 2 ** 63])("keeps a retention of %d ms as long as a record can say", (retentionMs) => {
    const s = new Scenario();
    s.commit("A", [{ offset: 1 }], { ...noMember, retentionMs });
    expect(s.log[0]).toMatchObject({ value: { expiresMs: 2 ** 53 - 1 } });
  });

  test("that cannot be written changes nothing", () => {
    const s = Scenario.stable(["A"]);
    s.commit("A", [{ offset: 1 }]);
    s.appendsFail = true;
    s.heard();
    s.commit("A", [{ offset: 2 }]).fetch("A");
    expect(s.heard()).toEqual(["A < append failed", "A < fetch t-0=1/-1/"]);
  });

  test("survives a restart, with or without members", () => {
    const s = Scenario.stable(["A"]);
    s.commit("A", [{ offset: 11, leaderEpoch: 2, metadata: "m" }]);
    s.groupId = "simple";
    s.commit("B", [{ topic: "u", partition: 3, offset: 12 }], noMember);
    const after = s.restarted();
    after.fetch("A");
    after.groupId = "simple";
    after.fetch("B");
    expect(after.heard()).toEqual(["A < fetch t-0=11/2/m", "B < fetch u-3=12/-1/"]);
  });
});

describe("fetching", () => {
  test("what is not there is -1 and no error", () => {
    const s = new Scenario();
    s.fetch("A").fetch("A", [{ topic: "t", topicId: ANY_TOPIC_ID, partitions: [0, 1] }]);
    expect(s.heard()).toEqual(["A < fetch", "A < fetch t-0=-1/-1/ t-1=-1/-1/"]);
    expect(s.shard.groups.size).toBe(0);
  });

  test("asks by topic id only get what was committed for that topic", () => {
    const s = new Scenario();
    s.commit(
      "A",
      [
        { offset: 5, topicId: T1 },
        { partition: 1, offset: 6 },
      ],
      noMember,
    ).heard();
    const of = (topicId: string) => [{ topic: "t", topicId, partitions: [0, 1] }];
    s.fetch("A", of(T1)).fetch("A", of(T2)).fetch("A", of(ANY_TOPIC_ID));
    expect(s.heard()).toEqual([
      "A < fetch t-0=5/-1/ t-1=6/-1/",
      "A < fetch t-0=-1/-1/ t-1=6/-1/",
      "A < fetch t-0=5/-1/ t-1=6/-1/",
    ]);
  });

  test("a removed offset is gone, and the group with it when nothing else is known of it", () => {
    const s = new Scenario();
    s.commit("A", [{ offset: 5 }], noMember);
    s.shard.apply({ kind: "offset", groupId: "g", topic: "t", partition: 0, value: null });
    s.shard.apply({ kind: "offset", groupId: "g", topic: "t", partition: 0, value: null });
    s.heard();
    s.fetch("A");
    expect(s.heard()).toEqual(["A < fetch"]);
    expect(s.shard.groups.size).toBe(0);
  });
});
