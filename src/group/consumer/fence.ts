/** How members leave a group of the consumer protocol, or are put out of it. Source: GroupMetadataManager.consumerGroupLeave, consumerGroupFenceMembers. */
import { ErrorCode } from "../../protocol/errors.ts";
import type { LeaveCommand, LeaveReply } from "../commands.ts";
import type { Turn } from "../turn.ts";
import { OWNS_NOTHING, type OwnedPartitions } from "./assignment.ts";
import type { ConsumerHeartbeatCommand } from "./consumer-commands.ts";
import { ConsumerError } from "./consumer-error.ts";
import type { ConsumerGroup } from "./consumer-group.ts";
import type { ConsumerGroups } from "./consumer-groups.ts";
import { type ConsumerMember, currentOf, regexOf, STATIC_LEAVE_EPOCH } from "./consumer-member.ts";
import type { ConsumerRecord } from "./durable.ts";
import { knownMember, knownStatic } from "./known-member.ts";
import { Subscriptions } from "./subscriptions.ts";

/** When what should have put a member out could not be written. */
const FENCE_AGAIN_MS = 1000;

/** What takes a member out. The order matters: replay sees what it had before the member goes. */
export const removalOf = (groupId: string, memberId: string): ConsumerRecord[] => [
  { kind: "consumer-current", groupId, memberId, value: null },
  { kind: "consumer-target-member", groupId, memberId, value: null },
  { kind: "consumer-member", groupId, memberId, value: null },
];

/** What takes a group out that has no members. */
export function tombstonesOf(group: ConsumerGroup): ConsumerRecord[] {
  const { id: groupId } = group;
  return [
    { kind: "consumer-target", groupId, value: null },
    ...[...group.resolved.keys()].map((regex): ConsumerRecord => ({ kind: "consumer-regex", groupId, regex, value: null })),
    { kind: "consumer-partition-metadata", groupId, value: null },
    { kind: "consumer-group", groupId, value: null },
  ];
}

/** ConsumerGroupHeartbeat with -1 or -2. Throws ConsumerError. */
export function leave(turn: Turn, groups: ConsumerGroups, isClassic: boolean, command: ConsumerHeartbeatCommand): void {
  const { groupId, memberId, instanceId, memberEpoch } = command;
  const group = groups.get(groupId);
  if (group === undefined) {
    const message = isClassic ? `Group ${groupId} is not a consumer group.` : `Group ${groupId} not found.`;
    throw new ConsumerError(ErrorCode.GROUP_ID_NOT_FOUND, message);
  }
  const member = instanceId === null ? knownMember(group, memberId) : knownStatic(group, memberId, instanceId);
  if (instanceId !== null && memberEpoch === STATIC_LEAVE_EPOCH) leaveForAMoment(turn, group, member);
  else fence(turn, groups, group, [member], "it left");
  turn.replies.push({
    kind: "consumer-heartbeat",
    ticket: command.ticket,
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    memberId,
    memberEpoch,
    heartbeatIntervalMs: 0,
    assignment: null,
  });
}

/** It keeps its partitions until its session ends; whoever takes its place may commit for them from its first epoch on. */
function leaveForAMoment(turn: Turn, group: ConsumerGroup, member: ConsumerMember): void {
  turn.logger.info("static member leaves for a moment", {
    group: group.id,
    member: member.memberId,
    instance: member.instanceId,
  });
  const value = {
    ...currentOf(member),
    memberEpoch: STATIC_LEAVE_EPOCH,
    pendingRevocation: OWNS_NOTHING,
    assigned: fromEpochZero(member.assigned),
  };
  turn.records.push({ kind: "consumer-current", groupId: group.id, memberId: member.memberId, value });
}

const fromEpochZero = (owned: OwnedPartitions): OwnedPartitions =>
  new Map([...owned].map(([topicId, epochs]) => [topicId, new Map([...epochs.keys()].map((partition) => [partition, 0]))]));

/** Takes members out; the others get their partitions with the next target assignment. */
export function fence(
  turn: Turn,
  groups: ConsumerGroups,
  group: ConsumerGroup,
  members: readonly ConsumerMember[],
  reason: string,
): void {
  if (members.length === 0) return;
  const { id: groupId } = group;
  const subscriptions = new Subscriptions(group.subscriptions);
  const regexes: ConsumerRecord[] = [];
  for (const member of members) {
    turn.logger.info("member leaves a consumer group", { group: groupId, member: member.memberId, reason });
    turn.records.push(...removalOf(groupId, member.memberId));
    subscriptions.replace(member, null);
    const regex = regexOf(member);
    if (regex === null || subscriptions.regexes.has(regex)) continue;
    regexes.push({ kind: "consumer-regex", groupId, regex, value: null });
    subscriptions.resolve(group.resolved.get(regex), null);
  }
  const epoch = group.epoch + 1;
  turn.records.push(...regexes, {
    kind: "consumer-group",
    groupId,
    value: { epoch, metadataHash: groups.hashOf(subscriptions) },
  });
  // Nobody is left to ask for a target assignment; the next one to come need not wait for its own.
  if (members.length === group.members.size)
    turn.records.push({ kind: "consumer-target", groupId, value: { assignmentEpoch: epoch, assignedMs: 0 } });
}

/** A member's session is over. It may be gone already, or only have been about to come. */
export function sessionIsOver(turn: Turn, groups: ConsumerGroups, groupId: string, memberId: string): void {
  const group = groups.get(groupId);
  const member = group?.members.get(memberId);
  if (group === undefined || member === undefined) {
    groups.forgetMember(groupId, memberId);
    return;
  }
  fence(turn, groups, group, [member], "its session expired");
  turn.undo = (later) => later.wake(groups.soft(groupId).member(memberId).session, FENCE_AGAIN_MS);
}

/** A member had to let go of partitions and has not said in time that it did. */
export function rebalanceTimeIsUp(turn: Turn, groups: ConsumerGroups, groupId: string, memberId: string): void {
  const group = groups.get(groupId);
  const member = group?.members.get(memberId);
  if (group === undefined || member === undefined) return;
  const soft = groups.soft(groupId).member(memberId);
  if (member.memberEpoch !== soft.rebalanceEpoch) return;
  fence(turn, groups, group, [member], `it did not leave epoch ${member.memberEpoch} in time`);
  turn.undo = (later) => later.wake(soft.rebalance, FENCE_AGAIN_MS);
}

/** LeaveGroup, with which administrators can put members out of such a group too. */
export function leaveGroup(turn: Turn, groups: ConsumerGroups, group: ConsumerGroup, command: LeaveCommand): void {
  const leaving = new Set<ConsumerMember>();
  const answers = command.members.map(({ memberId, instanceId }): LeaveReply["members"][number] => {
    const found = memberToLeave(group, memberId, instanceId);
    if (typeof found === "number") return { memberId, groupInstanceId: instanceId, errorCode: found };
    leaving.add(found);
    return { memberId, groupInstanceId: instanceId, errorCode: ErrorCode.NONE };
  });
  fence(turn, groups, group, [...leaving], "a LeaveGroup request names it");
  turn.replies.push({ kind: "leave", ticket: command.ticket, errorCode: ErrorCode.NONE, members: answers });
}

/** The member, or the error that there is none. */
function memberToLeave(group: ConsumerGroup, memberId: string, instanceId: string | null): ConsumerMember | number {
  if (instanceId === null) return group.members.get(memberId) ?? ErrorCode.UNKNOWN_MEMBER_ID;
  const member = group.staticMember(instanceId);
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  return memberId === "" || memberId === member.memberId ? member : ErrorCode.FENCED_INSTANCE_ID;
}
