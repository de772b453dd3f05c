import { describe, expect, test } from "bun:test";
import { LONG_MAX } from "./option.ts";
import { defaultServerConfig } from "./server-options.ts";
import { checkTopicConfigs, effectiveTopicConfig, topicConfigText, topicOption } from "./topic-options.ts";

const server = defaultServerConfig();
const check = (configs: Record<string, string | null>) => checkTopicConfigs(Object.entries(configs), server);

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
