/**
 * TxnOffsetCommit (28): a group's position as a part of a transaction. Version 2 brought leader epochs (KIP-320), 3 the member
 * and generation (KIP-447), 4 may answer TRANSACTION_ABORTABLE, 5 adds the group to the transaction by itself (KIP-890), 6 has
 * topic ids.
 */
import { api, array, int16, int32, int64, type Request, type Response, string, uuid } from "../schema.ts";

export const TxnOffsetCommit = api({
  key: 28,
  name: "TxnOffsetCommit",
  declared: "0-6",
  flexible: "3+",
  request: {
    transactionalId: string(),
    groupId: string(),
    producerId: int64(),
    producerEpoch: int16(),
    generationIdOrMemberEpoch: int32("3+").default(-1),
    memberId: string("3+").default(""),
    groupInstanceId: string("3+").nullable().default(null),
    topics: array({
      name: string("0-5").default(""),
      topicId: uuid("6+"),
      partitions: array({
        partitionIndex: int32(),
        committedOffset: int64(),
        committedLeaderEpoch: int32("2+").default(-1),
        committedMetadata: string().nullable(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      name: string("0-5").default(""),
      topicId: uuid("6+"),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
});
export type TxnOffsetCommitRequest = Request<typeof TxnOffsetCommit>;
export type TxnOffsetCommitResponse = Response<typeof TxnOffsetCommit>;
