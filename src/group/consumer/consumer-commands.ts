/** What a shard is asked about groups of the consumer protocol, and what it answers: requests without their versions. */
import type { Assignment } from "./assignment.ts";
import type { ConsumerGroupState } from "./consumer-group.ts";
import type { ListedPartitions } from "./reconcile.ts";

/** ConsumerGroupHeartbeat. Null, or -1 for a time: as the member said before. */
export interface ConsumerHeartbeatCommand {
  readonly kind: "consumer-heartbeat";
  readonly ticket: number;
  readonly groupId: string;
  readonly memberId: string;
  /** 0 joins, -1 leaves, -2 leaves for a moment. */
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly rebalanceTimeoutMs: number;
  readonly topicNames: readonly string[] | null;
  readonly topicRegex: string | null;
  readonly serverAssignor: string | null;
  /** What the member has. */
  readonly owned: ListedPartitions | null;
  readonly clientId: string;
  /** "/" and the address of the client, as Kafka stores it. */
  readonly clientHost: string;
  /** A fresh UUID, for a member that asks for an id (v0). */
  readonly uuid: string;
}

export interface ConsumerHeartbeatReply {
  readonly kind: "consumer-heartbeat";
  readonly ticket: number;
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly memberId: string | null;
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** Null: as the member was told before. */
  readonly assignment: Assignment | null;
}

export interface ConsumerDescribeCommand {
  readonly kind: "consumer-describe";
  readonly ticket: number;
  readonly groupId: string;
}

export interface ConsumerDescribeReply {
  readonly kind: "consumer-describe";
  readonly ticket: number;
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly group: DescribedConsumerGroup | null;
}

export interface DescribedConsumerGroup {
  readonly state: ConsumerGroupState;
  readonly epoch: number;
  readonly assignmentEpoch: number;
  readonly assignor: string;
  readonly members: readonly DescribedConsumerMember[];
}

export interface DescribedConsumerMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly memberEpoch: number;
  readonly clientId: string;
  readonly clientHost: string;
  readonly topicNames: readonly string[];
  readonly topicRegex: string | null;
  /** What it has, and what it has not let go of yet. */
  readonly assignment: Assignment;
  readonly target: Assignment;
  readonly isClassic: boolean;
}

export type ConsumerCommand = ConsumerHeartbeatCommand | ConsumerDescribeCommand;
export type ConsumerReply = ConsumerHeartbeatReply | ConsumerDescribeReply;
