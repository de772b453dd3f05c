/** What of a transaction survives a restart: the values of the records in __transaction_state, without their encoding (records.ts). */

/**
 * Kafka's names. Empty: the id has a producer and no transaction yet. Prepare…: how it ends is decided, and being told to its partitions.
 * Complete…: it ended everywhere. (Kafka's Dead and PrepareEpochFence are never written.)
 */
export type TransactionState = "Empty" | "Ongoing" | "PrepareCommit" | "PrepareAbort" | "CompleteCommit" | "CompleteAbort";

export type TransactionResult = "commit" | "abort";

/** Partition numbers by topic name. */
export type PartitionsByTopic = ReadonlyMap<string, ReadonlySet<number>>;

export const NO_PARTITIONS: PartitionsByTopic = new Map();

export interface TransactionValue {
  readonly producerId: number;
  /** That of the value before this one. */
  readonly previousProducerId: number;
  /** Takes the place of `producerId`, whose epochs are used up, when the transaction is complete; -1: none. */
  readonly nextProducerId: number;
  /** -1 only before the first InitProducerId is answered. */
  readonly producerEpoch: number;
  /** The epoch before, if the producer itself asked for the newer one: then it may ask again. -1: none. Not in the log. */
  readonly lastProducerEpoch: number;
  readonly timeoutMs: number;
  readonly state: TransactionState;
  readonly partitions: PartitionsByTopic;
  /** Wall clock; -1 in state Empty. */
  readonly startMs: number;
  /** Wall clock. */
  readonly updatedMs: number;
  /** The version of transactions by which it was begun or ended: 0 for the older protocol, 2 for KIP-890. */
  readonly clientVersion: number;
}

/** One record; a null value forgets the id. */
export interface TransactionRecord {
  readonly transactionalId: string;
  readonly value: TransactionValue | null;
}
