/** OffsetForLeaderEpoch (23): where a leader epoch ended: how a client finds out that the log was truncated (KIP-101, KIP-320). */
import { api, array, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const OffsetForLeaderEpoch = api({
  key: 23,
  name: "OffsetForLeaderEpoch",
  declared: "2-4",
  flexible: "4+",
  request: {
    replicaId: int32("3+").default(-2),
    topics: array({
      topic: string(),
      partitions: array({ partition: int32(), currentLeaderEpoch: int32().default(-1), leaderEpoch: int32() }),
    }),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      topic: string(),
      partitions: array({
        errorCode: int16(),
        partition: int32(),
        leaderEpoch: int32().default(-1),
        endOffset: int64().default(-1),
      }),
    }),
  },
});
export type OffsetForLeaderEpochRequest = Request<typeof OffsetForLeaderEpoch>;
export type OffsetForLeaderEpochResponse = Response<typeof OffsetForLeaderEpoch>;
