/** One step of a shard at work: what it may use, and the records and replies that it gathers. */

import type { Logger } from "../base/logger.ts";
import type { Effects } from "../base/machine.ts";
import type { MemoryBound } from "../base/memory-bound.ts";
import type { Alarm, Alarms } from "./alarms.ts";
import type { GroupReply, Ticket } from "./commands.ts";
import type { Assignor } from "./consumer/assignor.ts";
import type { GroupRecord } from "./durable.ts";
import type { Due } from "./member.ts";

/** The broker's settings for groups, and the bounds of what clients can make a shard hold. Kafka's names where it has them. */
export interface GroupConfig {
  /** How long a group that was Empty collects members before its first generation. */
  readonly groupInitialRebalanceDelayMs: number;
  readonly groupMinSessionTimeoutMs: number;
  readonly groupMaxSessionTimeoutMs: number;
  /** Members of one group. */
  readonly groupMaxSize: number;
  /** In characters, as Kafka counts. */
  readonly offsetMetadataMaxBytes: number;
  /** What the protocols of one JoinGroup may hold. */
  readonly groupMaxMemberBytes: number;
  /** How long committed offsets are kept once nobody uses them. */
  readonly offsetsRetentionMs: number;
  /** How often offsets that have expired are looked for. */
  readonly offsetsRetentionCheckIntervalMs: number;
  /** Of groups of the consumer protocol. */
  readonly consumer: ConsumerGroupConfig;
}

/** KIP-848: the broker says what with the classic protocol members do. */
export interface ConsumerGroupConfig {
  timesOf(groupId: string): ConsumerGroupTimes;
  /** Members of one group. */
  readonly maxSize: number;
  /** The first one assigns where no member asks for another. */
  readonly assignors: readonly Assignor[];
  /** How often at least the topics of patterns are looked for. */
  readonly regexRefreshIntervalMs: number;
}

/** What can be different for each group. */
export interface ConsumerGroupTimes {
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** A target assignment is not computed anew before the last is this old (KIP-1263). */
  readonly assignmentIntervalMs: number;
}

/** What the turns of one shard share. */
export interface Shop {
  readonly config: GroupConfig;
  readonly memory: MemoryBound;
  readonly logger: Logger;
  readonly alarms: Alarms<Due>;
}

export class Turn implements Effects<GroupRecord, GroupReply> {
  readonly config: GroupConfig;
  readonly memory: MemoryBound;
  readonly logger: Logger;
  readonly alarms: Alarms<Due>;
  /** In the clock of deadlines. */
  readonly nowMs: number;
  /** Wall clock, whole milliseconds: what records carry. */
  readonly wallMs: number;
  readonly records: GroupRecord[] = [];
  readonly replies: GroupReply[] = [];
  canBeSplit = false;
  /** Puts right what the step assumed about its records, for the case that they cannot be appended. */
  undo: ((turn: Turn) => void) | null = null;

  constructor(shop: Shop, nowMs: number, wallMs: number) {
    this.config = shop.config;
    this.memory = shop.memory;
    this.logger = shop.logger;
    this.alarms = shop.alarms;
    this.nowMs = nowMs;
    this.wallMs = wallMs;
  }

  /** Answers the ticket with a reply that is an error and nothing else. */
  refuseJoin(ticket: Ticket, errorCode: number, memberId: string): void {
    const nothing = { generationId: -1, protocolType: null, protocolName: null, leader: "", skipAssignment: false, members: [] };
    this.replies.push({ kind: "join", ticket, errorCode, memberId, ...nothing });
  }

  refuseSync(ticket: Ticket, errorCode: number): void {
    this.replies.push({ kind: "sync", ticket, errorCode, protocolType: null, protocolName: null, assignment: new Uint8Array(0) });
  }

  wake(alarm: Alarm<Due>, afterMs: number): void {
    this.alarms.set(alarm, this.nowMs + Math.max(afterMs, 0));
  }
}
