/** A group changes its protocol when nobody is in it, and not otherwise. */
import { describe, expect, test } from "bun:test";
import { Scenario } from "./scenario.ts";

function withTopic(): Scenario {
  const s = new Scenario();
  s.topics.set({ t: 2 });
  return s;
}

/** A group of the consumer protocol in which nobody is any more, with an offset. */
function emptyConsumerGroup(): Scenario {
  const s = withTopic().joinConsumer("A");
  s.commit("A", [{ offset: 5 }], { generationId: 2 }).beat("A", { memberEpoch: -1 });
  s.heard();
  return s;
}

describe("from the consumer protocol to the classic one", () => {
  const tombstones = ["log consumer-target removed", "log consumer-partition-metadata removed", "log consumer-group removed"];

  test("with the first member that joins", () => {
    const s = emptyConsumerGroup();
    expect(s.join("B").heard()).toEqual([...tombstones, "B < join MEMBER_ID_REQUIRED id=B-3"]);
    expect(s.describeConsumer("x").heard()[0]).toContain("Group g is not a consumer group.");
    s.join("B").at(10_000);
    expect(s.heard().at(-1)).toStartWith("B < join gen=1");
    expect(s.fetch("x").heard()).toEqual(["x < fetch t-0=5/-1/"]);
  });

  test("a restart in between keeps the offsets", () => {
    const s = emptyConsumerGroup().join("B").restarted();
    expect(s.shard.consumers.size).toBe(0);
    expect(s.fetch("x").heard()).toEqual(["x < fetch t-0=5/-1/"]);
    expect([...s.shard.groups.keys()]).toEqual(["g"]);
  });

  test("not when there are members, or by one that has an id", () => {
    const s = withTopic().joinConsumer("A");
    s.heard();
    expect(s.join("B").heard()).toEqual(["B < join INCONSISTENT_GROUP_PROTOCOL id="]);
    expect(s.sync("A").heartbeat("A").heard()).toEqual(["A < sync UNKNOWN_MEMBER_ID", "A < heartbeat UNKNOWN_MEMBER_ID"]);
    s.beat("A", { memberEpoch: -1 });
    s.heard();
    expect(s.join("B", { memberId: "old" }).heard()).toEqual(["B < join UNKNOWN_MEMBER_ID id=old"]);
    expect(s.join("B", { protocols: "" }).heard()).toEqual(["B < join INCONSISTENT_GROUP_PROTOCOL id="]);
    expect(s.describeConsumer("x").heard()).toEqual(["x < Empty epoch=3/3 uniform"]);
  });

  test("not when it cannot be written", () => {
    const s = emptyConsumerGroup();
    s.appendsFail = true;
    expect(s.join("B", { mustKnowMemberId: false }).heard()).toEqual(["B < join UNKNOWN_MEMBER_ID id="]);
    expect(s.join("B").heard()).toEqual(["B < append failed"]);
    s.appendsFail = false;
    expect(s.shard.groups.size).toBe(0);
    expect(s.describeConsumer("x").heard()).toEqual(["x < Empty epoch=3/3 uniform"]);
    expect(s.at(5000).joinConsumer("A").heard().at(-1)).toBe("A < beat A epoch=4 t=0,1");
  });
});

describe("from the classic protocol to the consumer one", () => {
  test("with the first member that joins, and with what was committed", () => {
    const s = Scenario.stable(["A"]);
    s.topics.set({ t: 2 });
    s.commit("A", [{ offset: 5 }]).leave("A");
    s.heard();
    expect(s.joinConsumer("B").heard().slice(0, 3)).toEqual([
      "log group removed",
      "log consumer-member B topics=t",
      "log consumer-group epoch=2",
    ]);
    expect(s.shard.groups.size).toBe(0);
    expect(s.fetch("x").heard()).toEqual(["x < fetch t-0=5/-1/"]);
    const after = s.restarted();
    expect([after.shard.groups.size, after.shard.consumers.size]).toEqual([0, 1]);
  });

  test("a group that only holds offsets is no obstacle", () => {
    const s = withTopic().commit("x", [{ offset: 5 }]);
    s.heard();
    expect(s.joinConsumer("B").heard().at(-1)).toBe("B < beat B epoch=2 t=0,1");
    expect([s.shard.groups.size, s.shard.consumers.size]).toEqual([0, 1]);
    const after = s.restarted();
    expect([after.shard.groups.size, after.shard.consumers.size]).toEqual([0, 1]);
    expect(after.fetch("x").heard()).toEqual(["x < fetch t-0=5/-1/"]);
  });

  test("not when there are members", () => {
    const s = Scenario.stable(["A"]);
    expect(s.joinConsumer("B").heard()).toEqual([
      "B < consumer-heartbeat GROUP_ID_NOT_FOUND: Cannot upgrade classic group g to consumer group because online upgrade is disabled.",
    ]);
    expect(s.heartbeat("A").heard()).toEqual(["A < heartbeat NONE"]);
  });
});

describe("others see both kinds", () => {
  test("in lists, and delete what is empty", () => {
    const s = withTopic().joinConsumer("A");
    s.heard();
    expect(s.list().heard()).toEqual(["admin < list g(consumer consumer Stable)"]);
    expect(s.describe().heard()).toEqual(["admin < describe nothing"]);
    expect(s.list([], ["classic"]).heard()).toEqual(["admin < list"]);
    expect(s.delete().heard()).toEqual(["admin < delete NON_EMPTY_GROUP"]);
    s.commit("A", [{ offset: 5 }], { generationId: 2 });
    s.heard();
    expect(s.deleteOffsets([{ topic: "t", partitions: [0] }]).heard()).toEqual([
      "admin < delete-offsets NONE GROUP_SUBSCRIBED_TO_TOPIC",
    ]);
    s.beat("A", { memberEpoch: -1 });
    s.heard();
    expect(s.delete().heard()).toEqual([
      "log offset t-0 removed",
      "log consumer-target removed",
      "log consumer-partition-metadata removed",
      "log consumer-group removed",
      "admin < delete NONE",
    ]);
    expect(s.list().heard()).toEqual(["admin < list"]);
  });

  test("offsets expire after their commit, but not of topics that are read", () => {
    const day = 24 * 3_600_000;
    const s = withTopic().joinConsumer("A");
    s.commit("A", [{ offset: 5 }, { topic: "other", offset: 6 }], { generationId: 2 });
    for (let at = 30_000; at <= 7 * day + 700_000; at += 30_000) s.at(at).beat("A");
    expect(s.fetch("x").heard().at(-1)).toBe("x < fetch t-0=5/-1/");
    s.beat("A", { memberEpoch: -1 }).at(7 * day + 2_000_000);
    expect([s.shard.consumers.size, s.shard.groups.size]).toEqual([0, 0]);
  });
});
