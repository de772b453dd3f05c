/** The target assignment of a group: what each member is to have in the end. Source: TargetAssignmentBuilder. */
import type { Assignment } from "./assignment.ts";
import { NO_PARTITIONS, sameAssignment } from "./assignment.ts";
import type { Assignor } from "./assignor.ts";
import type { ConsumerGroup } from "./consumer-group.ts";
import { type ConsumerMember, regexOf } from "./consumer-member.ts";
import type { ConsumerRecord, MemberMetadata, ResolvedRegex } from "./durable.ts";
import type { TopicsView } from "./topics-view.ts";

/** The ids of the topics that a member is subscribed to, by name or by pattern, and that exist. */
export function subscribedTopicIds(
  member: MemberMetadata,
  resolved: ReadonlyMap<string, ResolvedRegex>,
  topics: TopicsView,
): ReadonlySet<string> {
  const ids = new Set<string>();
  const regex = regexOf(member);
  const add = (name: string): void => {
    const topic = topics.topicByName(name);
    if (topic !== undefined) ids.add(topic.id);
  };
  for (const name of member.topicNames) add(name);
  if (regex !== null) for (const name of resolved.get(regex)?.topics ?? []) add(name);
  return ids;
}

export interface TargetInput {
  readonly group: ConsumerGroup;
  /** The member as it is to be: new, changed, or in the place of the one that has its instance id. */
  readonly updated: ConsumerMember;
  readonly isHomogeneous: boolean;
  readonly assignor: Assignor;
  readonly topics: TopicsView;
}

/** Only members whose part changes get a record. The epoch of the target is written by the caller. */
export function computeTarget(input: TargetInput): { records: ConsumerRecord[]; target: Assignment } {
  const { group, updated, topics } = input;
  const members = membersWith(group, updated);
  const topicIdsOf = rememberingTopicIds(group, topics);
  const before = (member: ConsumerMember): Assignment | undefined =>
    group.members.has(member.memberId) ? group.writtenTarget(member.memberId) : group.target(member.memberId, member.instanceId);
  const targets = input.assignor.assign({
    isHomogeneous: input.isHomogeneous,
    partitionCount: (topicId) => topics.topicById(topicId)?.partitionCount ?? 0,
    members: members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      topicIds: topicIdsOf(member),
      assignment: before(member) ?? NO_PARTITIONS,
    })),
  });
  const records: ConsumerRecord[] = [];
  for (const { memberId } of members) {
    const value = targets.get(memberId) ?? NO_PARTITIONS;
    const written = group.writtenTarget(memberId);
    if (written !== undefined && sameAssignment(written, value)) continue;
    records.push({ kind: "consumer-target-member", groupId: group.id, memberId, value });
  }
  return { records, target: targets.get(updated.memberId) ?? NO_PARTITIONS };
}

/** In the order of their ids: the same before and after a restart. */
function membersWith(group: ConsumerGroup, updated: ConsumerMember): ConsumerMember[] {
  const replaced = group.staticMember(updated.instanceId);
  const others = [...group.members.values()].filter((member) => member.memberId !== updated.memberId && member !== replaced);
  return [...others, updated].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
}

/** Members mostly subscribe to the same: their topics are looked up once. */
function rememberingTopicIds(group: ConsumerGroup, topics: TopicsView): (member: ConsumerMember) => ReadonlySet<string> {
  const known = new Map<string, ReadonlySet<string>>();
  return (member) => {
    const key = JSON.stringify([member.topicRegex, member.topicNames]);
    const ids = known.get(key) ?? subscribedTopicIds(member, group.resolved, topics);
    known.set(key, ids);
    return ids;
  };
}
