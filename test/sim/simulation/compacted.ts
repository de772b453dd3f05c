/** A client that keeps a compacted topic: it sets and deletes keys, a batch at a time, and knows what must be left of them. */
import { Produce } from "../../../src/protocol/messages/00-produce.ts";
import { Fetch } from "../../../src/protocol/messages/01-fetch.ts";
import { CreateTopics } from "../../../src/protocol/messages/19-create-topics.ts";
import { ZERO_UUID } from "../../../src/protocol/schema.ts";
import { buildBatch } from "../../../src/record/records.ts";
import type { Actor, Arena } from "./arena.ts";
import { takeAll } from "./batches.ts";
import type { FetchedPartition } from "./consumers.ts";
import type { Transaction } from "./transactions-model.ts";

export const COMPACTED = "compacted";
const KEYS = 6;
/** A reader who takes longer from the start to the end may miss that a key was deleted: KafkaConfig's delete.retention.ms. */
const DELETES_STAY_MS = 30;
const CONFIGS = {
  "cleanup.policy": "compact",
  "internal.segment.bytes": "2000",
  "min.cleanable.dirty.ratio": "0.01",
  "delete.retention.ms": `${DELETES_STAY_MS}`,
  "file.delete.delay.ms": "10",
};

export interface Write {
  readonly key: string;
  /** Null: the key was deleted. */
  readonly value: string | null;
  /** -1: nobody knows whether it is there. */
  offset: number;
  /** It counts if this does. */
  readonly transaction?: Transaction;
}

interface Seen {
  readonly offset: number;
  readonly key: string;
  readonly value: string | null;
}

export class Keeper implements Actor {
  readonly name = "keeper";
  private readonly arena: Arena;
  private topicId = ZERO_UUID;
  /** In the order in which they were sent: one batch at a time. */
  private readonly writes: Write[] = [];
  private readonly valueAt = new Map<number, string>();
  private isWriting = false;

  constructor(arena: Arena) {
    this.arena = arena;
  }

  /** Makes the topic. */
  async begin(): Promise<void> {
    const configs = Object.entries(CONFIGS).map(([name, value]) => ({ name, value }));
    const topics = [{ name: COMPACTED, numPartitions: 1, replicationFactor: 1, assignments: [], configs }];
    const created = await this.arena.world.ask(CreateTopics, { topics, timeoutMs: 1000 });
    this.topicId = created.topics[0]!.topicId;
  }

  step(): void {
    if (this.arena.random.chance(0.2)) this.readSome();
    else if (!this.isWriting) this.write();
  }

  /** Somebody is about to write to the topic. */
  sends(writes: readonly Write[]): void {
    this.writes.push(...writes);
  }

  /** Up to where readers of committed data may read, and that is everything. */
  get isStable(): boolean {
    const { lastStableOffset, highWatermark } = this.arena.world.broker.partitionById(this.topicId, 0)!;
    return lastStableOffset === highWatermark;
  }

  /** All that is left and committed, from the start on; then what a reader ends with is what was last written. */
  async lookBack(): Promise<void> {
    const seen: Seen[] = [];
    const { clock } = this.arena.world;
    const beganMs = clock.monotonicMs();
    let position = 0;
    for (;;) {
      const { responses } = await this.arena.world.ask(Fetch, this.fetchFrom(position, true), 16);
      const answer = responses[0]!.partitions[0]!;
      this.arena.checkCode("look back at compacted", answer.errorCode, []);
      if (answer.errorCode !== 0) return;
      const next = this.take(answer, position, true, seen);
      if (next === position) break;
      position = next;
    }
    this.checkEnd(seen, position, clock.monotonicMs() - beganMs >= DELETES_STAY_MS);
  }

  private write(): void {
    const { arena, name } = this;
    const { random, world } = arena;
    const writes = Array.from({ length: 2 + random.int(7) }, (_, i) => ({
      key: `k${random.int(KEYS)}`,
      value: random.chance(0.25) ? null : `${this.writes.length + i} ${"x".repeat(random.int(200))}`,
      offset: -1,
    }));
    this.writes.push(...writes);
    const timestampMs = world.clock.nowMs();
    const batch = buildBatch({
      records: writes.map(({ key, value }) => ({
        key: Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
        timestampMs,
      })),
      compression: random.pick(["none", "none", "gzip", "zstd"] as const),
    });
    const topicData = [{ name: COMPACTED, topicId: ZERO_UUID, partitionData: [{ index: 0, records: batch }] }];
    this.isWriting = true;
    arena.send(name, Produce, 12, { acks: -1, timeoutMs: 1000, topicData }, (response) => {
      this.isWriting = false;
      const result = response?.responses[0]?.partitionResponses[0];
      if (result === undefined) return;
      arena.checkCode(name, result.errorCode, []);
      if (result.errorCode !== 0) return;
      for (const [i, write] of writes.entries()) write.offset = result.baseOffset + i;
    });
  }

  private readSome(): void {
    const { arena, name } = this;
    const from = arena.random.int(this.writes.length + 1);
    const isCommitted = arena.random.chance(0.5);
    arena.send(name, Fetch, 16, this.fetchFrom(from, isCommitted), (response) => {
      const answer = response?.responses[0]?.partitions[0];
      if (answer?.errorCode === 0) this.take(answer, from, isCommitted, []);
    });
  }

  private fetchFrom(fetchOffset: number, isCommitted: boolean) {
    const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: this.arena.random.pick([1, 2000, 100_000]) }];
    const topics = [{ topic: "", topicId: this.topicId, partitions }];
    return { maxWaitMs: 0, minBytes: 0, isolationLevel: isCommitted ? 1 : 0, topics, forgottenTopicsData: [] };
  }

  /** Each record is one that was written, where it was written; those that count are added to `seen`. Returns the offset behind the last batch. */
  private take(answer: FetchedPartition, from: number, isCommitted: boolean, seen: Seen[]): number {
    const { history, transactions } = this.arena;
    let next = from;
    return takeAll(answer, from, isCommitted, ({ offset, key, value, isMarker, outcome }) => {
      if (isMarker) return;
      const record = { offset, key: key!, value };
      const text = `${record.key}=${record.value}`;
      const shown = () => `compacted@${offset} is ${text.slice(0, 20)}, was ${this.valueAt.get(offset)?.slice(0, 20)}`;
      history.check("compaction keeps records as they are, in order", offset >= next && this.fits(record), shown);
      history.check("compaction keeps records as they are, in order", (this.valueAt.get(offset) ?? text) === text, shown);
      this.valueAt.set(offset, text);
      next = offset + 1;
      if (outcome !== null && value !== null) transactions.shown(value, outcome, `in compacted@${offset}`);
      if (outcome !== "aborted") seen.push(record);
    });
  }

  private fits({ offset, key, value }: Seen): boolean {
    return this.writes.some(
      (write) => write.key === key && write.value === value && (write.offset === offset || write.offset === -1),
    );
  }

  /** Up to `end` the last write of each key counts that was acknowledged and committed, or one behind it of which nobody knows. */
  private checkEnd(seen: readonly Seen[], end: number, isLate: boolean): void {
    const state = new Map(seen.map(({ key, value }) => [key, value]));
    for (const key of new Set(this.writes.map((write) => write.key))) {
      const own = this.writes.filter((write) => write.key === key);
      const last = own.findLastIndex(
        ({ offset, transaction }) => offset >= 0 && offset < end && (transaction?.state ?? "committed") === "committed",
      );
      const allowed: (string | null)[] = own
        .slice(Math.max(last, 0))
        .filter(({ transaction }) => transaction === undefined || transaction.mayBeCommitted)
        .map(({ value }) => value);
      if (last < 0) allowed.push(null);
      if (isLate && allowed.includes(null)) continue;
      const value = state.get(key) ?? null;
      this.arena.history.check(
        "a compacted topic ends with the last value of each key",
        allowed.includes(value),
        () =>
          `${key} is ${value?.slice(0, 20) ?? "deleted"}, not ${allowed.map((one) => one?.slice(0, 20) ?? "deleted").join(" or ")}`,
      );
    }
  }
}
