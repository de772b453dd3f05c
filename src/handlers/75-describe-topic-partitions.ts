/**
 * DescribeTopicPartitions (KIP-966): topics in the order of their names, so many partitions at a time, and where to go on.
 * Source: DescribeTopicPartitionsRequestHandler, KRaftMetadataCache.describeTopicResponse.
 */
import { TOPIC_OPERATIONS } from "../broker/topics-authorized-operations.ts";
import type { MetadataImage, PartitionImage } from "../metadata/image.ts";
import { isInternalTopic, topicNameFault } from "../metadata/topic-name.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { DescribeTopicPartitions } from "../protocol/messages/75-describe-topic-partitions.ts";
import { type ResponseInput, ZERO_UUID } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";

type DescribeCall = Call<typeof DescribeTopicPartitions>;
type Answer = ResponseInput<typeof DescribeTopicPartitions>;
type TopicAnswer = Answer["topics"][number];

/** Kafka's default of max.request.partition.size.limit. */
const MAX_PARTITIONS = 2000;

export const describeTopicPartitions = handler<typeof DescribeTopicPartitions>({
  api: DescribeTopicPartitions,
  served: "0",
  handle(call) {
    call.reply(page(call));
  },
  onError: (error, call) => ({
    topics: call.request.topics.map(({ name }) => ({
      errorCode: error.code,
      name,
      topicId: ZERO_UUID,
      isInternal: false,
      partitions: [],
    })),
    nextCursor: null,
  }),
});

function page(call: DescribeCall): Answer {
  const { request } = call;
  const { image } = call.broker;
  const all = request.topics.length === 0;
  const topics: TopicAnswer[] = [];
  let room = Math.max(Math.min(MAX_PARTITIONS, request.responsePartitionLimit), 1);
  for (const name of namesFromCursor(call)) {
    if (room === 0) return { topics, nextCursor: { topicName: name, partitionIndex: 0 } };
    const topic = image.topicByName(name);
    if (topic === undefined) {
      if (!all) topics.push(missing(name));
      continue;
    }
    const from = request.cursor?.topicName === name ? request.cursor.partitionIndex : 0;
    const to = Math.min(topic.partitions.length, from + room);
    const partitions = topic.partitions.slice(from, to).map((partition) => describe(image, partition));
    topics.push({
      errorCode: 0,
      name,
      topicId: topic.id,
      isInternal: topic.isInternal,
      partitions,
      topicAuthorizedOperations: TOPIC_OPERATIONS,
    });
    if (to < topic.partitions.length) return { topics, nextCursor: { topicName: name, partitionIndex: to } };
    room -= partitions.length;
  }
  return { topics, nextCursor: null };
}

/** The names to describe, in order, without those before the cursor. */
function namesFromCursor({ request: { topics, cursor }, broker: { image } }: DescribeCall): string[] {
  const first = cursor?.topicName ?? "";
  const all = topics.length === 0;
  const names = new Set<string>();
  if (all) for (const topic of image.topics()) names.add(topic.name);
  else for (const topic of topics) names.add(topic.name);
  if (cursor !== null && !all && !names.has(cursor.topicName)) {
    const detail = `DescribeTopicPartitionsRequest topic list should contain the cursor topic: ${cursor.topicName}`;
    throw new KafkaError("INVALID_REQUEST", detail);
  }
  if (cursor !== null && cursor.partitionIndex < 0) {
    const shown = `Cursor(topicName='${cursor.topicName}', partitionIndex=${cursor.partitionIndex})`;
    throw new KafkaError("INVALID_REQUEST", `DescribeTopicPartitionsRequest cursor partition must be valid: ${shown}`);
  }
  return [...names].filter((name) => name >= first).sort();
}

function missing(name: string): TopicAnswer {
  const valid = topicNameFault(name) === null;
  return {
    errorCode: valid ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.INVALID_TOPIC_EXCEPTION,
    name,
    topicId: ZERO_UUID,
    isInternal: isInternalTopic(name),
    partitions: [],
    topicAuthorizedOperations: TOPIC_OPERATIONS,
  };
}

function describe(image: MetadataImage, partition: PartitionImage) {
  const alive = (nodeId: number) => image.broker(nodeId) !== undefined;
  return {
    errorCode: 0,
    partitionIndex: partition.index,
    leaderId: alive(partition.leader) ? partition.leader : -1,
    leaderEpoch: partition.leaderEpoch,
    replicaNodes: [...partition.replicas],
    isrNodes: [...partition.isr],
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    offlineReplicas: partition.replicas.filter((nodeId) => !alive(nodeId)),
  };
}
