/** DescribeTopicPartitions (75): Metadata in pages, with eligible leader replicas (KIP-966). */
import { api, array, bool, int16, int32, NO_OPERATIONS, type Request, type Response, string, struct, uuid } from "../schema.ts";

export const DescribeTopicPartitions = api({
  key: 75,
  name: "DescribeTopicPartitions",
  declared: "0",
  flexible: "0+",
  request: {
    topics: array({ name: string() }),
    responsePartitionLimit: int32().default(2000),
    cursor: struct({ topicName: string(), partitionIndex: int32() }).nullable().default(null),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      errorCode: int16(),
      name: string().nullable(),
      topicId: uuid(),
      isInternal: bool().default(false),
      partitions: array({
        errorCode: int16(),
        partitionIndex: int32(),
        leaderId: int32(),
        leaderEpoch: int32().default(-1),
        replicaNodes: array(int32()),
        isrNodes: array(int32()),
        eligibleLeaderReplicas: array(int32()).nullable().default(null),
        lastKnownElr: array(int32()).nullable().default(null),
        offlineReplicas: array(int32()),
      }),
      topicAuthorizedOperations: int32().default(NO_OPERATIONS),
    }),
    nextCursor: struct({ topicName: string(), partitionIndex: int32() }).nullable().default(null),
  },
});
export type DescribeTopicPartitionsRequest = Request<typeof DescribeTopicPartitions>;
export type DescribeTopicPartitionsResponse = Response<typeof DescribeTopicPartitions>;
