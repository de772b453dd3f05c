/**
 * The composition root of one broker: the data directory, the metadata image, the partitions that follow from it, and the
 * coordinators. It knows no sockets; `server/` brings the requests.
 */
import type { Logger } from "../base/logger.ts";
import type { ServerConfig } from "../config/server-options.ts";
import { effectiveTopicConfig, type TopicConfig } from "../config/topic-options.ts";
import type { Clock } from "../io/clock.ts";
import { Deadlines } from "../io/deadlines.ts";
import { type Disk, DiskError, isFailedSync } from "../io/disk.ts";
import type { Random } from "../io/random.ts";
import { settleArrival } from "../log/arrival.ts";
import { type CleanerRunner, type CleanerSettings, LogCleaner } from "../log/cleaner.ts";
import { cleanerInProcess } from "../log/cleaner-in-process.ts";
import type { Log, LogConfig } from "../log/log.ts";
import { type FoundPartition, LogDirectory } from "../log/log-directory.ts";
import { bootstrap } from "../metadata/bootstrap.ts";
import { openEmbeddedStore } from "../metadata/embedded-store.ts";
import { MetadataImage, type PartitionImage, type TopicImage } from "../metadata/image.ts";
import type { MetadataStore } from "../metadata/store.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { Target } from "../record/recompress.ts";
import { type Unpacker, unpackerOnLoop } from "../record/unpack-batch.ts";
import type { BatchRules } from "../record/validate.ts";
import { Admissions } from "./admissions.ts";
import { BrokerLogger } from "./broker-logger.ts";
import { ConfigChanges } from "./config-changes.ts";
import { FetchSessions } from "./fetch-sessions.ts";
import { GroupCoordinator } from "./group-coordinator.ts";
import { LiveConfig } from "./live-config.ts";
import { Partition } from "./partition.ts";
import { ProducerIds } from "./producer-ids.ts";
import { Topics } from "./topics.ts";
import { TransactionCoordinator } from "./transaction-coordinator.ts";
import { TransactionMarkers } from "./transaction-markers.ts";

export interface BrokerOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  /** The broker's to close. Default: batches are unpacked on the loop, however long that takes. */
  readonly unpacker?: Unpacker;
  /** Compacts logs off the loop; without it that is done in between, on the loop. */
  readonly cleanerRunner?: CleanerRunner | undefined;
  /** Called when going on would break a promise (a failed sync): log, then end the process. */
  onFatal(error: unknown): void;
}

/** What of a connection decides which address its client is told. */
export interface LocalAddress {
  readonly localAddress: string;
  readonly localPort: number;
}

export class Broker {
  /** What is in effect: it changes in place when dynamic configs do, so read its fields when they are needed. */
  readonly config: ServerConfig;
  readonly liveConfig: LiveConfig;
  readonly logger: Logger;
  /** The logger as clients see it. */
  readonly ownLogger: BrokerLogger;
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: Deadlines;
  readonly nodeId: number;
  readonly logs: LogDirectory;
  readonly image: MetadataImage;
  readonly store: MetadataStore;
  readonly topics: Topics;
  readonly configChanges: ConfigChanges;
  readonly producerIds: ProducerIds;
  readonly fetchSessions: FetchSessions;
  readonly groups: GroupCoordinator;
  readonly markers: TransactionMarkers;
  readonly transactions: TransactionCoordinator;
  readonly admissions = new Admissions<Partition>();
  readonly unpacker: Unpacker;
  private readonly cleaner: LogCleaner;
  /** Grows with every start on this data directory. */
  incarnation = 0;
  /** Where the listener is bound; known once it listens. */
  private bound: LocalAddress;
  private readonly byId = new Map<string, Partition[]>();
  private readonly configs = new Map<string, TopicConfig>();
  /** Logs that were opened before their topic is known, by topic id. */
  private readonly adopted = new Map<string, readonly Log[]>();
  /** Topics whose deletion an earlier run did not finish, until the start has found what is left of them. */
  private halfDeleted: { readonly topic: TopicImage; readonly found: (left: FoundPartition[]) => void }[] = [];
  private isSwept = false;

  private constructor(o: BrokerOptions, logs: LogDirectory, store: MetadataStore) {
    const { logger, clock, random } = o;
    this.image = new MetadataImage(o.onFatal);
    this.liveConfig = new LiveConfig(o.config, this.image, logger);
    const config = this.liveConfig.current;
    this.config = config;
    this.logger = logger;
    this.ownLogger = new BrokerLogger(logger, config.logLevel);
    this.clock = clock;
    this.random = random;
    this.deadlines = new Deadlines(clock);
    this.nodeId = config.nodeId;
    this.logs = logs;
    this.store = store;
    this.unpacker = o.unpacker ?? unpackerOnLoop;
    this.bound = { localAddress: config.bind.host, localPort: config.bind.port };
    this.topics = new Topics({ config, store, image: this.image, random, logger });
    this.configChanges = new ConfigChanges({ store, image: this.image, liveConfig: this.liveConfig });
    this.producerIds = new ProducerIds(store, logger);
    const sessionLimits = {
      maxSessions: config.maxFetchSessions,
      evictionMs: config.fetchSessionEvictionMs,
      maxTargets: config.maxFetchSessionPartitions,
    };
    this.fetchSessions = new FetchSessions(sessionLimits, random);
    this.groups = new GroupCoordinator(this);
    this.markers = new TransactionMarkers(this);
    this.transactions = new TransactionCoordinator(this);
    this.cleaner = new LogCleaner({
      logs: () => logs.openLogs(),
      clock,
      random,
      logger,
      runner: o.cleanerRunner ?? cleanerInProcess(o.disk, clock),
      settings: () => cleanerSettings(this.config),
    });
    this.image.onTopicCreated((topic) => this.openTopic(topic));
    this.image.onTopicGrown((topic, before) => this.growTopic(topic, before));
    this.image.onTopicChanged((topic) => this.changeTopic(topic));
    this.image.onTopicDeleted((topic) => this.deleteTopic(topic));
    this.liveConfig.onChanged = () => {
      for (const topic of this.image.topics()) this.changeTopic(topic); // those that do not set what changed
    };
    this.image.onTopicDeleted((topic) => this.groups.topicDeleted(topic));
  }

  /** Locks the data directory, recovers what is in it, and opens every partition. Throws with a message for the operator. */
  static async open(o: BrokerOptions): Promise<Broker> {
    const { config, clock, disk, random, logger, onFatal } = o;
    const directoryConfig = {
      ...config,
      syncFileSystemAbove: config.syncFsThreshold,
      journalAbove: config.journalThreshold,
      recoveriesMax: RECOVERIES_AT_A_TIME,
      retentionCheckIntervalMs: config.logRetentionCheckIntervalMs,
    };
    const logs = await LogDirectory.open({ disk, clock, random, logger, onFatal, path: config.dataDir, config: directoryConfig });
    try {
      const store = await openEmbeddedStore({ logs, dataPath: config.dataDir, disk, clock, logger, onFatal });
      const broker = new Broker(o, logs, store);
      await broker.start();
      return broker;
    } catch (error) {
      await logs.close().catch(() => {}); // what made the start fail is the message that counts
      throw error;
    }
  }

  private async start(): Promise<void> {
    const { clusterId, incarnation } = await bootstrap({
      store: this.store,
      random: this.random,
      nowMs: this.clock.nowMs(),
      nodeId: this.nodeId,
      ...this.endpoint(this.bound),
    });
    this.incarnation = incarnation;
    this.logs.setIncarnation(incarnation);
    await this.image.follow(this.store);
    await this.sweep();
    void this.groups.start();
    this.cleaner.start();
    void this.transactions.start();
    this.logger.info("data directory open", {
      path: this.config.dataDir,
      clusterId,
      nodeId: this.nodeId,
      incarnation,
      topics: this.image.topicCount,
      afterCleanShutdown: this.logs.lastCleanShutdown !== null,
    });
  }

  /** Answers everybody who waits, syncs and closes all logs. Nothing may be appended afterwards. */
  async close(): Promise<void> {
    const stopping = new KafkaError("NOT_LEADER_OR_FOLLOWER", "the broker is stopping");
    this.transactions.close();
    this.markers.close();
    this.groups.close();
    for (const partitions of this.byId.values()) for (const partition of partitions) partition.close(stopping);
    this.unpacker.close();
    this.fetchSessions.close();
    this.deadlines.close();
    await this.cleaner.close();
    await this.store.close();
    await this.logs.close();
  }

  partition(topic: string, index: number): Partition | undefined {
    const found = this.image.topicByName(topic);
    return found === undefined ? undefined : this.partitionById(found.id, index);
  }

  partitionById(topicId: string, index: number): Partition | undefined {
    return this.byId.get(topicId)?.[index];
  }

  topicConfig(topicId: string): TopicConfig {
    return this.configs.get(topicId)!;
  }

  /** What a produced batch for this partition is held against; `unpacking` is shared by the batches of a request. */
  batchRules(partition: Partition, produceVersion: number, unpacking?: { leftBytes: number }): BatchRules {
    const config = this.topicConfig(partition.topicId);
    return {
      maxMessageBytes: config.maxMessageBytes,
      segmentBytes: config.segmentBytes,
      timestampType: config.messageTimestampType === "LogAppendTime" ? "LogAppendTime" : "CreateTime",
      beforeMaxMs: config.messageTimestampBeforeMaxMs,
      afterMaxMs: config.messageTimestampAfterMaxMs,
      nowMs: this.clock.nowMs(),
      compacted: config.cleanupPolicy.includes("compact"),
      produceVersion,
      maxDecompressedBytes: this.config.maxDecompressedBytes,
      maxZstdWindowBytes: this.config.maxZstdWindowBytes,
      maxRecordBytes: config.maxDecompressedMessageBytes,
      unpacking,
      target: compressionTarget(config),
      topicPartition: partition.log.name,
    };
  }

  /** Called by the server once it listens. */
  listening(host: string, port: number): void {
    this.bound = { localAddress: host, localPort: port };
  }

  /** The address that a client is told to connect to: the configured one, else the bound one, else the one that it reached us at. */
  endpoint(connection: LocalAddress): { host: string; port: number } {
    const { advertised } = this.config;
    if (advertised !== null) return advertised.port === 0 ? { host: advertised.host, port: this.bound.localPort } : advertised;
    const { localAddress: host, localPort: port } = isWildcard(this.bound.localAddress) ? connection : this.bound;
    return { host: withoutMappedPrefix(host), port };
  }

  /** Makes a topic known whose logs were brought here and opened with `openLogs`. Rejects with a KafkaError; then the logs are the caller's. */
  async adoptTopic(topic: TopicImage, logs: readonly Log[]): Promise<void> {
    this.adopted.set(topic.id, logs);
    try {
      await this.topics.adopt(topic);
    } finally {
      this.adopted.delete(topic.id);
    }
  }

  /** The logs of a topic's partitions from the index `first` on; those that cannot be used are offline. */
  openLogs(topic: TopicImage, first = 0): Promise<Log[]> {
    const config = logConfig(effectiveTopicConfig(topic.configs, this.config), this.config);
    const open = ({ index }: PartitionImage) =>
      this.logs.openLog({ topic: topic.name, partition: index, topicId: topic.id, config });
    return Promise.all(topic.partitions.slice(first).map(open));
  }

  private async openTopic(topic: TopicImage): Promise<void> {
    this.configs.set(topic.id, effectiveTopicConfig(topic.configs, this.config));
    const logs = this.adopted.get(topic.id) ?? (await this.openLogs(topic));
    for (const log of logs) settleArrival(log);
    this.byId.set(topic.id, this.partitionsOf(topic, logs));
  }

  private async growTopic(topic: TopicImage, { partitions: { length: first } }: TopicImage): Promise<void> {
    const more = this.partitionsOf(topic, await this.openLogs(topic, first), first);
    this.byId.set(topic.id, [...this.byId.get(topic.id)!, ...more]);
  }

  private partitionsOf({ name: topic, id: topicId, partitions }: TopicImage, logs: readonly Log[], first = 0): Partition[] {
    return logs.map((log, n) => {
      const { index, leader, leaderEpoch } = partitions[first + n]!;
      return new Partition({ topic, topicId, index, log, leaderEpoch, isLeader: leader === this.nodeId });
    });
  }

  private changeTopic(topic: TopicImage): void {
    const config = effectiveTopicConfig(topic.configs, this.config);
    this.configs.set(topic.id, config);
    for (const { log } of this.byId.get(topic.id) ?? []) log.updateConfig(logConfig(config, this.config));
  }

  /** Repeatable: after a restart there may be directories without an open log, and a new topic may have the old one's name. */
  private async deleteTopic(topic: TopicImage): Promise<void> {
    const partitions = this.byId.get(topic.id);
    this.byId.delete(topic.id);
    this.configs.delete(topic.id);
    const gone = new KafkaError("UNKNOWN_TOPIC_OR_PARTITION", "the topic was deleted");
    for (const partition of partitions ?? []) partition.close(gone);
    // The store may forget the topic once its directories have left their names for good.
    if (partitions !== undefined) await Promise.all(partitions.map(({ log }) => this.logs.deleteLog(log)));
    else if (!this.isSwept) {
      const left = await new Promise<FoundPartition[]>((found) => this.halfDeleted.push({ topic, found }));
      await Promise.all(left.map((one) => this.logs.discard(one)));
    }
  }

  /** All logs are open: finds the directories that are nobody's. Those of deleted topics and of imports that died go; others, as in Kafka, are kept under another name. */
  private async sweep(): Promise<void> {
    this.isSwept = true;
    const unclaimed = this.logs.unclaimed();
    const nobodys = new Set(unclaimed);
    for (const { topic, found } of this.halfDeleted.splice(0)) {
      // A crash may have left one without its id; under the name of no other topic it is this one's.
      const ownsNameless = this.image.topicByName(topic.name) === undefined;
      const left = unclaimed.filter((one) =>
        one.topicId === null ? one.topic === topic.name && ownsNameless : one.topicId === topic.id,
      );
      for (const one of left) nobodys.delete(one);
      found(left);
    }
    for (const one of nobodys) {
      try {
        if (one.isArriving) this.removeUnfinished(one);
        else await this.logs.setAside(one);
      } catch (error) {
        if (!(error instanceof DiskError) || isFailedSync(error)) throw error;
        this.logger.warn("a directory that belongs to no topic could not be renamed", { ...one, error: error.message });
      }
    }
  }

  /** What an import had brought when it died. In the background: who wants the name waits for it. */
  private removeUnfinished(one: FoundPartition): void {
    this.logger.info("what an import left that did not end is removed", { topic: one.topic, partition: one.partition });
    this.logs.discard(one).catch(() => {}); // a failed sync ends the broker by itself
  }
}

/** Recoveries are reads in threads; more of them at a time do not make a disk faster. */
const RECOVERIES_AT_A_TIME = 8;

const cleanerSettings = (config: ServerConfig): CleanerSettings => ({
  isEnabled: config.logCleanerEnable,
  backoffMs: config.logCleanerBackoffMs,
  limits: {
    dedupeBufferBytes: config.logCleanerDedupeBufferBytes,
    loadFactor: config.logCleanerLoadFactor,
    ioBufferBytes: config.logCleanerIoBufferBytes,
    bytesPerSecond: config.logCleanerIoMaxBytesPerSecond,
    maxDecompressedBytes: config.maxDecompressedBytes,
  },
});

function logConfig(topic: TopicConfig, server: ServerConfig): LogConfig {
  const isCompacted = topic.cleanupPolicy.includes("compact");
  return {
    segmentBytes: topic.internalSegmentBytes > 0 ? topic.internalSegmentBytes : topic.segmentBytes,
    // LogConfig.maxSegmentMs: what is written to cannot be compacted.
    segmentMs: isCompacted ? Math.min(topic.segmentMs, topic.maxCompactionLagMs) : topic.segmentMs,
    segmentJitterMs: topic.segmentJitterMs,
    indexIntervalBytes: topic.indexIntervalBytes,
    segmentIndexBytes: topic.segmentIndexBytes,
    fileDeleteDelayMs: topic.fileDeleteDelayMs,
    deletes: topic.cleanupPolicy.includes("delete"),
    compacts: topic.cleanupPolicy.includes("compact"),
    retentionMs: topic.retentionMs,
    retentionBytes: topic.retentionBytes,
    producerIdExpirationMs: server.producerIdExpirationMs,
    maxProducers: server.maxProducersPerPartition,
    compaction: isCompacted ? topic : null,
  };
}

/** BrokerCompressionType: null for `producer`. */
function compressionTarget(topic: TopicConfig): Target | null {
  switch (topic.compressionType) {
    case "uncompressed":
      return { codec: "none", level: 0 };
    case "gzip":
      return { codec: "gzip", level: topic.compressionGzipLevel };
    case "snappy":
      return { codec: "snappy", level: 0 };
    case "lz4":
      return { codec: "lz4", level: topic.compressionLz4Level };
    case "zstd":
      return { codec: "zstd", level: topic.compressionZstdLevel };
    default:
      return null;
  }
}

const isWildcard = (host: string): boolean => host === "0.0.0.0" || host === "::" || host === "";

/** An IPv4 client on an IPv6 socket shows as ::ffff:1.2.3.4, which not every client can connect to. */
const withoutMappedPrefix = (host: string): string => (host.startsWith("::ffff:") && host.includes(".") ? host.slice(7) : host);
