/**
 * JoinGroup: who may come in, under which id, and whether that makes the group rebalance. The answer is parked until the group
 * has its next generation, or given at once where nothing changes. Source: GroupMetadataManager.classicGroupJoin.
 */
import { ErrorCode } from "../protocol/errors.ts";
import type { JoinCommand } from "./commands.ts";
import type { Group } from "./group.ts";
import { type Member, ownProtocols, protocolBytes } from "./member.ts";
import { MEMBER_BYTES } from "./memory.ts";
import {
  addPending,
  answerParkedSync,
  completeJoinIfAllJoined,
  joinReply,
  memberError,
  NEW_MEMBER_JOIN_TIMEOUT_MS,
  prepareRebalance,
  rebalance,
  removeMember,
  removePending,
  rosterOf,
  startSession,
} from "./rebalance.ts";
import type { Turn } from "./turn.ts";

/** What a string of a record can hold. */
const MAX_TEXT_BYTES = 32_767;

/** Refuses what no group would take. True if the command was answered. */
export function refuseInvalidJoin(turn: Turn, command: JoinCommand): boolean {
  const { config } = turn;
  const refuse = (errorCode: number): boolean => {
    turn.refuseJoin(command.ticket, errorCode, command.memberId);
    return true;
  };
  if (command.groupId === "") return refuse(ErrorCode.INVALID_GROUP_ID);
  const { sessionTimeoutMs } = command;
  if (sessionTimeoutMs < config.groupMinSessionTimeoutMs || sessionTimeoutMs > config.groupMaxSessionTimeoutMs)
    return refuse(ErrorCode.INVALID_SESSION_TIMEOUT);
  // Kafka finds out when it cannot write the generation; then all its members have waited for nothing.
  if (protocolBytes(command.protocols) > config.groupMaxMemberBytes) return refuse(ErrorCode.INVALID_REQUEST);
  return textsOf(command).some((text) => Buffer.byteLength(text) > MAX_TEXT_BYTES) && refuse(ErrorCode.INVALID_REQUEST);
}

/** Everything of a member that becomes a string of a record. */
const textsOf = (command: JoinCommand): string[] => [
  newMemberId(command),
  command.clientId,
  command.protocolType,
  ...command.protocols.map(({ name }) => name),
];

const newMemberId = ({ instanceId, clientId, uuid }: JoinCommand): string => `${instanceId ?? clientId}-${uuid}`;

/** `group` is a new one if there was none and the member asks for an id. */
export function join(turn: Turn, group: Group, command: JoinCommand): void {
  const { ticket, memberId, instanceId } = command;
  const member = group.member(memberId);
  if (!hasRoomFor(turn, group, command, member)) {
    turn.refuseJoin(ticket, ErrorCode.GROUP_MAX_SIZE_REACHED, memberId);
  } else if (!hasPlaceFor(turn, group, member)) {
    if (member !== undefined) removeMember(turn, group, member);
    removePending(turn, group, memberId);
    turn.refuseJoin(ticket, ErrorCode.GROUP_MAX_SIZE_REACHED, "");
    completeJoinIfAllJoined(turn, group);
  } else if (!group.supports(command.protocolType, command.protocols)) {
    turn.refuseJoin(ticket, ErrorCode.INCONSISTENT_GROUP_PROTOCOL, memberId);
  } else if (memberId === "") {
    joinWithoutId(turn, group, command);
  } else if (instanceId === null && group.pending.has(memberId)) {
    removePending(turn, group, memberId);
    addMember(turn, group, command, memberId);
  } else {
    const errorCode = memberError(group, memberId, instanceId);
    if (errorCode !== null) turn.refuseJoin(ticket, errorCode, memberId);
    else rejoin(turn, group, command, member!);
  }
}

/**
 * Members count while they wait to join rather than when they are known: a group that is over a lowered limit gets below it
 * because the last to rejoin are sent away.
 */
function hasPlaceFor(turn: Turn, group: Group, member: Member | undefined): boolean {
  const limit = turn.config.groupMaxSize;
  if (group.state === "Empty") return true;
  if (group.state === "PreparingRebalance")
    return (member !== undefined && member.parkedJoin !== null) || group.waitingJoins < limit;
  return member !== undefined || group.members.size < limit;
}

/** Members offer more than one protocol each, and only the chosen one must fit into a record. */
const OFFERS_PER_RECORD = 8;

/** Whether what the member offers can be held, beside what all others do. */
function hasRoomFor(turn: Turn, group: Group, { protocols }: JoinCommand, member: Member | undefined): boolean {
  const added = protocolBytes(protocols) - protocolBytes(member?.protocols ?? []);
  if (added > 0 && group.offeredBytes + added > OFFERS_PER_RECORD * turn.config.groupMaxMemberBytes) return false;
  return turn.memory.hasRoomFor(member === undefined ? added + MEMBER_BYTES : added);
}

function joinWithoutId(turn: Turn, group: Group, command: JoinCommand): void {
  const { ticket, instanceId } = command;
  const memberId = newMemberId(command);
  if (instanceId !== null) {
    const current = group.staticMember(instanceId);
    if (current === undefined) addMember(turn, group, command, memberId);
    else replaceStatic(turn, group, command, current, memberId);
  } else if (!command.mustKnowMemberId) {
    addMember(turn, group, command, memberId);
  } else {
    // KIP-394: the client learns its id first, so that its retries do not become more members.
    addPending(turn, group, memberId, command.sessionTimeoutMs);
    turn.refuseJoin(ticket, ErrorCode.MEMBER_ID_REQUIRED, memberId);
  }
}

function addMember(turn: Turn, group: Group, command: JoinCommand, memberId: string): void {
  if (group.initialDelay !== null) group.initialDelay.extend = true;
  const member = group.add({ ...command, memberId, protocols: ownProtocols(command.protocols) });
  member.isNew = true;
  group.parkJoin(member, command.ticket);
  turn.wake(member.session, NEW_MEMBER_JOIN_TIMEOUT_MS);
  rebalance(turn, group, `${memberId} joins (${clientReason(command)})`);
}

/** A member that is in the group already. */
function rejoin(turn: Turn, group: Group, command: JoinCommand, member: Member): void {
  const { memberId } = member;
  const isUnchanged = member.offers(command.protocols);
  // A leader that joins a stable group again wants to assign anew: it may know of something that we do not, such as new partitions.
  const isOfNoEffect =
    (group.state === "CompletingRebalance" && isUnchanged) ||
    (group.state === "Stable" && isUnchanged && group.leaderId !== memberId);
  if (isOfNoEffect) {
    // Its answer was lost, or it has nothing new to say: it is told the generation as it is.
    turn.replies.push(joinReply(group, member, command.ticket));
    return;
  }
  updateAndPark(turn, group, command, member);
  const what = group.leaderId === memberId ? "the leader" : "a member";
  rebalance(turn, group, `${what}, ${memberId}, joins again (${clientReason(command)})`);
}

function updateAndPark(turn: Turn, group: Group, command: JoinCommand, member: Member): void {
  group.offer(member, ownProtocols(command.protocols));
  member.rebalanceTimeoutMs = command.rebalanceTimeoutMs;
  member.sessionTimeoutMs = command.sessionTimeoutMs;
  // A client that asks again has given up its earlier call, but its connection may still be there.
  const earlier = group.parkJoin(member, command.ticket);
  if (earlier !== null) turn.refuseJoin(earlier, ErrorCode.REBALANCE_IN_PROGRESS, member.memberId);
}

/** KIP-345: a static member that starts again takes its place back, with a new member id that fences the old one. */
function replaceStatic(turn: Turn, group: Group, command: JoinCommand, member: Member, memberId: string): void {
  turn.logger.info("static member replaced", {
    group: group.id,
    instance: member.instanceId,
    from: member.memberId,
    to: memberId,
  });
  const fenced = group.parkJoin(member, null);
  if (fenced !== null) turn.refuseJoin(fenced, ErrorCode.FENCED_INSTANCE_ID, member.memberId);
  answerParkedSync(turn, member, ErrorCode.FENCED_INSTANCE_ID);
  member.isNew = false; // its name is known, so it will be missed
  if (group.state === "Stable") {
    replaceInStableGroup(turn, group, command, member, memberId);
    return;
  }
  group.rename(member, memberId);
  startSession(turn, member);
  updateAndPark(turn, group, command, member);
  // The leader may already assign to the old id, so a generation that is being completed has to begin again.
  rebalance(turn, group, `static member ${memberId} joins again (${clientReason(command)})`);
}

/** As long as the chosen protocol stays the same, the assignment can too: nobody else need notice. */
function replaceInStableGroup(turn: Turn, group: Group, command: JoinCommand, member: Member, memberId: string): void {
  const before = { memberId: member.memberId, protocols: member.protocols, leader: group.leaderId };
  const { rebalanceTimeoutMs, sessionTimeoutMs } = member;
  group.rename(member, memberId);
  group.offer(member, ownProtocols(command.protocols));
  member.rebalanceTimeoutMs = command.rebalanceTimeoutMs;
  member.sessionTimeoutMs = command.sessionTimeoutMs;
  startSession(turn, member);
  if (group.selectProtocol() !== group.protocolName) {
    group.parkJoin(member, command.ticket);
    prepareRebalance(turn, group, `static member ${memberId} joins again and changes the protocol`);
    return;
  }
  const reply = joinReply(group, member, command.ticket);
  const isLeader = group.leaderId === memberId;
  // Before v9 the old leader's id is given, so that a leader does not assign what nobody would get (KIP-814).
  if (command.canSkipAssignment)
    turn.replies.push({ ...reply, skipAssignment: isLeader, members: isLeader ? rosterOf(group) : [] });
  else turn.replies.push({ ...reply, leader: before.leader ?? "", members: [] });
  turn.records.push({ kind: "group", groupId: group.id, value: group.snapshot((each) => each.assignment) });
  turn.undo = (later) => {
    group.offer(member, before.protocols);
    member.rebalanceTimeoutMs = rebalanceTimeoutMs;
    member.sessionTimeoutMs = sessionTimeoutMs;
    group.rename(member, before.memberId);
    startSession(later, member);
  };
}

const clientReason = (command: JoinCommand): string => command.reason || "no reason given";
