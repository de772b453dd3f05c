/** One partition of a fetch: what the client asks for, and what it was told. A collection of them for sessions and requests. */
import type { Partition, PartitionWatcher } from "./partition.ts";

/** Who is told what happens to the partition of a target that watches it. */
export interface TargetListener {
  /** `bytes` more bytes of the target's partition are readable; 0 when only its log's start moved. */
  moved(target: FetchTarget, bytes: number): void;
  /** The target's partition was closed; the target has none any more. */
  closed(target: FetchTarget): void;
}

export class FetchTarget implements PartitionWatcher {
  /** As the client names the topic: "" when it speaks topic ids. */
  readonly topic: string;
  readonly topicId: string;
  readonly index: number;
  /** The topic's name once it is known, "" before. A topic id keeps it, as in Kafka, when its topic is gone. */
  name: string;
  fetchOffset = 0;
  /** At least 0. */
  maxBytes = 0;
  /** -1: not to be checked. */
  currentLeaderEpoch = -1;
  lastFetchedEpoch = -1;
  toldHighWatermark = -1;
  toldLogStartOffset = -1;
  /** Null until it is found, and again after it closed. */
  partition: Partition | null = null;
  /** For FetchRun: readable bytes from the fetch offset on, counted since its last read; negative while that has yet to come. */
  available = 0;
  /** For FetchRun: where its last read ended because of a transaction that was open; -1 if it did not. */
  heldBackAt = -1;
  private readonly listener: TargetListener;

  constructor(topic: string, topicId: string, index: number, listener: TargetListener) {
    this.topic = topic;
    this.topicId = topicId;
    this.index = index;
    this.name = topic;
    this.listener = listener;
  }

  onReadable(bytes: number): void {
    this.listener.moved(this, bytes);
  }

  onClosed(): void {
    this.partition = null;
    this.listener.closed(this);
  }
}

/** Targets by topic (name or id, as the client speaks) and partition index. */
export class FetchTargets {
  private readonly byTopic = new Map<string, Map<number, FetchTarget>>();
  size = 0;

  get(topicOrId: string, index: number): FetchTarget | undefined {
    return this.byTopic.get(topicOrId)?.get(index);
  }

  /** There must be none of this topic and index yet. */
  add(topicOrId: string, target: FetchTarget): void {
    let targets = this.byTopic.get(topicOrId);
    if (targets === undefined) {
      targets = new Map();
      this.byTopic.set(topicOrId, targets);
    }
    targets.set(target.index, target);
    this.size++;
  }

  delete(topicOrId: string, index: number): void {
    const targets = this.byTopic.get(topicOrId);
    if (targets?.delete(index) !== true) return;
    this.size--;
    if (targets.size === 0) this.byTopic.delete(topicOrId);
  }

  *[Symbol.iterator](): Generator<FetchTarget> {
    for (const targets of this.byTopic.values()) yield* targets.values();
  }

  clear(): void {
    this.byTopic.clear();
    this.size = 0;
  }
}
