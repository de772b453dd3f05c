/** Who may commit and fetch offsets of a group of the consumer protocol. Source: ConsumerGroup.validateOffsetCommit, validateOffsetFetch. */
import { ErrorCode } from "../../protocol/errors.ts";
import type { CommitCommand, CommitItem, TransactionalCommitCommand } from "../commands.ts";
import type { ConsumerGroup } from "./consumer-group.ts";
import type { ConsumerMember } from "./consumer-member.ts";

/**
 * The error of a whole commit, NONE if it may be. `items`: the partitions that would be written. A member that has not heard of
 * its newest epoch may commit for what it has had since the epoch that it knows (KIP-1251).
 */
export function commitError(group: ConsumerGroup, command: CommitCommand, items: readonly CommitItem[]): number {
  const { generationId: memberEpoch, memberId } = command;
  // Of tools, and of consumers that do not join.
  if (memberEpoch < 0 && group.members.size === 0) return ErrorCode.NONE;
  const member = group.members.get(memberId);
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  if (!command.knowsGroupIdNotFound && member.classic === null) return ErrorCode.UNSUPPORTED_VERSION;
  return epochError(member, memberEpoch, items);
}

/** The same of a commit within a transaction (TxnOffsetCommit), which need not name a member. */
export function transactionalCommitError(
  group: ConsumerGroup,
  command: TransactionalCommitCommand,
  items: readonly CommitItem[],
): number {
  const { generationId: memberEpoch, memberId, instanceId } = command;
  if (memberEpoch < 0 && group.members.size === 0) return ErrorCode.NONE;
  if (memberEpoch === -1 && memberId === "" && instanceId === null) return ErrorCode.NONE;
  const member = group.members.get(memberId);
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  const errorCode = epochError(member, memberEpoch, items);
  // KIP-1319: clients before v6 do not know the error.
  return errorCode === ErrorCode.STALE_MEMBER_EPOCH && !command.knowsGroupIdNotFound ? ErrorCode.ILLEGAL_GENERATION : errorCode;
}

function epochError(member: ConsumerMember, memberEpoch: number, items: readonly CommitItem[]): number {
  if (memberEpoch === member.memberEpoch) return ErrorCode.NONE;
  const isCovered = ({ topicId, partition }: CommitItem): boolean => memberEpoch >= epochOf(member, topicId, partition);
  if (memberEpoch < member.memberEpoch && items.every(isCovered)) return ErrorCode.NONE;
  return member.classic === null ? ErrorCode.STALE_MEMBER_EPOCH : ErrorCode.ILLEGAL_GENERATION;
}

/** Since when the member has the partition; Infinity if it does not have it. */
const epochOf = ({ assigned, pendingRevocation }: ConsumerMember, topicId: string, partition: number): number =>
  assigned.get(topicId)?.get(partition) ?? pendingRevocation.get(topicId)?.get(partition) ?? Number.POSITIVE_INFINITY;

/** The error of a whole fetch, NONE if it may be. Nobody in particular (null, -1) may always. */
export function fetchError(group: ConsumerGroup, memberId: string | null, memberEpoch: number): number {
  if (memberId === null && memberEpoch < 0) return ErrorCode.NONE;
  const member = group.members.get(memberId ?? "");
  if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
  if (memberEpoch === member.memberEpoch) return ErrorCode.NONE;
  return member.classic === null ? ErrorCode.STALE_MEMBER_EPOCH : ErrorCode.ILLEGAL_GENERATION;
}
