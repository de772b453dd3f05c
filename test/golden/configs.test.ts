/** What Kafka's own classes say of every config (Configs.java) against our tables: names, types, defaults, modes, what is refused and how. */
import { describe, expect, test } from "bun:test";
import { type BrokerConfig, brokerConfig, brokerConfigs } from "../../src/config/broker-configs.ts";
import { checkClientMetrics, clientMetricsOption, clientMetricsOptions } from "../../src/config/client-metrics-configs.ts";
import { type ConfigKey, parseConfig } from "../../src/config/config-def.ts";
import { checkGroupConfigs, groupDefaultText, groupOption, groupOptions } from "../../src/config/group-configs.ts";
import { allServerOptions, defaultServerConfig } from "../../src/config/server-options.ts";
import { checkTopicConfigs, topicDefaultText, topicOption, topicOptions } from "../../src/config/topic-options.ts";

interface Line {
  readonly scope: "broker" | "broker quota" | "topic" | "group" | "client-metrics";
  readonly name: string;
  readonly type: string;
  readonly default: string | null;
  readonly internal: boolean;
  readonly mode: string;
  /** The name of the same for the whole server. */
  readonly server: string | null;
  /** A text, and the value as Kafka writes it, or the message of its refusal. */
  readonly cases: readonly [text: string, value: string | null, message: string | null][];
}

/** Configs that a topic, group or subscription is to have in all, and what Kafka says of them: null, or an exception. */
interface SetLine {
  readonly set: "topic" | "group" | "client-metrics";
  readonly configs: readonly [name: string, text: string][];
  readonly error: "ConfigException" | "InvalidConfigurationException" | "InvalidRequestException" | null;
  readonly message: string | null;
}

const packed = await Bun.file(new URL("configs.jsonl.gz", import.meta.url)).bytes();
const all: (Line | SetLine)[] = new TextDecoder()
  .decode(Bun.gunzipSync(packed))
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line));
const lines = all.filter((line): line is Line => "scope" in line);
const sets = (scope: SetLine["set"]) => all.filter((line): line is SetLine => "set" in line && line.set === scope);
const of = (...scopes: Line["scope"][]) => lines.filter(({ scope }) => scopes.includes(scope));

/** Checks that need to know the machine or Java, which ours do not do: whatever the type reads is kept. */
const UNCHECKED: ReadonlySet<string> = new Set(["controller.quorum.voters", "controller.quorum.bootstrap.servers"]);

function differences(line: Line, key: ConfigKey): unknown[] {
  if (UNCHECKED.has(line.name)) return [];
  return line.cases.flatMap(([text, value, message]) => {
    const parsed = parseConfig(key, text);
    const ours = typeof parsed === "string" ? [null, parsed] : [parsed.text, null];
    return ours[0] === value && ours[1] === message ? [] : [{ name: line.name, text, kafka: value ?? message, ours }];
  });
}

describe("a broker's configs", () => {
  const kafka = of("broker", "broker quota");

  test("are all of Kafka's, and no others", () => {
    expect(brokerConfigs.map(({ name }) => name).sort()).toEqual(kafka.map(({ name }) => name).sort());
    expect(brokerConfigs.length).toBeGreaterThan(370);
  });

  test("have Kafka's types, defaults and modes; those for quotas are described when they are set", () => {
    const row = ({ name, type, default: value, mode, internal }: BrokerConfig) => ({ name, type, value, mode, internal });
    const theirs = ({ scope, name, type, default: value, mode, internal }: Line) => ({
      name,
      type,
      value,
      mode,
      internal: internal || scope === "broker quota",
    });
    expect(kafka.map(({ name }) => row(brokerConfig(name)!))).toEqual(kafka.map(theirs) as ReturnType<typeof row>[]);
  });

  test("read and refuse what Kafka does, in its words", () => {
    expect(kafka.flatMap((line) => differences(line, brokerConfig(line.name)!))).toEqual([]);
  });

  test("all have a documentation", () => {
    const claimed = new Set(allServerOptions.flatMap(({ kafka }) => kafka.map(({ name }) => name)));
    for (const { name, doc } of brokerConfigs) if (!claimed.has(name)) expect([name, doc.endsWith(".")]).toEqual([name, true]);
  });
});

/** Options whose default is not Kafka's, and why. */
const OTHER_DEFAULTS: Record<string, string> = {
  "node.id": "Kafka has none",
  "broker.id": "the other name of node.id",
  "log.dir": "a directory of our own",
  listeners: "the address that is bound is written out",
  "socket.send.buffer.bytes": "measured: many readers get up to two thirds more a second",
  "max.connections": "every bound that a client can reach is finite",
  "queued.max.request.bytes": "every bound that a client can reach is finite",
  "group.max.size": "every bound that a client can reach is finite",
  "group.consumer.max.size": "every bound that a client can reach is finite",
  "group.coordinator.rebalance.protocols": "streams groups are not served",
  "group.consumer.migration.policy": "a group with members keeps its protocol",
  "log.flush.offset.checkpoint.interval.ms": "it costs no sync of its own, and bounds what is checked after a crash",
};

test("an option that has a name of Kafka's is known there, with Kafka's default unless there is a reason", () => {
  const server = defaultServerConfig();
  for (const { kafka, kind, field } of allServerOptions) {
    for (const { name, read } of kafka) {
      const config = brokerConfig(name);
      expect([name, config]).not.toEqual([name, undefined]);
      if (config!.default === null || name in OTHER_DEFAULTS) continue;
      expect([name, read(config!.default)]).toEqual([name, kind.text(server[field])]);
    }
  }
  for (const name of Object.keys(OTHER_DEFAULTS)) expect([name, brokerConfig(name)]).not.toEqual([name, undefined]);
});

describe("a topic's configs", () => {
  const kafka = of("topic");

  test("are all of Kafka's, in its order, with its types and defaults", () => {
    const server = defaultServerConfig();
    const ours = topicOptions.map((option) => ({
      name: option.name,
      type: option.type,
      value: option.internal ? null : topicDefaultText(option, server),
      internal: option.internal,
      server: option.serverName,
    }));
    expect(ours).toEqual(
      kafka.map(({ name, type, default: value, internal, server }) => ({ name, type, value, internal, server })) as typeof ours,
    );
  });

  test("read and refuse what Kafka does, in its words", () => {
    expect(kafka.flatMap((line) => differences(line, topicOption(line.name)!))).toEqual([]);
  });

  test("together are good or refused as in Kafka, with INVALID_CONFIG", () => {
    for (const { configs, error, message } of sets("topic")) {
      expect([configs, checkTopicConfigs(configs, defaultServerConfig())]).toEqual([configs, message]);
      expect([null, "ConfigException", "InvalidConfigurationException"]).toContain(error);
    }
  });
});

describe("a group's configs", () => {
  const kafka = of("group");

  test("are all of Kafka's, in its order, with its types and defaults", () => {
    const server = defaultServerConfig();
    const ours = groupOptions.map((option) => ({
      name: option.name,
      type: option.type,
      value: option.default,
      internal: option.internal,
      server: option.serverName,
    }));
    expect(ours).toEqual(
      kafka.map(({ name, type, default: value, internal, server }) => ({ name, type, value, internal, server })) as typeof ours,
    );
    for (const option of groupOptions) {
      const value = option.name === "streams.assignor.name" ? "sticky" : option.default; // the first of a list
      expect([option.name, groupDefaultText(option, server)]).toEqual([option.name, value]);
      for (const bound of [option.minName, option.maxName]) if (bound !== null) expect(brokerConfig(bound)?.type).toBe("INT");
    }
  });

  test("read and refuse what Kafka does, in its words", () => {
    expect(kafka.flatMap((line) => differences(line, groupOption(line.name)!))).toEqual([]);
  });

  test("together are good or refused as in Kafka, with INVALID_CONFIG", () => {
    for (const { configs, error, message } of sets("group")) {
      expect([configs, checkGroupConfigs(new Map(configs), defaultServerConfig())]).toEqual([configs, message]);
      expect([null, "ConfigException", "InvalidConfigurationException"]).toContain(error);
    }
  });
});

describe("a client-metrics subscription's configs", () => {
  const kafka = of("client-metrics");

  test("are all of Kafka's, with its types and defaults", () => {
    const ours = clientMetricsOptions.map(({ name, type, default: value }) => ({ name, type, value }));
    expect(ours).toEqual(kafka.map(({ name, type, default: value }) => ({ name, type, value })) as typeof ours);
  });

  test("read and refuse what Kafka does, in its words", () => {
    expect(kafka.flatMap((line) => differences(line, clientMetricsOption(line.name)!))).toEqual([]);
  });

  test("together are good or refused as in Kafka, with its error", () => {
    for (const { configs, error, message } of sets("client-metrics")) {
      const expected =
        error === null ? null : { error: error === "InvalidRequestException" ? "INVALID_REQUEST" : "INVALID_CONFIG", message };
      expect([configs, checkClientMetrics(new Map(configs))]).toEqual([
        configs,
        expected as ReturnType<typeof checkClientMetrics>,
      ]);
    }
  });
});
