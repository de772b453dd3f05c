/**
 * Records of __consumer_offsets that classic groups write. An int16 stands before keys (it says which record it is) and values (it is
 * the version): versioned.ts reads and writes both.
 */
import { array, bytes, type DataOf, data, int32, int64, string, uuid } from "../schema.ts";

/** One committed offset of one group. Kafka reads record type 0 too, an older form of the same. */
export const OffsetCommitKey = data({
  name: "OffsetCommitKey",
  recordType: 1,
  declared: "0",
  flexible: "none",
  fields: {
    group: string(),
    topic: string(),
    partition: int32(),
  },
});
export type OffsetCommitKey = DataOf<typeof OffsetCommitKey>;

/** Kafka writes version 4, or 1 for an offset that a client gave an expiry (GroupCoordinatorRecordHelpers). */
export const OffsetCommitValue = data({
  name: "OffsetCommitValue",
  declared: "0-4",
  flexible: "4+",
  fields: {
    offset: int64(),
    leaderEpoch: int32("3+").default(-1),
    metadata: string(),
    commitTimestamp: int64(),
    expireTimestamp: int64("1").default(-1),
    topicId: uuid("4+").tagged(0),
  },
});
export type OffsetCommitValue = DataOf<typeof OffsetCommitValue>;

/** One classic group; without a value the group is gone. */
export const GroupMetadataKey = data({
  name: "GroupMetadataKey",
  recordType: 2,
  declared: "0",
  flexible: "none",
  fields: {
    group: string(),
  },
});
export type GroupMetadataKey = DataOf<typeof GroupMetadataKey>;

/** A classic group's generation and members, empty before the leader's SyncGroup. Kafka writes version 3. */
export const GroupMetadataValue = data({
  name: "GroupMetadataValue",
  declared: "0-4",
  flexible: "4+",
  fields: {
    protocolType: string(),
    generation: int32(),
    protocol: string().nullable(),
    leader: string().nullable(),
    currentStateTimestamp: int64("2+").default(-1),
    members: array({
      memberId: string(),
      groupInstanceId: string("3+").nullable().default(null),
      clientId: string(),
      clientHost: string(),
      rebalanceTimeout: int32("1+").default(-1),
      sessionTimeout: int32(),
      subscription: bytes(),
      assignment: bytes(),
    }),
  },
});
export type GroupMetadataValue = DataOf<typeof GroupMetadataValue>;
