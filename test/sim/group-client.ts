/** A consumer that subscribes: joins, assigns if it leads, heartbeats, commits, and starts over as the Java client does. */

import type { GroupReply, JoinReply, SyncReply } from "../../src/group/commands.ts";
import { ANY_TOPIC_ID } from "../../src/group/offsets.ts";
import { ErrorCode } from "../../src/protocol/errors.ts";
import { type GroupWorld, READ_TOPIC } from "./group-world.ts";

/** Of the one topic that everybody reads. */
export const PARTITIONS = 6;

const HEARTBEAT_MS = 1000;
const SESSION_MS = 5000;
const REBALANCE_MS = 8000;
const RETRY_MS = 100;

export class SimClient {
  readonly name: string;
  readonly groupId: string;
  readonly instanceId: string | null;
  memberId = "";
  generationId = -1;
  /** The partitions it was given, null while it has no part in a generation. */
  owns: number[] | null = null;
  /** "gone" when it left, died, or was told that it cannot be. */
  state: "joining" | "syncing" | "stable" | "gone" = "gone";
  private readonly world: GroupWorld;
  /** Answers of an earlier life of the client are not its own. */
  private life = 0;
  private metadata = 0;

  constructor(world: GroupWorld, name: string, groupId: string, instanceId: string | null) {
    this.world = world;
    this.name = name;
    this.groupId = groupId;
    this.instanceId = instanceId;
  }

  start(): void {
    this.life++;
    this.memberId = "";
    this.generationId = -1;
    this.join();
  }

  /** Without a word to anybody. */
  die(): void {
    this.life++;
    this.state = "gone";
    this.owns = null;
  }

  leave(): void {
    const { groupId, memberId } = this;
    const member = { memberId, instanceId: this.instanceId, reason: null };
    if (memberId !== "") this.world.send({ kind: "leave", groupId, members: [member] }, () => {});
    this.die();
  }

  /** Subscribes to something else, so that the group has to rebalance. */
  resubscribe(): void {
    this.metadata++;
    if (this.state === "stable") this.join();
  }

  /** Runs it unless the client has begun something else by then. */
  private ifStill<T>(run: (value: T) => void): (value: T) => void {
    const { life } = this;
    return (value) => {
      if (life === this.life) run(value);
    };
  }

  private again(run: () => void): void {
    this.world.later(RETRY_MS, this.ifStill(run) as () => void);
  }

  private join(): void {
    const { groupId, memberId, instanceId, name } = this;
    this.state = "joining";
    this.owns = null;
    this.life++;
    this.world.send(
      {
        kind: "join",
        groupId,
        memberId,
        instanceId,
        clientId: name,
        clientHost: "/sim",
        sessionTimeoutMs: SESSION_MS,
        rebalanceTimeoutMs: REBALANCE_MS,
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: subscription(`${name}.${this.metadata}`) }],
        reason: null,
        uuid: `${this.world.random(1_000_000_000)}`,
        mustKnowMemberId: !name.endsWith("7"),
        canSkipAssignment: !name.endsWith("3"),
      },
      this.ifStill((reply) => this.onJoin(reply as JoinReply | null)),
    );
  }

  private onJoin(reply: JoinReply | null): void {
    const errorCode = reply?.errorCode ?? ErrorCode.COORDINATOR_NOT_AVAILABLE;
    if (errorCode === ErrorCode.NONE) {
      this.memberId = reply!.memberId;
      this.generationId = reply!.generationId;
      this.sync(reply!);
    } else if (errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
      this.memberId = reply!.memberId;
      this.join();
    } else if (errorCode === ErrorCode.FENCED_INSTANCE_ID || errorCode === ErrorCode.GROUP_MAX_SIZE_REACHED) {
      this.die();
    } else {
      if (errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.memberId = "";
      this.again(() => this.join());
    }
  }

  private sync(joined: JoinReply): void {
    this.state = "syncing";
    const { groupId, memberId, instanceId, generationId } = this;
    const leads = joined.leader === memberId && !joined.skipAssignment;
    const assignments = leads ? this.assign(joined.members.map((member) => member.memberId)) : [];
    const names = { protocolType: joined.protocolType, protocolName: joined.protocolName };
    const heard = this.ifStill((reply: GroupReply | null) => this.onSync(reply as SyncReply | null));
    this.world.send({ kind: "sync", groupId, memberId, instanceId, generationId, ...names, assignments }, heard);
  }

  /** Partitions in turn; the generation and a number tell assignments apart. */
  private assign(memberIds: readonly string[]): { memberId: string; assignment: Uint8Array }[] {
    const mark = `${this.generationId}.${this.world.random(1_000_000_000)}`;
    return memberIds.map((memberId, i) => {
      const mine = Array.from({ length: PARTITIONS }, (_, p) => p).filter((p) => p % memberIds.length === i);
      return { memberId, assignment: Buffer.from(`${mark}:${mine.join(",")}`) };
    });
  }

  private onSync(reply: SyncReply | null): void {
    if (reply?.errorCode !== ErrorCode.NONE) {
      this.startOver(reply?.errorCode);
      return;
    }
    const [mark, mine] = Buffer.from(reply.assignment).toString().split(":");
    if (mine !== undefined) this.believe(mark!);
    this.owns = mine ? mine.split(",").map(Number) : [];
    this.state = "stable";
    this.heartbeat(this.life);
  }

  /** One generation has one assignment, its own, whoever hears of it and whenever. */
  private believe(mark: string): void {
    const key = `${this.groupId}.${this.world.livesOf(this.groupId)}/${this.generationId}`;
    if (!mark.startsWith(`${this.generationId}.`)) throw new Error(`${key} was given the assignment ${mark}`);
    const before = this.world.told.get(key);
    if (before !== undefined && before !== mark) throw new Error(`${key} has two assignments, ${before} and ${mark}`);
    this.world.told.set(key, mark);
  }

  private heartbeat(life: number): void {
    this.world.later(HEARTBEAT_MS, () => {
      if (life !== this.life || this.state !== "stable") return;
      const { groupId, memberId, instanceId, generationId } = this;
      if (this.world.random(2) === 0) this.commit();
      this.world.send({ kind: "heartbeat", groupId, memberId, instanceId, generationId }, (reply) => {
        if (life !== this.life) return;
        const errorCode = reply?.kind === "heartbeat" ? reply.errorCode : ErrorCode.COORDINATOR_NOT_AVAILABLE;
        if (errorCode === ErrorCode.NONE || errorCode === ErrorCode.COORDINATOR_NOT_AVAILABLE) this.heartbeat(life);
        else this.startOver(errorCode);
      });
    });
  }

  private commit(): void {
    if (this.owns === null || this.owns.length === 0) return;
    const { groupId, memberId, instanceId, generationId, world } = this;
    const partition = this.owns[world.random(this.owns.length)]!;
    const offset = world.random(1_000_000_000);
    const topic = world.random(4) === 0 ? "unread" : READ_TOPIC;
    const item = { topic, topicId: ANY_TOPIC_ID, partition, offset, leaderEpoch: -1, metadata: null };
    const who = { groupId, memberId, instanceId, generationId, retentionMs: -1, knowsGroupIdNotFound: true };
    world.send({ kind: "commit", ...who, items: [item] }, (reply) => {
      if (reply?.kind !== "commit" || reply.errorCodes[0] !== ErrorCode.NONE) return;
      const key = `${groupId}/${topic}/${partition}`;
      const at = world.log.findLastIndex((record) => record.kind === "offset" && record.value?.offset === offset);
      if (at < 0 || at >= world.durable) throw new Error(`commit of ${key} was acknowledged and is not on the disk`);
      world.acknowledged.set(key, Math.max(at, world.acknowledged.get(key) ?? -1));
    });
  }

  private startOver(errorCode: number | undefined): void {
    if (errorCode === ErrorCode.FENCED_INSTANCE_ID) {
      this.die();
      return;
    }
    if (errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.memberId = "";
    this.join();
  }
}

/** Version 0 of what consumers say: one topic, and user data to tell subscriptions apart. */
function subscription(userData: string): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeInt32BE(userData.length);
  const topic = Buffer.from([0, 0, 0, 0, 0, 1, 0, READ_TOPIC.length]);
  return Buffer.concat([topic, Buffer.from(READ_TOPIC), length, Buffer.from(userData)]);
}
