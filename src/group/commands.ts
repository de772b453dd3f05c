/** What a shard is asked, and what it answers: the requests of the group APIs without their versions. Bytes in a command stay the caller's. */
import type { ConsumerCommand, ConsumerReply } from "./consumer/consumer-commands.ts";

/** Names a parked caller. The host gives it out; the answer may come in a later step. */
export type Ticket = number;

/** A rebalance protocol that a member offers: for consumers the name of an assignor, and its subscription. Opaque to us. */
export interface Protocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

export interface JoinCommand {
  readonly kind: "join";
  readonly ticket: Ticket;
  readonly groupId: string;
  /** "" asks for a new member id. */
  readonly memberId: string;
  /** KIP-345: a static member's own name, null for a dynamic member. */
  readonly instanceId: string | null;
  readonly clientId: string;
  /** "/" and the address of the client, as Kafka stores it. */
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  /** In the order of the member's preference. */
  readonly protocols: readonly Protocol[];
  /** KIP-800, for log lines. */
  readonly reason: string | null;
  /** A fresh UUID: what a new member id ends with. */
  readonly uuid: string;
  /** KIP-394: a dynamic member is first told its id (v4+). */
  readonly mustKnowMemberId: boolean;
  /** KIP-814: a static leader can be told to keep the assignment (v9+). */
  readonly canSkipAssignment: boolean;
}

export interface SyncCommand {
  readonly kind: "sync";
  readonly ticket: Ticket;
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly instanceId: string | null;
  /** Null when the client did not say (below v5). */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  /** From the leader only. */
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[];
}

export interface HeartbeatCommand {
  readonly kind: "heartbeat";
  readonly ticket: Ticket;
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly instanceId: string | null;
}

export interface LeaveCommand {
  readonly kind: "leave";
  readonly ticket: Ticket;
  readonly groupId: string;
  /** "" with an instance id removes the static member by name. */
  readonly members: readonly { readonly memberId: string; readonly instanceId: string | null; readonly reason: string | null }[];
}

export interface CommitItem {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  /** -1 when the client did not say. */
  readonly leaderEpoch: number;
  readonly metadata: string | null;
}

export interface CommitCommand {
  readonly kind: "commit";
  readonly ticket: Ticket;
  readonly groupId: string;
  /** -1 for a client that is no member. */
  readonly generationId: number;
  readonly memberId: string;
  readonly instanceId: string | null;
  /** How long to keep the offsets, -1 for the broker's own rule (v2 to v4 could say). */
  readonly retentionMs: number;
  /** v9+: members of groups of the consumer protocol may commit; an unknown group is GROUP_ID_NOT_FOUND, before it was ILLEGAL_GENERATION. */
  readonly knowsGroupIdNotFound: boolean;
  readonly items: readonly CommitItem[];
}

/** Within a transaction, whose producer the caller has made sure of. */
export interface TransactionalCommitCommand {
  readonly kind: "transactional-commit";
  readonly ticket: Ticket;
  readonly groupId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
  /** -1 for a client that is no member, or does not say (before v3). */
  readonly generationId: number;
  readonly memberId: string;
  readonly instanceId: string | null;
  /** Since v6 an unknown group is answered with GROUP_ID_NOT_FOUND, before with ILLEGAL_GENERATION. */
  readonly knowsGroupIdNotFound: boolean;
  readonly items: readonly CommitItem[];
}

export interface FetchCommand {
  readonly kind: "fetch";
  readonly ticket: Ticket;
  readonly groupId: string;
  /** Of a group of the consumer protocol the member that asks (v9+); null and -1: nobody in particular. */
  readonly memberId: string | null;
  readonly memberEpoch: number;
  /** Null asks for all that the group has. A topic id of zeros matches any. */
  readonly topics: readonly { readonly topic: string; readonly topicId: string; readonly partitions: readonly number[] }[] | null;
  /** KIP-447: what a transaction that is open may change is answered with UNSTABLE_OFFSET_COMMIT. */
  readonly requireStable: boolean;
}

export interface DescribeCommand {
  readonly kind: "describe";
  readonly ticket: Ticket;
  readonly groupId: string;
}

export interface DeleteCommand {
  readonly kind: "delete";
  readonly ticket: Ticket;
  readonly groupId: string;
}

export interface DeleteOffsetsCommand {
  readonly kind: "delete-offsets";
  readonly ticket: Ticket;
  readonly groupId: string;
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
}

/** Asked of every shard. */
export interface ListCommand {
  readonly kind: "list";
  readonly ticket: Ticket;
  /** Names of states and types in any case; none means all. */
  readonly states: readonly string[];
  readonly types: readonly string[];
}

/** Topics are gone: what was committed for them is to go from every shard. */
export interface TopicsDeletedCommand {
  readonly kind: "topics-deleted";
  readonly ticket: Ticket;
  readonly topics: readonly { readonly name: string; readonly id: string }[];
}

/** What concerns one group. */
export type OneGroupCommand =
  | JoinCommand
  | SyncCommand
  | HeartbeatCommand
  | LeaveCommand
  | CommitCommand
  | TransactionalCommitCommand
  | FetchCommand
  | DescribeCommand
  | DeleteCommand
  | DeleteOffsetsCommand
  | ConsumerCommand;
/** What concerns all groups of a shard. */
export type AllGroupsCommand = ListCommand | TopicsDeletedCommand;
export type GroupCommand = OneGroupCommand | AllGroupsCommand;

export interface JoinReply {
  readonly kind: "join";
  readonly ticket: Ticket;
  readonly errorCode: number;
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leader: string;
  readonly skipAssignment: boolean;
  readonly memberId: string;
  /** All members for the leader, none for the others. */
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly metadata: Uint8Array;
  }[];
}

export interface SyncReply {
  readonly kind: "sync";
  readonly ticket: Ticket;
  readonly errorCode: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Uint8Array;
}

export interface HeartbeatReply {
  readonly kind: "heartbeat";
  readonly ticket: Ticket;
  readonly errorCode: number;
}

export interface LeaveReply {
  readonly kind: "leave";
  readonly ticket: Ticket;
  readonly errorCode: number;
  readonly members: readonly { readonly memberId: string; readonly groupInstanceId: string | null; readonly errorCode: number }[];
}

export interface TransactionalCommitReply {
  readonly kind: "transactional-commit";
  readonly ticket: Ticket;
  /** One for each item, in the order of the items. */
  readonly errorCodes: readonly number[];
}

export interface CommitReply {
  readonly kind: "commit";
  readonly ticket: Ticket;
  /** One for each item, in the order of the items. */
  readonly errorCodes: readonly number[];
}

export interface FetchedPartition {
  readonly partition: number;
  /** -1 when nothing is committed. */
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly errorCode: number;
}

export interface FetchReply {
  readonly kind: "fetch";
  readonly ticket: Ticket;
  /** Of the whole request; then there are no topics. */
  readonly errorCode: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly topicId: string;
    readonly partitions: readonly FetchedPartition[];
  }[];
}

export interface DescribeReply {
  readonly kind: "describe";
  readonly ticket: Ticket;
  /** Null: there is no such group of the classic protocol. */
  readonly group: DescribedGroup | null;
  /** The name is that of a group of the consumer protocol. */
  readonly isConsumerGroup: boolean;
}

export interface DescribedGroup {
  readonly state: string;
  readonly protocolType: string;
  /** "" unless the group is stable; then every member's metadata is for this protocol. */
  readonly protocolName: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly instanceId: string | null;
    readonly clientId: string;
    readonly clientHost: string;
    readonly metadata: Uint8Array;
    readonly assignment: Uint8Array;
  }[];
}

export interface DeleteReply {
  readonly kind: "delete";
  readonly ticket: Ticket;
  readonly errorCode: number;
}

export interface DeleteOffsetsReply {
  readonly kind: "delete-offsets";
  readonly ticket: Ticket;
  /** Of the whole request; then `errorCodes` is empty. */
  readonly errorCode: number;
  /** For each topic of the command one for each of its partitions. */
  readonly errorCodes: readonly (readonly number[])[];
}

export interface ListReply {
  readonly kind: "list";
  readonly ticket: Ticket;
  readonly groups: readonly ListedGroup[];
}

export interface ListedGroup {
  readonly groupId: string;
  readonly protocolType: string;
  readonly state: string;
  readonly type: string;
}

export interface TopicsDeletedReply {
  readonly kind: "topics-deleted";
  readonly ticket: Ticket;
}

export type GroupReply =
  | JoinReply
  | SyncReply
  | HeartbeatReply
  | LeaveReply
  | CommitReply
  | TransactionalCommitReply
  | FetchReply
  | DescribeReply
  | DeleteReply
  | DeleteOffsetsReply
  | ListReply
  | TopicsDeletedReply
  | ConsumerReply;
