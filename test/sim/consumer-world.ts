/**
 * A small world for groups of the consumer protocol: a shard over a log that loses its unsynced tail when the coordinator crashes, a
 * network that delays and breaks but keeps the order of each client's requests, topics that grow, come and go. All from one seed.
 */

import { silentLogger } from "../../src/base/logger.ts";
import type { Effects } from "../../src/base/machine.ts";
import { MemoryBound } from "../../src/base/memory-bound.ts";
import type { GroupCommand, GroupReply } from "../../src/group/commands.ts";
import type { ConsumerGroup } from "../../src/group/consumer/consumer-group.ts";
import { rangeAssignor } from "../../src/group/consumer/range-assignor.ts";
import { TopicsRig } from "../../src/group/consumer/topics-rig.ts";
import { uniformAssignor } from "../../src/group/consumer/uniform-assignor.ts";
import type { GroupRecord } from "../../src/group/durable.ts";
import { TEST_CONFIG } from "../../src/group/scenario.ts";
import { GroupShard } from "../../src/group/shard.ts";
import type { GroupConfig } from "../../src/group/turn.ts";
import type { Heard, Unaddressed } from "./group-world.ts";
import { SeededRandom } from "./seeded-random.ts";

const CONFIG: GroupConfig = {
  ...TEST_CONFIG,
  consumer: {
    timesOf: () => ({ sessionTimeoutMs: 5000, heartbeatIntervalMs: 1000, assignmentIntervalMs: 500 }),
    maxSize: 6,
    assignors: [uniformAssignor, rangeAssignor],
    regexRefreshIntervalMs: 60_000,
  },
};

interface Caller {
  readonly heard: Heard;
  readonly incarnation: number;
}

export class ConsumerWorld {
  readonly random: (below: number) => number;
  readonly topics = new TopicsRig();
  nowMs = 0;
  /** False while nothing is to go wrong any more. */
  isRough = true;
  shard!: GroupShard;
  memory!: MemoryBound;
  log: GroupRecord[] = [];
  durable = 0;
  /** Where the record of each acknowledged commit stands, by "group/topic/partition". */
  readonly acknowledged = new Map<string, number>();
  readonly counts = {
    steps: 0,
    crashes: 0,
    failedAppends: 0,
    epochs: 0,
    commits: 0,
    refusedCommits: 0,
    brokenConnections: 0,
    fenced: 0,
  };
  readonly transcript: string[] = [];

  private events: { atMs: number; turn: number; run: () => void }[] = [];
  private turns = 0;
  private tickets = 0;
  private incarnation = 0;
  private callers = new Map<number, Caller>();
  private held: { end: number; replies: readonly GroupReply[] }[] = [];
  /** When the last request of a client arrives. */
  private readonly arrivals = new Map<string, number>();
  /** Epochs by group, and by group and member, as the log has said them last. */
  private readonly epochs = new Map<string, number>();

  constructor(seed: number) {
    const source = new SeededRandom(seed);
    this.random = (below) => source.int(below);
    this.topics.set({ "a-1": 3, "a-2": 1, b: 4 });
    this.start();
  }

  later(ms: number, run: () => void): void {
    const event = { atMs: this.nowMs + ms, turn: this.turns++, run };
    let at = this.events.length;
    while (at > 0 && this.events[at - 1]!.atMs > event.atMs) at--;
    this.events.splice(at, 0, event);
  }

  run(ms: number): void {
    const until = this.nowMs + ms;
    for (;;) {
      const event = this.events[0];
      const wakeMs = this.shard.wakeAtMs;
      const nextMs = Math.min(event?.atMs ?? Number.POSITIVE_INFINITY, wakeMs);
      if (nextMs > until) break;
      this.nowMs = Math.max(this.nowMs, nextMs);
      if (wakeMs <= this.nowMs) this.take(this.shard.tick(this.nowMs));
      else this.events.shift()!.run();
    }
    this.nowMs = until;
  }

  /** Sends what a client has to say; the answer comes once, unless the connection breaks first. */
  send(client: string, command: Unaddressed, heard: Heard): void {
    let isOver = false;
    const once: Heard = (reply) => {
      if (isOver) return;
      isOver = true;
      heard(reply);
    };
    const { incarnation } = this;
    const atMs = Math.max(this.nowMs + this.delay(), this.arrivals.get(client) ?? 0);
    this.arrivals.set(client, atMs);
    this.later(atMs - this.nowMs, () => {
      if (incarnation !== this.incarnation) return once(null);
      const ticket = ++this.tickets;
      this.callers.set(ticket, { heard: once, incarnation });
      this.step({ ...command, ticket } as GroupCommand);
    });
    if (this.isRough && this.random(60) === 0) {
      this.counts.brokenConnections++;
      this.later(this.random(3000), () => once(null));
    }
  }

  crash(): void {
    this.counts.crashes++;
    this.log = this.log.slice(0, this.durable);
    const callers = [...this.callers.values()];
    this.held = [];
    this.start();
    for (const { heard } of callers) this.later(this.delay(), () => heard(null));
  }

  get waiting(): number {
    return this.callers.size;
  }

  group(groupId: string): ConsumerGroup | undefined {
    return this.shard.consumers.get(groupId);
  }

  /** What a machine is that has only seen the log, or what the cleaner leaves of it: the newest record of each key, without removals. */
  replayed(isCompacted = false): GroupShard {
    return this.load(new MemoryBound(10_000_000), isCompacted ? compacted(this.log) : this.log);
  }

  private load(memory: MemoryBound, log: readonly GroupRecord[]): GroupShard {
    const shard = new GroupShard(CONFIG, memory, silentLogger, this.topics);
    for (const record of log) shard.apply(record);
    return shard;
  }

  private start(): void {
    this.incarnation++;
    this.callers = new Map();
    this.memory = new MemoryBound(10_000_000);
    this.shard = this.load(this.memory, this.log);
    this.epochs.clear();
    for (const record of this.log) this.checkEpoch(record);
    this.take(this.shard.loaded(this.nowMs));
  }

  private delay(): number {
    const roll = this.isRough ? this.random(100) : 0;
    return roll > 97 ? 500 + this.random(4000) : 1 + this.random(20);
  }

  private step(command: GroupCommand): void {
    this.counts.steps++;
    const before = this.log.length;
    const member = command.kind === "commit" ? this.group(command.groupId)?.members.get(command.memberId) : undefined;
    this.take(this.shard.step(command, this.nowMs));
    if (command.kind !== "commit" || this.log.length === before) return;
    this.counts.commits++;
    if (member === undefined || member.memberEpoch < command.generationId)
      throw new Error(`${command.memberId} at ${command.generationId} committed and is ${member?.memberEpoch}`);
  }

  private take(effects: Effects<GroupRecord, GroupReply>): void {
    if (effects.records.length > 0) {
      if (this.isRough && this.random(50) === 0) {
        this.counts.failedAppends++;
        for (const { ticket } of effects.replies) this.deliver(ticket, null);
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
      this.checkEpoch(record);
      this.log.push(record);
      this.shard.apply(record);
    }
    for (const groupId of new Set(records.flatMap((record) => ("groupId" in record ? record.groupId : []))))
      this.checkOwners(groupId);
    const { incarnation } = this;
    const end = this.log.length;
    this.later(this.isRough ? this.random(15) : 1, () => {
      if (incarnation !== this.incarnation) return;
      this.durable = Math.max(this.durable, end);
      this.release();
    });
  }

  /** Epochs never go back, but for members that leave, and for a new one in the place of another. */
  private checkEpoch(record: GroupRecord): void {
    if (record.kind === "consumer-group" && record.value !== null) {
      this.advance(record.groupId, record.value.epoch);
      this.counts.epochs++;
    }
    if (record.kind === "consumer-target" && record.value !== null)
      this.advance(`${record.groupId} target`, record.value.assignmentEpoch);
    if (record.kind !== "consumer-current") return;
    const key = `${record.groupId}/${record.memberId}`;
    if (record.value === null || record.value.memberEpoch < 0) this.epochs.delete(key);
    else this.advance(key, record.value.memberEpoch);
  }

  private advance(what: string, epoch: number): void {
    const before = this.epochs.get(what) ?? 0;
    if (epoch < before) throw new Error(`the epoch of ${what} goes back from ${before} to ${epoch}`);
    this.epochs.set(what, epoch);
  }

  /** No partition has two owners, whoever has it, or has not let go of it. */
  private checkOwners(groupId: string): void {
    const owners = new Map<string, string>();
    for (const { memberId, assigned, pendingRevocation } of this.group(groupId)?.members.values() ?? []) {
      for (const [topicId, epochs] of [...assigned, ...pendingRevocation]) {
        for (const partition of epochs.keys()) {
          const key = `${this.topics.nameOf(topicId)}-${partition}`;
          if (owners.has(key)) throw new Error(`${groupId}: ${key} has two owners, ${owners.get(key)} and ${memberId}`);
          owners.set(key, memberId);
        }
      }
    }
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

function compacted(log: readonly GroupRecord[]): GroupRecord[] {
  const newest = new Map<string, GroupRecord>();
  for (const record of log) {
    const key = keyOf(record);
    newest.delete(key); // it moves to the end
    newest.set(key, record);
  }
  return [...newest.values()].filter((record) => "value" in record && record.value !== null);
}

function keyOf(record: GroupRecord): string {
  if (!("groupId" in record)) return record.kind;
  const { kind, groupId } = record;
  const name = "memberId" in record ? record.memberId : "regex" in record ? record.regex : "topic" in record ? record.topic : "";
  return `${kind}/${groupId}/${name}/${"partition" in record ? record.partition : ""}`;
}
