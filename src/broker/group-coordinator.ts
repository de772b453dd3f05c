/** Consumer groups as handlers see them: which partition of __consumer_offsets a group belongs to, and that partition's machine. */

import type { Logger } from "../base/logger.ts";
import { MemoryBound } from "../base/memory-bound.ts";
import { effectiveGroupConfig } from "../config/group-configs.ts";
import type { ServerConfig } from "../config/server-options.ts";
import type {
  AllGroupsCommand,
  GroupCommand,
  GroupReply,
  ListedGroup,
  OneGroupCommand,
  TopicsDeletedCommand,
} from "../group/commands.ts";
import { rangeAssignor } from "../group/consumer/range-assignor.ts";
import { uniformAssignor } from "../group/consumer/uniform-assignor.ts";
import type { GroupRecord } from "../group/durable.ts";
import { decodeGroupRecord, encodeGroupRecord, producerOfGroupRecord } from "../group/records.ts";
import { GroupShard } from "../group/shard.ts";
import type { ConsumerGroupConfig, ConsumerGroupTimes, GroupConfig } from "../group/turn.ts";
import type { Clock } from "../io/clock.ts";
import type { Deadlines } from "../io/deadlines.ts";
import type { Random } from "../io/random.ts";
import type { TransactionMarker } from "../log/producer-state.ts";
import type { MetadataImage, TopicImage } from "../metadata/image.ts";
import { GROUP_METADATA_TOPIC } from "../metadata/topic-name.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Codec, type CodecName } from "../record/batch.ts";
import { type Answer, CoordinatorHost, type HostedPartition, type RecordCodec, type Unaddressed } from "./coordinator-host.ts";
import { SeenTopics } from "./seen-topics.ts";

/** The part of the broker that it needs. */
export interface GroupSurroundings {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly random: Random;
  readonly logger: Logger;
  readonly image: Pick<MetadataImage, "rev" | "topicByName" | "topicById" | "topics" | "broker" | "configs" | "onTopicCreated">;
  readonly topics: { ensureInternal(name: string): Promise<TopicImage> };
  partition(topic: string, index: number): HostedPartition | undefined;
  topicConfig(topicId: string): { readonly maxMessageBytes: number; readonly segmentBytes: number };
}

type Kind = OneGroupCommand["kind"];
type Host = CoordinatorHost<GroupCommand, GroupRecord, GroupReply>;

/** The command of a kind, without what the coordinator adds. */
export type Ask<K extends Kind> = Omit<Extract<GroupCommand, { kind: K }>, "ticket">;
export type ReplyTo<K extends Kind> = Extract<GroupReply, { kind: K }>;

type DeletedTopic = TopicsDeletedCommand["topics"][number];

/** By Kafka's ids. */
const CODEC_NAMES = Object.keys(Codec) as CodecName[];

/** After what was committed for deleted topics could not be removed: later and later. */
const REMOVE_AGAIN_MS = 10_000;
const REMOVE_AGAIN_MAX_MS = 600_000;

const codec: RecordCodec<GroupRecord> = {
  encode: encodeGroupRecord,
  decode: decodeGroupRecord,
  producerOf: producerOfGroupRecord,
  ended: (producerId, result) => ({ kind: "transaction-end", producerId, result }),
};

export class GroupCoordinator {
  private readonly broker: GroupSurroundings;
  private readonly hosts = new Map<number, Host>();
  private readonly memory: MemoryBound;
  private readonly seenTopics: SeenTopics;
  private closed = false;
  /** `begin` resolves it. */
  private readonly begun: Promise<void>;
  private begin!: () => void;
  /** Topics whose offsets are about to be removed, in one step of each shard. */
  private deletion: { topics: DeletedTopic[]; done: Promise<void> } | null = null;

  constructor(broker: GroupSurroundings) {
    this.broker = broker;
    this.memory = new MemoryBound(broker.config.groupMaxMemoryBytes);
    this.seenTopics = new SeenTopics(broker.image);
    this.begun = new Promise((resolve) => {
      this.begin = resolve;
    });
  }

  /** Takes a group's command to its machine. The answer comes once, now or later; every error in it is one that clients of groups know. */
  ask<K extends Kind>(command: Ask<K>, answer: Answer<ReplyTo<K>>): void {
    const { groupId } = command as unknown as { groupId: string };
    const host = this.hostFor(groupId);
    if (host === null) answer(new KafkaError("NOT_COORDINATOR"));
    // A reply is of its command's kind.
    else host.submit(command as unknown as Unaddressed<GroupCommand>, answer as Answer<GroupReply>);
  }

  /** Where a transaction that commits this group's offsets has to have its marker; null while there is no __consumer_offsets. */
  offsetsPartitionOf(groupId: string): number | null {
    const topic = this.broker.image.topicByName(GROUP_METADATA_TOPIC);
    return topic === undefined ? null : partitionOf(groupId, topic.partitions.length);
  }

  /** Resolves when there is a __consumer_offsets. Rejects with a KafkaError. */
  async ensureOffsets(): Promise<void> {
    await this.broker.topics.ensureInternal(GROUP_METADATA_TOPIC);
  }

  /** Ends a producer's transaction in a partition of __consumer_offsets; see CoordinatorHost.endTransaction. */
  endTransaction(
    index: number,
    marker: TransactionMarker,
    transactionVersion: number,
    answer: (error: KafkaError | null) => void,
  ): void {
    const topic = this.broker.image.topicByName(GROUP_METADATA_TOPIC);
    const host = topic === undefined ? null : this.hostAt(topic, index);
    if (host === null) answer(new KafkaError("UNKNOWN_TOPIC_OR_PARTITION"));
    else host.endTransaction(marker, transactionVersion, answer);
  }

  /** The groups of this broker that are in one of the states and of one of the types; without any, in all. Rejects with a KafkaError. */
  async list(states: readonly string[], types: readonly string[]): Promise<ListedGroup[]> {
    const command = { kind: "list", states, types } as const;
    const answers = await Promise.all(this.allHosts().map((host) => askAll(host, command).catch(ignoreNotHere)));
    return answers.flatMap((answer) => (answer?.kind === "list" ? answer.groups : []));
  }

  /**
   * To be called once, when the image is complete. Loads all groups, one partition after the other, because expired offsets are only
   * looked for in what is loaded. Whoever asks for a group meanwhile need not wait for the others.
   */
  async start(): Promise<void> {
    this.begin();
    for (const host of this.allHosts()) {
      host.prepare();
      await host.settled();
    }
  }

  /** Resolves when nothing is left that was committed for this topic, however long that takes; never if the broker stops before. */
  topicDeleted({ name, id }: TopicImage): Promise<void> {
    this.deletion ??= this.deletionOf([]);
    this.deletion.topics.push({ name, id });
    return this.deletion.done;
  }

  /**
   * Resolves when this broker coordinates the group, after making __consumer_offsets if there is none; false if it does not (yet).
   * Rejects with a KafkaError.
   */
  async coordinates(groupId: string): Promise<boolean> {
    await this.broker.topics.ensureInternal(GROUP_METADATA_TOPIC);
    const host = this.hostFor(groupId);
    host?.prepare(); // the client is about to come
    return host !== null;
  }

  /** A UUID in Java's text form: what member ids end with. */
  newUuid(): string {
    const bytes = this.broker.random.bytes(16);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  /** Answers everybody who waits; all later commands are answered with NOT_COORDINATOR. */
  close(): void {
    this.closed = true;
    for (const host of this.hosts.values()) host.close();
    this.hosts.clear();
  }

  /** Null when the partition is not here. */
  private hostFor(groupId: string): Host | null {
    const topic = this.broker.image.topicByName(GROUP_METADATA_TOPIC);
    return topic === undefined ? null : this.hostAt(topic, partitionOf(groupId, topic.partitions.length));
  }

  private allHosts(): Host[] {
    const topic = this.broker.image.topicByName(GROUP_METADATA_TOPIC);
    return topic?.partitions.flatMap((_, index) => this.hostAt(topic, index) ?? []) ?? [];
  }

  private hostAt(topic: TopicImage, index: number): Host | null {
    const partition = this.closed ? undefined : this.broker.partition(GROUP_METADATA_TOPIC, index);
    if (partition === undefined) return null;
    const known = this.hosts.get(index);
    if (known?.partition === partition) return known;
    known?.close(); // of an earlier topic of that name
    const host = this.newHost(partition, topic.id);
    this.hosts.set(index, host);
    return host;
  }

  /** What is deleted together is removed together: `topics` grows until the step is taken. */
  private deletionOf(topics: DeletedTopic[]): { topics: DeletedTopic[]; done: Promise<void> } {
    const remove = async (): Promise<void> => {
      await this.begun;
      await this.pause(0);
      this.deletion = null;
      await Promise.all(this.allHosts().map((host) => this.removeFrom(host, topics)));
    };
    return { topics, done: remove() };
  }

  /** Again and again, because the disk may be full. Done too when the partition is not here any more. */
  private async removeFrom(host: Host, topics: readonly DeletedTopic[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await askAll(host, { kind: "topics-deleted", topics });
        return;
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        if (host.partition.closedWith !== null && !this.closed) return;
        this.broker.logger.warn("offsets of deleted topics could not be removed yet", { error: error.error });
        await this.pause(Math.min(attempt * REMOVE_AGAIN_MS, REMOVE_AGAIN_MAX_MS));
      }
    }
  }

  /** Never ends when the broker stops. */
  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.broker.deadlines.in(ms, resolve));
  }

  private newHost(partition: HostedPartition, topicId: string): Host {
    const { broker } = this;
    const { clock, deadlines, logger, config } = broker;
    return new CoordinatorHost<GroupCommand, GroupRecord, GroupReply>({
      partition,
      codec,
      clock,
      deadlines,
      logger,
      create: () => new GroupShard(groupConfig(config, broker.image.configs), this.memory, logger, this.seenTopics),
      maxBatchBytes() {
        const { maxMessageBytes, segmentBytes } = broker.topicConfig(topicId);
        return Math.min(maxMessageBytes, segmentBytes);
      },
      maxQueued: config.groupMaxQueuedCommands,
      replyTimeoutMs: config.offsetsCommitTimeoutMs,
      compression: CODEC_NAMES[config.offsetsTopicCompressionCodec]!,
    });
  }
}

/** Rejects with a KafkaError. */
function askAll(host: Host, command: Unaddressed<AllGroupsCommand>): Promise<GroupReply> {
  return new Promise((resolve, reject) => {
    host.submit(command, (outcome) => (outcome instanceof KafkaError ? reject(outcome) : resolve(outcome)));
  });
}

/** A partition that is not here has no groups here. */
function ignoreNotHere(error: unknown): null {
  if (error instanceof KafkaError && error.error === "NOT_COORDINATOR") return null;
  throw error;
}

function groupConfig(config: ServerConfig, configs: Pick<MetadataImage["configs"], "group">): GroupConfig {
  const { groupInitialRebalanceDelayMs, groupMinSessionTimeoutMs, groupMaxSessionTimeoutMs, groupMaxSize } = config;
  const { offsetMetadataMaxBytes } = config;
  const fromKafka = { groupInitialRebalanceDelayMs, groupMinSessionTimeoutMs, groupMaxSessionTimeoutMs, groupMaxSize };
  // What does not fit into a batch of __consumer_offsets could never become a generation.
  return {
    ...fromKafka,
    offsetMetadataMaxBytes,
    get groupMaxMemberBytes() {
      return Math.min(config.groupMaxMemberBytes, config.messageMaxBytes);
    },
    offsetsRetentionMs: config.offsetsRetentionMinutes * 60_000,
    offsetsRetentionCheckIntervalMs: config.offsetsRetentionCheckIntervalMs,
    consumer: consumerGroupConfig(config, configs),
  };
}

function consumerGroupConfig(config: ServerConfig, configs: Pick<MetadataImage["configs"], "group">): ConsumerGroupConfig {
  return {
    timesOf: (groupId) => consumerGroupTimes(config, configs.group(groupId)),
    maxSize: config.groupConsumerMaxSize,
    assignors: config.groupConsumerAssignors.map((name) => ASSIGNORS[name]),
    regexRefreshIntervalMs: config.groupConsumerRegexRefreshIntervalMs,
  };
}

/** As they are now: a group can be given its own, and the broker's can be changed. */
function consumerGroupTimes(config: ServerConfig, own: ReadonlyMap<string, string>): ConsumerGroupTimes {
  if (own.size > 0) {
    const { consumerSessionTimeoutMs, consumerHeartbeatIntervalMs, consumerAssignmentIntervalMs } = effectiveGroupConfig(
      own,
      config,
    );
    return {
      sessionTimeoutMs: consumerSessionTimeoutMs,
      heartbeatIntervalMs: consumerHeartbeatIntervalMs,
      assignmentIntervalMs: consumerAssignmentIntervalMs,
    };
  }
  return {
    sessionTimeoutMs: config.groupConsumerSessionTimeoutMs,
    heartbeatIntervalMs: config.groupConsumerHeartbeatIntervalMs,
    assignmentIntervalMs: config.groupConsumerAssignmentIntervalMs,
  };
}

const ASSIGNORS = { uniform: uniformAssignor, range: rangeAssignor } as const;

/** Which partition of __consumer_offsets a group belongs to. Source: GroupCoordinatorService.partitionFor, Utils.abs. */
export function partitionOf(groupId: string, partitionCount: number): number {
  let hash = 0;
  for (let i = 0; i < groupId.length; i++) hash = (Math.imul(hash, 31) + groupId.charCodeAt(i)) | 0; // java.lang.String.hashCode
  return (hash === -2_147_483_648 ? 0 : Math.abs(hash)) % partitionCount;
}
