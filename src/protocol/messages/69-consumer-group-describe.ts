/**
 * ConsumerGroupDescribe (69): members and assignments of groups of the newer protocol (KIP-848). Version 1 tells a member's type
 * (KIP-1099).
 */
import {
  api,
  array,
  bool,
  int8,
  int16,
  int32,
  NO_OPERATIONS,
  type Request,
  type Response,
  string,
  struct,
  uuid,
} from "../schema.ts";

const assignment = { topicPartitions: array({ topicId: uuid(), topicName: string(), partitions: array(int32()) }) };

export const ConsumerGroupDescribe = api({
  key: 69,
  name: "ConsumerGroupDescribe",
  declared: "0-1",
  flexible: "0+",
  request: { groupIds: array(string()), includeAuthorizedOperations: bool() },
  response: {
    throttleTimeMs: int32().default(0),
    groups: array({
      errorCode: int16(),
      errorMessage: string().nullable().default(null),
      groupId: string(),
      groupState: string(),
      groupEpoch: int32(),
      assignmentEpoch: int32(),
      assignorName: string(),
      members: array({
        memberId: string(),
        instanceId: string().nullable().default(null),
        rackId: string().nullable().default(null),
        memberEpoch: int32(),
        clientId: string(),
        clientHost: string(),
        subscribedTopicNames: array(string()),
        subscribedTopicRegex: string().nullable().default(null),
        assignment: struct(assignment),
        targetAssignment: struct(assignment),
        memberType: int8("1+").default(-1),
      }),
      authorizedOperations: int32().default(NO_OPERATIONS),
    }),
  },
});
export type ConsumerGroupDescribeRequest = Request<typeof ConsumerGroupDescribe>;
export type ConsumerGroupDescribeResponse = Response<typeof ConsumerGroupDescribe>;
