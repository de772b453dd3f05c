/** Which topics there must be, may be, and must not be, as clients know it. */
import type { History } from "./history.ts";
import { PartitionModel, type Retention } from "./partition-model.ts";

export interface TopicModel {
  readonly name: string;
  readonly id: string;
  readonly partitions: readonly PartitionModel[];
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

  /** A topic that was not known before. */
  private learn({ name, id, partitions }: ListedTopic): TopicModel {
    const { history } = this;
    const holder = this.byName(name);
    history.check("a name is one topic's", holder === undefined, () => `${name} is ${holder!.id} and ${id}`);
    const retention = this.retention.get(name) ?? { ms: null, bytes: null };
    const models = Array.from({ length: partitions }, (_, i) => new PartitionModel(history, `${name}-${i}`, id, i, retention));
    const topic = { name, id, partitions: models, deletionSent: false, gone: false, serial: this.byId.size };
    this.byId.set(id, topic);
    return topic;
  }

  /** A new life of the broker has shown its topics: what it still lists, no old request will delete. */
  settle(): void {
    for (const topic of this.present) topic.deletionSent = false;
  }

  /** A list of all topics was answered. `before`: those that had to be there when it was asked for. */
  listed(found: readonly ListedTopic[], before: readonly TopicModel[]): void {
    const { history } = this;
    const ids = new Map(found.map((topic) => [topic.id, topic]));
    for (const topic of before)
      if (!topic.deletionSent)
        history.check("a topic stays until it is deleted", ids.has(topic.id), () => `${topic.name} (${topic.id}) is not listed`);
    for (const [id, listed] of ids) {
      const known = this.byId.get(id);
      if (known === undefined) this.learn(listed);
      else history.check("a deleted topic stays away", !known.gone, () => `${known.name} (${id}) is listed`);
    }
    const names = found.map(({ name }) => name);
    history.check("a name is one topic's", new Set(names).size === names.length, () => names.join());
    for (const topic of before) if (topic.deletionSent && !ids.has(topic.id)) topic.gone = true;
  }
}
