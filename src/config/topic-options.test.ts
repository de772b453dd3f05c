import { describe, expect, test } from "bun:test";
import { LONG_MAX } from "./option.ts";
import { defaultServerConfig } from "./server-options.ts";
import {
  checkTopicConfigs,
  effectiveTopicConfig,
  topicConfigText,
  topicDefaultText,
  topicOption,
  topicOptions,
} from "./topic-options.ts";

const server = defaultServerConfig();
const check = (configs: Record<string, string | null>) => checkTopicConfigs(Object.entries(configs), server);

/** What Kafka 4.4's LogConfig defines, with type and default as a broker without configuration describes them. */
const KAFKA: readonly [name: string, type: string, value: string][] = [
  ["segment.bytes", "INT", "1073741824"],
  ["segment.ms", "LONG", "604800000"],
  ["segment.jitter.ms", "LONG", "0"],
  ["segment.index.bytes", "INT", "10485760"],
  ["flush.messages", "LONG", "9223372036854775807"],
  ["flush.ms", "LONG", "9223372036854775807"],
  ["retention.bytes", "LONG", "-1"],
  ["retention.ms", "LONG", "604800000"],
  ["max.message.bytes", "INT", "1048588"],
  ["index.interval.bytes", "INT", "4096"],
  ["delete.retention.ms", "LONG", "86400000"],
  ["min.compaction.lag.ms", "LONG", "0"],
  ["max.compaction.lag.ms", "LONG", "9223372036854775807"],
  ["file.delete.delay.ms", "LONG", "60000"],
  ["min.cleanable.dirty.ratio", "DOUBLE", "0.5"],
  ["cleanup.policy", "LIST", "delete"],
  ["unclean.leader.election.enable", "BOOLEAN", "false"],
  ["min.insync.replicas", "INT", "1"],
  ["compression.type", "STRING", "producer"],
  ["compression.gzip.level", "INT", "-1"],
  ["compression.lz4.level", "INT", "9"],
  ["compression.zstd.level", "INT", "3"],
  ["preallocate", "BOOLEAN", "false"],
  ["message.timestamp.type", "STRING", "CreateTime"],
  ["message.timestamp.before.max.ms", "LONG", "9223372036854775807"],
  ["message.timestamp.after.max.ms", "LONG", "3600000"],
  ["leader.replication.throttled.replicas", "LIST", ""],
  ["follower.replication.throttled.replicas", "LIST", ""],
  ["remote.storage.enable", "BOOLEAN", "false"],
  ["local.retention.ms", "LONG", "-2"],
  ["local.retention.bytes", "LONG", "-2"],
  ["remote.log.copy.disable", "BOOLEAN", "false"],
  ["remote.copy.lag.ms", "LONG", "0"],
  ["remote.copy.lag.bytes", "LONG", "-1"],
  ["remote.log.delete.on.disable", "BOOLEAN", "false"],
  ["errors.deadletterqueue.group.enable", "BOOLEAN", "false"],
];

test("the names, types and defaults are Kafka's", () => {
  const listed = topicOptions.filter(({ internal }) => !internal);
  expect(listed.map((option) => [option.name, option.type, topicDefaultText(option, server)])).toEqual(
    KAFKA.map((row) => [...row]),
  );
});

describe("checking, in Kafka's words", () => {
  test("good configs", () => {
    expect(check({})).toBeNull();
    expect(
      check({ "segment.bytes": "1048576", "retention.ms": "-1", preallocate: "TRUE", "cleanup.policy": "compact, delete" }),
    ).toBeNull();
    expect(
      check({ "cleanup.policy": "", "retention.bytes": "-9223372036854775808", "min.cleanable.dirty.ratio": "1e-1" }),
    ).toBeNull();
    expect(
      check({ "leader.replication.throttled.replicas": "0:1,1:2", "follower.replication.throttled.replicas": "*" }),
    ).toBeNull();
    expect(check({ "compression.gzip.level": "-1", "internal.segment.bytes": "100" })).toBeNull();
  });

  const bad: readonly [Record<string, string | null>, string][] = [
    [{ "no.such": "1" }, "Unknown topic config name: no.such"],
    [{ "segment.ms": null, "retention.ms": null }, "Null value not supported for topic configs: segment.ms,retention.ms"],
    [{ "segment.bytes": "1000" }, "Invalid value 1000 for configuration segment.bytes: Value must be at least 1048576"],
    [{ "segment.bytes": "2147483648" }, "Invalid value 2147483648 for configuration segment.bytes: Not a number of type INT"],
    [{ "retention.ms": "soon" }, "Invalid value soon for configuration retention.ms: Not a number of type LONG"],
    [
      { "retention.ms": "9223372036854775808" },
      "Invalid value 9223372036854775808 for configuration retention.ms: Not a number of type LONG",
    ],
    [{ preallocate: "1" }, "Invalid value 1 for configuration preallocate: Expected value to be either true or false"],
    [
      { "cleanup.policy": "shred" },
      "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete",
    ],
    [{ "cleanup.policy": "delete,delete" }, "Configuration 'cleanup.policy' values must not be duplicated."],
    [{ "cleanup.policy": "delete," }, "Configuration 'cleanup.policy' values must not be empty."],
    [
      { "compression.type": "none" },
      "Invalid value none for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
    ],
    [
      { "compression.gzip.level": "0" },
      "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
    ],
    [
      { "compression.lz4.level": "18" },
      "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17",
    ],
    [
      { "message.timestamp.type": "createtime" },
      "Invalid value createtime for configuration message.timestamp.type: String must be one of: CreateTime, LogAppendTime",
    ],
    [
      { "min.compaction.lag.ms": "2", "max.compaction.lag.ms": "1" },
      "conflict topic config setting min.compaction.lag.ms (2) > max.compaction.lag.ms (1)",
    ],
    [
      { "remote.storage.enable": "true" },
      "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
    ],
  ];
  for (const [configs, message] of bad) test(JSON.stringify(configs), () => expect(check(configs)).toBe(message));
});

describe("the effective config", () => {
  test("follows the server's options where the topic says nothing", () => {
    const config = effectiveTopicConfig(
      new Map(),
      defaultServerConfig({ logSegmentMs: 5, messageMaxBytes: 7, logSegmentBytes: 2048 }),
    );
    expect([config.segmentMs, config.maxMessageBytes, config.segmentBytes, config.retentionMs]).toEqual([
      5, 7, 2048, 604_800_000,
    ]);
    expect([config.flushMessages, config.cleanupPolicy, config.minCleanableDirtyRatio]).toEqual([LONG_MAX, ["delete"], 0.5]);
  });

  test("has the topic's own values", () => {
    const overrides = new Map([
      ["segment.bytes", " 1048576 "],
      ["cleanup.policy", "compact , delete"],
      ["preallocate", "True"],
    ]);
    const config = effectiveTopicConfig(overrides, server);
    expect([config.segmentBytes, config.cleanupPolicy, config.preallocate]).toEqual([1_048_576, ["compact", "delete"], true]);
  });

  test("takes the internal segment size before the public one", () => {
    const overrides = new Map([
      ["segment.bytes", "1048576"],
      ["internal.segment.bytes", "100"],
    ]);
    expect(effectiveTopicConfig(overrides, server).segmentBytes).toBe(100);
  });
});

test("values are described as Java writes them", () => {
  const described = (name: string, text: string) => topicConfigText(topicOption(name)!, new Map([[name, text]]), server);
  expect(described("retention.ms", "+9223372036854775806")).toBe("9223372036854775806");
  expect(described("cleanup.policy", "compact, delete")).toBe("compact,delete");
  expect(described("preallocate", "TRUE")).toBe("true");
  expect([described("min.cleanable.dirty.ratio", "1"), described("min.cleanable.dirty.ratio", "0.0001")]).toEqual([
    "1.0",
    "1.0E-4",
  ]);
  expect(topicOption("no.such")).toBeUndefined();
});
