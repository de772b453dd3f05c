/** The member that a request speaks for. Throws ConsumerError, in Kafka's words. */
import { ErrorCode } from "../../protocol/errors.ts";
import { ConsumerError } from "./consumer-error.ts";
import type { ConsumerGroup } from "./consumer-group.ts";
import type { ConsumerMember } from "./consumer-member.ts";

export function knownMember(group: ConsumerGroup, memberId: string): ConsumerMember {
  const member = group.members.get(memberId);
  if (member !== undefined) return member;
  throw new ConsumerError(ErrorCode.UNKNOWN_MEMBER_ID, `Member ${memberId} is not a member of group ${group.id}.`);
}

/** KIP-345: only who has the instance id now may act for it. */
export function knownStatic(group: ConsumerGroup, memberId: string, instanceId: string): ConsumerMember {
  const member = group.staticMember(instanceId);
  if (member === undefined) throw new ConsumerError(ErrorCode.UNKNOWN_MEMBER_ID, `Instance id ${instanceId} is unknown.`);
  if (member.memberId === memberId) return member;
  const message = `Static member ${memberId} with instance id ${instanceId} was fenced by member ${member.memberId}.`;
  throw new ConsumerError(ErrorCode.FENCED_INSTANCE_ID, message);
}
