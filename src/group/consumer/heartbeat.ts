/**
 * ConsumerGroupHeartbeat: who joins or changes its mind makes a new group epoch; a group that is newer than its target assignment
 * gets a new one; and each member goes a step towards what it is to have. Source: GroupMetadataManager.consumerGroupHeartbeat.
 */
import { ErrorCode } from "../../protocol/errors.ts";
import type { GroupRecord } from "../durable.ts";
import type { Group } from "../group.ts";
import { MEMBER_BYTES } from "../memory.ts";
import type { Turn } from "../turn.ts";
import { type Assignment, partitionsOf, sameOwned } from "./assignment.ts";
import type { Assignor } from "./assignor.ts";
import type { ConsumerHeartbeatCommand } from "./consumer-commands.ts";
import { ConsumerError } from "./consumer-error.ts";
import { type ConsumerGroup, metadataBytes } from "./consumer-group.ts";
import type { ConsumerGroups } from "./consumer-groups.ts";
import {
  type ConsumerMember,
  currentOf,
  isReconciledTo,
  JOIN_EPOCH,
  metadataOf,
  newMember,
  regexOf,
  STATIC_LEAVE_EPOCH,
  sameCurrent,
  sameMetadata,
  sameNames,
} from "./consumer-member.ts";
import { leave, removalOf } from "./fence.ts";
import { knownMember, knownStatic } from "./known-member.ts";
import { updatePatterns } from "./patterns.ts";
import { type ListedPartitions, reconcile } from "./reconcile.ts";
import { Subscriptions } from "./subscriptions.ts";
import { computeTarget, subscribedTopicIds } from "./target.ts";

/** Everything that one heartbeat is about. */
interface Beat {
  readonly turn: Turn;
  readonly groups: ConsumerGroups;
  readonly group: ConsumerGroup;
  readonly command: ConsumerHeartbeatCommand;
  /** Written if the whole heartbeat succeeds. */
  readonly records: GroupRecord[];
}

/** A member as it is known, and as it is after what it says. */
interface Change {
  readonly member: ConsumerMember;
  readonly updated: ConsumerMember;
}

/** `classic`: a group of the classic protocol that has the name. */
export function consumerHeartbeat(
  turn: Turn,
  groups: ConsumerGroups,
  classic: Group | undefined,
  command: ConsumerHeartbeatCommand,
): void {
  try {
    if (command.memberEpoch < JOIN_EPOCH) leave(turn, groups, classic !== undefined, command);
    else stay(turn, groups, classic, command);
  } catch (error) {
    if (!(error instanceof ConsumerError)) throw error;
    const nothing = { memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null };
    const { errorCode, message: errorMessage } = error;
    turn.replies.push({ kind: "consumer-heartbeat", ticket: command.ticket, errorCode, errorMessage, ...nothing });
  }
}

/** Of one that joins or is there. Throws ConsumerError; then nothing has been decided. */
function stay(turn: Turn, groups: ConsumerGroups, classic: Group | undefined, command: ConsumerHeartbeatCommand): void {
  const records: GroupRecord[] = [];
  const group = groupFor(turn, groups, classic, command, records);
  refuseIfFull(turn, group, command);
  const memberId = command.memberId === "" ? command.uuid : command.memberId;
  const beat = { turn, groups, group, command, records };
  const member = command.instanceId === null ? dynamicMember(beat, memberId) : staticMember(beat, memberId, command.instanceId);
  const said = updatedMember(member, command);
  refuseIfTooLarge(turn, group, said);
  const updated = advance(beat, member, said);
  turn.records.push(...records);
  const soft = groups.soft(group.id).member(memberId);
  const { sessionTimeoutMs, heartbeatIntervalMs } = turn.config.consumer.timesOf(group.id);
  turn.wake(soft.session, sessionTimeoutMs);
  turn.undo = (later) => {
    const known = groups.get(command.groupId)?.members.get(memberId);
    if (known?.state === "UNREVOKED_PARTITIONS") later.wake(soft.rebalance, known.rebalanceTimeoutMs);
  };
  turn.replies.push({
    kind: "consumer-heartbeat",
    ticket: command.ticket,
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    memberId: updated.memberId,
    memberEpoch: updated.memberEpoch,
    heartbeatIntervalMs,
    assignment: isFullRequest(command) || !sameOwned(member.assigned, updated.assigned) ? partitionsOf(updated.assigned) : null,
  });
}

/** Such a request is sent to join, and after errors: its member may not know what it was told before. */
const isFullRequest = ({ memberEpoch, rebalanceTimeoutMs, topicNames, topicRegex, owned }: ConsumerHeartbeatCommand): boolean =>
  memberEpoch === JOIN_EPOCH || (rebalanceTimeoutMs !== -1 && (topicNames !== null || topicRegex !== null) && owned !== null);

function groupFor(
  turn: Turn,
  groups: ConsumerGroups,
  classic: Group | undefined,
  { groupId, memberEpoch }: ConsumerHeartbeatCommand,
  records: GroupRecord[],
): ConsumerGroup {
  const refuse = (message: string): never => {
    throw new ConsumerError(ErrorCode.GROUP_ID_NOT_FOUND, message);
  };
  const group = groups.get(groupId);
  if (group !== undefined) return group;
  if (classic === undefined) {
    if (memberEpoch !== JOIN_EPOCH) refuse(`Consumer group ${groupId} not found.`);
  } else if (memberEpoch !== JOIN_EPOCH) {
    refuse(`Group ${groupId} is not a consumer group.`);
  } else if (classic.state !== "Empty") {
    refuse(`Cannot upgrade classic group ${groupId} to consumer group because online upgrade is disabled.`);
  } else {
    turn.logger.info("empty classic group becomes a consumer group", { group: groupId });
    records.push({ kind: "group", groupId, value: null });
  }
  return groups.draft(groupId);
}

function refuseIfFull(turn: Turn, group: ConsumerGroup, { memberId, instanceId }: ConsumerHeartbeatCommand): void {
  const { maxSize } = turn.config.consumer;
  // Who comes back under a name that is known does not make the group larger.
  if (group.staticMember(instanceId) !== undefined) return;
  if (group.members.size >= maxSize && !group.members.has(memberId)) {
    const message = `The consumer group has reached its maximum capacity of ${maxSize} members.`;
    throw new ConsumerError(ErrorCode.GROUP_MAX_SIZE_REACHED, message);
  }
}

/** Kafka has no such bounds; what does not fit into a record would be refused by its log. */
function refuseIfTooLarge(turn: Turn, group: ConsumerGroup, said: ConsumerMember): void {
  const bytes = metadataBytes(said);
  if (bytes > turn.config.groupMaxMemberBytes)
    throw new ConsumerError(ErrorCode.INVALID_REQUEST, "The member's subscription is too large.");
  if ([...said.topicNames, said.memberId, said.clientId, said.topicRegex ?? ""].some(isTooLong))
    throw new ConsumerError(ErrorCode.INVALID_REQUEST, "A name is too long.");
  const known = group.members.get(said.memberId);
  const added = known === undefined ? MEMBER_BYTES + bytes : bytes - metadataBytes(known);
  if (added > 0 && !turn.memory.hasRoomFor(added))
    throw new ConsumerError(ErrorCode.GROUP_MAX_SIZE_REACHED, "The broker has no memory for more group members.");
}

/** What a string of a record can hold. */
const MAX_TEXT_BYTES = 32_767;
const isTooLong = (text: string): boolean => text.length > MAX_TEXT_BYTES / 3 && Buffer.byteLength(text) > MAX_TEXT_BYTES;

function dynamicMember({ turn, group, command }: Beat, memberId: string): ConsumerMember {
  const { memberEpoch, owned } = command;
  const isJoining = memberEpoch === JOIN_EPOCH;
  const member = isJoining ? (group.members.get(memberId) ?? newMember(memberId)) : knownMember(group, memberId);
  refuseWrongEpoch(member, memberEpoch, owned);
  if (isJoining) turn.logger.info("member joins a consumer group", { group: group.id, member: memberId });
  return member;
}

/** KIP-345: a new member takes the place of the one with its instance id, if that one has left for a moment. */
function staticMember(beat: Beat, memberId: string, instanceId: string): ConsumerMember {
  const { turn, group, command, records } = beat;
  const { memberEpoch, owned } = command;
  const current = group.staticMember(instanceId);
  if (memberEpoch !== JOIN_EPOCH) {
    const known = knownStatic(group, memberId, instanceId);
    refuseWrongEpoch(known, memberEpoch, owned);
    return known;
  }
  turn.logger.info("static member joins a consumer group", { group: group.id, instance: instanceId, member: memberId });
  if (current === undefined) return group.members.get(memberId) ?? newMember(memberId);
  if (current.memberEpoch !== STATIC_LEAVE_EPOCH) {
    const message = `Static member ${memberId} with instance id ${instanceId} cannot join the group because the instance id is owned by ${current.memberId} member.`;
    throw new ConsumerError(ErrorCode.UNRELEASED_INSTANCE_ID, message);
  }
  const replacing: ConsumerMember = { ...current, memberId, memberEpoch: JOIN_EPOCH, previousMemberEpoch: JOIN_EPOCH };
  const target = group.target(current.memberId, null);
  records.push(
    ...removalOf(group.id, current.memberId),
    { kind: "consumer-member", groupId: group.id, memberId, value: metadataOf(replacing) },
    { kind: "consumer-target-member", groupId: group.id, memberId, value: target },
    { kind: "consumer-current", groupId: group.id, memberId, value: currentOf(replacing) },
  );
  return replacing;
}

function refuseWrongEpoch(member: ConsumerMember, epoch: number, owned: ListedPartitions | null): void {
  if (epoch === JOIN_EPOCH || epoch === member.memberEpoch) return;
  // The answer with the newer epoch may have been lost.
  const mayHaveMissedIt = epoch === member.previousMemberEpoch && isWithin(owned, member);
  if (epoch < member.memberEpoch && mayHaveMissedIt) return;
  const how = epoch > member.memberEpoch ? "greater" : "smaller";
  const message = `The consumer group member has a ${how} member epoch (${epoch}) than the one known by the group coordinator (${member.memberEpoch}). The member must abandon all its partitions and rejoin.`;
  throw new ConsumerError(ErrorCode.FENCED_MEMBER_EPOCH, message);
}

function isWithin(owned: ListedPartitions | null, { assigned }: ConsumerMember): boolean {
  if (owned === null) return false;
  return owned.every(({ topicId, partitions }) => {
    const epochs = assigned.get(topicId);
    return epochs !== undefined && partitions.every((partition) => epochs.has(partition));
  });
}

function updatedMember(member: ConsumerMember, command: ConsumerHeartbeatCommand): ConsumerMember {
  const { instanceId, rackId, rebalanceTimeoutMs, topicNames, topicRegex, serverAssignor, clientId, clientHost } = command;
  return {
    ...member,
    instanceId: instanceId ?? member.instanceId,
    rackId: rackId ?? member.rackId,
    rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? member.rebalanceTimeoutMs : rebalanceTimeoutMs,
    topicNames: topicNames === null ? member.topicNames : [...new Set(topicNames)].sort(),
    topicRegex: topicRegex ?? member.topicRegex,
    serverAssignor: serverAssignor ?? member.serverAssignor,
    clientId,
    clientHost,
    classic: null,
  };
}

/** Writes down what follows from what the member said; gives it as it is then. */
function advance(beat: Beat, member: ConsumerMember, updated: ConsumerMember): ConsumerMember {
  const { turn, groups, group, records } = beat;
  const change = { member, updated };
  if (!sameMetadata(member, updated))
    records.push({ kind: "consumer-member", groupId: group.id, memberId: updated.memberId, value: metadataOf(updated) });
  const haveNamesChanged = !sameNames(member.topicNames, updated.topicNames);
  const patterns = updatePatterns(turn, groups, group, change, records);
  const mustBump = haveNamesChanged || patterns === "changed, and its topics are known" || doesPreferenceChange(beat, change);
  const epoch = refresh(beat, change, mustBump);
  const { targetEpoch, target } = updateTarget(beat, change, epoch);
  return goOn(beat, updated, targetEpoch, target, haveNamesChanged || patterns !== "none");
}

/** The group's assignor may be another one now. */
function doesPreferenceChange(beat: Beat, change: Change): boolean {
  if (change.member.serverAssignor === change.updated.serverAssignor) return false;
  return preferredAssignor(beat, beat.group.subscriptions) !== preferredAssignor(beat, subscriptionsWith(beat.group, change));
}

/** The one that most members ask for, else the first that is configured. */
function preferredAssignor({ turn }: Beat, { preferredAssignor: name }: Subscriptions): Assignor {
  const { assignors } = turn.config.consumer;
  return assignors.find((assignor) => assignor.name === name) ?? assignors[0]!;
}

/** As they will be with the member as it is to be. */
function subscriptionsWith(group: ConsumerGroup, { member, updated }: Change): Subscriptions {
  const subscriptions = new Subscriptions(group.subscriptions);
  const isCounted = group.members.has(updated.memberId) || group.staticMember(updated.instanceId) !== undefined;
  subscriptions.replace(isCounted ? member : null, updated);
  const before = regexOf(member);
  // The topics of a pattern that only this member had go with it.
  if (before !== null && before !== updated.topicRegex && group.subscriptions.regexes.get(before) === 1)
    subscriptions.resolve(group.resolved.get(before), null);
  return subscriptions;
}

/** A new group epoch if the member or the topics make it necessary. */
function refresh(beat: Beat, change: Change, mustBump: boolean): number {
  const { turn, groups, group, records } = beat;
  if (!mustBump && !groups.mustRefresh(group)) return group.epoch;
  const hash = groups.hashOf(subscriptionsWith(group, change));
  let { epoch } = group;
  if (mustBump || hash !== group.metadataHash) epoch = groups.bumpEpoch(turn, group, hash, records);
  else groups.soft(group.id).refreshed = { version: groups.topics.version, epoch };
  if (group.hasPartitionMetadata) records.push({ kind: "consumer-partition-metadata", groupId: group.id, value: null });
  return epoch;
}

/** A new target assignment if the group is newer than the last, and that is not too new (KIP-1263). */
function updateTarget(beat: Beat, change: Change, epoch: number): { targetEpoch: number; target: Assignment } {
  const { turn, groups, group, records } = beat;
  const { updated } = change;
  const { assignmentIntervalMs } = turn.config.consumer.timesOf(group.id);
  const mayCompute =
    group.assignedMs === 0 || assignmentIntervalMs === 0 || turn.wallMs >= group.assignedMs + assignmentIntervalMs;
  if (group.assignmentEpoch >= epoch || !mayCompute)
    return { targetEpoch: group.assignmentEpoch, target: group.target(updated.memberId, updated.instanceId) };
  // With the member: one without topics makes no new epoch, and still does not read what the others read. Kafka forgets it here.
  const subscriptions = subscriptionsWith(group, change);
  const assignor = preferredAssignor(beat, subscriptions);
  const { isHomogeneous } = subscriptions;
  const computed = computeTarget({ group, updated, isHomogeneous, assignor, topics: groups.topics });
  const value = { assignmentEpoch: epoch, assignedMs: turn.wallMs };
  records.push(...computed.records, { kind: "consumer-target", groupId: group.id, value });
  turn.logger.info("consumer group has a new target assignment", { group: group.id, epoch, assignor: assignor.name });
  return { targetEpoch: epoch, target: computed.target };
}

/** The member goes a step, if there is one to go. */
function goOn(
  { turn, groups, group, command, records }: Beat,
  updated: ConsumerMember,
  targetEpoch: number,
  target: Assignment,
  hasSubscriptionChanged: boolean,
): ConsumerMember {
  if (!hasSubscriptionChanged && isReconciledTo(updated, targetEpoch)) return updated;
  const after = reconcile({
    member: updated,
    targetEpoch,
    target,
    topicIds: subscribedTopicIds(updated, group.resolved, groups.topics),
    hasSubscriptionChanged,
    owned: command.owned,
    isOwned: (topicId, partition) => group.owner(topicId, partition) !== undefined,
  });
  if (sameCurrent(after, updated)) return updated;
  records.push({ kind: "consumer-current", groupId: group.id, memberId: after.memberId, value: currentOf(after) });
  const soft = groups.soft(group.id).member(after.memberId);
  if (after.state === "UNREVOKED_PARTITIONS") {
    soft.rebalanceEpoch = after.memberEpoch;
    turn.wake(soft.rebalance, after.rebalanceTimeoutMs);
  } else {
    turn.alarms.clear(soft.rebalance);
  }
  return after;
}
