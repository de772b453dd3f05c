/** Records of __consumer_offsets that classic groups write. Keys and values stand behind an int16 (versioned.ts); of a key it says which record it is. */
import { array, bytes, type DataOf, data, int32, int64, string, uuid } from "../schema.ts";

/** One committed offset of one group. CoordinatorRecordType: the key's int16 is 1 (0, an older form of the same, is read too), not this schema's version. */
export const OffsetCommitKey = data({
  name: "OffsetCommitKey",
  declared: "0",
  flexible: "none",
  fields: {
    group: string(),
    topic: string(),
    partition: int32(),
  },
});
export type OffsetCommitKey = DataOf<typeof OffsetCommitKey>;

/** Kafka writes version 4 since topic ids, 3 before (OffsetsRecordSerde, GroupCoordinatorRecordHelpers). */
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

/** The key's int16 is 2. */
export const GroupMetadataKey = data({
  name: "GroupMetadataKey",
  declared: "0",
  flexible: "none",
  fields: {
    group: string(),
  },
});
export type GroupMetadataKey = DataOf<typeof GroupMetadataKey>;

/** A classic group's generation and members; an empty value is a tombstone. */
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
