/** The groups of the consumer protocol (KIP-848) in one shard, with what of them is not in the log. */
import type { MemoryBound } from "../../base/memory-bound.ts";
import type { Alarms } from "../alarms.ts";
import type { GroupRecord } from "../durable.ts";
import type { Due } from "../member.ts";
import type { Turn } from "../turn.ts";
import { ConsumerGroup } from "./consumer-group.ts";
import type { ConsumerRecord } from "./durable.ts";
import { groupHash, topicHash } from "./metadata-hash.ts";
import { SoftGroup } from "./soft-state.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { SeenTopic, TopicsView } from "./topics-view.ts";

export class ConsumerGroups {
  /** An input, as the clocks are. */
  readonly topics: TopicsView;
  private readonly byId = new Map<string, ConsumerGroup>();
  private readonly softById = new Map<string, SoftGroup>();
  private readonly hashes = new WeakMap<SeenTopic, bigint>();
  private readonly memory: MemoryBound;
  private readonly alarms: Alarms<Due>;

  constructor(topics: TopicsView, memory: MemoryBound, alarms: Alarms<Due>) {
    this.topics = topics;
    this.memory = memory;
    this.alarms = alarms;
  }

  get(groupId: string): ConsumerGroup | undefined {
    return this.byId.get(groupId);
  }

  get size(): number {
    return this.byId.size;
  }

  all(): Iterable<ConsumerGroup> {
    return this.byId.values();
  }

  /** A group that no record speaks of yet: what is decided for it goes into records, and they make it. */
  draft(groupId: string): ConsumerGroup {
    const draft = new ConsumerGroup(groupId, this.memory);
    draft.release();
    return draft;
  }

  soft(groupId: string): SoftGroup {
    const soft = this.softById.get(groupId) ?? new SoftGroup(groupId);
    this.softById.set(groupId, soft);
    return soft;
  }

  /** The member is not waited for any more. */
  forgetMember(groupId: string, memberId: string): void {
    const soft = this.softById.get(groupId);
    soft?.forget(memberId, this.alarms);
    if (soft?.isIdle && !this.byId.has(groupId)) this.softById.delete(groupId);
  }

  /** The only way a group changes, live and in recovery. */
  apply(record: ConsumerRecord): void {
    const { groupId } = record;
    const group = this.byId.get(groupId);
    if (record.kind === "consumer-member" && record.value === null) this.forgetMember(groupId, record.memberId);
    if (record.kind === "consumer-group" && record.value === null) this.remove(groupId);
    else if (group !== undefined) group.apply(record);
    else if (record.value !== null) {
      const added = new ConsumerGroup(groupId, this.memory);
      this.byId.set(groupId, added);
      added.apply(record);
    }
  }

  /** Gives its memory back. */
  unload(): void {
    for (const group of this.byId.values()) group.release();
    this.byId.clear();
    this.softById.clear();
  }

  /** One number for what the subscribed topics look like now. */
  hashOf(subscriptions: Subscriptions): bigint {
    return groupHash(subscriptions.topics.keys(), (name) => {
      const topic = this.topics.topicByName(name);
      if (topic === undefined) return undefined;
      const hash = this.hashes.get(topic) ?? topicHash(topic, this.topics);
      this.hashes.set(topic, hash);
      return hash;
    });
  }

  /** The target assignment has to be computed anew. Gives the new group epoch. */
  bumpEpoch(turn: Turn, group: ConsumerGroup, metadataHash: bigint, records: GroupRecord[]): number {
    const epoch = group.epoch + 1;
    records.push({ kind: "consumer-group", groupId: group.id, value: { epoch, metadataHash } });
    turn.logger.info("consumer group has a new epoch", { group: group.id, epoch, members: group.members.size });
    this.soft(group.id).refreshed = { version: this.topics.version, epoch };
    return epoch;
  }

  /** Whether topics may have changed since the group looked at them last, or a new epoch of then was not written. */
  mustRefresh(group: ConsumerGroup): boolean {
    const { refreshed } = this.soft(group.id);
    return refreshed === null || refreshed.version !== this.topics.version || group.epoch < refreshed.epoch;
  }

  private remove(groupId: string): void {
    this.byId.get(groupId)?.release();
    this.byId.delete(groupId);
    this.softById.get(groupId)?.forgetAll(this.alarms);
    this.softById.delete(groupId);
  }
}
