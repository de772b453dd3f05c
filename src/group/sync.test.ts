/** What SyncGroup answers, and when. Expectations are Kafka's. */
import { describe, expect, test } from "bun:test";
import { Scenario } from "./scenario.ts";

/** Generation 2 of A (the leader), B and C, without its assignment. */
function completing(): Scenario {
  const s = Scenario.stable(["A", "B", "C"]);
  s.join("A").join("B").join("C");
  s.heard();
  return s;
}

describe("syncing", () => {
  test("followers wait for the leader's assignment; whom it left out gets an empty one", () => {
    const s = completing();
    s.sync("B");
    expect(s.heard()).toEqual([]);
    s.sync("A", "A-1=a B-3=b nobody=n");
    expect(s.heard()).toEqual([
      "log group consumer gen=2 range leader=A-1 A-1()=a B-3()=b C-5()=",
      "A < sync consumer/range a",
      "B < sync consumer/range b",
    ]);
    s.sync("C").sync("B");
    expect(s.heard()).toEqual(["C < sync consumer/range", "B < sync consumer/range b"]);
  });

  test("needs the group, the member, the generation and the protocol", () => {
    const s = completing();
    s.sync("X", "", { memberId: "stranger", generationId: 2 }).sync("B", "", { generationId: 1 });
    s.sync("B", "", { protocolType: "connect" }).sync("B", "", { protocolName: "sticky" });
    s.groupId = "other";
    s.sync("B");
    s.groupId = "";
    s.sync("B");
    expect(s.heard()).toEqual([
      "X < sync UNKNOWN_MEMBER_ID",
      "B < sync ILLEGAL_GENERATION",
      "B < sync INCONSISTENT_GROUP_PROTOCOL",
      "B < sync INCONSISTENT_GROUP_PROTOCOL",
      "B < sync UNKNOWN_MEMBER_ID",
      "B < sync INVALID_GROUP_ID",
    ]);
  });

  test("while joins are collected it says so", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A").sync("B");
    expect(s.heard()).toEqual(["B < sync REBALANCE_IN_PROGRESS"]);
  });

  test("whoever waits is freed when another rebalance begins", () => {
    const s = completing();
    s.sync("B").sync("C").leave("A");
    expect(s.heard()).toEqual(["A < leave NONE A-1:NONE", "B < sync REBALANCE_IN_PROGRESS", "C < sync REBALANCE_IN_PROGRESS"]);
  });

  test("a member that leaves while its sync waits is answered", () => {
    const s = completing();
    s.sync("B").leave("B");
    expect(s.heard()).toEqual(["B < sync UNKNOWN_MEMBER_ID", "B < leave NONE B-3:NONE"]);
    expect(s.waiting()).toEqual([]);
  });

  test("a second call of a waiting member frees the first", () => {
    const s = completing();
    s.sync("B").sync("B");
    expect(s.heard()).toEqual(["B < sync REBALANCE_IN_PROGRESS"]);
    s.sync("A", "B-3=b");
    expect(s.heard().slice(1)).toEqual(["A < sync consumer/range", "B < sync consumer/range b"]);
  });

  test("a leader that dies before it assigns frees the others after its session", () => {
    const s = completing(); // at 6000
    s.at(15_000).sync("B").sync("C");
    s.at(16_000);
    expect(s.heard()).toEqual(["B < sync REBALANCE_IN_PROGRESS", "C < sync REBALANCE_IN_PROGRESS"]);
    s.join("B").join("C");
    expect(s.heard()[0]).toBe("B < join gen=3 consumer/range id=B-3 leader=B-3 B-3() C-5()");
  });

  test("whoever has not synced within the rebalance timeout is out, though it sends heartbeats", () => {
    const s = completing();
    s.sync("A", "A-1=a").sync("B");
    s.heard();
    for (let ms = 6000; ms < 66_000; ms += 5000) s.at(ms).heartbeat("A").heartbeat("B").heartbeat("C");
    s.heard();
    s.at(66_000).heartbeat("A").heartbeat("C");
    expect(s.heard()).toEqual(["A < heartbeat REBALANCE_IN_PROGRESS", "C < heartbeat UNKNOWN_MEMBER_ID"]);
  });

  test("an assignment that cannot be written reaches nobody, and all join again", () => {
    const s = completing();
    s.sync("B");
    s.appendsFail = true;
    s.sync("A", "A-1=a B-3=b");
    expect(s.heard()).toEqual(["A < append failed", "B < append failed"]);
    s.appendsFail = false;
    s.heartbeat("C").join("A").join("B").join("C");
    expect(s.heard()).toEqual([
      "C < heartbeat REBALANCE_IN_PROGRESS",
      "A < join gen=3 consumer/range id=A-1 leader=A-1 A-1() B-3() C-5()",
      "B < join gen=3 consumer/range id=B-3 leader=A-1",
      "C < join gen=3 consumer/range id=C-5 leader=A-1",
    ]);
    expect(s.restarted().shard.groups.get("g")!.generationId).toBe(1);
  });
});
