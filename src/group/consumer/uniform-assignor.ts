/**
 * "uniform", the default: members get equally many partitions, and keep what they have as far as that allows. This file does
 * groups in which all read the same topics; uniform-mixed.ts the others. Source: UniformHomogeneousAssignmentBuilder.
 */
import type { Assignment } from "./assignment.ts";
import type { Assignor, AssignorGroup, AssignorMember, TargetAssignment } from "./assignor.ts";
import { assignMixed } from "./uniform-mixed.ts";

export const uniformAssignor: Assignor = {
  name: "uniform",
  assign: (group) => (group.isHomogeneous ? assignAlike(group) : assignMixed(group)),
};

type TopicPartition = readonly [topicId: string, partition: number];

function assignAlike(group: AssignorGroup): TargetAssignment {
  const { members } = group;
  const topicIds = members[0]?.topicIds ?? new Set<string>();
  if (topicIds.size === 0) return new Map();
  const { unassigned, total } = countPartitions(group, topicIds);
  const quota = Math.floor(total / members.length);
  let extra = total % members.length;
  const targets = new Map<string, Assignment>();
  const unfilled: { member: AssignorMember; room: number }[] = [];
  members.forEach((member, i) => {
    const mayHaveExtra = extra > 0;
    const kept = keep(member, topicIds, quota + (mayHaveExtra ? 1 : 0), unassigned);
    targets.set(member.memberId, kept.assignment);
    let { room } = kept;
    let takesExtra = mayHaveExtra;
    // Whoever does not have it already leaves it to others, unless only just enough are left to take it.
    if (room > 0 && mayHaveExtra && members.length - i > extra) {
      room--;
      takesExtra = false;
    }
    if (takesExtra) extra--;
    if (room > 0) unfilled.push({ member, room });
  });
  fill(targets, unfilled, unassigned);
  return targets;
}

/** All partitions, and those that nobody has. */
function countPartitions(group: AssignorGroup, topicIds: ReadonlySet<string>): { unassigned: TopicPartition[]; total: number } {
  const taken = new Map<string, Set<number>>([...topicIds].map((topicId) => [topicId, new Set<number>()]));
  for (const { assignment } of group.members) {
    for (const [topicId, partitions] of assignment) for (const partition of partitions) taken.get(topicId)?.add(partition);
  }
  const unassigned: TopicPartition[] = [];
  let total = 0;
  for (const [topicId, partitions] of taken) {
    const count = group.partitionCount(topicId);
    total += count;
    for (let i = 0; i < count; i++) if (!partitions.has(i)) unassigned.push([topicId, i]);
  }
  return { unassigned, total };
}

/** What a member has of the topics, up to its quota; the rest becomes unassigned. */
function keep(
  member: AssignorMember,
  topicIds: ReadonlySet<string>,
  quota: number,
  unassigned: TopicPartition[],
): { assignment: Assignment; room: number } {
  const assignment = new Map<string, readonly number[]>();
  let room = quota;
  for (const [topicId, partitions] of member.assignment) {
    if (!topicIds.has(topicId)) continue;
    const kept = partitions.length <= room ? partitions : partitions.slice(0, room);
    for (let i = kept.length; i < partitions.length; i++) unassigned.push([topicId, partitions[i]!]);
    if (kept.length > 0) assignment.set(topicId, kept);
    room -= kept.length;
  }
  return { assignment, room };
}

function fill(
  targets: Map<string, Assignment>,
  unfilled: readonly { member: AssignorMember; room: number }[],
  unassigned: readonly TopicPartition[],
): void {
  let next = 0;
  for (const { member, room } of unfilled) {
    const added = new Map([...targets.get(member.memberId)!].map(([topicId, partitions]) => [topicId, [...partitions]]));
    for (const end = Math.min(next + room, unassigned.length); next < end; next++) {
      const [topicId, partition] = unassigned[next]!;
      const partitions = added.get(topicId);
      if (partitions === undefined) added.set(topicId, [partition]);
      else partitions.push(partition);
    }
    for (const partitions of added.values()) partitions.sort((a, b) => a - b);
    targets.set(member.memberId, added);
  }
}
