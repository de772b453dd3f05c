/** When offsets and groups go by themselves. Expectations are Kafka's: OffsetExpirationConditionImpl, ClassicGroup.offsetExpirationCondition. */
import { describe, expect, test } from "bun:test";
import { Scenario, WALL_AT_ZERO_MS } from "./scenario.ts";

const noMember = { memberId: "", generationId: -1 };
const SHORT = { offsetsRetentionMs: 60_000, offsetsRetentionCheckIntervalMs: 10_000 };
/** Version 0, the topic "t", no user data. */
const READS_T = "\0\0\0\0\0\x01\0\x01t\0\0\0\0";

/** One member in a stable generation from 3 s on. */
function member(options: { protocols?: string; protocolType?: string } = {}): Scenario {
  const s = new Scenario(SHORT);
  s.join("A", { mustKnowMemberId: false, sessionTimeoutMs: 1_000_000, ...options }).at(3000);
  s.sync("A", "A-1=a").heard();
  return s;
}

const expired = ["log offset t-0 removed"];

describe("an offset of a group without members", () => {
  test("goes once the group has been empty for the retention; the group goes with it", () => {
    const s = member();
    s.at(40_000)
      .commit("A", [{ offset: 1 }])
      .leave("A")
      .heard();
    // Committed again by an admin: that is not what counts.
    s.at(80_000)
      .commit("admin", [{ offset: 2 }], noMember)
      .heard();
    expect(s.at(99_999).heard()).toEqual([]);
    expect(s.at(110_000).heard()).toEqual([...expired, "log group removed"]);
    expect(s.shard.groups.size).toBe(0);
    expect(s.memory.heldBytes).toBe(0);
    expect(s.restarted().shard.groups.size).toBe(0);
  });

  test("of a group that only keeps offsets goes after its own last commit", () => {
    const s = new Scenario(SHORT);
    s.commit("A", [{ offset: 1 }, { partition: 1, offset: 1 }], noMember).at(30_000);
    s.commit("A", [{ partition: 1, offset: 2 }], noMember).heard();
    expect(s.at(59_999).heard()).toEqual([]);
    expect(s.at(60_000).heard()).toEqual(expired);
    expect(s.at(90_000).heard()).toEqual(["log offset t-1 removed", "log group removed"]);
    expect(s.shard.wakeAtMs).toBe(100_000);
    s.at(100_000);
    expect(s.shard.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("counts from the commit where the record of the group does not say since when it is empty", () => {
    const empty = { protocolType: "consumer", generationId: 2, protocolName: null, leader: null, stateSinceMs: -1, members: [] };
    const offset = {
      offset: 1,
      leaderEpoch: -1,
      metadata: "",
      committedMs: WALL_AT_ZERO_MS - 50_000,
      expiresMs: -1,
      topicId: "",
    };
    const s = new Scenario(SHORT, [
      { kind: "group", groupId: "g", value: empty },
      { kind: "offset", groupId: "g", topic: "t", partition: 0, value: offset },
    ]);
    expect(s.at(10_000).heard()).toEqual([...expired, "log group removed"]);
  });

  test("goes after a restart too, at its time", () => {
    const s = member();
    s.commit("A", [{ offset: 1 }])
      .leave("A")
      .heard();
    const after = s.restarted(SHORT); // its clock begins at 0 again, the wall clock too
    expect(after.at(59_999).heard()).toEqual([]);
    expect(after.at(70_000).heard()).toEqual([...expired, "log group removed"]);
  });
});

describe("an offset of a group with members", () => {
  test("stays while a member reads the topic, goes after its last commit if none does", () => {
    const s = member({ protocols: `range:${READS_T}` });
    s.commit("A", [{ offset: 1 }, { topic: "u", offset: 2 }]).heard();
    expect(s.at(70_000).heard()).toEqual(["log offset u-0 removed"]);
    expect(s.at(600_000).heard()).toEqual([]);
    expect(s.fetch("A").heard()).toEqual(["A < fetch t-0=1/-1/"]);
  });

  test.each([
    ["cannot be understood", {}],
    ["is of no consumers", { protocols: `range:${READS_T}`, protocolType: "connect" }],
  ])("stays if what they say %s", (_, options) => {
    const s = member(options);
    s.commit("A", [{ topic: "u", offset: 2 }]).heard();
    expect(s.at(600_000).heard()).toEqual([]);
  });

  test("stays while the group rebalances", () => {
    const s = member({ protocols: `range:${READS_T}` });
    s.commit("A", [{ topic: "u", offset: 2 }]).heard();
    s.join("B", { mustKnowMemberId: false, protocols: `range:${READS_T}`, rebalanceTimeoutMs: 500_000 }).heard();
    expect(s.at(200_000).heard()).toEqual([]);
  });
});

describe("a time that the client asked for (OffsetCommit v2 to v4)", () => {
  test("counts instead of the broker's, shorter or longer, and for no topic that is read", () => {
    const s = new Scenario(SHORT);
    s.commit("A", [{ offset: 1 }], { ...noMember, retentionMs: 15_000 });
    s.groupId = "h";
    s.commit("A", [{ offset: 1 }], { ...noMember, retentionMs: 95_000 }).heard();
    expect(s.at(19_999).heard()).toEqual([]);
    expect(s.at(20_000).heard()).toEqual([...expired, "log group removed"]);
    expect(s.at(99_999).heard()).toEqual([]);
    expect(s.at(100_000).heard()).toEqual([...expired, "log group removed"]);
  });
});

describe("a group", () => {
  test("that is empty and keeps no offsets goes with the next look", () => {
    const s = member();
    s.leave("A").heard();
    expect(s.at(10_000).heard()).toEqual(["log group removed"]);
  });

  test("to which somebody is about to come stays", () => {
    const s = member();
    s.leave("A").at(9000).join("B").heard();
    expect(s.at(10_000).heard()).toEqual([]);
    s.join("B").at(13_000);
    expect(s.heard().at(-1)).toStartWith("B < join gen=3");
  });

  test("that cannot be removed now is removed later", () => {
    const s = member();
    s.leave("A").heard();
    s.appendsFail = true;
    s.at(10_000);
    s.appendsFail = false;
    expect(s.at(20_000).heard()).toEqual(["log group removed"]);
  });
});

test("a look at many groups goes in stretches, so that others have their turn", () => {
  const s = new Scenario(SHORT);
  for (let i = 0; i < 700; i++) {
    s.groupId = `g${i}`;
    s.commit("A", [{ offset: 1 }], noMember);
  }
  s.at(59_999).heard();
  expect(s.memory.heldBytes).toBeGreaterThan(0);
  const lengths: number[] = [];
  for (let at = 60_000; s.shard.groups.size > 0; at += 10) lengths.push(s.at(at).heard().length);
  expect(lengths.filter((length) => length > 0)).toEqual([500, 500, 400]);
  expect(s.memory.heldBytes).toBe(0);
});
