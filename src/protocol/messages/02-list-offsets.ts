/** ListOffsets (2). */
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
