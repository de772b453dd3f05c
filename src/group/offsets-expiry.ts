/**
 * Committed offsets that nobody has used for so long that they go, and groups of which nothing is left. Source:
 * GroupCoordinatorShard.cleanupGroupMetadata, OffsetMetadataManager.cleanupExpiredOffsets, ClassicGroup.offsetExpirationCondition (KIP-211).
 */
import { Alarm } from "./alarms.ts";
import { type AnyGroup, isIdle, isSubscribed, tombstonesOf } from "./any-group.ts";
import { forgetOffset } from "./delete.ts";
import type { CommittedOffset } from "./durable.ts";
import type { Due } from "./member.ts";
import type { Offsets } from "./offsets.ts";
import { subscribedTopics } from "./subscription.ts";
import type { Turn } from "./turn.ts";

/** A sweep over many groups stops after so many offsets to let others have their turn, and goes on after the pause. */
const OFFSETS_AT_A_TIME = 500;
const PAUSE_MS = 10;

/** When a shard looks for expired offsets, and how far it has come. Nothing is set while there are no groups. */
export class OffsetExpiry {
  private readonly alarm = new Alarm<Due>({ kind: "expiry" });
  /** The groups that this sweep has yet to see; null between sweeps. */
  private ahead: Iterator<AnyGroup> | null = null;

  /** To be called when there may be a first group, or none any more. */
  arm(turn: Turn, groupCount: number): void {
    if (groupCount === 0) turn.alarms.clear(this.alarm);
    else if (!this.alarm.isSet) turn.wake(this.alarm, turn.config.offsetsRetentionCheckIntervalMs);
  }

  /** One stretch of a sweep. `groups` goes on where it was when groups come and go meanwhile. */
  sweep(turn: Turn, groups: () => Iterator<AnyGroup>, groupCount: number, offsets: Offsets): void {
    turn.canBeSplit = true;
    this.ahead ??= groups();
    for (let seen = 0; seen < OFFSETS_AT_A_TIME; ) {
      const { value: group, done } = this.ahead.next();
      if (done) {
        this.ahead = null;
        break;
      }
      seen += 1 + sweepGroup(turn, group, offsets);
    }
    if (turn.records.length > 0) turn.logger.info("expired offsets and groups removed", { records: turn.records.length });
    if (this.ahead !== null) turn.wake(this.alarm, PAUSE_MS);
    else this.arm(turn, groupCount);
  }
}

/** Returns how many offsets it has looked at. */
function sweepGroup(turn: Turn, group: AnyGroup, offsets: Offsets): number {
  const expiry = expiryOf(group);
  let seen = 0;
  let kept = 0;
  for (const [topic, partitions] of offsets.topics(group.id)) {
    for (const [partition, value] of partitions) {
      seen++;
      const isInUse = expiry === null || expiry.isRead(topic) || offsets.pending.has(group.id, topic, partition);
      if (isInUse || !isExpired(turn, value, expiry.unusedSinceMs(value))) kept++;
      else forgetOffset(turn, group.id, topic, partition);
    }
  }
  // Who was given a member id is about to join.
  if (kept === 0 && isIdle(group) && !offsets.pending.hasGroup(group.id)) turn.records.push(...tombstonesOf(group));
  return seen;
}

/** From when an offset counts as unused, and the topics whose offsets are in use whatever their age. */
interface Expiry {
  unusedSinceMs(value: CommittedOffset): number;
  isRead(topic: string): boolean;
}

/** Null: nothing of this group expires now. */
function expiryOf(group: AnyGroup): Expiry | null {
  const sinceCommit = (value: CommittedOffset): number => value.committedMs;
  if (group.type === "consumer") return { unusedSinceMs: sinceCommit, isRead: (topic) => isSubscribed(group, topic) };
  // Clients that only keep offsets here: nobody knows when they were last there.
  if (group.protocolType === null) return { unusedSinceMs: sinceCommit, isRead: () => false };
  if (group.state === "Empty") {
    const { stateSinceMs } = group;
    return { unusedSinceMs: stateSinceMs === -1 ? sinceCommit : () => stateSinceMs, isRead: () => false };
  }
  const topics = group.state === "Stable" ? subscribedTopics(group) : null;
  return topics === null ? null : { unusedSinceMs: sinceCommit, isRead: (topic) => topics.has(topic) };
}

const isExpired = (turn: Turn, { expiresMs }: CommittedOffset, unusedSinceMs: number): boolean =>
  expiresMs === -1 ? turn.wallMs - unusedSinceMs >= turn.config.offsetsRetentionMs : turn.wallMs >= expiresMs;
