/**
 * Configs as Kafka's tools see and change them: kafka-configs for topics, brokers, loggers, groups and client metrics; what changes acts at
 * once and survives a restart; and everything that DescribeConfigs says, against what Kafka 4.3.1 said with the same settings
 * (test/fixtures/configs/kafka-4.3.1.json; QUARKMQ_E2E_TARGET=kafka QUARKMQ_WRITE_FIXTURE=1 makes it again).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { responseCodec } from "../../src/protocol/compile.ts";
import { readResponseHeader, responseHeaderVersion, writeRequest } from "../../src/protocol/frames.ts";
import { DescribeConfigs } from "../../src/protocol/messages/32-describe-configs.ts";
import { type Driver, franzGo, kafkajs, librdkafka, type ProcessDriver, platformatic } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { ToolsJvm } from "../support/tools-jvm.ts";
import { WireConnection } from "../support/wire.ts";

/** Settings that both brokers start with. */
const SETTINGS = {
  "node.id": "1",
  "log.roll.hours": "100",
  "num.network.threads": "2",
  "offsets.topic.replication.factor": "1",
  "transaction.state.log.replication.factor": "1",
  "transaction.state.log.min.isr": "1",
  "share.coordinator.state.topic.replication.factor": "1",
  "share.coordinator.state.topic.min.isr": "1",
};

let target: Target;
let jvm: ToolsJvm;
let client: Driver;

beforeAll(async () => {
  jvm = new ToolsJvm();
  target = await startTarget({ settings: SETTINGS });
  client = franzGo.start(target.bootstrap);
  await client.createTopic("described", 1, { "retention.ms": "1000", "cleanup.policy": "compact,delete" });
  await client.createTopic("changed", 1);
}, 60_000);

afterAll(async () => {
  await Promise.all([jvm?.close(), client?.close()]);
  await target?.destroy();
});

interface Described {
  readonly name: string;
  readonly value: string | null;
  readonly source: number;
  readonly type: number;
  readonly readOnly: boolean;
  readonly isSensitive: boolean;
  /** "source:name=value" */
  readonly synonyms: readonly string[];
}

const TYPES = { topic: 2, broker: 4, "client-metrics": 16, group: 32 } as const;

async function described(type: keyof typeof TYPES, resourceName: string): Promise<Described[]> {
  const connection = await WireConnection.open(target.port);
  const version = 4;
  const request = {
    resources: [{ resourceType: TYPES[type], resourceName, configurationKeys: null }],
    includeSynonyms: true,
    includeDocumentation: true,
  };
  connection.send(
    ...writeRequest(new Writer(256), DescribeConfigs, version, { correlationId: 1, clientId: "test" }, request).map(Buffer.from),
  );
  const reader = new Reader(await connection.next());
  readResponseHeader(reader, responseHeaderVersion(DescribeConfigs, version));
  const [result] = responseCodec(DescribeConfigs, version).decode(reader).results;
  connection.end();
  expect(result!.errorCode).toBe(0);
  return result!.configs
    .map(({ name, value, configSource, configType, readOnly, isSensitive, synonyms, documentation }) => {
      expect([name, (documentation ?? "") === ""]).toEqual([name, false]);
      const all = synonyms.map((each) => `${each.source}:${each.name}=${each.value}`);
      return { name, value, source: configSource, type: configType, readOnly, isSensitive, synonyms: all };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What one runs with and the other cannot, or does otherwise on purpose (see OTHER_DEFAULTS in test/golden/configs.test.ts). */
const UNLIKE: ReadonlySet<string> = new Set([
  ...["listeners", "advertised.listeners", "controller.listener.names", "listener.security.protocol.map"],
  ...["controller.quorum.bootstrap.servers", "log.dir", "log.dirs", "max.connections", "queued.max.request.bytes"],
  ...[
    "group.coordinator.rebalance.protocols",
    "group.consumer.max.size",
    "group.consumer.migration.policy",
    "group.max.size",
    "log.flush.offset.checkpoint.interval.ms",
    "socket.send.buffer.bytes",
  ],
  "min.insync.replicas", // a new Kafka 4.3 cluster sets it for all brokers (KIP-966)
]);

describe("everything is described as Kafka does", () => {
  const fixture = Bun.file(new URL("../fixtures/configs/kafka-4.3.1.json", import.meta.url));
  const resources: readonly [keyof typeof TYPES, string][] = [
    ["broker", "1"],
    ["topic", "described"],
    ["group", "nobody"],
    ["client-metrics", "nothing"],
  ];
  const likeness = (each: Described) => {
    const { name, type, readOnly, isSensitive } = each;
    return UNLIKE.has(name) ? { name, type, readOnly, isSensitive } : each;
  };

  test("names, values, sources, synonyms, types, what is read-only and sensitive", async () => {
    const said: Record<string, Described[]> = {};
    for (const [type, name] of resources) said[type] = await described(type, name);
    if (targetKind === "kafka" && process.env.QUARKMQ_WRITE_FIXTURE === "1") {
      await Bun.write(fixture, `${JSON.stringify(said, (_, value) => (UNLIKE.has(value?.name) ? likeness(value) : value), 1)}\n`);
    }
    const kafka = (await fixture.json()) as Record<string, Described[]>;
    for (const [type] of resources) {
      const known = new Set(kafka[type]!.map(({ name }) => name));
      const ours = said[type]!.filter(({ name }) => known.has(name)); // Kafka 4.4 has more: test/golden/configs.test.ts
      expect(ours.map(likeness)).toEqual(kafka[type]!.map(likeness) as Described[]);
    }
  });
});

/** Every line that is not empty, trimmed. */
const tidy = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");

async function configs(...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await jvm.run("kafka-configs.sh", ["--bootstrap-server", target.bootstrap, ...args]);
  return tidy(stdout + stderr);
}

const entity = (type: string, name: string | null): string[] => [
  "--entity-type",
  type,
  ...(name === null ? ["--entity-default"] : ["--entity-name", name]),
];
const add = (type: string, name: string | null, pairs: string) =>
  configs(...entity(type, name), "--alter", "--add-config", pairs);
const remove = (type: string, name: string | null, names: string) =>
  configs(...entity(type, name), "--alter", "--delete-config", names);
const show = (type: string, name: string | null, ...more: string[]) => configs(...entity(type, name), "--describe", ...more);
const lineOf = (lines: readonly string[], name: string): string | undefined => lines.find((line) => line.startsWith(`${name}=`));

describe("kafka-configs", () => {
  test("of a topic: set, shown, with all others, deleted", async () => {
    expect(await add("topics", "changed", "max.message.bytes=2000,cleanup.policy=[compact,delete]")).toEqual([
      "Completed updating config for topic changed.",
    ]);
    expect((await show("topics", "changed")).sort()).toEqual([
      "Dynamic configs for topic changed are:",
      "cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}",
      "max.message.bytes=2000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000, DEFAULT_CONFIG:message.max.bytes=1048588}",
    ]);
    const all = await show("topics", "changed", "--all");
    expect(all.length).toBeGreaterThan(30);
    expect(lineOf(all, "segment.ms")).toBe("segment.ms=360000000 sensitive=false synonyms={}");
    expect(await remove("topics", "changed", "cleanup.policy")).toEqual(["Completed updating config for topic changed."]);
    expect(lineOf(await show("topics", "changed"), "cleanup.policy")).toBeUndefined();
  }, 60_000);

  test("of a topic: what cannot be", async () => {
    expect((await add("topics", "changed", "no.such=1")).join(" ")).toContain("Unknown topic config name: no.such");
    expect((await add("topics", "changed", "retention.ms=soon")).join(" ")).toContain(
      "Invalid value soon for configuration retention.ms: Not a number of type LONG",
    );
    expect((await add("topics", "nope", "retention.ms=1")).join(" ")).toContain("The topic 'nope' does not exist.");
  }, 60_000);

  test("of brokers: of one, of all, and what of them needs a restart", async () => {
    expect(await add("brokers", "1", "log.cleaner.threads=2")).toEqual(["Completed updating config for broker 1."]);
    expect(await add("brokers", null, "log.retention.ms=5000,message.max.bytes=3000")).toEqual([
      "Completed updating default config for brokers in the cluster.",
    ]);
    const own = await show("brokers", "1");
    expect(lineOf(own, "log.cleaner.threads")).toBe(
      "log.cleaner.threads=2 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.cleaner.threads=2, DEFAULT_CONFIG:log.cleaner.threads=1}",
    );
    expect(lineOf(own, "log.retention.ms")).toBeUndefined(); // only what is this broker's own
    expect(lineOf(await show("brokers", "1", "--all"), "log.retention.ms")).toBe(
      "log.retention.ms=5000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=5000, DEFAULT_CONFIG:log.retention.hours=168}",
    );
    const shared = await show("brokers", null);
    expect(lineOf(shared, "message.max.bytes")).toBe(
      "message.max.bytes=3000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=3000}",
    );
    expect(lineOf(await show("topics", "described", "--all"), "max.message.bytes")).toBe(
      "max.message.bytes=3000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=3000, DEFAULT_CONFIG:message.max.bytes=1048588}",
    );
    const refused = await add("brokers", "1", "log.dirs=/x");
    expect(refused.join(" ")).toContain("Cannot update these configs dynamically: [log.dirs]");
    const tooMany = (await add("brokers", "1", "num.network.threads=0")).join(" ");
    expect(tooMany).toContain("Invalid value 0 for configuration num.network.threads: Value must be at least 1");
    expect((await add("brokers", "1", "background.threads=99")).join(" ")).toContain(
      "Dynamic thread count update validation failed for background.threads=99, value should not be greater than double the current value 10",
    );
  }, 60_000);

  test("of brokers act at once, survive a restart, and a topic's own come first", async () => {
    const produce = async (topic: string, bytes: number) => {
      try {
        await client.produce(topic, [{ partition: 0, key: "k", value: Buffer.alloc(bytes, "x") }]);
        return "";
      } catch (error) {
        return String(error);
      }
    };
    const check = async () => {
      expect(await produce("described", 2500)).toBe("");
      expect(await produce("described", 3500)).toContain("MESSAGE_TOO_LARGE");
      expect(await produce("changed", 2500)).toContain("MESSAGE_TOO_LARGE");
    };
    await check();
    await target.restart();
    await check();
    expect(lineOf(await show("brokers", "1"), "log.cleaner.threads")).toContain("log.cleaner.threads=2 ");
    expect(await remove("brokers", null, "message.max.bytes")).toEqual([
      "Completed updating default config for brokers in the cluster.",
    ]);
    expect(await produce("described", 3500)).toBe("");
    await remove("topics", "changed", "max.message.bytes");
    expect(await produce("changed", 3500)).toBe("");
  }, 90_000);

  test("of loggers", async () => {
    const level = targetKind === "binary" ? "INFO" : "WARN";
    expect(lineOf(await show("broker-loggers", "1"), "root")).toBe(`root=${level} sensitive=false synonyms={}`);
    expect(await add("broker-loggers", "1", "root=DEBUG")).toEqual(["Completed updating config for broker-logger 1."]);
    expect(lineOf(await show("broker-loggers", "1"), "root")).toBe("root=DEBUG sensitive=false synonyms={}");
    if (targetKind === "binary") expect(target.log()).toContain(" debug ");
    await add("broker-loggers", "1", `root=${level}`);
    expect((await add("broker-loggers", "1", "nobody=INFO")).join(" ")).toContain("nobody");
  }, 60_000);

  test("of groups and of client metrics", async () => {
    expect(await add("groups", "g", "consumer.session.timeout.ms=50000")).toEqual(["Completed updating config for group g."]);
    expect(await show("groups", "g")).toEqual([
      "Dynamic configs for group g are:",
      "consumer.session.timeout.ms=50000 sensitive=false synonyms={DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000, DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000}",
    ]);
    expect((await add("groups", "g", "consumer.session.timeout.ms=1")).join(" ")).toContain(
      "consumer.session.timeout.ms must be",
    );
    expect(await add("client-metrics", "m", "interval.ms=1000,metrics=[a,b]")).toEqual([
      "Completed updating config for client-metric m.",
    ]);
    expect((await show("client-metrics", "m")).join(" ")).toContain("interval.ms=1000");
    expect((await add("client-metrics", "m", "interval.ms=1")).join(" ")).toContain("interval must be between 100 and 3600000");
    // Listing finds what is set for resources that are nowhere else.
    const listed = (await configs("--entity-type", "client-metrics", "--describe")).join(" ");
    expect(listed).toContain("interval.ms=1000");
  }, 60_000);
});

describe("the admin clients of", () => {
  test.each([franzGo, librdkafka, kafkajs, platformatic])(
    "$name describe a topic's configs and change them",
    async ({ name, start }) => {
      const driver = start(target.bootstrap) as ProcessDriver;
      try {
        const topic = `of-${name.replaceAll(/[^a-z]/g, "-")}`;
        await driver.createTopic(topic, 1, { "retention.ms": "1000" });
        const config = async (name: string) => (await driver.ask<{ value: string | null }>("topicConfig", { topic, name })).value;
        expect([await config("retention.ms"), await config("segment.bytes")]).toEqual(["1000", "1073741824"]);
        await driver.ask("setTopicConfig", { topic, name: "retention.ms", value: "2000" });
        expect(await config("retention.ms")).toBe("2000");
        const refused = driver.ask("setTopicConfig", { topic, name: "retention.ms", value: "soon" }).then(
          () => "accepted",
          (error) => String(error),
        );
        expect(await refused).toMatch(/invalid|INVALID|Not a number/);
      } finally {
        await driver.close();
      }
    },
    60_000,
  );
});
