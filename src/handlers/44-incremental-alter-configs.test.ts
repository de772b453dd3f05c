/** Expectations are Kafka's: ConfigAdminManager, ConfigurationControlManager, DynamicBrokerConfig; test/e2e/configs.test.ts asks a real one. */
import { describe, expect, test } from "bun:test";
import { AlterConfigs } from "../protocol/messages/33-alter-configs.ts";
import { alterConfigs } from "./33-alter-configs.ts";
import { Rig } from "./metadata-rig.ts";

const [TOPIC, BROKER, LOGGER, METRICS, GROUP] = [2, 4, 8, 16, 32] as const;
const [OK, UNKNOWN_TOPIC, INVALID_TOPIC, INVALID_CONFIG, INVALID_REQUEST] = [0, 3, 17, 40, 42] as const;
const good = [OK, null];

const withTopic = async (changes = {}) => {
  const rig = await Rig.open(changes);
  await rig.create([{ name: "t", configs: [["retention.ms", "5"]] }]);
  return rig;
};

describe("a topic's configs", () => {
  test("are set, deleted, appended to and subtracted from, and all others stay", async () => {
    const rig = await withTopic();
    expect(
      await rig.alter([
        [
          TOPIC,
          "t",
          [
            ["max.message.bytes", "SET", "9"],
            ["cleanup.policy", "APPEND", "compact,delete"],
            ["leader.replication.throttled.replicas", "APPEND", "0:7,1:7"],
          ],
        ],
      ]),
    ).toEqual([good as [number, null]]);
    expect([...rig.image.topicByName("t")!.configs]).toEqual([
      ["retention.ms", "5"],
      ["max.message.bytes", "9"],
      ["cleanup.policy", "delete,compact"],
      ["leader.replication.throttled.replicas", "0:7,1:7"],
    ]);
    await rig.alter([
      [
        TOPIC,
        "t",
        [
          ["retention.ms", "DELETE"],
          ["cleanup.policy", "SUBTRACT", "delete,nothing"],
          ["leader.replication.throttled.replicas", "SUBTRACT", "1:7"],
          ["no.such", "DELETE"],
        ],
      ],
    ]);
    expect([...rig.image.topicByName("t")!.configs]).toEqual([
      ["max.message.bytes", "9"],
      ["cleanup.policy", "compact"],
      ["leader.replication.throttled.replicas", "0:7"],
    ]);
    expect(await rig.described(TOPIC, "t", "max.message.bytes")).toEqual([
      "9",
      1,
      ["1:max.message.bytes=9", "5:message.max.bytes=1048588"],
    ]);
  });

  test("change all of a request or none, each topic for itself", async () => {
    const rig = await withTopic();
    await rig.create([{ name: "u" }]);
    const result = await rig.alter([
      [
        TOPIC,
        "t",
        [
          ["segment.ms", "SET", "1"],
          ["retention.ms", "SET", "soon"],
        ],
      ],
      [TOPIC, "u", [["segment.ms", "SET", "1"]]],
      [TOPIC, "nope", [["segment.ms", "SET", "1"]]],
    ]);
    expect(result).toEqual([
      [INVALID_CONFIG, "Invalid value soon for configuration retention.ms: Not a number of type LONG"],
      [OK, null],
      [UNKNOWN_TOPIC, "The topic 'nope' does not exist."],
    ]);
    expect([...rig.image.topicByName("t")!.configs]).toEqual([["retention.ms", "5"]]);
    expect([...rig.image.topicByName("u")!.configs]).toEqual([["segment.ms", "1"]]);
  });

  test("are only looked at when that is all that is asked for", async () => {
    const rig = await withTopic();
    expect(await rig.alter([[TOPIC, "t", [["retention.ms", "SET", "6"]]]], true)).toEqual([good as [number, null]]);
    expect((await rig.alter([[TOPIC, "t", [["retention.ms", "SET", "-2"]]]], true))[0]![0]).toBe(INVALID_CONFIG);
    expect((await rig.alter([[TOPIC, "nope", []]], true))[0]![0]).toBe(UNKNOWN_TOPIC);
    expect([...rig.image.topicByName("t")!.configs]).toEqual([["retention.ms", "5"]]);
  });

  const refusals: readonly [Parameters<Rig["alter"]>[0][number], number, string][] = [
    [[TOPIC, "t", [["no.such", "SET", "1"]]], INVALID_CONFIG, "Unknown topic config name: no.such"],
    [
      [TOPIC, "t", [["retention.ms", "APPEND", "1"]]],
      INVALID_CONFIG,
      "Can't APPEND to key retention.ms because its type is not LIST.",
    ],
    [[TOPIC, "t", [["no.such", "SUBTRACT", "1"]]], INVALID_CONFIG, "Can't SUBTRACT to key no.such because its type is not LIST."],
    [
      [TOPIC, "t", [["cleanup.policy", "APPEND", "shred"]]],
      INVALID_CONFIG,
      "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete",
    ],
    [
      [
        TOPIC,
        "t",
        [
          ["min.compaction.lag.ms", "SET", "2"],
          ["max.compaction.lag.ms", "SET", "1"],
        ],
      ],
      INVALID_CONFIG,
      "conflict topic config setting min.compaction.lag.ms (2) > max.compaction.lag.ms (1)",
    ],
    [[TOPIC, "t", [["retention.ms", "SET"]]], INVALID_REQUEST, "Null value not supported for : retention.ms"],
    [
      [
        TOPIC,
        "t",
        [
          ["retention.ms", "SET", "1"],
          ["retention.ms", "DELETE"],
        ],
      ],
      INVALID_REQUEST,
      "Error due to duplicate config keys",
    ],
    [[TOPIC, "t", [["retention.ms", "UNKNOWN", "1"]]], INVALID_REQUEST, "Unknown operations type 9"],
    [[TOPIC, "", [["retention.ms", "SET", "1"]]], INVALID_REQUEST, "Default topic resources are not allowed."],
    [
      [TOPIC, "a b", []],
      INVALID_TOPIC,
      "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
    ],
    [[3, "t", []], INVALID_REQUEST, "Unknown resource type 3"],
    [[GROUP, "", []], INVALID_REQUEST, "Default group resources are not allowed."],
    [[GROUP, "g", [["no.such", "SET", "1"]]], INVALID_CONFIG, "Unknown group config name: no.such"],
    [
      [GROUP, "g", [["consumer.session.timeout.ms", "SET", "1"]]],
      INVALID_CONFIG,
      "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.",
    ],
    [[METRICS, "", []], INVALID_REQUEST, "Subscription name can't be empty"],
    [[METRICS, "m", [["no.such", "SET", "1"]]], INVALID_REQUEST, "Unknown client metrics configuration: no.such"],
    [[METRICS, "m", [["metrics", "APPEND", "a"]]], INVALID_CONFIG, "Can't APPEND to key metrics because its type is not LIST."],
    [[BROKER, "8", []], INVALID_REQUEST, "Unexpected broker id, expected 7, but received 8"],
    [[BROKER, "x", []], INVALID_REQUEST, "Node id must be an integer, but it is: x"],
    [[BROKER, "7", [["log.dirs", "SET", "/x"]]], INVALID_REQUEST, "Cannot update these configs dynamically: [log.dirs]"],
    [
      [BROKER, "7", [["ssl.keystore.location", "SET", "/x"]]],
      INVALID_REQUEST,
      "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]",
    ],
    [
      [BROKER, "", [["log.retention.ms", "SET", "x"]]],
      INVALID_REQUEST,
      "Invalid value x for configuration log.retention.ms: Not a number of type LONG",
    ],
    [
      [BROKER, "", [["principal.builder.class", "SET", "x"]]],
      INVALID_REQUEST,
      "Cannot update these configs at default cluster level, broker id must be specified: [principal.builder.class]",
    ],
    [
      [BROKER, "", [["listener.name.plaintext.ssl.keystore.location", "SET", "x"]]],
      INVALID_REQUEST,
      "Cannot update these configs at default cluster level, broker id must be specified: [listener.name.plaintext.ssl.keystore.location]",
    ],
    [
      [BROKER, "", [["num.io.threads", "SET", "17"]]],
      INVALID_REQUEST,
      "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for num.io.threads=17, value should not be greater than double the current value 8 for configuration Invalid dynamic configuration",
    ],
    [
      [BROKER, "", [["log.retention.ms", "SET", "0"]]],
      INVALID_REQUEST,
      "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    ],
    [
      [BROKER, "", [["log.retention.ms", "APPEND", "1"]]],
      INVALID_CONFIG,
      "Config value append is not allowed for config key: log.retention.ms",
    ],
    [[BROKER, "", [["no.such", "SUBTRACT", "1"]]], INVALID_CONFIG, "Unknown config name: no.such"],
    [
      [BROKER, "7", [["listeners", "SET", "PLAINTEXT://0.0.0.0:1"]]],
      INVALID_REQUEST,
      "listeners cannot be changed while the broker runs: set server.bind and restart it",
    ],
    [
      [BROKER, "", [["message.max.bytes", "SET", "104857601"]]],
      INVALID_REQUEST,
      "Invalid value for configuration messageMaxBytes: must not be above server.request_max_bytes",
    ],
    [[LOGGER, "8", []], INVALID_REQUEST, "Unexpected node id. Expected 7, but received 8"],
    [[LOGGER, "7", [["kafka", "SET", "INFO"]]], INVALID_CONFIG, "Logger kafka does not exist!"],
    [
      [LOGGER, "7", [["root", "SET", "LOUD"]]],
      INVALID_CONFIG,
      "Cannot set the log level of root to LOUD as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
    ],
    [[LOGGER, "7", [["root", "DELETE"]]], INVALID_REQUEST, "Removing the log level of the root logger is not allowed"],
    [
      [LOGGER, "7", [["root", "APPEND", "INFO"]]],
      INVALID_REQUEST,
      "APPEND operation is not allowed for the BROKER_LOGGER resource",
    ],
  ];
  test.each(refusals)("%j is refused", async (resource, code, message) => {
    const rig = await withTopic();
    expect(await rig.alter([resource])).toEqual([[code, message]]);
    expect([...rig.image.topicByName("t")!.configs]).toEqual([["retention.ms", "5"]]);
  });

  test("a value that grows too long by appending is refused", async () => {
    const rig = await withTopic();
    const append = (first: number) => {
      const replicas = Array.from({ length: 4000 }, (_, n) => `${first + n}:7`).join(",");
      return rig.alter([[TOPIC, "t", [["leader.replication.throttled.replicas", "APPEND", replicas]]]]);
    };
    expect(await append(0)).toEqual([good as [number, null]]);
    const message = "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.";
    expect(await append(4000)).toEqual([[INVALID_CONFIG, message]]);
  });

  test("a resource that stands twice is altered not at all", async () => {
    const rig = await withTopic();
    const twice = "Each resource must appear at most once.";
    const change = [TOPIC, "t", [["retention.ms", "SET", "6"]]] as Parameters<Rig["alter"]>[0][number];
    expect(await rig.alter([change, change])).toEqual([
      [INVALID_REQUEST, twice],
      [INVALID_REQUEST, twice],
    ]);
    expect([...rig.image.topicByName("t")!.configs]).toEqual([["retention.ms", "5"]]);
  });

  test("changed at the same time by several, each change is kept", async () => {
    const rig = await withTopic();
    const names = ["segment.ms", "retention.bytes", "flush.ms", "max.message.bytes", "index.interval.bytes"];
    await Promise.all(names.map((name) => rig.alter([[TOPIC, "t", [[name, "SET", "10"]]]])));
    expect([...rig.image.topicByName("t")!.configs.keys()].sort()).toEqual(["retention.ms", ...names].sort());
  });
});

describe("a broker's configs", () => {
  test("act at once, this broker's before those of all, and reach the topics that do not set them", async () => {
    const rig = await withTopic({ logSegmentMs: 3_600_000 });
    await rig.alter([[BROKER, "", [["log.roll.ms", "SET", "1000"]]]]);
    expect(await rig.described(BROKER, "7", "log.roll.ms")).toEqual([
      "1000",
      3,
      ["3:log.roll.ms=1000", "4:log.roll.ms=3600000", "5:log.roll.hours=168"],
    ]);
    await rig.alter([[BROKER, "7", [["log.roll.ms", "SET", " 2000 "]]]]);
    expect(rig.config.logSegmentMs).toBe(2000);
    expect(await rig.described(TOPIC, "t", "segment.ms")).toEqual([
      "2000",
      2,
      ["2:log.roll.ms= 2000 ", "3:log.roll.ms=1000", "4:log.roll.ms=3600000", "5:log.roll.hours=168"],
    ]);
    expect(await rig.described(BROKER, "", "log.roll.ms")).toEqual(["1000", 3, ["3:log.roll.ms=1000"]]);
    await rig.alter([
      [BROKER, "7", [["log.roll.ms", "DELETE"]]],
      [BROKER, "", [["log.roll.ms", "DELETE"]]],
    ]);
    expect(rig.config.logSegmentMs).toBe(3_600_000);
    expect(await rig.described(BROKER, "", "log.roll.ms")).toBeNull();
  });

  test("without effect are kept, and reach the topics that they are the default of", async () => {
    const rig = await withTopic();
    await rig.alter([
      [
        BROKER,
        "",
        [
          ["num.io.threads", "SET", "16"],
          ["log.preallocate", "SET", "true"],
          ["metric.reporters", "APPEND", "a.B"],
        ],
      ],
    ]);
    expect(await rig.described(BROKER, "7", "num.io.threads")).toEqual(["16", 3, ["3:num.io.threads=16", "5:num.io.threads=8"]]);
    expect((await rig.described(BROKER, "7", "metric.reporters"))![0]).toBe("org.apache.kafka.common.metrics.JmxReporter,a.B");
    expect(await rig.described(TOPIC, "t", "preallocate")).toEqual([
      "true",
      3,
      ["3:log.preallocate=true", "5:log.preallocate=false"],
    ]);
  });

  test("that Kafka does not know are kept, and not shown", async () => {
    const rig = await Rig.open();
    await rig.alter([[BROKER, "7", [["my.plugin.secret", "SET", "x"]]]]);
    const entry = (await rig.describeConfigs(BROKER, "7", ["my.plugin.secret"])).results[0]!.configs[0]!;
    expect([entry.value, entry.isSensitive, entry.readOnly, entry.configType, entry.configSource]).toEqual([
      null,
      true,
      true,
      0,
      2,
    ]);
  });

  test("of one listener are kept; passwords are not shown", async () => {
    const rig = await Rig.open();
    const [location, password] = ["listener.name.external.ssl.keystore.location", "listener.name.external.ssl.keystore.password"];
    expect(
      await rig.alter([
        [
          BROKER,
          "7",
          [
            [location, "SET", "/x"],
            [password, "SET", "secret"],
          ],
        ],
      ]),
    ).toEqual([good as [number, null]]);
    expect(await rig.described(BROKER, "7", location)).toEqual(["/x", 2, [`2:${location}=/x`]]);
    expect(await rig.described(BROKER, "7", password)).toEqual([null, 2, [`2:${password}=null`]]);
  });

  test("min.insync.replicas is not one broker's with eligible leader replicas", async () => {
    const rig = await Rig.open();
    (rig.image as { features: ReadonlyMap<string, number> }).features = new Map([["eligible.leader.replicas.version", 1]]);
    const set = (name: string) => rig.alter([[BROKER, name, [["min.insync.replicas", "SET", "1"]]]]);
    expect(await set("7")).toEqual([
      [INVALID_CONFIG, "Broker-level min.insync.replicas cannot be altered while ELR is enabled."],
    ]);
    expect(await set("")).toEqual([good as [number, null]]);
    expect(await rig.alter([[BROKER, "", [["min.insync.replicas", "DELETE"]]]])).toEqual([
      [INVALID_CONFIG, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."],
    ]);
  });
});

test("configs of groups and subscriptions are kept, listed and described", async () => {
  const rig = await Rig.open();
  expect(
    await rig.alter([
      [GROUP, "g", [["consumer.session.timeout.ms", "SET", "50000"]]],
      [METRICS, "m", [["interval.ms", "SET", "1000"]]],
    ]),
  ).toEqual([good, good] as [number, null][]);
  expect(await rig.described(GROUP, "g", "consumer.session.timeout.ms")).toEqual([
    "50000",
    8,
    ["8:consumer.session.timeout.ms=50000", "5:group.consumer.session.timeout.ms=45000"],
  ]);
  expect(await rig.described(METRICS, "m", "interval.ms")).toEqual(["1000", 7, ["7:interval.ms=1000"]]);
  expect(rig.image.configs.names("group")).toEqual(["g"]);
  await rig.alter([[GROUP, "g", [["consumer.session.timeout.ms", "DELETE"]]]]);
  expect(rig.image.configs.names("group")).toEqual([]);
});

describe("what clients may have kept is bounded", () => {
  const POLICY_VIOLATION = 44;

  test("in number, of groups and of subscriptions", async () => {
    const rig = await Rig.open({ maxConfiguredResources: 2 });
    const group = (name: string, value = "5") => rig.alter([[GROUP, name, [["share.delivery.count.limit", "SET", value]]]]);
    for (const name of ["a", "b"]) expect(await group(name)).toEqual([good as [number, null]]);
    const refused = [POLICY_VIOLATION, "There are 2 with configs already (defaults.max_configured_resources)."];
    expect(await group("c")).toEqual([refused as [number, string]]);
    expect(await group("a", "6")).toEqual([good as [number, null]]);
    expect(await rig.alter([[METRICS, "m", [["interval.ms", "SET", "1000"]]]])).toEqual([good as [number, null]]);
    await rig.alter([[GROUP, "b", [["share.delivery.count.limit", "DELETE"]]]]);
    expect(await group("c")).toEqual([good as [number, null]]);
  });

  test("in size, for each resource", async () => {
    const rig = await Rig.open({ maxConfigBytes: 1024 });
    const set = (n: number) => rig.alter([[BROKER, "7", [[`my.plugin.${n}`, "SET", "x".repeat(400)]]]]);
    for (const n of [1, 2]) expect(await set(n)).toEqual([good as [number, null]]);
    expect(await set(3)).toEqual([
      [POLICY_VIOLATION, "The configs would take 1233 bytes, and may take 1024 (defaults.max_config_bytes)."],
    ]);
    expect(rig.image.configs.broker("7").size).toBe(2);
  });
});

test("the logger's level is what was set, until the end", async () => {
  const rig = await Rig.open();
  expect(await rig.described(LOGGER, "7", "root")).toEqual(["INFO", 6, []]);
  await rig.alter([[LOGGER, "7", [["root", "SET", "TRACE"]]]], true);
  expect(await rig.described(LOGGER, "7", "root")).toEqual(["INFO", 6, []]);
  await rig.alter([[LOGGER, "7", [["root", "SET", "TRACE"]]]]);
  expect(await rig.described(LOGGER, "7", "root")).toEqual(["TRACE", 6, []]);
});

test("AlterConfigs replaces everything that is set", async () => {
  const rig = await withTopic();
  const alter = async (type: number, name: string, configs: [string, string | null][]) => {
    const { responses } = await rig.ask(alterConfigs, AlterConfigs, 2, {
      validateOnly: false,
      resources: [{ resourceType: type, resourceName: name, configs: configs.map(([name, value]) => ({ name, value })) }],
    });
    return [responses[0]!.errorCode, responses[0]!.errorMessage];
  };
  expect(await alter(TOPIC, "t", [["segment.ms", "7"]])).toEqual(good);
  expect([...rig.image.topicByName("t")!.configs]).toEqual([["segment.ms", "7"]]);
  expect(await alter(TOPIC, "t", [["segment.ms", null]])).toEqual([INVALID_REQUEST, "Null value not supported for : segment.ms"]);
  expect(await alter(LOGGER, "7", [["root", "DEBUG"]])).toEqual([INVALID_REQUEST, "Unknown resource type 8"]);
  expect(await alter(TOPIC, "t", [])).toEqual(good);
  expect([...rig.image.topicByName("t")!.configs]).toEqual([]);
});
