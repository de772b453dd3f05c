/** Clients of groups: members that join, share partitions, commit, leave and die; and lone committers without a group protocol. */
import { ErrorCode } from "../../../src/protocol/errors.ts";
import { OffsetCommit } from "../../../src/protocol/messages/08-offset-commit.ts";
import { OffsetFetch } from "../../../src/protocol/messages/09-offset-fetch.ts";
import { JoinGroup } from "../../../src/protocol/messages/11-join-group.ts";
import { Heartbeat } from "../../../src/protocol/messages/12-heartbeat.ts";
import { LeaveGroup } from "../../../src/protocol/messages/13-leave-group.ts";
import { SyncGroup } from "../../../src/protocol/messages/14-sync-group.ts";
import { type Response, ZERO_UUID } from "../../../src/protocol/schema.ts";
import type { Actor, Arena } from "./arena.ts";
import { STAYS } from "./producers.ts";

/** Of the topic that stays. */
export const PARTITIONS = 3;
const NAMES = { protocolType: "consumer", protocolName: "range" };
/** A coordinator that is not ready, or a group on the move. */
const PASSING = [
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCode.NOT_COORDINATOR,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.REBALANCE_IN_PROGRESS,
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.ILLEGAL_GENERATION,
  ErrorCode.FENCED_INSTANCE_ID,
];

/** What is known of one group from outside. */
export class GroupModel {
  readonly id: string;
  /** By partition: the newest offset that was acknowledged or shown, and the newest that was sent. Offsets only grow. */
  readonly sure = Array.from({ length: PARTITIONS }, () => -1);
  readonly sent = Array.from({ length: PARTITIONS }, () => -1);
  /** The mark of each generation's assignment. */
  readonly marks = new Map<number, string>();
  /** By "generation/partition". */
  private readonly owners = new Map<string, string>();
  private readonly arena: Arena;
  private committed = 0;

  constructor(arena: Arena, id: string) {
    this.arena = arena;
    this.id = id;
  }

  commit(
    who: string,
    member: { memberId: string; generationId: number } | null,
    expected: readonly number[],
    heard: (code: number) => void,
  ): void {
    const { arena, id } = this;
    const partition = arena.random.int(PARTITIONS);
    const offset = ++this.committed;
    this.sent[partition] = offset;
    const partitions = [{ partitionIndex: partition, committedOffset: offset, committedMetadata: "" }];
    const request = {
      groupId: id,
      memberId: member?.memberId ?? "",
      generationIdOrMemberEpoch: member?.generationId ?? -1,
      topics: [{ name: STAYS, partitions }],
    };
    arena.send(`${who} ${id}/${partition}=${offset}`, OffsetCommit, 9, request as never, (response) => {
      if (response === null) return heard(-1);
      const code = response.topics[0]!.partitions[0]!.errorCode;
      arena.checkCode(who, code, expected);
      if (code === 0) this.sure[partition] = Math.max(this.sure[partition]!, offset);
      heard(code);
    });
  }

  fetch(who: string): void {
    const { arena, id } = this;
    const floor = [...this.sure];
    const partitionIndexes = Array.from({ length: PARTITIONS }, (_, i) => i);
    const groups = [{ groupId: id, topics: [{ name: STAYS, topicId: ZERO_UUID, partitionIndexes }] }];
    arena.send(`${who} ${id}`, OffsetFetch, 9, { groups }, (response) => {
      if (response !== null) this.shown(response, floor);
    });
  }

  private shown(response: Response<typeof OffsetFetch>, floor: readonly number[]): void {
    const { arena, id } = this;
    const group = response.groups[0]!;
    arena.checkCode(`offsets of ${id}`, group.errorCode, PASSING);
    if (group.errorCode !== 0) return;
    for (const { partitionIndex: i, committedOffset, errorCode } of group.topics[0]!.partitions) {
      arena.checkCode(`offsets of ${id}`, errorCode, PASSING);
      if (errorCode !== 0) continue;
      const [least, most] = [floor[i]!, this.sent[i]!];
      arena.history.check(
        "acknowledged commits survive",
        committedOffset >= least,
        () => `${id}/${i} is ${committedOffset} after ${least}`,
      );
      arena.history.check(
        "committed offsets never go back",
        committedOffset <= most,
        () => `${id}/${i} is ${committedOffset}, ${most} was sent`,
      );
      this.sure[i] = Math.max(this.sure[i]!, committedOffset);
    }
  }

  /** A member was told its assignment. */
  believe(owner: string, generationId: number, mark: string, partitions: readonly number[]): void {
    const before = this.marks.get(generationId);
    const holds = (before === undefined || before === mark) && mark.startsWith(`${generationId}.`);
    this.arena.history.check(
      "one generation has one assignment",
      holds,
      () => `${this.id}/${generationId} has ${before} and ${mark}`,
    );
    this.marks.set(generationId, mark);
    for (const partition of partitions) {
      const place = `${generationId}/${partition}`;
      const other = this.owners.get(place) ?? owner;
      this.arena.history.check(
        "members own partitions one at a time",
        other === owner,
        () => `${this.id} ${place}: ${other}, ${owner}`,
      );
      this.owners.set(place, owner);
    }
  }
}

/** Commits and looks, without being a member. */
export class Committer implements Actor {
  readonly name: string;
  private readonly arena: Arena;
  private readonly group: GroupModel;

  constructor(arena: Arena, name: string, group: GroupModel) {
    this.arena = arena;
    this.name = name;
    this.group = group;
  }

  step(): void {
    if (this.arena.random.chance(0.7)) this.group.commit(this.name, null, PASSING, () => {});
    else this.group.fetch(this.name);
  }
}

export class Member implements Actor {
  readonly name: string;
  private readonly arena: Arena;
  private readonly group: GroupModel;
  private readonly instanceId: string | null;
  private memberId = "";
  private generationId = -1;
  private isStable = false;
  private isWaiting = false;
  private life = 0;

  constructor(arena: Arena, name: string, group: GroupModel, instanceId: string | null) {
    this.arena = arena;
    this.name = name;
    this.group = group;
    this.instanceId = instanceId;
  }

  step(): void {
    const { random } = this.arena;
    if (random.chance(0.02)) this.die();
    if (this.isWaiting) return;
    if (!this.isStable) this.join();
    else this.takePart(random.int(20));
  }

  private takePart(roll: number): void {
    if (roll < 10) this.commit();
    else if (roll === 10) this.leave();
    else if (roll === 11) this.group.fetch(this.name);
    else this.heartbeat();
  }

  /** Without a word to anybody; another one takes its name. */
  die(): void {
    this.life++;
    this.isWaiting = false;
    this.memberId = "";
    this.startOver(0);
  }

  leave(): void {
    const { arena, group, memberId, instanceId } = this;
    if (memberId === "") return;
    const members = [{ memberId, groupInstanceId: instanceId }];
    arena.send(this.name, LeaveGroup, 4, { groupId: group.id, members }, () => {});
    this.die();
  }

  private startOver(code: number): void {
    if (code === ErrorCode.UNKNOWN_MEMBER_ID || code === ErrorCode.FENCED_INSTANCE_ID) this.memberId = "";
    this.isStable = false;
  }

  /** Runs it unless this member has died meanwhile; null is a lost connection. */
  private heard<T>(run: (response: T) => void): (response: T | null) => void {
    const { life } = this;
    this.isWaiting = true;
    return (response) => {
      if (life !== this.life) return;
      this.isWaiting = false;
      if (response === null) this.startOver(0);
      else run(response);
    };
  }

  private join(): void {
    const { arena, group, memberId, instanceId, name } = this;
    const request = {
      groupId: group.id,
      sessionTimeoutMs: 6000,
      rebalanceTimeoutMs: 10_000,
      memberId,
      groupInstanceId: instanceId,
      protocolType: NAMES.protocolType,
      protocols: [{ name: NAMES.protocolName, metadata: Buffer.from(name) }],
    };
    const heard = this.heard((response: Response<typeof JoinGroup>) => {
      arena.checkCode(`${name} joins`, response.errorCode, [...PASSING, ErrorCode.MEMBER_ID_REQUIRED]);
      if (response.errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.memberId = response.memberId;
      else if (response.errorCode === 0) this.sync(response);
      else this.startOver(response.errorCode);
    });
    arena.send(name, JoinGroup, 9, request, heard);
  }

  private sync(joined: Response<typeof JoinGroup>): void {
    const { arena, group, name, instanceId } = this;
    this.memberId = joined.memberId;
    this.generationId = joined.generationId;
    const { memberId, generationId } = this;
    const leads = joined.leader === memberId && !joined.skipAssignment;
    const request = {
      groupId: group.id,
      generationId,
      memberId,
      groupInstanceId: instanceId,
      ...NAMES,
      assignments: leads ? this.assign(joined.members.map((member) => member.memberId)) : [],
    };
    const heard = this.heard((response: Response<typeof SyncGroup>) => {
      arena.checkCode(`${name} syncs`, response.errorCode, PASSING);
      if (response.errorCode !== 0) return this.startOver(response.errorCode);
      const [mark, mine] = response.assignment.toString().split(":");
      if (mine === undefined) return this.startOver(0);
      group.believe(instanceId ?? memberId, generationId, mark!, mine === "" ? [] : mine.split(",").map(Number));
      this.isStable = true;
    });
    arena.send(`${name} generation ${generationId}`, SyncGroup, 5, request, heard);
  }

  private assign(memberIds: readonly string[]): { memberId: string; assignment: Uint8Array }[] {
    const mark = `${this.generationId}.${this.arena.random.int(1_000_000_000)}`;
    return memberIds.map((memberId, i) => {
      const mine = Array.from({ length: PARTITIONS }, (_, p) => p).filter((p) => p % memberIds.length === i);
      return { memberId, assignment: Buffer.from(`${mark}:${mine.join(",")}`) };
    });
  }

  private heartbeat(): void {
    const { arena, group, memberId, generationId, instanceId, name } = this;
    const request = { groupId: group.id, generationId, memberId, groupInstanceId: instanceId };
    const heard = this.heard(({ errorCode }: Response<typeof Heartbeat>) => {
      arena.checkCode(`${name} heartbeats`, errorCode, PASSING);
      if (errorCode !== 0) this.startOver(errorCode);
    });
    arena.send(name, Heartbeat, 4, request, heard);
  }

  private commit(): void {
    const { memberId, generationId } = this;
    const { life } = this;
    this.group.commit(this.name, { memberId, generationId }, PASSING, (code) => {
      if (code !== 0 && code !== -1 && life === this.life) this.startOver(code);
    });
  }
}
