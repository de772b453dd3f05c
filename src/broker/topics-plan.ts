/**
 * What CreateTopics and CreatePartitions make of one topic, before anything is stored: their checks in Kafka's order and with Kafka's
 * messages, and the placement of replicas. Pure. Source: ReplicationControlManager.createTopics, ControllerApis.createTopics.
 */
import type { ServerConfig } from "../config/server-options.ts";
import { checkTopicConfigs } from "../config/topic-options.ts";
import type { PartitionImage, TopicImage } from "../metadata/image.ts";
import { CLUSTER_METADATA_TOPIC, isInternalTopic, topicNameFault, unifiedTopicName } from "../metadata/topic-name.ts";
import { KafkaError } from "../protocol/errors.ts";
import { valueLengthFault } from "./config-changes-plan.ts";

/** A topic as CreateTopics asks for it; -1 is "the default". */
export interface NewTopic {
  readonly name: string;
  readonly numPartitions: number;
  readonly replicationFactor: number;
  /** Empty: placed by us. */
  readonly assignments: readonly { readonly partitionIndex: number; readonly brokerIds: readonly number[] }[];
  readonly configs: readonly { readonly name: string; readonly value: string | null }[];
}

/** What the plan of a topic depends on. */
export interface PlanContext {
  readonly config: ServerConfig;
  /** The ids of the brokers that can hold replicas, in ascending order. */
  readonly brokerIds: readonly number[];
  /** The name of the topic that has a name's unified form already, undefined for none. */
  existing(unifiedName: string): string | undefined;
  newTopicId(): string;
}

/** A new topic, or why there is none. */
export type Plan = TopicImage | KafkaError;

/** Refuses a request that would make too many partitions, with those that exist or in itself, before anything is allocated. Throws POLICY_VIOLATION. */
export function checkPartitionCount(topics: readonly NewTopic[], existing: number, config: ServerConfig): void {
  let total = 0;
  for (const topic of topics) {
    if (topic.assignments.length > 0) total += topic.assignments.length;
    else if (topic.numPartitions === -1) total += config.numPartitions;
    else if (topic.numPartitions > 0) total += topic.numPartitions;
  }
  if (total > config.maxPartitionsPerRequest) {
    throw new KafkaError("POLICY_VIOLATION", "Excessively large number of partitions per request.");
  }
  if (existing + total > config.maxPartitions) {
    const detail = `The broker has ${existing} partitions and takes at most ${config.maxPartitions} (defaults.max_partitions).`;
    throw new KafkaError("POLICY_VIOLATION", detail);
  }
}

/** Plans every name of a request once: in the order of the request, names that stand twice last. */
export function planTopics(topics: readonly NewTopic[], context: PlanContext): Map<string, Plan> {
  const duplicates = duplicateNames(topics);
  const plans = new Map<string, Plan>();
  const planned = new Map<string, string>(); // unified name → name
  for (const topic of topics) {
    if (duplicates.has(topic.name)) continue;
    const unified = unifiedTopicName(topic.name);
    const plan = planTopic(topic, context.existing(unified) ?? planned.get(unified), context);
    plans.set(topic.name, plan);
    if (!(plan instanceof KafkaError)) planned.set(unified, topic.name);
  }
  for (const name of duplicates) plans.set(name, new KafkaError("INVALID_REQUEST", "Duplicate topic name."));
  return plans;
}

function duplicateNames(topics: readonly NewTopic[]): Set<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { name } of topics) {
    if (seen.has(name)) twice.add(name);
    seen.add(name);
  }
  return twice;
}

/** The error of a name that another topic has, or collides with. */
export const nameTaken = (name: string, holder: string): KafkaError =>
  name === holder
    ? new KafkaError("TOPIC_ALREADY_EXISTS", `Topic '${name}' already exists.`)
    : new KafkaError("INVALID_TOPIC_EXCEPTION", `Topic '${name}' collides with existing topic: ${holder}`);

function planTopic(topic: NewTopic, holder: string | undefined, context: PlanContext): Plan {
  const { name } = topic;
  if (name === CLUSTER_METADATA_TOPIC) {
    return new KafkaError("INVALID_REQUEST", `Creation of internal topic ${CLUSTER_METADATA_TOPIC} is prohibited.`);
  }
  const fault = topicNameFault(name);
  if (fault !== null) return new KafkaError("INVALID_TOPIC_EXCEPTION", fault);
  if (holder !== undefined) return nameTaken(name, holder);
  const configs = planConfigs(topic, context.config);
  if (configs instanceof KafkaError) return configs;
  const partitions = topic.assignments.length > 0 ? assignedPartitions(topic, context) : placedPartitions(topic, context);
  if (partitions instanceof KafkaError) return partitions;
  return { name, id: context.newTopicId(), isInternal: isInternalTopic(name), partitions, configs };
}

/** A topic whose logs exist already, written by another broker. */
export interface ForeignTopic {
  readonly name: string;
  readonly id: string;
  /** Partition n's stands at n: above all that stand in its log. */
  readonly leaderEpochs: readonly number[];
  readonly configs: NewTopic["configs"];
}

/** What becomes of such a topic: all its partitions are this broker's. The id is kept. */
export function planForeignTopic(topic: ForeignTopic, nodeId: number, context: PlanContext): Plan {
  const { name, id, leaderEpochs } = topic;
  const fault = topicNameFault(name);
  if (fault !== null) return new KafkaError("INVALID_TOPIC_EXCEPTION", fault);
  const holder = context.existing(unifiedTopicName(name));
  if (holder !== undefined) return nameTaken(name, holder);
  const configs = planConfigs(topic, context.config);
  if (configs instanceof KafkaError) return configs;
  const partitions = leaderEpochs.map((leaderEpoch, index) => newPartition(index, [nodeId], leaderEpoch));
  return { name, id, isInternal: isInternalTopic(name), partitions, configs };
}

function planConfigs({ configs }: Pick<NewTopic, "configs">, config: ServerConfig): ReadonlyMap<string, string> | KafkaError {
  const tooLong = valueLengthFault(configs.map(({ value }) => value));
  if (tooLong !== null) return tooLong;
  const fault = checkTopicConfigs(
    configs.map(({ name, value }) => [name, value] as const),
    config,
  );
  if (fault !== null) return new KafkaError("INVALID_CONFIG", fault);
  return new Map(configs.map(({ name, value }) => [name, value ?? ""]));
}

const newPartition = (index: number, replicas: readonly number[], leaderEpoch = 0): PartitionImage => ({
  index,
  leader: replicas[0]!,
  leaderEpoch,
  partitionEpoch: 0,
  replicas: [...replicas],
  isr: [...replicas],
});

function placedPartitions(topic: NewTopic, { config, brokerIds }: PlanContext): PartitionImage[] | KafkaError {
  if (topic.replicationFactor < -1 || topic.replicationFactor === 0) {
    return new KafkaError(
      "INVALID_REPLICATION_FACTOR",
      "Replication factor must be larger than 0, or -1 to use the default value.",
    );
  }
  if (topic.numPartitions < -1 || topic.numPartitions === 0) {
    return new KafkaError("INVALID_PARTITIONS", "Number of partitions was set to an invalid non-positive value.");
  }
  const count = topic.numPartitions === -1 ? config.numPartitions : topic.numPartitions;
  const factor = topic.replicationFactor === -1 ? config.defaultReplicationFactor : topic.replicationFactor;
  return place(0, count, factor, brokerIds);
}

/** `count` partitions from the index `first` on, each with `factor` replicas. */
function place(first: number, count: number, factor: number, brokerIds: readonly number[]): PartitionImage[] | KafkaError {
  if (factor > brokerIds.length) {
    return new KafkaError(
      "INVALID_REPLICATION_FACTOR",
      `Unable to replicate the partition ${factor} time(s): The target replication factor of ${factor} cannot be reached because only ${brokerIds.length} broker(s) are registered.`,
    );
  }
  const brokerAt = (n: number): number => brokerIds[n % brokerIds.length]!;
  return Array.from({ length: count }, (_, n) =>
    newPartition(
      first + n,
      Array.from({ length: factor }, (_, replica) => brokerAt(first + n + replica)),
    ),
  );
}

/** A topic that is to have more partitions, as CreatePartitions asks for it. */
export interface Growth {
  readonly name: string;
  /** Partitions in all. */
  readonly count: number;
  /** Null: placed by us. */
  readonly assignments: readonly { readonly brokerIds: readonly number[] }[] | null;
}

/** The partitions that come on top, or why there are none. Source: ReplicationControlManager.createPartitions. */
export function planGrowth(
  { name, count, assignments }: Growth,
  existing: readonly PartitionImage[],
  brokerIds: readonly number[],
): PartitionImage[] | KafkaError {
  const refuse = (detail: string) => new KafkaError("INVALID_REPLICA_ASSIGNMENT", detail);
  const has = existing.length;
  if (count === has) return new KafkaError("INVALID_PARTITIONS", `Topic already has ${has} partition(s).`);
  if (count < has) {
    const detail = `The topic ${name} currently has ${has} partition(s); ${count} would not be an increase.`;
    return new KafkaError("INVALID_PARTITIONS", detail);
  }
  const more = count - has;
  if (assignments !== null && assignments.length !== more) {
    return refuse(
      `Attempted to add ${more} additional partition(s), but only ${assignments.length} assignment(s) were specified.`,
    );
  }
  const factor = existing[0]!.replicas.length;
  if (assignments === null) return place(has, more, factor, brokerIds);
  for (const { brokerIds: replicas } of assignments) {
    const fault = assignmentFault(replicas, factor, brokerIds);
    if (fault !== null) return refuse(fault);
  }
  return assignments.map(({ brokerIds: replicas }, n) => newPartition(has + n, replicas));
}

function assignedPartitions(topic: NewTopic, { brokerIds }: PlanContext): PartitionImage[] | KafkaError {
  const refuse = (detail: string) => new KafkaError("INVALID_REPLICA_ASSIGNMENT", detail);
  for (const [field, value] of [
    ["replication factor", topic.replicationFactor],
    ["numPartitions", topic.numPartitions],
  ]) {
    if (value !== -1) {
      return new KafkaError("INVALID_REQUEST", `A manual partition assignment was specified, but ${field} was not set to -1.`);
    }
  }
  const replicasOf = new Map<number, readonly number[]>();
  let factor: number | null = null;
  for (const { partitionIndex, brokerIds: replicas } of topic.assignments) {
    if (replicasOf.has(partitionIndex)) {
      return refuse(`Found multiple manual partition assignments for partition ${partitionIndex}`);
    }
    const fault = assignmentFault(replicas, factor, brokerIds);
    if (fault !== null) return refuse(fault);
    factor = replicas.length;
    replicasOf.set(partitionIndex, replicas);
  }
  const partitions: PartitionImage[] = [];
  for (let index = 0; index < replicasOf.size; index++) {
    const replicas = replicasOf.get(index);
    if (replicas === undefined) return refuse("partitions should be a consecutive 0-based integer sequence");
    partitions.push(newPartition(index, replicas));
  }
  return partitions;
}

/** ReplicationControlManager.validateManualPartitionAssignment. `factor` null: any number of replicas. */
export function assignmentFault(replicas: readonly number[], factor: number | null, brokerIds: readonly number[]): string | null {
  if (replicas.length === 0) return "The manual partition assignment includes an empty replica list.";
  const sorted = [...replicas].sort((a, b) => a - b);
  for (const [n, id] of sorted.entries()) {
    if (!brokerIds.includes(id))
      return `The manual partition assignment includes broker ${id}, but no such broker is registered.`;
    if (n > 0 && sorted[n - 1] === id) return `The manual partition assignment includes the broker ${id} more than once.`;
  }
  if (factor !== null && replicas.length !== factor) {
    return `The manual partition assignment includes a partition with ${replicas.length} replica(s), but this is not consistent with previous partitions, which have ${factor} replica(s).`;
  }
  return null;
}
