/**
 * Incremental fetch sessions (KIP-227): what each consumer follows and what it was last told, so that a fetch names only what
 * changed. A session is fed by its partitions; a request costs what moved, not what is followed. Source: Kafka's FetchSession.
 *
 * Where we differ, and why:
 * - a session is made when its first fetch begins, not when that is answered; none is made for a fetch of nothing;
 * - a newer request, on another connection, ends the session's older one at once. Kafka lets that one wait for nothing and then gives
 *   it the same error, INVALID_FETCH_SESSION_EPOCH. So it is when the session is closed meanwhile, but for the error;
 * - the partitions of all sessions together are bounded: a session that grows beyond it is gone.
 */
import type { Random } from "../io/random.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { FetchRun, TargetResult } from "./fetch-run.ts";
import { type FetchTarget, FetchTargets, type TargetListener } from "./fetch-target.ts";

export const NO_SESSION = 0;
const INITIAL_EPOCH = 0;
const FINAL_EPOCH = -1;
const MAX_INT32 = 2_147_483_647;

export class FetchSession implements TargetListener {
  readonly id: number;
  readonly usesTopicIds: boolean;
  /** The epoch that the next request must carry. */
  epoch = 1;
  lastUsedMs: number;
  readonly createdMs: number;
  readonly targets = new FetchTargets();
  /** Targets that may have data, an error or a change to report, in the order they are served. */
  readonly dirty = new Set<FetchTarget>();
  /** The session's fetch that is under way, if one is. */
  run: FetchRun | null = null;
  /** For FetchSessions: as how large the session is counted. */
  countedTargets = 0;

  constructor(id: number, usesTopicIds: boolean, nowMs: number) {
    this.id = id;
    this.usesTopicIds = usesTopicIds;
    this.createdMs = nowMs;
    this.lastUsedMs = nowMs;
  }

  moved(target: FetchTarget, bytes: number): void {
    if (this.run === null && this.dirty.has(target)) return this.lose(target);
    this.dirty.add(target);
    this.run?.moved(target, bytes);
  }

  /** Nobody asks although there is news: maybe the client is gone. The next request, if one comes, finds the partition again. */
  private lose(target: FetchTarget): void {
    target.partition?.unwatch(target);
    target.partition = null;
  }

  closed(target: FetchTarget): void {
    this.dirty.add(target);
    this.run?.closed();
  }

  forget(topicOrId: string, index: number): void {
    const target = this.targets.get(topicOrId, index);
    if (target === undefined) return;
    target.partition?.unwatch(target);
    this.targets.delete(topicOrId, index);
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
    } else if (isUpToDate(target, result) && target.fetchOffset >= result.highWatermark) {
      this.dirty.delete(target); // its `available` is 0, as a fetch that does not read it must find it
    }
    return isFirst || changed || !quiet;
  }

  close(): void {
    for (const target of this.targets) target.partition?.unwatch(target);
    this.targets.clear();
    this.dirty.clear();
    this.run?.cut(null);
  }
}

/** Whether nothing has moved since the result was read. */
const isUpToDate = ({ partition }: FetchTarget, result: TargetResult): boolean =>
  partition?.highWatermark === result.highWatermark && partition.logStartOffset === result.logStartOffset;

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
  /** No session follows fewer targets than this: mostly spares a search for one to evict. */
  private leastTargets = 0;

  constructor(limits: FetchSessionLimits, random: Random) {
    this.limits = limits;
    this.random = random;
  }

  get size(): number {
    return this.sessions.size;
  }

  /** A new session for up to `targetCount` targets, or null when there is no room: the client then goes on without one. `count` it when it has them. */
  create(targetCount: number, usesTopicIds: boolean, nowMs: number): FetchSession | null {
    if (targetCount === 0 || this.targetCount + targetCount > this.limits.maxTargets) return null;
    if (this.sessions.size >= this.limits.maxSessions && !this.evictFor(targetCount, nowMs)) return null;
    let id = 0;
    do id = 1 + this.random.int(MAX_INT32);
    while (this.sessions.has(id));
    const session = new FetchSession(id, usesTopicIds, nowMs);
    this.sessions.set(id, session);
    return session;
  }

  /** Takes note of how many targets a session has now. Throws, and the session is gone, when there is no room for them. */
  count(session: FetchSession): void {
    const { size } = session.targets;
    this.targetCount += size - session.countedTargets;
    session.countedTargets = size;
    this.leastTargets = Math.min(this.leastTargets, size);
    if (this.targetCount <= this.limits.maxTargets) return;
    this.remove(session.id);
    throw new KafkaError("FETCH_SESSION_ID_NOT_FOUND", "no room for more fetch session partitions");
  }

  /** The session that an incremental request continues; its epoch moves on. Throws the KafkaError to answer. */
  resume(id: number, epoch: number, usesTopicIds: boolean, nowMs: number): FetchSession {
    const session = this.sessions.get(id);
    if (session === undefined) throw new KafkaError("FETCH_SESSION_ID_NOT_FOUND");
    if (session.epoch !== epoch) throw new KafkaError("INVALID_FETCH_SESSION_EPOCH");
    if (session.usesTopicIds !== usesTopicIds) throw new KafkaError("FETCH_SESSION_TOPIC_ID_ERROR");
    session.run?.cut(new KafkaError("INVALID_FETCH_SESSION_EPOCH", "a newer request of the session came"));
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
    this.targetCount -= session.countedTargets;
    session.close();
  }

  close(): void {
    for (const id of [...this.sessions.keys()]) this.remove(id);
  }

  /** Makes place by removing a session that was not used for long, else the smallest that is not new, if that is smaller. FetchSessionCacheShard.tryEvict. */
  private evictFor(targetCount: number, nowMs: number): boolean {
    for (const session of this.sessions.values()) {
      if (nowMs - session.lastUsedMs <= this.limits.evictionMs) break;
      this.remove(session.id);
      return true;
    }
    if (targetCount <= this.leastTargets) return false;
    let smallest: FetchSession | null = null;
    this.leastTargets = Number.POSITIVE_INFINITY;
    for (const session of this.sessions.values()) {
      this.leastTargets = Math.min(this.leastTargets, session.countedTargets);
      if (nowMs - session.createdMs <= this.limits.evictionMs) continue;
      if (session.countedTargets < (smallest?.countedTargets ?? targetCount)) smallest = session;
    }
    if (smallest === null) return false;
    this.remove(smallest.id);
    return true;
  }
}

/** What the session epoch of a request means (KIP-227). Requests before v7 carry -1. */
export function fetchKind(epoch: number): "sessionless" | "full" | "incremental" {
  if (epoch === FINAL_EPOCH) return "sessionless";
  return epoch === INITIAL_EPOCH ? "full" : "incremental";
}
