import { describe, expect, test } from "bun:test";
import { CreateTopics } from "../protocol/messages/19-create-topics.ts";
import { ZERO_UUID } from "../protocol/schema.ts";
import { createTopics } from "./19-create-topics.ts";
import { Rig } from "./metadata-rig.ts";

describe("CreateTopics", () => {
  test("what every version tells", async () => {
    for (let version = 2; version <= 7; version++) {
      const rig = await Rig.open();
      const { topics } = await rig.create([{ name: "t", partitions: 3, configs: [["retention.ms", "5000"]] }], version);
      const [topic] = topics;
      expect([topic!.name, topic!.errorCode, topic!.errorMessage]).toEqual(["t", 0, null]);
      expect(topic!.topicId).toBe(version >= 7 ? rig.id("t") : ZERO_UUID);
      expect([topic!.numPartitions, topic!.replicationFactor]).toEqual(version >= 5 ? [3, 1] : [-1, -1]);
      if (version < 5) continue;
      const configs = topic!.configs!;
      expect(configs.map(({ name }) => name)).toEqual(configs.map(({ name }) => name).sort());
      expect(configs.find(({ name }) => name === "retention.ms")).toEqual({
        name: "retention.ms",
        value: "5000",
        readOnly: false,
        configSource: 1,
        isSensitive: false,
      });
      expect(configs.find(({ name }) => name === "cleanup.policy")).toMatchObject({ value: "delete", configSource: 5 });
    }
  });

  test("an error of one topic and of the whole request", async () => {
    const rig = await Rig.open();
    const { topics } = await rig.create([{ name: "t" }, { name: "x x" }, { name: "t" }]);
    expect(
      topics.map(({ name, errorCode, errorMessage, numPartitions, configs }) => [
        name,
        errorCode,
        errorMessage,
        numPartitions,
        configs,
      ]),
    ).toEqual([
      [
        "x x",
        17,
        "Topic name is invalid: 'x x' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        -1,
        [],
      ],
      ["t", 42, "Duplicate topic name.", -1, []],
    ]);
    const refused = await rig.create([{ name: "big", partitions: 10_001 }, { name: "small" }]);
    expect(refused.topics.map(({ name, errorCode, errorMessage }) => [name, errorCode, errorMessage])).toEqual([
      ["big", 44, "Excessively large number of partitions per request."],
      ["small", 44, "Excessively large number of partitions per request."],
    ]);
    expect(rig.image.topicCount).toBe(0);
  });

  test("validate only tells what would be", async () => {
    const rig = await Rig.open({ numPartitions: 5 });
    const topic = { name: "t", numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };
    const { topics } = await rig.ask(createTopics, CreateTopics, 7, { topics: [topic], validateOnly: true });
    expect(topics[0]).toMatchObject({ errorCode: 0, numPartitions: 5, replicationFactor: 1 });
    expect(rig.image.topicCount).toBe(0);
  });
});
