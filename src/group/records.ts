/**
 * What groups keep, as the bytes of records in __consumer_offsets; kafka-dump-log --offsets-decoder reads them.
 * Source: GroupCoordinatorRecordHelpers, GroupCoordinatorRecordSerde, GroupMetadataManager.replay.
 */
import { Reader } from "../bytes/reader.ts";
import { dataCodec } from "../protocol/compile.ts";
import { GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue } from "../protocol/records/offsets.ts";
import { decodeVersioned, encodeKey, encodeVersioned, versionOf } from "../protocol/versioned.ts";
import { decodeConsumerRecord, encodeConsumerRecord } from "./consumer/consumer-records.ts";
import type { CommittedOffset, GroupRecord, GroupSnapshot, RecordProducer } from "./durable.ts";

/** Before Kafka 0.9 offsets had this type; key and value are alike. */
const LEGACY_OFFSET_COMMIT = 0;
const GROUP_METADATA_VERSION = 3;
const OFFSET_COMMIT_VERSION = 4;
/** The only version that has an expiry; it lacks the leader epoch and the topic id. */
const OFFSET_COMMIT_WITH_EXPIRY_VERSION = 1;

/** The record's key and value; a null value removes. Throws RangeError for text that no record can hold (32 KiB). */
export function encodeGroupRecord(record: GroupRecord): { key: Uint8Array; value: Uint8Array | null } {
  if (record.kind === "transaction-end") throw new RangeError("the end of a transaction is a marker, not a record");
  if (record.kind !== "group" && record.kind !== "offset") return encodeConsumerRecord(record);
  if (record.kind === "group") {
    const key = encodeKey(GroupMetadataKey, { group: record.groupId });
    return { key, value: record.value === null ? null : encodeSnapshot(record.value) };
  }
  const { groupId: group, topic, partition, value } = record;
  const key = encodeKey(OffsetCommitKey, { group, topic, partition });
  return { key, value: value === null ? null : encodeOffset(value) };
}

/**
 * Reads a record back; its bytes are its own. Null for a type that is not ours: share and streams groups keep theirs in the same
 * topic. Throws MalformedError, also for versions newer than we know.
 */
export function decodeGroupRecord(
  key: Uint8Array,
  value: Uint8Array | null,
  producer: RecordProducer | null = null,
): GroupRecord | null {
  const type = versionOf(key);
  if (type === GroupMetadataKey.recordType) {
    const { group } = dataCodec(GroupMetadataKey, 0).decode(new Reader(key, 2));
    return { kind: "group", groupId: group, value: value === null ? null : decodeSnapshot(value) };
  }
  if (type !== OffsetCommitKey.recordType && type !== LEGACY_OFFSET_COMMIT) return decodeConsumerRecord(key, value);
  const { group, topic, partition } = dataCodec(OffsetCommitKey, 0).decode(new Reader(key, 2));
  const record = { kind: "offset" as const, groupId: group, topic, partition };
  if (value === null) return { ...record, value };
  return producer === null ? { ...record, value: decodeOffset(value) } : { ...record, value: decodeOffset(value), producer };
}

export const producerOfGroupRecord = (record: GroupRecord): RecordProducer | null =>
  record.kind === "offset" ? (record.producer ?? null) : null;

function encodeOffset(value: CommittedOffset): Uint8Array {
  const { offset, leaderEpoch, metadata, committedMs, expiresMs, topicId } = value;
  const version = expiresMs === -1 ? OFFSET_COMMIT_VERSION : OFFSET_COMMIT_WITH_EXPIRY_VERSION;
  const fields = { offset, leaderEpoch, metadata, commitTimestamp: committedMs, expireTimestamp: expiresMs, topicId };
  return encodeVersioned(OffsetCommitValue, version, fields);
}

function decodeOffset(bytes: Uint8Array): CommittedOffset {
  const { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, topicId } = decodeVersioned(OffsetCommitValue, bytes);
  return { offset, leaderEpoch, metadata, committedMs: commitTimestamp, expiresMs: expireTimestamp, topicId };
}

function encodeSnapshot(value: GroupSnapshot): Uint8Array {
  return encodeVersioned(GroupMetadataValue, GROUP_METADATA_VERSION, {
    protocolType: value.protocolType,
    generation: value.generationId,
    protocol: value.protocolName,
    leader: value.leader,
    currentStateTimestamp: value.stateSinceMs,
    members: value.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: member.subscription,
      assignment: member.assignment,
    })),
  });
}

function decodeSnapshot(bytes: Uint8Array): GroupSnapshot {
  const value = decodeVersioned(GroupMetadataValue, bytes);
  return {
    protocolType: value.protocolType,
    generationId: value.generation,
    protocolName: value.protocol,
    leader: value.leader,
    stateSinceMs: value.currentStateTimestamp,
    members: value.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      // Version 0 had one timeout for both.
      rebalanceTimeoutMs: member.rebalanceTimeout === -1 ? member.sessionTimeout : member.rebalanceTimeout,
      sessionTimeoutMs: member.sessionTimeout,
      subscription: new Uint8Array(member.subscription),
      assignment: new Uint8Array(member.assignment),
    })),
  };
}
