/**
 * A group without members may change its protocol; one with members keeps it, as in Kafka with group.consumer.migration.policy=disabled.
 * The other direction is in consumer/heartbeat.ts. Source: GroupMetadataManager.classicGroupJoin, maybeDeleteEmptyConsumerGroup.
 */
import { ErrorCode } from "../protocol/errors.ts";
import { tombstonesOf } from "./any-group.ts";
import type { JoinCommand } from "./commands.ts";
import type { ConsumerGroup } from "./consumer/consumer-group.ts";
import type { Group } from "./group.ts";
import { join } from "./join.ts";
import { removeMember, removePending } from "./rebalance.ts";
import type { Turn } from "./turn.ts";

/** JoinGroup of a group of the consumer protocol. `classic` makes the group that takes its place, `forget` drops that again. */
export function joinConsumerGroup(
  turn: Turn,
  consumer: ConsumerGroup,
  command: JoinCommand,
  classic: () => Group,
  forget: () => void,
): void {
  const { ticket, memberId } = command;
  if (consumer.state !== "Empty") {
    turn.refuseJoin(ticket, ErrorCode.INCONSISTENT_GROUP_PROTOCOL, "");
    return;
  }
  if (memberId !== "") {
    turn.refuseJoin(ticket, ErrorCode.UNKNOWN_MEMBER_ID, memberId);
    return;
  }
  const group = classic();
  join(turn, group, command);
  if (group.members.size === 0 && group.pending.size === 0) {
    forget(); // nobody has joined: it stays what it is
    return;
  }
  turn.logger.info("empty consumer group becomes a classic group", { group: group.id });
  turn.records.push(...tombstonesOf(consumer));
  turn.undo = (later) => {
    for (const member of [...group.members.values()]) removeMember(later, group, member);
    for (const pending of [...group.pending.keys()]) removePending(later, group, pending);
    later.alarms.clear(group.joinAlarm);
    forget();
  };
}
