/** Consumer groups as handlers see them: which partition of __consumer_offsets a group belongs to, and that partition's machine. */
import type { Logger } from "../base/logger.ts";
import type { ServerConfig } from "../config/server-options.ts";
import type { GroupCommand, GroupReply } from "../group/commands.ts";
import type { GroupRecord } from "../group/durable.ts";
import { GroupMemory } from "../group/memory.ts";
import { decodeGroupRecord, encodeGroupRecord } from "../group/records.ts";
import { GroupShard } from "../group/shard.ts";
import type { GroupConfig } from "../group/turn.ts";
import type { Clock } from "../io/clock.ts";
import type { Deadlines } from "../io/deadlines.ts";
import type { Random } from "../io/random.ts";
import type { MetadataImage, TopicImage } from "../metadata/image.ts";
import { GROUP_METADATA_TOPIC } from "../metadata/topic-name.ts";
import { KafkaError } from "../protocol/errors.ts";
import { type Answer, CoordinatorHost, type HostedPartition, type Unaddressed } from "./coordinator-host.ts";

/** The part of the broker that it needs. */
export interface GroupSurroundings {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly random: Random;
  readonly logger: Logger;
  readonly image: Pick<MetadataImage, "topicByName">;
  readonly topics: { ensureInternal(name: string): Promise<TopicImage> };
  partition(topic: string, index: number): HostedPartition | undefined;
  topicConfig(topicId: string): { readonly maxMessageBytes: number; readonly segmentBytes: number };
}

type Kind = GroupCommand["kind"];
type Host = CoordinatorHost<GroupCommand, GroupRecord, GroupReply>;

/** The command of a kind, without what the coordinator adds. */
export type Ask<K extends Kind> = Omit<Extract<GroupCommand, { kind: K }>, "ticket">;
export type ReplyTo<K extends Kind> = Extract<GroupReply, { kind: K }>;

const codec = { encode: encodeGroupRecord, decode: decodeGroupRecord };

export class GroupCoordinator {
  private readonly broker: GroupSurroundings;
  private readonly hosts = new Map<number, Host>();
  private readonly memory: GroupMemory;
  private closed = false;

  constructor(broker: GroupSurroundings) {
    this.broker = broker;
    this.memory = new GroupMemory(broker.config.groupMaxMemoryBytes);
  }

  /** Takes a group's command to its machine. The answer comes once, now or later; every error in it is one that clients of groups know. */
  ask<K extends Kind>(command: Ask<K>, answer: Answer<ReplyTo<K>>): void {
    const { groupId } = command as { groupId: string };
    const host = this.hostFor(groupId);
    if (host === null) answer(new KafkaError("NOT_COORDINATOR"));
    // A reply is of its command's kind.
    else host.submit(command as unknown as Unaddressed<GroupCommand>, answer as Answer<GroupReply>);
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
    if (topic === undefined || this.closed) return null;
    const index = partitionOf(groupId, topic.partitions.length);
    const partition = this.broker.partition(GROUP_METADATA_TOPIC, index);
    if (partition === undefined) return null;
    const known = this.hosts.get(index);
    if (known?.partition === partition) return known;
    known?.close(); // of an earlier topic of that name
    const host = this.newHost(partition, topic.id);
    this.hosts.set(index, host);
    return host;
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
      create: () => new GroupShard(groupConfig(config), this.memory, logger),
      maxBatchBytes() {
        const { maxMessageBytes, segmentBytes } = broker.topicConfig(topicId);
        return Math.min(maxMessageBytes, segmentBytes);
      },
      maxQueued: config.groupMaxQueuedCommands,
      replyTimeoutMs: config.offsetsCommitTimeoutMs,
    });
  }
}

function groupConfig(config: ServerConfig): GroupConfig {
  const { groupInitialRebalanceDelayMs, groupMinSessionTimeoutMs, groupMaxSessionTimeoutMs, groupMaxSize } = config;
  const { offsetMetadataMaxBytes } = config;
  const fromKafka = { groupInitialRebalanceDelayMs, groupMinSessionTimeoutMs, groupMaxSessionTimeoutMs, groupMaxSize };
  // What does not fit into a batch of __consumer_offsets could never become a generation.
  return {
    ...fromKafka,
    offsetMetadataMaxBytes,
    groupMaxMemberBytes: Math.min(config.groupMaxMemberBytes, config.messageMaxBytes),
  };
}

/** Which partition of __consumer_offsets a group belongs to. Source: GroupCoordinatorService.partitionFor, Utils.abs. */
export function partitionOf(groupId: string, partitionCount: number): number {
  let hash = 0;
  for (let i = 0; i < groupId.length; i++) hash = (Math.imul(hash, 31) + groupId.charCodeAt(i)) | 0; // java.lang.String.hashCode
  return (hash === -2_147_483_648 ? 0 : Math.abs(hash)) % partitionCount;
}
