/**
 * The configs of a topic: every name that Kafka 4.4 documents, so that tools can set and describe them. Names, types, limits and
 * messages follow Kafka's LogConfig and ConfigDef.
 *
 * How a row says that it acts: `acts: true`, once quarkmq does what it asks for; then it leaves the README's list of names without
 * effect. Where the server has an option for the default, the row reads it (`(c) => c.logSegmentBytes`); otherwise the constant is
 * the built-in default, and the name in `server` overrides it when somebody sets that (see broker-configs.ts). Either way a change
 * of the server's default reaches the topics that do not set their own.
 */
import {
  anything,
  atLeast,
  between,
  type Check,
  type ConfigKey,
  type ConfigType,
  configText,
  gzipLevel,
  invalidValue,
  numberText,
  oneOf,
  parseConfig,
  parseType,
  someOf,
} from "./config-def.ts";
import { INT_MAX, LONG_MAX } from "./option.ts";
import type { ServerConfig } from "./server-options.ts";

export interface TopicOption<T> extends ConfigKey {
  /** The value of a topic that does not set it, from the options of the server. */
  readonly fromServer: (config: ServerConfig) => T;
  /** Kafka's server-wide name for the same ("log.segment.bytes"), or null. */
  readonly serverName: string | null;
  /** Whether quarkmq does what it asks for. Where false it is stored, described, and has no effect yet. */
  readonly acts: boolean;
  /** Accepted but not listed by DescribeConfigs: for tests. */
  readonly internal: boolean;
  readonly doc: string;
  readonly check: Check<never>;
}

const MIB = 1024 * 1024;
const DAY_MS = 24 * 3_600_000;

const throttledReplicas: Check<readonly string[]> = (values, name) =>
  values.every((value) => /^(\d+:\d+)?$/.test(value.trim())) || values.join("").trim() === "*"
    ? null
    : invalidValue(
        name,
        `[${values.join(", ")}]`,
        `${name} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...`,
      );

interface Rest {
  readonly server?: string;
  readonly acts?: boolean;
  readonly internal?: boolean;
  readonly doc: string;
}
function declare<T>(
  type: ConfigType,
  name: string,
  from: T | ((c: ServerConfig) => T),
  check: Check<T>,
  rest: Rest,
): TopicOption<T> {
  const { server = null, acts = false, internal = false, doc } = rest;
  const fromKafkaName = (c: ServerConfig): T => {
    const text = server === null ? undefined : c.kafka.get(server);
    const parsed = text === undefined ? undefined : parseType({ name, type, check }, text);
    return typeof parsed === "object" ? (parsed.value as T) : (from as T);
  };
  const fromServer = typeof from === "function" ? (from as (c: ServerConfig) => T) : fromKafkaName;
  return { name, type, fromServer, serverName: server, acts, internal, doc, check };
}
const int = (name: string, from: number | ((c: ServerConfig) => number), check: Check<number>, rest: Rest) =>
  declare<number>("INT", name, from, check, rest);
const long = (name: string, from: number | ((c: ServerConfig) => number), check: Check<number>, rest: Rest) =>
  declare<number>("LONG", name, from, check, rest);
const bool = (name: string, from: boolean, rest: Rest) => declare<boolean>("BOOLEAN", name, from, anything, rest);
const list = (name: string, from: readonly string[], check: Check<readonly string[]>, rest: Rest) =>
  declare<readonly string[]>("LIST", name, from, check, rest);

/** Field of `TopicConfig` → declaration. */
const declared = {
  segmentBytes: int("segment.bytes", (c) => c.logSegmentBytes, atLeast(MIB), {
    server: "log.segment.bytes",
    acts: true,
    doc: "A segment file is closed and a new one begun at this size.",
  }),
  segmentMs: long("segment.ms", (c) => c.logSegmentMs, atLeast(1), {
    server: "log.roll.ms",
    acts: true,
    doc: "A segment file is closed when its first record is this old, full or not.",
  }),
  segmentJitterMs: long("segment.jitter.ms", (c) => c.logSegmentJitterMs, atLeast(0), {
    server: "log.roll.jitter.ms",
    acts: true,
    doc: "Up to this much, by chance, is taken off segment.ms, so that partitions do not all begin new segments together.",
  }),
  segmentIndexBytes: int("segment.index.bytes", (c) => c.logIndexMaxBytes, atLeast(4), {
    server: "log.index.size.max.bytes",
    acts: true,
    doc: "The largest size of an index file; a segment is closed when its index is full.",
  }),
  flushMessages: long("flush.messages", LONG_MAX, atLeast(1), {
    server: "log.flush.interval.messages",
    doc: "Kafka syncs after this many records. quarkmq syncs every write before it acknowledges it, unless it runs with durability = page-cache.",
  }),
  flushMs: long("flush.ms", LONG_MAX, atLeast(0), {
    server: "log.flush.interval.ms",
    doc: "Kafka syncs after this time. quarkmq syncs every write before it acknowledges it, unless it runs with durability = page-cache.",
  }),
  retentionBytes: long("retention.bytes", (c) => c.logRetentionBytes, anything, {
    server: "log.retention.bytes",
    acts: true,
    doc: "With the policy delete: the oldest segments of a partition are removed above this size; -1 is no limit.",
  }),
  retentionMs: long("retention.ms", (c) => c.logRetentionMs, atLeast(-1), {
    server: "log.retention.ms",
    acts: true,
    doc: "With the policy delete: segments are removed when all their records are older than this; -1 is no limit.",
  }),
  maxMessageBytes: int("max.message.bytes", (c) => c.messageMaxBytes, atLeast(0), {
    server: "message.max.bytes",
    acts: true,
    doc: "The largest batch of records that the topic takes, after compression.",
  }),
  maxDecompressedMessageBytes: int("max.decompressed.message.bytes", INT_MAX - 8, between(1, INT_MAX - 8), {
    server: "max.decompressed.message.bytes",
    acts: true,
    doc: "The largest single record of a compressed batch that the topic takes, unpacked.",
  }),
  indexIntervalBytes: int("index.interval.bytes", (c) => c.logIndexIntervalBytes, atLeast(0), {
    server: "log.index.interval.bytes",
    acts: true,
    doc: "One index entry is written for about this many bytes of log.",
  }),
  deleteRetentionMs: long("delete.retention.ms", DAY_MS, atLeast(0), {
    server: "log.cleaner.delete.retention.ms",
    acts: true,
    doc: "With the policy compact: how long the mark of a deleted key is kept.",
  }),
  minCompactionLagMs: long("min.compaction.lag.ms", 0, atLeast(0), {
    server: "log.cleaner.min.compaction.lag.ms",
    acts: true,
    doc: "With the policy compact: a record is not compacted away before it is this old.",
  }),
  maxCompactionLagMs: long("max.compaction.lag.ms", LONG_MAX, atLeast(1), {
    server: "log.cleaner.max.compaction.lag.ms",
    acts: true,
    doc: "With the policy compact: a record waits at most this long for compaction.",
  }),
  fileDeleteDelayMs: long("file.delete.delay.ms", (c) => c.logSegmentDeleteDelayMs, atLeast(0), {
    server: "log.segment.delete.delay.ms",
    acts: true,
    doc: "How long a removed segment's files stay on the disk.",
  }),
  minCleanableDirtyRatio: declare<number>("DOUBLE", "min.cleanable.dirty.ratio", 0.5, between(0, 1), {
    server: "log.cleaner.min.cleanable.ratio",
    acts: true,
    doc: "With the policy compact: the share of a log that must be new before it is compacted again.",
  }),
  cleanupPolicy: list("cleanup.policy", ["delete"], someOf(["compact", "delete"]), {
    server: "log.cleanup.policy",
    acts: true,
    doc: "What happens to old records: delete (by age and size), compact (the last of each key stays), both, or nothing when empty.",
  }),
  uncleanLeaderElectionEnable: bool("unclean.leader.election.enable", false, {
    server: "unclean.leader.election.enable",
    doc: "Whether a replica that may lack records can become leader when no other is left.",
  }),
  minInsyncReplicas: int("min.insync.replicas", (c) => c.minInsyncReplicas, atLeast(1), {
    server: "min.insync.replicas",
    acts: true, // as in Kafka, where a partition with one replica never needs more
    doc: "How many replicas must have a record that is written with acks=all; of a partition with fewer replicas, all.",
  }),
  compressionType: declare<string>(
    "STRING",
    "compression.type",
    (c) => c.compressionType,
    oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
    { server: "compression.type", acts: true, doc: "How batches are stored; producer keeps what the producer chose." },
  ),
  compressionGzipLevel: int("compression.gzip.level", -1, gzipLevel, {
    server: "compression.gzip.level",
    acts: true,
    doc: "The level when compression.type is gzip.",
  }),
  compressionLz4Level: int("compression.lz4.level", 9, between(1, 17), {
    server: "compression.lz4.level",
    acts: true,
    doc: "The level when compression.type is lz4.",
  }),
  compressionZstdLevel: int("compression.zstd.level", 3, between(-131_072, 22), {
    server: "compression.zstd.level",
    acts: true,
    doc: "The level when compression.type is zstd.",
  }),
  preallocate: bool("preallocate", false, {
    server: "log.preallocate",
    doc: "Whether a new segment file takes its whole size at once.",
  }),
  messageTimestampType: declare<string>(
    "STRING",
    "message.timestamp.type",
    (c) => c.messageTimestampType,
    oneOf("CreateTime", "LogAppendTime"),
    {
      server: "log.message.timestamp.type",
      acts: true,
      doc: "Whether a record has the time that its producer gave it, or the time at which it was appended.",
    },
  ),
  messageTimestampBeforeMaxMs: long("message.timestamp.before.max.ms", (c) => c.messageTimestampBeforeMaxMs, atLeast(0), {
    server: "log.message.timestamp.before.max.ms",
    acts: true,
    doc: "How far a producer's time may lie in the past. Not applied with LogAppendTime.",
  }),
  messageTimestampAfterMaxMs: long("message.timestamp.after.max.ms", (c) => c.messageTimestampAfterMaxMs, atLeast(0), {
    server: "log.message.timestamp.after.max.ms",
    acts: true,
    doc: "How far a producer's time may lie in the future. Not applied with LogAppendTime.",
  }),
  leaderReplicationThrottledReplicas: list("leader.replication.throttled.replicas", [], throttledReplicas, {
    doc: "Replicas whose replication is slowed down on the leader's side: partition:broker pairs, or * for all.",
  }),
  followerReplicationThrottledReplicas: list("follower.replication.throttled.replicas", [], throttledReplicas, {
    doc: "Replicas whose replication is slowed down on the follower's side: partition:broker pairs, or * for all.",
  }),
  remoteStorageEnable: bool("remote.storage.enable", false, { doc: "Tiered storage, which quarkmq does not have." }),
  localRetentionMs: long("local.retention.ms", -2, atLeast(-2), {
    server: "log.local.retention.ms",
    doc: "With tiered storage: how long segments stay on the local disk.",
  }),
  localRetentionBytes: long("local.retention.bytes", -2, atLeast(-2), {
    server: "log.local.retention.bytes",
    doc: "With tiered storage: how many bytes of a partition stay on the local disk.",
  }),
  remoteLogCopyDisable: bool("remote.log.copy.disable", false, { doc: "With tiered storage: stop copying." }),
  remoteCopyLagMs: long("remote.copy.lag.ms", 0, atLeast(-1), {
    server: "log.remote.copy.lag.ms",
    doc: "With tiered storage: how old a segment must be before it is copied.",
  }),
  remoteCopyLagBytes: long("remote.copy.lag.bytes", -1, atLeast(-1), {
    server: "log.remote.copy.lag.bytes",
    doc: "With tiered storage: how many newer bytes there must be before a segment is copied.",
  }),
  remoteLogDeleteOnDisable: bool("remote.log.delete.on.disable", false, {
    doc: "With tiered storage: remove what was copied when it is turned off.",
  }),
  errorsDeadletterqueueGroupEnable: bool("errors.deadletterqueue.group.enable", false, {
    doc: "Whether share groups may use the topic for records that they could not deliver (KIP-1191).",
  }),
  internalSegmentBytes: int("internal.segment.bytes", 0, anything, {
    acts: true,
    internal: true,
    doc: "Overrides segment.bytes without its lower limit: for tests.",
  }),
};

type ValueOf<O> = O extends TopicOption<infer T> ? T : never;

/** The effective configs of one topic: flat, units last in the names. Numbers above 2^53 are rounded; Long.MAX is LONG_MAX. */
export type TopicConfig = { readonly [K in keyof typeof declared]: ValueOf<(typeof declared)[K]> };

/** Every config of a topic, in Kafka's order. */
export const topicOptions: readonly TopicOption<unknown>[] = Object.values(declared) as unknown as TopicOption<unknown>[];
const optionByName = new Map(topicOptions.map((option) => [option.name, option]));

/** The config of this name, or undefined when Kafka has none. */
export const topicOption = (name: string): TopicOption<unknown> | undefined => optionByName.get(name);

/** What a server's default for a config is, as DescribeConfigs writes it. */
export const topicDefaultText = (option: TopicOption<unknown>, config: ServerConfig): string =>
  configText(option.type, option.fromServer(config));

/** The effective value of one config, as DescribeConfigs writes it. */
export function topicConfigText(
  option: TopicOption<unknown>,
  overrides: ReadonlyMap<string, string>,
  config: ServerConfig,
): string {
  const override = overrides.get(option.name);
  const parsed = override === undefined ? undefined : parseType(option, override);
  return typeof parsed === "object" ? parsed.text : topicDefaultText(option, config);
}

/**
 * Checks the configs that a topic is to have in all (existing and new). Null when they are good, otherwise the message of an
 * INVALID_CONFIG error, as ControllerConfigurationValidator and LogConfig.validate give it.
 */
export function checkTopicConfigs(configs: Iterable<readonly [string, string | null]>, config: ServerConfig): string | null {
  const given = new Map<string, string>();
  const nulls: string[] = [];
  for (const [name, value] of configs) {
    if (value === null) nulls.push(name);
    else given.set(name, value);
  }
  if (nulls.length > 0) return `Null value not supported for topic configs: ${nulls.join(",")}`;
  for (const name of given.keys()) if (!optionByName.has(name)) return `Unknown topic config name: ${name}`;
  for (const [name, text] of given) {
    const parsed = parseConfig(optionByName.get(name)!, text);
    if (typeof parsed === "string") return parsed;
  }
  return checkTogether(effectiveTopicConfig(given, config));
}

function checkTogether(c: TopicConfig): string | null {
  if (c.minCompactionLagMs > c.maxCompactionLagMs)
    return `conflict topic config setting min.compaction.lag.ms (${numberText(c.minCompactionLagMs)}) > max.compaction.lag.ms (${numberText(c.maxCompactionLagMs)})`;
  if (c.remoteStorageEnable)
    return "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.";
  return null;
}

/** A topic's own configs over the server's defaults. A stored value that does not parse (it was checked before) counts as not set. */
export function effectiveTopicConfig(overrides: ReadonlyMap<string, string>, config: ServerConfig): TopicConfig {
  const values: Record<string, unknown> = {};
  for (const [field, option] of Object.entries(declared) as [string, TopicOption<unknown>][]) {
    const text = overrides.get(option.name);
    const parsed = text === undefined ? undefined : parseType(option, text);
    values[field] = typeof parsed === "object" ? parsed.value : option.fromServer(config);
  }
  // Kafka's LogConfig.segmentSize: the internal one wins where it is set.
  if ((values.internalSegmentBytes as number) > 0) values.segmentBytes = values.internalSegmentBytes;
  return Object.freeze(values) as TopicConfig;
}
