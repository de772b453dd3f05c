/** What ListGroups and DescribeGroups tell. Expectations are Kafka's: GroupMetadataManager.listGroups, describeGroups. */
import { describe, expect, test } from "bun:test";
import { Scenario } from "./scenario.ts";

const noMember = { memberId: "", generationId: -1 };

describe("listing", () => {
  /** "g" with a member, "empty" that had one, "simple" that only keeps offsets. */
  function three(): Scenario {
    const s = Scenario.stable(["A"]);
    s.groupId = "simple";
    s.commit("B", [{ offset: 1 }], noMember);
    s.groupId = "empty";
    s.join("C", { protocolType: "connect" })
      .join("C", { protocolType: "connect" })
      .at(s.nowMs + 3000)
      .leave("C");
    s.heard();
    return s;
  }

  test("all groups with type, protocol type and state", () => {
    expect(three().list().heard()).toEqual([
      "admin < list g(classic consumer Stable) simple(classic - Empty) empty(classic connect Empty)",
    ]);
  });

  test("by states and types in any case; what nobody knows matches nothing", () => {
    const s = three();
    s.list(["STABLE"])
      .list([" empty "])
      .list(["Stable", "Dead"])
      .list(["nonsense"])
      .list([], ["CLASSIC", "share"])
      .list([], ["consumer"])
      .list([], ["nonsense"])
      .list(["stable"], ["classic"]);
    expect(s.heard().map((line) => line.replaceAll(/\([^)]*\)/g, ""))).toEqual([
      "admin < list g",
      "admin < list simple empty",
      "admin < list g",
      "admin < list",
      "admin < list g simple empty",
      "admin < list",
      "admin < list",
      "admin < list g",
    ]);
  });
});

describe("describing", () => {
  test("a stable group with what its members said for the chosen protocol and what they were given", () => {
    const s = new Scenario();
    s.join("A", { protocols: "range:r roundrobin:rr", instanceId: "i" });
    s.join("B", { protocols: "range:r2" }).join("B", { protocols: "range:r2" }).at(6000);
    const leader = s.shard.groups.get("g")!.leaderId === s.client("A").memberId ? "A" : "B";
    s.sync(leader, `${s.client("A").memberId}=a ${s.client("B").memberId}=b`).sync(leader === "A" ? "B" : "A");
    s.heard();
    expect(s.describe().heard()).toEqual([
      `admin < describe Stable consumer/range ${s.client("A").memberId}/i/A/127.0.0.1(r)=a ${s.client("B").memberId}/null/B/127.0.0.1(r2)=b`,
    ]);
  });

  test("a group that rebalances without metadata, an empty one without members, none", () => {
    const s = new Scenario();
    s.join("A").join("A");
    s.heard();
    const { memberId } = s.client("A");
    expect(s.describe().heard()).toEqual([`admin < describe PreparingRebalance consumer/ ${memberId}/null/A/127.0.0.1()=`]);
    s.at(3000).heard();
    expect(s.describe().heard()).toEqual([`admin < describe CompletingRebalance consumer/ ${memberId}/null/A/127.0.0.1()=`]);
    s.leave("A").heard();
    expect(s.describe().heard()).toEqual(["admin < describe Empty consumer/"]);
    s.groupId = "other";
    expect(s.describe().heard()).toEqual(["admin < describe nothing"]);
    expect(s.shard.groups.has("other")).toBe(false);
  });
});
