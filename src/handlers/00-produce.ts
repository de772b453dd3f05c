/**
 * Produce: validate each batch, append it, and answer once the high watermark has passed it (acks 1 and -1 alike: with one
 * replica they mean the same). Synchronous to the append, so pipelined produces reach the log in the order they came.
 */
import type { Broker } from "../broker/broker.ts";
import type { Partition } from "../broker/partition.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { Produce } from "../protocol/messages/00-produce.ts";
import { ZERO_UUID } from "../protocol/schema.ts";
import { type RecordError, RecordErrors, validateClientBatch } from "../record/validate.ts";
import { type Call, handler } from "./handler.ts";

type ProduceCall = Call<typeof Produce>;
type TopicData = ProduceCall["request"]["topicData"][number];

/** Mutable because a partition may close while its append waits to be durable. */
interface PartitionAnswer {
  index: number;
  errorCode: number;
  baseOffset: number;
  logAppendTimeMs: number;
  logStartOffset: number;
  recordErrors: RecordError[];
  errorMessage: string | null;
}

/** Only Kafka's own administrative tools may write to internal topics (AdminUtils.ADMIN_CLIENT_ID). */
const ADMIN_CLIENT_ID = "__admin_client";

export const produce = handler<typeof Produce>({
  api: Produce,
  served: "3-13",
  advertised: "0-13", // KAFKA-18659: librdkafka before 2.x wants to see 0
  pipelined: true,
  handle(call) {
    const { acks } = call.request;
    let unanswered = 1;
    const responses = call.request.topicData.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitionResponses: topic.partitionData.map((data) => {
        const answer = failure(data.index, 0);
        try {
          const partition = findPartition(call, topic, data.index);
          append(call, partition, data.records, answer);
          if (acks !== 0) {
            unanswered++;
            partition.onceDurable(partition.logEndOffset, (error) => {
              if (error !== null) Object.assign(answer, failure(data.index, error.code));
              if (--unanswered === 0) finish();
            });
          }
        } catch (error) {
          explain(call, answer, error);
        }
        return answer;
      }),
    }));
    const finish = (): void => (acks === 0 ? finishUnacknowledged(call, responses) : call.reply({ responses }));
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

function findPartition(call: ProduceCall, topic: TopicData, index: number): Partition {
  const { acks } = call.request;
  if (acks !== -1 && acks !== 0 && acks !== 1) throw new KafkaError("INVALID_REQUIRED_ACKS");
  const { broker } = call;
  const partition = call.version >= 13 ? broker.partitionById(topic.topicId, index) : broker.partition(topic.name, index);
  if (partition === undefined) throw missing(broker, topic, call.version);
  if (broker.isInternal(partition.topic) && call.clientId !== ADMIN_CLIENT_ID) {
    throw new KafkaError("INVALID_TOPIC_EXCEPTION", `The topic ${partition.topic} is internal.`);
  }
  return partition;
}

function missing(broker: Broker, topic: TopicData, version: number): KafkaError {
  const byUnknownId = version >= 13 && (topic.topicId === ZERO_UUID || broker.image.topicById(topic.topicId) === undefined);
  return new KafkaError(byUnknownId ? "UNKNOWN_TOPIC_ID" : "UNKNOWN_TOPIC_OR_PARTITION");
}

function append(call: ProduceCall, partition: Partition, records: Buffer | null, answer: PartitionAnswer): void {
  const { broker } = call;
  const batch = validateClientBatch(records, broker.batchRules(partition, call.version));
  if (batch.isTransactional || call.request.transactionalId !== null) {
    throw new KafkaError("INVALID_TXN_STATE", "Transactions are not served yet.");
  }
  const appended = partition.append(batch);
  answer.baseOffset = appended.baseOffset;
  answer.logAppendTimeMs = appended.logAppendTimeMs;
  answer.logStartOffset = appended.logStartOffset;
}

function failure(index: number, errorCode: number): PartitionAnswer {
  return { index, errorCode, baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1, recordErrors: [], errorMessage: null };
}

function explain(call: ProduceCall, answer: PartitionAnswer, error: unknown): void {
  if (!(error instanceof KafkaError)) throw error;
  // Clients before Produce v4 / Fetch v6 do not know KAFKA_STORAGE_ERROR.
  answer.errorCode = error.error === "KAFKA_STORAGE_ERROR" && call.version <= 3 ? ErrorCode.NOT_LEADER_OR_FOLLOWER : error.code;
  if (!(error instanceof RecordErrors)) return;
  answer.errorMessage = error.message; // Kafka sends a message only with these
  answer.recordErrors = error.recordErrors;
}

/** acks=0 is never answered; an error closes the connection, which is the only way to tell the client. */
function finishUnacknowledged(call: ProduceCall, responses: { partitionResponses: PartitionAnswer[] }[]): void {
  for (const topic of responses) {
    for (const answer of topic.partitionResponses) {
      if (answer.errorCode !== 0) return call.drop(`produce with acks=0 failed with error ${answer.errorCode}`);
    }
  }
  call.silence();
}
