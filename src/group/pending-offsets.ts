/**
 * Offsets that were committed within transactions which have not ended: nobody sees them until the transaction is committed, and never
 * if it is aborted. Source: OffsetMetadataManager's pendingTransactionalOffsets and OpenTransactions.
 */
import type { MemoryBound } from "../base/memory-bound.ts";
import type { CommittedOffset } from "./durable.ts";
import { OFFSET_BYTES, textBytes } from "./memory.ts";

export interface PendingOffset {
  readonly groupId: string;
  readonly topic: string;
  readonly partition: number;
  readonly value: CommittedOffset;
  /** Grows with each record. */
  readonly order: number;
  /** Something that was committed later counts already: this one comes too late. */
  isOverridden: boolean;
}

export class PendingOffsets {
  private readonly byProducer = new Map<number, Map<string, PendingOffset>>();
  /** How many producers have something pending, by group and place. */
  private readonly byGroup = new Map<string, Map<string, number>>();
  private readonly memory: MemoryBound;
  private heldBytes = 0;
  private orders = 0;

  constructor(memory: MemoryBound) {
    this.memory = memory;
  }

  release(): void {
    this.hold(-this.heldBytes);
  }

  hasGroup(groupId: string): boolean {
    return this.byGroup.has(groupId);
  }

  has(groupId: string, topic: string, partition: number): boolean {
    return this.byGroup.get(groupId)?.has(placeOf(topic, partition)) === true;
  }

  /** The places of a group that something is pending for. */
  places(groupId: string): { topic: string; partition: number }[] {
    return [...(this.byGroup.get(groupId)?.keys() ?? [])].map((place) => {
      const at = place.lastIndexOf("-"); // topics may have hyphens, numbers have none
      return { topic: place.slice(0, at), partition: Number(place.slice(at + 1)) };
    });
  }

  *all(): Iterable<PendingOffset> {
    for (const offsets of this.byProducer.values()) yield* offsets.values();
  }

  add(producerId: number, groupId: string, topic: string, partition: number, value: CommittedOffset): void {
    const offsets = this.byProducer.get(producerId) ?? new Map<string, PendingOffset>();
    this.byProducer.set(producerId, offsets);
    const key = keyOf(groupId, topic, partition);
    const before = offsets.get(key);
    if (before === undefined) this.count(groupId, topic, partition, 1);
    this.hold(pendingBytes(value) - (before === undefined ? 0 : pendingBytes(before.value)));
    offsets.set(key, { groupId, topic, partition, value, order: ++this.orders, isOverridden: false });
  }

  /** Something else counts for this place now, from a record of that order (without: from the newest). */
  override(groupId: string, topic: string, partition: number, order = Number.POSITIVE_INFINITY): void {
    if (!this.has(groupId, topic, partition)) return;
    const key = keyOf(groupId, topic, partition);
    for (const offsets of this.byProducer.values()) {
      const pending = offsets.get(key);
      if (pending !== undefined && pending.order < order) pending.isOverridden = true;
    }
  }

  /** The place is cleared: what is pending for it will never count. */
  forget(groupId: string, topic: string, partition: number): void {
    if (!this.has(groupId, topic, partition)) return;
    const key = keyOf(groupId, topic, partition);
    for (const [producerId, offsets] of this.byProducer) {
      const pending = offsets.get(key);
      if (pending === undefined) continue;
      offsets.delete(key);
      this.drop(pending);
      if (offsets.size === 0) this.byProducer.delete(producerId);
    }
  }

  /** The producer's transaction has ended: takes out what was pending in it. */
  take(producerId: number): PendingOffset[] {
    const taken = [...(this.byProducer.get(producerId)?.values() ?? [])];
    this.byProducer.delete(producerId);
    for (const pending of taken) this.drop(pending);
    return taken;
  }

  private drop({ groupId, topic, partition, value }: PendingOffset): void {
    this.count(groupId, topic, partition, -1);
    this.hold(-pendingBytes(value));
  }

  private count(groupId: string, topic: string, partition: number, change: 1 | -1): void {
    const places = this.byGroup.get(groupId) ?? new Map<string, number>();
    const place = placeOf(topic, partition);
    const count = (places.get(place) ?? 0) + change;
    if (count === 0) places.delete(place);
    else places.set(place, count);
    if (places.size === 0) this.byGroup.delete(groupId);
    else this.byGroup.set(groupId, places);
  }

  private hold(bytes: number): void {
    this.heldBytes += bytes;
    this.memory.heldBytes += bytes;
  }
}

const placeOf = (topic: string, partition: number): string => `${topic}-${partition}`;
const keyOf = (groupId: string, topic: string, partition: number): string => `${topic}-${partition} ${groupId}`; // topics have no blanks

/** Twice an offset's: it is found by producer and by place. */
export const pendingBytes = ({ metadata }: CommittedOffset): number => 2 * OFFSET_BYTES + textBytes(metadata);
