/**
 * For tests: plays clients against a shard and writes down, as lines of text, what is logged and what each client hears.
 * Clients remember the member id and the generation that they were told, as real ones do; a test can say otherwise.
 */

import { silentLogger } from "../base/logger.ts";
import type { Effects } from "../base/machine.ts";
import { MemoryBound } from "../base/memory-bound.ts";
import { errorName } from "../protocol/errors.ts";
import type {
  CommitItem,
  DeleteOffsetsCommand,
  DescribedGroup,
  FetchCommand,
  GroupCommand,
  GroupReply,
  JoinCommand,
  LeaveCommand,
  TopicsDeletedCommand,
  TransactionalCommitCommand,
} from "./commands.ts";
import { type Assignment, listed, NO_PARTITIONS } from "./consumer/assignment.ts";
import type { ConsumerHeartbeatCommand, ConsumerHeartbeatReply } from "./consumer/consumer-commands.ts";
import { describeConsumerRecord, describeConsumerReply } from "./consumer/consumer-lines-rig.ts";
import { rangeAssignor } from "./consumer/range-assignor.ts";
import { TopicsRig } from "./consumer/topics-rig.ts";
import { uniformAssignor } from "./consumer/uniform-assignor.ts";
import type { GroupRecord } from "./durable.ts";
import { ANY_TOPIC_ID } from "./offsets.ts";
import { GroupShard } from "./shard.ts";
import type { GroupConfig } from "./turn.ts";

/** Where the wall clock stands when the machine's clock is at 0. */
export const WALL_AT_ZERO_MS = 1_700_000_000_000;

export const TEST_CONFIG: GroupConfig = {
  groupInitialRebalanceDelayMs: 3000,
  groupMinSessionTimeoutMs: 6000,
  groupMaxSessionTimeoutMs: 1_800_000,
  groupMaxSize: 100,
  offsetMetadataMaxBytes: 4096,
  groupMaxMemberBytes: 1000,
  offsetsRetentionMs: 7 * 24 * 3_600_000,
  consumer: {
    timesOf: () => ({ sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5000, assignmentIntervalMs: 1000 }),
    maxSize: 100,
    assignors: [uniformAssignor, rangeAssignor],
    regexRefreshIntervalMs: 600_000,
  },
  offsetsRetentionCheckIntervalMs: 600_000,
};

/** What a scenario can say beyond the command's own fields: `protocols` as "range:meta roundrobin:meta". */
type JoinOptions = Partial<Omit<JoinCommand, "protocols">> & { readonly protocols?: string };

interface Client {
  memberId: string;
  generationId: number;
  /** Of a member of a group of the consumer protocol, and what it was told to have. */
  memberEpoch: number;
  assignment: Assignment;
}

/** Subscriptions as "t u", partitions as "t=0,1 u=2"; "now": what the member was told last. */
type BeatOptions = Partial<Omit<ConsumerHeartbeatCommand, "topicNames" | "owned">> & {
  readonly topics?: string;
  readonly owned?: string;
};

export class Scenario {
  readonly shard: GroupShard;
  readonly memory = new MemoryBound(1_000_000);
  /** All that was appended so far. */
  readonly log: GroupRecord[] = [];
  /** When set, appends fail and the callers hear "append failed". */
  appendsFail = false;
  nowMs = 0;
  groupId = "g";
  /** What the cluster has; scenarios of the same cluster share it. */
  readonly topics: TopicsRig;
  private readonly clients = new Map<string, Client>();
  private readonly callers = new Map<number, string>();
  private lines: string[] = [];
  private tickets = 0;
  private uuids = 0;

  constructor(config: Partial<GroupConfig> = {}, log: readonly GroupRecord[] = [], topics = new TopicsRig()) {
    this.topics = topics;
    this.shard = new GroupShard({ ...TEST_CONFIG, ...config }, this.memory, silentLogger, this.topics);
    this.shard.wallOffsetMs = WALL_AT_ZERO_MS;
    for (const record of log) {
      this.log.push(record);
      this.shard.apply(record);
    }
    this.take(this.shard.loaded(0));
  }

  /** The same log after a restart; clients keep what they know. */
  restarted(config: Partial<GroupConfig> = {}): Scenario {
    const after = new Scenario(config, this.log, this.topics);
    for (const [name, client] of this.clients) after.clients.set(name, { ...client });
    after.uuids = this.uuids;
    return after;
  }

  /** Lets time pass to `ms`; whatever is due happens at its own time. */
  at(ms: number): this {
    while (this.shard.wakeAtMs <= ms) {
      this.nowMs = Math.max(this.nowMs, this.shard.wakeAtMs);
      this.take(this.shard.tick(this.nowMs));
    }
    this.nowMs = ms;
    return this;
  }

  /** The lines since the last call. */
  heard(): string[] {
    const lines = this.lines;
    this.lines = [];
    return lines;
  }

  join(name: string, { protocols = "range:", ...options }: JoinOptions = {}): this {
    const parsed = protocols.split(" ").map((text) => {
      const [protocol, metadata] = text.split(":");
      return { name: protocol!, metadata: Buffer.from(metadata ?? "") };
    });
    const { memberId } = this.client(name);
    const timeouts = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 60_000 };
    const client = { clientId: name, clientHost: "/127.0.0.1", memberId, instanceId: null, reason: null };
    const version = { mustKnowMemberId: true, canSkipAssignment: true };
    const command = {
      kind: "join",
      uuid: `${++this.uuids}`,
      protocolType: "consumer",
      ...client,
      ...timeouts,
      ...version,
    } as const;
    return this.send(name, { ...command, protocols: parsed.filter((each) => each.name !== ""), ...options });
  }

  /** `assignments` as "A-1=x B-2=y". */
  sync(name: string, assignments = "", options: Partial<Extract<GroupCommand, { kind: "sync" }>> = {}): this {
    const given = assignments.split(" ").filter((text) => text !== "");
    const parsed = given.map((text) => ({ memberId: text.split("=")[0]!, assignment: Buffer.from(text.split("=")[1] ?? "") }));
    const command = { kind: "sync", instanceId: null, protocolType: null, protocolName: null, ...this.client(name) } as const;
    return this.send(name, { ...command, assignments: parsed, ...options });
  }

  heartbeat(name: string, options: Partial<Extract<GroupCommand, { kind: "heartbeat" }>> = {}): this {
    return this.send(name, { kind: "heartbeat", instanceId: null, ...this.client(name), ...options });
  }

  /** Without members the client leaves itself. */
  leave(name: string, members?: LeaveCommand["members"]): this {
    const self = { memberId: this.client(name).memberId, instanceId: null, reason: null };
    return this.send(name, { kind: "leave", members: members ?? [self] });
  }

  commit(name: string, items: Partial<CommitItem>[], options: Partial<Extract<GroupCommand, { kind: "commit" }>> = {}): this {
    const item = { topic: "t", topicId: ANY_TOPIC_ID, partition: 0, offset: 0, leaderEpoch: -1, metadata: null };
    const command = {
      kind: "commit",
      instanceId: null,
      retentionMs: -1,
      knowsGroupIdNotFound: true,
      ...this.client(name),
    } as const;
    return this.send(name, { ...command, items: items.map((each) => ({ ...item, ...each })), ...options });
  }

  /** TxnOffsetCommit of producer 1. */
  commitInTransaction(name: string, items: Partial<CommitItem>[], options: Partial<TransactionalCommitCommand> = {}): this {
    const item = { topic: "t", topicId: ANY_TOPIC_ID, partition: 0, offset: 0, leaderEpoch: -1, metadata: null };
    const command = {
      kind: "transactional-commit",
      producerId: 1,
      producerEpoch: 0,
      instanceId: null,
      knowsGroupIdNotFound: true,
    } as const;
    return this.send(name, { ...command, ...this.client(name), items: items.map((each) => ({ ...item, ...each })), ...options });
  }

  fetch(name: string, topics: FetchCommand["topics"] = null, options: Partial<FetchCommand> = {}): this {
    return this.send(name, { kind: "fetch", memberId: null, memberEpoch: -1, topics, requireStable: false, ...options });
  }

  describe(): this {
    return this.send("admin", { kind: "describe" });
  }

  delete(): this {
    return this.send("admin", { kind: "delete" });
  }

  deleteOffsets(topics: DeleteOffsetsCommand["topics"]): this {
    return this.send("admin", { kind: "delete-offsets", topics });
  }

  list(states: readonly string[] = [], types: readonly string[] = []): this {
    return this.send("admin", { kind: "list", states, types });
  }

  topicsDeleted(topics: TopicsDeletedCommand["topics"]): this {
    return this.send("admin", { kind: "topics-deleted", topics });
  }

  /** Joins a group of the consumer protocol under its own name. */
  joinConsumer(name: string, options: BeatOptions = {}): this {
    const joining = { memberId: name, memberEpoch: 0, rebalanceTimeoutMs: 60_000, owned: "" };
    return this.beat(name, { ...joining, ...(options.topicRegex === undefined ? { topics: "t" } : {}), ...options });
  }

  /** ConsumerGroupHeartbeat; what is not said is as before. */
  beat(name: string, { topics, owned, ...options }: BeatOptions = {}): this {
    const { memberId, memberEpoch, assignment } = this.client(name);
    const unsaid = { instanceId: null, rackId: null, rebalanceTimeoutMs: -1, topicRegex: null, serverAssignor: null };
    const client = { clientId: name, clientHost: "/127.0.0.1", uuid: `uuid-${++this.uuids}`, memberId, memberEpoch };
    const has = owned === "now" ? listed(assignment) : owned === undefined ? null : this.partitions(owned);
    const topicNames = topics === undefined ? null : topics.split(" ").filter((topic) => topic !== "");
    return this.send(name, { kind: "consumer-heartbeat", ...unsaid, ...client, topicNames, owned: has, ...options });
  }

  describeConsumer(name: string): this {
    return this.send(name, { kind: "consumer-describe" });
  }

  private partitions(text: string): { topicId: string; partitions: number[] }[] {
    const parts = text.split(" ").filter((part) => part !== "");
    return parts.map((part) => {
      const [topic, partitions] = part.split("=");
      return { topicId: this.topics.topicByName(topic!)!.id, partitions: partitions!.split(",").map(Number) };
    });
  }

  private describeRecord(record: GroupRecord): string {
    return describeRecord(record, this.topics);
  }

  private hearHeartbeat(name: string, reply: ConsumerHeartbeatReply): void {
    if (reply.errorCode !== 0) return;
    const client = this.client(name);
    client.memberId = reply.memberId ?? client.memberId;
    client.memberEpoch = reply.memberEpoch;
    client.assignment = reply.assignment ?? client.assignment;
  }

  /** What the client would say of itself. */
  client(name: string): Client {
    const client = this.clients.get(name) ?? { memberId: "", generationId: -1, memberEpoch: 0, assignment: NO_PARTITIONS };
    this.clients.set(name, client);
    return client;
  }

  /** These members in a stable generation 1, at 6000 ms; the first leads. */
  static stable(names: readonly string[], config: Partial<GroupConfig> = {}): Scenario {
    const scenario = new Scenario(config);
    for (const name of names) scenario.join(name).join(name);
    scenario.at(6000);
    const leader = names.find((name) => scenario.client(name).memberId === scenario.shard.groups.get("g")!.leaderId)!;
    scenario.sync(leader, names.map((name) => `${scenario.client(name).memberId}=${name.toLowerCase()}`).join(" "));
    for (const name of names) if (name !== leader) scenario.sync(name);
    scenario.heard();
    return scenario;
  }

  private send(name: string, command: Partial<GroupCommand> & { kind: GroupCommand["kind"] }): this {
    const ticket = ++this.tickets;
    this.callers.set(ticket, name);
    this.take(this.shard.step({ groupId: this.groupId, ...command, ticket } as GroupCommand, this.nowMs));
    return this;
  }

  private take(effects: Effects<GroupRecord, GroupReply>): void {
    if (effects.records.length > 0 && this.appendsFail) {
      for (const { ticket } of effects.replies) this.lines.push(`${this.callers.get(ticket)} < append failed`);
      this.take(this.shard.rejected(effects, this.nowMs));
      return;
    }
    for (const record of effects.records) {
      this.lines.push(`log ${this.describeRecord(record)}`);
      this.log.push(record);
      this.shard.apply(record);
    }
    for (const reply of effects.replies) this.hear(reply);
  }

  private hear(reply: GroupReply): void {
    const name = this.callers.get(reply.ticket);
    if (name === undefined) throw new Error(`ticket ${reply.ticket} is answered twice`);
    this.callers.delete(reply.ticket);
    this.lines.push(`${name} < ${describeReply(reply, this.topics)}`);
    if (reply.kind === "consumer-heartbeat") this.hearHeartbeat(name, reply);
    if (reply.kind !== "join") return;
    if (reply.errorCode === 0 || errorName(reply.errorCode) === "MEMBER_ID_REQUIRED") this.client(name).memberId = reply.memberId;
    if (reply.errorCode === 0) this.client(name).generationId = reply.generationId;
  }

  /** Who still waits for an answer. */
  waiting(): string[] {
    return [...this.callers.values()];
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

export function describeRecord(record: GroupRecord, topics: TopicsRig): string {
  if (record.kind === "offset") {
    const { topic, partition, value, producer } = record;
    const of = producer === undefined ? "" : ` of producer ${producer.producerId}`;
    return `offset ${topic}-${partition} ${value === null ? "removed" : value.offset}${of}`;
  }
  if (record.kind === "transaction-end") return `${record.result} of producer ${record.producerId}`;
  if (record.kind !== "group") return describeConsumerRecord(record, topics);
  if (record.value === null) return "group removed";
  const { generationId, protocolType, protocolName, leader, members } = record.value;
  const each = members.map((member) => `${member.memberId}(${text(member.subscription)})=${text(member.assignment)}`);
  return `group ${protocolType} gen=${generationId} ${protocolName} leader=${leader} ${each.join(" ")}`.trim();
}

export function describeReply(reply: GroupReply, topics: TopicsRig): string {
  if (reply.kind === "consumer-heartbeat" || reply.kind === "consumer-describe") return describeConsumerReply(reply, topics);
  if (reply.kind === "commit" || reply.kind === "transactional-commit")
    return `${reply.kind} ${reply.errorCodes.map(errorName).join(" ")}`;
  if (reply.kind === "fetch") {
    const each = reply.topics.flatMap(({ topic, partitions }) =>
      partitions.map(
        ({ partition, offset, leaderEpoch, metadata, errorCode }) =>
          `${topic}-${partition}=${errorCode === 0 ? `${offset}/${leaderEpoch}/${metadata}` : errorName(errorCode)}`,
      ),
    );
    return `fetch ${reply.errorCode === 0 ? each.join(" ") : errorName(reply.errorCode)}`.trim();
  }
  if (reply.kind === "topics-deleted") return reply.kind;
  if (reply.kind === "list")
    return `list ${reply.groups.map((each) => `${each.groupId}(${each.type} ${each.protocolType || "-"} ${each.state})`).join(" ")}`.trim();
  if (reply.kind === "describe") return `describe ${reply.group === null ? "nothing" : describedGroup(reply.group)}`;
  const error = errorName(reply.errorCode);
  if (reply.kind === "delete") return `delete ${error}`;
  if (reply.kind === "delete-offsets")
    return `delete-offsets ${error} ${reply.errorCodes.map((each) => each.map(errorName).join(",")).join(" ")}`.trim();
  if (reply.kind === "heartbeat") return `heartbeat ${error}`;
  if (reply.kind === "leave")
    return `leave ${error} ${reply.members.map((m) => `${m.memberId || m.groupInstanceId}:${errorName(m.errorCode)}`).join(" ")}`.trim();
  if (reply.errorCode !== 0) return `${reply.kind} ${error}${reply.kind === "join" ? ` id=${reply.memberId}` : ""}`;
  if (reply.kind === "sync") return `sync ${reply.protocolType}/${reply.protocolName} ${text(reply.assignment)}`.trim();
  const roster = reply.members.map((member) => `${member.memberId}(${text(member.metadata)})`).join(" ");
  const skip = reply.skipAssignment ? " skip" : "";
  const { generationId, protocolType, protocolName, leader, memberId } = reply;
  return `join gen=${generationId} ${protocolType}/${protocolName} id=${memberId} leader=${leader}${skip} ${roster}`.trim();
}

function describedGroup({ state, protocolType, protocolName, members }: DescribedGroup): string {
  const each = members.map(
    ({ memberId, instanceId, clientId, clientHost, metadata, assignment }) =>
      `${memberId}/${instanceId}/${clientId}${clientHost}(${text(metadata)})=${text(assignment)}`,
  );
  return `${state} ${protocolType}/${protocolName} ${each.join(" ")}`.trim();
}
