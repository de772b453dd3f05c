/**
 * OffsetCommit (8): a group's position in its partitions.
 * Version 5 dropped the retention time (KIP-211), 6 brought leader epochs (KIP-320), 7 static members (KIP-345), 9 the newer group protocol
 * (KIP-848: may answer GROUP_ID_NOT_FOUND, STALE_MEMBER_EPOCH), 10 topic ids.
 */
import { api, array, int16, int32, int64, type Request, type Response, string, uuid } from "../schema.ts";

export const OffsetCommit = api({
  key: 8,
  name: "OffsetCommit",
  declared: "2-10",
  flexible: "8+",
  request: {
    groupId: string(),
    generationIdOrMemberEpoch: int32().default(-1),
    memberId: string(),
    groupInstanceId: string("7+").nullable().default(null),
    retentionTimeMs: int64("2-4").default(-1),
    topics: array({
      name: string("0-9").default(""),
      topicId: uuid("10+"),
      partitions: array({
        partitionIndex: int32(),
        committedOffset: int64(),
        committedLeaderEpoch: int32("6+").default(-1),
        committedMetadata: string().nullable(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32("3+").default(0),
    topics: array({
      name: string("0-9").default(""),
      topicId: uuid("10+"),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
});
export type OffsetCommitRequest = Request<typeof OffsetCommit>;
export type OffsetCommitResponse = Response<typeof OffsetCommit>;
