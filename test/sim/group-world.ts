/** A small world for groups of the classic protocol, whose clients behave as the Java consumer does. */

import type { GroupCommand } from "../../src/group/commands.ts";
import { rangeAssignor } from "../../src/group/consumer/range-assignor.ts";
import { uniformAssignor } from "../../src/group/consumer/uniform-assignor.ts";
import type { GroupRecord, GroupSnapshot } from "../../src/group/durable.ts";
import type { GroupShard } from "../../src/group/shard.ts";
import type { GroupConfig } from "../../src/group/turn.ts";
import { CoordinatorWorld, type Heard, type Unaddressed } from "./coordinator-world.ts";

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

export class GroupWorld extends CoordinatorWorld {
  /** What each generation of each group was told, by "group/generation". */
  readonly told = new Map<string, string>();
  readonly counts = {
    generations: 0,
    /** By the passing of time. */
    expiredOffsets: 0,
    /** By time or by an admin. */
    removedGroups: 0,
  };
  protected readonly breaksOneIn = 100;

  constructor(seed: number) {
    super(seed, CONFIG);
    this.start();
  }

  send(command: Unaddressed, heard: Heard): void {
    this.deliverAfter(this.delay(), command, heard);
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

  /** Only a member of the generation commits. */
  protected watch(command: GroupCommand): () => void {
    return () => {
      if (command.kind !== "commit") return;
      const group = this.shard.groups.get(command.groupId)!;
      if (group.generationId !== command.generationId || !group.members.has(command.memberId))
        throw new Error(`${command.memberId} of generation ${command.generationId} committed in ${group.generationId}`);
    };
  }

  protected onAppend(record: GroupRecord): void {
    if (record.kind !== "group") return;
    if (record.value === null) this.counts.removedGroups++;
    else if (record.value.members.length > 0) this.counts.generations++;
  }

  protected override onTick(records: readonly GroupRecord[]): void {
    for (const record of records) if (record.kind !== "transaction-end" && record.value === null) this.checkExpiry(record);
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
}

/** A group as a record would hold it now, without the time. */
export function shownGroup(shard: GroupShard, groupId: string): Omit<GroupSnapshot, "stateSinceMs"> | null {
  const group = shard.groups.get(groupId);
  if (group === undefined) return null;
  const { stateSinceMs: _, ...shown } = group.snapshot((member) => member.assignment);
  return { ...shown, members: shown.members.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1)) };
}
