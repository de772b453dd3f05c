/**
 * Records of groups of the consumer protocol as bytes in __consumer_offsets, exactly as Kafka's.
 * Source: GroupCoordinatorRecordHelpers, ConsumerGroupMember.Builder.updateWith, group.Utils.assignmentFromTopicPartitions.
 */
import {
  ConsumerGroupCurrentMemberAssignmentKey,
  ConsumerGroupCurrentMemberAssignmentValue,
  ConsumerGroupMemberMetadataKey,
  ConsumerGroupMemberMetadataValue,
  ConsumerGroupMetadataKey,
  ConsumerGroupMetadataValue,
  ConsumerGroupPartitionMetadataKey,
  ConsumerGroupRegularExpressionKey,
  ConsumerGroupRegularExpressionValue,
  ConsumerGroupTargetAssignmentMemberKey,
  ConsumerGroupTargetAssignmentMemberValue,
  ConsumerGroupTargetAssignmentMetadataKey,
  ConsumerGroupTargetAssignmentMetadataValue,
} from "../../protocol/records/consumer-groups.ts";
import { decodeKey, decodeVersioned, encodeKey, encodeVersioned, versionOf } from "../../protocol/versioned.ts";
import { assignmentOf, listed, type OwnedPartitions } from "./assignment.ts";
import type { ConsumerRecord, CurrentAssignment, MemberMetadata, MemberState } from "./durable.ts";

/** All these records have one version. */
const VERSION = 0;

const STATES: readonly [code: number, state: MemberState][] = [
  [0, "STABLE"],
  [1, "UNREVOKED_PARTITIONS"],
  [2, "UNRELEASED_PARTITIONS"],
  [127, "UNKNOWN"],
];
const CODE_OF = new Map(STATES.map(([code, state]) => [state, code]));
const STATE_OF = new Map(STATES);

/** The record's key and value; a null value removes. Throws RangeError for text that no record can hold. */
export function encodeConsumerRecord(record: ConsumerRecord): { key: Uint8Array; value: Uint8Array | null } {
  return { key: keyOf(record), value: record.value === null ? null : encodeValue(record) };
}

function keyOf(record: ConsumerRecord): Uint8Array {
  const { groupId } = record;
  switch (record.kind) {
    case "consumer-group":
      return encodeKey(ConsumerGroupMetadataKey, { groupId });
    case "consumer-partition-metadata":
      return encodeKey(ConsumerGroupPartitionMetadataKey, { groupId });
    case "consumer-member":
      return encodeKey(ConsumerGroupMemberMetadataKey, { groupId, memberId: record.memberId });
    case "consumer-target":
      return encodeKey(ConsumerGroupTargetAssignmentMetadataKey, { groupId });
    case "consumer-target-member":
      return encodeKey(ConsumerGroupTargetAssignmentMemberKey, { groupId, memberId: record.memberId });
    case "consumer-current":
      return encodeKey(ConsumerGroupCurrentMemberAssignmentKey, { groupId, memberId: record.memberId });
    case "consumer-regex":
      return encodeKey(ConsumerGroupRegularExpressionKey, { groupId, regularExpression: record.regex });
  }
}

function encodeValue(record: ConsumerRecord): Uint8Array {
  switch (record.kind) {
    case "consumer-group":
      return encodeVersioned(ConsumerGroupMetadataValue, VERSION, record.value!);
    case "consumer-partition-metadata":
      throw new RangeError("partition metadata is not written any more");
    case "consumer-member":
      return encodeMember(record.value!);
    case "consumer-target": {
      const { assignmentEpoch, assignedMs } = record.value!;
      const fields = { assignmentEpoch, assignmentTimestamp: assignedMs };
      return encodeVersioned(ConsumerGroupTargetAssignmentMetadataValue, VERSION, fields);
    }
    case "consumer-target-member":
      return encodeVersioned(ConsumerGroupTargetAssignmentMemberValue, VERSION, { topicPartitions: listed(record.value!) });
    case "consumer-current":
      return encodeCurrent(record.value!);
    case "consumer-regex": {
      const { topics, version, resolvedMs } = record.value!;
      return encodeVersioned(ConsumerGroupRegularExpressionValue, VERSION, {
        topics: [...topics],
        version,
        timestamp: resolvedMs,
      });
    }
  }
}

function encodeMember({ topicNames, topicRegex, classic, ...same }: MemberMetadata): Uint8Array {
  return encodeVersioned(ConsumerGroupMemberMetadataValue, VERSION, {
    ...same,
    subscribedTopicNames: [...topicNames],
    subscribedTopicRegex: topicRegex,
    classicMemberMetadata: classic === null ? null : { ...classic, supportedProtocols: [...classic.supportedProtocols] },
  });
}

function encodeCurrent(value: CurrentAssignment): Uint8Array {
  const { memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation } = value;
  return encodeVersioned(ConsumerGroupCurrentMemberAssignmentValue, VERSION, {
    memberEpoch,
    previousMemberEpoch,
    state: CODE_OF.get(state)!,
    assignedPartitions: withEpochs(assigned),
    partitionsPendingRevocation: withEpochs(pendingRevocation),
  });
}

const withEpochs = (owned: OwnedPartitions): { topicId: string; partitions: number[]; assignmentEpochs: number[] }[] =>
  [...owned].map(([topicId, epochs]) => {
    const inOrder = [...epochs].sort(([a], [b]) => a - b);
    return { topicId, partitions: inOrder.map(([partition]) => partition), assignmentEpochs: inOrder.map(([, epoch]) => epoch) };
  });

/** Null for a record that is none of these. Throws MalformedError, also for versions newer than we know. */
export function decodeConsumerRecord(key: Uint8Array, value: Uint8Array | null): ConsumerRecord | null {
  switch (versionOf(key)) {
    case ConsumerGroupMetadataKey.recordType: {
      const { groupId } = decodeKey(ConsumerGroupMetadataKey, key);
      return {
        kind: "consumer-group",
        groupId,
        value: value === null ? null : decodeVersioned(ConsumerGroupMetadataValue, value),
      };
    }
    case ConsumerGroupPartitionMetadataKey.recordType: {
      const { groupId } = decodeKey(ConsumerGroupPartitionMetadataKey, key);
      return { kind: "consumer-partition-metadata", groupId, value: value === null ? null : "some" };
    }
    case ConsumerGroupMemberMetadataKey.recordType: {
      const names = decodeKey(ConsumerGroupMemberMetadataKey, key);
      return { kind: "consumer-member", ...names, value: value === null ? null : decodeMember(value) };
    }
    case ConsumerGroupTargetAssignmentMetadataKey.recordType: {
      const { groupId } = decodeKey(ConsumerGroupTargetAssignmentMetadataKey, key);
      return { kind: "consumer-target", groupId, value: value === null ? null : decodeTarget(value) };
    }
    case ConsumerGroupTargetAssignmentMemberKey.recordType: {
      const names = decodeKey(ConsumerGroupTargetAssignmentMemberKey, key);
      return { kind: "consumer-target-member", ...names, value: value === null ? null : decodeTargetMember(value) };
    }
    case ConsumerGroupCurrentMemberAssignmentKey.recordType: {
      const names = decodeKey(ConsumerGroupCurrentMemberAssignmentKey, key);
      return { kind: "consumer-current", ...names, value: value === null ? null : decodeCurrent(value) };
    }
    case ConsumerGroupRegularExpressionKey.recordType: {
      const { groupId, regularExpression: regex } = decodeKey(ConsumerGroupRegularExpressionKey, key);
      return { kind: "consumer-regex", groupId, regex, value: value === null ? null : decodeRegex(value) };
    }
    default:
      return null;
  }
}

function decodeMember(bytes: Uint8Array): MemberMetadata {
  const value = decodeVersioned(ConsumerGroupMemberMetadataValue, bytes);
  const { subscribedTopicNames, subscribedTopicRegex, classicMemberMetadata: classic, ...same } = value;
  return {
    ...same,
    topicNames: [...new Set(subscribedTopicNames)].sort(),
    topicRegex: subscribedTopicRegex,
    classic: classic === null ? null : { ...classic, supportedProtocols: classic.supportedProtocols.map(ownBytes) },
  };
}

/** The log's bytes can go. */
const ownBytes = ({ name, metadata }: { name: string; metadata: Uint8Array }): { name: string; metadata: Uint8Array } => ({
  name,
  metadata: new Uint8Array(metadata),
});

function decodeTarget(bytes: Uint8Array): { assignmentEpoch: number; assignedMs: number } {
  const { assignmentEpoch, assignmentTimestamp: assignedMs } = decodeVersioned(ConsumerGroupTargetAssignmentMetadataValue, bytes);
  return { assignmentEpoch, assignedMs };
}

const decodeTargetMember = (bytes: Uint8Array) =>
  assignmentOf(decodeVersioned(ConsumerGroupTargetAssignmentMemberValue, bytes).topicPartitions);

function decodeCurrent(bytes: Uint8Array): CurrentAssignment {
  const value = decodeVersioned(ConsumerGroupCurrentMemberAssignmentValue, bytes);
  const { memberEpoch, previousMemberEpoch } = value;
  return {
    memberEpoch,
    previousMemberEpoch,
    state: STATE_OF.get(value.state) ?? "UNKNOWN",
    assigned: owned(value.assignedPartitions, memberEpoch),
    pendingRevocation: owned(value.partitionsPendingRevocation, memberEpoch),
  };
}

interface ListedWithEpochs {
  readonly topicId: string;
  readonly partitions: readonly number[];
  readonly assignmentEpochs: readonly number[] | null;
}

/** Before Kafka 4.3 there were no epochs; the member's own then, which is -2 for one that left for a moment. */
function owned(topics: readonly ListedWithEpochs[], memberEpoch: number): OwnedPartitions {
  const byTopic = new Map<string, ReadonlyMap<number, number>>();
  for (const { topicId, partitions, assignmentEpochs } of topics) {
    const epochs = assignmentEpochs?.length === partitions.length ? assignmentEpochs : null;
    if (partitions.length > 0)
      byTopic.set(topicId, new Map(partitions.map((partition, i) => [partition, epochs?.[i] ?? Math.max(memberEpoch, 0)])));
  }
  return byTopic;
}

function decodeRegex(bytes: Uint8Array): { topics: readonly string[]; version: number; resolvedMs: number } {
  const { topics, version, timestamp: resolvedMs } = decodeVersioned(ConsumerGroupRegularExpressionValue, bytes);
  return { topics: topics.sort(), version, resolvedMs };
}
