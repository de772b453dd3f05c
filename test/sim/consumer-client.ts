/** A consumer of the KIP-848 protocol as the Java client is one: lets go of partitions before it takes others, then says what it has. */
import type { GroupReply } from "../../src/group/commands.ts";
import type { Assignment } from "../../src/group/consumer/assignment.ts";
import type { ConsumerHeartbeatReply } from "../../src/group/consumer/consumer-commands.ts";
import { ErrorCode } from "../../src/protocol/errors.ts";
import type { ConsumerWorld } from "./consumer-world.ts";

const HEARTBEAT_MS = 1000;
const REBALANCE_MS = 4000;

/** "a-1 b", or a pattern. */
export type Wish = { readonly names: readonly string[] } | { readonly regex: string };

export class ConsumerClient {
  readonly name: string;
  readonly groupId: string;
  readonly instanceId: string | null;
  wish: Wish;
  memberId = "";
  epoch = 0;
  /** "topicId/partition" of what it reads. */
  readonly owns = new Set<string>();
  isAlive = false;
  private readonly world: ConsumerWorld;
  /** Answers of an earlier life are not its own. */
  private life = 0;
  private lives = 0;
  private isWaiting = false;
  /** Everything is said anew: it joins, or does not know what was heard. */
  private mustSayAll = true;
  /** What it is to have, as it was told last; null when it has it. */
  private target: Assignment | null = null;
  private isReconciling = false;

  constructor(world: ConsumerWorld, name: string, groupId: string, instanceId: string | null, wish: Wish) {
    this.world = world;
    this.name = name;
    this.groupId = groupId;
    this.instanceId = instanceId;
    this.wish = wish;
  }

  start(): void {
    this.isAlive = true;
    this.memberId = `${this.name}-${++this.lives}`;
    this.joinAnew();
    this.beat();
  }

  /** Without a word to anybody. */
  die(): void {
    this.life++;
    this.isAlive = false;
    this.owns.clear();
  }

  leave(): void {
    const memberEpoch = this.instanceId === null ? -1 : -2;
    if (this.epoch > 0) this.world.send(this.name, { ...this.said(), memberEpoch }, () => {});
    this.die();
  }

  resubscribe(wish: Wish): void {
    this.wish = wish;
    this.mustSayAll = true;
    if (this.isAlive && !this.isWaiting) this.beat();
  }

  /** Whether it reads nothing that it should not, and knows of nothing that it should do. */
  get isSettled(): boolean {
    return this.epoch > 0 && this.target === null && !this.isReconciling;
  }

  private joinAnew(): void {
    this.life++;
    this.epoch = 0;
    this.owns.clear();
    this.target = null;
    this.isReconciling = false;
    this.isWaiting = false;
    this.mustSayAll = true;
  }

  private ifStill(run: () => void): () => void {
    const { life } = this;
    return () => {
      if (life === this.life && this.isAlive) run();
    };
  }

  private said() {
    return {
      kind: "consumer-heartbeat" as const,
      groupId: this.groupId,
      memberId: this.memberId,
      memberEpoch: this.epoch,
      instanceId: this.instanceId,
      rackId: null,
      rebalanceTimeoutMs: -1,
      topicNames: null,
      topicRegex: null,
      serverAssignor: null,
      owned: null,
      clientId: this.name,
      clientHost: "/sim",
      uuid: "",
    };
  }

  private listed(): { topicId: string; partitions: number[] }[] {
    const byTopic = new Map<string, number[]>();
    for (const key of this.owns) {
      const [topicId, partition] = key.split("/");
      byTopic.set(topicId!, [...(byTopic.get(topicId!) ?? []), Number(partition)]);
    }
    return [...byTopic].map(([topicId, partitions]) => ({ topicId, partitions }));
  }

  private beat(hasNews = false): void {
    this.isWaiting = true;
    const isJoining = this.epoch === 0;
    const names =
      "names" in this.wish ? { topicNames: this.wish.names, topicRegex: "" } : { topicNames: [], topicRegex: this.wish.regex };
    const all = this.mustSayAll || isJoining ? { rebalanceTimeoutMs: REBALANCE_MS, ...names } : {};
    const owned = this.mustSayAll || hasNews ? this.listed() : null;
    this.mustSayAll = false;
    const { life } = this;
    this.world.send(this.name, { ...this.said(), ...all, owned }, (reply) => {
      if (life === this.life) this.hear(reply as ConsumerHeartbeatReply | null);
    });
  }

  private hear(reply: ConsumerHeartbeatReply | null): void {
    this.isWaiting = false;
    const errorCode = reply?.errorCode ?? ErrorCode.COORDINATOR_NOT_AVAILABLE;
    if (errorCode === ErrorCode.NONE) {
      this.epoch = reply!.memberEpoch;
      if (reply!.assignment !== null) this.target = reply!.assignment;
      this.reconcile();
      this.next(HEARTBEAT_MS);
    } else if (errorCode === ErrorCode.FENCED_MEMBER_EPOCH || errorCode === ErrorCode.UNKNOWN_MEMBER_ID) {
      this.world.counts.fenced++;
      this.joinAnew();
      this.beat();
    } else if (errorCode === ErrorCode.FENCED_INSTANCE_ID) {
      this.die();
    } else {
      // Full, or the name is not free yet, or nothing was heard.
      this.mustSayAll = true;
      this.next(100 + this.world.random(400));
    }
  }

  private next(ms: number): void {
    this.world.later(
      ms,
      this.ifStill(() => {
        if (this.isWaiting) return;
        if (this.world.random(2) === 0) this.commit();
        this.beat();
      }),
    );
  }

  /** Lets go, takes time for it, takes what is new, says so. */
  private reconcile(): void {
    if (this.target === null || this.isReconciling) return;
    this.isReconciling = true;
    const slow = this.world.isRough && this.world.random(30) === 0 ? 2 * REBALANCE_MS : this.world.random(300);
    this.world.later(
      slow,
      this.ifStill(() => {
        const wanted = new Set<string>();
        for (const [topicId, partitions] of this.target!)
          for (const partition of partitions) wanted.add(`${topicId}/${partition}`);
        for (const key of [...this.owns]) if (!wanted.has(key)) this.owns.delete(key);
        for (const key of wanted) this.take(key);
        this.target = null;
        this.isReconciling = false;
        if (this.isWaiting) this.mustSayAll = true;
        else this.beat(true);
      }),
    );
  }

  /** Nobody else who is in the group may have it. */
  private take(key: string): void {
    this.owns.add(key);
    const members = this.world.group(this.groupId)?.members;
    if (members?.has(this.memberId) !== true) return; // it was put out and has not heard of it
    for (const other of this.others) {
      if (other !== this && other.isAlive && other.groupId === this.groupId && members.has(other.memberId) && other.owns.has(key))
        throw new Error(`${this.memberId} takes ${key}, and ${other.memberId} still reads it`);
    }
  }

  /** All clients of the world; set by the test. */
  others: readonly ConsumerClient[] = [];

  private commit(): void {
    const keys = [...this.owns];
    if (keys.length === 0) return;
    const { world, groupId, memberId, instanceId, epoch: generationId } = this;
    const [topicId, partition] = keys[world.random(keys.length)]!.split("/");
    const topic = world.topics.nameOf(topicId!);
    const offset = world.random(1_000_000_000);
    const item = { topic, topicId: topicId!, partition: Number(partition), offset, leaderEpoch: -1, metadata: null };
    const who = { groupId, memberId, instanceId, generationId, retentionMs: -1, knowsGroupIdNotFound: true };
    world.send(this.name, { kind: "commit", ...who, items: [item] }, (reply: GroupReply | null) => {
      if (reply?.kind !== "commit") return;
      if (reply.errorCodes[0] !== ErrorCode.NONE) {
        world.counts.refusedCommits++;
        return;
      }
      const at = world.log.findLastIndex((record) => record.kind === "offset" && record.value?.offset === offset);
      if (at < 0 || at >= world.durable) throw new Error(`a commit of ${memberId} was acknowledged and is not on the disk`);
      const key = `${groupId}/${topic}/${partition}`;
      world.acknowledged.set(key, Math.max(at, world.acknowledged.get(key) ?? -1));
    });
  }
}
