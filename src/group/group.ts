/**
 * One classic group: its members, what they all support, and where its rebalance stands. It keeps its own counts true and decides
 * nothing; rebalance.ts and the files of the requests do. Source: ClassicGroup.
 */

import { assert } from "../base/assert.ts";
import type { MemoryBound } from "../base/memory-bound.ts";
import { Alarm } from "./alarms.ts";
import type { Protocol, Ticket } from "./commands.ts";
import type { GroupSnapshot, MemberSnapshot } from "./durable.ts";
import { type Due, Member, type MemberFacts, protocolBytes, sameBytes } from "./member.ts";
import { GROUP_BYTES, MEMBER_BYTES, PENDING_BYTES, textBytes } from "./memory.ts";

/**
 * Kafka's names. Empty: no members. PreparingRebalance: joins are collected and parked. CompletingRebalance: all know the
 * generation and wait for the leader's assignment. Stable: all have it. ("Dead" is a group that is not there.)
 */
export type GroupState = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable";

const MAY_FOLLOW: Readonly<Record<GroupState, readonly GroupState[]>> = {
  Empty: ["PreparingRebalance"],
  PreparingRebalance: ["Empty", "CompletingRebalance", "Stable"],
  CompletingRebalance: ["PreparingRebalance"],
  Stable: ["CompletingRebalance"],
};

export class Group {
  readonly type = "classic";
  readonly id: string;
  state: GroupState = "Empty";
  /** Wall clock of the last change of state; -1 unknown. */
  stateSinceMs = -1;
  generationId = 0;
  protocolType: string | null = null;
  protocolName: string | null = null;
  leaderId: string | null = null;
  /** In the order they came, by member id. */
  readonly members = new Map<string, Member>();
  /** Member ids that were given out and have not joined yet (KIP-394). Changed by `expect` and `stopExpecting`. */
  readonly pending = new Map<string, Alarm<Due>>();
  /** Member ids of this generation that have not asked for their assignment yet. */
  readonly unsynced = new Set<string>();
  /** Whether the log holds a record of it. */
  isPersisted = false;

  /** Ends the collecting of joins. */
  readonly joinAlarm: Alarm<Due> = new Alarm<Due>({ kind: "join", group: this });
  /** Ends the waiting for all to sync. */
  readonly syncAlarm: Alarm<Due> = new Alarm<Due>({ kind: "sync", group: this });
  /** Set while the joins of a group that was Empty are collected: the delay that runs, what may follow it, and whether it should. */
  initialDelay: { delayMs: number; remainingMs: number; extend: boolean } | null = null;
  /** What the protocols of all members hold; the chosen ones go to the leader, and into one record. */
  offeredBytes = 0;

  private readonly memberIdByInstance = new Map<string, string>();
  private readonly supporters = new Map<string, number>();
  private parkedJoins = 0;
  private readonly memory: MemoryBound;
  private heldBytes = 0;

  constructor(id: string, memory: MemoryBound) {
    this.id = id;
    this.memory = memory;
    this.hold(GROUP_BYTES + textBytes(id));
  }

  /** It is not used any more: its memory is others'. */
  release(): void {
    this.hold(-this.heldBytes);
  }

  become(state: GroupState, wallMs: number): void {
    assert(MAY_FOLLOW[state].includes(this.state), `group ${this.id}: ${state} cannot follow ${this.state}`);
    this.state = state;
    this.stateSinceMs = wallMs;
  }

  member(memberId: string): Member | undefined {
    return this.members.get(memberId);
  }

  /** The member that goes by this instance id now. */
  staticMember(instanceId: string): Member | undefined {
    const memberId = this.memberIdByInstance.get(instanceId);
    return memberId === undefined ? undefined : this.members.get(memberId);
  }

  get waitingJoins(): number {
    return this.parkedJoins;
  }

  get hasAllJoined(): boolean {
    return this.members.size === this.parkedJoins && this.pending.size === 0;
  }

  /** The longest that any member allows. */
  get rebalanceTimeoutMs(): number {
    let longest = 0;
    for (const member of this.members.values()) longest = Math.max(longest, member.rebalanceTimeoutMs);
    return longest;
  }

  add(facts: MemberFacts): Member {
    if (this.members.size === 0) this.protocolType = facts.protocolType;
    assert(this.protocolType === facts.protocolType, `group ${this.id}: members of two protocol types`);
    assert(!this.members.has(facts.memberId), `group ${this.id}: ${facts.memberId} joined twice`);
    const member = new Member(facts, (self) => new Alarm<Due>({ kind: "session", group: this, member: self }));
    this.members.set(member.memberId, member);
    if (member.instanceId !== null) this.memberIdByInstance.set(member.instanceId, member.memberId);
    this.count(member.protocols, 1);
    this.hold(fixedBytes(member));
    this.leaderId ??= member.memberId;
    return member;
  }

  /** The caller has answered its parked calls and cleared its alarm. */
  remove(member: Member): void {
    assert(member.parkedJoin === null && member.parkedSync === null, `group ${this.id}: ${member.memberId} still waits`);
    assert(this.members.delete(member.memberId), `group ${this.id}: ${member.memberId} is no member`);
    if (member.instanceId !== null) this.memberIdByInstance.delete(member.instanceId);
    this.count(member.protocols, -1);
    this.hold(-fixedBytes(member) - member.assignment.length);
    this.unsynced.delete(member.memberId);
    if (this.leaderId === member.memberId) this.leaderId = this.members.keys().next().value ?? null;
  }

  /** Parks the member's join, or takes it out (null). Returns the ticket that waited until now. */
  parkJoin(member: Member, ticket: Ticket | null): Ticket | null {
    const before = member.parkedJoin;
    this.parkedJoins += Number(ticket !== null) - Number(before !== null);
    member.parkedJoin = ticket;
    return before;
  }

  offer(member: Member, protocols: readonly Protocol[]): void {
    this.count(member.protocols, -1);
    member.protocols = protocols;
    this.count(protocols, 1);
  }

  /** The assignment is the group's from now on. */
  assign(member: Member, assignment: Uint8Array): void {
    this.hold(assignment.length - member.assignment.length);
    member.assignment = assignment;
  }

  /** Keeps a member id that was given out. */
  expect(memberId: string): Alarm<Due> {
    const alarm = new Alarm<Due>({ kind: "pending", group: this, memberId });
    this.pending.set(memberId, alarm);
    this.hold(PENDING_BYTES + textBytes(memberId));
    return alarm;
  }

  /** Its alarm, for the caller to clear; undefined if the id is not a pending one. */
  stopExpecting(memberId: string): Alarm<Due> | undefined {
    const alarm = this.pending.get(memberId);
    if (alarm !== undefined) this.hold(-PENDING_BYTES - textBytes(memberId));
    this.pending.delete(memberId);
    return alarm;
  }

  /** Gives a static member a new id; everything else stays. The caller has answered its parked calls. */
  rename(member: Member, memberId: string): void {
    assert(member.instanceId !== null, `group ${this.id}: only static members are renamed`);
    const wasLeader = this.leaderId === member.memberId;
    this.members.delete(member.memberId);
    this.unsynced.delete(member.memberId);
    this.hold(textBytes(memberId) - textBytes(member.memberId));
    member.memberId = memberId;
    this.members.set(memberId, member);
    this.memberIdByInstance.set(member.instanceId, memberId);
    if (wasLeader) this.leaderId = memberId;
  }

  /** Whether a member that offers these could be in the group: at least one protocol that all members have. */
  supports(protocolType: string, protocols: readonly Protocol[]): boolean {
    if (this.state === "Empty") return protocolType !== "" && protocols.length > 0;
    return protocolType === this.protocolType && protocols.some(({ name }) => this.isSupportedByAll(name));
  }

  /** Of the protocols that all support, the one that most members put first; the first to be named wins a tie. */
  selectProtocol(): string {
    const votes = new Map<string, number>();
    for (const member of this.members.values()) {
      const vote = member.protocols.find(({ name }) => this.isSupportedByAll(name));
      assert(vote !== undefined, `group ${this.id}: ${member.memberId} supports nothing that all support`);
      votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1);
    }
    let chosen: string | null = null;
    for (const [name, count] of votes) if (chosen === null || count > votes.get(chosen)!) chosen = name;
    assert(chosen !== null, `group ${this.id}: a vote without members`);
    return chosen;
  }

  /** This generation with the assignments given, as a record holds it. */
  snapshot(assignmentOf: (member: Member) => Uint8Array): GroupSnapshot {
    const { generationId, protocolName, leaderId: leader, stateSinceMs } = this;
    assert(protocolName !== null || this.members.size === 0, `group ${this.id}: members without a protocol`);
    const members = [...this.members.values()].map((member) => member.snapshot(protocolName!, assignmentOf(member)));
    return { protocolType: this.protocolType ?? "", generationId, protocolName, leader, stateSinceMs, members };
  }

  /**
   * Becomes what a record says. Live, that is what the group was about to become; in recovery, the next generation. A member's
   * protocols beyond the chosen one are not in the log: they are kept if the chosen one is as recorded. Alarms are not touched.
   */
  install(value: GroupSnapshot): void {
    const recorded = new Set(value.members.map(({ memberId }) => memberId));
    const isSameType = value.protocolType === (this.protocolType ?? "");
    for (const member of [...this.members.values()]) if (!isSameType || !recorded.has(member.memberId)) this.remove(member);
    for (const snapshot of value.members) this.installMember(value, snapshot);
    this.generationId = value.generationId;
    this.protocolType = value.protocolType === "" ? null : value.protocolType;
    this.protocolName = value.protocolName;
    this.leaderId = value.leader;
    this.stateSinceMs = value.stateSinceMs;
    this.state = this.members.size === 0 ? "Empty" : "Stable";
    this.isPersisted = true;
  }

  private installMember(value: GroupSnapshot, snapshot: MemberSnapshot): void {
    const { memberId, subscription, assignment } = snapshot;
    const protocols = [{ name: value.protocolName ?? "", metadata: subscription }];
    const member = this.members.get(memberId) ?? this.add({ ...snapshot, protocolType: value.protocolType, protocols });
    const known = member.metadata(value.protocolName);
    if (known === null || !sameBytes(known, subscription)) this.offer(member, protocols);
    member.sessionTimeoutMs = snapshot.sessionTimeoutMs;
    member.rebalanceTimeoutMs = snapshot.rebalanceTimeoutMs;
    this.assign(member, assignment);
  }

  private isSupportedByAll(protocolName: string): boolean {
    return (this.supporters.get(protocolName) ?? 0) === this.members.size;
  }

  private hold(bytes: number): void {
    this.heldBytes += bytes;
    this.memory.heldBytes += bytes;
  }

  private count(protocols: readonly Protocol[], change: 1 | -1): void {
    const bytes = change * protocolBytes(protocols);
    this.offeredBytes += bytes;
    this.hold(bytes);
    for (const { name } of protocols) {
      const count = (this.supporters.get(name) ?? 0) + change;
      if (count === 0) this.supporters.delete(name);
      else this.supporters.set(name, count);
    }
  }
}

/** Of a member, but for its protocols and its assignment. */
const fixedBytes = ({ memberId, instanceId, clientId, clientHost }: Member): number =>
  MEMBER_BYTES + textBytes(memberId, instanceId, clientId, clientHost);
