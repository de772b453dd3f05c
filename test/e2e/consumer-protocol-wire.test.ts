/** What members of groups of the consumer protocol (KIP-848) are told, request by request: the same by Kafka and by quarkmq. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { errorName } from "../../src/protocol/errors.ts";
import { OffsetCommit } from "../../src/protocol/messages/08-offset-commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09-offset-fetch.ts";
import { FindCoordinator } from "../../src/protocol/messages/10-find-coordinator.ts";
import { JoinGroup } from "../../src/protocol/messages/11-join-group.ts";
import { Heartbeat } from "../../src/protocol/messages/12-heartbeat.ts";
import { LeaveGroup } from "../../src/protocol/messages/13-leave-group.ts";
import { CreateTopics } from "../../src/protocol/messages/19-create-topics.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68-consumer-group-heartbeat.ts";
import { ConsumerGroupDescribe } from "../../src/protocol/messages/69-consumer-group-describe.ts";
import type { RequestInput, Response } from "../../src/protocol/schema.ts";
import { Asker } from "../support/ask.ts";
import { startTarget, type Target } from "../support/target.ts";
import { sleep, until } from "../support/until.ts";

type Beat = Partial<RequestInput<typeof ConsumerGroupHeartbeat>>;
type BeatAnswer = Response<typeof ConsumerGroupHeartbeat>;

const SETTINGS = {
  "group.consumer.migration.policy": "disabled",
  "group.consumer.assignment.interval.ms": "0",
  "group.consumer.min.session.timeout.ms": "1500",
  "group.consumer.session.timeout.ms": "1500",
  "group.consumer.min.heartbeat.interval.ms": "400",
  "group.consumer.heartbeat.interval.ms": "400",
  "offsets.topic.num.partitions": "3",
};

let target: Target;
let asker: Asker;
const topicIds = new Map<string, string>();
const topicNames = new Map<string, string>();

async function createTopics(partitions: Record<string, number>): Promise<void> {
  const topics = Object.entries(partitions).map(([name, numPartitions]) => ({ name, numPartitions, replicationFactor: 1 }));
  const asked = topics.map((topic) => ({ ...topic, assignments: [], configs: [] }));
  const answer = await asker.ask(CreateTopics, 7, { topics: asked, timeoutMs: 10_000 });
  for (const { name, topicId, errorCode } of answer.topics) {
    expect([name, errorName(errorCode)]).toEqual([name, "NONE"]);
    topicIds.set(name, topicId);
    topicNames.set(topicId, name);
  }
}

beforeAll(async () => {
  target = await startTarget({ settings: SETTINGS });
  asker = await Asker.open(target.port);
  await createTopics({ four: 4, two: 2 });
  // Until the coordinator is there: Kafka makes its topic with the first question.
  await until("a coordinator", async () => {
    const { coordinators } = await asker.ask(FindCoordinator, 4, { keyType: 0, coordinatorKeys: ["g"] });
    const { groups } = await asker.ask(ConsumerGroupDescribe, 1, { groupIds: ["g"], includeAuthorizedOperations: false });
    return coordinators[0]!.errorCode === 0 && errorName(groups[0]!.errorCode) === "GROUP_ID_NOT_FOUND";
  });
});

afterAll(async () => {
  asker?.end();
  await target?.destroy();
});

const partitions = (listed: { topicId: string; partitions: number[] }[]): string =>
  listed.length === 0
    ? "-"
    : listed
        .map((each) => `${topicNames.get(each.topicId)}=${each.partitions.toSorted((a, b) => a - b)}`)
        .sort()
        .join(" ");

const list = (text: string): { topicId: string; partitions: number[] }[] =>
  text.split(" ").flatMap((part) => {
    const [topic, numbers] = part.split("=");
    return numbers === undefined ? [] : [{ topicId: topicIds.get(topic!)!, partitions: numbers.split(",").map(Number) }];
  });

/** One member of one group: remembers its epoch and what it was given, as a client does. */
class Member {
  epoch = 0;
  has: { topicId: string; partitions: number[] }[] = [];
  readonly groupId: string;
  readonly memberId: string;

  constructor(groupId: string, memberId: string) {
    this.groupId = groupId;
    this.memberId = memberId;
  }

  async say(beat: Beat = {}, version = 1): Promise<string> {
    const { groupId, memberId, epoch: memberEpoch } = this;
    const answer = await asker.ask(ConsumerGroupHeartbeat, version, { groupId, memberId, memberEpoch, ...beat });
    return this.hear(answer);
  }

  join(beat: Beat = {}, version = 1): Promise<string> {
    const names = beat.subscribedTopicRegex === undefined ? { subscribedTopicNames: ["four"] } : {};
    return this.say({ memberEpoch: 0, rebalanceTimeoutMs: 60_000, topicPartitions: [], ...names, ...beat }, version);
  }

  private hear({ errorCode, errorMessage, memberId, memberEpoch, heartbeatIntervalMs, assignment }: BeatAnswer): string {
    if (errorCode !== 0) return `${errorName(errorCode)}: ${errorMessage}`;
    this.epoch = memberEpoch;
    this.has = assignment?.topicPartitions ?? this.has;
    const given = assignment === null ? "" : ` ${partitions(assignment.topicPartitions)}`;
    return `${memberId === this.memberId ? "" : `${memberId} `}@${memberEpoch} every ${heartbeatIntervalMs}${given}`;
  }
}

async function describeGroup(groupId: string): Promise<string> {
  const { groups } = await asker.ask(ConsumerGroupDescribe, 1, { groupIds: [groupId], includeAuthorizedOperations: false });
  const { errorCode, errorMessage, groupState, groupEpoch, assignmentEpoch, assignorName, members } = groups[0]!;
  if (errorCode !== 0) return `${errorName(errorCode)}: ${errorMessage}`;
  const each = members.map(
    (member) =>
      `${member.memberId}@${member.memberEpoch} ${member.memberType} names=${member.subscribedTopicNames} regex=${member.subscribedTopicRegex} ${partitions(member.assignment.topicPartitions)} of ${partitions(member.targetAssignment.topicPartitions)}`,
  );
  return [`${groupState} ${groupEpoch}/${assignmentEpoch} ${assignorName}`, ...each.sort()].join("; ");
}

async function commit(groupId: string, memberId: string, epoch: number, what: string, version = 9): Promise<string> {
  const [name, partition, offset] = what.split(/[-=]/);
  const parts = [{ partitionIndex: Number(partition), committedOffset: Number(offset), committedMetadata: "" }];
  const topics = [{ name: name!, topicId: topicIds.get(name!)!, partitions: parts }];
  const answer = await asker.ask(OffsetCommit, version, { groupId, memberId, generationIdOrMemberEpoch: epoch, topics });
  return errorName(answer.topics[0]!.partitions[0]!.errorCode);
}

async function fetched(groupId: string, memberId: string | null, memberEpoch: number): Promise<string> {
  const topics = [{ name: "four", topicId: topicIds.get("four")!, partitionIndexes: [0, 1] }];
  const { groups } = await asker.ask(OffsetFetch, 9, {
    groups: [{ groupId, memberId, memberEpoch, topics }],
    requireStable: true,
  });
  if (groups[0]!.errorCode !== 0) return errorName(groups[0]!.errorCode);
  return groups[0]!.topics[0]!.partitions.map(({ committedOffset }) => committedOffset).join(",");
}

test("one member gets all, a second waits until the first has let go", async () => {
  const [a, b] = [new Member("wait", "A"), new Member("wait", "B")];
  expect(await a.join()).toBe("@2 every 400 four=0,1,2,3");
  expect(await a.say()).toBe("@2 every 400");
  expect(await b.join()).toBe("@3 every 400 -");
  const letsGo = await a.say();
  expect(letsGo).toMatch(/^@2 every 400 four=\d,\d$/);
  expect(await b.say()).toBe("@3 every 400");
  expect(await a.say()).toBe("@2 every 400");
  expect(await describeGroup("wait")).toMatch(
    /^Reconciling 3\/3 uniform; A@2 1 names=four regex= four=0,1,2,3 of four=\d,\d; B@3 1 names=four regex= - of four=\d,\d$/,
  );
  expect(await a.say({ topicPartitions: a.has })).toBe("@3 every 400");
  expect(await b.say()).toMatch(/^@3 every 400 four=\d,\d$/);
  expect([...a.has, ...b.has].flatMap((each) => each.partitions).sort()).toEqual([0, 1, 2, 3]);
  expect(await describeGroup("wait")).toStartWith("Stable 3/3 uniform");
  expect(await a.say({ memberEpoch: -1 })).toBe("@-1 every 0");
  expect(await b.say()).toBe("@4 every 400 four=0,1,2,3");
  expect(await b.say({ memberEpoch: -1 })).toBe("@-1 every 0");
  expect(await describeGroup("wait")).toMatch(/^Empty 5\/[45] uniform$/); // 4 up to Kafka 4.3
});

test("epochs fence, but not a member whose answer was lost", async () => {
  const a = new Member("epochs", "A");
  await a.join();
  expect(await a.say({ memberEpoch: 3 })).toBe(
    "FENCED_MEMBER_EPOCH: The consumer group member has a greater member epoch (3) than the one known by the group coordinator (2). The member must abandon all its partitions and rejoin.",
  );
  expect(await a.say({ memberEpoch: 1 })).toBe(
    "FENCED_MEMBER_EPOCH: The consumer group member has a smaller member epoch (1) than the one known by the group coordinator (2). The member must abandon all its partitions and rejoin.",
  );
  expect(await a.say({ subscribedTopicNames: ["four", "two"] })).toBe("@3 every 400 four=0,1,2,3 two=0,1");
  expect(await a.say({ memberEpoch: 2 })).toStartWith("FENCED_MEMBER_EPOCH");
  expect(await a.say({ memberEpoch: 2, topicPartitions: list("four=0,1") })).toBe("@3 every 400");
  expect(await a.join()).toStartWith("@4 every 400 four=0,1,2,3");
  expect(await new Member("epochs", "Z").say({ memberEpoch: 1 })).toBe(
    "UNKNOWN_MEMBER_ID: Member Z is not a member of group epochs.",
  );
  expect(await new Member("nowhere", "Z").say({ memberEpoch: 1 })).toBe("GROUP_ID_NOT_FOUND: Consumer group nowhere not found.");
  expect(await new Member("nowhere", "Z").say({ memberEpoch: -1 })).toBe("GROUP_ID_NOT_FOUND: Group nowhere not found.");
  expect(await describeGroup("nowhere")).toBe("GROUP_ID_NOT_FOUND: Group nowhere not found.");
  expect(await describeGroup("")).toBe("INVALID_GROUP_ID: null");
});

test("requests that say too little or too much", async () => {
  const a = new Member("invalid", "A");
  const cases: [Beat, string][] = [
    [{ memberId: "" }, "INVALID_REQUEST: MemberId can't be empty."],
    [{ groupId: " " }, "INVALID_REQUEST: GroupId can't be empty."],
    [{ instanceId: "" }, "INVALID_REQUEST: InstanceId can't be empty."],
    [{ rackId: "" }, "INVALID_REQUEST: RackId can't be empty."],
    [{ rebalanceTimeoutMs: -1 }, "INVALID_REQUEST: RebalanceTimeoutMs must be provided in first request."],
    [{ topicPartitions: null }, "INVALID_REQUEST: TopicPartitions must be empty when (re-)joining."],
    [{ topicPartitions: list("four=0") }, "INVALID_REQUEST: TopicPartitions must be empty when (re-)joining."],
    [
      { subscribedTopicNames: null },
      "INVALID_REQUEST: Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
    ],
    [{ memberEpoch: -2 }, "INVALID_REQUEST: InstanceId can't be null."],
    [{ memberEpoch: -3 }, "INVALID_REQUEST: MemberEpoch is invalid."],
    [
      { serverAssignor: "mine" },
      "UNSUPPORTED_ASSIGNOR: ServerAssignor mine is not supported. Supported assignors: uniform, range.",
    ],
    [
      { subscribedTopicNames: null, subscribedTopicRegex: "a(" },
      "INVALID_REGULAR_EXPRESSION: SubscribedTopicRegex `a(` is not a valid regular expression: missing closing ).",
    ],
  ];
  for (const [beat, answer] of cases) expect(await a.join(beat)).toBe(answer);
  expect(await describeGroup("invalid")).toBe("GROUP_ID_NOT_FOUND: Group invalid not found.");
});

test("in version 0 a member can be given its id", async () => {
  const a = new Member("given", "");
  expect(await a.join({}, 0)).toMatch(/^\S{22} @2 every 400 four=0,1,2,3$/);
});

test("range and uniform, and who decides", async () => {
  const [a, b] = [new Member("range", "A"), new Member("range", "B")];
  expect(await a.join({ serverAssignor: "range", subscribedTopicNames: ["four", "two"] })).toBe(
    "@2 every 400 four=0,1,2,3 two=0,1",
  );
  expect(await b.join({ serverAssignor: "range", subscribedTopicNames: ["four", "two"] })).toBe("@3 every 400 -");
  expect(await a.say({ topicPartitions: a.has })).toBe("@2 every 400 four=0,1 two=0");
  expect(await a.say({ topicPartitions: a.has })).toBe("@3 every 400");
  expect(await b.say()).toBe("@3 every 400 four=2,3 two=1");
  expect(await describeGroup("range")).toStartWith("Stable 3/3 range");
});

describe("static members", () => {
  test("come back to their partitions, and do not share a name", async () => {
    const [a, b, c] = [new Member("static", "A"), new Member("static", "B"), new Member("static", "C")];
    expect(await a.join({ instanceId: "i" })).toBe("@2 every 400 four=0,1,2,3");
    expect(await c.join({ instanceId: "i" })).toBe(
      "UNRELEASED_INSTANCE_ID: Static member C with instance id i cannot join the group because the instance id is owned by A member.",
    );
    expect(await a.say({ instanceId: "i", memberEpoch: -2 })).toBe("@-2 every 0");
    expect(await b.join()).toBe("@3 every 400 -");
    expect(await c.join({ instanceId: "i" })).toMatch(/^@3 every 400 four=\d,\d$/);
    expect(await c.say({ instanceId: "i", topicPartitions: c.has })).toBe("@3 every 400");
    expect(await b.say()).toMatch(/^@3 every 400 four=\d,\d$/);
    expect(await a.say({ instanceId: "i", memberEpoch: 2 })).toBe(
      "FENCED_INSTANCE_ID: Static member A with instance id i was fenced by member C.",
    );
    expect(await a.say({ instanceId: "j", memberEpoch: 2 })).toBe("UNKNOWN_MEMBER_ID: Instance id j is unknown.");
    const leaving = [{ memberId: "", groupInstanceId: "i" }, { memberId: "B" }, { memberId: "X" }];
    const left = await asker.ask(LeaveGroup, 5, { groupId: "static", members: leaving });
    expect(left.members.map(({ errorCode }) => errorName(errorCode))).toEqual(["NONE", "NONE", "UNKNOWN_MEMBER_ID"]);
    expect(await describeGroup("static")).toMatch(/^Empty \d\/\d uniform$/);
  });

  test("that do not come back are put out", async () => {
    const [a, b] = [new Member("gone", "A"), new Member("gone", "B")];
    await a.join({ instanceId: "i" });
    await a.say({ instanceId: "i", memberEpoch: -2 });
    await b.join();
    await until(
      "all partitions",
      async () => (await b.say({ topicPartitions: b.has })).length > 0 && partitions(b.has) === "four=0,1,2,3",
    );
  });
});

test("a member that is silent is put out, and one that does not let go in time", async () => {
  const [a, b] = [new Member("silent", "A"), new Member("silent", "B")];
  await a.join();
  await b.join();
  await until(
    "the session's end",
    async () => (await b.say({ topicPartitions: b.has })).length > 0 && partitions(b.has) === "four=0,1,2,3",
  );
  const c = new Member("silent", "C");
  await c.join({ rebalanceTimeoutMs: 1000 });
  expect(await b.say({ rebalanceTimeoutMs: 700 })).toContain("four=");
  await until("the other's end", async () => {
    await sleep(100);
    const said = await b.say(); // it lives, and keeps what it should let go
    await c.say({ topicPartitions: c.has });
    return said.startsWith("UNKNOWN_MEMBER_ID");
  });
  await until(
    "the rest",
    async () => (await c.say({ topicPartitions: c.has })).length > 0 && partitions(c.has) === "four=0,1,2,3",
  );
});

test("patterns", async () => {
  await createTopics({ "p-1": 1, "p-2": 2, "q-1": 1 });
  const a = new Member("patterns", "A");
  expect(await a.join({ subscribedTopicRegex: "p-[0-9]" })).toBe("@1 every 400 -");
  await until("topics", async () => (await a.say()).startsWith("@2"));
  expect(partitions(a.has)).toBe("p-1=0 p-2=0,1");
  expect(await describeGroup("patterns")).toBe("Stable 2/2 uniform; A@2 1 names= regex=p-[0-9] p-1=0 p-2=0,1 of p-1=0 p-2=0,1");
  const b = new Member("patterns", "B");
  expect(await b.join({ subscribedTopicRegex: "p-[0-9]" })).toMatch(/^@3 every 400/);
  expect(await a.say({ subscribedTopicRegex: "", subscribedTopicNames: ["q-1"], topicPartitions: a.has })).toMatch(
    /^@\d every 400 -$/,
  );
});

test("new topics and more partitions make a new epoch", async () => {
  const a = new Member("growing", "A");
  expect(await a.join({ subscribedTopicNames: ["later"] })).toBe("@2 every 400 -");
  await createTopics({ later: 2 });
  await until("the topic", async () => (await a.say()) === "@3 every 400 later=0,1");
  expect(await a.say()).toBe("@3 every 400");
});

test("who may commit and fetch", async () => {
  const a = new Member("offsets", "A");
  expect(await commit("offsets", "", -1, "four-0=5")).toBe("NONE"); // a simple group, which becomes the member's
  await a.join();
  expect(await commit("offsets", "A", 2, "four-0=10")).toBe("NONE");
  expect(await commit("offsets", "A", 2, "four-0=11", 8)).toBe("UNSUPPORTED_VERSION");
  expect(await commit("offsets", "A", 3, "four-0=11")).toBe("STALE_MEMBER_EPOCH");
  expect(await commit("offsets", "A", 1, "four-0=11")).toBe("STALE_MEMBER_EPOCH");
  expect(await commit("offsets", "B", 2, "four-0=11")).toBe("UNKNOWN_MEMBER_ID");
  expect(await commit("offsets", "", -1, "four-0=11")).toBe("UNKNOWN_MEMBER_ID");
  expect(await commit("nobody", "A", 2, "four-0=11")).toBe("GROUP_ID_NOT_FOUND");
  expect(await fetched("offsets", "A", 2)).toBe("10,-1");
  expect(await fetched("offsets", null, -1)).toBe("10,-1");
  expect(await fetched("offsets", "A", 1)).toBe("STALE_MEMBER_EPOCH");
  expect(await fetched("offsets", "A", 3)).toBe("STALE_MEMBER_EPOCH");
  expect(await fetched("offsets", "B", 2)).toBe("UNKNOWN_MEMBER_ID");
  expect(await a.say({ subscribedTopicNames: ["four", "two"] })).toStartWith("@3");
  expect(await commit("offsets", "A", 2, "four-0=12")).toBe("NONE"); // it has had the partition since then (KIP-1251)
  expect(await commit("offsets", "A", 2, "two-0=12")).toBe("STALE_MEMBER_EPOCH");
  await a.say({ memberEpoch: -1 });
  expect(await commit("offsets", "", -1, "four-0=13")).toBe("NONE");
  expect(await fetched("offsets", null, -1)).toBe("13,-1");
});

describe("a group has one protocol", () => {
  const joining = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: "consumer" };
  const protocols = [{ name: "range", metadata: Buffer.from("0001000000010004666f7572ffffffff00000000", "hex") }];
  const joinClassic = (groupId: string, memberId: string) =>
    asker.ask(JoinGroup, 9, { groupId, memberId, ...joining, protocols });

  test("as long as it has members", async () => {
    const a = new Member("mixed", "A");
    await a.join();
    expect(errorName((await joinClassic("mixed", "")).errorCode)).toBe("INCONSISTENT_GROUP_PROTOCOL");
    const beat = await asker.ask(Heartbeat, 4, { groupId: "mixed", generationId: 2, memberId: "A" });
    expect(errorName(beat.errorCode)).toBe("UNKNOWN_MEMBER_ID");
    await commit("mixed", "A", 2, "four-0=7");
    await a.say({ memberEpoch: -1 });
    const told = await joinClassic("mixed", "");
    expect(errorName(told.errorCode)).toBe("MEMBER_ID_REQUIRED");
    expect(await describeGroup("mixed")).toBe("GROUP_ID_NOT_FOUND: Group mixed is not a consumer group.");
    expect(errorName((await joinClassic("mixed", told.memberId)).errorCode)).toBe("NONE");
    expect(await a.join()).toBe(
      "GROUP_ID_NOT_FOUND: Cannot upgrade classic group mixed to consumer group because online upgrade is disabled.",
    );
    expect(await a.say({ memberEpoch: 1 })).toBe("GROUP_ID_NOT_FOUND: Group mixed is not a consumer group.");
    await asker.ask(LeaveGroup, 5, { groupId: "mixed", members: [{ memberId: told.memberId }] });
    expect(await a.join()).toBe("@2 every 400 four=0,1,2,3");
    expect(await fetched("mixed", null, -1)).toBe("7,-1");
  });
});
