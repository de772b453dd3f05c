import { describe, expect, test } from "bun:test";
import { Rig } from "./metadata-rig.ts";

describe("DescribeConfigs", () => {
  const TOPIC = 2;
  const BROKER = 4;
  const LOGGER = 8;

  test("of a topic: values, where they come from, types", async () => {
    const rig = await Rig.open({ logSegmentBytes: 2_000_000 });
    await rig.create([
      {
        name: "t",
        configs: [
          ["retention.ms", "5000"],
          ["cleanup.policy", "compact,delete"],
        ],
      },
    ]);
    const { results } = await rig.describeConfigs(TOPIC, "t", null, { includeSynonyms: true });
    expect([results[0]!.errorCode, results[0]!.resourceType, results[0]!.resourceName]).toEqual([0, TOPIC, "t"]);
    const of = (name: string) => {
      const { value, configSource, configType, readOnly, synonyms } = results[0]!.configs.find((entry) => entry.name === name)!;
      expect(readOnly).toBe(false);
      return [value, configSource, configType, synonyms.map(({ name, value, source }) => `${source}:${name}=${value}`)];
    };
    expect(of("retention.ms")).toEqual(["5000", 1, 5, ["1:retention.ms=5000"]]);
    expect(of("cleanup.policy")).toEqual([
      "compact,delete",
      1,
      7,
      ["1:cleanup.policy=compact,delete", "5:log.cleanup.policy=delete"],
    ]);
    expect(of("segment.bytes")).toEqual(["2000000", 4, 3, ["4:log.segment.bytes=2000000", "5:log.segment.bytes=1073741824"]]);
    expect(of("segment.ms")).toEqual(["604800000", 5, 5, []]);
    expect(of("max.message.bytes")).toEqual(["1048588", 5, 3, ["5:message.max.bytes=1048588"]]);
    expect(of("flush.messages")).toEqual(["9223372036854775807", 5, 5, ["5:log.flush.interval.messages=9223372036854775807"]]);
    expect(of("min.cleanable.dirty.ratio")).toEqual(["0.5", 5, 6, ["5:log.cleaner.min.cleanable.ratio=0.5"]]);
    expect(of("unclean.leader.election.enable")).toEqual(["false", 5, 1, ["5:unclean.leader.election.enable=false"]]);
    expect(of("compression.type")).toEqual(["producer", 5, 2, ["5:compression.type=producer"]]);
    expect(of("leader.replication.throttled.replicas")).toEqual(["", 5, 7, []]);
  });

  test("only what is asked for; documentation and synonyms only when they are", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }]);
    const named = await rig.describeConfigs(TOPIC, "t", ["retention.ms", "nope"], { includeDocumentation: true });
    expect(named.results[0]!.configs.map(({ name }) => name)).toEqual(["retention.ms"]);
    expect(named.results[0]!.configs[0]!.documentation!.length).toBeGreaterThan(20);
    for (const keys of [null, []]) {
      const all = await rig.describeConfigs(TOPIC, "t", keys);
      expect(all.results[0]!.configs.length).toBeGreaterThan(30);
      expect(
        all.results[0]!.configs.every(({ synonyms, documentation }) => synonyms.length === 0 && documentation === null),
      ).toBe(true);
    }
    for (const version of [1, 2, 3])
      expect((await rig.describeConfigs(TOPIC, "t", null, { version })).results[0]!.errorCode).toBe(0);
  });

  test("of a topic that there is not, or that cannot be", async () => {
    const rig = await Rig.open();
    expect((await rig.describeConfigs(TOPIC, "nope")).results[0]).toMatchObject({
      errorCode: 3,
      configs: [],
      resourceName: "nope",
    });
    expect((await rig.describeConfigs(TOPIC, "a b")).results[0]).toMatchObject({ errorCode: 17 });
  });

  test("of this broker, by Kafka's names", async () => {
    const rig = await Rig.open({ numPartitions: 6, advertised: { host: "k", port: 9 } });
    const { results } = await rig.describeConfigs(BROKER, "7", null, { includeSynonyms: true });
    const of = (name: string) => {
      const { value, configSource, configType, synonyms } = results[0]!.configs.find((entry) => entry.name === name)!;
      return [value, configSource, configType, synonyms.map(({ name, value, source }) => `${source}:${name}=${value}`)];
    };
    expect(of("num.partitions")).toEqual(["6", 4, 3, ["4:num.partitions=6", "5:num.partitions=1"]]);
    expect(of("auto.create.topics.enable")).toEqual(["true", 5, 1, ["5:auto.create.topics.enable=true"]]);
    expect(of("listeners")).toEqual(["PLAINTEXT://0.0.0.0:9092", 5, 7, ["5:listeners=PLAINTEXT://0.0.0.0:9092"]]);
    expect(of("advertised.listeners")).toEqual(["PLAINTEXT://k:9", 4, 7, ["4:advertised.listeners=PLAINTEXT://k:9"]]);
    expect(of("log.roll.ms")).toEqual([null, 5, 5, []]); // the name in hours has the default
    expect(of("log.roll.hours")).toEqual(["168", 5, 3, ["5:log.roll.hours=168"]]);
    expect(of("ssl.keystore.password")).toEqual([null, 5, 9, []]);
    expect(of("process.roles")).toEqual(["broker,controller", 4, 7, ["4:process.roles=broker,controller"]]);
    expect(of("num.io.threads")).toEqual(["8", 5, 3, ["5:num.io.threads=8"]]);
    const sensitive = results[0]!.configs.filter(({ isSensitive }) => isSensitive).map(({ name }) => name);
    expect([sensitive.length, sensitive.includes("ssl.key.password")]).toEqual([10, true]);
    const fixed = results[0]!.configs.filter(({ readOnly }) => readOnly).map(({ name }) => name);
    expect([fixed.includes("log.dirs"), fixed.includes("log.retention.ms"), fixed.includes("listeners")]).toEqual([
      true,
      false,
      false,
    ]);
    expect(
      (await rig.describeConfigs(BROKER, "7", ["node.id"])).results[0]!.configs.map(({ name, value }) => [name, value]),
    ).toEqual([["node.id", "7"]]);
  });

  test("of all brokers there is nothing dynamic; other brokers answer for themselves", async () => {
    const rig = await Rig.open();
    expect((await rig.describeConfigs(BROKER, "")).results[0]).toMatchObject({ errorCode: 0, configs: [] });
    expect((await rig.describeConfigs(BROKER, "8")).results[0]).toMatchObject({
      errorCode: 42,
      errorMessage: "Unexpected broker id, expected 7 or empty string, but received 8",
    });
    expect((await rig.describeConfigs(BROKER, "x")).results[0]).toMatchObject({
      errorCode: 42,
      errorMessage: "Broker id must be an integer, but it is: x",
    });
  });

  test("of the logger, of groups and metrics, of nothing known", async () => {
    const rig = await Rig.open();
    expect(
      (await rig.describeConfigs(LOGGER, "7")).results[0]!.configs.map(({ name, value, configSource }) => [
        name,
        value,
        configSource,
      ]),
    ).toEqual([["root", "INFO", 6]]);
    expect((await rig.describeConfigs(LOGGER, "")).results[0]).toMatchObject({
      errorCode: 42,
      errorMessage: "Broker id must not be empty",
    });
    for (const [type, count, first] of [
      [16, 3, "metrics"],
      [32, 21, "consumer.session.timeout.ms"],
    ] as const) {
      const { errorCode, configs } = (await rig.describeConfigs(type, "g")).results[0]!;
      expect([errorCode, configs.length, configs[0]!.name]).toEqual([0, count, first]);
      expect((await rig.describeConfigs(type, "")).results[0]!.errorCode).toBe(42);
    }
    expect((await rig.describeConfigs(3, "x")).results[0]).toMatchObject({ errorCode: 42, resourceType: 3, resourceName: "x" });
  });
});
