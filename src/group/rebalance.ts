/**
 * How a group gets from one generation to the next: joins are collected, then all who joined learn the generation, then the
 * leader's assignment goes to all. Every change of state answers whoever waited for it. Source: GroupMetadataManager.
 */
import { assert } from "../base/assert.ts";
import { ErrorCode } from "../protocol/errors.ts";
import type { JoinReply, Ticket } from "./commands.ts";
import type { Group } from "./group.ts";
import { type Member, NO_ASSIGNMENT } from "./member.ts";
import type { Turn } from "./turn.ts";

/** A new member waits at most so long for its first generation: its client may have gone away, and nobody would know. */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000;

/** Begins to collect joins. Whoever waits for an assignment is told to join again. */
export function prepareRebalance(turn: Turn, group: Group, reason: string): void {
  assert(group.state !== "PreparingRebalance", `group ${group.id} already collects joins`);
  for (const member of group.members.values()) {
    if (group.state === "CompletingRebalance") group.assign(member, NO_ASSIGNMENT);
    answerParkedSync(turn, member, ErrorCode.REBALANCE_IN_PROGRESS);
  }
  group.unsynced.clear();
  turn.alarms.clear(group.syncAlarm);
  const { id, generationId, state } = group;
  turn.logger.info("group rebalances", { group: id, generation: generationId, state, members: group.members.size, reason });
  const isFirst = state === "Empty";
  group.become("PreparingRebalance", turn.wallMs);
  if (isFirst) collectFirstMembers(turn, group);
  else if (group.hasAllJoined) completeJoin(turn, group);
  else turn.wake(group.joinAlarm, group.rebalanceTimeoutMs);
}

/** Source: InitialDelayedJoin: each new member prolongs the wait, up to the rebalance timeout of the first. */
function collectFirstMembers(turn: Turn, group: Group): void {
  const delayMs = turn.config.groupInitialRebalanceDelayMs;
  group.initialDelay = { delayMs, remainingMs: Math.max(group.rebalanceTimeoutMs - delayMs, 0), extend: false };
  turn.wake(group.joinAlarm, delayMs);
}

/** The time to collect joins is over. */
export function joinTimeIsUp(turn: Turn, group: Group): void {
  const initial = group.initialDelay;
  if (initial === null || !initial.extend || initial.remainingMs === 0) {
    completeJoin(turn, group);
    return;
  }
  const delayMs = Math.min(turn.config.groupInitialRebalanceDelayMs, initial.remainingMs);
  group.initialDelay = { delayMs, remainingMs: Math.max(initial.remainingMs - initial.delayMs, 0), extend: false };
  turn.wake(group.joinAlarm, delayMs);
}

/** Collects joins from now on, or ends the collecting if all are there. */
export function rebalance(turn: Turn, group: Group, reason: string): void {
  if (group.state === "PreparingRebalance") completeJoinIfAllJoined(turn, group);
  else prepareRebalance(turn, group, reason);
}

/** Ends the collecting of joins once all members are there; a first generation waits for its time to pass. */
export function completeJoinIfAllJoined(turn: Turn, group: Group): void {
  if (group.state === "PreparingRebalance" && group.initialDelay === null && group.hasAllJoined) completeJoin(turn, group);
}

/** Ends the collecting of joins: dynamic members that did not come are out, all others learn the new generation. */
export function completeJoin(turn: Turn, group: Group): void {
  turn.alarms.clear(group.joinAlarm);
  for (const member of [...group.members.values()]) {
    if (member.parkedJoin !== null || member.instanceId !== null) continue;
    turn.logger.info("member did not rejoin in time", { group: group.id, member: member.memberId });
    removeMember(turn, group, member);
  }
  if (group.members.size > 0 && !electJoinedLeader(group)) {
    // Only static members are left and none of them came: wait until their sessions end.
    turn.wake(group.joinAlarm, group.rebalanceTimeoutMs);
    return;
  }
  group.initialDelay = null;
  group.generationId++;
  if (group.members.size === 0) becomeEmpty(turn, group);
  else announceGeneration(turn, group);
}

/** The leader must be one who joined. False if nobody did. */
function electJoinedLeader(group: Group): boolean {
  if (group.leaderId !== null && group.member(group.leaderId)!.parkedJoin !== null) return true;
  for (const member of group.members.values()) {
    if (member.parkedJoin === null) continue;
    group.leaderId = member.memberId;
    return true;
  }
  return false;
}

function becomeEmpty(turn: Turn, group: Group): void {
  group.protocolName = null;
  group.become("Empty", turn.wallMs);
  group.unsynced.clear();
  turn.logger.info("group is empty", { group: group.id, generation: group.generationId });
  // If this cannot be appended, the last generation comes back with a restart and its members time out: nothing to undo.
  turn.records.push({ kind: "group", groupId: group.id, value: group.snapshot(() => NO_ASSIGNMENT) });
}

function announceGeneration(turn: Turn, group: Group): void {
  group.protocolName = group.selectProtocol();
  group.become("CompletingRebalance", turn.wallMs);
  group.unsynced.clear();
  for (const member of group.members.values()) {
    const ticket = group.parkJoin(member, null);
    if (ticket !== null) turn.replies.push(joinReply(group, member, ticket));
    member.isNew = false;
    startSession(turn, member);
    group.unsynced.add(member.memberId);
  }
  turn.wake(group.syncAlarm, group.rebalanceTimeoutMs);
  const { id, generationId, leaderId, protocolName } = group;
  const facts = { group: id, generation: generationId, members: group.members.size, leader: leaderId, protocol: protocolName };
  turn.logger.info("group has a new generation", facts);
}

/** Tells a member the current generation; the leader learns who else is in it. */
export function joinReply(group: Group, member: Member, ticket: Ticket): JoinReply {
  const { generationId, protocolType, protocolName } = group;
  return {
    kind: "join",
    ticket,
    errorCode: ErrorCode.NONE,
    generationId,
    protocolType,
    protocolName,
    leader: group.leaderId ?? "",
    skipAssignment: false,
    memberId: member.memberId,
    members: group.leaderId === member.memberId ? rosterOf(group) : [],
  };
}

/** What the leader needs to assign. */
export function rosterOf(group: Group): JoinReply["members"] {
  return [...group.members.values()].map((member) => ({
    memberId: member.memberId,
    groupInstanceId: member.instanceId,
    metadata: member.metadata(group.protocolName) ?? NO_ASSIGNMENT,
  }));
}

/** Not all of this generation have asked for their assignment in time: go on without them. */
export function syncTimeIsUp(turn: Turn, group: Group): void {
  if (group.unsynced.size === 0 || (group.state !== "CompletingRebalance" && group.state !== "Stable")) return;
  const missing = [...group.unsynced];
  for (const memberId of missing) removeMember(turn, group, group.member(memberId)!);
  prepareRebalance(turn, group, `no sync from ${missing.join(", ")}`);
}

/** A member did not heartbeat in time. */
export function sessionIsOver(turn: Turn, group: Group, member: Member): void {
  // Whoever is excused gets a new session with the answer that it waits for.
  if (member.isExcusedFromHeartbeats) return;
  const reason = `the session of ${member.memberId} expired`;
  turn.logger.info("member removed: its session expired", { group: group.id, member: member.memberId });
  removeMember(turn, group, member);
  if (group.state === "Stable" || group.state === "CompletingRebalance") prepareRebalance(turn, group, reason);
  else completeJoinIfNobodyMissing(turn, group);
}

/** A member id that was given out has not been used in time. */
export function pendingTimeIsUp(turn: Turn, group: Group, memberId: string): void {
  turn.logger.info("member id given out and not used", { group: group.id, member: memberId });
  removePending(turn, group, memberId);
  completeJoinIfNobodyMissing(turn, group);
}

/** Unlike completeJoinIfAllJoined this ends a first collecting too: as in Kafka, once somebody has timed out. */
function completeJoinIfNobodyMissing(turn: Turn, group: Group): void {
  if (group.state === "PreparingRebalance" && group.hasAllJoined) completeJoin(turn, group);
}

/** Keeps a new member id for the client to join with; it is forgotten after a session's time. */
export function addPending(turn: Turn, group: Group, memberId: string, sessionTimeoutMs: number): void {
  turn.wake(group.expect(memberId), sessionTimeoutMs);
}

export function removePending(turn: Turn, group: Group, memberId: string): void {
  const alarm = group.stopExpecting(memberId);
  if (alarm !== undefined) turn.alarms.clear(alarm);
}

/** Takes a member out. Calls of its own that still wait are told that it is unknown, so that a live client joins anew. */
export function removeMember(turn: Turn, group: Group, member: Member): void {
  const ticket = group.parkJoin(member, null);
  if (ticket !== null) turn.refuseJoin(ticket, ErrorCode.UNKNOWN_MEMBER_ID, "");
  answerParkedSync(turn, member, ErrorCode.UNKNOWN_MEMBER_ID);
  turn.alarms.clear(member.session);
  group.remove(member);
}

/** Answers the member's waiting SyncGroup, if there is one, with an error. */
export function answerParkedSync(turn: Turn, member: Member, errorCode: number): void {
  if (member.parkedSync === null) return;
  turn.refuseSync(member.parkedSync, errorCode);
  member.parkedSync = null;
  startSession(turn, member);
}

/** From now on the member must be heard of within its session timeout. */
export function startSession(turn: Turn, member: Member): void {
  turn.wake(member.session, member.sessionTimeoutMs);
}

/** KIP-345: nobody may act for a static member whose id has been taken over. The error to answer, or null. */
export function memberError(group: Group, memberId: string, instanceId: string | null): number | null {
  if (instanceId !== null) {
    const current = group.staticMember(instanceId);
    if (current === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (current.memberId !== memberId) return ErrorCode.FENCED_INSTANCE_ID;
  }
  return group.member(memberId) === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : null;
}
