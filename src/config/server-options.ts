/**
 * The options of the server: the one table that the TOML file, the environment, the command line, `--help`, `quarkmq config`,
 * Kafka's names and the type `ServerConfig` derive from. To add an option, add a line here and its lines in config/quarkmq.toml;
 * with a name of Kafka's, that config acts from then on (broker-configs.ts).
 */
import {
  boolean,
  bytes,
  decimal,
  INT_MAX,
  integer,
  LONG_MAX,
  listenAddress,
  listener,
  milliseconds,
  type Option,
  oneOf,
  option,
  orUnlimited,
  path,
  reachableAddress,
  scaled,
  someOf,
} from "./option.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Field of `ServerConfig` → option. The environment variable and the flag derive from the field: `dataDir` is QUARKMQ_DATA_DIR and --data-dir. */
export const serverOptions = {
  // [broker]
  nodeId: option("broker.node_id", integer(0, INT_MAX), 0, "The id of this broker.", [
    "node.id",
    { name: "broker.id", read: (text) => text, write: null },
  ]),
  dataDir: option(
    "broker.data_dir",
    path,
    "/tmp/quarkmq/data",
    "Where everything is kept. One broker at a time can use it. Choose a directory on a disk: most systems empty /tmp at start.",
    ["log.dirs", "log.dir"].map((name) => ({
      name,
      read: (text: string) => (text.includes(",") ? undefined : text),
      write: (text: string) => text,
      allowed: "one path (quarkmq keeps everything in one directory)",
    })),
  ),
  durability: option(
    "broker.durability",
    oneOf("sync", "page-cache"),
    "sync",
    '"sync": a write is acknowledged, and readable, once it is on the disk. "page-cache": once the operating system has it, as Kafka does by default; a power cut or a crash of the system can lose the last writes.',
  ),
  shutdownTimeoutMs: option("broker.shutdown_timeout_ms", milliseconds(0, DAY_MS), 30_000, "How long a clean shutdown may take."),
  syncFsThreshold: option(
    "broker.syncfs_threshold",
    integer(1, INT_MAX),
    8,
    "From this many changed files on, one syncfs call brings them to the disk together instead of one fdatasync for each.",
  ),
  journalBytes: option(
    "broker.journal_bytes",
    bytes(0),
    256 * MIB,
    "Size of the journal: one file through which records reach the disk in one write, whatever number of partitions they go to. It is made when many have been written to, and gone after a clean stop. 0 for none.",
  ),
  journalThreshold: option(
    "broker.journal_threshold",
    integer(0, INT_MAX),
    2,
    "While more partitions than this are written to at a time, the journal serves; it writes everything twice.",
  ),
  recoveryPointIntervalMs: option(
    "broker.recovery_point_interval_ms",
    milliseconds(0, HOUR_MS),
    1000,
    "How often at most the ends that are known to be on the disk are written down. After a crash only what lies above them is checked.",
    ["log.flush.offset.checkpoint.interval.ms"],
  ),
  openFilesMax: option(
    "broker.open_files_max",
    integer(16, INT_MAX),
    4096,
    "How many log and index files are kept open at most. No more than half of what the process may open.",
  ),

  // [server]
  bind: option(
    "server.bind",
    listenAddress,
    { host: "0.0.0.0", port: 9092 },
    "The address and port to listen on. Port 0 takes any free port.",
    [listener("listeners")],
  ),
  advertised: option(
    "server.advertised",
    reachableAddress,
    null,
    'The address that clients are told to connect to: needed behind NAT, in containers and behind load balancers. "" tells each client the bind address or, when that is a wildcard, the address it connected to.',
    [listener("advertised.listeners")],
  ),
  maxConnections: option("server.max_connections", integer(1, INT_MAX), 10_000, "How many connections are accepted at a time.", [
    "max.connections",
  ]),
  maxConnectionsPerIp: option(
    "server.max_connections_per_ip",
    integer(1, INT_MAX),
    INT_MAX,
    "How many connections are accepted from one address at a time.",
    ["max.connections.per.ip"],
  ),
  connectionsMaxIdleMs: option(
    "server.connections_max_idle_ms",
    milliseconds(1000),
    10 * MINUTE_MS,
    "A connection without a request for this long is closed.",
    ["connections.max.idle.ms"],
  ),
  requestTimeoutMs: option(
    "server.request_timeout_ms",
    milliseconds(100, DAY_MS),
    30_000,
    "A connection that has sent a part of a request and not the rest within this time is closed.",
  ),
  socketRequestMaxBytes: option(
    "server.request_max_bytes",
    bytes(1024, INT_MAX),
    100 * MIB,
    "The largest request. A connection that announces more is closed.",
    ["socket.request.max.bytes"],
  ),
  maxRequestItems: option(
    "server.max_request_items",
    integer(1, INT_MAX),
    40_000,
    "How many array elements one request may hold in all. A connection that sends more is closed.",
  ),
  sendBufferBytes: option(
    "server.send_buffer_bytes",
    integer(-1, INT_MAX, " of bytes", "BYTES"),
    256 * KIB,
    "How much is on its way to one client at a time: more helps clients that are far away. -1 leaves it to the system.",
    ["socket.send.buffer.bytes"],
  ),
  queuedRequestsPerConnection: option(
    "server.queued_requests_per_connection",
    integer(1, INT_MAX),
    256,
    "How many requests of one connection wait for their answer at a time; above, nothing is read from it.",
  ),
  requestBufferBytes: option(
    "server.request_buffer_bytes",
    bytes(1 * MIB),
    256 * MIB,
    "The memory for requests being received or worked on and answers being sent, of all connections together. Above it, nothing is read.",
    ["queued.max.request.bytes"],
  ),

  // [log]
  logSegmentBytes: option(
    "log.segment_bytes",
    bytes(1024, INT_MAX),
    1 * GIB,
    "A segment file of a partition is closed and a new one begun at this size.",
    ["log.segment.bytes"],
  ),
  logSegmentMs: option(
    "log.segment_ms",
    milliseconds(1),
    7 * DAY_MS,
    "A segment is also closed when its first record is this old.",
    ["log.roll.ms", scaled("log.roll.hours", HOUR_MS, "hours")],
  ),
  logSegmentJitterMs: option(
    "log.segment_jitter_ms",
    milliseconds(0),
    0,
    "Up to this much, by chance, is taken off segment_ms, so that not all partitions begin new segments together.",
    ["log.roll.jitter.ms", scaled("log.roll.jitter.hours", HOUR_MS, "hours")],
  ),
  logIndexIntervalBytes: option(
    "log.index_interval_bytes",
    bytes(0, INT_MAX),
    4096,
    "One index entry is written for about this many bytes of log.",
    ["log.index.interval.bytes"],
  ),
  logIndexMaxBytes: option(
    "log.index_max_bytes",
    bytes(12, INT_MAX),
    10 * MIB,
    "A segment is also closed when one of its index files has this size.",
    ["log.index.size.max.bytes"],
  ),
  logRetentionMs: option(
    "log.retention_ms",
    milliseconds(-1),
    7 * DAY_MS,
    "With the policy delete: segments are removed when all their records are older than this; -1 is no limit. A topic can have its own (retention.ms).",
    [
      "log.retention.ms",
      orUnlimited(scaled("log.retention.minutes", MINUTE_MS, "minutes")),
      orUnlimited(scaled("log.retention.hours", HOUR_MS, "hours")),
    ],
  ),
  logRetentionBytes: option(
    "log.retention_bytes",
    bytes(-1, LONG_MAX),
    -1,
    "With the policy delete: the oldest segments of a partition are removed above this size; -1 is no limit. A topic can have its own (retention.bytes).",
    ["log.retention.bytes"],
  ),
  logRetentionCheckIntervalMs: option(
    "log.retention_check_interval_ms",
    milliseconds(1),
    5 * MINUTE_MS,
    "How often partitions are looked through for segments to remove.",
    ["log.retention.check.interval.ms"],
  ),
  logSegmentDeleteDelayMs: option(
    "log.segment_delete_delay_ms",
    milliseconds(0),
    MINUTE_MS,
    "How long a removed segment's files stay on the disk.",
    ["log.segment.delete.delay.ms"],
  ),
  logCleanerEnable: option(
    "log.cleaner_enable",
    boolean,
    true,
    "Whether topics with the policy compact are compacted. Without it they grow, the one for committed offsets too.",
    ["log.cleaner.enable"],
  ),
  logCleanerDedupeBufferBytes: option(
    "log.cleaner_dedupe_buffer_bytes",
    bytes(1024, 2048 * MIB),
    128 * MIB,
    "The most memory for the keys of a log that is being compacted, 24 bytes for each. It is taken when it is needed. Where there are more keys, a log is compacted in several goes.",
    ["log.cleaner.dedupe.buffer.size"],
  ),
  logCleanerLoadFactor: option(
    "log.cleaner_load_factor",
    decimal(0.01, 1),
    0.9,
    "How full that memory may be: more keys at a time, but slower.",
    ["log.cleaner.io.buffer.load.factor"],
  ),
  logCleanerIoBufferBytes: option(
    "log.cleaner_io_buffer_bytes",
    bytes(1024, INT_MAX),
    512 * KIB,
    "Memory for reading and writing while compacting.",
    ["log.cleaner.io.buffer.size"],
  ),
  logCleanerIoMaxBytesPerSecond: option(
    "log.cleaner_io_max_bytes_per_second",
    decimal(1, Number.MAX_VALUE),
    Number.MAX_VALUE,
    "Compaction reads and writes less than this on average, both counted.",
    ["log.cleaner.io.max.bytes.per.second"],
  ),
  logCleanerBackoffMs: option(
    "log.cleaner_backoff_ms",
    milliseconds(0),
    15_000,
    "How long the cleaner rests when nothing is to be compacted.",
    ["log.cleaner.backoff.ms"],
  ),
  maxDecompressedBytes: option(
    "log.max_decompressed_bytes",
    bytes(1024, INT_MAX),
    64 * MIB,
    "A compressed batch that unpacks to more is refused.",
  ),
  maxZstdWindowBytes: option(
    "log.max_zstd_window_bytes",
    bytes(1024, INT_MAX),
    8 * MIB,
    "A batch compressed with zstd that needs more memory than this to be unpacked is refused. Only zstd levels above 19 ask for more, and need it only if the batch unpacks to more.",
  ),
  maxDecompressedRequestBytes: option(
    "log.max_decompressed_request_bytes",
    bytes(1024),
    512 * MIB,
    "The compressed batches of one request that unpack to more together are refused, from the one on that passes it.",
  ),

  // [defaults]
  numPartitions: option(
    "defaults.num_partitions",
    integer(1, INT_MAX),
    1,
    "Partitions of a topic that is created without a number.",
    ["num.partitions"],
  ),
  defaultReplicationFactor: option(
    "defaults.replication_factor",
    integer(1, 32_767),
    1,
    "Replicas of a topic that is created without a number. A single broker can have 1.",
    ["default.replication.factor"],
  ),
  autoCreateTopicsEnable: option(
    "defaults.auto_create_topics",
    boolean,
    true,
    "Whether a topic is created when a client that allows it first asks for it.",
    ["auto.create.topics.enable"],
  ),
  deleteTopicEnable: option("defaults.delete_topics", boolean, true, "Whether topics can be deleted.", ["delete.topic.enable"]),
  maxPartitionsPerRequest: option(
    "defaults.max_partitions_per_request",
    integer(1, 1_000_000),
    10_000,
    "How many partitions one request may create.",
  ),
  maxPartitions: option(
    "defaults.max_partitions",
    integer(1, 10_000_000),
    200_000,
    "How many partitions all topics together may have.",
  ),
  maxConfiguredResources: option(
    "defaults.max_configured_resources",
    integer(1, 10_000_000),
    10_000,
    "How many groups may have configs of their own, and how many subscriptions of client metrics there may be.",
  ),
  maxConfigBytes: option(
    "defaults.max_config_bytes",
    bytes(1024, 16 * MIB),
    256 * KIB,
    "How much the configs that are set for one topic, broker, group or subscription may take, names and values together.",
  ),
  messageMaxBytes: option(
    "defaults.message_max_bytes",
    bytes(0, INT_MAX),
    MIB + 12,
    "The largest batch of records, after compression. A topic can have its own (max.message.bytes).",
    ["message.max.bytes"],
  ),
  messageTimestampType: option(
    "defaults.message_timestamp_type",
    oneOf("CreateTime", "LogAppendTime"),
    "CreateTime",
    "Whether a record has the time that its producer gave it, or the time at which it was appended.",
    ["log.message.timestamp.type"],
  ),
  messageTimestampBeforeMaxMs: option(
    "defaults.message_timestamp_before_max_ms",
    milliseconds(0),
    LONG_MAX,
    "How far a producer's time may lie in the past.",
    ["log.message.timestamp.before.max.ms"],
  ),
  messageTimestampAfterMaxMs: option(
    "defaults.message_timestamp_after_max_ms",
    milliseconds(0),
    HOUR_MS,
    "How far a producer's time may lie in the future.",
    ["log.message.timestamp.after.max.ms"],
  ),
  compressionType: option(
    "defaults.compression_type",
    oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"),
    "producer",
    "How batches are stored: with the compression that the producer chose, or in one that is the same for all.",
    ["compression.type"],
  ),
  minInsyncReplicas: option(
    "defaults.min_insync_replicas",
    integer(1, INT_MAX),
    1,
    "How many replicas must have a record that is written with acks=all.",
    ["min.insync.replicas"],
  ),

  // [producer]
  producerIdExpirationMs: option(
    "producer.id_expiration_ms",
    milliseconds(1, INT_MAX),
    DAY_MS,
    "The sequence numbers of an idempotent producer that has written nothing for this long are forgotten.",
    ["producer.id.expiration.ms"],
  ),
  maxProducersPerPartition: option(
    "producer.max_per_partition",
    integer(1, INT_MAX),
    10_000,
    "How many idempotent producers one partition remembers; above, those that wrote longest ago are forgotten.",
  ),

  // [fetch]
  fetchMaxBytes: option(
    "fetch.max_bytes",
    bytes(1024, INT_MAX),
    55 * MIB,
    "The most record bytes in one answer, but for a first batch that is larger.",
    ["fetch.max.bytes"],
  ),
  maxFetchSessions: option(
    "fetch.max_sessions",
    integer(0, INT_MAX),
    1000,
    "How many incremental fetch sessions are kept (KIP-227).",
    ["max.incremental.fetch.session.cache.slots"],
  ),
  maxFetchSessionPartitions: option(
    "fetch.max_session_partitions",
    integer(0, INT_MAX),
    1_000_000,
    "How many partitions all incremental fetch sessions together follow. Consumers beyond it name all their partitions in each fetch.",
  ),
  fetchSessionEvictionMs: option(
    "fetch.session_eviction_ms",
    milliseconds(0, DAY_MS),
    2 * MINUTE_MS,
    "When all are taken, a session that was not used for this long makes place for a new one.",
  ),

  // [group]
  offsetsTopicNumPartitions: option(
    "group.offsets_num_partitions",
    integer(1, 10_000),
    50,
    "Partitions of __consumer_offsets. It cannot be changed once the topic exists.",
    ["offsets.topic.num.partitions"],
  ),
  offsetsTopicSegmentBytes: option(
    "group.offsets_segment_bytes",
    bytes(MIB, INT_MAX),
    100 * MIB,
    "Size of the segments of __consumer_offsets.",
    ["offsets.topic.segment.bytes"],
  ),
  offsetsTopicCompressionCodec: option(
    "group.offsets_compression_codec",
    integer(0, 4),
    0,
    "How records of __consumer_offsets are written: 0 as they are, 1 gzip, 2 snappy, 3 lz4, 4 zstd.",
    ["offsets.topic.compression.codec"],
  ),
  offsetMetadataMaxBytes: option(
    "group.offset_metadata_max_bytes",
    bytes(0, INT_MAX),
    4096,
    "The longest text that a consumer may commit with an offset.",
    ["offset.metadata.max.bytes"],
  ),
  offsetsCommitTimeoutMs: option(
    "group.offsets_commit_timeout_ms",
    milliseconds(1, INT_MAX),
    5000,
    "A commit that is not on the disk after this time is answered with an error that clients retry.",
    ["offsets.commit.timeout.ms"],
  ),
  offsetsRetentionMinutes: option(
    "group.offsets_retention_minutes",
    integer(1, INT_MAX),
    7 * 24 * 60,
    "How long committed offsets are kept after the last member has left their group, or, for clients that join no group, after the last commit.",
    ["offsets.retention.minutes"],
  ),
  offsetsRetentionCheckIntervalMs: option(
    "group.offsets_retention_check_interval_ms",
    milliseconds(1, Number.MAX_SAFE_INTEGER),
    10 * MINUTE_MS,
    "How often expired offsets and groups of which nothing is left are looked for.",
    ["offsets.retention.check.interval.ms"],
  ),
  groupInitialRebalanceDelayMs: option(
    "group.initial_rebalance_delay_ms",
    milliseconds(0, INT_MAX),
    3000,
    "How long a new group waits for more members before its first assignment. 0 makes a first consumer start at once.",
    ["group.initial.rebalance.delay.ms"],
  ),
  groupMinSessionTimeoutMs: option(
    "group.min_session_timeout_ms",
    milliseconds(1, INT_MAX),
    6000,
    "The shortest session timeout that a member may ask for.",
    ["group.min.session.timeout.ms"],
  ),
  groupMaxSessionTimeoutMs: option(
    "group.max_session_timeout_ms",
    milliseconds(1, INT_MAX),
    1_800_000,
    "The longest session timeout that a member may ask for.",
    ["group.max.session.timeout.ms"],
  ),
  groupMaxSize: option("group.max_size", integer(1, INT_MAX), 10_000, "How many members a group may have.", ["group.max.size"]),
  groupMaxMemoryBytes: option(
    "group.max_memory_bytes",
    bytes(1 * MIB, Number.MAX_SAFE_INTEGER),
    512 * MIB,
    "How much memory members, groups and committed offsets may take together. Beyond it, new ones are refused.",
  ),
  groupMaxQueuedCommands: option(
    "group.max_queued_commands",
    integer(1, INT_MAX),
    10_000,
    "How many requests may wait while a partition of __consumer_offsets is read. Beyond it, clients are asked to come again.",
  ),
  groupMaxMemberBytes: option(
    "group.max_member_bytes",
    bytes(1, INT_MAX),
    1 * MIB,
    "How much a member may say about itself (its subscription, for every assignor) when it joins.",
  ),
  groupRebalanceProtocols: option(
    "group.rebalance_protocols",
    someOf("classic", "consumer"),
    ["classic", "consumer"],
    "Which protocols members of groups may use: the classic one, which is always there, and the newer one of KIP-848 (consumers with group.protocol=consumer).",
    ["group.coordinator.rebalance.protocols"],
  ),
  groupConsumerSessionTimeoutMs: option(
    "group.consumer_session_timeout_ms",
    milliseconds(1, INT_MAX),
    45_000,
    "In groups of the newer protocol the broker says how long a member may be silent before it is removed.",
    ["group.consumer.session.timeout.ms"],
  ),
  groupConsumerMinSessionTimeoutMs: option(
    "group.consumer_min_session_timeout_ms",
    milliseconds(1, INT_MAX),
    45_000,
    "The shortest session timeout that a single group of the newer protocol can be given.",
    ["group.consumer.min.session.timeout.ms"],
  ),
  groupConsumerMaxSessionTimeoutMs: option(
    "group.consumer_max_session_timeout_ms",
    milliseconds(1, INT_MAX),
    60_000,
    "The longest session timeout that a single group of the newer protocol can be given.",
    ["group.consumer.max.session.timeout.ms"],
  ),
  groupConsumerHeartbeatIntervalMs: option(
    "group.consumer_heartbeat_interval_ms",
    milliseconds(1, INT_MAX),
    5000,
    "How often members of groups of the newer protocol are told to send heartbeats. A rebalance takes some of them.",
    ["group.consumer.heartbeat.interval.ms"],
  ),
  groupConsumerMinHeartbeatIntervalMs: option(
    "group.consumer_min_heartbeat_interval_ms",
    milliseconds(1, INT_MAX),
    5000,
    "The shortest heartbeat interval that a single group of the newer protocol can be given.",
    ["group.consumer.min.heartbeat.interval.ms"],
  ),
  groupConsumerMaxHeartbeatIntervalMs: option(
    "group.consumer_max_heartbeat_interval_ms",
    milliseconds(1, INT_MAX),
    15_000,
    "The longest heartbeat interval that a single group of the newer protocol can be given.",
    ["group.consumer.max.heartbeat.interval.ms"],
  ),
  groupConsumerMaxSize: option(
    "group.consumer_max_size",
    integer(1, INT_MAX),
    10_000,
    "How many members a group of the newer protocol may have.",
    ["group.consumer.max.size"],
  ),
  groupConsumerAssignors: option(
    "group.consumer_assignors",
    someOf("uniform", "range"),
    ["uniform", "range"],
    "What gives partitions to the members of groups of the newer protocol. The first is used where no member asks for another.",
    ["group.consumer.assignors"],
  ),
  groupConsumerMigrationPolicy: option(
    "group.consumer_migration_policy",
    oneOf("disabled"),
    "disabled",
    "A group with members keeps its protocol; one without takes that of the first member to come. No other value is supported yet.",
    ["group.consumer.migration.policy"],
  ),
  groupConsumerAssignmentIntervalMs: option(
    "group.consumer_assignment_interval_ms",
    milliseconds(0, INT_MAX),
    1000,
    "The partitions of a group of the newer protocol are not given out anew before so much time has passed, so that members that come one after the other make one rebalance.",
    ["group.consumer.assignment.interval.ms"],
  ),
  groupConsumerMinAssignmentIntervalMs: option(
    "group.consumer_min_assignment_interval_ms",
    milliseconds(0, INT_MAX),
    0,
    "The shortest assignment interval that a single group can be given.",
    ["group.consumer.min.assignment.interval.ms"],
  ),
  groupConsumerMaxAssignmentIntervalMs: option(
    "group.consumer_max_assignment_interval_ms",
    milliseconds(0, INT_MAX),
    15_000,
    "The longest assignment interval that a single group can be given.",
    ["group.consumer.max.assignment.interval.ms"],
  ),
  groupConsumerRegexRefreshIntervalMs: option(
    "group.consumer_regex_refresh_interval_ms",
    milliseconds(10_000, INT_MAX),
    600_000,
    "How often at least the topics are looked for that a pattern stands for. New topics are found within seconds in any case.",
    ["group.consumer.regex.refresh.interval.ms"],
  ),

  // [transaction]
  transactionStateNumPartitions: option(
    "transaction.state_num_partitions",
    integer(1, 10_000),
    50,
    "Partitions of __transaction_state. It cannot be changed once the topic exists.",
    ["transaction.state.log.num.partitions"],
  ),
  transactionStateSegmentBytes: option(
    "transaction.state_segment_bytes",
    bytes(MIB, INT_MAX),
    100 * MIB,
    "Size of the segments of __transaction_state.",
    ["transaction.state.log.segment.bytes"],
  ),
  transactionMaxTimeoutMs: option(
    "transaction.max_timeout_ms",
    milliseconds(1, INT_MAX),
    15 * MINUTE_MS,
    "The longest time that a producer may give its transactions. What is open for longer than it said is aborted.",
    ["transaction.max.timeout.ms"],
  ),
  transactionAbortIntervalMs: option(
    "transaction.abort_interval_ms",
    milliseconds(1, INT_MAX),
    10_000,
    "How often transactions that are out of time are looked for.",
    ["transaction.abort.timed.out.transaction.cleanup.interval.ms"],
  ),
  transactionalIdExpirationMs: option(
    "transaction.id_expiration_ms",
    milliseconds(1, INT_MAX),
    7 * DAY_MS,
    "A transactional id that was not used for this long is forgotten.",
    ["transactional.id.expiration.ms"],
  ),
  transactionRemoveExpiredIntervalMs: option(
    "transaction.remove_expired_interval_ms",
    milliseconds(1, INT_MAX),
    60 * MINUTE_MS,
    "How often transactional ids that were not used for long are looked for.",
    ["transaction.remove.expired.transaction.cleanup.interval.ms"],
  ),
  addPartitionsToTxnRetryBackoffMaxMs: option(
    "transaction.add_partitions_retry_backoff_max_ms",
    milliseconds(0, INT_MAX),
    100,
    "How long the first records of a transaction wait for the end of the one before, until the producer is told to come again.",
    ["add.partitions.to.txn.retry.backoff.max.ms"],
  ),
  transactionMaxMemoryBytes: option(
    "transaction.max_memory_bytes",
    bytes(1 * MIB, Number.MAX_SAFE_INTEGER),
    256 * MIB,
    "How much memory transactional ids and the partitions of their transactions may take together. Beyond it, new ones are refused.",
  ),
  transactionMaxQueuedCommands: option(
    "transaction.max_queued_commands",
    integer(1, INT_MAX),
    10_000,
    "How many requests may wait while a partition of __transaction_state is read. Beyond it, clients are asked to come again.",
  ),

  // [logging]
  logLevel: option(
    "logging.level",
    oneOf("debug", "info", "warn", "error"),
    "info",
    "Which lines the broker writes about itself: these and worse.",
  ),
  logFormat: option("logging.format", oneOf("text", "json"), "text", "Lines for people, or one JSON object a line."),
} as const;

type ValueOf<O> = O extends Option<infer T> ? T : never;

export type ServerField = keyof typeof serverOptions;
type ServerValues = { readonly [K in ServerField]: ValueOf<(typeof serverOptions)[K]> };

/** The effective options of one broker: flat, units last in the names. */
export interface ServerConfig extends ServerValues {
  /**
   * What was set by Kafka's names, as it was written there: those that no option has (see broker-configs.ts), which are kept for
   * being described, and those that an option has, whose values stand in its field too.
   */
  readonly kafka: ReadonlyMap<string, string>;
}

/** One option without its value's type, for code that treats all alike. */
export interface AnyOption extends Option<unknown> {
  readonly field: ServerField;
  /** "QUARKMQ_DATA_DIR" */
  readonly env: string;
  /** "--data-dir" */
  readonly flag: string;
}

const words = (field: string): string[] => field.split(/(?=[A-Z])/).map((word) => word.toLowerCase());

/** Every option in the order of the table. */
export const allServerOptions: readonly AnyOption[] = Object.entries(serverOptions).map(([field, declared]) => ({
  ...(declared as Option<unknown>),
  field: field as ServerField,
  env: `QUARKMQ_${words(field).join("_").toUpperCase()}`,
  flag: `--${words(field).join("-")}`,
}));

/** Rules between options. Each gives the fields it concerns, and what is wrong or null. */
export const serverRules: readonly { fields: readonly ServerField[]; broken(config: ServerConfig): string | null }[] = [
  {
    fields: ["groupMinSessionTimeoutMs", "groupMaxSessionTimeoutMs"],
    broken: (c) =>
      c.groupMinSessionTimeoutMs > c.groupMaxSessionTimeoutMs ? "must not be above group.max_session_timeout_ms" : null,
  },
  {
    fields: ["groupRebalanceProtocols"],
    broken: (c) => (c.groupRebalanceProtocols.includes("classic") ? null : 'must have "classic"'),
  },
  ...(["SessionTimeout", "HeartbeatInterval", "AssignmentInterval"] as const).map((time) => {
    const [value, min, max] = [`groupConsumer${time}Ms`, `groupConsumerMin${time}Ms`, `groupConsumerMax${time}Ms`] as const;
    const fields: ServerField[] = [value, min, max];
    const broken = (c: ServerConfig): string | null =>
      c[min] <= c[value] && c[value] <= c[max] ? null : "must lie between the shortest and the longest that a group can be given";
    return { fields, broken };
  }),
  {
    fields: ["groupConsumerHeartbeatIntervalMs", "groupConsumerSessionTimeoutMs"],
    broken: (c) =>
      c.groupConsumerHeartbeatIntervalMs < c.groupConsumerSessionTimeoutMs
        ? null
        : "must be below group.consumer_session_timeout_ms",
  },
  {
    fields: ["messageMaxBytes", "socketRequestMaxBytes"],
    broken: (c) => (c.messageMaxBytes > c.socketRequestMaxBytes ? "must not be above server.request_max_bytes" : null),
  },
  {
    fields: ["logRetentionMs"],
    broken: (c) => (c.logRetentionMs === 0 ? "must be -1, for no limit, or at least 1" : null),
  },
  {
    fields: ["requestBufferBytes", "socketRequestMaxBytes"],
    broken: (c) => (c.requestBufferBytes < c.socketRequestMaxBytes ? "must not be below server.request_max_bytes" : null),
  },
];

const NOTHING_SET: ReadonlyMap<string, string> = new Map();

/** The built-in defaults, with `changes` on top: for tests and tools. The broker itself uses `loadServerConfig`. */
export function defaultServerConfig(changes: Partial<ServerConfig> = {}): ServerConfig {
  const defaults = Object.fromEntries(Object.entries(serverOptions).map(([field, declared]) => [field, declared.default]));
  return Object.freeze({ ...(defaults as ServerValues), kafka: NOTHING_SET, ...changes });
}

const acting: ReadonlySet<string> = new Set(allServerOptions.flatMap(({ kafka }) => kafka.map(({ name }) => name)));

/** Whether an option of ours has this name of Kafka's, so that quarkmq does what it asks for. */
export const actsByKafkaName = (name: string): boolean => acting.has(name);
