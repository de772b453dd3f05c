/** What happens by itself in groups of the consumer protocol. Source: GroupMetadataManager.onLoaded. */
import type { Turn } from "../turn.ts";
import type { ConsumerGroups } from "./consumer-groups.ts";
import { rebalanceTimeIsUp, sessionIsOver } from "./fence.ts";
import { patternsAreDue } from "./patterns.ts";
import type { ConsumerDue } from "./soft-state.ts";

export function consumerAlarm(turn: Turn, groups: ConsumerGroups, due: ConsumerDue): void {
  if (due.kind === "consumer-session") sessionIsOver(turn, groups, due.groupId, due.memberId);
  else if (due.kind === "consumer-rebalance") rebalanceTimeIsUp(turn, groups, due.groupId, due.memberId);
  else patternsAreDue(turn, groups, due.groupId);
}

/** All records have been applied: members are given a session's time to show that they live, and time to let go of partitions. */
export function consumersLoaded(turn: Turn, groups: ConsumerGroups): void {
  for (const group of groups.all()) {
    const { sessionTimeoutMs } = turn.config.consumer.timesOf(group.id);
    for (const { memberId, state, memberEpoch, rebalanceTimeoutMs } of group.members.values()) {
      const soft = groups.soft(group.id).member(memberId);
      turn.wake(soft.session, sessionTimeoutMs);
      if (state !== "UNREVOKED_PARTITIONS") continue;
      soft.rebalanceEpoch = memberEpoch;
      turn.wake(soft.rebalance, rebalanceTimeoutMs);
    }
  }
}
