/**
 * Metadata (3): brokers, controller, topics and who leads their partitions.
 * Version 5 brought offline replicas, 7 leader epochs, 8 authorized operations (KIP-430), 10 topic ids in answers and 12 in requests
 * (KIP-516), 13 an error of the whole answer (KIP-1102).
 */
import { api, array, bool, int16, int32, NO_OPERATIONS, type Request, type Response, string, uuid } from "../schema.ts";

export const Metadata = api({
  key: 3,
  name: "Metadata",
  declared: "0-13",
  flexible: "9+",
  request: {
    // null: all topics. In version 0 an empty list means all.
    topics: array({ topicId: uuid("10+"), name: string().nullable("10+") }).nullable("1+"),
    allowAutoTopicCreation: bool("4+").default(true),
    includeClusterAuthorizedOperations: bool("8-10").default(false), // since 11 DescribeCluster tells
    includeTopicAuthorizedOperations: bool("8+"),
  },
  response: {
    throttleTimeMs: int32("3+").default(0),
    brokers: array({ nodeId: int32(), host: string(), port: int32(), rack: string("1+").nullable().default(null) }),
    clusterId: string("2+").nullable().default(null),
    controllerId: int32("1+").default(-1),
    topics: array({
      errorCode: int16(),
      name: string().nullable("12+"), // null for a topic id that is unknown
      topicId: uuid("10+"),
      isInternal: bool("1+").default(false),
      partitions: array({
        errorCode: int16(),
        partitionIndex: int32(),
        leaderId: int32(),
        leaderEpoch: int32("7+").default(-1),
        replicaNodes: array(int32()),
        isrNodes: array(int32()),
        offlineReplicas: array(int32(), "5+"),
      }),
      topicAuthorizedOperations: int32("8+").default(NO_OPERATIONS),
    }),
    clusterAuthorizedOperations: int32("8-10").default(NO_OPERATIONS),
    errorCode: int16("13+").default(0),
  },
});
export type MetadataRequest = Request<typeof Metadata>;
export type MetadataResponse = Response<typeof Metadata>;
