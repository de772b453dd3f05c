/** What no ConsumerGroupHeartbeat may say, whatever its group is like. Source: GroupCoordinatorService.throwIfConsumerGroupHeartbeatRequestIsInvalid. */
import { ErrorCode } from "../../protocol/errors.ts";
import type { ConsumerHeartbeatCommand } from "./consumer-commands.ts";
import { ConsumerError } from "./consumer-error.ts";
import { JOIN_EPOCH, LEAVE_EPOCH, STATIC_LEAVE_EPOCH } from "./consumer-member.ts";

/** KIP-1082: since v1 members make their own ids. */
const OWN_MEMBER_ID_SINCE = 1;

type Said = Omit<ConsumerHeartbeatCommand, "kind" | "ticket" | "clientId" | "clientHost" | "uuid">;

/** Why the request is refused, null if it may be asked of its group. */
export function heartbeatFault(said: Said, version: number, assignors: readonly string[]): ConsumerError | null {
  const { memberEpoch } = said;
  if (version >= OWN_MEMBER_ID_SINCE || memberEpoch > 0 || memberEpoch === LEAVE_EPOCH) {
    if (isBlank(said.memberId)) return invalid("MemberId can't be empty.");
  }
  if (isBlank(said.groupId)) return invalid("GroupId can't be empty.");
  if (isBlank(said.instanceId)) return invalid("InstanceId can't be empty.");
  if (isBlank(said.rackId)) return invalid("RackId can't be empty.");
  if (memberEpoch === JOIN_EPOCH) {
    const fault = joinFault(said);
    if (fault !== null) return fault;
  }
  if (memberEpoch === STATIC_LEAVE_EPOCH && said.instanceId === null) return invalid("InstanceId can't be null.");
  if (memberEpoch < STATIC_LEAVE_EPOCH) return invalid("MemberEpoch is invalid.");
  if (said.serverAssignor === null || assignors.includes(said.serverAssignor)) return null;
  const message = `ServerAssignor ${said.serverAssignor} is not supported. Supported assignors: ${assignors.join(", ")}.`;
  return new ConsumerError(ErrorCode.UNSUPPORTED_ASSIGNOR, message);
}

function joinFault(said: Said): ConsumerError | null {
  if (said.rebalanceTimeoutMs === -1) return invalid("RebalanceTimeoutMs must be provided in first request.");
  if (said.owned === null || said.owned.length > 0) return invalid("TopicPartitions must be empty when (re-)joining.");
  // No names and an empty pattern are fine: a member that reads nothing.
  if (said.topicNames === null && said.topicRegex === null)
    return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
  return null;
}

const invalid = (message: string): ConsumerError => new ConsumerError(ErrorCode.INVALID_REQUEST, message);

/** As Java's String.trim sees it. */
const isBlank = (text: string | null): boolean => text !== null && [...text].every((c) => c <= " ");
