/**
 * What this broker knows of the cluster: built from the watch of the metadata store and from nothing else. The broker acts on the
 * image, never on the outcome of its own call, so that one broker and many follow the same path.
 *
 * A topic that is being deleted has left the image; its key stays in the store, in state "deleting", until everything that
 * `onTopicDeleted` started has finished. A restart in between starts it again.
 */
import { KafkaError } from "../protocol/errors.ts";
import { ConfigsImage } from "./configs-image.ts";
import { brokerKey, CONFIG_SCOPES, type ConfigScope, parseKey, resourceConfigKey, topicConfigKey, topicKey } from "./keys.ts";
import type { KV, KVEvent, MetadataStore, Rev } from "./store.ts";
import { isInternalTopic, unifiedTopicName } from "./topic-name.ts";
import {
  type BrokerValue,
  decodeBroker,
  decodeCluster,
  decodeConfig,
  decodeFeatures,
  decodeTopic,
  type PartitionValue,
  type TopicValue,
} from "./values.ts";

/** One partition as the cluster sees it. Source: PartitionRegistration. */
export type PartitionImage = Readonly<PartitionValue>;

/** One topic; never changed in place: a change makes a new one. */
export interface TopicImage {
  readonly name: string;
  readonly id: string;
  readonly isInternal: boolean;
  /** Partition n stands at n. */
  readonly partitions: readonly PartitionImage[];
  /** What was set for this topic, by Kafka's names. */
  readonly configs: ReadonlyMap<string, string>;
}

export type BrokerImage = Readonly<BrokerValue>;

type TopicListener = (topic: TopicImage) => void | Promise<void>;

const NO_CONFIGS: ReadonlyMap<string, string> = new Map();

/** The configs of one topic, and the revision that put them. */
interface TopicConfigs {
  readonly mod: Rev;
  readonly entries: ReadonlyMap<string, string>;
}

export class MetadataImage {
  /** "" before the cluster is bootstrapped. */
  clusterId = "";
  /** Everything up to this revision is in the image. */
  rev: Rev = 0n;
  /** Feature levels that the cluster has agreed on. */
  features: ReadonlyMap<string, number> = new Map();
  /** What was set for brokers, groups and subscriptions. */
  readonly configs = new ConfigsImage();

  private readonly onFatal: (error: unknown) => void;
  private readonly byName = new Map<string, TopicImage>();
  private readonly byId = new Map<string, TopicImage>();
  private readonly byUnifiedName = new Map<string, TopicImage>();
  private readonly brokersById = new Map<number, BrokerImage>();
  /** The topic values as stored, deleting ones too, and their configs: topics are put together from both. */
  private readonly topicValues = new Map<string, KV>();
  private readonly topicConfigs = new Map<string, TopicConfigs>();
  private readonly deleting = new Set<string>();
  private readonly created: TopicListener[] = [];
  private readonly grown: ((topic: TopicImage, before: TopicImage) => Promise<void>)[] = [];
  private readonly changed: ((topic: TopicImage, before: TopicImage) => void)[] = [];
  private readonly deleted: TopicListener[] = [];
  private readonly configured: ((scope: ConfigScope, name: string) => void)[] = [];
  private readonly released: ((topic: TopicImage) => void)[] = [];
  private waiters: { rev: Rev; resolve: () => void; reject: (error: KafkaError) => void }[] = [];
  private ended = false;

  /** `onFatal` gets what makes going on impossible: a value of a newer version, a listener that threw. */
  constructor(onFatal: (error: unknown) => void) {
    this.onFatal = onFatal;
  }

  /** Takes everything that is in the store, then follows it until the store closes. Register listeners before. */
  async follow(store: MetadataStore): Promise<void> {
    const rev = await this.resync(store);
    this.run(store, rev).catch(this.onFatal);
  }

  topicByName(name: string): TopicImage | undefined {
    return this.byName.get(name);
  }

  topicById(id: string): TopicImage | undefined {
    return this.byId.get(id);
  }

  /** The topic whose name is equal to another, or collides with it: see `unifiedTopicName`. */
  topicByUnifiedName(unified: string): TopicImage | undefined {
    return this.byUnifiedName.get(unified);
  }

  /** The topic as it stands in the store, for guards: live, or being deleted. */
  topicEntry(id: string): KV | undefined {
    return this.topicValues.get(id);
  }

  topics(): Iterable<TopicImage> {
    return this.byName.values();
  }

  get topicCount(): number {
    return this.byName.size;
  }

  /** Partitions of all topics. */
  get partitionCount(): number {
    let count = 0;
    for (const { partitions } of this.byName.values()) count += partitions.length;
    return count;
  }

  /** 0 for a feature that is off. The features that there are: features.ts. */
  featureLevel(name: string): number {
    return this.features.get(name) ?? 0;
  }

  /** The registered brokers, in the order of their ids. */
  brokers(): BrokerImage[] {
    return [...this.brokersById.values()].sort((a, b) => a.nodeId - b.nodeId);
  }

  broker(nodeId: number): BrokerImage | undefined {
    return this.brokersById.get(nodeId);
  }

  /**
   * Called for every topic that appears, at the start too; never again for the same id. Only when all listeners have finished
   * is the topic in the image, and `reached` says so: whoever is told of a topic can use it. Topics that appear in one
   * transaction are told together, and what follows in the store waits. A rejection is fatal.
   */
  onTopicCreated(listener: TopicListener): void {
    this.created.push(listener);
  }

  /**
   * Called when a topic has more partitions than before. As with a topic that appears, the image shows them when all listeners have finished.
   * A rejection is fatal.
   */
  onTopicGrown(listener: (topic: TopicImage, before: TopicImage) => Promise<void>): void {
    this.grown.push(listener);
  }

  /** Called when the partitions or the configs of a topic changed; what throws is fatal. */
  onTopicChanged(listener: (topic: TopicImage, before: TopicImage) => void): void {
    this.changed.push(listener);
  }

  /**
   * Called when a topic has left the image: remove what it has. At the start too, for topics whose deletion had begun, so it
   * must be repeatable. Once all listeners have finished, the store forgets the topic. A rejection is fatal.
   */
  onTopicDeleted(listener: TopicListener): void {
    this.deleted.push(listener);
  }

  /** Called when every listener of `onTopicDeleted` has finished with a topic. */
  onTopicReleased(listener: (topic: TopicImage) => void): void {
    this.released.push(listener);
  }

  /**
   * Called when the configs of a broker, a group or a subscription changed, before topics of the same transaction appear; at the
   * start for those that are set. What throws is fatal.
   */
  onConfigured(listener: (scope: ConfigScope, name: string) => void): void {
    this.configured.push(listener);
  }

  /** What was set for a topic, for guards: the revision that put it, 0n when nothing is set. */
  topicConfigRev(id: string): Rev {
    return this.topicConfigs.get(id)?.mod ?? 0n;
  }

  /** Resolves when the image holds everything up to `rev`; rejects when the store closes before. */
  reached(rev: Rev): Promise<void> {
    if (rev <= this.rev) return Promise.resolve();
    if (this.ended) return Promise.reject(closing());
    return new Promise((resolve, reject) => this.waiters.push({ rev, resolve, reject }));
  }

  private async run(store: MetadataStore, after: Rev): Promise<void> {
    for (let rev: Rev | null = after; rev !== null; ) {
      let next: Rev | null = null;
      for await (const item of store.watch("", rev)) {
        if (item.type === "events") await this.apply(item.rev, item.events);
        else next = await this.resync(store);
      }
      rev = next;
    }
    this.ended = true;
    for (const waiter of this.waiters.splice(0)) waiter.reject(closing());
  }

  /** Replaces what we know by a snapshot; listeners hear of the difference. */
  private async resync(store: MetadataStore): Promise<Rev> {
    const { rev, kvs } = await store.snapshot("");
    const keys = new Set(kvs.map((kv) => kv.key));
    const gone = this.keys().filter((key) => !keys.has(key));
    const events: KVEvent[] = [
      ...kvs.map((kv) => ({ type: "put" as const, kv })),
      ...gone.map((key) => ({ type: "delete" as const, key })),
    ];
    await this.apply(rev, events);
    return rev;
  }

  /** The keys that the image is made of and that can disappear. */
  private keys(): string[] {
    const topics = [...this.topicValues.keys()].map(topicKey);
    const configs = [...this.topicConfigs.keys()].map(topicConfigKey);
    const brokers = [...this.brokersById.keys()].map(brokerKey);
    const resources = CONFIG_SCOPES.flatMap((scope) => this.configs.names(scope).map((name) => resourceConfigKey(scope, name)));
    return [...topics, ...configs, ...brokers, ...resources];
  }

  /** One transaction: first all of it, then the listeners, so that nobody sees half. What goes makes room for what comes. */
  private async apply(rev: Rev, events: readonly KVEvent[]): Promise<void> {
    const touched = new Set<string>();
    const configured: [ConfigScope, string][] = [];
    for (const event of events) this.take(event, touched, configured);
    for (const [scope, name] of configured) for (const listener of this.configured) listener(scope, name);
    const created: TopicImage[] = [];
    const changed: TopicImage[] = [];
    for (const [id, value] of this.removeTopics(touched)) (this.byId.has(id) ? changed : created).push(this.topicOf(id, value));
    await Promise.all([
      ...created.flatMap((topic) => this.created.map((listener) => listener(topic))),
      ...changed.flatMap((topic) => this.growTopic(topic)),
    ]);
    for (const topic of created) this.putTopic(topic);
    for (const topic of changed) this.changeTopic(topic);
    this.rev = rev;
    let reached = 0;
    while (reached < this.waiters.length && this.waiters[reached]!.rev <= rev) reached++;
    for (const waiter of this.waiters.splice(0, reached)) waiter.resolve();
  }

  /** Removes those of the touched topics that are not live any more; gives the others. */
  private removeTopics(touched: ReadonlySet<string>): [id: string, value: TopicValue][] {
    const live: [string, TopicValue][] = [];
    for (const id of touched) {
      const kv = this.topicValues.get(id);
      const value = kv === undefined ? null : decodeTopic(kv);
      if (value?.state === "live") live.push([id, value]);
      else this.removeTopic(id, value);
    }
    return live;
  }

  /** Keeps what one event says; topics that it concerns go to `touched`, other resources whose configs it changes to `configured`. */
  private take(event: KVEvent, touched: Set<string>, configured: [ConfigScope, string][]): void {
    const key = event.type === "put" ? event.kv.key : event.key;
    const kv = event.type === "put" ? event.kv : null;
    const parsed = parseKey(key);
    const { id } = parsed;
    switch (parsed.kind) {
      case "resourceConfig":
        if (this.configs.take(parsed.scope, id, kv)) configured.push([parsed.scope, id]);
        return;
      case "cluster":
        if (kv !== null) this.clusterId = decodeCluster(kv).clusterId;
        return;
      case "features":
        if (kv !== null) this.features = decodeFeatures(kv);
        return;
      case "broker":
        if (kv === null) this.brokersById.delete(Number(id));
        else this.brokersById.set(Number(id), decodeBroker(kv));
        return;
      case "topic":
        if (this.topicValues.get(id)?.mod === kv?.mod) return;
        if (kv === null) this.topicValues.delete(id);
        else this.topicValues.set(id, kv);
        touched.add(id);
        return;
      case "topicConfig":
        if (this.topicConfigs.get(id)?.mod === kv?.mod) return;
        if (kv === null) this.topicConfigs.delete(id);
        else this.topicConfigs.set(id, { mod: kv.mod, entries: decodeConfig(kv) });
        touched.add(id);
        return;
      case "other": // names, producer ids, incarnations: read in the store by those who write them
        return;
    }
  }

  /** The topic is being deleted, or (null) not in the store any more. */
  private removeTopic(id: string, value: TopicValue | null): void {
    const before = this.byId.get(id);
    if (before !== undefined) {
      this.byId.delete(id);
      this.byName.delete(before.name);
      this.byUnifiedName.delete(unifiedTopicName(before.name));
    }
    if (value === null) {
      this.deleting.delete(id);
      if (before !== undefined) this.release(before); // we never saw it being deleted: a resync lies between
    } else if (!this.deleting.has(id)) {
      this.deleting.add(id);
      this.release(before ?? this.topicOf(id, value));
    }
  }

  private growTopic(topic: TopicImage): Promise<void>[] {
    const before = this.byId.get(topic.id)!;
    if (topic.partitions.length <= before.partitions.length) return [];
    return this.grown.map((listener) => listener(topic, before));
  }

  private changeTopic(topic: TopicImage): void {
    const before = this.byId.get(topic.id)!;
    this.putTopic(topic);
    for (const listener of this.changed) listener(topic, before);
  }

  private putTopic(topic: TopicImage): void {
    this.byId.set(topic.id, topic);
    this.byName.set(topic.name, topic);
    this.byUnifiedName.set(unifiedTopicName(topic.name), topic);
  }

  private topicOf(id: string, value: TopicValue): TopicImage {
    const configs = this.topicConfigs.get(id)?.entries ?? NO_CONFIGS;
    return { name: value.name, id, isInternal: isInternalTopic(value.name), partitions: value.partitions, configs };
  }

  private release(topic: TopicImage): void {
    Promise.all(this.deleted.map((listener) => listener(topic)))
      .then(() => {
        for (const listener of this.released) listener(topic);
      })
      .catch(this.onFatal);
  }
}

const closing = (): KafkaError => new KafkaError("BROKER_NOT_AVAILABLE", "the broker is stopping");
