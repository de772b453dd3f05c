/** What an assignor is given and what it gives. Source: PartitionAssignor, GroupSpec, SubscribedTopicDescriber. */
import type { Assignment } from "./assignment.ts";

export interface AssignorMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  /** The ids of the topics that it is subscribed to and that exist. */
  readonly topicIds: ReadonlySet<string>;
  /** Its part in the target assignment so far. */
  readonly assignment: Assignment;
}

/** A group in which all members are subscribed to the same topics is homogeneous: simpler and faster to assign. */
export interface AssignorGroup {
  /** Results follow from this order where nothing else decides. */
  readonly members: readonly AssignorMember[];
  readonly isHomogeneous: boolean;
  /** Partitions of a topic that some member is subscribed to. */
  partitionCount(topicId: string): number;
}

/** By member id; members that get nothing may be left out. */
export type TargetAssignment = ReadonlyMap<string, Assignment>;

export interface Assignor {
  readonly name: string;
  assign(group: AssignorGroup): TargetAssignment;
}
