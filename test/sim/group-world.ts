/**
 * A small world for the group coordinator: a shard over a log that loses its unsynced tail when the coordinator crashes, a network
 * that delays and breaks, and clients that behave as the Java consumer does. Everything follows from one seed.
 */

import { silentLogger } from "../../src/base/logger.ts";
import type { Effects } from "../../src/base/machine.ts";
import { MemoryBound } from "../../src/base/memory-bound.ts";
import type { GroupCommand, GroupReply } from "../../src/group/commands.ts";
import { rangeAssignor } from "../../src/group/consumer/range-assignor.ts";
import { TopicsRig } from "../../src/group/consumer/topics-rig.ts";
import { uniformAssignor } from "../../src/group/consumer/uniform-assignor.ts";
import type { GroupRecord, GroupSnapshot } from "../../src/group/durable.ts";
import { GroupShard } from "../../src/group/shard.ts";
import type { GroupConfig } from "../../src/group/turn.ts";
import { SeededRandom } from "./seeded-random.ts";

export type Unaddressed = GroupCommand extends infer C ? (C extends GroupCommand ? Omit<C, "ticket"> : never) : never;
/** The reply, or null when the connection broke or the append failed: the client cannot know more. */
export type Heard = (reply: GroupReply | null) => void;

const CONFIG: GroupConfig = {
  groupInitialRebalanceDelayMs: 500,
  groupMinSessionTimeoutMs: 1000,
  groupMaxSessionTimeoutMs: 60_000,
  groupMaxSize: 8,
  offsetMetadataMaxBytes: 100,
  groupMaxMemberBytes: 1000,
  offsetsRetentionMs: 20_000,
  offsetsRetentionCheckIntervalMs: 3000,
  consumer: {
    timesOf: () => ({ sessionTimeoutMs: 5000, heartbeatIntervalMs: 1000, assignmentIntervalMs: 500 }),
    maxSize: 8,
    assignors: [uniformAssignor, rangeAssignor],
    regexRefreshIntervalMs: 60_000,
  },
};

/** What all consumers subscribe to; offsets of other topics are committed too. */
export const READ_TOPIC = "t";

interface Caller {
  readonly heard: Heard;
  readonly incarnation: number;
}

export class GroupWorld {
  readonly random: (below: number) => number;
  nowMs = 0;
  /** False while nothing is to go wrong any more. */
  isRough = true;
  shard!: GroupShard;
  memory!: MemoryBound;
  /** Everything appended and not lost; `durable` of it is synced. */
  log: GroupRecord[] = [];
  durable = 0;
  /** Of each commit that was acknowledged: where its record stands in the log, by group and partition. */
  readonly acknowledged = new Map<string, number>();
  /** What each generation of each group was told, by "group/generation". */
  readonly told = new Map<string, string>();
  readonly counts = {
    steps: 0,
    crashes: 0,
    failedAppends: 0,
    generations: 0,
    commits: 0,
    brokenConnections: 0,
    /** By the passing of time. */
    expiredOffsets: 0,
    /** By time or by an admin. */
    removedGroups: 0,
  };
  /** A line for everything that is heard, so that two runs can be compared. */
  readonly transcript: string[] = [];

  private events: { atMs: number; turn: number; run: () => void }[] = [];
  private turns = 0;
  private tickets = 0;
  private incarnation = 0;
  private callers = new Map<number, Caller>();
  /** Replies that wait for the log to be synced up to `end`. */
  private held: { end: number; replies: readonly GroupReply[] }[] = [];

  constructor(seed: number) {
    const source = new SeededRandom(seed);
    this.random = (below) => source.int(below);
    this.start();
  }

  later(ms: number, run: () => void): void {
    const event = { atMs: this.nowMs + ms, turn: this.turns++, run };
    let at = this.events.length;
    while (at > 0 && this.events[at - 1]!.atMs > event.atMs) at--;
    this.events.splice(at, 0, event);
  }

  /** Runs for so long; the coordinator's alarms are met at their time. */
  run(ms: number): void {
    const until = this.nowMs + ms;
    for (;;) {
      const event = this.events[0];
      const wakeMs = this.shard.wakeAtMs;
      const nextMs = Math.min(event?.atMs ?? Number.POSITIVE_INFINITY, wakeMs);
      if (nextMs > until) break;
      this.nowMs = Math.max(this.nowMs, nextMs);
      if (wakeMs <= this.nowMs) this.tick();
      else this.events.shift()!.run();
    }
    this.nowMs = until;
  }

  /** Sends a command; the answer comes once, unless the connection is the client's to break first. */
  send(command: Unaddressed, heard: Heard): void {
    let isOver = false;
    const once: Heard = (reply) => {
      if (isOver) return;
      isOver = true;
      heard(reply);
    };
    const { incarnation } = this;
    this.later(this.delay(), () => {
      if (incarnation !== this.incarnation) return once(null); // the coordinator it was connected to is gone
      const ticket = ++this.tickets;
      this.callers.set(ticket, { heard: once, incarnation });
      this.step({ ...command, ticket } as GroupCommand);
    });
    if (this.isRough && this.random(100) === 0) {
      this.counts.brokenConnections++;
      this.later(this.random(3000), () => once(null));
    }
  }

  /** The machine and all connections are lost, and what is not synced with them. */
  crash(): void {
    this.counts.crashes++;
    this.log = this.log.slice(0, this.durable);
    const callers = [...this.callers.values()];
    this.held = [];
    this.start();
    for (const { heard } of callers) this.later(this.delay(), () => heard(null));
  }

  /** Who waits for an answer of this coordinator. */
  get waiting(): number {
    return this.callers.size;
  }

  /** What a machine is that has only seen the log. */
  replayed(): GroupShard {
    const shard = new GroupShard(CONFIG, new MemoryBound(10_000_000), silentLogger, new TopicsRig());
    for (const record of this.log) shard.apply(record);
    return shard;
  }

  /** The newest record of an offset, -1 if there is none. */
  positionOf(groupId: string, topic: string, partition: number): number {
    return this.log.findLastIndex(
      (record) =>
        record.kind === "offset" && record.groupId === groupId && record.topic === topic && record.partition === partition,
    );
  }

  /** How often the group was removed: its generations begin anew each time. */
  livesOf(groupId: string): number {
    return this.log.filter((record) => record.kind === "group" && record.groupId === groupId && record.value === null).length;
  }

  private load(memory: MemoryBound): GroupShard {
    const shard = new GroupShard(CONFIG, memory, silentLogger, new TopicsRig());
    for (const record of this.log) shard.apply(record);
    return shard;
  }

  private start(): void {
    this.incarnation++;
    this.callers = new Map();
    this.memory = new MemoryBound(10_000_000);
    this.shard = this.load(this.memory);
    this.take(this.shard.loaded(this.nowMs));
  }

  private delay(): number {
    const roll = this.isRough ? this.random(100) : 0;
    return roll > 97 ? 500 + this.random(4000) : 1 + this.random(20);
  }

  private step(command: GroupCommand): void {
    this.counts.steps++;
    const before = this.log.length;
    this.take(this.shard.step(command, this.nowMs));
    if (command.kind !== "commit" || this.log.length === before) return;
    this.counts.commits++;
    const group = this.shard.groups.get(command.groupId)!;
    if (group.generationId !== command.generationId || !group.members.has(command.memberId))
      throw new Error(`${command.memberId} of generation ${command.generationId} committed in ${group.generationId}`);
  }

  private tick(): void {
    const effects = this.shard.tick(this.nowMs);
    for (const record of effects.records)
      if (record.kind !== "transaction-end" && record.value === null) this.checkExpiry(record);
    this.take(effects);
  }

  /** Nothing goes by itself before its time: told from the log, but for a group whose becoming empty could not be written. */
  private checkExpiry(record: Exclude<GroupRecord, { kind: "transaction-end" }>): void {
    const { groupId } = record;
    const newest = this.log.findLast((each) => each.kind === "group" && each.groupId === groupId);
    const group = newest?.kind === "group" ? newest.value : null;
    const live = this.shard.groups.get(groupId)!;
    const isEmpty = group !== null && live.members.size === 0;
    if (record.kind === "group") {
      if (live.members.size > 0) throw new Error(`${groupId} was removed with its members`);
      return;
    }
    if (record.kind !== "offset") throw new Error(`${record.kind} expired`);
    const { topic, partition } = record;
    const commit = this.log[this.positionOf(groupId, topic, partition)];
    if (commit?.kind !== "offset" || commit.value === null) throw new Error(`${groupId} has no offset of ${topic}-${partition}`);
    if (group !== null && !isEmpty && topic === READ_TOPIC) throw new Error(`${groupId} reads ${topic} and lost its offset`);
    const hasEmptyRecord = isEmpty && group.members.length === 0;
    const sinceMs = hasEmptyRecord ? group.stateSinceMs : isEmpty ? live.stateSinceMs : commit.value.committedMs;
    if (this.nowMs - sinceMs < CONFIG.offsetsRetentionMs) throw new Error(`the offset ${topic}-${partition} went too early`);
    this.counts.expiredOffsets++;
  }

  private take(effects: Effects<GroupRecord, GroupReply>): void {
    if (effects.records.length > 0) {
      if (this.isRough && this.random(50) === 0) {
        this.counts.failedAppends++;
        for (const { ticket } of effects.replies) this.deliver(ticket, null);
        // What can be split may have been written in part.
        if (effects.canBeSplit) this.append(effects.records.slice(0, this.random(effects.records.length)));
        this.take(this.shard.rejected(effects, this.nowMs));
        return;
      }
      this.append(effects.records);
    }
    if (effects.replies.length > 0) this.held.push({ end: this.log.length, replies: effects.replies });
    this.release();
  }

  private append(records: readonly GroupRecord[]): void {
    for (const record of records) {
      if (record.kind === "group" && record.value !== null && record.value.members.length > 0) this.counts.generations++;
      if (record.kind === "group" && record.value === null) this.counts.removedGroups++;
      this.log.push(record);
      this.shard.apply(record);
    }
    const { incarnation } = this;
    const end = this.log.length;
    this.later(this.isRough ? this.random(15) : 1, () => {
      if (incarnation !== this.incarnation) return;
      this.durable = Math.max(this.durable, end);
      this.release();
    });
  }

  private release(): void {
    while (this.held.length > 0 && this.held[0]!.end <= this.durable) {
      const { replies } = this.held.shift()!;
      for (const reply of replies) this.deliver(reply.ticket, reply);
    }
  }

  private deliver(ticket: number, reply: GroupReply | null): void {
    const caller = this.callers.get(ticket);
    if (caller === undefined) throw new Error(`ticket ${ticket} is answered twice`);
    this.callers.delete(ticket);
    this.transcript.push(`${this.nowMs} ${reply?.kind} ${reply !== null && "errorCode" in reply ? reply.errorCode : ""}`);
    this.later(this.delay(), () => caller.heard(caller.incarnation === this.incarnation ? reply : null));
  }
}

/** A group as a record would hold it now, without the time. */
export function shownGroup(shard: GroupShard, groupId: string): Omit<GroupSnapshot, "stateSinceMs"> | null {
  const group = shard.groups.get(groupId);
  if (group === undefined) return null;
  const { stateSinceMs: _, ...shown } = group.snapshot((member) => member.assignment);
  return { ...shown, members: shown.members.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1)) };
}
