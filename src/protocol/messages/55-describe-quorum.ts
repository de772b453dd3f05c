/**
 * DescribeQuorum (55): the state of the metadata quorum (KIP-595). Version 1 tells times of fetches (KIP-836), 2 directory ids,
 * listeners and an error's message (KIP-853).
 */
import { api, array, int16, int32, int64, type Request, type Response, string, uint16, uuid } from "../schema.ts";

const replicaState = {
  replicaId: int32(),
  replicaDirectoryId: uuid("2+"),
  logEndOffset: int64(),
  lastFetchTimestamp: int64("1+").default(-1),
  lastCaughtUpTimestamp: int64("1+").default(-1),
};

export const DescribeQuorum = api({
  key: 55,
  name: "DescribeQuorum",
  declared: "0-2",
  flexible: "0+",
  request: { topics: array({ topicName: string(), partitions: array({ partitionIndex: int32() }) }) },
  response: {
    errorCode: int16(),
    errorMessage: string("2+").nullable(),
    topics: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string("2+").nullable(),
        leaderId: int32(),
        leaderEpoch: int32(),
        highWatermark: int64(),
        currentVoters: array(replicaState),
        observers: array(replicaState),
      }),
    }),
    nodes: array({ nodeId: int32(), listeners: array({ name: string(), host: string(), port: uint16() }) }, "2+").default([]),
  },
});
export type DescribeQuorumRequest = Request<typeof DescribeQuorum>;
export type DescribeQuorumResponse = Response<typeof DescribeQuorum>;
