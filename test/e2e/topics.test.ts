/** Topics over their life: made on first use, deleted and made again under living clients, and many of them. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { type Client, type Driver, franzGo, java, kafkajs, librdkafka } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { run, toolOk } from "../support/tools.ts";
import { until } from "../support/until.ts";

let target: Target;
let neutral: Driver;

beforeAll(async () => {
  target = await startTarget({ settings: { "num.partitions": "2" } });
  neutral = franzGo.start(target.bootstrap);
});
afterAll(async () => {
  await neutral?.close();
  await target?.destroy();
});

const topics = (...args: string[]) => toolOk("kafka-topics.sh", ["--bootstrap-server", target.bootstrap, ...args]);

const topicId = async (topic: string) => /TopicId: (\S+)/.exec(await topics("--describe", "--topic", topic))?.[1];

/** Kafka says that a topic is there a little before it is. */
const led = (topic: string) => until(`${topic} to be led`, () => neutral.offsets(topic, 1, "latest").then(() => true));

test("a topic is made when a producer first writes to it, with the default number of partitions", async () => {
  const { code } = await run(["kcat", "-b", target.bootstrap, "-P", "-t", "by-kcat", "-p", "1"], { stdin: "first" });
  expect(code).toBe(0);
  await neutral.produce("by-franz-go", [{ partition: 1, value: "first" }]);
  for (const topic of ["by-kcat", "by-franz-go"]) {
    expect(await topics("--describe", "--topic", topic)).toContain("PartitionCount: 2");
    expect((await neutral.read(topic, { 0: 0, 1: 0 }, { 0: 0, 1: 1 })).map((r) => String(r.value))).toEqual(["first"]);
  }
});

test("a name that is not allowed is refused", async () => {
  for (const name of ["white space", "..", "ü", "x".repeat(250)]) {
    const error = await neutral.createTopic(name, 1).then(
      () => "it was made",
      (e) => String(e),
    );
    expect(error).toContain("INVALID_TOPIC_EXCEPTION");
  }
  await neutral.createTopic("dotted.name", 1);
  const collision = await neutral.createTopic("dotted_name", 1).then(
    () => "it was made",
    (e) => String(e),
  );
  expect(collision).toContain("INVALID_TOPIC_EXCEPTION");
});

test.each([
  ["not.a.config", "1"],
  ["retention.ms", "soon"],
  ["cleanup.policy", "shred"],
  ["max.message.bytes", "-1"],
])("a topic with %s=%s is refused", async (name, value) => {
  const error = await neutral.createTopic(`refused-${name}`, 1, { [name]: value }).then(
    () => "it was made",
    (e) => String(e),
  );
  expect(error).toContain("INVALID_CONFIG");
});

// Not franz-go: by its design a client has to be told to forget the old topic.
for (const client of [java, librdkafka, kafkajs] satisfies Client[]) {
  test(`a topic that is deleted and made again is a new one, under a living client (${client.name})`, async () => {
    const topic = `again-${client.name}`;
    const driver = client.start(target.bootstrap);
    await neutral.createTopic(topic, 1);
    await led(topic);
    await driver.produce(topic, [
      { partition: 0, value: "old 0" },
      { partition: 0, value: "old 1" },
    ]);
    const before = await topicId(topic);
    await topics("--delete", "--topic", topic);
    await until("the topic to go", async () => !(await topics("--list")).split("\n").includes(topic));
    await neutral.createTopic(topic, 1);
    await led(topic);
    expect(await topicId(topic)).not.toBe(before);
    expect(await driver.offsets(topic, 1, "latest")).toEqual({ 0: 0 });
    // A client may learn of the new id by an error first.
    const [placed] = await until("the client to find the new topic", () =>
      driver.produce(topic, [{ partition: 0, value: "new 0" }]),
    );
    expect((await driver.read(topic, { 0: placed!.offset }, { 0: placed!.offset + 1 })).map((r) => String(r.value))).toEqual([
      "new 0",
    ]);
    expect((await neutral.read(topic, { 0: 0 }, { 0: 1 })).map((r) => String(r.value))).toEqual(["new 0"]);
    await driver.close();
  });
}

test("a topic of 300 partitions: written and read whole, also after kill -9", async () => {
  const partitions = 300;
  await neutral.createTopic("wide", partitions);
  const records = Array.from({ length: partitions * 2 }, (_, i) => ({ partition: i % partitions, value: `${i}` }));
  await neutral.produce("wide", records);
  const from = Object.fromEntries(Array.from({ length: partitions }, (_, p) => [p, 0]));
  const to = Object.fromEntries(Array.from({ length: partitions }, (_, p) => [p, 2]));
  const expected = records.map((r) => r.value).sort();
  const reader = java.start(target.bootstrap);
  expect((await reader.read("wide", from, to)).map((r) => String(r.value)).sort()).toEqual(expected);
  await target.kill();
  await target.start();
  expect(await neutral.offsets("wide", partitions, "latest")).toEqual(to);
  expect((await reader.read("wide", from, to)).map((r) => String(r.value)).sort()).toEqual(expected);
  await reader.close();
}, 60_000);

test("deleted topics leave the disk, and stay deleted after a restart", async () => {
  await neutral.createTopic("passing", 3);
  await neutral.produce(
    "passing",
    [0, 1, 2].map((partition) => ({ partition, value: "soon gone" })),
  );
  await topics("--delete", "--topic", "passing,wide");
  await target.restart();
  const names = (await topics("--list")).split("\n");
  expect(names).not.toContain("passing");
  expect(names).not.toContain("wide");
  expect(names).toContain("by-kcat");
  if (targetKind === "kafka") return; // it waits for a minute
  const left = () => readdirSync(target.dataDir).filter((name) => /^(passing|wide)-/.test(name));
  await until(`the directories to go: ${left()}`, () => left().length === 0, { timeoutMs: 10_000 });
});
