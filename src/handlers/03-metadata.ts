/** Metadata: the brokers, and the topics that a client asks for, made on first use where that is allowed. Source: KafkaApis.handleTopicMetadataRequest. */
import { CLUSTER_OPERATIONS, OPERATIONS_NOT_REQUESTED, TOPIC_OPERATIONS } from "../broker/topics-authorized-operations.ts";
import { brokerNodes } from "../broker/topics-nodes.ts";
import type { PartitionImage, TopicImage } from "../metadata/image.ts";
import { isInternalTopic, topicNameFault } from "../metadata/topic-name.ts";
import { ErrorCode, type ErrorName, KafkaError } from "../protocol/errors.ts";
import { Metadata } from "../protocol/messages/03-metadata.ts";
import { type ResponseInput, ZERO_UUID } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";

type MetadataCall = Call<typeof Metadata>;
type TopicAnswer = ResponseInput<typeof Metadata>["topics"][number];

export const metadata = handler<typeof Metadata>({
  api: Metadata,
  served: "0-13",
  handle(call) {
    const { request, version, broker } = call;
    checkTopics(call);
    const topics =
      request.topics === null || (version === 0 && request.topics.length === 0) ? allTopics(call) : askedTopics(call);
    const brokers = brokerNodes(broker, call.connection);
    call.reply({
      brokers: brokers.map(({ nodeId, host, port, rack }) => ({ nodeId, host, port, rack })),
      clusterId: broker.image.clusterId,
      // Any broker that is alive, as in KRaft; but always one of the list above: some clients look it up there.
      controllerId: brokers.some(({ nodeId }) => nodeId === broker.nodeId) ? broker.nodeId : (brokers[0]?.nodeId ?? -1),
      topics,
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : OPERATIONS_NOT_REQUESTED,
    });
  },
  onError: (error, call) => ({
    brokers: [],
    topics: (call.request.topics ?? []).map(({ name, topicId }) => ({
      errorCode: error.code,
      name: name ?? "",
      topicId,
      isInternal: false,
      partitions: [],
    })),
    errorCode: error.code,
  }),
});

/** Versions 10 and 11 have the fields of a request by id, but do not serve it (KAFKA-12701). */
function checkTopics({ request, version }: MetadataCall): void {
  for (const { name, topicId } of request.topics ?? []) {
    if (name === null && version < 12) {
      throw new KafkaError("INVALID_REQUEST", `Topic name can not be null for version ${version}`);
    }
    if (topicId !== ZERO_UUID && version < 12) {
      throw new KafkaError("INVALID_REQUEST", `Topic IDs are not supported in requests for version ${version}`);
    }
    if (name === null && topicId === ZERO_UUID)
      throw new KafkaError("INVALID_REQUEST", "Neither topic name nor id were specified.");
  }
}

function allTopics(call: MetadataCall): TopicAnswer[] {
  const answers: TopicAnswer[] = [];
  for (const topic of call.broker.image.topics()) answers.push(known(call, topic));
  return answers;
}

/** If any id is asked for, names are not looked at: Kafka's rule. */
function askedTopics(call: MetadataCall): TopicAnswer[] {
  const topics = call.request.topics ?? [];
  const ids = new Set(topics.map(({ topicId }) => topicId).filter((id) => id !== ZERO_UUID));
  if (ids.size > 0) return [...ids].map((id) => byId(call, id));
  return byName(call, new Set(topics.map(({ name }) => name ?? "")));
}

function byId(call: MetadataCall, topicId: string): TopicAnswer {
  const topic = call.broker.image.topicById(topicId);
  if (topic !== undefined) return known(call, topic);
  return { errorCode: ErrorCode.UNKNOWN_TOPIC_ID, name: null, topicId, isInternal: false, partitions: [] };
}

function byName(call: MetadataCall, names: ReadonlySet<string>): TopicAnswer[] {
  const { image, topics, config } = call.broker;
  const answers: TopicAnswer[] = [];
  const missing: string[] = [];
  for (const name of names) {
    const topic = image.topicByName(name);
    if (topic === undefined) missing.push(name);
    else answers.push(known(call, topic));
  }
  const create = config.autoCreateTopicsEnable && call.request.allowAutoTopicCreation && missing.length > 0;
  const errors = create ? topics.autoCreate(missing) : null;
  for (const name of missing) answers.push(unknown(call, name, errors?.get(name) ?? missingError(name)));
  return answers;
}

const missingError = (name: string): ErrorName =>
  topicNameFault(name) === null ? "UNKNOWN_TOPIC_OR_PARTITION" : "INVALID_TOPIC_EXCEPTION";

const operations = (call: MetadataCall): number =>
  call.request.includeTopicAuthorizedOperations ? TOPIC_OPERATIONS : OPERATIONS_NOT_REQUESTED;

const unknown = (call: MetadataCall, name: string, error: ErrorName): TopicAnswer => ({
  errorCode: ErrorCode[error],
  name,
  topicId: ZERO_UUID,
  isInternal: isInternalTopic(name),
  partitions: [],
  topicAuthorizedOperations: operations(call),
});

function known(call: MetadataCall, topic: TopicImage): TopicAnswer {
  return {
    errorCode: 0,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.isInternal,
    partitions: topic.partitions.map((partition) => partitionAnswer(call, partition)),
    topicAuthorizedOperations: operations(call),
  };
}

/** Version 0 leaves out replicas that are not alive; later ones name them as offline. */
function partitionAnswer({ broker: { image }, version }: MetadataCall, partition: PartitionImage) {
  const alive = (nodeId: number) => image.broker(nodeId) !== undefined;
  const led = alive(partition.leader);
  const offlineReplicas = partition.replicas.filter((id) => !alive(id));
  const replicaNodes = version === 0 ? partition.replicas.filter(alive) : partition.replicas;
  const isrNodes = version === 0 ? partition.isr.filter(alive) : partition.isr;
  const incomplete = version === 0 && offlineReplicas.length > 0;
  return {
    errorCode: !led ? ErrorCode.LEADER_NOT_AVAILABLE : incomplete ? ErrorCode.REPLICA_NOT_AVAILABLE : 0,
    partitionIndex: partition.index,
    leaderId: led ? partition.leader : -1,
    leaderEpoch: partition.leaderEpoch,
    replicaNodes: [...replicaNodes],
    isrNodes: [...isrNodes],
    offlineReplicas,
  };
}
