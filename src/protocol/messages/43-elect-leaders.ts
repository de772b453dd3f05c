/**
 * ElectLeaders (43): the preferred replica, or an unclean one, becomes the leader. Version 1 brought unclean elections (KIP-460).
 */
import { api, array, int8, int16, int32, type Request, type Response, string } from "../schema.ts";

export const ElectLeaders = api({
  key: 43,
  name: "ElectLeaders",
  declared: "0-2",
  flexible: "2+",
  request: {
    electionType: int8("1+").default(0),
    topicPartitions: array({ topic: string(), partitions: array(int32()) }).nullable(),
    timeoutMs: int32().default(60000),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16("1+"),
    replicaElectionResults: array({
      topic: string(),
      partitionResult: array({ partitionId: int32(), errorCode: int16(), errorMessage: string().nullable() }),
    }),
  },
});
export type ElectLeadersRequest = Request<typeof ElectLeaders>;
export type ElectLeadersResponse = Response<typeof ElectLeaders>;
