/**
 * Produce: validate each batch, append it, and answer once the high watermark has passed it (acks 1 and -1 alike: with one
 * replica they mean the same). Synchronous to the append, so pipelined produces reach the log in the order they came.
 *
 * Where we differ, and why:
 * - `timeoutMs` is how long to wait for other replicas. There are none, so REQUEST_TIMED_OUT is never answered;
 * - a partition that is named twice gets both batches, and two answers. Kafka drops the first without a word;
 * - until transactions are served, their batches are answered as Kafka does for transactional ids that it never saw.
 */
import type { Broker } from "../broker/broker.ts";
import type { Partition } from "../broker/partition.ts";
import { isInternalTopic } from "../metadata/topic-name.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import { Produce } from "../protocol/messages/00-produce.ts";
import { BATCH_HEADER_BYTES, isTransactional, MAGIC, magic } from "../record/batch.ts";
import { type RecordError, RecordErrors, validateClientBatch } from "../record/validate.ts";
import { currentLeader, leaderNodes } from "./current-leader.ts";
import { type Call, handler } from "./handler.ts";

type ProduceCall = Call<typeof Produce>;
type TopicData = ProduceCall["request"]["topicData"][number];
type PartitionData = TopicData["partitionData"][number];

/** Mutable because a partition may close while its append waits to be durable. */
interface PartitionAnswer {
  index: number;
  errorCode: number;
  baseOffset: number;
  logAppendTimeMs: number;
  logStartOffset: number;
  recordErrors: RecordError[];
  errorMessage: string | null;
  currentLeader?: { leaderId: number; leaderEpoch: number };
}

/** Only Kafka's own administrative tools may write to internal topics (AdminUtils.ADMIN_CLIENT_ID). */
const ADMIN_CLIENT_ID = "__admin_client";

const LEADERS_SINCE = 10;
const IDS_SINCE = 13;

export const produce = handler<typeof Produce>({
  api: Produce,
  served: "3-13",
  advertised: "0-13", // KAFKA-18659: librdkafka before 2.x wants to see 0
  pipelined: true,
  keepsBytes: false,
  handle(call) {
    const { acks, transactionalId, topicData } = call.request;
    if (transactionalId === null && topicData.some(hasTransactionalBatch))
      throw new KafkaError("TRANSACTIONAL_ID_AUTHORIZATION_FAILED");
    const unpacking = { leftBytes: call.broker.config.maxDecompressedRequestBytes };
    let unanswered = 1;
    const responses = topicData.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitionResponses: topic.partitionData.map((data) => {
        const answer = failure(data.index, 0);
        const partition = append(call, topic, data, unpacking, answer);
        data.records = null; // it is in the log
        if (partition === null || acks === 0) return answer;
        unanswered++;
        partition.onceDurable(partition.logEndOffset, (error) => {
          if (error !== null) Object.assign(answer, failure(data.index, error.code));
          if (--unanswered === 0) finish();
        });
        return answer;
      }),
    }));
    const finish = (): void => (acks === 0 ? finishUnacknowledged(call, responses) : reply(call, responses));
    call.releaseRequest(); // the log has what it needs
    if (--unanswered === 0) finish();
  },
  onError(error, call) {
    return {
      responses: call.request.topicData.map((topic) => ({
        name: topic.name,
        topicId: topic.topicId,
        partitionResponses: topic.partitionData.map((data) => failure(data.index, error.code)),
      })),
    };
  },
});

const hasTransactionalBatch = ({ partitionData }: TopicData): boolean =>
  partitionData.some(
    ({ records: r }) => r !== null && r.length >= BATCH_HEADER_BYTES && magic(r, 0) === MAGIC && isTransactional(r, 0),
  );

/** Appends one partition's batch; writes what came of it into `answer`. Null if nothing was appended. */
function append(
  call: ProduceCall,
  topic: TopicData,
  data: PartitionData,
  unpacking: { leftBytes: number },
  answer: PartitionAnswer,
): Partition | null {
  const { broker } = call;
  const partition = findPartition(call, topic, data.index);
  if (partition instanceof KafkaError) {
    answer.errorCode = partition.code;
    return null;
  }
  try {
    const batch = validateClientBatch(data.records, broker.batchRules(partition, call.version, unpacking));
    if (batch.isTransactional) throw new KafkaError("INVALID_PRODUCER_ID_MAPPING");
    const appended = partition.append(batch);
    answer.baseOffset = appended.baseOffset;
    answer.logAppendTimeMs = appended.logAppendTimeMs;
    answer.logStartOffset = appended.logStartOffset;
    return partition;
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    explain(call, answer, error, partition);
    return null;
  }
}

function findPartition(call: ProduceCall, topic: TopicData, index: number): Partition | KafkaError {
  const { broker, version } = call;
  const partition = version >= IDS_SINCE ? broker.partitionById(topic.topicId, index) : broker.partition(topic.name, index);
  if (partition === undefined) return missing(broker, topic, version);
  const { acks } = call.request;
  if (acks !== -1 && acks !== 0 && acks !== 1) return new KafkaError("INVALID_REQUIRED_ACKS");
  if (isInternalTopic(partition.topic) && call.clientId !== ADMIN_CLIENT_ID) return new KafkaError("INVALID_TOPIC_EXCEPTION");
  return partition;
}

const missing = (broker: Broker, { topicId }: TopicData, version: number): KafkaError =>
  new KafkaError(
    version >= IDS_SINCE && broker.image.topicById(topicId) === undefined ? "UNKNOWN_TOPIC_ID" : "UNKNOWN_TOPIC_OR_PARTITION",
  );

function failure(index: number, errorCode: number): PartitionAnswer {
  return { index, errorCode, baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1, recordErrors: [], errorMessage: null };
}

/** Errors of what the producer is at (its records, its sequence) tell the log's start, in case it lost what it had written (ReplicaManager.appendToLocalLog). */
const TELL_LOG_START: ReadonlySet<string> = new Set<ErrorName>([
  "INVALID_TIMESTAMP",
  "OUT_OF_ORDER_SEQUENCE_NUMBER",
  "INVALID_PRODUCER_EPOCH",
  "INVALID_TXN_STATE",
]);

function explain(call: ProduceCall, answer: PartitionAnswer, error: KafkaError, partition: Partition): void {
  answer.errorCode = error.code;
  if (error.error === "NOT_LEADER_OR_FOLLOWER" && call.version >= LEADERS_SINCE) {
    const leader = currentLeader(call.broker, partition);
    if (leader !== null) answer.currentLeader = leader;
  }
  if (TELL_LOG_START.has(error.error) || error instanceof RecordErrors) answer.logStartOffset = partition.logStartOffset;
  if (!(error instanceof RecordErrors)) return;
  answer.errorMessage = error.message; // Kafka sends a message only with these
  answer.recordErrors = error.recordErrors;
}

type Responses = { name: string; topicId: string; partitionResponses: PartitionAnswer[] }[];

function reply(call: ProduceCall, responses: Responses): void {
  const leaderIds = leadersIn(responses);
  if (leaderIds === null) call.reply({ responses });
  else call.reply({ responses, nodeEndpoints: leaderNodes(call.broker, call.connection, leaderIds) });
}

/** Null, mostly. */
function leadersIn(responses: Responses): Set<number> | null {
  let leaderIds: Set<number> | null = null;
  for (const { partitionResponses } of responses) {
    for (const { currentLeader } of partitionResponses) {
      if (currentLeader !== undefined) leaderIds = (leaderIds ?? new Set()).add(currentLeader.leaderId);
    }
  }
  return leaderIds;
}

/** acks=0 is never answered; an error closes the connection, which is the only way to tell the client. */
function finishUnacknowledged(call: ProduceCall, responses: Responses): void {
  for (const topic of responses) {
    for (const answer of topic.partitionResponses) {
      if (answer.errorCode !== 0) return call.drop(`produce with acks=0 failed with error ${answer.errorCode}`);
    }
  }
  call.silence();
}
