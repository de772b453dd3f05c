/**
 * A small world for groups of the consumer protocol: its network keeps the order of each client's requests, and topics grow, come and
 * go.
 */

import type { GroupCommand } from "../../src/group/commands.ts";
import type { ConsumerGroup } from "../../src/group/consumer/consumer-group.ts";
import { rangeAssignor } from "../../src/group/consumer/range-assignor.ts";
import { uniformAssignor } from "../../src/group/consumer/uniform-assignor.ts";
import type { GroupRecord } from "../../src/group/durable.ts";
import { TEST_CONFIG } from "../../src/group/scenario.ts";
import type { GroupConfig } from "../../src/group/turn.ts";
import { CoordinatorWorld, type Heard, type Unaddressed } from "./coordinator-world.ts";

const CONFIG: GroupConfig = {
  ...TEST_CONFIG,
  consumer: {
    timesOf: () => ({ sessionTimeoutMs: 5000, heartbeatIntervalMs: 1000, assignmentIntervalMs: 500 }),
    maxSize: 6,
    assignors: [uniformAssignor, rangeAssignor],
    regexRefreshIntervalMs: 60_000,
  },
};

export class ConsumerWorld extends CoordinatorWorld {
  readonly counts = { epochs: 0, refusedCommits: 0, fenced: 0 };
  protected readonly breaksOneIn = 60;
  /** When the last request of a client arrives. */
  private readonly arrivals = new Map<string, number>();
  /** Epochs by group, and by group and member, as the log has said them last. */
  private readonly epochs = new Map<string, number>();

  constructor(seed: number) {
    super(seed, CONFIG);
    this.topics.set({ "a-1": 3, "a-2": 1, b: 4 });
    this.start();
  }

  /** Sends what a client has to say, behind what it has said before. */
  send(client: string, command: Unaddressed, heard: Heard): void {
    const atMs = Math.max(this.nowMs + this.delay(), this.arrivals.get(client) ?? 0);
    this.arrivals.set(client, atMs);
    this.deliverAfter(atMs - this.nowMs, command, heard);
  }

  group(groupId: string): ConsumerGroup | undefined {
    return this.shard.consumers.get(groupId);
  }

  /** What the cleaner leaves of the log: the newest record of each key, without removals. */
  compactedLog(): GroupRecord[] {
    return compacted(this.log);
  }

  /** Only a member commits, and not at an epoch that it has yet to reach. */
  protected watch(command: GroupCommand): () => void {
    if (command.kind !== "commit") return () => {};
    const member = this.group(command.groupId)?.members.get(command.memberId);
    return () => {
      if (member === undefined || member.memberEpoch < command.generationId)
        throw new Error(`${command.memberId} at ${command.generationId} committed and is ${member?.memberEpoch}`);
    };
  }

  protected override onStarted(): void {
    this.epochs.clear();
    for (const record of this.log) this.checkEpoch(record);
  }

  protected onAppend(record: GroupRecord): void {
    this.checkEpoch(record);
  }

  protected override onAppended(records: readonly GroupRecord[]): void {
    for (const groupId of new Set(records.flatMap((record) => ("groupId" in record ? record.groupId : []))))
      this.checkOwners(groupId);
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
