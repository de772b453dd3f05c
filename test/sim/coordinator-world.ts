/**
 * What the small worlds of the group coordinator have in common: a shard over a log that loses its unsynced tail when the coordinator
 * crashes, appends that fail, a network that delays and breaks. Everything follows from one seed.
 */

import { silentLogger } from "../../src/base/logger.ts";
import type { Effects } from "../../src/base/machine.ts";
import { MemoryBound } from "../../src/base/memory-bound.ts";
import type { GroupCommand, GroupReply } from "../../src/group/commands.ts";
import { TopicsRig } from "../../src/group/consumer/topics-rig.ts";
import type { GroupRecord } from "../../src/group/durable.ts";
import { GroupShard } from "../../src/group/shard.ts";
import type { GroupConfig } from "../../src/group/turn.ts";
import { SeededRandom } from "./seeded-random.ts";

export type Unaddressed = GroupCommand extends infer C ? (C extends GroupCommand ? Omit<C, "ticket"> : never) : never;
/** The reply, or null when the connection broke or the append failed: the client cannot know more. */
export type Heard = (reply: GroupReply | null) => void;

interface Caller {
  readonly heard: Heard;
  readonly incarnation: number;
}

/** Memory for groups in a shard: never reached here. */
const MEMORY_BYTES = 10_000_000;

export abstract class CoordinatorWorld {
  readonly random: (below: number) => number;
  readonly topics = new TopicsRig();
  nowMs = 0;
  /** False while nothing is to go wrong any more. */
  isRough = true;
  shard!: GroupShard;
  memory!: MemoryBound;
  /** Everything appended and not lost; `durable` of it is synced. */
  log: GroupRecord[] = [];
  durable = 0;
  /** Where the record of each acknowledged commit stands in the log, by "group/topic/partition". */
  readonly acknowledged = new Map<string, number>();
  /** A line for everything that is heard, so that two runs can be compared. */
  readonly transcript: string[] = [];
  readonly happened = { steps: 0, crashes: 0, failedAppends: 0, commits: 0, brokenConnections: 0 };

  private readonly config: GroupConfig;
  private events: { atMs: number; turn: number; run: () => void }[] = [];
  private turns = 0;
  private tickets = 0;
  private incarnation = 0;
  private callers = new Map<number, Caller>();
  /** Replies that wait for the log to be synced up to `end`. */
  private held: { end: number; replies: readonly GroupReply[] }[] = [];

  /** `start` is to be called next. */
  constructor(seed: number, config: GroupConfig) {
    const source = new SeededRandom(seed);
    this.random = (below) => source.int(below);
    this.config = config;
  }

  /** One connection in so many breaks. */
  protected abstract readonly breaksOneIn: number;

  /** Before the machine takes a command; what it returns is called when it has, if the log grew by it. */
  protected abstract watch(command: GroupCommand): () => void;

  /** Before `records` are written because time has passed. */
  protected onTick(_records: readonly GroupRecord[]): void {}

  /** A record is about to enter the log. */
  protected abstract onAppend(record: GroupRecord): void;

  /** These have entered the log, and the machine knows them. */
  protected onAppended(_records: readonly GroupRecord[]): void {}

  /** A machine has begun anew with what the log holds. */
  protected onStarted(): void {}

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

  /** The command arrives after `delayMs`; the answer comes once, unless the connection breaks first. */
  protected deliverAfter(delayMs: number, command: Unaddressed, heard: Heard): void {
    let isOver = false;
    const once: Heard = (reply) => {
      if (isOver) return;
      isOver = true;
      heard(reply);
    };
    const { incarnation } = this;
    this.later(delayMs, () => {
      if (incarnation !== this.incarnation) return once(null); // the coordinator it was connected to is gone
      const ticket = ++this.tickets;
      this.callers.set(ticket, { heard: once, incarnation });
      this.step({ ...command, ticket } as GroupCommand);
    });
    if (this.isRough && this.random(this.breaksOneIn) === 0) {
      this.happened.brokenConnections++;
      this.later(this.random(3000), () => once(null));
    }
  }

  /** The machine and all connections are lost, and what is not synced with them. */
  crash(): void {
    this.happened.crashes++;
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
  replayed(log: readonly GroupRecord[] = this.log): GroupShard {
    return this.load(new MemoryBound(MEMORY_BYTES), log);
  }

  protected start(): void {
    this.incarnation++;
    this.callers = new Map();
    this.memory = new MemoryBound(MEMORY_BYTES);
    this.shard = this.load(this.memory, this.log);
    this.onStarted();
    this.take(this.shard.loaded(this.nowMs));
  }

  protected delay(): number {
    const roll = this.isRough ? this.random(100) : 0;
    return roll > 97 ? 500 + this.random(4000) : 1 + this.random(20);
  }

  private load(memory: MemoryBound, log: readonly GroupRecord[]): GroupShard {
    const shard = new GroupShard(this.config, memory, silentLogger, this.topics);
    for (const record of log) shard.apply(record);
    return shard;
  }

  private step(command: GroupCommand): void {
    this.happened.steps++;
    const before = this.log.length;
    const look = this.watch(command);
    this.take(this.shard.step(command, this.nowMs));
    if (this.log.length === before) return;
    if (command.kind === "commit") this.happened.commits++;
    look();
  }

  private tick(): void {
    const effects = this.shard.tick(this.nowMs);
    this.onTick(effects.records);
    this.take(effects);
  }

  private take(effects: Effects<GroupRecord, GroupReply>): void {
    if (effects.records.length > 0) {
      if (this.isRough && this.random(50) === 0) {
        this.happened.failedAppends++;
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
      this.onAppend(record);
      this.log.push(record);
      this.shard.apply(record);
    }
    this.onAppended(records);
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
