/** The offsets that groups have committed, and the requests that write and read them. Source: OffsetMetadataManager. */
import type { MemoryBound } from "../base/memory-bound.ts";
import { ErrorCode } from "../protocol/errors.ts";
import type { AnyGroup } from "./any-group.ts";
import type { CommitCommand, CommitItem, FetchCommand, FetchedPartition, FetchReply } from "./commands.ts";
import type { ConsumerGroup } from "./consumer/consumer-group.ts";
import { commitError as consumerCommitError, fetchError as consumerFetchError } from "./consumer/consumer-offsets.ts";
import type { CommittedOffset } from "./durable.ts";
import type { Group } from "./group.ts";
import { GROUP_BYTES, OFFSET_BYTES, textBytes } from "./memory.ts";
import { PendingOffsets } from "./pending-offsets.ts";
import { memberError, startSession } from "./rebalance.ts";
import type { Turn } from "./turn.ts";

/** No topic in particular: what clients and records that know only names carry. */
export const ANY_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA";

type TopicOffsets = Map<number, CommittedOffset>;

/** By group, topic name and partition. Nothing empty is kept. */
export class Offsets {
  private readonly byGroup = new Map<string, Map<string, TopicOffsets>>();
  /** Of transactions that have not ended. */
  readonly pending: PendingOffsets;
  private readonly memory: MemoryBound;
  private heldBytes = 0;

  constructor(memory: MemoryBound) {
    this.memory = memory;
    this.pending = new PendingOffsets(memory);
  }

  /** They are not used any more: their memory is others'. */
  release(): void {
    this.hold(-this.heldBytes);
    this.pending.release();
  }

  /** Whether anything is committed, or may be when a transaction ends. */
  has(groupId: string): boolean {
    return this.byGroup.has(groupId) || this.pending.hasGroup(groupId);
  }

  get(groupId: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.byGroup.get(groupId)?.get(topic)?.get(partition);
  }

  groupIds(): Iterable<string> {
    return this.byGroup.keys();
  }

  topics(groupId: string): ReadonlyMap<string, ReadonlyMap<number, CommittedOffset>> {
    return this.byGroup.get(groupId) ?? NO_TOPICS;
  }

  /** Takes in a committed offset. */
  set(groupId: string, topic: string, partition: number, value: CommittedOffset): void {
    this.pending.override(groupId, topic, partition);
    this.put(groupId, topic, partition, value);
  }

  /** A producer's transaction has ended: what it committed counts, unless something newer does. */
  endTransaction(producerId: number, result: "commit" | "abort"): void {
    for (const { groupId, topic, partition, value, order, isOverridden } of this.pending.take(producerId)) {
      if (result === "abort" || isOverridden) continue;
      this.put(groupId, topic, partition, value);
      this.pending.override(groupId, topic, partition, order);
    }
  }

  private put(groupId: string, topic: string, partition: number, value: CommittedOffset): void {
    const topics = this.byGroup.get(groupId) ?? new Map<string, TopicOffsets>();
    const partitions = topics.get(topic) ?? new Map<number, CommittedOffset>();
    this.hold(offsetBytes(value) - offsetBytes(partitions.get(partition)));
    this.byGroup.set(groupId, topics.set(topic, partitions.set(partition, value)));
  }

  delete(groupId: string, topic: string, partition: number): void {
    this.pending.forget(groupId, topic, partition);
    const topics = this.byGroup.get(groupId);
    const partitions = topics?.get(topic);
    if (topics === undefined || partitions === undefined) return;
    this.hold(-offsetBytes(partitions.get(partition)));
    partitions.delete(partition);
    if (partitions.size === 0) topics.delete(topic);
    if (topics.size === 0) this.byGroup.delete(groupId);
  }

  private hold(bytes: number): void {
    this.heldBytes += bytes;
    this.memory.heldBytes += bytes;
  }
}

const offsetBytes = (value: CommittedOffset | undefined): number =>
  value === undefined ? 0 : OFFSET_BYTES + textBytes(value.metadata);

const NO_TOPICS: ReadonlyMap<string, TopicOffsets> = new Map();

/** OffsetCommit: all items that can be kept are written as one batch. */
export function commit(turn: Turn, group: AnyGroup | undefined, offsets: Offsets, command: CommitCommand): void {
  const { ticket, items } = command;
  const errorCode = group?.type === "consumer" ? commitErrorOfConsumer(turn, group, command) : commitError(group, command);
  if (errorCode !== null) {
    turn.replies.push({ kind: "commit", ticket, errorCodes: items.map(() => errorCode) });
    return;
  }
  if (group?.type === "classic") keepSession(turn, group, command.memberId);
  let added = group === undefined ? GROUP_BYTES : 0;
  const errorCodes = items.map((item) => {
    const { topic, partition } = item;
    if (isMetadataTooLarge(turn, item)) return ErrorCode.OFFSET_METADATA_TOO_LARGE;
    const value = committed(turn, command, item);
    added += offsetBytes(value) - offsetBytes(offsets.get(command.groupId, topic, partition));
    if (!turn.memory.hasRoomFor(added)) return ErrorCode.INVALID_COMMIT_OFFSET_SIZE;
    turn.records.push({ kind: "offset", groupId: command.groupId, topic, partition, value });
    return ErrorCode.NONE;
  });
  turn.replies.push({ kind: "commit", ticket, errorCodes });
}

/** Kafka measures characters too, whatever the option's name says. */
const isMetadataTooLarge = (turn: Turn, { metadata }: CommitItem): boolean =>
  metadata !== null && metadata.length > turn.config.offsetMetadataMaxBytes;

/** A commit shows that a member lives. */
function keepSession(turn: Turn, group: Group, memberId: string): void {
  const member = group.member(memberId);
  if (member !== undefined && group.state !== "CompletingRebalance") startSession(turn, member);
}

function commitErrorOfConsumer(turn: Turn, group: ConsumerGroup, command: CommitCommand): number | null {
  const items = command.items.filter((item) => !isMetadataTooLarge(turn, item));
  const errorCode = consumerCommitError(group, command, items);
  return errorCode === ErrorCode.NONE ? null : errorCode;
}

function committed(turn: Turn, command: CommitCommand, item: CommitItem): CommittedOffset {
  const { offset, leaderEpoch, topicId } = item;
  const { retentionMs } = command;
  const expiresMs = retentionMs === -1 ? -1 : Math.min(turn.wallMs + retentionMs, Number.MAX_SAFE_INTEGER); // what a record can hold
  return { offset, leaderEpoch, metadata: item.metadata ?? "", committedMs: turn.wallMs, expiresMs, topicId };
}

/** Source: ClassicGroup.validateOffsetCommit. */
function commitError(group: Group | undefined, command: CommitCommand): number | null {
  const { memberId, instanceId, generationId } = command;
  if (group === undefined) {
    // Clients that only keep offsets here, and admin tools, make a "simple" group with their first commit.
    if (generationId < 0) return null;
    return command.knowsGroupIdNotFound ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.ILLEGAL_GENERATION;
  }
  if (generationId < 0 && group.state === "Empty") return null;
  const errorCode = memberError(group, memberId, instanceId);
  if (errorCode !== null) return errorCode;
  if (generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION;
  // It knows the generation but not yet its part in it.
  return group.state === "CompletingRebalance" ? ErrorCode.REBALANCE_IN_PROGRESS : null;
}

/** OffsetFetch: what is not committed is answered with -1 and no error, an unknown group too. */
export function fetchOffsets(turn: Turn, group: AnyGroup | undefined, offsets: Offsets, command: FetchCommand): void {
  const { ticket, groupId, topics, memberId, memberEpoch, requireStable } = command;
  const errorCode = group?.type === "consumer" ? consumerFetchError(group, memberId, memberEpoch) : ErrorCode.NONE;
  if (errorCode !== ErrorCode.NONE) {
    turn.replies.push({ kind: "fetch", ticket, errorCode, topics: [] });
    return;
  }
  const isUnstable = (topic: string, partition: number): boolean =>
    requireStable && offsets.pending.has(groupId, topic, partition);
  turn.replies.push({
    kind: "fetch",
    ticket,
    errorCode,
    topics: topics === null ? allOf(offsets, groupId, isUnstable) : someOf(offsets, groupId, topics, isUnstable),
  });
}

type IsUnstable = (topic: string, partition: number) => boolean;

function allOf(offsets: Offsets, groupId: string, isUnstable: IsUnstable): FetchReply["topics"] {
  return [...offsets.topics(groupId)].map(([topic, partitions]) => ({
    topic,
    topicId: ANY_TOPIC_ID,
    partitions: [...partitions].map(([partition, value]) =>
      isUnstable(topic, partition) ? unstable(partition) : fetched(partition, value),
    ),
  }));
}

function someOf(
  offsets: Offsets,
  groupId: string,
  asked: NonNullable<FetchCommand["topics"]>,
  isUnstable: IsUnstable,
): FetchReply["topics"] {
  const known = offsets.topics(groupId);
  return asked.map(({ topic, topicId, partitions }) => {
    const ofTopic = known.get(topic);
    return {
      topic,
      topicId,
      partitions: partitions.map((partition) => {
        if (isUnstable(topic, partition)) return unstable(partition);
        const value = ofTopic?.get(partition);
        return fetched(partition, value !== undefined && isSameTopic(value.topicId, topicId) ? value : undefined);
      }),
    };
  });
}

/** What was committed for an earlier topic of the same name is not this topic's. */
const isSameTopic = (committedId: string, askedId: string): boolean =>
  committedId === askedId || committedId === ANY_TOPIC_ID || askedId === ANY_TOPIC_ID;

function fetched(partition: number, value: CommittedOffset | undefined): FetchedPartition {
  const errorCode = ErrorCode.NONE;
  if (value === undefined) return { partition, offset: -1, leaderEpoch: -1, metadata: "", errorCode };
  return { partition, offset: value.offset, leaderEpoch: value.leaderEpoch, metadata: value.metadata, errorCode };
}

const unstable = (partition: number): FetchedPartition => ({
  ...fetched(partition, undefined),
  errorCode: ErrorCode.UNSTABLE_OFFSET_COMMIT,
});
