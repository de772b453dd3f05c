/** SyncGroup: the leader's assignment is written down and then given to all who asked for it. Source: GroupMetadataManager.classicGroupSync. */
import { ErrorCode } from "../protocol/errors.ts";
import type { SyncCommand, SyncReply, Ticket } from "./commands.ts";
import type { Group } from "./group.ts";
import { type Member, NO_ASSIGNMENT } from "./member.ts";
import { memberError, prepareRebalance, startSession } from "./rebalance.ts";
import type { Turn } from "./turn.ts";

export function sync(turn: Turn, group: Group | undefined, command: SyncCommand): void {
  const errorCode = syncError(group, command);
  if (errorCode !== null || group === undefined) turn.refuseSync(command.ticket, errorCode ?? ErrorCode.UNKNOWN_MEMBER_ID);
  else syncMember(turn, group, group.member(command.memberId)!, command);
}

function syncMember(turn: Turn, group: Group, member: Member, command: SyncCommand): void {
  group.unsynced.delete(member.memberId);
  if (group.unsynced.size === 0) turn.alarms.clear(group.syncAlarm);
  if (group.state === "Stable") {
    turn.replies.push(syncReply(group, command.ticket, member.assignment));
    return;
  }
  // A client that asks again has given up its earlier call, but its connection may still be there.
  if (member.parkedSync !== null) turn.refuseSync(member.parkedSync, ErrorCode.REBALANCE_IN_PROGRESS);
  member.parkedSync = command.ticket;
  if (group.leaderId === member.memberId) assign(turn, group, command);
}

function syncError(group: Group | undefined, command: SyncCommand): number | null {
  if (command.groupId === "") return ErrorCode.INVALID_GROUP_ID;
  if (group === undefined || group.state === "Empty") return ErrorCode.UNKNOWN_MEMBER_ID;
  const errorCode = memberError(group, command.memberId, command.instanceId);
  if (errorCode !== null) return errorCode;
  if (command.generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION;
  if (command.protocolType !== null && command.protocolType !== group.protocolType) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
  if (command.protocolName !== null && command.protocolName !== group.protocolName) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
  return group.state === "PreparingRebalance" ? ErrorCode.REBALANCE_IN_PROGRESS : null;
}

/** The leader's assignment: whom it left out gets an empty one, whom it made up is ignored. Applying the record makes the group stable. */
function assign(turn: Turn, group: Group, command: SyncCommand): void {
  const given = new Map(command.assignments.map(({ memberId, assignment }) => [memberId, assignment]));
  const assignments = new Map<Member, Uint8Array>();
  for (const member of group.members.values()) {
    const assignment = given.get(member.memberId);
    assignments.set(member, assignment === undefined ? NO_ASSIGNMENT : new Uint8Array(assignment)); // a copy: the frame can go
  }
  turn.records.push({
    kind: "group",
    groupId: group.id,
    value: { ...group.snapshot((member) => assignments.get(member)!), stateSinceMs: turn.wallMs },
  });
  for (const [member, assignment] of assignments) {
    if (member.parkedSync === null) continue;
    turn.replies.push(syncReply(group, member.parkedSync, assignment));
    member.parkedSync = null;
    startSession(turn, member);
  }
  const { id, generationId } = group;
  turn.logger.debug("leader assigned", { group: id, generation: generationId, members: assignments.size, given: given.size });
  turn.undo = (later) => prepareRebalance(later, group, "the assignment could not be written");
}

function syncReply(group: Group, ticket: Ticket, assignment: Uint8Array): SyncReply {
  const { protocolType, protocolName } = group;
  return { kind: "sync", ticket, errorCode: ErrorCode.NONE, protocolType, protocolName, assignment };
}
