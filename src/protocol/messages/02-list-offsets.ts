/**
 * ListOffsets (2): the offset at a timestamp, or at one of the special timestamps below 0.
 * Which of those a version knows grows: -1 latest and -2 earliest from the start, -3 maximum timestamp in 7 (KIP-734), -4 earliest local in
 * 8 (KIP-405), -5 latest tiered in 9 (KIP-1005), -6 earliest pending upload in 11 (KIP-1023). Version 2 brought the isolation level, 4
 * fencing by leader epoch (KIP-320), 10 a timeout for tiered look-ups (KIP-1075).
 */
import { api, array, int8, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const ListOffsets = api({
  key: 2,
  name: "ListOffsets",
  declared: "1-11",
  flexible: "6+",
  request: {
    replicaId: int32(),
    isolationLevel: int8("2+"),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), currentLeaderEpoch: int32("4+").default(-1), timestamp: int64() }),
    }),
    timeoutMs: int32("10+"),
  },
  response: {
    throttleTimeMs: int32("2+").default(0),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        timestamp: int64().default(-1),
        offset: int64().default(-1),
        leaderEpoch: int32("4+").default(-1),
      }),
    }),
  },
});
export type ListOffsetsRequest = Request<typeof ListOffsets>;
export type ListOffsetsResponse = Response<typeof ListOffsets>;
