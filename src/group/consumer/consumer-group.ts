/**
 * One group of the consumer protocol (KIP-848): all of it comes from records. It keeps its own counts true and decides nothing;
 * heartbeat.ts, fence.ts and patterns.ts do. Source: ConsumerGroup, ModernGroup, GroupMetadataManager.replay.
 */
import type { MemoryBound } from "../../base/memory-bound.ts";
import { GROUP_BYTES, MEMBER_BYTES, textBytes } from "../memory.ts";
import { type Assignment, countOf, NO_PARTITIONS, OWNS_NOTHING, type OwnedPartitions } from "./assignment.ts";
import { type ConsumerMember, isReconciledTo, LEAVE_EPOCH, newMember } from "./consumer-member.ts";
import type { ConsumerRecord, MemberMetadata, ResolvedRegex } from "./durable.ts";
import { NO_HASH } from "./metadata-hash.ts";
import { Subscriptions } from "./subscriptions.ts";

/**
 * Kafka's names. Assigning: the target assignment is older than the group. Reconciling: some member is not there yet.
 * ("Dead" is a group that is not there.)
 */
export type ConsumerGroupState = "Empty" | "Assigning" | "Reconciling" | "Stable";

/** Of a group that has not been changed yet: a member that changes nothing joins at this epoch. */
const FIRST_EPOCH = 1;
/** A partition in an assignment, roughly. */
const PARTITION_BYTES = 50;
/** A name in a list that is shared with nobody. */
const NAME_BYTES = 50;

export class ConsumerGroup {
  readonly type = "consumer";
  readonly id: string;
  /** Grows whenever the target assignment has to be computed anew. */
  epoch = FIRST_EPOCH;
  /** The group epoch for which the target assignment was computed. */
  assignmentEpoch = FIRST_EPOCH;
  /** When that was, by the wall clock; 0: it need not be waited for. */
  assignedMs = 0;
  metadataHash = NO_HASH;
  /** The log holds a record that only Kafka 4.0 writes. */
  hasPartitionMetadata = false;
  readonly members = new Map<string, ConsumerMember>();
  readonly subscriptions = new Subscriptions();
  readonly resolved = new Map<string, ResolvedRegex>();

  private readonly targets = new Map<string, Assignment>();
  private readonly memberIdByInstance = new Map<string, string>();
  /** By topic id and partition: the member that has it, or has not let go of it. */
  private readonly owners = new Map<string, Map<number, string>>();
  private readonly memory: MemoryBound;
  private heldBytes = 0;

  constructor(id: string, memory: MemoryBound) {
    this.id = id;
    this.memory = memory;
    this.hold(GROUP_BYTES + textBytes(id));
  }

  /** It is not used any more: its memory is others'. */
  release(): void {
    this.hold(-this.heldBytes);
  }

  get state(): ConsumerGroupState {
    if (this.members.size === 0) return "Empty";
    if (this.epoch > this.assignmentEpoch) return "Assigning";
    for (const member of this.members.values()) if (!isReconciledTo(member, this.assignmentEpoch)) return "Reconciling";
    return "Stable";
  }

  /** The member that goes by this instance id now. */
  staticMember(instanceId: string | null): ConsumerMember | undefined {
    const memberId = instanceId === null ? undefined : this.memberIdByInstance.get(instanceId);
    return memberId === undefined ? undefined : this.members.get(memberId);
  }

  /** What the target assignment gives a member, or whoever goes by its instance id now. */
  target(memberId: string, instanceId: string | null): Assignment {
    const id = instanceId === null ? memberId : (this.memberIdByInstance.get(instanceId) ?? "");
    return this.targets.get(id) ?? NO_PARTITIONS;
  }

  /** Undefined if none was ever written for it. */
  writtenTarget(memberId: string): Assignment | undefined {
    return this.targets.get(memberId);
  }

  /** Who has the partition, or has not let go of it yet. */
  owner(topicId: string, partition: number): string | undefined {
    return this.owners.get(topicId)?.get(partition);
  }

  apply(record: ConsumerRecord): void {
    switch (record.kind) {
      case "consumer-group":
        if (record.value !== null) ({ epoch: this.epoch, metadataHash: this.metadataHash } = record.value);
        return;
      case "consumer-partition-metadata":
        this.hasPartitionMetadata = record.value !== null;
        return;
      case "consumer-member":
        this.applyMember(record.memberId, record.value);
        return;
      case "consumer-target":
        this.assignmentEpoch = record.value?.assignmentEpoch ?? LEAVE_EPOCH;
        this.assignedMs = record.value?.assignedMs ?? 0;
        return;
      case "consumer-target-member":
        this.setTarget(record.memberId, record.value);
        return;
      case "consumer-current":
        this.applyCurrent(record);
        return;
      case "consumer-regex":
        this.applyRegex(record.regex, record.value);
        return;
    }
  }

  private applyMember(memberId: string, value: MemberMetadata | null): void {
    const before = this.members.get(memberId);
    if (value !== null) this.put({ ...(before ?? newMember(memberId)), ...value });
    else if (before !== undefined) this.remove(before);
  }

  private applyCurrent({ memberId, value }: Extract<ConsumerRecord, { kind: "consumer-current" }>): void {
    const before = this.members.get(memberId);
    if (value !== null) {
      this.put({ ...(before ?? newMember(memberId)), ...value });
    } else if (before !== undefined) {
      const gone = { memberEpoch: LEAVE_EPOCH, previousMemberEpoch: LEAVE_EPOCH };
      this.put({ ...before, ...gone, assigned: OWNS_NOTHING, pendingRevocation: OWNS_NOTHING });
    }
  }

  private put(member: ConsumerMember): void {
    const before = this.members.get(member.memberId);
    this.members.set(member.memberId, member);
    this.subscriptions.replace(before ?? null, member);
    if (before !== undefined) this.forgetOwner(before);
    this.setOwner(member, member.assigned);
    this.setOwner(member, member.pendingRevocation);
    this.forgetInstance(before);
    if (member.instanceId !== null) this.memberIdByInstance.set(member.instanceId, member.memberId);
    this.hold(memberBytes(member) - (before === undefined ? 0 : memberBytes(before)));
  }

  private remove(member: ConsumerMember): void {
    this.members.delete(member.memberId);
    this.subscriptions.replace(member, null);
    this.forgetOwner(member);
    this.forgetInstance(member);
    this.hold(-memberBytes(member));
  }

  private forgetInstance(member: ConsumerMember | undefined): void {
    if (member === undefined || member.instanceId === null) return;
    // Another member may have the name by now.
    if (this.memberIdByInstance.get(member.instanceId) === member.memberId) this.memberIdByInstance.delete(member.instanceId);
  }

  private setOwner(member: ConsumerMember, partitions: OwnedPartitions): void {
    for (const [topicId, epochs] of partitions) {
      const owners = this.owners.get(topicId) ?? new Map<number, string>();
      for (const partition of epochs.keys()) owners.set(partition, member.memberId);
      this.owners.set(topicId, owners);
    }
  }

  private forgetOwner(member: ConsumerMember): void {
    for (const partitions of [member.assigned, member.pendingRevocation]) {
      for (const [topicId, epochs] of partitions) {
        const owners = this.owners.get(topicId);
        if (owners === undefined) continue;
        // In a log that was compacted in part, others may have had it since.
        for (const partition of epochs.keys()) if (owners.get(partition) === member.memberId) owners.delete(partition);
        if (owners.size === 0) this.owners.delete(topicId);
      }
    }
  }

  private setTarget(memberId: string, value: Assignment | null): void {
    const before = this.targets.get(memberId) ?? NO_PARTITIONS;
    if (value === null) this.targets.delete(memberId);
    else this.targets.set(memberId, value);
    this.hold(PARTITION_BYTES * (countOf(value ?? NO_PARTITIONS) - countOf(before)));
  }

  private applyRegex(regex: string, value: ResolvedRegex | null): void {
    const before = this.resolved.get(regex);
    this.subscriptions.resolve(before, value);
    if (value === null) this.resolved.delete(regex);
    else this.resolved.set(regex, value);
    this.hold((value === null ? 0 : regexBytes(regex, value)) - (before === undefined ? 0 : regexBytes(regex, before)));
  }

  private hold(bytes: number): void {
    this.heldBytes += bytes;
    this.memory.heldBytes += bytes;
  }
}

/** What a member says of itself, in memory. */
export const metadataBytes = (member: MemberMetadata): number =>
  textBytes(member.instanceId, member.rackId, member.clientId, member.clientHost, member.topicRegex, member.serverAssignor) +
  namesBytes(member.topicNames) +
  (member.classic?.supportedProtocols ?? []).reduce((sum, { name, metadata }) => sum + textBytes(name) + metadata.length, 0);

const memberBytes = (member: ConsumerMember): number =>
  MEMBER_BYTES +
  textBytes(member.memberId) +
  metadataBytes(member) +
  PARTITION_BYTES * (countOf(member.assigned) + countOf(member.pendingRevocation));

const namesBytes = (names: readonly string[]): number => textBytes(...names) + NAME_BYTES * names.length;

const regexBytes = (regex: string, { topics }: ResolvedRegex): number => textBytes(regex) + namesBytes(topics);
