/**
 * One step of a member towards the target assignment: first it lets go of what is not its own any more, then it gets what is free.
 * So a partition has a new owner only once the old one let go of it. Source: CurrentAssignmentBuilder.
 */
import { ErrorCode } from "../../protocol/errors.ts";
import { type Assignment, OWNS_NOTHING, type OwnedPartitions } from "./assignment.ts";
import { ConsumerError } from "./consumer-error.ts";
import type { ConsumerMember } from "./consumer-member.ts";
import type { CurrentAssignment, MemberState } from "./durable.ts";

/** Partitions as a request lists them. */
export type ListedPartitions = readonly { readonly topicId: string; readonly partitions: readonly number[] }[];

export interface ReconcileInput {
  readonly member: ConsumerMember;
  readonly targetEpoch: number;
  readonly target: Assignment;
  /** The topics that it is subscribed to now. */
  readonly topicIds: ReadonlySet<string>;
  /** It changed what it is subscribed to just now: what it reads no more goes at once. */
  readonly hasSubscriptionChanged: boolean;
  /** What it says that it has, null if it did not say. */
  readonly owned: ListedPartitions | null;
  /** Whether somebody has a partition, or has not let go of it. */
  isOwned(topicId: string, partition: number): boolean;
}

/** The member as it goes on; the same one if nothing can be done yet. Throws ConsumerError. */
export function reconcile(input: ReconcileInput): ConsumerMember {
  const { member, hasSubscriptionChanged } = input;
  switch (member.state) {
    case "STABLE":
      if (member.memberEpoch !== input.targetEpoch) return next(input, member.memberEpoch);
      return hasSubscriptionChanged ? withoutUnsubscribed(input) : member;
    case "UNREVOKED_PARTITIONS":
      if (!owns(input.owned, member.pendingRevocation)) return next(input, member.memberEpoch);
      return hasSubscriptionChanged ? withoutUnsubscribed(input) : member;
    case "UNRELEASED_PARTITIONS":
      return next(input, member.memberEpoch);
    case "UNKNOWN":
      // Of a newer Kafka: it must begin again, without partitions.
      if (input.owned === null || input.owned.length > 0) {
        const message = "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.";
        throw new ConsumerError(ErrorCode.FENCED_MEMBER_EPOCH, message);
      }
      return next(input, input.targetEpoch);
  }
}

/** Whether the member still has any of these; if it does not say, it does. */
function owns(owned: ListedPartitions | null, of: OwnedPartitions): boolean {
  if (owned === null) return true;
  return owned.some(({ topicId, partitions }) => partitions.some((partition) => of.get(topicId)?.has(partition) === true));
}

/** Only takes away what the member does not read any more: much less work than a whole step. */
function withoutUnsubscribed(input: ReconcileInput): ConsumerMember {
  const { member, topicIds } = input;
  const gone = [...member.assigned].filter(([topicId]) => !topicIds.has(topicId));
  if (gone.length === 0) return member;
  const assigned = new Map([...member.assigned].filter(([topicId]) => topicIds.has(topicId)));
  const pendingRevocation = new Map(member.pendingRevocation);
  for (const [topicId, epochs] of gone) {
    pendingRevocation.set(topicId, new Map([...(pendingRevocation.get(topicId) ?? []), ...epochs]));
  }
  if (owns(input.owned, pendingRevocation))
    return at(member, { state: "UNREVOKED_PARTITIONS", epoch: member.memberEpoch, assigned, pendingRevocation });
  const { state, pendingRevocation: asBefore } = member;
  return at(member, { state, epoch: member.memberEpoch, assigned, pendingRevocation: asBefore });
}

/** A whole step; `epoch` is the member's as long as it has to let go of something. */
function next(input: ReconcileInput, epoch: number): ConsumerMember {
  const { member, targetEpoch } = input;
  const { assigned, pendingRevocation, free, hasUnreleased } = compare(input);
  if (pendingRevocation.size > 0 && owns(input.owned, pendingRevocation))
    return at(member, { state: "UNREVOKED_PARTITIONS", epoch, assigned, pendingRevocation });
  for (const [topicId, partitions] of free) {
    const epochs = assigned.get(topicId) ?? new Map<number, number>();
    for (const partition of partitions) epochs.set(partition, targetEpoch);
    assigned.set(topicId, epochs);
  }
  const state = hasUnreleased ? "UNRELEASED_PARTITIONS" : "STABLE";
  return at(member, { state, epoch: targetEpoch, assigned, pendingRevocation: OWNS_NOTHING });
}

interface Comparison {
  /** What it has and keeps. */
  readonly assigned: Map<string, Map<number, number>>;
  /** What it has and is to let go of. */
  readonly pendingRevocation: Map<string, Map<number, number>>;
  /** What it is to get and nobody has. */
  readonly free: Map<string, number[]>;
  /** Somebody else still has a part of what it is to get. */
  readonly hasUnreleased: boolean;
}

function compare(input: ReconcileInput): Comparison {
  const { member, target, topicIds } = input;
  const result = { assigned: new Map(), pendingRevocation: new Map(), free: new Map() };
  let hasUnreleased = false;
  for (const topicId of new Set([...target.keys(), ...member.assigned.keys()])) {
    const wanted = topicIds.has(topicId) ? (target.get(topicId) ?? []) : [];
    const isWanted = new Set(wanted);
    const has = member.assigned.get(topicId) ?? new Map<number, number>();
    const letsGo = member.pendingRevocation.get(topicId);
    const missing = wanted.filter((partition) => !has.has(partition));
    // What it is letting go of itself is free for it.
    const free = missing.filter((partition) => !input.isOwned(topicId, partition) || letsGo?.has(partition) === true);
    if (free.length < missing.length) hasUnreleased = true;
    setUnlessEmpty(result.assigned, topicId, new Map([...has].filter(([partition]) => isWanted.has(partition))));
    setUnlessEmpty(result.pendingRevocation, topicId, new Map([...has].filter(([partition]) => !isWanted.has(partition))));
    if (free.length > 0) result.free.set(topicId, free);
  }
  return { ...result, hasUnreleased };
}

function setUnlessEmpty<V extends { readonly size: number }>(map: Map<string, V>, key: string, value: V): void {
  if (value.size > 0) map.set(key, value);
}

interface Place {
  readonly state: MemberState;
  readonly epoch: number;
  readonly assigned: OwnedPartitions;
  readonly pendingRevocation: OwnedPartitions;
}

function at(member: ConsumerMember, { state, epoch, assigned, pendingRevocation }: Place): ConsumerMember {
  const current: CurrentAssignment = {
    memberEpoch: epoch,
    previousMemberEpoch: member.memberEpoch,
    state,
    assigned,
    pendingRevocation,
  };
  return { ...member, ...current };
}
