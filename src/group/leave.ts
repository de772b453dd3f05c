/** LeaveGroup and Heartbeat: members that go, and members that stay. Source: GroupMetadataManager.classicGroupLeave, classicGroupHeartbeat. */
import { ErrorCode } from "../protocol/errors.ts";
import type { HeartbeatCommand, LeaveCommand, LeaveReply } from "./commands.ts";
import type { Group } from "./group.ts";
import {
  completeJoinIfAllJoined,
  memberError,
  prepareRebalance,
  removeMember,
  removePending,
  startSession,
} from "./rebalance.ts";
import type { Turn } from "./turn.ts";

type Leaving = LeaveCommand["members"][number];

export function leave(turn: Turn, group: Group | undefined, command: LeaveCommand): void {
  const { ticket } = command;
  const invalid = command.groupId === "";
  const answers: LeaveReply["members"][number][] = [];
  const sizeBefore = group?.members.size ?? 0;
  for (const leaving of invalid ? [] : command.members) {
    const errorCode = group === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : leaveOne(turn, group, leaving);
    answers.push({ memberId: leaving.memberId, groupInstanceId: leaving.instanceId, errorCode });
  }
  turn.replies.push({
    kind: "leave",
    ticket,
    errorCode: invalid ? ErrorCode.INVALID_GROUP_ID : ErrorCode.NONE,
    members: answers,
  });
  if (group === undefined) return;
  // Kafka rebalances for a mere pending member too; nobody's assignment depends on it.
  if (group.state === "PreparingRebalance") completeJoinIfAllJoined(turn, group);
  else if (group.members.size < sizeBefore) prepareRebalance(turn, group, reasonOf(command));
}

/** The error of this member, NONE if it is gone now. */
function leaveOne(turn: Turn, group: Group, leaving: Leaving): number {
  const { memberId, instanceId } = leaving;
  if (memberId === "") {
    const member = instanceId === null ? undefined : group.staticMember(instanceId);
    if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
    removeMember(turn, group, member);
    return ErrorCode.NONE;
  }
  if (group.pending.has(memberId)) {
    removePending(turn, group, memberId);
    return ErrorCode.NONE;
  }
  const errorCode = memberError(group, memberId, instanceId);
  if (errorCode !== null) return errorCode;
  removeMember(turn, group, group.member(memberId)!);
  return ErrorCode.NONE;
}

function reasonOf(command: LeaveCommand): string {
  const first = command.members[0]!;
  const others = command.members.length > 1 ? ` and ${command.members.length - 1} others` : "";
  return `${first.memberId || first.instanceId}${others} left (${first.reason || "no reason given"})`;
}

export function heartbeat(turn: Turn, group: Group | undefined, command: HeartbeatCommand): void {
  const errorCode = heartbeatError(group, command);
  // The session goes on while the group rebalances; the error tells the member to join again.
  if (errorCode === null) startSession(turn, group!.member(command.memberId)!);
  const isRebalancing = errorCode === null && group!.state === "PreparingRebalance";
  turn.replies.push({
    kind: "heartbeat",
    ticket: command.ticket,
    errorCode: errorCode ?? (isRebalancing ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE),
  });
}

function heartbeatError(group: Group | undefined, command: HeartbeatCommand): number | null {
  if (command.groupId === "") return ErrorCode.INVALID_GROUP_ID;
  if (group === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  const errorCode = memberError(group, command.memberId, command.instanceId);
  if (errorCode !== null) return errorCode;
  return command.generationId === group.generationId ? null : ErrorCode.ILLEGAL_GENERATION;
}
