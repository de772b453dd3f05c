/** ConsumerGroupDescribe: a group of the consumer protocol as others may see it. Source: ConsumerGroup.asDescribedGroup. */
import { ErrorCode } from "../../protocol/errors.ts";
import type { Turn } from "../turn.ts";
import { type Assignment, NO_PARTITIONS, partitionsOf } from "./assignment.ts";
import type { ConsumerDescribeCommand, DescribedConsumerGroup, DescribedConsumerMember } from "./consumer-commands.ts";
import type { ConsumerGroup } from "./consumer-group.ts";
import type { ConsumerMember } from "./consumer-member.ts";

/** `isClassic`: the name is that of a group of the classic protocol. */
export function describeConsumerGroup(
  turn: Turn,
  group: ConsumerGroup | undefined,
  isClassic: boolean,
  { ticket, groupId }: ConsumerDescribeCommand,
): void {
  if (group === undefined) {
    const errorMessage = isClassic ? `Group ${groupId} is not a consumer group.` : `Group ${groupId} not found.`;
    turn.replies.push({ kind: "consumer-describe", ticket, errorCode: ErrorCode.GROUP_ID_NOT_FOUND, errorMessage, group: null });
    return;
  }
  const described = describedGroup(turn, group);
  turn.replies.push({ kind: "consumer-describe", ticket, errorCode: ErrorCode.NONE, errorMessage: null, group: described });
}

const describedGroup = (turn: Turn, group: ConsumerGroup): DescribedConsumerGroup => ({
  state: group.state,
  epoch: group.epoch,
  assignmentEpoch: group.assignmentEpoch,
  assignor: group.subscriptions.preferredAssignor ?? turn.config.consumer.assignors[0]!.name,
  members: [...group.members.values()].map((member) =>
    describedMember(member, group.writtenTarget(member.memberId) ?? NO_PARTITIONS),
  ),
});

function describedMember(member: ConsumerMember, target: Assignment): DescribedConsumerMember {
  const { memberId, instanceId, rackId, memberEpoch, clientId, clientHost, topicNames, topicRegex } = member;
  const [has, letsGo] = [partitionsOf(member.assigned), partitionsOf(member.pendingRevocation)];
  const assignment = new Map(has);
  for (const [topicId, partitions] of letsGo) assignment.set(topicId, [...(has.get(topicId) ?? []), ...partitions]);
  const isClassic = member.classic !== null;
  return {
    memberId,
    instanceId,
    rackId,
    memberEpoch,
    clientId,
    clientHost,
    topicNames,
    topicRegex,
    assignment,
    target,
    isClassic,
  };
}
