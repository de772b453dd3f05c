/** What of a group survives a restart: the values of the records in __consumer_offsets, without their encoding (records.ts). */
import type { ConsumerRecord } from "./consumer/durable.ts";

/** One member as its generation was written down. */
export interface MemberSnapshot {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** The metadata of the protocol that was chosen. */
  readonly subscription: Uint8Array;
  readonly assignment: Uint8Array;
}

/** One generation of a group, whole. A group without members has no protocol and no leader. */
export interface GroupSnapshot {
  readonly protocolType: string;
  readonly generationId: number;
  readonly protocolName: string | null;
  readonly leader: string | null;
  /** Wall clock; -1 in records older than Kafka 2.1. */
  readonly stateSinceMs: number;
  readonly members: readonly MemberSnapshot[];
}

export interface CommittedOffset {
  readonly offset: number;
  /** -1 when the client did not say. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  /** Wall clock. */
  readonly committedMs: number;
  /** Wall clock; -1 when the broker's retention decides. */
  readonly expiresMs: number;
  /** The topic that was meant, zeros in records that did not say. */
  readonly topicId: string;
}

/** In whose transaction a record stands. */
export interface RecordProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** One record; a null value removes what the key names. A producer's offsets count when its transaction is committed. */
export type GroupRecord =
  | ConsumerRecord
  | { readonly kind: "group"; readonly groupId: string; readonly value: GroupSnapshot | null }
  | {
      readonly kind: "offset";
      readonly groupId: string;
      readonly topic: string;
      readonly partition: number;
      readonly value: CommittedOffset | null;
      readonly producer?: RecordProducer;
    }
  /** The marker that ends a producer's transaction in this partition. */
  | { readonly kind: "transaction-end"; readonly producerId: number; readonly result: "commit" | "abort" };
