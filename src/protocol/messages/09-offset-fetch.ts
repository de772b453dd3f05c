/** OffsetFetch (9). */
import { api, array, bool, int16, int32, int64, type Request, type Response, string, uuid } from "../schema.ts";

export const OffsetFetch = api({
  key: 9,
  name: "OffsetFetch",
  declared: "1-10",
  flexible: "6+",
  request: {
    groupId: string("0-7").default(""),
    topics: array({ name: string().default(""), partitionIndexes: array(int32()).default([]) }, "0-7")
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
    ),
    requireStable: bool("7+").default(false),
  },
  response: {
    throttleTimeMs: int32("3+").default(0),
    topics: array(
      {
        name: string().default(""),
        partitions: array({
          partitionIndex: int32().default(0),
          committedOffset: int64().default(0),
          committedLeaderEpoch: int32("5-7").default(-1),
          metadata: string().nullable().default(""),
          errorCode: int16().default(0),
        }).default([]),
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
    ),
  },
});
export type OffsetFetchRequest = Request<typeof OffsetFetch>;
export type OffsetFetchResponse = Response<typeof OffsetFetch>;
