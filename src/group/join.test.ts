/** What JoinGroup answers, and when. Expectations are Kafka's: KIP-394, KIP-345, KIP-814, GroupMetadataManager. */
import { describe, expect, test } from "bun:test";
import { describeRecord, Scenario } from "./scenario.ts";

describe("joining", () => {
  test("a first member learns its id, joins with it, waits for others, leads, assigns", () => {
    const s = new Scenario();
    s.join("A");
    expect(s.heard()).toEqual(["A < join MEMBER_ID_REQUIRED id=A-1"]);
    s.at(10).join("A", { protocols: "range:x" });
    expect(s.heard()).toEqual([]);
    s.at(3009);
    expect(s.heard()).toEqual([]);
    s.at(3010);
    expect(s.heard()).toEqual(["A < join gen=1 consumer/range id=A-1 leader=A-1 A-1(x)"]);
    s.sync("A", "A-1=all");
    expect(s.heard()).toEqual(["log group consumer gen=1 range leader=A-1 A-1(x)=all", "A < sync consumer/range all"]);
  });

  test("before v4 a member joins without knowing its id", () => {
    const s = new Scenario({ groupInitialRebalanceDelayMs: 0 });
    s.join("A", { mustKnowMemberId: false }).at(0);
    expect(s.heard()).toEqual(["A < join gen=1 consumer/range id=A-1 leader=A-1 A-1()"]);
  });

  test("each new member prolongs the first wait, up to the rebalance timeout of the first", () => {
    const s = new Scenario();
    s.join("A", { mustKnowMemberId: false, rebalanceTimeoutMs: 7000 }); // 3000, then 3000 more, then 1000 more
    s.at(2900).join("B", { mustKnowMemberId: false });
    s.at(5900).join("C", { mustKnowMemberId: false });
    s.at(6900).join("D", { mustKnowMemberId: false });
    s.at(6999);
    expect(s.heard()).toEqual([]);
    s.at(7000);
    expect(s.heard()).toEqual([
      "A < join gen=1 consumer/range id=A-1 leader=A-1 A-1() B-2() C-3() D-4()",
      "B < join gen=1 consumer/range id=B-2 leader=A-1",
      "C < join gen=1 consumer/range id=C-3 leader=A-1",
      "D < join gen=1 consumer/range id=D-4 leader=A-1",
    ]);
  });

  test("without a newcomer the first wait is not prolonged", () => {
    const s = new Scenario();
    s.join("A", { mustKnowMemberId: false }).join("B", { mustKnowMemberId: false });
    s.at(6000);
    expect(s.heard().length).toBe(2);
    const t = new Scenario();
    t.join("A", { mustKnowMemberId: false });
    t.at(3000);
    expect(t.heard()).toEqual(["A < join gen=1 consumer/range id=A-1 leader=A-1 A-1()"]);
  });

  test("a newcomer makes a stable group rebalance; those who do not rejoin in time are out", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("C").join("C");
    s.heartbeat("A").heartbeat("B");
    expect(s.heard()).toEqual([
      "C < join MEMBER_ID_REQUIRED id=C-5",
      "A < heartbeat REBALANCE_IN_PROGRESS",
      "B < heartbeat REBALANCE_IN_PROGRESS",
    ]);
    s.join("B");
    for (let ms = 6000; ms < 66_000; ms += 5000) s.at(ms).heartbeat("A");
    s.heard();
    s.at(66_000);
    expect(s.heard()).toEqual([
      "B < join gen=2 consumer/range id=B-3 leader=B-3 B-3() C-5()",
      "C < join gen=2 consumer/range id=C-5 leader=B-3",
    ]);
    s.heartbeat("A");
    expect(s.heard()).toEqual(["A < heartbeat UNKNOWN_MEMBER_ID"]);
  });

  test("the rebalance ends as soon as all are there", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("C").join("C").join("A").join("B");
    expect(s.heard()).toEqual([
      "C < join MEMBER_ID_REQUIRED id=C-5",
      "A < join gen=2 consumer/range id=A-1 leader=A-1 A-1() B-3() C-5()",
      "B < join gen=2 consumer/range id=B-3 leader=A-1",
      "C < join gen=2 consumer/range id=C-5 leader=A-1",
    ]);
  });

  test("a member id that was given out holds the rebalance up for a session, not longer", () => {
    const s = Scenario.stable(["A"]);
    s.join("B").join("C").join("B");
    s.join("A");
    expect(s.heard()).toEqual(["B < join MEMBER_ID_REQUIRED id=B-3", "C < join MEMBER_ID_REQUIRED id=C-4"]);
    s.at(16_000);
    expect(s.heard()).toEqual([
      "A < join gen=2 consumer/range id=A-1 leader=A-1 A-1() B-3()",
      "B < join gen=2 consumer/range id=B-3 leader=A-1",
    ]);
    s.join("C");
    expect(s.heard()).toEqual(["C < join UNKNOWN_MEMBER_ID id=C-4"]);
  });

  test("a new member that waits too long is let go: its client may be dead", () => {
    const s = Scenario.stable(["A"]);
    s.join("B", { mustKnowMemberId: false, rebalanceTimeoutMs: 1_000_000 });
    s.heard();
    for (let ms = 6000; ms <= 301_000; ms += 5000) s.at(ms).heartbeat("A");
    s.heard();
    s.at(306_000);
    expect(s.heard()).toEqual(["B < join UNKNOWN_MEMBER_ID id="]);
  });

  test("a group is not remembered for a member that never comes", () => {
    const s = new Scenario();
    s.join("A");
    expect(s.shard.groups.size).toBe(1);
    s.at(10_000);
    expect(s.shard.groups.size).toBe(0);
    expect(s.log).toEqual([]);
    expect(s.shard.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("joining again", () => {
  test("a follower with the same metadata is told the generation as it is", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("B");
    expect(s.heard()).toEqual(["B < join gen=1 consumer/range id=B-3 leader=A-1"]);
    s.heartbeat("A");
    expect(s.heard()).toEqual(["A < heartbeat NONE"]);
  });

  test("a follower with other metadata makes the group rebalance", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("B", { protocols: "range:more" }).heartbeat("A").join("A");
    expect(s.heard()).toEqual([
      "A < heartbeat REBALANCE_IN_PROGRESS",
      "A < join gen=2 consumer/range id=A-1 leader=A-1 A-1() B-3(more)",
      "B < join gen=2 consumer/range id=B-3 leader=A-1",
    ]);
  });

  test("the leader makes a stable group rebalance even with the same metadata", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A").heartbeat("B");
    expect(s.heard()).toEqual(["B < heartbeat REBALANCE_IN_PROGRESS"]);
    s.join("B");
    expect(s.heard()[0]).toBe("A < join gen=2 consumer/range id=A-1 leader=A-1 A-1() B-3()");
  });

  test("before the assignment, the same metadata brings the same answer, the leader's with the members", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A").join("B");
    s.heard();
    s.join("B").join("A");
    expect(s.heard()).toEqual([
      "B < join gen=2 consumer/range id=B-3 leader=A-1",
      "A < join gen=2 consumer/range id=A-1 leader=A-1 A-1() B-3()",
    ]);
  });

  test("before the assignment, other metadata starts the rebalance again and frees who waits to sync", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A").join("B").sync("B");
    s.heard();
    s.join("A", { protocols: "range:new" });
    expect(s.heard()).toEqual(["B < sync REBALANCE_IN_PROGRESS"]);
  });

  test("a second call of a waiting member frees the first", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("A").join("A");
    expect(s.heard()).toEqual(["A < join REBALANCE_IN_PROGRESS id=A-1"]);
    s.join("B");
    expect(s.heard().length).toBe(2);
    expect(s.waiting()).toEqual([]);
  });

  test("if the leader does not rejoin, one who did leads", () => {
    const s = Scenario.stable(["A", "B"]);
    s.join("B", { protocols: "range:y" });
    s.at(16_000);
    expect(s.heard()).toEqual(["B < join gen=2 consumer/range id=B-3 leader=B-3 B-3(y)"]);
  });
});

describe("refusals", () => {
  test("of what no group takes", () => {
    const s = new Scenario();
    s.groupId = "";
    s.join("A");
    s.groupId = "g";
    s.join("A", { sessionTimeoutMs: 5999 }).join("A", { sessionTimeoutMs: 1_800_001 });
    s.join("A", { protocols: "" }).join("A", { protocolType: "" });
    s.join("A", { memberId: "stranger" });
    s.join("A", { protocols: `range:${"x".repeat(1000)}` }).join("A", { clientId: "c".repeat(32_767) });
    expect(s.heard()).toEqual([
      "A < join INVALID_GROUP_ID id=",
      "A < join INVALID_SESSION_TIMEOUT id=",
      "A < join INVALID_SESSION_TIMEOUT id=",
      "A < join INCONSISTENT_GROUP_PROTOCOL id=",
      "A < join INCONSISTENT_GROUP_PROTOCOL id=",
      "A < join UNKNOWN_MEMBER_ID id=stranger",
      "A < join INVALID_REQUEST id=",
      "A < join INVALID_REQUEST id=",
    ]);
    expect(s.shard.groups.size).toBe(0);
  });

  test("of a member that shares no protocol, or is of another type", () => {
    const s = Scenario.stable(["A"]);
    s.join("B", { protocols: "sticky:" }).join("B", { protocolType: "connect" }).join("B", { memberId: "stranger" });
    expect(s.heard()).toEqual([
      "B < join INCONSISTENT_GROUP_PROTOCOL id=",
      "B < join INCONSISTENT_GROUP_PROTOCOL id=",
      "B < join UNKNOWN_MEMBER_ID id=stranger",
    ]);
  });

  test("of more members than the group may have", () => {
    const s = Scenario.stable(["A", "B"], { groupMaxSize: 2 });
    s.join("C");
    expect(s.heard()).toEqual(["C < join GROUP_MAX_SIZE_REACHED id="]);
    s.join("A").join("C");
    expect(s.heard()).toEqual(["C < join MEMBER_ID_REQUIRED id=C-7"]); // Kafka counts who waits to join
    s.join("C").join("B");
    expect(s.heard()).toEqual([
      "B < join GROUP_MAX_SIZE_REACHED id=",
      "A < join gen=2 consumer/range id=A-1 leader=A-1 A-1() C-7()",
      "C < join gen=2 consumer/range id=C-7 leader=A-1",
    ]);
  });

  test("of what would be held beyond the bound of all groups together", () => {
    const s = Scenario.stable(["A"]);
    s.memory.heldBytes = s.memory.limitBytes - 500;
    s.join("B").join("A", { protocols: `range:${"x".repeat(400)}` });
    expect(s.heard()).toEqual([
      "B < join GROUP_MAX_SIZE_REACHED id=",
      `A < join gen=2 consumer/range id=A-1 leader=A-1 A-1(${"x".repeat(400)})`,
    ]);
    s.groupId = "h";
    s.join("C").commit("C", [{ offset: 1 }], { memberId: "", generationId: -1 });
    expect(s.heard()).toEqual(["C < join GROUP_MAX_SIZE_REACHED id=", "C < commit INVALID_COMMIT_OFFSET_SIZE"]);
  });

  test("of more metadata than a generation of the group could hold", () => {
    const s = new Scenario({ groupMaxMemberBytes: 100 });
    for (let i = 0; i < 10; i++) s.join(`m${i}`, { mustKnowMemberId: false, protocols: `range:${"x".repeat(80)}` });
    expect(s.heard()).toEqual(["m8 < join GROUP_MAX_SIZE_REACHED id=", "m9 < join GROUP_MAX_SIZE_REACHED id="]);
    const stable = Scenario.stable(["A"], { groupMaxMemberBytes: 100 });
    stable.memory.heldBytes = stable.memory.limitBytes;
    stable.join("A", { protocols: "range:more" }).heartbeat("A");
    expect(stable.heard()).toEqual(["A < join GROUP_MAX_SIZE_REACHED id=A-1", "A < heartbeat NONE"]);
  });

  test("whatever is held is given back", () => {
    const s = new Scenario();
    s.join("A")
      .join("B", { instanceId: "i" })
      .join("B", { instanceId: "i", memberId: "", protocols: "range:other" })
      .join("A")
      .join("C");
    s.at(6000).sync("B", "A-1=a i-3=b", { instanceId: "i" }).leave("A").at(100_000);
    s.commit("D", [{ offset: 5, metadata: "m" }, { partition: 1 }], { memberId: "", generationId: -1 });
    s.commit("D", [{ offset: 6, metadata: "longer" }], { memberId: "", generationId: -1 });
    expect(s.shard.groups.get("g")!.state).toBe("Empty");
    const kept = s.memory.heldBytes;
    expect(s.restarted().memory.heldBytes).toBe(kept);
    s.shard.unload();
    expect([kept > 0, s.memory.heldBytes]).toEqual([true, 0]);
  });
});

describe("the protocol", () => {
  test("is one that all support, the one most put first", () => {
    const s = new Scenario();
    s.join("A", { protocols: "sticky:s range:r", mustKnowMemberId: false });
    s.join("B", { protocols: "range:r sticky:s", mustKnowMemberId: false });
    s.join("C", { protocols: "range:r sticky:s", mustKnowMemberId: false });
    s.at(60_000);
    expect(s.heard()[0]).toBe("A < join gen=1 consumer/range id=A-1 leader=A-1 A-1(r) B-2(r) C-3(r)");
  });

  test("named twice by one member counts once", () => {
    const s = new Scenario({ groupInitialRebalanceDelayMs: 0 });
    s.join("A", { protocols: "range:1 range:2", mustKnowMemberId: false }).at(1);
    expect(s.heard()).toEqual(["A < join gen=1 consumer/range id=A-1 leader=A-1 A-1(1)"]);
    s.sync("A", "A-1=x").leave("A").join("B", { protocols: "sticky:", mustKnowMemberId: false }).at(2);
    expect(s.heard().at(-1)).toBe("B < join gen=3 consumer/sticky id=B-2 leader=B-2 B-2()");
  });
});

describe("static members", () => {
  const asStatic = { instanceId: "i" };

  test("join without being told their id first, and survive what removes dynamic ones", () => {
    const s = new Scenario();
    s.join("A", asStatic).at(3000);
    expect(s.heard()).toEqual(["A < join gen=1 consumer/range id=i-1 leader=i-1 i-1()"]);
  });

  function pair(): Scenario {
    const s = new Scenario();
    s.join("A", asStatic).join("B").join("B").at(6000);
    s.sync("A", "i-1=a B-2=b", asStatic).sync("B");
    s.heard();
    return s;
  }

  test("come back to a stable group without a rebalance; the old id is fenced", () => {
    const s = pair();
    s.join("A", { ...asStatic, memberId: "" });
    expect(s.heard()).toEqual([
      "log group consumer gen=1 range leader=i-4 B-2()=b i-4()=a",
      "A < join gen=1 consumer/range id=i-4 leader=i-4 skip B-2() i-4()",
    ]);
    s.sync("A", "", asStatic)
      .heartbeat("B")
      .heartbeat("A", { ...asStatic, memberId: "i-1" });
    s.commit("A", [{}], { ...asStatic, memberId: "i-1" }).sync("A", "", { ...asStatic, memberId: "i-1" });
    s.join("A", { ...asStatic, memberId: "i-1" });
    expect(s.heard()).toEqual([
      "A < sync consumer/range a",
      "B < heartbeat NONE",
      "A < heartbeat FENCED_INSTANCE_ID",
      "A < commit FENCED_INSTANCE_ID",
      "A < sync FENCED_INSTANCE_ID",
      "A < join FENCED_INSTANCE_ID id=i-1",
    ]);
  });

  test("before v9 a returning leader is told the old leader's id, so that it does not assign", () => {
    const s = pair();
    s.join("A", { ...asStatic, memberId: "", canSkipAssignment: false });
    expect(s.heard()[1]).toBe("A < join gen=1 consumer/range id=i-4 leader=i-1");
  });

  test("a return that cannot be written is undone", () => {
    const s = pair();
    s.appendsFail = true;
    s.join("A", { ...asStatic, memberId: "" });
    expect(s.heard()).toEqual(["A < append failed"]);
    s.appendsFail = false;
    s.heartbeat("A", asStatic).heartbeat("B");
    expect(s.heard()).toEqual(["A < heartbeat NONE", "B < heartbeat NONE"]);
  });

  test("a return that would change the chosen protocol makes the group rebalance", () => {
    const s = new Scenario();
    s.join("A", { ...asStatic, protocols: "range: sticky:" });
    s.at(3000).sync("A", "i-1=a", asStatic);
    s.heard();
    s.join("A", { ...asStatic, memberId: "", protocols: "sticky: range:" });
    expect(s.heard()).toEqual(["A < join gen=2 consumer/sticky id=i-2 leader=i-2 i-2()"]);
  });

  test("a return while the generation is completed starts the rebalance again", () => {
    const s = pair();
    s.join("B", { protocols: "range:new" }).join("A", asStatic).sync("B");
    s.heard();
    s.join("A", { ...asStatic, memberId: "" });
    expect(s.heard()).toEqual(["B < sync REBALANCE_IN_PROGRESS"]);
    s.join("B", { protocols: "range:new" });
    expect(s.heard()).toEqual([
      "B < join gen=3 consumer/range id=B-2 leader=i-6",
      "A < join gen=3 consumer/range id=i-6 leader=i-6 B-2(new) i-6()",
    ]);
    expect(s.waiting()).toEqual([]);
  });

  test("a return answers the waiting calls of the old one with the fence", () => {
    const s = pair();
    s.join("C").join("B", { protocols: "range:new" }).join("A", asStatic);
    expect(s.heard()).toEqual(["C < join MEMBER_ID_REQUIRED id=C-4"]);
    s.join("A", { ...asStatic, memberId: "" });
    expect(s.heard()).toEqual(["A < join FENCED_INSTANCE_ID id=i-1"]);
    s.join("C");
    expect(s.heard()).toEqual([
      "B < join gen=2 consumer/range id=B-2 leader=i-7",
      "A < join gen=2 consumer/range id=i-7 leader=i-7 B-2(new) i-7() C-4()",
      "C < join gen=2 consumer/range id=C-4 leader=i-7",
    ]);
    s.sync("B").join("B2", { instanceId: "i", memberId: "" });
    expect(s.heard()).toEqual(["B < sync REBALANCE_IN_PROGRESS"]);
  });

  test("do not lose their place by being late to a rebalance, only with their session or by being removed by name", () => {
    const s = pair();
    s.join("B", { protocols: "range:new" });
    for (let ms = 6000; ms <= 66_000; ms += 5000) s.at(ms).heartbeat("A", asStatic);
    s.heard();
    s.at(66_001);
    expect(s.shard.groups.get("g")!.generationId).toBe(2);
    expect([...s.shard.groups.get("g")!.members.keys()]).toEqual(["i-1", "B-2"]);
    s.leave("admin", [
      { memberId: "", instanceId: "i", reason: null },
      { memberId: "", instanceId: "j", reason: null },
    ]);
    expect(s.heard()).toEqual(["admin < leave NONE i:NONE j:UNKNOWN_MEMBER_ID"]);
    expect([...s.shard.groups.get("g")!.members.keys()]).toEqual(["B-2"]);
  });
});

test("what a group keeps does not hold on to the bytes of requests", () => {
  const s = new Scenario({ groupInitialRebalanceDelayMs: 0 });
  const metadata = Buffer.from("metadata");
  const assignment = Buffer.from("assignment");
  const command = { groupId: "g", memberId: "", instanceId: null, clientId: "A", clientHost: "/", reason: null, uuid: "1" };
  const rest = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: "consumer", mustKnowMemberId: false };
  const protocols = [{ name: "range", metadata }];
  s.shard.step({ kind: "join", ticket: 1, ...command, ...rest, protocols, canSkipAssignment: true }, 0);
  s.shard.tick(0);
  const assignments = [{ memberId: "A-1", assignment }];
  const member = { memberId: "A-1", instanceId: null, generationId: 1, protocolType: null, protocolName: null };
  const { records } = s.shard.step({ kind: "sync", ticket: 2, groupId: "g", ...member, assignments }, 0);
  metadata.fill(0);
  assignment.fill(0);
  expect(records.map((record) => describeRecord(record, s.topics))).toEqual([
    "group consumer gen=1 range leader=A-1 A-1(metadata)=assignment",
  ]);
});

test("thousands who join and vanish hold what is allowed and no more, and nothing once their sessions are over", () => {
  const s = new Scenario({ groupMaxSize: 1_000_000 });
  let most = 0;
  let refused = 0;
  for (let i = 0; i < 5000; i++) {
    s.groupId = `g${i % 50}`;
    const isOld = i % 3 === 0; // some clients join at once, some stop once they know their id
    s.join(`m${i}`, { mustKnowMemberId: !isOld, protocols: `range:${"x".repeat(100)}` });
    most = Math.max(most, s.memory.heldBytes);
    refused += s.heard().filter((line) => line.includes("GROUP_MAX_SIZE_REACHED")).length;
  }
  expect(most).toBeGreaterThan(s.memory.limitBytes * 0.99);
  expect(most).toBeLessThanOrEqual(s.memory.limitBytes);
  expect(refused).toBeGreaterThan(3000);
  s.at(2_000_000);
  expect([s.memory.heldBytes, s.shard.groups.size, s.shard.wakeAtMs]).toEqual([0, 0, Number.POSITIVE_INFINITY]);
});
