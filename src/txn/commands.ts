/** What a shard is asked, and what it answers: the requests of the transaction APIs without their versions. */
import type { PartitionsByTopic, TransactionResult, TransactionState } from "./durable.ts";

/** Names a caller. The host gives it out; the answer may come in a later step. */
export type Ticket = number;

/** Of replies that nobody asked for: what has to be done once the log has what led to it. */
export const UNASKED: Ticket = 0;

export interface InitCommand {
  readonly kind: "init";
  readonly ticket: Ticket;
  readonly transactionalId: string;
  readonly timeoutMs: number;
  /** KIP-360: whom the producer takes itself for; null for one that begins. */
  readonly expected: { readonly producerId: number; readonly epoch: number } | null;
  /** An id that nobody has; without it the reply may ask for one. */
  readonly freshProducerId: number | null;
}

/** AddPartitionsToTxn, AddOffsetsToTxn, and what produce and TxnOffsetCommit add by themselves (KIP-890). */
export interface AddCommand {
  readonly kind: "add";
  readonly ticket: Ticket;
  readonly transactionalId: string;
  readonly producerId: number;
  readonly epoch: number;
  readonly partitions: PartitionsByTopic;
  readonly clientVersion: number;
  /** How long it may wait for the transaction before to be complete, instead of being told CONCURRENT_TRANSACTIONS. */
  readonly patienceMs: number;
}

/** KIP-890: whether the partitions are in the producer's transaction. */
export interface VerifyCommand {
  readonly kind: "verify";
  readonly ticket: Ticket;
  readonly transactionalId: string;
  readonly producerId: number;
  readonly epoch: number;
  readonly partitions: PartitionsByTopic;
}

export interface EndCommand {
  readonly kind: "end";
  readonly ticket: Ticket;
  readonly transactionalId: string;
  readonly producerId: number;
  readonly epoch: number;
  readonly result: TransactionResult;
  readonly clientVersion: number;
  readonly freshProducerId: number | null;
}

/** A transaction's time is over, and it needs a fresh producer id to be aborted: see TimedOutReply. */
export interface ExpireCommand {
  readonly kind: "expire";
  readonly ticket: Ticket;
  readonly transactionalId: string;
  readonly producerId: number;
  readonly epoch: number;
  readonly freshProducerId: number;
}

/** All partitions have the marker of this producer and epoch on their disks. */
export interface WrittenCommand {
  readonly kind: "written";
  readonly ticket: Ticket;
  readonly transactionalId: string;
  readonly producerId: number;
  readonly epoch: number;
}

export interface DescribeCommand {
  readonly kind: "describe";
  readonly ticket: Ticket;
  readonly transactionalId: string;
}

/** Everything that the shard knows and that fits. */
export interface ListCommand {
  readonly kind: "list";
  readonly ticket: Ticket;
  /** Null: any. */
  readonly states: ReadonlySet<TransactionState> | null;
  readonly producerIds: ReadonlySet<number> | null;
  /** Only what began longer ago than this; below 0: any. */
  readonly durationMs: number;
}

export type TransactionCommand =
  | InitCommand
  | AddCommand
  | VerifyCommand
  | EndCommand
  | ExpireCommand
  | WrittenCommand
  | DescribeCommand
  | ListCommand;

/** The command needs a fresh producer id: to be given again with one. */
export interface NeedIdReply {
  readonly kind: "need-id";
  readonly ticket: Ticket;
}

export interface InitReply {
  readonly kind: "init";
  readonly ticket: Ticket;
  readonly errorCode: number;
  readonly producerId: number;
  readonly epoch: number;
}

export interface AddReply {
  readonly kind: "add";
  readonly ticket: Ticket;
  readonly errorCode: number;
}

export interface VerifyReply {
  readonly kind: "verify";
  readonly ticket: Ticket;
  /** Of the whole; 0 if `missing` says it. */
  readonly errorCode: number;
  readonly missing: PartitionsByTopic;
}

export interface EndReply {
  readonly kind: "end";
  readonly ticket: Ticket;
  readonly errorCode: number;
  /** With what the producer goes on (KIP-890), else -1. */
  readonly producerId: number;
  readonly epoch: number;
}

export interface DoneReply {
  readonly kind: "expire" | "written";
  readonly ticket: Ticket;
}

export interface DescribedTransaction {
  readonly transactionalId: string;
  readonly state: TransactionState;
  readonly timeoutMs: number;
  readonly startMs: number;
  readonly producerId: number;
  readonly epoch: number;
  readonly partitions: PartitionsByTopic;
}

export interface DescribeReply {
  readonly kind: "describe";
  readonly ticket: Ticket;
  /** Null: there is no such id. */
  readonly transaction: DescribedTransaction | null;
}

export interface ListReply {
  readonly kind: "list";
  readonly ticket: Ticket;
  readonly transactions: readonly {
    readonly transactionalId: string;
    readonly producerId: number;
    readonly state: TransactionState;
  }[];
}

/** How a transaction ends is decided: its partitions are to be told, and then the shard, by WrittenCommand. */
export interface MarkersReply {
  readonly kind: "markers";
  readonly ticket: typeof UNASKED;
  readonly transactionalId: string;
  readonly producerId: number;
  readonly epoch: number;
  readonly result: TransactionResult;
  readonly partitions: PartitionsByTopic;
  readonly clientVersion: number;
}

/** A transaction's time is over, and the epochs of its producer id are too: to be answered by ExpireCommand. */
export interface TimedOutReply {
  readonly kind: "timed-out";
  readonly ticket: typeof UNASKED;
  readonly transactionalId: string;
  readonly producerId: number;
  readonly epoch: number;
}

export type TransactionReply =
  | NeedIdReply
  | InitReply
  | AddReply
  | VerifyReply
  | EndReply
  | DoneReply
  | DescribeReply
  | ListReply
  | MarkersReply
  | TimedOutReply;
