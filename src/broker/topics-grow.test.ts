/** CreatePartitions. The messages are those of Kafka's ReplicationControlManager. */
import { describe, expect, test } from "bun:test";
import type { ServerConfig } from "../config/server-options.ts";
import type { TopicImage } from "../metadata/image.ts";
import { topicKey } from "../metadata/keys.ts";
import { type GrowthResult, growTopics } from "./topics-grow.ts";
import type { Growth } from "./topics-plan.ts";
import { create, type Made, make, topic } from "./topics-rig.ts";

const growth = (name: string, count: number, assignments: number[][] | null = null): Growth => ({
  name,
  count,
  assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null,
});
const shown = (results: readonly GrowthResult[]) =>
  results.map(({ name, error }) => (error === null ? `${name} ok` : `${name} ${error.error}: ${error.message}`));

async function prepare(changes: Partial<ServerConfig> = {}, brokers: number[] = [1]) {
  const made = await make(changes, brokers);
  await create(made.topics, topic("t", { numPartitions: 3 }), topic("u", { numPartitions: 1 }));
  const grow = async (growths: Growth[], validateOnly = false) => shown(await growTopics(made, growths, { validateOnly }));
  return { ...made, grow };
}

const replicasOf = ({ image }: Pick<Made, "image">, name: string) =>
  image.topicByName(name)!.partitions.map(({ index, replicas }) => [index, ...replicas]);

describe("more partitions", () => {
  test("come behind those that are there, and are in the image when it is answered", async () => {
    const made = await prepare();
    const before = made.image.topicByName("t")!;
    expect(await made.grow([growth("t", 5), growth("u", 2, [[1]])])).toEqual(["t ok", "u ok"]);
    const after = made.image.topicByName("t")!;
    expect(after.id).toBe(before.id);
    expect(after.partitions.slice(0, 3)).toEqual([...before.partitions]);
    expect(after.partitions.slice(3)).toEqual(
      [3, 4].map((index) => ({ index, leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1], isr: [1] })),
    );
    expect(replicasOf(made, "u")).toEqual([
      [0, 1],
      [1, 1],
    ]);
  });

  test("are opened before the image shows them", async () => {
    const made = await prepare();
    const told: string[] = [];
    let open!: () => void;
    made.image.onTopicGrown((after: TopicImage, before: TopicImage) => {
      told.push(`${after.name} ${before.partitions.length} to ${after.partitions.length}`);
      return new Promise((resolve) => (open = resolve));
    });
    made.image.onTopicChanged((after) => told.push(`${after.name} has ${after.partitions.length}`));
    const growing = made.grow([growth("t", 4)]);
    while (told.length === 0) await Promise.resolve();
    expect([told, made.image.topicByName("t")!.partitions.length]).toEqual([["t 3 to 4"], 3]);
    open();
    expect(await growing).toEqual(["t ok"]);
    expect([told, made.image.topicByName("t")!.partitions.length]).toEqual([["t 3 to 4", "t has 4"], 4]);
  });

  test("are not made when only validated", async () => {
    const made = await prepare();
    expect(await made.grow([growth("t", 5), growth("u", 0)], true)).toEqual([
      "t ok",
      "u INVALID_PARTITIONS: The topic u currently has 1 partition(s); 0 would not be an increase.",
    ]);
    expect(made.image.partitionCount).toBe(4);
  });

  test("for more topics than one transaction holds", async () => {
    const made = await prepare();
    const names = Array.from({ length: 250 }, (_, n) => `many-${n}`);
    await create(made.topics, ...names.map((name) => topic(name, { numPartitions: 1 })));
    await made.grow(names.map((name) => growth(name, 2)));
    expect(names.every((name) => made.image.topicByName(name)!.partitions.length === 2)).toBe(true);
  });
});

describe("refused", () => {
  test.each([
    [growth("nope", 3), "UNKNOWN_TOPIC_OR_PARTITION: "],
    [growth("t", 3), "INVALID_PARTITIONS: Topic already has 3 partition(s)."],
    [growth("t", 2), "INVALID_PARTITIONS: The topic t currently has 3 partition(s); 2 would not be an increase."],
    [growth("t", -1), "INVALID_PARTITIONS: The topic t currently has 3 partition(s); -1 would not be an increase."],
    [
      growth("t", 5, [[1]]),
      "INVALID_REPLICA_ASSIGNMENT: Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
    ],
    [growth("t", 4, [[]]), "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes an empty replica list."],
    [
      growth("t", 4, [[2]]),
      "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 2, but no such broker is registered.",
    ],
    [
      growth("t", 4, [[1, 1]]),
      "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes the broker 1 more than once.",
    ],
    [growth("t", 2 ** 31 - 1), "POLICY_VIOLATION: Excessively large number of partitions per request."],
  ])("%j", async (wanted, why) => {
    const made = await prepare();
    expect(await made.grow([wanted])).toEqual([`${wanted.name} ${why}`]);
    expect(made.image.partitionCount).toBe(4);
  });

  test("another number of replicas than the topic has", async () => {
    const { grow } = await prepare({}, [1, 2]);
    expect(await grow([growth("t", 4, [[1, 2]])])).toEqual([
      "t INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with previous partitions, which have 1 replica(s).",
    ]);
  });

  test("names that stand twice come first, once", async () => {
    const { grow } = await prepare();
    expect(await grow([growth("u", 2), growth("t", 4), growth("t", 5), growth("t", 6)])).toEqual([
      "t INVALID_REQUEST: Duplicate topic name.",
      "u ok",
    ]);
  });

  test("topics whose partitions find groups and transactions", async () => {
    const { grow, topics, image } = await prepare();
    await topics.ensureInternal("__consumer_offsets");
    expect(await grow([growth("__consumer_offsets", 100)])).toEqual([
      "__consumer_offsets INVALID_PARTITIONS: The number of partitions of __consumer_offsets cannot be changed.",
    ]);
    expect(image.topicByName("__consumer_offsets")!.partitions.length).toBe(50);
  });

  test("more partitions in all than a request may make, and than the broker takes", async () => {
    const { grow } = await prepare({ maxPartitionsPerRequest: 4, maxPartitions: 9 });
    expect(await grow([growth("t", 6), growth("u", 3)])).toEqual([
      "t ok",
      "u POLICY_VIOLATION: Excessively large number of partitions per request.",
    ]);
    expect(await grow([growth("u", 4)])).toEqual([
      "u POLICY_VIOLATION: The broker has 7 partitions and takes at most 9 (defaults.max_partitions).",
    ]);
    expect(await grow([growth("u", 3)])).toEqual(["u ok"]);
  });
});

describe("races", () => {
  test("of requests for one topic, each adds to what is there, or is no increase any more", async () => {
    const made = await prepare();
    const outcomes = await Promise.all([4, 6, 5].map((count) => made.grow([growth("t", count)])));
    expect(outcomes.flat()).toEqual([
      "t ok",
      "t ok",
      "t INVALID_PARTITIONS: The topic t currently has 6 partition(s); 5 would not be an increase.",
    ]);
    expect(made.image.topicByName("t")!.partitions.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("a topic that is deleted meanwhile", async () => {
    const made = await prepare();
    const id = made.image.topicByName("t")!.id;
    const deleted = made.topics.delete([{ name: "t", topicId: "AAAAAAAAAAAAAAAAAAAAAA" }]);
    expect(await made.grow([growth("t", 5), growth("u", 2)])).toEqual(["t UNKNOWN_TOPIC_OR_PARTITION: ", "u ok"]);
    await deleted;
    expect(made.image.topicById(id)).toBeUndefined();
  });

  test.each(["of applied", "of refused"] as const)("an outcome that is unknown (%s) is looked at again", async (lost) => {
    const made = await prepare();
    made.store.loseTrack = lost;
    expect(await made.grow([growth("t", 5), growth("u", 2)])).toEqual(["t ok", "u ok"]);
    expect(made.image.partitionCount).toBe(7);
    const stored = (await made.store.snapshot(topicKey(""))).kvs;
    expect(stored.length).toBe(2);
  });
});
