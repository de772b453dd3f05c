/**
 * What removes groups and committed offsets when somebody asks for it: DeleteGroups, OffsetDelete, the deletion of a topic.
 * Source: GroupCoordinatorShard.deleteGroups, OffsetMetadataManager.deleteOffsets, onTopicsDeleted.
 */
import { ErrorCode } from "../protocol/errors.ts";
import { type AnyGroup, isSubscribed, tombstonesOf } from "./any-group.ts";
import type { DeleteCommand, DeleteOffsetsCommand, TopicsDeletedCommand } from "./commands.ts";
import { ANY_TOPIC_ID, type Offsets } from "./offsets.ts";
import { CONSUMER_PROTOCOL_TYPE } from "./subscription.ts";
import type { Turn } from "./turn.ts";

/** DeleteGroups, for one group: nobody may be in it. Its offsets go first, so that a crash leaves a group that can be deleted again. */
export function deleteGroup(turn: Turn, group: AnyGroup | undefined, offsets: Offsets, { ticket }: DeleteCommand): void {
  const errorCode =
    group === undefined ? ErrorCode.GROUP_ID_NOT_FOUND : group.state === "Empty" ? ErrorCode.NONE : ErrorCode.NON_EMPTY_GROUP;
  if (group !== undefined && errorCode === ErrorCode.NONE) {
    turn.canBeSplit = true;
    for (const [topic, partitions] of offsets.topics(group.id))
      for (const partition of partitions.keys()) forgetOffset(turn, group.id, topic, partition);
    for (const { topic, partition } of offsets.pending.places(group.id))
      if (offsets.get(group.id, topic, partition) === undefined) forgetOffset(turn, group.id, topic, partition);
    turn.logger.info("group deleted", { group: group.id, offsets: turn.records.length });
    turn.records.push(...tombstonesOf(group));
  }
  turn.replies.push({ kind: "delete", ticket, errorCode });
}

/** OffsetDelete: a topic that the group still reads keeps its offsets. */
export function deleteOffsets(turn: Turn, group: AnyGroup | undefined, offsets: Offsets, command: DeleteOffsetsCommand): void {
  const { ticket, groupId, topics } = command;
  const errorCode = deleteOffsetsError(group, groupId);
  const errorCodes: number[][] = [];
  for (const { topic, partitions } of errorCode === ErrorCode.NONE ? topics : []) {
    const isRead = isSubscribed(group!, topic);
    errorCodes.push(partitions.map(() => (isRead ? ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC : ErrorCode.NONE)));
    for (const partition of isRead ? [] : new Set(partitions))
      if (offsets.get(groupId, topic, partition) !== undefined || offsets.pending.has(groupId, topic, partition))
        forgetOffset(turn, groupId, topic, partition);
  }
  turn.replies.push({ kind: "delete-offsets", ticket, errorCode, errorCodes });
}

/** Of groups that are not consumers nobody knows what they read. */
function deleteOffsetsError(group: AnyGroup | undefined, groupId: string): number {
  if (groupId === "") return ErrorCode.INVALID_GROUP_ID;
  if (group === undefined) return ErrorCode.GROUP_ID_NOT_FOUND;
  const isOpaque = group.type === "classic" && group.protocolType !== CONSUMER_PROTOCOL_TYPE;
  return group.state !== "Empty" && isOpaque ? ErrorCode.NON_EMPTY_GROUP : ErrorCode.NONE;
}

/** What was committed for those topics, or for any of their names, goes; what was committed for a newer one of a name stays. */
export function topicsDeleted(turn: Turn, offsets: Offsets, { ticket, topics }: TopicsDeletedCommand): void {
  turn.canBeSplit = true;
  const idsByName = new Map<string, string[]>();
  for (const { name, id } of topics) idsByName.set(name, [...(idsByName.get(name) ?? [ANY_TOPIC_ID]), id]);
  for (const groupId of offsets.groupIds()) {
    for (const [topic, partitions] of offsets.topics(groupId)) {
      const ids = idsByName.get(topic);
      if (ids === undefined) continue;
      for (const [partition, { topicId }] of partitions) if (ids.includes(topicId)) forgetOffset(turn, groupId, topic, partition);
    }
  }
  for (const { groupId, topic, partition, value } of offsets.pending.all())
    if (idsByName.get(topic)?.includes(value.topicId) && offsets.get(groupId, topic, partition) === undefined)
      forgetOffset(turn, groupId, topic, partition);
  const { length } = turn.records;
  if (length > 0) turn.logger.info("offsets of deleted topics removed", { topics: topics.length, offsets: length });
  turn.replies.push({ kind: "topics-deleted", ticket });
}

export function forgetOffset(turn: Turn, groupId: string, topic: string, partition: number): void {
  turn.records.push({ kind: "offset", groupId, topic, partition, value: null });
}
