/** ConsumerGroupDescribe: groups of the consumer protocol, each from its own coordinator. */
import type { ReplyTo } from "../broker/group-coordinator.ts";
import { GROUP_OPERATIONS, OPERATIONS_NOT_REQUESTED } from "../broker/topics-authorized-operations.ts";
import type { Assignment } from "../group/consumer/assignment.ts";
import type { DescribedConsumerMember } from "../group/consumer/consumer-commands.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { ConsumerGroupDescribe } from "../protocol/messages/69-consumer-group-describe.ts";
import type { ResponseInput } from "../protocol/schema.ts";
import { requireConsumerProtocol } from "./consumer-protocol.ts";
import { type Call, handler } from "./handler.ts";

type DescribeCall = Call<typeof ConsumerGroupDescribe>;
type GroupAnswer = ResponseInput<typeof ConsumerGroupDescribe>["groups"][number];
type MemberAnswer = GroupAnswer["members"][number];

const CLASSIC_MEMBER = 0;
const CONSUMER_MEMBER = 1;

export const consumerGroupDescribe = handler<typeof ConsumerGroupDescribe>({
  api: ConsumerGroupDescribe,
  served: "0-1",
  async handle(call) {
    requireConsumerProtocol(call.broker);
    call.reply({ groups: await Promise.all(call.request.groupIds.map((groupId) => describe(call, groupId))) });
  },
  onError: (error, call) => ({ groups: call.request.groupIds.map((groupId) => refused(groupId, error.code, null)) }),
});

function describe(call: DescribeCall, groupId: string): Promise<GroupAnswer> {
  if (groupId === "") return Promise.resolve(refused(groupId, ErrorCode.INVALID_GROUP_ID, null));
  return new Promise((resolve) => {
    call.broker.groups.ask<"consumer-describe">({ kind: "consumer-describe", groupId }, (outcome) => {
      if (outcome instanceof KafkaError) resolve(refused(groupId, outcome.code, null));
      else resolve(answerOf(call, groupId, outcome));
    });
  });
}

const refused = (groupId: string, errorCode: number, errorMessage: string | null): GroupAnswer => ({
  errorCode,
  errorMessage,
  groupId,
  groupState: "",
  groupEpoch: 0,
  assignmentEpoch: 0,
  assignorName: "",
  members: [],
});

function answerOf(call: DescribeCall, groupId: string, outcome: ReplyTo<"consumer-describe">): GroupAnswer {
  const { group, errorCode, errorMessage } = outcome;
  if (group === null) return refused(groupId, errorCode, errorMessage);
  const { state: groupState, epoch: groupEpoch, assignmentEpoch, assignor: assignorName } = group;
  const members = group.members.map((member) => memberOf(call, member));
  const authorizedOperations = call.request.includeAuthorizedOperations ? GROUP_OPERATIONS : OPERATIONS_NOT_REQUESTED;
  return { errorCode, groupId, groupState, groupEpoch, assignmentEpoch, assignorName, members, authorizedOperations };
}

function memberOf(call: DescribeCall, member: DescribedConsumerMember): MemberAnswer {
  const { memberId, instanceId, rackId, memberEpoch, clientId, clientHost, topicNames, topicRegex } = member;
  return {
    ...{ memberId, instanceId, rackId, memberEpoch, clientId, clientHost },
    subscribedTopicNames: [...topicNames],
    subscribedTopicRegex: topicRegex,
    assignment: { topicPartitions: named(call, member.assignment) },
    targetAssignment: { topicPartitions: named(call, member.target) },
    memberType: member.isClassic ? CLASSIC_MEMBER : CONSUMER_MEMBER,
  };
}

/** Topics that are gone have no name, and are left out. */
const named = (call: DescribeCall, assignment: Assignment): MemberAnswer["assignment"]["topicPartitions"] =>
  [...assignment].flatMap(([topicId, partitions]) => {
    const topic = call.broker.image.topicById(topicId);
    return topic === undefined ? [] : [{ topicId, topicName: topic.name, partitions: [...partitions] }];
  });
