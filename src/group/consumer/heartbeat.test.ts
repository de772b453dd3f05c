/** What is expected here is what Kafka 4.4's GroupMetadataManager does; the end-to-end tests ask a real one the same. */
import { describe, expect, test } from "bun:test";
import { Scenario, TEST_CONFIG } from "../scenario.ts";
import type { GroupConfig } from "../turn.ts";

const consumer = (changes: Partial<GroupConfig["consumer"]>): Partial<GroupConfig> => ({
  consumer: { ...TEST_CONFIG.consumer, ...changes },
});

function withTopics(partitions: Record<string, number>, config: Partial<GroupConfig> = {}): Scenario {
  const scenario = new Scenario(config);
  scenario.topics.set(partitions);
  return scenario;
}

/** A and B with two of four partitions each, at epoch 3 and 10 s. */
function settled(config: Partial<GroupConfig> = {}): Scenario {
  const s = withTopics({ t: 4 }, config).joinConsumer("A").at(5000).joinConsumer("B");
  s.at(10_000).beat("A", { owned: "now" }).beat("A", { owned: "now" }).beat("B", { owned: "now" });
  s.heard();
  return s;
}

describe("joining", () => {
  test("a first member gets everything at once", () => {
    const s = withTopics({ t: 3 }).joinConsumer("A");
    expect(s.heard()).toEqual([
      "log consumer-member A topics=t",
      "log consumer-group epoch=2",
      "log consumer-target-member A t=0,1,2",
      "log consumer-target epoch=2",
      "log consumer-current A 0->2 STABLE t=0@2,1@2,2@2",
      "A < beat A epoch=2 t=0,1,2",
    ]);
    expect(s.beat("A").heard()).toEqual(["A < beat A epoch=2"]);
    expect(s.beat("A", { owned: "now", topics: "t", rebalanceTimeoutMs: 60_000 }).heard()).toEqual([
      "A < beat A epoch=2 t=0,1,2",
    ]);
  });

  test("a second one waits until the first has let go", () => {
    const s = withTopics({ t: 4 }).joinConsumer("A").at(5000);
    s.heard();
    expect(s.joinConsumer("B").heard()).toEqual([
      "log consumer-member B topics=t",
      "log consumer-group epoch=3",
      "log consumer-target-member A t=0,1",
      "log consumer-target-member B t=2,3",
      "log consumer-target epoch=3",
      "log consumer-current B 0->3 UNRELEASED_PARTITIONS -",
      "B < beat B epoch=3 -",
    ]);
    expect(s.beat("A").heard()).toEqual([
      "log consumer-current A 2->2 UNREVOKED_PARTITIONS t=0@2,1@2 revoking t=2@2,3@2",
      "A < beat A epoch=2 t=0,1",
    ]);
    // The epoch before is the same one from now on.
    expect(s.beat("B").heard()).toEqual(["log consumer-current B 3->3 UNRELEASED_PARTITIONS -", "B < beat B epoch=3"]);
    expect(s.beat("B").heard()).toEqual(["B < beat B epoch=3"]);
    expect(s.beat("A").heard()).toEqual(["A < beat A epoch=2"]); // it has not said that it let go
    expect(s.beat("A", { owned: "now" }).heard()).toEqual(["log consumer-current A 2->3 STABLE t=0@2,1@2", "A < beat A epoch=3"]);
    expect(s.beat("B").heard().at(-1)).toBe("B < beat B epoch=3 t=2,3");
    expect(s.describeConsumer("x").heard()).toEqual(["x < Stable epoch=3/3 uniform A@3(t=0,1 of t=0,1) B@3(t=2,3 of t=2,3)"]);
  });

  test("partitions are not given out anew within the interval", () => {
    const s = withTopics({ t: 4 }).joinConsumer("A").at(500).joinConsumer("B");
    expect(s.heard().at(-1)).toBe("B < beat B epoch=2 -");
    expect(s.describeConsumer("x").heard()).toEqual(["x < Assigning epoch=3/2 uniform A@2(t=0,1,2,3 of t=0,1,2,3) B@2(- of -)"]);
    s.at(999).beat("B");
    expect(s.heard()).toEqual(["B < beat B epoch=2"]);
    s.at(1000).beat("B");
    expect(s.heard().at(-1)).toBe("B < beat B epoch=3");
  });

  test("a member that reads nothing gets nothing of a target that is computed as it joins", () => {
    const s = withTopics({ t: 4 }).joinConsumer("A").at(500).joinConsumer("B").at(1000).joinConsumer("C", { topics: "" });
    expect(s.describeConsumer("x").heard().at(-1)).toMatch(
      /epoch=3\/3 uniform A@2\(.* of t=0,1\) B@2\(- of t=2,3\) C@3\(- of -\)$/,
    );
  });

  test("a topic that does not exist gives nothing, and its creation a new epoch", () => {
    const s = withTopics({}).joinConsumer("A");
    expect(s.heard().at(-1)).toBe("A < beat A epoch=2 -");
    s.at(5000).topics.set({ t: 2 });
    expect(s.beat("A").heard()).toEqual([
      "log consumer-group epoch=3",
      "log consumer-target-member A t=0,1",
      "log consumer-target epoch=3",
      "log consumer-current A 2->3 STABLE t=0@3,1@3",
      "A < beat A epoch=3 t=0,1",
    ]);
    s.at(10_000).topics.set({ t: 3, other: 5 });
    expect(s.beat("A").heard().at(-1)).toBe("A < beat A epoch=4 t=0,1,2");
    s.at(15_000).topics.set({ other: 6 });
    expect(s.beat("A").heard()).toEqual(["A < beat A epoch=4"]);
    s.topics.delete("t");
    expect(s.beat("A").heard().slice(0, 4)).toEqual([
      "log consumer-group epoch=5",
      "log consumer-target-member A -",
      "log consumer-target epoch=5",
      expect.stringContaining("log consumer-current A 4->4 UNREVOKED_PARTITIONS - revoking"),
    ]);
  });

  test("members without an id are given one", () => {
    const s = withTopics({ t: 1 }).joinConsumer("A", { memberId: "" });
    expect(s.heard().at(-1)).toBe("A < beat uuid-1 epoch=2 t=0");
  });

  test("a full group takes nobody else", () => {
    const s = withTopics({ t: 4 }, consumer({ maxSize: 1 })).joinConsumer("A");
    s.heard();
    expect(s.joinConsumer("B").heard()).toEqual([
      "B < consumer-heartbeat GROUP_MAX_SIZE_REACHED: The consumer group has reached its maximum capacity of 1 members.",
    ]);
    expect(s.joinConsumer("A").heard().at(-1)).toBe("A < beat A epoch=2 t=0,1,2,3");
  });

  test("memory has an end, and comes back", () => {
    const s = withTopics({ t: 4 });
    const before = s.memory.heldBytes;
    s.joinConsumer("A", { topicRegex: "x.*", topics: "t" }).joinConsumer("B");
    expect(s.memory.heldBytes).toBeGreaterThan(before + 2000);
    s.memory.heldBytes += 1_000_000;
    s.heard();
    expect(s.joinConsumer("C").heard()).toEqual([
      "C < consumer-heartbeat GROUP_MAX_SIZE_REACHED: The broker has no memory for more group members.",
    ]);
    s.memory.heldBytes -= 1_000_000;
    s.beat("A", { memberEpoch: -1 }).beat("B", { memberEpoch: -1 });
    s.groupId = "g";
    s.shard.unload();
    expect(s.memory.heldBytes).toBe(before);
  });

  test("what a member may say has bounds", () => {
    const s = withTopics({ t: 4 });
    expect(s.joinConsumer("A", { topics: "x".repeat(600) }).heard()[0]).toContain("INVALID_REQUEST");
    expect(s.shard.consumers.size).toBe(0);
  });
});

describe("assignors", () => {
  test("most members decide, and a change makes a new epoch", () => {
    const s = withTopics({ t: 4, u: 4 }).joinConsumer("A", { topics: "t u" }).at(5000);
    s.heard();
    expect(s.beat("A", { serverAssignor: "range" }).heard()).toEqual([
      "log consumer-member A topics=t,u assignor=range",
      "log consumer-group epoch=3",
      "log consumer-target epoch=3",
      "log consumer-current A 2->3 STABLE t=0@2,1@2,2@2,3@2 u=0@2,1@2,2@2,3@2",
      "A < beat A epoch=3",
    ]);
    expect(s.describeConsumer("x").heard()[0]).toContain("epoch=3/3 range");
  });
});

describe("fencing", () => {
  const fenced = (how: string, epoch: number, known: number): string =>
    `A < consumer-heartbeat FENCED_MEMBER_EPOCH: The consumer group member has a ${how} member epoch (${epoch}) than the one known by the group coordinator (${known}). The member must abandon all its partitions and rejoin.`;

  test("by epoch, but for an answer that may have been lost", () => {
    const s = settled();
    expect(s.beat("A", { memberEpoch: 4 }).heard()).toEqual([fenced("greater", 4, 3)]);
    expect(s.beat("A", { memberEpoch: 1 }).heard()).toEqual([fenced("smaller", 1, 3)]);
    expect(s.beat("A", { memberEpoch: 2 }).heard()).toEqual([fenced("smaller", 2, 3)]);
    expect(s.beat("A", { memberEpoch: 2, owned: "t=2" }).heard()).toEqual([fenced("smaller", 2, 3)]);
    expect(s.beat("A", { memberEpoch: 2, owned: "t=0" }).heard()).toEqual(["A < beat A epoch=3"]);
    expect(s.joinConsumer("A").heard()).toEqual(["A < beat A epoch=3 t=0,1"]); // joining again is always right
  });

  test("of those who are not there", () => {
    const s = settled();
    expect(s.beat("C", { memberId: "C", memberEpoch: 1 }).heard()).toEqual([
      "C < consumer-heartbeat UNKNOWN_MEMBER_ID: Member C is not a member of group g.",
    ]);
    s.groupId = "h";
    expect(s.beat("C", { memberId: "C", memberEpoch: 1 }).heard()).toEqual([
      "C < consumer-heartbeat GROUP_ID_NOT_FOUND: Consumer group h not found.",
    ]);
    expect(s.beat("C", { memberId: "C", memberEpoch: -1 }).heard()).toEqual([
      "C < consumer-heartbeat GROUP_ID_NOT_FOUND: Group h not found.",
    ]);
    expect(s.describeConsumer("C").heard()).toEqual(["C < consumer-describe GROUP_ID_NOT_FOUND: Group h not found."]);
  });
});

describe("leaving", () => {
  test("gives partitions to the others", () => {
    const s = settled();
    expect(s.beat("A", { memberEpoch: -1 }).heard()).toEqual([
      "log consumer-current A removed",
      "log consumer-target-member A removed",
      "log consumer-member A removed",
      "log consumer-group epoch=4",
      "A < beat A epoch=-1",
    ]);
    expect(s.at(15_000).beat("B").heard().at(-1)).toBe("B < beat B epoch=4 t=0,1,2,3");
    s.beat("B", { memberEpoch: -1 });
    expect(s.heard().slice(3)).toEqual([
      "log consumer-group epoch=5",
      "log consumer-target epoch=5 (no time)",
      "B < beat B epoch=-1",
    ]);
    expect(s.describeConsumer("x").heard()).toEqual(["x < Empty epoch=5/5 uniform"]);
    expect(s.joinConsumer("A").heard().at(-1)).toBe("A < beat A epoch=6 t=0,1,2,3");
  });

  test("happens by itself when a session ends", () => {
    const s = settled();
    s.at(40_000).beat("B");
    s.heard();
    s.at(54_999);
    expect(s.heard()).toEqual([]);
    s.at(55_000);
    expect(s.heard()).toEqual([
      "log consumer-current A removed",
      "log consumer-target-member A removed",
      "log consumer-member A removed",
      "log consumer-group epoch=4",
    ]);
    s.at(200_000);
    expect(s.shard.consumers.get("g")!.state).toBe("Empty");
  });

  test("or when a member does not let go in time", () => {
    const s = withTopics({ t: 4 }).joinConsumer("A", { rebalanceTimeoutMs: 20_000 }).at(5000).joinConsumer("B").beat("A");
    s.at(24_000).beat("A").beat("B");
    s.heard();
    s.at(25_000);
    expect(s.heard()[0]).toBe("log consumer-current A removed");
    expect(s.beat("B").heard().at(-1)).toBe("B < beat B epoch=4 t=0,1,2,3");
    s.at(26_000);
    expect(s.heard()).toEqual([]);
  });

  test("a disk that is full puts it off", () => {
    const s = settled();
    s.appendsFail = true;
    s.at(55_500);
    expect([...s.shard.consumers.get("g")!.members.keys()]).toEqual(["A", "B"]);
    s.appendsFail = false;
    s.at(60_000);
    expect(s.shard.consumers.get("g")!.state).toBe("Empty");
  });

  test("administrators use LeaveGroup", () => {
    const s = settled();
    const members = [
      { memberId: "A", instanceId: null, reason: null },
      { memberId: "C", instanceId: null, reason: null },
      { memberId: "", instanceId: "i", reason: null },
    ];
    expect(s.leave("x", members).heard()).toEqual([
      "log consumer-current A removed",
      "log consumer-target-member A removed",
      "log consumer-member A removed",
      "log consumer-group epoch=4",
      "x < leave NONE A:NONE C:UNKNOWN_MEMBER_ID i:UNKNOWN_MEMBER_ID",
    ]);
  });
});

describe("static members", () => {
  function withStatic(): Scenario {
    const s = withTopics({ t: 4 }).joinConsumer("A", { instanceId: "i" }).at(5000).joinConsumer("B");
    s.at(10_000).beat("A", { owned: "now", instanceId: "i" }).beat("A", { owned: "now", instanceId: "i" }).beat("B");
    s.heard();
    return s;
  }

  test("come back to what they had", () => {
    const s = withStatic();
    expect(s.beat("A", { instanceId: "i", memberEpoch: -2 }).heard()).toEqual([
      "log consumer-current A 2->-2 STABLE t=0@0,1@0",
      "A < beat A epoch=-2",
    ]);
    expect(s.at(12_000).beat("B").heard()).toEqual(["B < beat B epoch=3"]);
    expect(s.joinConsumer("C", { instanceId: "i" }).heard()).toEqual([
      "log consumer-current A removed",
      "log consumer-target-member A removed",
      "log consumer-member A removed",
      "log consumer-member C topics=t instance=i",
      "log consumer-target-member C t=0,1",
      "log consumer-current C 0->0 STABLE t=0@0,1@0",
      "log consumer-member C topics=t instance=i",
      "log consumer-current C 0->3 STABLE t=0@0,1@0",
      "C < beat C epoch=3 t=0,1",
    ]);
    expect(s.beat("A", { instanceId: "i", memberEpoch: 3 }).heard()).toEqual([
      "A < consumer-heartbeat FENCED_INSTANCE_ID: Static member A with instance id i was fenced by member C.",
    ]);
    s.at(11_000 + 45_000); // the session of A's own is nobody's any more
    expect(s.heard().filter((line) => line.includes(" C "))).toEqual([]);
  });

  test("are put out if they do not", () => {
    const s = withStatic();
    s.beat("A", { instanceId: "i", memberEpoch: -2 }).at(30_000).beat("B");
    s.heard();
    s.at(60_000);
    expect(s.heard()[0]).toBe("log consumer-current A removed");
  });

  test("do not share a name", () => {
    const s = withStatic();
    expect(s.joinConsumer("C", { instanceId: "i" }).heard()).toEqual([
      "C < consumer-heartbeat UNRELEASED_INSTANCE_ID: Static member C with instance id i cannot join the group because the instance id is owned by A member.",
    ]);
    expect(s.beat("A", { instanceId: "j" }).heard()).toEqual([
      "A < consumer-heartbeat UNKNOWN_MEMBER_ID: Instance id j is unknown.",
    ]);
  });
});

describe("patterns", () => {
  test("are resolved beside the heartbeat, and become the next epoch", () => {
    const s = withTopics({ "a-1": 1, "a-2": 2, b: 3 }).joinConsumer("A", { topicRegex: "a-.*" });
    expect(s.heard()).toEqual([
      "log consumer-member A topics= regex=a-.*",
      "log consumer-current A 0->1 STABLE -",
      "A < beat A epoch=1 -",
    ]);
    s.at(0);
    expect(s.heard()).toEqual(["log consumer-regex a-.* is a-1,a-2", "log consumer-group epoch=2"]);
    expect(s.at(5000).beat("A").heard()).toEqual([
      "log consumer-target-member A a-1=0 a-2=0,1",
      "log consumer-target epoch=2",
      "log consumer-current A 1->2 STABLE a-1=0@2 a-2=0@2,1@2",
      "A < beat A epoch=2 a-1=0 a-2=0,1",
    ]);
  });

  test("find topics that come later, but do not look all the time", () => {
    const s = withTopics({ "a-1": 1 }).joinConsumer("A", { topicRegex: "a-.*" }).at(5000).beat("A");
    s.topics.set({ "a-2": 1 });
    s.heard();
    expect(s.at(10_000).beat("A").heard()).toEqual(["A < beat A epoch=2"]);
    expect(s.at(10_001).beat("A").heard()).toEqual(["A < beat A epoch=2"]);
    expect(s.at(10_001).heard()).toEqual(["log consumer-regex a-.* is a-1,a-2", "log consumer-group epoch=3"]);
    expect(s.at(15_000).beat("A").heard().at(-1)).toBe("A < beat A epoch=3 a-1=0 a-2=0");
  });

  test("go with their last member", () => {
    const s = withTopics({ "a-1": 1 }).joinConsumer("A", { topicRegex: "a-.*" }).at(5000).beat("A");
    s.heard();
    expect(s.beat("A", { memberEpoch: -1 }).heard()).toContain("log consumer-regex a-.* removed");
    expect(s.shard.consumers.get("g")!.metadataHash).toBe(0n);
  });

  test("are refused in Kafka's words", () => {
    const s = withTopics({});
    expect(s.joinConsumer("A", { topicRegex: "a(" }).heard()).toEqual([
      "A < consumer-heartbeat INVALID_REGULAR_EXPRESSION: SubscribedTopicRegex `a(` is not a valid regular expression: missing closing ).",
    ]);
    expect(s.shard.consumers.size).toBe(0);
  });

  test("are changed for names at once", () => {
    const s = withTopics({ "a-1": 1, b: 1 }).joinConsumer("A", { topicRegex: "a-.*" }).at(5000).beat("A");
    s.heard();
    const heard = s.at(10_000).beat("A", { topicRegex: "", topics: "b", owned: "" }).heard();
    expect(heard).toContain("log consumer-regex a-.* removed");
    expect(heard.at(-1)).toBe("A < beat A epoch=3 b=0");
  });

  test("many topics are searched in turns", () => {
    const topics = Object.fromEntries(Array.from({ length: 120_000 }, (_, i) => [`topic-${i}`, 1]));
    const s = withTopics(topics).joinConsumer("A", { topicRegex: "topic-1.*9" });
    s.heard();
    s.at(0);
    expect(s.heard()).toEqual([]);
    expect(s.shard.wakeAtMs).toBe(1);
    s.at(1000);
    expect(s.heard().at(-1)).toBe("log consumer-group epoch=2");
    expect(s.shard.consumers.get("g")!.resolved.get("topic-1.*9")!.topics.length).toBe(3111);
  });
});

describe("subscriptions that change", () => {
  test("what is read no more goes before the next target assignment", () => {
    const s = withTopics({ t: 1, u: 1 }).joinConsumer("A", { topics: "t u" }).at(100);
    s.heard();
    expect(s.beat("A", { topics: "t" }).heard()).toEqual([
      "log consumer-member A topics=t",
      "log consumer-group epoch=3",
      "log consumer-current A 2->2 UNREVOKED_PARTITIONS t=0@2 revoking u=0@2",
      "A < beat A epoch=2 t=0",
    ]);
    expect(s.at(5000).beat("A", { owned: "now" }).heard().at(-1)).toBe("A < beat A epoch=3");
  });
});

describe("an append that fails changes nothing", () => {
  test("and the member can say it again", () => {
    const s = withTopics({ t: 2 });
    s.appendsFail = true;
    expect(s.joinConsumer("A").heard()).toEqual(["A < append failed"]);
    expect(s.shard.consumers.size).toBe(0);
    s.appendsFail = false;
    expect(s.joinConsumer("A").heard().at(-1)).toBe("A < beat A epoch=2 t=0,1");
    s.appendsFail = true;
    s.at(5000).joinConsumer("B");
    s.appendsFail = false;
    s.heard();
    expect(s.joinConsumer("B").heard().at(-1)).toBe("B < beat B epoch=3 -");
    s.beat("B", { memberEpoch: -1 }).beat("A", { memberEpoch: -1 }).at(100_000);
    expect(s.shard.wakeAtMs).toBe(605_000); // only the look for expired offsets
  });
});

describe("after a restart", () => {
  test("everything is as it was, sessions begin anew, and time to let go too", () => {
    const before = withTopics({ t: 4 })
      .joinConsumer("A", { instanceId: "i" })
      .at(5000)
      .joinConsumer("B")
      .beat("A", { instanceId: "i" });
    const s = before.restarted();
    const describe = (scenario: Scenario) => {
      scenario.heard();
      return scenario.describeConsumer("x").heard();
    };
    expect(describe(s)).toEqual(describe(before));
    expect(s.beat("A", { instanceId: "i", owned: "now" }).heard().at(-1)).toBe("A < beat A epoch=3");
    expect(s.beat("B").heard().at(-1)).toBe("B < beat B epoch=3 t=2,3");
    const silent = before.restarted();
    silent.at(44_999);
    expect(silent.shard.consumers.get("g")!.members.size).toBe(2);
    silent.at(45_000);
    expect(silent.shard.consumers.get("g")!.members.size).toBe(0);
  });

  test("a group of a Kafka before 4.1 loses a record that is not written any more", () => {
    const s = new Scenario({}, [{ kind: "consumer-partition-metadata", groupId: "g", value: "some" }]);
    s.topics.set({ t: 1 });
    expect(s.joinConsumer("A").heard()).toContain("log consumer-partition-metadata removed");
  });
});
