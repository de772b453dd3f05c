/**
 * OffsetFetch (9): committed offsets of one group, from version 8 of several (KIP-709).
 * Version 2 brought null for all topics, 5 leader epochs (KIP-320), 7 the wish for stable offsets (KIP-447), 9 the member (KIP-848), 10
 * topic ids.
 */
import { api, array, bool, int16, int32, int64, type Request, type Response, string, uuid } from "../schema.ts";

export const OffsetFetch = api({
  key: 9,
  name: "OffsetFetch",
  declared: "1-10",
  flexible: "6+",
  request: {
    // One group up to version 7, `groups` from 8 on; the same in the response. topics null: all.
    groupId: string("0-7").default(""),
    topics: array({ name: string(), partitionIndexes: array(int32()) }, "0-7")
      .nullable("2-7")
      .default([]),
    groups: array(
      {
        groupId: string(),
        memberId: string("9+").nullable().default(null),
        memberEpoch: int32("9+").default(-1),
        topics: array({ name: string("8-9").default(""), topicId: uuid("10+"), partitionIndexes: array(int32()) }).nullable(),
      },
      "8+",
    ).default([]),
    requireStable: bool("7+").default(false),
  },
  response: {
    throttleTimeMs: int32("3+").default(0),
    topics: array(
      {
        name: string(),
        partitions: array({
          partitionIndex: int32(),
          committedOffset: int64(),
          committedLeaderEpoch: int32("5-7").default(-1),
          metadata: string().nullable(),
          errorCode: int16(),
        }),
      },
      "0-7",
    ).default([]),
    errorCode: int16("2-7").default(0),
    groups: array(
      {
        groupId: string(),
        topics: array({
          name: string("8-9").default(""),
          topicId: uuid("10+"),
          partitions: array({
            partitionIndex: int32(),
            committedOffset: int64(),
            committedLeaderEpoch: int32().default(-1),
            metadata: string().nullable(),
            errorCode: int16(),
          }),
        }),
        errorCode: int16().default(0),
      },
      "8+",
    ).default([]),
  },
});
export type OffsetFetchRequest = Request<typeof OffsetFetch>;
export type OffsetFetchResponse = Response<typeof OffsetFetch>;
