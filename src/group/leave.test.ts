/** What LeaveGroup and Heartbeat answer, and what ends a session. Expectations are Kafka's. */
import { describe, expect, test } from "bun:test";
import { Scenario } from "./scenario.ts";

const member = (memberId: string, instanceId: string | null = null) => ({ memberId, instanceId, reason: null });

describe("leaving", () => {
  test("makes the others rebalance", () => {
    const s = Scenario.stable(["A", "B"]);
    s.leave("A").heartbeat("B").heartbeat("A");
    expect(s.heard()).toEqual([
      "A < leave NONE A-1:NONE",
      "B < heartbeat REBALANCE_IN_PROGRESS",
      "A < heartbeat UNKNOWN_MEMBER_ID",
    ]);
    s.join("B");
    expect(s.heard()).toEqual(["B < join gen=2 consumer/range id=B-3 leader=B-3 B-3()"]);
  });

  test("the last one out leaves an empty generation in the log", () => {
    const s = Scenario.stable(["A"]);
    s.leave("A");
    expect(s.heard()).toEqual(["log group consumer gen=2 null leader=null", "A < leave NONE A-1:NONE"]);
    s.heartbeat("A").sync("A").leave("A");
    expect(s.heard()).toEqual([
      "A < heartbeat UNKNOWN_MEMBER_ID",
      "A < sync UNKNOWN_MEMBER_ID",
      "A < leave NONE A-1:UNKNOWN_MEMBER_ID",
    ]);
    s.join("B", { mustKnowMemberId: false, protocolType: "connect" }).at(9000);
    expect(s.heard()).toEqual(["B < join gen=3 connect/range id=B-3 leader=B-3 B-3()"]);
  });

  test("of several at once is answered for each; those who are known leave", () => {
    const s = Scenario.stable(["A", "B", "C"]);
    s.join("D").heard();
    s.leave("admin", [member("A-1"), member("stranger"), member("D-7"), member("B-3", "no-such-instance"), member("", null)]);
    expect(s.heard()).toEqual([
      "admin < leave NONE A-1:NONE stranger:UNKNOWN_MEMBER_ID D-7:NONE B-3:UNKNOWN_MEMBER_ID null:UNKNOWN_MEMBER_ID",
    ]);
    s.join("B").join("C");
    expect(s.heard()[0]).toBe("B < join gen=2 consumer/range id=B-3 leader=B-3 B-3() C-5()");
  });

  test("ends a rebalance that waited for nobody else", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A").leave("B");
    expect(s.heard()).toEqual(["B < leave NONE B-3:NONE", "A < join gen=2 consumer/range id=A-1 leader=A-1 A-1()"]);
  });

  test("answers a join of its own that waits", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A").leave("A");
    expect(s.heard()).toEqual(["A < join UNKNOWN_MEMBER_ID id=", "A < leave NONE A-1:NONE"]);
  });

  test("of a member that never joined disturbs nobody", () => {
    const s = Scenario.stable(["A"]);
    s.join("B").leave("B").heartbeat("A");
    expect(s.heard().slice(1)).toEqual(["B < leave NONE B-3:NONE", "A < heartbeat NONE"]);
  });

  test("needs a group", () => {
    const s = new Scenario();
    s.leave("A", [member("x")]);
    s.groupId = "";
    s.leave("A", [member("x")]);
    expect(s.heard()).toEqual(["A < leave NONE x:UNKNOWN_MEMBER_ID", "A < leave INVALID_GROUP_ID"]);
  });

  test("that cannot be written is still a leaving; after a restart the old generation times out", () => {
    const s = Scenario.stable(["A"]);
    s.appendsFail = true;
    s.leave("A");
    s.appendsFail = false;
    s.heartbeat("A");
    expect(s.heard()).toEqual(["A < append failed", "A < heartbeat UNKNOWN_MEMBER_ID"]);
    const after = s.restarted();
    after.at(10_000);
    expect(after.heard()).toEqual(["log group consumer gen=2 null leader=null"]);
  });
});

describe("heartbeats", () => {
  test("keep a session alive for its timeout; without them the member is out", () => {
    const s = Scenario.stable(["A", "B"]); // at 6000, session 10000
    s.at(15_999).heartbeat("A");
    s.at(16_000);
    s.heartbeat("A").heartbeat("B");
    expect(s.heard()).toEqual(["A < heartbeat NONE", "A < heartbeat REBALANCE_IN_PROGRESS", "B < heartbeat UNKNOWN_MEMBER_ID"]);
  });

  test("are checked for group, member and generation", () => {
    const s = Scenario.stable(["A"]);
    s.heartbeat("A", { generationId: 0 }).heartbeat("A", { memberId: "x" }).heartbeat("A", { instanceId: "i" });
    s.groupId = "other";
    s.heartbeat("A");
    s.groupId = "";
    s.heartbeat("A");
    expect(s.heard()).toEqual([
      "A < heartbeat ILLEGAL_GENERATION",
      "A < heartbeat UNKNOWN_MEMBER_ID",
      "A < heartbeat UNKNOWN_MEMBER_ID",
      "A < heartbeat UNKNOWN_MEMBER_ID",
      "A < heartbeat INVALID_GROUP_ID",
    ]);
  });

  test("are fine while the assignment is awaited", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A").join("B").heartbeat("B");
    expect(s.heard().at(-1)).toBe("B < heartbeat NONE");
  });

  test("a waiting join or sync needs none", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A", { rebalanceTimeoutMs: 100_000 });
    for (let ms = 6000; ms < 50_000; ms += 5000) s.at(ms).heartbeat("B");
    s.heard();
    s.join("B");
    expect(s.heard().length).toBe(2);
  });

  test("when all sessions end, one by one, the group ends empty", () => {
    const s = Scenario.stable(["A", "B"]);
    s.at(16_000);
    expect(s.heard()).toEqual(["log group consumer gen=2 null leader=null"]);
    expect(s.shard.wakeAtMs).toBe(600_000); // then it is forgotten
  });
});

describe("after a restart", () => {
  test("a stable group goes on, and its members have a session's time to be heard of", () => {
    const s = Scenario.stable(["A", "B"]).restarted();
    s.at(9999).heartbeat("A");
    expect(s.heard()).toEqual(["A < heartbeat NONE"]);
    s.sync("A").commit("A", [{ offset: 5 }]);
    expect(s.heard()).toEqual(["A < sync consumer/range a", "log offset t-0 5", "A < commit NONE"]);
    s.at(10_000).heartbeat("B").heartbeat("A");
    expect(s.heard()).toEqual(["B < heartbeat UNKNOWN_MEMBER_ID", "A < heartbeat REBALANCE_IN_PROGRESS"]);
  });

  test("static members keep their names", () => {
    const s = new Scenario();
    s.join("A", { instanceId: "i" }).at(3000).sync("A", "i-1=a");
    const after = s.restarted();
    after.join("A", { instanceId: "i", memberId: "" });
    expect(after.heard().at(-1)).toBe("A < join gen=1 consumer/range id=i-2 leader=i-2 skip i-2()");
  });

  test("a group over a lowered limit rebalances below it", () => {
    const s = Scenario.stable(["A", "B", "C"]).restarted({ groupMaxSize: 2 });
    s.heartbeat("A").join("C").join("B").join("A");
    expect(s.heard()).toEqual([
      "A < heartbeat REBALANCE_IN_PROGRESS",
      "A < join GROUP_MAX_SIZE_REACHED id=",
      "B < join gen=2 consumer/range id=B-3 leader=B-3 B-3() C-5()",
      "C < join gen=2 consumer/range id=C-5 leader=B-3",
    ]);
  });
});
