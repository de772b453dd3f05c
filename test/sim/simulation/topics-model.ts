/** Which topics there must be, may be, and must not be, as clients know it. */
import type { History } from "./history.ts";
import { PartitionModel, type Retention } from "./partition-model.ts";

export interface TopicModel {
  readonly name: string;
  readonly id: string;
  /** Those that somebody was told of: there are no fewer, ever. */
  readonly partitions: readonly PartitionModel[];
  /** Counts that were asked for in this life of the broker: there may be so many by now. */
  readonly growthsSent: Set<number>;
  /** A deletion was sent: nobody knows until somebody hears. */
  deletionSent: boolean;
  gone: boolean;
  /** How many topics were known before it. */
  readonly serial: number;
}

export interface ListedTopic {
  readonly name: string;
  readonly id: string;
  readonly partitions: number;
}

/** A topic that was there when a question was sent, with so many partitions at least. */
export interface KnownTopic {
  readonly topic: TopicModel;
  readonly partitions: number;
}

/** The configs that a topic of this retention is made with. */
export function configsOf(retention: Retention | undefined): { name: string; value: string }[] {
  const configs = [];
  if (typeof retention?.ms === "number") configs.push({ name: "retention.ms", value: `${retention.ms}` });
  if (typeof retention?.bytes === "number") configs.push({ name: "retention.bytes", value: `${retention.bytes}` });
  return configs;
}

export class TopicsModel {
  /** Of topics by name, in this history. */
  readonly retention = new Map<string, Retention>();
  private readonly history: History;
  private readonly byId = new Map<string, TopicModel>();

  constructor(history: History) {
    this.history = history;
  }

  /** Those that are there, or may be. */
  get present(): TopicModel[] {
    return [...this.byId.values()].filter(({ gone }) => !gone);
  }

  /** Those that nobody wants to delete. */
  get live(): TopicModel[] {
    return this.present.filter(({ deletionSent }) => !deletionSent);
  }

  /** Those that are there, or may be, as they are known now. */
  known(): KnownTopic[] {
    return this.present.map((topic) => ({ topic, partitions: topic.partitions.length }));
  }

  byName(name: string): TopicModel | undefined {
    return this.live.find((topic) => topic.name === name);
  }

  /** How many were ever known. */
  get count(): number {
    return this.byId.size;
  }

  /** A creation was answered that was sent when `count` was `since`. */
  created(topic: ListedTopic, since: number): void {
    const known = this.byId.get(topic.id);
    this.history.check(
      "topic ids are never used again",
      known === undefined || (known.serial >= since && known.name === topic.name),
      () => `${topic.id} is ${known!.name}'s, now ${topic.name}'s`,
    );
    if (known === undefined) this.learn(topic);
  }

  /** A topic was said to have so many partitions. Gives those that nobody knew. */
  grown(topic: TopicModel, count: number): PartitionModel[] {
    const found: PartitionModel[] = [];
    for (let i = topic.partitions.length; i < count; i++) found.push(this.partition(topic.name, topic.id, i));
    (topic.partitions as PartitionModel[]).push(...found);
    return found;
  }

  private partition(name: string, id: string, index: number): PartitionModel {
    const retention = this.retention.get(name) ?? { ms: null, bytes: null };
    return new PartitionModel(this.history, `${name}-${index}`, id, index, retention);
  }

  /** A topic that was not known before. */
  private learn({ name, id, partitions }: ListedTopic): TopicModel {
    const { history } = this;
    const holder = this.byName(name);
    history.check("a name is one topic's", holder === undefined, () => `${name} is ${holder!.id} and ${id}`);
    const models = Array.from({ length: partitions }, (_, i) => this.partition(name, id, i));
    const growthsSent = new Set<number>();
    const topic = { name, id, partitions: models, growthsSent, deletionSent: false, gone: false, serial: this.byId.size };
    this.byId.set(id, topic);
    return topic;
  }

  /** A new life of the broker has shown its topics: what it still lists, no old request will delete or let grow. */
  settle(): void {
    for (const topic of this.present) {
      topic.deletionSent = false;
      topic.growthsSent.clear();
    }
  }

  /** A list of all topics was answered. `before`: those that had to be there when it was asked for. */
  listed(found: readonly ListedTopic[], before: readonly KnownTopic[]): void {
    const { history } = this;
    const ids = new Map(found.map((topic) => [topic.id, topic]));
    for (const { topic } of before)
      if (!topic.deletionSent)
        history.check("a topic stays until it is deleted", ids.has(topic.id), () => `${topic.name} (${topic.id}) is not listed`);
    for (const { topic, partitions } of before) this.counted(topic, partitions, ids.get(topic.id)?.partitions ?? null);
    for (const [id, listed] of ids) {
      const known = this.byId.get(id);
      if (known === undefined) this.learn(listed);
      else history.check("a deleted topic stays away", !known.gone, () => `${known.name} (${id}) is listed`);
    }
    const names = found.map(({ name }) => name);
    history.check("a name is one topic's", new Set(names).size === names.length, () => names.join());
    for (const { topic } of before) if (topic.deletionSent && !ids.has(topic.id)) topic.gone = true;
  }

  /** A topic is listed with `count` partitions, and had `floor` when that was asked for. Null: it is not listed. */
  private counted(topic: TopicModel, floor: number, count: number | null): void {
    const { history } = this;
    if (count === null) return;
    const { name, partitions, growthsSent } = topic;
    history.check("partitions that were shown stay", count >= floor, () => `${name} has ${count}, after ${floor}`);
    history.check(
      "a growth is there whole or not at all",
      count <= partitions.length || growthsSent.has(count),
      () => `${name} has ${count}; of ${partitions.length} it was to grow to ${[...growthsSent].join(" or ")}`,
    );
    this.grown(topic, count);
  }
}
