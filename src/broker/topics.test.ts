import { describe, expect, test } from "bun:test";
import { silentLogger } from "../base/logger.ts";
import { defaultServerConfig, type ServerConfig } from "../config/server-options.ts";
import { realRandom } from "../io/random.ts";
import { MetadataImage } from "../metadata/image.ts";
import { MemoryStore } from "../metadata/memory-store.ts";
import { encodeBroker } from "../metadata/values.ts";
import { ZERO_UUID } from "../protocol/schema.ts";
import { type CreateResult, Topics } from "./topics.ts";
import type { NewTopic } from "./topics-plan.ts";

interface Made {
  store: MemoryStore;
  image: MetadataImage;
  topics: Topics;
}

/** A broker's topics on a store in memory. `brokers`: the registered node ids. */
async function make(changes: Partial<ServerConfig> = {}, brokers: number[] = [1], store = new MemoryStore()): Promise<Made> {
  const image = new MetadataImage((error) => {
    throw error;
  });
  const config = defaultServerConfig(changes);
  const topics = new Topics({ config, store, image, random: realRandom, logger: silentLogger });
  const value = encodeBroker({ incarnation: 1, host: "h", port: 1, rack: null });
  await store.txn(
    [],
    brokers.map((id) => ({ put: `brokers/${id}`, value })),
  );
  await image.follow(store);
  return { store, image, topics };
}

const topic = (name: string, more: Partial<NewTopic> = {}): NewTopic => ({
  name,
  numPartitions: -1,
  replicationFactor: -1,
  assignments: [],
  configs: [],
  ...more,
});

const create = (topics: Topics, ...wanted: NewTopic[]) => topics.create(wanted, { validateOnly: false });
const shown = (results: readonly CreateResult[]) =>
  results.map(({ name, error }) => (error === null ? `${name} ok` : `${name} ${error.error}: ${error.message}`));
const one = async (topics: Topics, wanted: NewTopic): Promise<string> => shown(await create(topics, wanted))[0]!;
const names = (image: MetadataImage) => [...image.topics()].map(({ name }) => name).sort();

describe("create", () => {
  test("a topic with defaults is in the image when it is answered", async () => {
    const { image, topics } = await make({ numPartitions: 3 });
    const [result] = await create(topics, topic("t"));
    const created = image.topicByName("t")!;
    expect(result!.error).toBeNull();
    expect(created.id).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
    expect(created.partitions).toEqual(
      [0, 1, 2].map((index) => ({ index, leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1], isr: [1] })),
    );
    expect([created.isInternal, created.configs.size]).toEqual([false, 0]);
  });

  test("every topic of a request stands for itself", async () => {
    const { image, topics } = await make();
    await create(topics, topic("old"));
    const results = await create(topics, topic("new"), topic("old"), topic("b d"), topic("other", { numPartitions: 2 }));
    expect(shown(results)).toEqual([
      "new ok",
      "old TOPIC_ALREADY_EXISTS: Topic 'old' already exists.",
      "b d INVALID_TOPIC_EXCEPTION: Topic name is invalid: 'b d' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
      "other ok",
    ]);
    expect(names(image)).toEqual(["new", "old", "other"]);
  });

  test("a name that stands twice is made not at all and answered once, last", async () => {
    const { image, topics } = await make();
    expect(shown(await create(topics, topic("twice"), topic("once"), topic("twice"), topic("twice")))).toEqual([
      "once ok",
      "twice INVALID_REQUEST: Duplicate topic name.",
    ]);
    expect(names(image)).toEqual(["once"]);
  });

  test("colliding names", async () => {
    const { topics } = await make();
    await create(topics, topic("a.b"));
    expect(await one(topics, topic("a_b"))).toBe("a_b INVALID_TOPIC_EXCEPTION: Topic 'a_b' collides with existing topic: a.b");
    expect(await one(topics, topic("a.b"))).toBe("a.b TOPIC_ALREADY_EXISTS: Topic 'a.b' already exists.");
    expect(shown(await create(topics, topic("c_d"), topic("c.d")))).toEqual([
      "c_d ok",
      "c.d INVALID_TOPIC_EXCEPTION: Topic 'c.d' collides with existing topic: c_d",
    ]);
  });

  test("of requests that race for a name, one gets it", async () => {
    const { image, topics } = await make();
    const racing = ["r", "r", "x.y", "x_y"].map((name) => one(topics, topic(name)));
    expect(await Promise.all(racing)).toEqual([
      "r ok",
      "r TOPIC_ALREADY_EXISTS: Topic 'r' already exists.",
      "x.y ok",
      "x_y INVALID_TOPIC_EXCEPTION: Topic 'x_y' collides with existing topic: x.y",
    ]);
    expect(names(image)).toEqual(["r", "x.y"]);
  });

  test("the metadata log's name is no topic", async () => {
    const { topics } = await make();
    expect(await one(topics, topic("__cluster_metadata"))).toBe(
      "__cluster_metadata INVALID_REQUEST: Creation of internal topic __cluster_metadata is prohibited.",
    );
  });

  /** Cases and messages of ReplicationControlManager. */
  test.each<[what: Partial<NewTopic>, answer: string]>([
    [{ numPartitions: 0 }, "INVALID_PARTITIONS: Number of partitions was set to an invalid non-positive value."],
    [{ numPartitions: -2 }, "INVALID_PARTITIONS: Number of partitions was set to an invalid non-positive value."],
    [
      { replicationFactor: 0 },
      "INVALID_REPLICATION_FACTOR: Replication factor must be larger than 0, or -1 to use the default value.",
    ],
    [
      { replicationFactor: -2 },
      "INVALID_REPLICATION_FACTOR: Replication factor must be larger than 0, or -1 to use the default value.",
    ],
    [
      { replicationFactor: -2, numPartitions: 0 },
      "INVALID_REPLICATION_FACTOR: Replication factor must be larger than 0, or -1 to use the default value.",
    ],
    [
      { replicationFactor: 3 },
      "INVALID_REPLICATION_FACTOR: Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered.",
    ],
    [{ configs: [{ name: "nope", value: "1" }] }, "INVALID_CONFIG: Unknown topic config name: nope"],
    [
      { configs: [{ name: "retention.ms", value: null }] },
      "INVALID_CONFIG: Null value not supported for topic configs: retention.ms",
    ],
    [
      { configs: [{ name: "segment.bytes", value: "huge" }] },
      "INVALID_CONFIG: Invalid value huge for configuration segment.bytes: Not a number of type INT",
    ],
    [
      { configs: [{ name: "leader.replication.throttled.replicas", value: "0:1,".repeat(10_000) }] },
      "INVALID_CONFIG: The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.",
    ],
    [
      { assignments: [{ partitionIndex: 0, brokerIds: [1] }], replicationFactor: 1 },
      "INVALID_REQUEST: A manual partition assignment was specified, but replication factor was not set to -1.",
    ],
    [
      { assignments: [{ partitionIndex: 0, brokerIds: [1] }], numPartitions: 1 },
      "INVALID_REQUEST: A manual partition assignment was specified, but numPartitions was not set to -1.",
    ],
    [
      { assignments: [{ partitionIndex: 1, brokerIds: [1] }] },
      "INVALID_REPLICA_ASSIGNMENT: partitions should be a consecutive 0-based integer sequence",
    ],
    [
      {
        assignments: [
          { partitionIndex: 0, brokerIds: [1] },
          { partitionIndex: 0, brokerIds: [1] },
        ],
      },
      "INVALID_REPLICA_ASSIGNMENT: Found multiple manual partition assignments for partition 0",
    ],
    [
      { assignments: [{ partitionIndex: 0, brokerIds: [] }] },
      "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes an empty replica list.",
    ],
    [
      { assignments: [{ partitionIndex: 0, brokerIds: [1, 7] }] },
      "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 7, but no such broker is registered.",
    ],
    [
      { assignments: [{ partitionIndex: 0, brokerIds: [1, 1] }] },
      "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes the broker 1 more than once.",
    ],
  ])("refuses %j", async (what, answer) => {
    const { image, topics } = await make();
    expect(await one(topics, topic("t", what))).toBe(`t ${answer}`);
    expect(names(image)).toEqual([]);
  });

  test("manual assignments in any order", async () => {
    const { image, topics } = await make({}, [1, 2]);
    const assignments = [
      { partitionIndex: 1, brokerIds: [1, 2] },
      { partitionIndex: 0, brokerIds: [2, 1] },
    ];
    expect(await one(topics, topic("t", { assignments }))).toBe("t ok");
    expect(image.topicByName("t")!.partitions.map(({ leader, replicas }) => [leader, replicas])).toEqual([
      [2, [2, 1]],
      [1, [1, 2]],
    ]);
    const uneven = [assignments[0]!, { partitionIndex: 0, brokerIds: [1] }];
    expect(await one(topics, topic("u", { assignments: uneven }))).toBe(
      "u INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).",
    );
  });

  test("replicas are spread over the brokers", async () => {
    const { image, topics } = await make({}, [3, 1, 2]);
    expect(await one(topics, topic("t", { numPartitions: 4, replicationFactor: 2 }))).toBe("t ok");
    expect(image.topicByName("t")!.partitions.map(({ replicas }) => replicas)).toEqual([
      [1, 2],
      [2, 3],
      [3, 1],
      [1, 2],
    ]);
  });

  test("configs are kept as they were given; of a name that stands twice the last counts", async () => {
    const { image, topics } = await make();
    const configs = [
      { name: "retention.ms", value: "1000" },
      { name: "cleanup.policy", value: "compact" },
      { name: "retention.ms", value: "2000" },
    ];
    expect(await one(topics, topic("t", { configs }))).toBe("t ok");
    expect([...image.topicByName("t")!.configs]).toEqual([
      ["retention.ms", "2000"],
      ["cleanup.policy", "compact"],
    ]);
  });

  test("validate only: the same answers, and nothing is made", async () => {
    const { image, store, topics } = await make();
    const before = await store.barrier();
    const results = await topics.create([topic("t", { numPartitions: 2 }), topic("u", { replicationFactor: 9 })], {
      validateOnly: true,
    });
    expect(results.map(({ name, error }) => [name, error?.error ?? null])).toEqual([
      ["t", null],
      ["u", "INVALID_REPLICATION_FACTOR"],
    ]);
    expect(results[0]!.error === null && results[0]!.topic.partitions.length).toBe(2);
    expect(names(image)).toEqual([]);
    expect(await store.barrier()).toBe(before);
  });

  test("10,000 partitions in one request, not one more", async () => {
    const { image, topics } = await make({ numPartitions: 2 });
    const tooMany = create(topics, topic("a", { numPartitions: 9_999 }), topic("b"));
    await expect(tooMany).rejects.toMatchObject({
      error: "POLICY_VIOLATION",
      message: "Excessively large number of partitions per request.",
    });
    expect(names(image)).toEqual([]);
    expect(shown(await create(topics, topic("a", { numPartitions: 9_998 }), topic("b")))).toEqual(["a ok", "b ok"]);
    expect(image.topicByName("a")!.partitions.length).toBe(9_998);
  });

  test("a thousand topics in one request", async () => {
    const { image, topics } = await make();
    await create(topics, topic("t500"));
    const results = await create(topics, ...Array.from({ length: 1000 }, (_, n) => topic(`t${n}`)));
    expect(results.filter(({ error }) => error !== null).map(({ name, error }) => [name, error!.error])).toEqual([
      ["t500", "TOPIC_ALREADY_EXISTS"],
    ]);
    expect(image.topicCount).toBe(1000);
  });

  test("an unknown outcome is looked at again: made once, and no error", async () => {
    const { image, store, topics } = await make();
    store.loseTrack = "of applied";
    expect(await one(topics, topic("a"))).toBe("a ok");
    store.loseTrack = "of refused";
    expect(await one(topics, topic("b"))).toBe("b ok");
    expect(names(image)).toEqual(["a", "b"]);
  });
});

describe("delete", () => {
  const byName = (name: string) => ({ name, topicId: ZERO_UUID });
  const byId = (topicId: string) => ({ name: null, topicId });
  const told = async (topics: Topics, ...targets: { name: string | null; topicId: string }[]) =>
    (await topics.delete(targets)).map(
      ({ name, error }) => `${name} ${error === null ? "ok" : `${error.error}: ${error.message}`}`,
    );

  test("by name and by id; the answer has both", async () => {
    const { image, topics } = await make();
    await create(topics, topic("a"), topic("b"), topic("c"));
    const [a, b] = [image.topicByName("a")!, image.topicByName("b")!];
    const results = await topics.delete([byName("a"), byId(b.id)]);
    expect(results.map(({ name, topicId, error }) => [name, topicId, error]).sort()).toEqual([
      ["a", a.id, null],
      ["b", b.id, null],
    ]);
    expect(names(image)).toEqual(["c"]);
  });

  test("what is wrong with a request is told per topic", async () => {
    const { image, topics } = await make();
    await create(topics, topic("a"), topic("b"));
    const a = image.topicByName("a")!.id;
    const unknown = "ABCDEFGHIJKLMNOPQRSTUQ";
    expect(await told(topics, byName("nope"), byId(unknown), byId(ZERO_UUID), { name: "b", topicId: unknown })).toEqual([
      "null INVALID_REQUEST: Neither topic name nor id were specified.",
      "b INVALID_REQUEST: You may not specify both topic name and topic id.",
      "null UNKNOWN_TOPIC_ID: This server does not host this topic ID.",
      "nope UNKNOWN_TOPIC_OR_PARTITION: This server does not host this topic-partition.",
    ]);
    expect(await told(topics, byName("b"), byName("b"), byName("b"))).toEqual(["b INVALID_REQUEST: Duplicate topic name."]);
    expect(await told(topics, byId(a), byId(a))).toEqual(["null INVALID_REQUEST: Duplicate topic id."]);
    expect(await told(topics, byId(a), byName("a"))).toEqual([
      "a INVALID_REQUEST: The provided topic name maps to an ID that was already supplied.",
    ]);
    expect(names(image)).toEqual(["a", "b"]);
  });

  test("a name can be used again at once, with another id", async () => {
    const { image, topics } = await make();
    await create(topics, topic("a.b"));
    const old = image.topicByName("a.b")!.id;
    const [deleted, created] = await Promise.all([told(topics, byName("a.b")), one(topics, topic("a_b"))]);
    expect(deleted).toEqual(["a.b ok"]);
    expect(created).toBe("a_b INVALID_TOPIC_EXCEPTION: Topic 'a_b' collides with existing topic: a.b");
    expect(await one(topics, topic("a_b"))).toBe("a_b ok");
    expect(image.topicByName("a_b")!.id).not.toBe(old);
    expect(image.topicById(old)).toBeUndefined();
  });

  test("the store forgets a topic once its files are gone, not before", async () => {
    const { image, store, topics } = await make();
    let finish = () => {};
    image.onTopicDeleted(() => new Promise<void>((resolve) => (finish = resolve)));
    await create(topics, topic("a", { configs: [{ name: "retention.ms", value: "1" }] }));
    const { id } = image.topicByName("a")!;
    await told(topics, byName("a"));
    const keys = async () => (await store.snapshot("")).kvs.map((kv) => kv.key).filter((key) => !key.startsWith("brokers/"));
    await Bun.sleep(1);
    expect(await keys()).toEqual([`config/topic/${id}`, `topics/${id}`]);
    finish();
    await Bun.sleep(1);
    expect(await keys()).toEqual([]);
  });

  test("a deletion that a stop interrupted is finished by the next start", async () => {
    const store = new MemoryStore();
    const first = await make({}, [1], store);
    first.image.onTopicDeleted(() => new Promise(() => {}));
    await create(first.topics, topic("a"), topic("b"));
    await told(first.topics, byName("a"));
    const second = await make({}, [1], store);
    await Bun.sleep(1);
    expect(names(second.image)).toEqual(["b"]);
    expect((await store.snapshot("topics/")).kvs.length).toBe(1);
  });

  test("of two who delete a topic at once, one did", async () => {
    const { topics } = await make();
    await create(topics, topic("a"));
    const both = await Promise.all([told(topics, byName("a")), told(topics, byName("a"))]);
    expect(both.flat()).toEqual(["a ok", "a UNKNOWN_TOPIC_ID: This server does not host this topic ID."]);
  });

  test("a thousand at once, one of them changed meanwhile", async () => {
    const { image, topics } = await make();
    await create(topics, ...Array.from({ length: 1000 }, (_, n) => topic(`t${n}`)));
    const racing = told(topics, byName("t7"));
    const all = await told(topics, ...Array.from({ length: 1000 }, (_, n) => byName(`t${n}`)));
    expect(await racing).toEqual(["t7 ok"]);
    expect(all.filter((line) => !line.endsWith(" ok"))).toEqual([
      "t7 UNKNOWN_TOPIC_ID: This server does not host this topic ID.",
    ]);
    expect(image.topicCount).toBe(0);
  });

  test("an unknown outcome is looked at again", async () => {
    const { image, store, topics } = await make();
    await create(topics, topic("a"), topic("b"));
    store.loseTrack = "of applied";
    expect(await told(topics, byName("a"))).toEqual(["a ok"]);
    store.loseTrack = "of refused";
    expect(await told(topics, byName("b"))).toEqual(["b ok"]);
    expect(names(image)).toEqual([]);
  });

  test("can be turned off", async () => {
    const { topics } = await make({ deleteTopicEnable: false });
    await expect(topics.delete([byName("a")])).rejects.toMatchObject({ error: "TOPIC_DELETION_DISABLED" });
  });
});

describe("made on first use", () => {
  test("the answer is that it does not exist; soon it does", async () => {
    const { image, topics } = await make({ numPartitions: 4 });
    expect([...topics.autoCreate(["a", "b/d", "c"])]).toEqual([
      ["a", "UNKNOWN_TOPIC_OR_PARTITION"],
      ["b/d", "INVALID_TOPIC_EXCEPTION"],
      ["c", "UNKNOWN_TOPIC_OR_PARTITION"],
    ]);
    expect([...topics.autoCreate(["a"])]).toEqual([["a", "UNKNOWN_TOPIC_OR_PARTITION"]]);
    await Bun.sleep(1);
    expect(names(image)).toEqual(["a", "c"]);
    expect(image.topicByName("a")!.partitions.length).toBe(4);
  });

  test("after a failure it is tried again", async () => {
    const { image, topics } = await make({ defaultReplicationFactor: 2 });
    topics.autoCreate(["a"]);
    await Bun.sleep(1);
    expect(names(image)).toEqual([]);
    const enough = await make({ defaultReplicationFactor: 2 }, [1, 2]);
    enough.topics.autoCreate(["a"]);
    await Bun.sleep(1);
    expect(names(enough.image)).toEqual(["a"]);
  });

  test("so many names at a time are being made, not more", async () => {
    const { image, topics } = await make({ maxPartitionsPerRequest: 1_000_000 });
    const many = Array.from({ length: 10_001 }, (_, n) => `t${n}`);
    expect(topics.autoCreate(many).size).toBe(10_001);
    while (image.topicCount < 10_000) await Bun.sleep(1);
    await Bun.sleep(1);
    expect(image.topicByName("t10000")).toBeUndefined();
    topics.autoCreate(["t10000"]);
    await Bun.sleep(1);
    expect(image.topicByName("t10000")).toBeDefined();
  });

  test("the offsets topic comes with Kafka's configs and its own number of partitions", async () => {
    const { image, topics } = await make();
    topics.autoCreate(["__consumer_offsets", "__transaction_state", "__share_group_state"]);
    await Bun.sleep(1);
    expect(names(image)).toEqual(["__consumer_offsets"]);
    const offsets = image.topicByName("__consumer_offsets")!;
    expect([offsets.isInternal, offsets.partitions.length]).toEqual([true, 50]);
    expect([...offsets.configs].sort()).toEqual([
      ["cleanup.policy", "compact"],
      ["compression.type", "producer"],
      ["segment.bytes", "104857600"],
    ]);
  });
});

describe("ensureInternal", () => {
  test("makes the topic once, however many ask", async () => {
    const { image, topics } = await make({ offsetsTopicNumPartitions: 7 });
    const asked = await Promise.all([1, 2, 3].map(() => topics.ensureInternal("__consumer_offsets")));
    expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
    expect(asked[0]!.partitions.length).toBe(7);
    expect(await topics.ensureInternal("__consumer_offsets")).toBe(image.topicByName("__consumer_offsets")!);
  });

  test("takes the one that somebody else made meanwhile", async () => {
    const { topics } = await make();
    const [, ensured] = await Promise.all([
      create(topics, topic("__consumer_offsets", { numPartitions: 2 })),
      topics.ensureInternal("__consumer_offsets"),
    ]);
    expect(ensured.partitions.length).toBe(2);
  });

  test("rejects when it cannot be made, and can be asked again", async () => {
    const { topics } = await make({ defaultReplicationFactor: 3 });
    for (let n = 0; n < 2; n++) {
      await expect(topics.ensureInternal("__consumer_offsets")).rejects.toMatchObject({ error: "INVALID_REPLICATION_FACTOR" });
    }
  });
});
