/**
 * Topics as admin requests see them: made, deleted, made on first use. What is decided here goes into the metadata store and comes
 * back through the image; nothing else is told of it. Source: ReplicationControlManager, ControllerApis, DefaultAutoTopicCreationManager.
 */
import type { Logger } from "../base/logger.ts";
import type { ServerConfig } from "../config/server-options.ts";
import { type Random, randomUuid } from "../io/random.ts";
import type { MetadataImage, TopicImage } from "../metadata/image.ts";
import { topicConfigKey, topicKey, topicNameKey } from "../metadata/keys.ts";
import { type KV, MAX_TXN_OPS, type MetadataStore, type Op, type Rev } from "../metadata/store.ts";
import { GROUP_METADATA_TOPIC, isInternalTopic, TRANSACTION_STATE_TOPIC, topicNameFault } from "../metadata/topic-name.ts";
import { decodeTopic, decodeTopicName, encodeConfig, encodeTopic, encodeTopicName } from "../metadata/values.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import { type DeleteResult, type DeleteTarget, resolveTargets, unknownTopicId } from "./topics-delete.ts";
import {
  checkPartitionCount,
  type ForeignTopic,
  type NewTopic,
  nameTaken,
  type Plan,
  type PlanContext,
  planForeignTopic,
  planTopics,
} from "./topics-plan.ts";

export interface TopicsOptions {
  readonly config: ServerConfig;
  readonly store: MetadataStore;
  readonly image: MetadataImage;
  readonly random: Random;
  readonly logger: Logger;
}

/** One topic of CreateTopics: made (or, with validateOnly, as it would be), or refused. */
export type CreateResult =
  | { readonly name: string; readonly error: null; readonly topic: TopicImage }
  | { readonly name: string; readonly error: KafkaError };

/** Topic, name, configs. */
const OPS_PER_CREATION = 3;
const TOPICS_PER_TXN = Math.floor(MAX_TXN_OPS / OPS_PER_CREATION);
/** An outcome that is unknown, or a race that is lost, is looked at again so many times. */
const MAX_ATTEMPTS = 10;
/** Names that are being made on first use; more are answered all the same and made when they are asked for again. */
const MAX_AUTO_CREATING = 10_000;

export class Topics {
  private readonly o: TopicsOptions;
  private readonly image: MetadataImage;
  private readonly autoCreating = new Set<string>();
  private readonly ensuring = new Map<string, Promise<TopicImage>>();
  private released: TopicImage[] = [];

  /** Registers with the image, so it must exist before the image begins to follow the store. */
  constructor(o: TopicsOptions) {
    this.o = o;
    this.image = o.image;
    o.image.onTopicReleased((topic) => this.forget(topic));
  }

  /**
   * Makes topics, each for itself; resolves when they are durable and in the image. Results stand in the order of the request,
   * names that stand twice last. Throws POLICY_VIOLATION for too many partitions in all.
   */
  async create(topics: readonly NewTopic[], options: { readonly validateOnly: boolean }): Promise<CreateResult[]> {
    checkPartitionCount(topics, this.image.partitionCount, this.o.config);
    const plans = planTopics(topics, this.planContext());
    if (!options.validateOnly) await this.commit(plans);
    return [...plans].map(([name, plan]) =>
      plan instanceof KafkaError ? { name, error: plan } : { name, error: null, topic: plan },
    );
  }

  /** Deletes topics, each for itself; resolves when that is durable and they have left the image. Their files go in the background. */
  async delete(targets: readonly DeleteTarget[]): Promise<DeleteResult[]> {
    if (!this.o.config.deleteTopicEnable) throw new KafkaError("TOPIC_DELETION_DISABLED", "Topic deletion is disabled.");
    const { results, found } = resolveTargets(targets, this.image);
    const ids = [...found.keys()];
    for (let at = 0; at < ids.length; at += MAX_TXN_OPS / 2) {
      const errors = await this.markDeleted(ids.slice(at, at + MAX_TXN_OPS / 2));
      for (const [topicId, error] of errors) results.push({ name: found.get(topicId)!, topicId, error });
    }
    return results;
  }

  /**
   * For topics that a client asked for and that do not exist: begins to make them, and gives the error to answer with meanwhile.
   * Clients ask again. What comes of it is in the image, or in the logger.
   */
  autoCreate(names: Iterable<string>): Map<string, ErrorName> {
    const answers = new Map<string, ErrorName>();
    const wanted: NewTopic[] = [];
    for (const name of names) {
      const invalid = topicNameFault(name) !== null;
      answers.set(name, invalid ? "INVALID_TOPIC_EXCEPTION" : "UNKNOWN_TOPIC_OR_PARTITION");
      if (invalid || isNotOursYet(name) || this.autoCreating.has(name) || this.autoCreating.size >= MAX_AUTO_CREATING) continue;
      this.autoCreating.add(name);
      wanted.push(this.usual(name));
    }
    if (wanted.length > 0) this.createInBackground(wanted);
    return answers;
  }

  /** The internal topic of this name, made with its own configs when there is none. Rejects with a KafkaError. */
  ensureInternal(name: string): Promise<TopicImage> {
    const existing = this.image.topicByName(name);
    if (existing !== undefined) return Promise.resolve(existing);
    let ensuring = this.ensuring.get(name);
    if (ensuring === undefined) {
      ensuring = this.createInternal(name).finally(() => this.ensuring.delete(name));
      this.ensuring.set(name, ensuring);
    }
    return ensuring;
  }

  /** What `adopt` would make known, or why it would not. Internal topics get their own configs. */
  planForeign(topic: ForeignTopic): Plan {
    const { config } = this.o;
    const entry = this.image.topicEntry(topic.id);
    if (entry !== undefined) {
      const { name, state } = decodeTopic(entry);
      const holder = state === "live" ? `topic '${name}'` : `topic '${name}', which is being deleted; try again`;
      return new KafkaError("TOPIC_ALREADY_EXISTS", `Topic id ${topic.id} is that of ${holder}.`);
    }
    const configs = isInternalTopic(topic.name) ? this.usual(topic.name).configs : topic.configs;
    return planForeignTopic({ ...topic, configs }, config.nodeId, this.planContext());
  }

  /** Makes a planned topic known whose logs are here. Resolves when it is durable and in the image; rejects with a KafkaError, then it is not. */
  async adopt(topic: TopicImage): Promise<void> {
    const guard = [topicNameKey(topic.name), topicKey(topic.id)].map((key) => ({ key, create: 0n }));
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const result = await this.o.store.txn(guard, creation(topic));
      if (result.kind === "unknown") continue;
      if (result.kind === "conflict") {
        const holder = result.current.get(topicNameKey(topic.name));
        // After an outcome that was unknown, the holder may be this very topic.
        const isOurs = attempt > 0 && holder !== undefined && decodeTopicName(holder).topicId === topic.id;
        if (!isOurs) throw new KafkaError("TOPIC_ALREADY_EXISTS", `Topic '${topic.name}', or one of its id, already exists.`);
      }
      return await this.image.reached(result.rev);
    }
    throw new KafkaError("REQUEST_TIMED_OUT");
  }

  private async createInternal(name: string): Promise<TopicImage> {
    const [result] = await this.create([this.usual(name)], { validateOnly: false });
    const topic = this.image.topicByName(name); // ours, or one that somebody else made meanwhile
    if (topic === undefined) throw result!.error ?? new KafkaError("UNKNOWN_TOPIC_OR_PARTITION", `${name} was deleted`);
    return topic;
  }

  private createInBackground(wanted: readonly NewTopic[]): void {
    this.create(wanted, { validateOnly: false })
      .then((results) => {
        for (const { name, error } of results) {
          if (error === null) this.o.logger.info("topic created on first use", { topic: name });
          else
            this.o.logger.warn("a topic could not be created on first use", {
              topic: name,
              error: error.error,
              detail: error.message,
            });
        }
      })
      .catch((error: unknown) => this.o.logger.warn("topics could not be created on first use", { error: String(error) }))
      .finally(() => {
        for (const { name } of wanted) this.autoCreating.delete(name);
      });
  }

  /** What a topic is when nobody said more than its name. */
  private usual(name: string): NewTopic {
    const { config } = this.o;
    if (name === TRANSACTION_STATE_TOPIC) return usualTransactionState(config);
    if (name !== GROUP_METADATA_TOPIC) return { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };
    // GroupCoordinatorConfig, GroupCoordinatorService.groupMetadataTopicConfigs
    const configs = [
      { name: "cleanup.policy", value: "compact" },
      { name: "compression.type", value: "producer" },
      { name: "segment.bytes", value: `${config.offsetsTopicSegmentBytes}` },
    ];
    return { name, numPartitions: config.offsetsTopicNumPartitions, replicationFactor: -1, assignments: [], configs };
  }

  private planContext(): PlanContext {
    const { config, random, image } = this.o;
    return {
      config,
      brokerIds: image.brokers().map((broker) => broker.nodeId),
      existing: (unified) => image.topicByUnifiedName(unified)?.name,
      newTopicId: () => randomUuid(random),
    };
  }

  /** Stores what was planned; a plan that lost its name to another becomes an error. */
  private async commit(plans: Map<string, Plan>): Promise<void> {
    const topics = [...plans.values()].filter((plan): plan is TopicImage => !(plan instanceof KafkaError));
    let last: Rev = 0n;
    for (let at = 0; at < topics.length; at += TOPICS_PER_TXN) {
      const { rev, refused } = await this.commitSome(topics.slice(at, at + TOPICS_PER_TXN));
      last = rev;
      for (const [name, error] of refused) plans.set(name, error);
    }
    await this.image.reached(last);
  }

  /** One transaction, again without those whose name was taken meanwhile. Trying again after an unknown outcome is safe: the ids are the same. */
  private async commitSome(topics: readonly TopicImage[]): Promise<{ rev: Rev; refused: Map<string, KafkaError> }> {
    const refused = new Map<string, KafkaError>();
    let wanted = topics;
    let rev: Rev = 0n;
    for (let attempt = 0; wanted.length > 0; attempt++) {
      const guard = wanted.map((topic) => ({ key: topicNameKey(topic.name), create: 0n }));
      const result =
        attempt < MAX_ATTEMPTS ? await this.o.store.txn(guard, wanted.flatMap(creation)) : { kind: "given up" as const };
      if (result.kind === "given up") throw new KafkaError("REQUEST_TIMED_OUT");
      if (result.kind === "unknown") continue;
      rev = result.rev;
      if (result.kind === "applied") break;
      wanted = wanted.filter((topic) => {
        const holder = result.current.get(topicNameKey(topic.name));
        if (holder === undefined) return true;
        const { name, topicId } = decodeTopicName(holder);
        if (topicId !== topic.id) refused.set(topic.name, nameTaken(topic.name, name));
        return false;
      });
    }
    return { rev, refused };
  }

  /** One transaction for some topics, again for those that changed meanwhile. The error of each, null when it is deleted. */
  private async markDeleted(ids: readonly string[]): Promise<Map<string, KafkaError | null>> {
    const outcome = new Map<string, KafkaError | null>();
    let current: ReadonlyMap<string, KV | undefined> = new Map(ids.map((id) => [topicKey(id), this.image.topicEntry(id)]));
    let doubtful = false; // a deletion of ours may have applied without our knowing
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const live: KV[] = [];
      for (const id of ids.filter((id) => !outcome.has(id))) {
        const kv = current.get(topicKey(id));
        if (kv !== undefined && decodeTopic(kv).state === "live") live.push(kv);
        else outcome.set(id, doubtful ? null : unknownTopicId());
      }
      if (live.length === 0) return outcome;
      const guard = live.map(({ key, mod }) => ({ key, mod }));
      const result = await this.o.store.txn(guard, live.flatMap(deletion));
      if (result.kind === "applied") {
        await this.image.reached(result.rev);
        return new Map(ids.map((id) => [id, outcome.get(id) ?? null]));
      }
      doubtful ||= result.kind === "unknown";
      current = result.kind === "conflict" ? result.current : await this.reread();
    }
    throw new KafkaError("REQUEST_TIMED_OUT");
  }

  private async reread(): Promise<Map<string, KV>> {
    const { kvs } = await this.o.store.snapshot(topicKey(""));
    return new Map(kvs.map((kv) => [kv.key, kv]));
  }

  /** Everything of the topic is gone: the store may forget it. What a crash or a full disk leaves is done again at the next start. */
  private forget(topic: TopicImage): void {
    this.released.push(topic);
    if (this.released.length > 1) return; // somebody is at it
    this.forgetReleased().catch((error: unknown) => {
      this.released = [];
      this.o.logger.warn("deleted topics could not be forgotten; the next start does it", { error: String(error) });
    });
  }

  private async forgetReleased(): Promise<void> {
    await Promise.resolve(); // those that are released together are forgotten together
    while (this.released.length > 0) {
      const some = this.released.slice(0, MAX_TXN_OPS / 2);
      await this.o.store.txn(
        [],
        some.flatMap(({ id }) => [{ del: topicKey(id) }, { del: topicConfigKey(id) }]),
      );
      this.released.splice(0, some.length);
      for (const { name, id } of some) this.o.logger.info("topic deleted", { topic: name, topicId: id });
    }
  }
}

/** Internal topics of features that are not served yet: they will know their own partitions and configs. */
const isNotOursYet = (name: string): boolean => isInternalTopic(name) && name !== GROUP_METADATA_TOPIC;

function creation(topic: TopicImage): Op[] {
  const { id, name, partitions, configs } = topic;
  const ops: Op[] = [
    { put: topicNameKey(name), value: encodeTopicName({ name, topicId: id }) },
    { put: topicKey(id), value: encodeTopic({ name, state: "live", partitions }) },
  ];
  if (configs.size > 0) ops.push({ put: topicConfigKey(id), value: encodeConfig(configs) });
  return ops;
}

/** The name is free from then on. */
function deletion(kv: KV): Op[] {
  const topic = decodeTopic(kv);
  return [{ del: topicNameKey(topic.name) }, { put: kv.key, value: encodeTopic({ ...topic, state: "deleting" }) }];
}

/** Source: TransactionCoordinator.transactionStateTopicConfigs. */
function usualTransactionState(config: ServerConfig): NewTopic {
  const configs = [
    { name: "unclean.leader.election.enable", value: "false" },
    { name: "compression.type", value: "uncompressed" },
    { name: "cleanup.policy", value: "compact" },
    { name: "min.insync.replicas", value: config.kafka.get("transaction.state.log.min.isr") ?? "1" },
    { name: "segment.bytes", value: `${config.transactionStateSegmentBytes}` },
  ];
  const numPartitions = config.transactionStateNumPartitions;
  return { name: TRANSACTION_STATE_TOPIC, numPartitions, replicationFactor: -1, assignments: [], configs };
}
