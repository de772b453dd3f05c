/** What of a group of the consumer protocol (KIP-848) survives a restart: its records in __consumer_offsets without their encoding. */
import type { Assignment, OwnedPartitions } from "./assignment.ts";

/**
 * STABLE: the member has what its epoch gives it. UNREVOKED_PARTITIONS: it must let go of some first. UNRELEASED_PARTITIONS: it has
 * what is free, and others must let go of the rest. UNKNOWN: written by a newer Kafka.
 */
export type MemberState = "STABLE" | "UNREVOKED_PARTITIONS" | "UNRELEASED_PARTITIONS" | "UNKNOWN";

/** What a member said of itself. */
export interface MemberMetadata {
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** In order, without repeats. */
  readonly topicNames: readonly string[];
  /** "" or null: none. */
  readonly topicRegex: string | null;
  readonly rebalanceTimeoutMs: number;
  readonly serverAssignor: string | null;
  /** Of a member that spoke the classic protocol to a Kafka that let it. */
  readonly classic: ClassicMetadata | null;
}

export interface ClassicMetadata {
  readonly sessionTimeoutMs: number;
  readonly supportedProtocols: readonly { readonly name: string; readonly metadata: Uint8Array }[];
}

/** Where a member stands on its way to the target assignment. */
export interface CurrentAssignment {
  readonly memberEpoch: number;
  readonly previousMemberEpoch: number;
  readonly state: MemberState;
  readonly assigned: OwnedPartitions;
  readonly pendingRevocation: OwnedPartitions;
}

/** The topics that a pattern stands for. */
export interface ResolvedRegex {
  /** In order. */
  readonly topics: readonly string[];
  /** Of the metadata in which they were looked for. */
  readonly version: number;
  /** Wall clock. */
  readonly resolvedMs: number;
}

/** One record; a null value removes what the key names. */
export type ConsumerRecord =
  | {
      readonly kind: "consumer-group";
      readonly groupId: string;
      readonly value: { readonly epoch: number; readonly metadataHash: bigint } | null;
    }
  /** Kafka 4.0 wrote these; since then they are only removed. */
  | { readonly kind: "consumer-partition-metadata"; readonly groupId: string; readonly value: "some" | null }
  | {
      readonly kind: "consumer-member";
      readonly groupId: string;
      readonly memberId: string;
      readonly value: MemberMetadata | null;
    }
  | {
      readonly kind: "consumer-target";
      readonly groupId: string;
      /** When it was computed, by the wall clock; 0: it need not be waited for. */
      readonly value: { readonly assignmentEpoch: number; readonly assignedMs: number } | null;
    }
  | {
      readonly kind: "consumer-target-member";
      readonly groupId: string;
      readonly memberId: string;
      readonly value: Assignment | null;
    }
  | {
      readonly kind: "consumer-current";
      readonly groupId: string;
      readonly memberId: string;
      readonly value: CurrentAssignment | null;
    }
  | { readonly kind: "consumer-regex"; readonly groupId: string; readonly regex: string; readonly value: ResolvedRegex | null };
