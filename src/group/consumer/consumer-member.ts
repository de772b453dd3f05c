/** One member of a group of the consumer protocol: a value; a change makes a new one. Source: ConsumerGroupMember. */
import { OWNS_NOTHING, sameOwned } from "./assignment.ts";
import type { CurrentAssignment, MemberMetadata } from "./durable.ts";

export interface ConsumerMember extends MemberMetadata, CurrentAssignment {
  readonly memberId: string;
}

/** The epoch of one that asks to join, and of one that has not been given another yet. */
export const JOIN_EPOCH = 0;
export const LEAVE_EPOCH = -1;
/** A static member that went and means to come back within its session. */
export const STATIC_LEAVE_EPOCH = -2;

/** One of whom nothing is known yet. */
export const newMember = (memberId: string): ConsumerMember => ({
  memberId,
  memberEpoch: JOIN_EPOCH,
  previousMemberEpoch: -1,
  state: "STABLE",
  assigned: OWNS_NOTHING,
  pendingRevocation: OWNS_NOTHING,
  instanceId: null,
  rackId: null,
  rebalanceTimeoutMs: -1,
  clientId: "",
  clientHost: "",
  topicNames: [],
  topicRegex: "",
  serverAssignor: null,
  classic: null,
});

export function metadataOf(member: ConsumerMember): MemberMetadata {
  const { instanceId, rackId, clientId, clientHost, topicNames, topicRegex, rebalanceTimeoutMs, serverAssignor, classic } =
    member;
  return { instanceId, rackId, clientId, clientHost, topicNames, topicRegex, rebalanceTimeoutMs, serverAssignor, classic };
}

export function currentOf(member: ConsumerMember): CurrentAssignment {
  const { memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation } = member;
  return { memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation };
}

/** The pattern that it subscribes to, null if it does not. */
export const regexOf = (member: MemberMetadata | null): string | null => member?.topicRegex || null;

export const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((name, i) => name === b[i]));

export const sameMetadata = (a: MemberMetadata, b: MemberMetadata): boolean =>
  a.instanceId === b.instanceId &&
  a.rackId === b.rackId &&
  a.clientId === b.clientId &&
  a.clientHost === b.clientHost &&
  sameNames(a.topicNames, b.topicNames) &&
  a.topicRegex === b.topicRegex &&
  a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
  a.serverAssignor === b.serverAssignor &&
  a.classic === b.classic;

export const sameCurrent = (a: CurrentAssignment, b: CurrentAssignment): boolean =>
  a.memberEpoch === b.memberEpoch &&
  a.previousMemberEpoch === b.previousMemberEpoch &&
  a.state === b.state &&
  sameOwned(a.assigned, b.assigned) &&
  sameOwned(a.pendingRevocation, b.pendingRevocation);

/** Has all that the target assignment of that epoch gives it, and nothing else. */
export const isReconciledTo = (member: CurrentAssignment, assignmentEpoch: number): boolean =>
  member.state === "STABLE" && member.memberEpoch === assignmentEpoch;
