/**
 * Records of __consumer_offsets that groups of the newer protocol write (KIP-848). An int16 stands before keys (it says which record it is) and
 * values (it is the version): versioned.ts reads and writes both. A key without a value: that is gone.
 */
import { array, bits64, bytes, type DataOf, data, int8, int32, int64, string, struct, uuid } from "../schema.ts";

/** One group of the newer protocol. */
export const ConsumerGroupMetadataKey = data({
  name: "ConsumerGroupMetadataKey",
  recordType: 3,
  declared: "0",
  flexible: "none",
  fields: { groupId: string() },
});
export type ConsumerGroupMetadataKey = DataOf<typeof ConsumerGroupMetadataKey>;

/** A group's epoch, and a hash of what its subscribed topics look like. */
export const ConsumerGroupMetadataValue = data({
  name: "ConsumerGroupMetadataValue",
  declared: "0",
  flexible: "0+",
  fields: { epoch: int32(), metadataHash: bits64().tagged(0) },
});
export type ConsumerGroupMetadataValue = DataOf<typeof ConsumerGroupMetadataValue>;

/** Written by Kafka 4.0 and before; 4.1 and later only read and delete it. */
export const ConsumerGroupPartitionMetadataKey = data({
  name: "ConsumerGroupPartitionMetadataKey",
  recordType: 4,
  declared: "0",
  flexible: "none",
  fields: { groupId: string() },
});
export type ConsumerGroupPartitionMetadataKey = DataOf<typeof ConsumerGroupPartitionMetadataKey>;

export const ConsumerGroupPartitionMetadataValue = data({
  name: "ConsumerGroupPartitionMetadataValue",
  declared: "0",
  flexible: "0+",
  fields: {
    topics: array({
      topicId: uuid(),
      topicName: string(),
      numPartitions: int32(),
      partitionMetadata: array({ partition: int32(), racks: array(string()) }),
    }),
  },
});
export type ConsumerGroupPartitionMetadataValue = DataOf<typeof ConsumerGroupPartitionMetadataValue>;

/** One member of one group. */
export const ConsumerGroupMemberMetadataKey = data({
  name: "ConsumerGroupMemberMetadataKey",
  recordType: 5,
  declared: "0",
  flexible: "none",
  fields: { groupId: string(), memberId: string() },
});
export type ConsumerGroupMemberMetadataKey = DataOf<typeof ConsumerGroupMemberMetadataKey>;

/** What a member said of itself; classicMemberMetadata is of one that speaks the classic protocol: null, not left out, for others. */
export const ConsumerGroupMemberMetadataValue = data({
  name: "ConsumerGroupMemberMetadataValue",
  declared: "0",
  flexible: "0+",
  fields: {
    instanceId: string().nullable(),
    rackId: string().nullable(),
    clientId: string(),
    clientHost: string(),
    subscribedTopicNames: array(string()),
    subscribedTopicRegex: string().nullable(),
    rebalanceTimeoutMs: int32().default(-1),
    serverAssignor: string().nullable(),
    classicMemberMetadata: struct({ sessionTimeoutMs: int32(), supportedProtocols: array({ name: string(), metadata: bytes() }) })
      .nullable()
      .tagged(0),
  },
});
export type ConsumerGroupMemberMetadataValue = DataOf<typeof ConsumerGroupMemberMetadataValue>;

/** One group's target assignment as a whole. */
export const ConsumerGroupTargetAssignmentMetadataKey = data({
  name: "ConsumerGroupTargetAssignmentMetadataKey",
  recordType: 6,
  declared: "0",
  flexible: "none",
  fields: { groupId: string() },
});
export type ConsumerGroupTargetAssignmentMetadataKey = DataOf<typeof ConsumerGroupTargetAssignmentMetadataKey>;

export const ConsumerGroupTargetAssignmentMetadataValue = data({
  name: "ConsumerGroupTargetAssignmentMetadataValue",
  declared: "0",
  flexible: "0+",
  fields: { assignmentEpoch: int32(), assignmentTimestamp: int64().tagged(0) },
});
export type ConsumerGroupTargetAssignmentMetadataValue = DataOf<typeof ConsumerGroupTargetAssignmentMetadataValue>;

/** What one member is to have. */
export const ConsumerGroupTargetAssignmentMemberKey = data({
  name: "ConsumerGroupTargetAssignmentMemberKey",
  recordType: 7,
  declared: "0",
  flexible: "none",
  fields: { groupId: string(), memberId: string() },
});
export type ConsumerGroupTargetAssignmentMemberKey = DataOf<typeof ConsumerGroupTargetAssignmentMemberKey>;

export const ConsumerGroupTargetAssignmentMemberValue = data({
  name: "ConsumerGroupTargetAssignmentMemberValue",
  declared: "0",
  flexible: "0+",
  fields: { topicPartitions: array({ topicId: uuid(), partitions: array(int32()) }) },
});
export type ConsumerGroupTargetAssignmentMemberValue = DataOf<typeof ConsumerGroupTargetAssignmentMemberValue>;

/** What one member has now. */
export const ConsumerGroupCurrentMemberAssignmentKey = data({
  name: "ConsumerGroupCurrentMemberAssignmentKey",
  recordType: 8,
  declared: "0",
  flexible: "none",
  fields: { groupId: string(), memberId: string() },
});
export type ConsumerGroupCurrentMemberAssignmentKey = DataOf<typeof ConsumerGroupCurrentMemberAssignmentKey>;

const topicPartitions = { topicId: uuid(), partitions: array(int32()), assignmentEpochs: array(int32()).nullable().tagged(0) };

/** state is that of MemberState: 0 stable, 1 unrevoked partitions, 2 unreleased partitions, 127 unknown. */
export const ConsumerGroupCurrentMemberAssignmentValue = data({
  name: "ConsumerGroupCurrentMemberAssignmentValue",
  declared: "0",
  flexible: "0+",
  fields: {
    memberEpoch: int32(),
    previousMemberEpoch: int32(),
    state: int8(),
    assignedPartitions: array(topicPartitions),
    partitionsPendingRevocation: array(topicPartitions),
  },
});
export type ConsumerGroupCurrentMemberAssignmentValue = DataOf<typeof ConsumerGroupCurrentMemberAssignmentValue>;

/** One pattern that members of one group subscribed to. */
export const ConsumerGroupRegularExpressionKey = data({
  name: "ConsumerGroupRegularExpressionKey",
  recordType: 16,
  declared: "0",
  flexible: "none",
  fields: { groupId: string(), regularExpression: string() },
});
export type ConsumerGroupRegularExpressionKey = DataOf<typeof ConsumerGroupRegularExpressionKey>;

/** The topics that a pattern stood for, in which version of the metadata, and when that was found (milliseconds). */
export const ConsumerGroupRegularExpressionValue = data({
  name: "ConsumerGroupRegularExpressionValue",
  declared: "0",
  flexible: "0+",
  fields: { topics: array(string()), version: int64(), timestamp: int64() },
});
export type ConsumerGroupRegularExpressionValue = DataOf<typeof ConsumerGroupRegularExpressionValue>;
