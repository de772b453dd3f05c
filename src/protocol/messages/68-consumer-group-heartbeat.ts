/**
 * ConsumerGroupHeartbeat (68): a consumer joins, stays in and leaves a group of the newer protocol, and hears of its assignment
 * (KIP-848). Version 1 brought regular expressions, and member ids that the client makes up (KIP-1082).
 */
import { api, array, int16, int32, type Request, type Response, string, struct, uuid } from "../schema.ts";

export const ConsumerGroupHeartbeat = api({
  key: 68,
  name: "ConsumerGroupHeartbeat",
  declared: "0-1",
  flexible: "0+",
  request: {
    groupId: string(),
    memberId: string(),
    memberEpoch: int32(),
    instanceId: string().nullable().default(null),
    rackId: string().nullable().default(null),
    rebalanceTimeoutMs: int32().default(-1),
    subscribedTopicNames: array(string()).nullable().default(null),
    subscribedTopicRegex: string("1+").nullable().default(null),
    serverAssignor: string().nullable().default(null),
    topicPartitions: array({ topicId: uuid(), partitions: array(int32()) })
      .nullable()
      .default(null),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    errorMessage: string().nullable().default(null),
    memberId: string().nullable().default(null),
    memberEpoch: int32(),
    heartbeatIntervalMs: int32(),
    assignment: struct({ topicPartitions: array({ topicId: uuid(), partitions: array(int32()) }) })
      .nullable()
      .default(null),
  },
});
export type ConsumerGroupHeartbeatRequest = Request<typeof ConsumerGroupHeartbeat>;
export type ConsumerGroupHeartbeatResponse = Response<typeof ConsumerGroupHeartbeat>;
