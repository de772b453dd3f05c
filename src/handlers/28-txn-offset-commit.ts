/** TxnOffsetCommit: a group's offsets as a part of a transaction. Up to v4 the transaction must know of it, from v5 on it is told here (KIP-890). */
import type { CommitItem } from "../group/commands.ts";
import { GROUP_METADATA_TOPIC } from "../metadata/topic-name.ts";
import { ErrorCode, type ErrorName, KafkaError } from "../protocol/errors.ts";
import { TxnOffsetCommit } from "../protocol/messages/28-txn-offset-commit.ts";
import { type Call, handler } from "./handler.ts";
import { admissionError } from "./transaction-errors.ts";

type CommitCall = Call<typeof TxnOffsetCommit>;
type AskedTopic = CommitCall["request"]["topics"][number];

const LOADING_SINCE = 2;
const ABORTABLE_SINCE = 4;
const ADDS_SINCE = 5;
const IDS_SINCE = 6;

interface Answer {
  readonly partitionIndex: number;
  errorCode: number;
}

export const txnOffsetCommit = handler<typeof TxnOffsetCommit>({
  api: TxnOffsetCommit,
  served: "0-6",
  handle(call) {
    const { groupId, topics } = call.request;
    const answers = topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: ErrorCode.NONE as number })),
    }));
    const items: CommitItem[] = [];
    const pending: Answer[] = [];
    topics.forEach((topic, i) => {
      sort(call, topic, answers[i]!.partitions, items, pending);
    });
    const finish = (errorCodeOf: (i: number) => number): void => {
      pending.forEach((answer, i) => {
        answer.errorCode = loadingAs(call.version, errorCodeOf(i));
      });
      call.reply({ topics: answers });
    };
    if (items.length === 0) return finish(() => ErrorCode.NONE);
    if (groupId === "") return finish(() => ErrorCode.INVALID_GROUP_ID);
    admit(call, (error) => {
      if (error !== null) finish(() => ErrorCode[error]);
      else commit(call, items, finish);
    });
  },
  onError: (error, { request, version }) => ({
    topics: request.topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: loadingAs(version, error.code) })),
    })),
  }),
});

/** Producers before 2.0 do not survive COORDINATOR_LOAD_IN_PROGRESS (KAFKA-7296). */
const loadingAs = (version: number, errorCode: number): number =>
  version < LOADING_SINCE && errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    ? ErrorCode.COORDINATOR_NOT_AVAILABLE
    : errorCode;

/** Adds what may be committed to `items`, with its place in the answer to `pending`; what may not gets its error. */
function sort(call: CommitCall, topic: AskedTopic, answers: Answer[], items: CommitItem[], pending: Answer[]): void {
  const { image } = call.broker;
  const byId = call.version >= IDS_SINCE;
  const known = byId ? image.topicById(topic.topicId) : image.topicByName(topic.name);
  topic.partitions.forEach((partition, i) => {
    const answer = answers[i]!;
    const { partitionIndex, committedOffset: offset, committedLeaderEpoch: leaderEpoch, committedMetadata: metadata } = partition;
    if (known === undefined) answer.errorCode = byId ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    else if (known.partitions[partitionIndex] === undefined) answer.errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    else {
      pending.push(answer);
      items.push({ topic: known.name, topicId: known.id, partition: partitionIndex, offset, leaderEpoch, metadata });
    }
  });
}

/** The group's partition of __consumer_offsets must be in the transaction, or is added to it. */
function admit(call: CommitCall, answer: (error: ErrorName | null) => void): void {
  const { broker, request, version } = call;
  const { transactionalId, producerId, producerEpoch: epoch, groupId } = request;
  const index = broker.groups.offsetsPartitionOf(groupId);
  if (index === null) return answer("NOT_COORDINATOR");
  const adds = version >= ADDS_SINCE;
  const partitions = new Map([[GROUP_METADATA_TOPIC, new Set([index])]]);
  broker.transactions.admit({ transactionalId, producerId, epoch, partitions, adds }, (error) => {
    if (call.connection.closed) return answer("NETWORK_EXCEPTION"); // nobody hears it: it is not to count
    const isIn = error === null && broker.transactions.includes(transactionalId, producerId, epoch, GROUP_METADATA_TOPIC, index);
    if (isIn) return answer(null);
    const told = admissionError(error ?? (adds ? "INVALID_TXN_STATE" : "TRANSACTION_ABORTABLE"), version >= ABORTABLE_SINCE);
    answer(told === "NETWORK_EXCEPTION" ? "COORDINATOR_LOAD_IN_PROGRESS" : told);
  });
}

function commit(call: CommitCall, items: readonly CommitItem[], finish: (errorCodeOf: (i: number) => number) => void): void {
  const { groupId, generationIdOrMemberEpoch: generationId, memberId, groupInstanceId: instanceId } = call.request;
  const { producerId, producerEpoch } = call.request;
  const knowsGroupIdNotFound = call.version >= IDS_SINCE;
  const about = { groupId, generationId, memberId, instanceId, producerId, producerEpoch, knowsGroupIdNotFound, items };
  call.broker.groups.ask<"transactional-commit">({ kind: "transactional-commit", ...about }, (outcome) => {
    if (outcome instanceof KafkaError) finish(() => outcome.code);
    else finish((i) => outcome.errorCodes[i]!);
  });
}
