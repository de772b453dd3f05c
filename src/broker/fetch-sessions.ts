/**
 * Incremental fetch sessions (KIP-227): what each consumer follows and what it was last told, so that a fetch names only what
 * changed. A session is fed by its partitions; a request costs what moved, not what is followed. Source: Kafka's FetchSession.
 */
import type { Random } from "../io/random.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { FetchRun, FetchTarget, TargetListener, TargetResult } from "./fetch-run.ts";

export const NO_SESSION = 0;
const INITIAL_EPOCH = 0;
const FINAL_EPOCH = -1;
const MAX_INT32 = 2_147_483_647;

export const targetKey = (topicOrId: string, index: number): string => `${index}:${topicOrId}`;

export class FetchSession implements TargetListener {
  readonly id: number;
  readonly usesTopicIds: boolean;
  /** The epoch that the next request must carry. */
  epoch = 1;
  lastUsedMs: number;
  readonly createdMs: number;
  readonly targets = new Map<string, FetchTarget>();
  /** Targets that may have data, an error or a change to report, in the order they are served. */
  readonly dirty = new Set<FetchTarget>();
  /** The session's fetch that waits, if one does. */
  parked: FetchRun | null = null;

  constructor(id: number, usesTopicIds: boolean, nowMs: number) {
    this.id = id;
    this.usesTopicIds = usesTopicIds;
    this.createdMs = nowMs;
    this.lastUsedMs = nowMs;
  }

  moved(target: FetchTarget, bytes: number): void {
    this.dirty.add(target);
    this.parked?.moved(target, bytes);
  }

  forget(key: string): void {
    const target = this.targets.get(key);
    if (target === undefined) return;
    target.partition?.unwatch(target);
    this.targets.delete(key);
    this.dirty.delete(target);
  }

  /** Decides whether the client must hear of this result, and remembers what it is told. */
  tell(result: TargetResult, isFirst: boolean): boolean {
    const { target } = result;
    const changed = target.toldHighWatermark !== result.highWatermark || target.toldLogStartOffset !== result.logStartOffset;
    target.toldHighWatermark = result.highWatermark; // -1 after an error: it is told again when the error goes away
    target.toldLogStartOffset = result.logStartOffset;
    const quiet = result.bytes === 0 && result.errorCode === 0 && result.divergingEpoch === null;
    if (!quiet) {
      this.dirty.delete(target); // what returned data goes to the end, so that all are served in turn
      this.dirty.add(target);
    } else if (target.partition !== null && target.fetchOffset >= target.partition.highWatermark) {
      this.dirty.delete(target);
    }
    return isFirst || changed || !quiet;
  }

  close(): void {
    for (const target of this.targets.values()) target.partition?.unwatch(target);
    this.targets.clear();
    this.dirty.clear();
    this.parked?.wake();
  }
}

export interface FetchSessionLimits {
  readonly maxSessions: number;
  readonly evictionMs: number;
  /** Over all sessions. */
  readonly maxTargets: number;
}

export class FetchSessions {
  private readonly limits: FetchSessionLimits;
  private readonly random: Random;
  /** In order of last use, oldest first. */
  private readonly sessions = new Map<number, FetchSession>();
  private targetCount = 0;

  constructor(limits: FetchSessionLimits, random: Random) {
    this.limits = limits;
    this.random = random;
  }

  get size(): number {
    return this.sessions.size;
  }

  /** A new session for `targetCount` targets, or null when there is no room: the client then goes on without one. */
  create(targetCount: number, usesTopicIds: boolean, nowMs: number): FetchSession | null {
    if (targetCount === 0 || this.targetCount + targetCount > this.limits.maxTargets) return null;
    if (this.sessions.size >= this.limits.maxSessions && !this.evictOldest(nowMs)) return null;
    let id = 0;
    do id = 1 + this.random.int(MAX_INT32);
    while (this.sessions.has(id));
    const session = new FetchSession(id, usesTopicIds, nowMs);
    this.sessions.set(id, session);
    this.targetCount += targetCount;
    return session;
  }

  /** Room for targets that an existing session adds; throws when there is none. */
  grow(count: number): void {
    if (this.targetCount + count > this.limits.maxTargets)
      throw new KafkaError("FETCH_SESSION_ID_NOT_FOUND", "no room for more fetch session partitions");
    this.targetCount += count;
  }

  shrink(count: number): void {
    this.targetCount -= count;
  }

  /** The session that an incremental request continues; its epoch moves on. Throws the KafkaError to answer. */
  resume(id: number, epoch: number, usesTopicIds: boolean, nowMs: number): FetchSession {
    const session = this.sessions.get(id);
    if (session === undefined) throw new KafkaError("FETCH_SESSION_ID_NOT_FOUND");
    if (session.epoch !== epoch) throw new KafkaError("INVALID_FETCH_SESSION_EPOCH");
    if (session.usesTopicIds !== usesTopicIds) throw new KafkaError("FETCH_SESSION_TOPIC_ID_ERROR");
    session.epoch = epoch === MAX_INT32 ? 1 : epoch + 1;
    session.lastUsedMs = nowMs;
    this.sessions.delete(id);
    this.sessions.set(id, session);
    return session;
  }

  remove(id: number): void {
    const session = this.sessions.get(id);
    if (session === undefined) return;
    this.sessions.delete(id);
    this.targetCount -= session.targets.size;
    session.close();
  }

  close(): void {
    for (const id of [...this.sessions.keys()]) this.remove(id);
  }

  private evictOldest(nowMs: number): boolean {
    for (const session of this.sessions.values()) {
      if (nowMs - session.lastUsedMs <= this.limits.evictionMs) return false;
      this.remove(session.id);
      return true;
    }
    return false;
  }
}

/** What the session epoch of a request means (KIP-227). Requests before v7 carry -1. */
export function fetchKind(epoch: number): "sessionless" | "full" | "incremental" {
  if (epoch === FINAL_EPOCH) return "sessionless";
  return epoch === INITIAL_EPOCH ? "full" : "incremental";
}
