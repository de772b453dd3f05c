/** One member of a group: what it offered when it joined, what it was given, and its calls that wait. Source: ClassicGroupMember. */
import type { Alarm } from "./alarms.ts";
import type { Protocol, Ticket } from "./commands.ts";
import type { ConsumerDue } from "./consumer/soft-state.ts";
import type { MemberSnapshot } from "./durable.ts";
import type { Group } from "./group.ts";
import { textBytes } from "./memory.ts";

/** What an alarm of a shard is about. A pending member has an id but has not joined with it yet. */
export type Due =
  | { readonly kind: "session"; readonly group: Group; readonly member: Member }
  | { readonly kind: "pending"; readonly group: Group; readonly memberId: string }
  | { readonly kind: "join"; readonly group: Group }
  | { readonly kind: "sync"; readonly group: Group }
  /** Of all groups of the shard. */
  | { readonly kind: "expiry" }
  | ConsumerDue;

export const NO_ASSIGNMENT = new Uint8Array(0);

export interface MemberFacts {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly protocolType: string;
  /** The member's own from now on: see `ownProtocols`. */
  readonly protocols: readonly Protocol[];
}

export class Member {
  /** Changes when a static member comes back under its name (KIP-345). */
  memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly protocolType: string;
  rebalanceTimeoutMs: number;
  sessionTimeoutMs: number;
  /** Without two of one name. Changed by `Group.offer`. */
  protocols: readonly Protocol[];
  /** Changed by `Group.assign`. */
  assignment: Uint8Array = NO_ASSIGNMENT;
  /** The JoinGroup that waits for the others. Changed by `Group.parkJoin`. */
  parkedJoin: Ticket | null = null;
  /** The SyncGroup that waits for the leader's. */
  parkedSync: Ticket | null = null;
  /** True until its first join is answered: it cannot send heartbeats yet, so even its waiting is bounded. */
  isNew = false;
  /** When its session ends. */
  readonly session: Alarm<Due>;

  constructor(facts: MemberFacts, session: (member: Member) => Alarm<Due>) {
    this.memberId = facts.memberId;
    this.instanceId = facts.instanceId;
    this.clientId = facts.clientId;
    this.clientHost = facts.clientHost;
    this.protocolType = facts.protocolType;
    this.rebalanceTimeoutMs = facts.rebalanceTimeoutMs;
    this.sessionTimeoutMs = facts.sessionTimeoutMs;
    this.protocols = facts.protocols;
    this.session = session(this);
  }

  /** Waiting for the others keeps a session alive; a new member's waiting does not. */
  get isExcusedFromHeartbeats(): boolean {
    return !this.isNew && (this.parkedJoin !== null || this.parkedSync !== null);
  }

  /** The metadata that it offered for a protocol, null if it does not support it. */
  metadata(protocolName: string | null): Uint8Array | null {
    return this.protocols.find((protocol) => protocol.name === protocolName)?.metadata ?? null;
  }

  /** Whether it already offers exactly these, in this order. */
  offers(protocols: readonly Protocol[]): boolean {
    return (
      protocols.length === this.protocols.length &&
      protocols.every((protocol, i) => {
        const mine = this.protocols[i]!;
        return mine.name === protocol.name && sameBytes(mine.metadata, protocol.metadata);
      })
    );
  }

  /** What a record says of it. */
  snapshot(protocolName: string, assignment: Uint8Array): MemberSnapshot {
    const { memberId, instanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs } = this;
    const subscription = this.metadata(protocolName) ?? NO_ASSIGNMENT;
    return { memberId, instanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, subscription, assignment };
  }
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && Buffer.compare(a, b) === 0;

/** The protocols of a request as a member may keep them: bytes copied, so that the request's frame can go; the first of each name. */
export function ownProtocols(protocols: readonly Protocol[]): Protocol[] {
  return withoutRepeats(protocols).map(({ name, metadata }) => ({ name, metadata: new Uint8Array(metadata) })); // not slice: of a Buffer that is a view
}

/** The first of each name. */
export function withoutRepeats(protocols: readonly Protocol[]): readonly Protocol[] {
  const names = new Set(protocols.map((protocol) => protocol.name));
  if (names.size === protocols.length) return protocols;
  return protocols.filter((protocol) => names.delete(protocol.name));
}

/** Roughly what the protocols of a request would hold in memory. */
export const protocolBytes = (protocols: readonly Protocol[]): number =>
  protocols.reduce((sum, { name, metadata }) => sum + textBytes(name) + metadata.length, 0);
