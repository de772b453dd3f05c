/**
 * What of groups of the consumer protocol is not in the log: the sessions of their members, the time that a rebalance may take, how
 * new the topics are that a group has looked at. A restart begins it anew. Kept by names, as Kafka keeps its timers, so that it can be set
 * for what a step is only about to write.
 */
import { Alarm, type Alarms } from "../alarms.ts";
import type { Due } from "../member.ts";
import type { PatternSearch } from "./patterns.ts";

/** What an alarm of a consumer group is about. Names: who is meant may be gone by then. */
export type ConsumerDue =
  | { readonly kind: "consumer-session"; readonly groupId: string; readonly memberId: string }
  /** The member was to let go of partitions. */
  | { readonly kind: "consumer-rebalance"; readonly groupId: string; readonly memberId: string }
  | { readonly kind: "consumer-patterns"; readonly groupId: string };

class SoftMember {
  readonly session: Alarm<Due>;
  readonly rebalance: Alarm<Due>;
  /** The epoch that it was to leave before `rebalance` goes off. */
  rebalanceEpoch = 0;

  constructor(groupId: string, memberId: string) {
    this.session = new Alarm<Due>({ kind: "consumer-session", groupId, memberId });
    this.rebalance = new Alarm<Due>({ kind: "consumer-rebalance", groupId, memberId });
  }
}

export class SoftGroup {
  /** The topics that the group's metadata hash was compared with last, and the group epoch that came of it. */
  refreshed: { readonly version: number; readonly epoch: number } | null = null;
  /** A search for the topics of its patterns that is under way. */
  search: PatternSearch | null = null;
  readonly patterns: Alarm<Due>;
  private readonly id: string;
  private readonly members = new Map<string, SoftMember>();

  constructor(id: string) {
    this.id = id;
    this.patterns = new Alarm<Due>({ kind: "consumer-patterns", groupId: id });
  }

  member(memberId: string): SoftMember {
    const member = this.members.get(memberId) ?? new SoftMember(this.id, memberId);
    this.members.set(memberId, member);
    return member;
  }

  /** Nobody waits for the member any more. */
  forget(memberId: string, alarms: Alarms<Due>): void {
    const member = this.members.get(memberId);
    if (member === undefined) return;
    alarms.clear(member.session);
    alarms.clear(member.rebalance);
    this.members.delete(memberId);
  }

  forgetAll(alarms: Alarms<Due>): void {
    for (const memberId of [...this.members.keys()]) this.forget(memberId, alarms);
    alarms.clear(this.patterns);
  }

  /** Nobody is waited for, nothing is under way. */
  get isIdle(): boolean {
    return this.members.size === 0 && this.search === null;
  }
}
