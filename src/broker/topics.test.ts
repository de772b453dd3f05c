import { describe, expect, test } from "bun:test";
import type { NewTopic } from "./topics-plan.ts";
import { create, make, names, one, shown, topic } from "./topics-rig.ts";

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

  test("more partitions than the broker takes in all are refused, whatever asks for them", async () => {
    const { image, topics } = await make({ maxPartitions: 5 });
    expect(shown(await create(topics, topic("a", { numPartitions: 3 })))).toEqual(["a ok"]);
    await expect(create(topics, topic("b", { numPartitions: 3 }))).rejects.toMatchObject({ error: "POLICY_VIOLATION" });
    expect(shown(await create(topics, topic("b", { numPartitions: 2 })))).toEqual(["b ok"]);
    expect(names(image)).toEqual(["a", "b"]);
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
