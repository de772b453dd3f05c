/**
 * The groups of one partition of __consumer_offsets as a pure machine: requests and the passing of time in, records and replies
 * out. What is in the log survives; who waits, who is alive and half-done rebalances do not, and clients build them anew.
 * The host (broker/coordinator-host.ts) owns the log, the clocks and the callers. Source: GroupCoordinatorShard.
 */

import { assert } from "../base/assert.ts";
import type { Logger } from "../base/logger.ts";
import type { Effects, Machine } from "../base/machine.ts";
import type { MemoryBound } from "../base/memory-bound.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { Alarms } from "./alarms.ts";
import type { AnyGroup } from "./any-group.ts";
import type { AllGroupsCommand, GroupCommand, GroupReply, JoinCommand, OneGroupCommand } from "./commands.ts";
import { describeConsumerGroup } from "./consumer/consumer-describe.ts";
import type { ConsumerGroup } from "./consumer/consumer-group.ts";
import { ConsumerGroups } from "./consumer/consumer-groups.ts";
import { leaveGroup } from "./consumer/fence.ts";
import { consumerHeartbeat } from "./consumer/heartbeat.ts";
import { consumerAlarm, consumersLoaded } from "./consumer/timers.ts";
import type { TopicsView } from "./consumer/topics-view.ts";
import { joinConsumerGroup } from "./convert.ts";
import { deleteGroup, deleteOffsets, topicsDeleted } from "./delete.ts";
import { describeGroup, listGroups } from "./describe.ts";
import type { GroupRecord } from "./durable.ts";
import { Group } from "./group.ts";
import { join, refuseInvalidJoin } from "./join.ts";
import { heartbeat, leave } from "./leave.ts";
import type { Due } from "./member.ts";
import { GROUP_BYTES } from "./memory.ts";
import { commit, fetchOffsets, Offsets } from "./offsets.ts";
import { OffsetExpiry } from "./offsets-expiry.ts";
import { joinTimeIsUp, pendingTimeIsUp, prepareRebalance, sessionIsOver, startSession, syncTimeIsUp } from "./rebalance.ts";
import { sync } from "./sync.ts";
import { commitInTransaction } from "./transactional-offsets.ts";
import { type GroupConfig, type Shop, Turn } from "./turn.ts";

export class GroupShard implements Machine<GroupCommand, GroupRecord, GroupReply> {
  /** What to add to nowMs to get the wall clock; an input, set by the host before a call when the clocks drift apart. */
  wallOffsetMs = 0;
  /** Those of the classic protocol. */
  readonly groups = new Map<string, Group>();
  /** Those of the consumer protocol (KIP-848). A name is in one of the two. */
  readonly consumers: ConsumerGroups;
  readonly offsets: Offsets;
  private readonly shop: Shop;
  private readonly expiry = new OffsetExpiry();

  constructor(config: GroupConfig, memory: MemoryBound, logger: Logger, topics: TopicsView) {
    this.shop = { config, memory, logger, alarms: new Alarms<Due>() };
    this.consumers = new ConsumerGroups(topics, memory, this.shop.alarms);
    this.offsets = new Offsets(memory);
  }

  /** It is not used any more: gives its memory back. */
  unload(): void {
    for (const group of this.groups.values()) group.release();
    this.groups.clear();
    this.consumers.unload();
    this.offsets.release();
  }

  get wakeAtMs(): number {
    return this.shop.alarms.nextMs;
  }

  step(command: GroupCommand, nowMs: number): Effects<GroupRecord, GroupReply> {
    const turn = this.turn(nowMs);
    if (command.kind === "list" || command.kind === "topics-deleted") this.stepAll(turn, command);
    else this.stepOne(turn, command);
    this.expiry.arm(turn, this.groupCount);
    return turn;
  }

  private get groupCount(): number {
    return this.groups.size + this.consumers.size;
  }

  private *allGroups(): Generator<AnyGroup, undefined> {
    yield* this.groups.values();
    yield* this.consumers.all();
  }

  private stepAll(turn: Turn, command: AllGroupsCommand): void {
    if (command.kind === "list") listGroups(turn, this.allGroups(), command);
    else topicsDeleted(turn, this.offsets, command);
  }

  private stepOne(turn: Turn, command: OneGroupCommand): void {
    const group = this.groups.get(command.groupId);
    const consumer = this.consumers.get(command.groupId);
    switch (command.kind) {
      case "join":
        this.join(turn, group, consumer, command);
        break;
      case "sync":
        sync(turn, group, command);
        break;
      case "heartbeat":
        heartbeat(turn, group, command);
        break;
      case "leave":
        if (consumer !== undefined) leaveGroup(turn, this.consumers, consumer, command);
        else leave(turn, group, command);
        break;
      case "commit":
        commit(turn, group ?? consumer, this.offsets, command);
        break;
      case "transactional-commit":
        commitInTransaction(turn, group ?? consumer, command);
        break;
      case "fetch":
        fetchOffsets(turn, group ?? consumer, this.offsets, command);
        break;
      case "describe":
        describeGroup(turn, group ?? consumer, command);
        break;
      case "delete":
        deleteGroup(turn, group ?? consumer, this.offsets, command);
        break;
      case "delete-offsets":
        deleteOffsets(turn, group ?? consumer, this.offsets, command);
        break;
      case "consumer-heartbeat":
        consumerHeartbeat(turn, this.consumers, group, command);
        break;
      case "consumer-describe":
        describeConsumerGroup(turn, consumer, group !== undefined, command);
        break;
    }
    this.end(turn, command.groupId);
  }

  /** Handles one alarm that is due, if there is one: call it again while wakeAtMs has come. */
  tick(nowMs: number): Effects<GroupRecord, GroupReply> {
    const turn = this.turn(nowMs);
    const due = this.shop.alarms.takeDue(nowMs)?.subject;
    if (due === undefined) return turn;
    if (due.kind === "expiry") {
      this.expiry.sweep(turn, () => this.allGroups(), this.groupCount, this.offsets);
      return turn;
    }
    if ("groupId" in due) {
      consumerAlarm(turn, this.consumers, due);
      return turn;
    }
    const { group } = due;
    if (due.kind === "session") sessionIsOver(turn, group, due.member);
    else if (due.kind === "pending") pendingTimeIsUp(turn, group, due.memberId);
    else if (due.kind === "join") joinTimeIsUp(turn, group);
    else syncTimeIsUp(turn, group);
    this.end(turn, group.id);
    this.expiry.arm(turn, this.groupCount);
    return turn;
  }

  apply(record: GroupRecord): void {
    if (record.kind === "transaction-end") return this.offsets.endTransaction(record.producerId, record.result);
    const { groupId } = record;
    if (record.kind === "offset") {
      const { topic, partition, value, producer } = record;
      if (value === null) this.offsets.delete(groupId, topic, partition);
      else {
        this.keepGroupOfOffsets(groupId);
        if (producer === undefined) this.offsets.set(groupId, topic, partition, value);
        else this.offsets.pending.add(producer.producerId, groupId, topic, partition, value);
      }
    } else if (record.kind !== "group") {
      const before = this.consumers.get(groupId);
      this.consumers.apply(record);
      const after = this.consumers.get(groupId);
      // A group that was only there because of its offsets is replaced.
      if (before === undefined && after !== undefined) this.forget(groupId);
      if (before !== undefined && after === undefined && this.offsets.has(groupId)) this.keepGroupOfOffsets(groupId);
    } else if (record.value === null) {
      this.forget(groupId);
    } else {
      this.groupFor(groupId).install(record.value);
    }
  }

  /** Offsets belong to a group of either kind. */
  private keepGroupOfOffsets(groupId: string): void {
    if (this.consumers.get(groupId) === undefined) this.groupFor(groupId);
  }

  /** All records have been applied: the members that they speak of are given a session's time to show that they live. */
  loaded(nowMs: number): Effects<GroupRecord, GroupReply> {
    const turn = this.turn(nowMs);
    for (const group of this.groups.values()) {
      for (const member of group.members.values()) startSession(turn, member);
      if (group.members.size > turn.config.groupMaxSize) prepareRebalance(turn, group, "over group.max.size after loading");
    }
    consumersLoaded(turn, this.consumers);
    this.expiry.arm(turn, this.groupCount);
    return turn;
  }

  /**
   * The records of a step or tick could not be appended: nothing of them was applied, and its replies were errors. Returns what
   * follows from that; it has no records.
   */
  rejected(effects: Effects<GroupRecord, GroupReply>, nowMs: number): Effects<GroupRecord, GroupReply> {
    assert(effects instanceof Turn, "effects of another machine");
    const turn = this.turn(nowMs);
    effects.undo?.(turn);
    for (const record of effects.records) if (record.kind !== "transaction-end") this.forgetIfVoid(record.groupId);
    assert(turn.records.length === 0, "the answer to a failed append is another append");
    return turn;
  }

  private join(turn: Turn, group: Group | undefined, consumer: ConsumerGroup | undefined, command: JoinCommand): void {
    if (refuseInvalidJoin(turn, command)) return;
    const { ticket, memberId, groupId } = command;
    const create = (): Group => this.groupFor(groupId);
    if (consumer !== undefined) joinConsumerGroup(turn, consumer, command, create, () => this.forget(groupId));
    else if (group !== undefined) join(turn, group, command);
    else if (memberId !== "") turn.refuseJoin(ticket, ErrorCode.UNKNOWN_MEMBER_ID, memberId);
    else if (!turn.memory.hasRoomFor(GROUP_BYTES)) turn.refuseJoin(ticket, ErrorCode.GROUP_MAX_SIZE_REACHED, "");
    else join(turn, create(), command);
  }

  private groupFor(groupId: string): Group {
    const group = this.groups.get(groupId) ?? new Group(groupId, this.shop.memory);
    this.groups.set(groupId, group);
    return group;
  }

  private turn(nowMs: number): Turn {
    return new Turn(this.shop, nowMs, Math.round(nowMs + this.wallOffsetMs));
  }

  private end(turn: Turn, groupId: string): void {
    if (turn.records.length === 0) this.forgetIfVoid(groupId);
  }

  /** A group that nobody is in and that the log does not know need not be remembered. */
  private forgetIfVoid(groupId: string): void {
    const group = this.groups.get(groupId);
    if (group === undefined || group.state !== "Empty" || group.isPersisted) return;
    if (group.members.size === 0 && group.pending.size === 0 && !this.offsets.has(groupId)) this.forget(groupId);
  }

  private forget(groupId: string): void {
    const group = this.groups.get(groupId);
    if (group === undefined) return;
    // A deleted group may have given out member ids: nobody waits for them any more.
    for (const memberId of [...group.pending.keys()]) this.shop.alarms.clear(group.stopExpecting(memberId)!);
    group.release();
    this.groups.delete(groupId);
  }
}
