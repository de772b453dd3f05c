/**
 * "range": each member gets a run of neighbouring partitions of each topic; the same run of every topic where all have equally
 * many and all members read them all. Source: RangeAssignor.
 */
import type { Assignment } from "./assignment.ts";
import type { Assignor, AssignorGroup, AssignorMember, TargetAssignment } from "./assignor.ts";

export const rangeAssignor: Assignor = { name: "range", assign };

/** How a topic is dealt out. */
interface Deal {
  readonly partitions: number;
  members: number;
  next: number;
  /** Of the members still to come, how many get one more than the others. */
  extra: number;
}

function assign(group: AssignorGroup): TargetAssignment {
  const members = [...group.members].sort(byInstanceThenMember);
  const deals = new Map<string, Deal>();
  for (const { topicIds } of members) {
    for (const topicId of topicIds) {
      const deal = deals.get(topicId);
      if (deal !== undefined) deal.members++;
      else deals.set(topicId, { partitions: group.partitionCount(topicId), members: 1, next: 0, extra: 0 });
    }
  }
  for (const deal of deals.values()) deal.extra = deal.partitions % deal.members;
  return new Map(members.map((member) => [member.memberId, share(member, deals)]));
}

function share(member: AssignorMember, deals: ReadonlyMap<string, Deal>): Assignment {
  const assignment = new Map<string, readonly number[]>();
  for (const topicId of member.topicIds) {
    const deal = deals.get(topicId)!;
    const count = Math.floor(deal.partitions / deal.members) + (deal.extra > 0 ? 1 : 0);
    const first = deal.next;
    deal.extra--;
    deal.next += count;
    if (count > 0)
      assignment.set(
        topicId,
        Array.from({ length: count }, (_, i) => first + i),
      );
  }
  return assignment;
}

/** Static members first, by their own names: they find their runs again when they come back. */
function byInstanceThenMember(a: AssignorMember, b: AssignorMember): number {
  if (a.instanceId !== null && b.instanceId !== null) return compare(a.instanceId, b.instanceId);
  if (a.instanceId !== null) return -1;
  if (b.instanceId !== null) return 1;
  return compare(a.memberId, b.memberId);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
