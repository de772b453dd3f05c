/**
 * DescribeQuorum: the metadata log has one voter, this broker, which leads it. The epoch grows with every start, as that of a single
 * Kafka does. Source: KafkaRaftClient.handleDescribeQuorumRequest, RaftUtil.singletonDescribeQuorumResponse.
 */
import { CLUSTER_METADATA_TOPIC } from "../metadata/topic-name.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { DescribeQuorum } from "../protocol/messages/55-describe-quorum.ts";
import { type ResponseInput, ZERO_UUID } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";

type QuorumCall = Call<typeof DescribeQuorum>;
type Answer = ResponseInput<typeof DescribeQuorum>;

/** Our only listener has the name that Kafka gives to one that nobody named. */
const LISTENER = "PLAINTEXT";
const NOT_HOSTED = "This server does not host this topic-partition.";
/** What the message is when there is no error: Kafka leaves it at its default. */
const NO_MESSAGE = "";

export const describeQuorum = handler<typeof DescribeQuorum>({
  api: DescribeQuorum,
  served: "0-2",
  async handle(call) {
    call.reply(asksForMetadata(call) ? await quorum(call) : unknown(call));
  },
  onError: (error) => ({ errorCode: error.code, errorMessage: error.message || null, topics: [] }),
});

function asksForMetadata({ request: { topics } }: QuorumCall): boolean {
  const [topic] = topics;
  if (topics.length !== 1 || topic!.partitions.length !== 1) return false;
  return topic!.topicName === CLUSTER_METADATA_TOPIC && topic!.partitions[0]!.partitionIndex === 0;
}

async function quorum({ broker, connection }: QuorumCall): Promise<Answer> {
  const { nodeId, incarnation, store, clock } = broker;
  const end = Number(await store.barrier()); // a revision is the log end that a transaction leaves
  const nowMs = clock.nowMs();
  const voter = {
    replicaId: nodeId,
    replicaDirectoryId: ZERO_UUID, // as of a voter that is known by its id alone: kraft.version is 0
    logEndOffset: end,
    lastFetchTimestamp: nowMs,
    lastCaughtUpTimestamp: nowMs,
  };
  const partition = {
    partitionIndex: 0,
    errorCode: 0,
    errorMessage: NO_MESSAGE,
    leaderId: nodeId,
    leaderEpoch: incarnation,
    highWatermark: end,
    currentVoters: [voter],
    observers: [],
  };
  return {
    errorCode: 0,
    errorMessage: NO_MESSAGE,
    topics: [{ topicName: CLUSTER_METADATA_TOPIC, partitions: [partition] }],
    nodes: [{ nodeId, listeners: [{ name: LISTENER, ...broker.endpoint(connection) }] }],
  };
}

function unknown({ request }: QuorumCall): Answer {
  const topics = request.topics.map(({ topicName, partitions }) => ({
    topicName,
    partitions: partitions.map(({ partitionIndex }) => ({
      partitionIndex,
      errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      errorMessage: NOT_HOSTED,
      leaderId: 0,
      leaderEpoch: 0,
      highWatermark: 0,
      currentVoters: [],
      observers: [],
    })),
  }));
  return { errorCode: 0, errorMessage: NO_MESSAGE, topics };
}
