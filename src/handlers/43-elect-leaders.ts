/**
 * ElectLeaders: a partition that has the leader that it should have needs no election. Another replica that could lead is not to be had on
 * a single broker. Source: ReplicationControlManager.electLeaders.
 */
import type { PartitionImage, TopicImage } from "../metadata/image.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import { ElectLeaders } from "../protocol/messages/43-elect-leaders.ts";
import type { ResponseInput } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";
import { Told } from "./told.ts";

type ElectCall = Call<typeof ElectLeaders>;
type TopicAnswer = ResponseInput<typeof ElectLeaders>["replicaElectionResults"][number];
type PartitionAnswer = TopicAnswer["partitionResult"][number];

/** ElectionType. */
const PREFERRED = 0;
const UNCLEAN = 1;

const NO_LEADER = -1;

/** The words of org.apache.kafka.common.protocol.Errors. */
const MESSAGES = {
  ELECTION_NOT_NEEDED: "Leader election not needed for topic partition.",
  PREFERRED_LEADER_NOT_AVAILABLE: "The preferred leader was not available.",
  ELIGIBLE_LEADERS_NOT_AVAILABLE: "Eligible topic partition leaders are not available.",
} as const satisfies Partial<Record<ErrorName, string>>;

export const electLeaders = handler<typeof ElectLeaders>({
  api: ElectLeaders,
  served: "0-2",
  handle(call) {
    const { electionType, topicPartitions } = call.request;
    if (electionType !== PREFERRED && electionType !== UNCLEAN)
      throw new KafkaError("INVALID_REQUEST", `Unknown election type ${electionType}`);
    if (topicPartitions !== null) return call.reply({ errorCode: 0, replicaElectionResults: each(call, elect) });
    const topics = [...call.broker.image.topics()];
    call.reply({ errorCode: 0, replicaElectionResults: topics.map((topic) => electAll(topic, electionType)) });
  },
  onError: (error, call) => ({ errorCode: error.code, replicaElectionResults: each(call, () => error) }),
});

/** An answer for every partition that is named. */
function each(call: ElectCall, outcome: (call: ElectCall, topic: string, index: number) => KafkaError): TopicAnswer[] {
  const told = new Told();
  const named = call.request.topicPartitions ?? [];
  return named.map(({ topic, partitions }) => ({
    topic,
    partitionResult: partitions.map((index) => answer(index, outcome(call, topic, index), told)),
  }));
}

/** When all are asked for, those that need no election are left out. */
function electAll({ name: topic, partitions }: TopicImage, electionType: number): TopicAnswer {
  const told = new Told();
  const refused = partitions.map((partition) => ({ partition, error: refusal(partition, electionType) }));
  const wanting = refused.filter(({ error }) => error.error !== "ELECTION_NOT_NEEDED");
  return { topic, partitionResult: wanting.map(({ partition, error }) => answer(partition.index, error, told)) };
}

function elect({ broker, request }: ElectCall, name: string, index: number): KafkaError {
  const topic = broker.image.topicByName(name);
  if (topic === undefined) return new KafkaError("UNKNOWN_TOPIC_OR_PARTITION", `No such topic as ${name}`);
  const partition = topic.partitions[index];
  if (partition === undefined) return new KafkaError("UNKNOWN_TOPIC_OR_PARTITION", `No such partition as ${name}-${index}`);
  return refusal(partition, request.electionType);
}

function refusal({ leader, replicas }: PartitionImage, electionType: number): KafkaError {
  const isLed = electionType === PREFERRED ? leader === replicas[0] : leader !== NO_LEADER;
  const unavailable = electionType === PREFERRED ? "PREFERRED_LEADER_NOT_AVAILABLE" : "ELIGIBLE_LEADERS_NOT_AVAILABLE";
  const error = isLed ? "ELECTION_NOT_NEEDED" : unavailable;
  return new KafkaError(error, MESSAGES[error]);
}

const answer = (partitionId: number, { code, message }: KafkaError, told: Told): PartitionAnswer => ({
  partitionId,
  errorCode: code,
  errorMessage: told.message(message),
});
