import { describe, expect, test } from "bun:test";
import { parse } from "smol-toml";
import { parseArguments } from "./arguments.ts";
import { loadServerConfig } from "./load.ts";
import { allServerOptions, defaultServerConfig } from "./server-options.ts";

describe("the table", () => {
  test("gives the names of the specification", () => {
    const named = (key: string) => allServerOptions.find((option) => option.key === key)!;
    expect(["server.bind", "broker.data_dir", "broker.node_id"].map((key) => [named(key).env, named(key).flag])).toEqual([
      ["QUARKMQ_BIND", "--bind"],
      ["QUARKMQ_DATA_DIR", "--data-dir"],
      ["QUARKMQ_NODE_ID", "--node-id"],
    ]);
    for (const key of ["log.segment_bytes", "log.index_interval_bytes", "defaults.num_partitions"])
      expect(named(key)).toBeDefined();
  });

  test("uses no name twice", () => {
    for (const names of [
      allServerOptions.map(({ key }) => key),
      allServerOptions.map(({ env }) => env),
      allServerOptions.map(({ flag }) => flag),
      allServerOptions.flatMap(({ kafka }) => kafka.map(({ name }) => name)),
    ])
      expect(names.length).toBe(new Set(names).size);
  });

  test("accepts each default, and reads it back as it is written", () => {
    for (const { key, kind, default: value } of allServerOptions) {
      expect([key, kind.parse(kind.text(value))]).toEqual([key, value]);
      const toml = parse(`value = ${kind.toml(value)}`, { integersAsBigInt: true });
      expect([key, kind.fromToml(toml.value)]).toEqual([key, value]);
    }
  });

  test("has defaults that are Kafka's where Kafka has the option", () => {
    // Kafka 4.4: ServerConfigs, ServerLogConfigs, LogConfig, SocketServerConfigs, GroupCoordinatorConfig, TransactionLogConfig
    expect(defaultServerConfig()).toMatchObject({
      logSegmentBytes: 1_073_741_824,
      logSegmentMs: 604_800_000,
      logSegmentJitterMs: 0,
      logIndexIntervalBytes: 4096,
      logIndexMaxBytes: 10_485_760,
      numPartitions: 1,
      defaultReplicationFactor: 1,
      autoCreateTopicsEnable: true,
      deleteTopicEnable: true,
      messageMaxBytes: 1_048_588,
      messageTimestampType: "CreateTime",
      messageTimestampAfterMaxMs: 3_600_000,
      compressionType: "producer",
      minInsyncReplicas: 1,
      producerIdExpirationMs: 86_400_000,
      fetchMaxBytes: 57_671_680,
      maxFetchSessions: 1000,
      socketRequestMaxBytes: 104_857_600,
      connectionsMaxIdleMs: 600_000,
      offsetsTopicNumPartitions: 50,
      offsetsTopicSegmentBytes: 104_857_600,
      offsetMetadataMaxBytes: 4096,
      offsetsCommitTimeoutMs: 5000,
      groupInitialRebalanceDelayMs: 3000,
      groupMinSessionTimeoutMs: 6000,
      groupMaxSessionTimeoutMs: 1_800_000,
    });
  });
});

describe("config/quarkmq.toml", async () => {
  const text = await Bun.file(`${import.meta.dir}/../../config/quarkmq.toml`).text();
  const load = (file: string) => loadServerConfig({ arguments: parseArguments([]), env: {}, readText: () => file });
  /** A line that begins with # and no blank is an option; with a blank, it is prose. */
  const uncommented = text.replace(/^#(?=\S)/gm, "");

  test("as it stands, changes nothing", () => {
    const { config, origins } = load(text);
    expect(config).toEqual(defaultServerConfig());
    expect(new Set(Object.values(origins).map(({ source }) => source))).toEqual(new Set(["default"]));
  });

  test("shows every option with its default", () => {
    const { config, origins } = load(uncommented);
    expect(config).toEqual(defaultServerConfig());
    expect(new Set(Object.values(origins).map(({ source }) => source))).toEqual(new Set(["file"]));
  });

  test("names Kafka's names", () => {
    for (const { kafka } of allServerOptions) for (const { name } of kafka) expect(text).toContain(name);
  });

  test("has an example below [kafka] that is accepted", () => {
    const example = [...text.slice(text.lastIndexOf("[kafka]")).matchAll(/^# {3}(\S+ = .*)$/gm)].map((match) => match[1]);
    expect(example.length).toBeGreaterThan(1);
    expect(() => load(`[kafka]\n${example.join("\n")}\n`)).not.toThrow();
  });
});
