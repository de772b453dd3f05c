/**
 * Produce: validate each batch, append it, and answer once the high watermark has passed it (acks 1 and -1 alike: with one
 * replica they mean the same). Synchronous to the append but for batches that would hold the loop for long (`produce-unpack.ts`), so
 * pipelined produces reach the log in the order they came.
 *
 * Where we differ, and why:
 * - `timeoutMs` is how long to wait for other replicas. There are none, so REQUEST_TIMED_OUT is never answered;
 * - a partition that is named twice gets both batches, and two answers. Kafka drops the first without a word;
 * - what waits for the transaction coordinator is dropped if its connection closes meanwhile. Kafka appends it all the same.
 */
import type { Broker } from "../broker/broker.ts";
import type { Partition } from "../broker/partition.ts";
import { isInternalTopic } from "../metadata/topic-name.ts";
import { ErrorCode, type ErrorName, KafkaError } from "../protocol/errors.ts";
import { Produce } from "../protocol/messages/00-produce.ts";
import { BATCH_HEADER_BYTES, isTransactional, MAGIC, magic, producerEpoch, producerId } from "../record/batch.ts";
import { type RecordError, RecordErrors, type ValidBatch } from "../record/validate.ts";
import { currentLeader, leaderNodes } from "./current-leader.ts";
import { type Call, handler } from "./handler.ts";
import { finish, type Incoming, inTurn, unpackAll } from "./produce-unpack.ts";
import { admissionError } from "./transaction-errors.ts";

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
/** KIP-890: clients know TRANSACTION_ABORTABLE; later, partitions are added to transactions by writing to them. */
const ABORTABLE_SINCE = 11;
const ADDS_SINCE = 12;
const IDS_SINCE = 13;

export const produce = handler<typeof Produce>({
  api: Produce,
  served: "3-13",
  advertised: "0-13", // KAFKA-18659: librdkafka before 2.x wants to see 0
  pipelined: true,
  keepsBytes: false,
  handle(call) {
    const { transactionalId, topicData } = call.request;
    checkTransactionalBatches(transactionalId, topicData);
    const unpacking = { leftBytes: call.broker.config.maxDecompressedRequestBytes };
    const arrivals: Arrival[] = [];
    const responses = topicData.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitionResponses: topic.partitionData.map((data) => {
        const answer = failure(data.index, 0);
        const arrival = arrive(call, topic, data, unpacking, answer);
        if (arrival !== null) arrivals.push(arrival);
        return answer;
      }),
    }));
    return inTurn(call.connection, unpackAll(call.broker.unpacker, arrivals), () => appendAll(call, arrivals, responses));
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

/** A batch for a partition that is there. */
interface Arrival extends Incoming {
  readonly partition: Partition;
  readonly answer: PartitionAnswer;
}

/** A batch that may be appended. */
interface Candidate {
  readonly partition: Partition;
  readonly batch: ValidBatch;
  readonly answer: PartitionAnswer;
}

const isTransactionalBatch = (r: Buffer | null): r is Buffer =>
  r !== null && r.length >= BATCH_HEADER_BYTES && magic(r, 0) === MAGIC && isTransactional(r, 0);

/** KafkaApis.handleProduceRequest, ReplicaManager.handleProduceAppend: they need an id, and are one producer's. */
function checkTransactionalBatches(transactionalId: string | null, topicData: readonly TopicData[]): void {
  let producer: string | null = null;
  for (const { partitionData } of topicData) {
    for (const { records } of partitionData) {
      if (!isTransactionalBatch(records)) continue;
      if (transactionalId === null) throw new KafkaError("TRANSACTIONAL_ID_AUTHORIZATION_FAILED");
      const each = `${producerId(records, 0)} ${producerEpoch(records, 0)}`;
      if (producer !== null && producer !== each)
        throw new KafkaError("INVALID_PRODUCER_ID_MAPPING", "Transactional records contained more than one producer ID");
      producer = each;
    }
  }
}

/** Null if the partition cannot be written to: why stands in `answer`. */
function arrive(
  call: ProduceCall,
  topic: TopicData,
  data: PartitionData,
  unpacking: { leftBytes: number },
  answer: PartitionAnswer,
): Arrival | null {
  const { records } = data;
  data.records = null; // it is the arrival's, until it is in the log
  const partition = findPartition(call, topic, data.index);
  if (partition instanceof KafkaError) {
    answer.errorCode = partition.code;
    return null;
  }
  const rules = call.broker.batchRules(partition, call.version, unpacking);
  return { records, rules, partition, answer, refuse: (error) => explain(call, answer, error, partition) };
}

/** Appends what may be appended, at once or when the transaction coordinator has admitted it, and answers when all of it is durable. */
function appendAll(call: ProduceCall, arrivals: readonly Arrival[], responses: Responses): void {
  const { acks } = call.request;
  const unadmitted: Candidate[] = [];
  let unanswered = 1;
  const answer = (): void => (acks === 0 ? finishUnacknowledged(call, responses) : reply(call, responses));
  const write = (candidate: Candidate): void => {
    const { partition, answer: own } = candidate;
    if (!append(call, candidate) || acks === 0) return;
    unanswered++;
    partition.onceDurable(partition.logEndOffset, (error) => {
      if (error !== null) Object.assign(own, failure(own.index, error.code));
      if (--unanswered === 0) answer();
    });
  };
  const end = (): void => {
    call.releaseRequest(); // the log has what it needs
    if (--unanswered === 0) answer();
  };
  for (const arrival of arrivals) {
    const batch = finish(arrival, call.broker.clock.nowMs());
    if (batch === null) continue;
    const candidate = { partition: arrival.partition, batch, answer: arrival.answer };
    if (needsAdmission(call, candidate)) unadmitted.push(candidate);
    else write(candidate);
  }
  if (unadmitted.length === 0) end();
  else admit(call, unadmitted, write, end);
}

/** False if it was not appended: what is wrong stands in its answer. */
function append(call: ProduceCall, { partition, batch, answer }: Candidate): boolean {
  try {
    const appended = partition.append(batch);
    answer.baseOffset = appended.baseOffset;
    answer.logAppendTimeMs = appended.logAppendTimeMs;
    answer.logStartOffset = appended.logStartOffset;
    return true;
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    explain(call, answer, error, partition);
    return false;
  }
}

/** Once a partition holds records of a transaction, the coordinator knows of it: then it need not be asked. Source: UnifiedLog.maybeStartTransactionVerification. */
function needsAdmission({ broker }: ProduceCall, { partition, batch }: Candidate): boolean {
  if (!batch.isTransactional) return false;
  const isOpen = partition.log.producers.hasOpenTransaction(batch.producerId, batch.producerEpoch);
  return !isOpen || broker.admissions.isWaiting(partition, batch.producerId);
}

/** Has the coordinator add the partitions to the transaction, or verify that they are in it; what may be written is written. */
function admit(
  call: ProduceCall,
  candidates: readonly Candidate[],
  write: (candidate: Candidate) => void,
  end: () => void,
): void {
  const { broker, request, version } = call;
  const transactionalId = request.transactionalId!;
  const { producerId: id, producerEpoch: epoch } = candidates[0]!.batch;
  const adds = version >= ADDS_SINCE;
  const partitions = new Map<string, Set<number>>();
  for (const { partition } of candidates) {
    partitions.set(partition.topic, (partitions.get(partition.topic) ?? new Set()).add(partition.index));
    broker.admissions.enter(partition, id);
  }
  broker.transactions.admit({ transactionalId, producerId: id, epoch, partitions, adds }, (error) => {
    for (const candidate of candidates) {
      const { partition, answer, batch } = candidate;
      broker.admissions.leave(partition, id);
      const isIn = error === null && broker.transactions.includes(transactionalId, id, epoch, partition.topic, partition.index);
      const isUnknown = adds && isIn && batch.baseSequence !== 0 && partition.log.producers.entry(id) === undefined;
      if (call.connection.closed) refuse(answer, "NETWORK_EXCEPTION", version);
      else if (!isIn) refuse(answer, error ?? (adds ? "INVALID_TXN_STATE" : "TRANSACTION_ABORTABLE"), version);
      else if (isUnknown) refuse(answer, "OUT_OF_ORDER_SEQUENCE_NUMBER", version);
      else write(candidate);
    }
    end();
  });
}

/** ReplicaManager.handleProduceAppend: errors of the coordinator as ones after which producers come again. */
function refuse(answer: PartitionAnswer, error: ErrorName, version: number): void {
  const told = admissionError(error, version >= ABORTABLE_SINCE);
  const comesAgain = RETRIED.has(told) || (told === "CONCURRENT_TRANSACTIONS" && version < ADDS_SINCE);
  answer.errorCode = ErrorCode[comesAgain ? "NOT_ENOUGH_REPLICAS" : told];
  if (comesAgain)
    answer.errorMessage = `Unable to verify the partition has been added to the transaction. Underlying error: ${told}`;
  else if (told === "INVALID_TXN_STATE") answer.errorMessage = "Partition was not added to the transaction";
}

const RETRIED: ReadonlySet<ErrorName> = new Set<ErrorName>([
  "NETWORK_EXCEPTION",
  "COORDINATOR_LOAD_IN_PROGRESS",
  "COORDINATOR_NOT_AVAILABLE",
  "NOT_COORDINATOR",
]);

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
