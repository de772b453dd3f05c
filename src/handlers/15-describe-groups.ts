/** DescribeGroups: thin; see group/describe.ts. What there is no group for is "Dead", and since v6 an error too (KIP-1043). */
import type { ReplyTo } from "../broker/group-coordinator.ts";
import { GROUP_OPERATIONS, OPERATIONS_NOT_REQUESTED } from "../broker/topics-authorized-operations.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { DescribeGroups } from "../protocol/messages/15-describe-groups.ts";
import type { ResponseInput } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";

type DescribeCall = Call<typeof DescribeGroups>;
type GroupAnswer = ResponseInput<typeof DescribeGroups>["groups"][number];

const NOT_FOUND_SINCE = 6;

export const describeGroups = handler<typeof DescribeGroups>({
  api: DescribeGroups,
  served: "0-6",
  async handle(call) {
    call.reply({ groups: await Promise.all(call.request.groups.map((groupId) => described(call, groupId))) });
  },
  onError: (error, call) => ({ groups: call.request.groups.map((groupId) => refused(groupId, error.code)) }),
});

function described(call: DescribeCall, groupId: string): Promise<GroupAnswer> {
  return new Promise((resolve) => {
    call.broker.groups.ask<"describe">({ kind: "describe", groupId }, (outcome) => {
      if (outcome instanceof KafkaError) resolve(refused(groupId, outcome.code));
      else if (outcome.group === null) resolve(notFound(call, groupId, outcome.isConsumerGroup));
      else resolve(found(call, groupId, outcome.group));
    });
  });
}

function found(call: DescribeCall, groupId: string, group: NonNullable<ReplyTo<"describe">["group"]>): GroupAnswer {
  return {
    errorCode: ErrorCode.NONE,
    groupId,
    groupState: group.state,
    protocolType: group.protocolType,
    protocolData: group.protocolName,
    members: group.members.map(({ memberId, instanceId, clientId, clientHost, metadata, assignment }) => ({
      memberId,
      groupInstanceId: instanceId,
      clientId,
      clientHost,
      memberMetadata: metadata,
      memberAssignment: assignment,
    })),
    authorizedOperations: operations(call),
  };
}

function notFound(call: DescribeCall, groupId: string, isConsumerGroup: boolean): GroupAnswer {
  const dead = { ...refused(groupId, ErrorCode.NONE), groupState: "Dead" };
  if (call.version < NOT_FOUND_SINCE) return { ...dead, authorizedOperations: operations(call) };
  return {
    ...dead,
    errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
    errorMessage: `Group ${groupId} ${isConsumerGroup ? "is not a classic group" : "not found"}.`,
  };
}

const operations = ({ request }: DescribeCall): number =>
  request.includeAuthorizedOperations ? GROUP_OPERATIONS : OPERATIONS_NOT_REQUESTED;

const refused = (groupId: string, errorCode: number): GroupAnswer => ({
  errorCode,
  groupId,
  groupState: "",
  protocolType: "",
  protocolData: "",
  members: [],
});
