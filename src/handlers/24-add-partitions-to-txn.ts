/**
 * AddPartitionsToTxn: partitions that a transaction is about to write to. Up to v3 from clients, one transaction; from v4 on several, added or
 * only verified (KIP-890: meant for brokers, but some clients send it where it is offered).
 */
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { AddPartitionsToTxn } from "../protocol/messages/24-add-partitions-to-txn.ts";
import { type Call, handler } from "./handler.ts";
import { fencedAs } from "./transaction-errors.ts";

type AddCall = Call<typeof AddPartitionsToTxn>;
type Asked = AddCall["request"]["transactions"][number];

const FENCED_SINCE = 2;
const BATCHED_SINCE = 4;

interface TopicResult {
  readonly name: string;
  readonly resultsByPartition: { readonly partitionIndex: number; readonly partitionErrorCode: number }[];
}

export const addPartitionsToTxn = handler<typeof AddPartitionsToTxn>({
  api: AddPartitionsToTxn,
  served: "0-5",
  handle(call) {
    const transactions = askedTransactions(call);
    const results: { transactionalId: string; topicResults: TopicResult[] }[] = [];
    let left = transactions.length;
    const finish = (): void => call.reply(response(call, results));
    if (left === 0) return finish();
    transactions.forEach((asked, i) => {
      one(call, asked, (topicResults) => {
        results[i] = { transactionalId: asked.transactionalId, topicResults };
        if (--left === 0) finish();
      });
    });
  },
  onError(error, call) {
    if (call.version >= BATCHED_SINCE) return { errorCode: error.code, resultsByTransaction: [] };
    const [asked] = askedTransactions(call);
    return { errorCode: 0, resultsByTopicV3AndBelow: sameForAll(asked!, error.code) };
  },
});

function askedTransactions({ request, version }: AddCall): Asked[] {
  if (version >= BATCHED_SINCE) return request.transactions;
  const { v3AndBelowTransactionalId: transactionalId, v3AndBelowProducerId: producerId } = request;
  return [
    {
      transactionalId,
      producerId,
      producerEpoch: request.v3AndBelowProducerEpoch,
      verifyOnly: false,
      topics: request.v3AndBelowTopics,
    },
  ];
}

function response(call: AddCall, results: { transactionalId: string; topicResults: TopicResult[] }[]) {
  if (call.version >= BATCHED_SINCE) return { errorCode: 0, resultsByTransaction: results };
  return { errorCode: 0, resultsByTopicV3AndBelow: results[0]!.topicResults };
}

function one(call: AddCall, asked: Asked, done: (results: TopicResult[]) => void): void {
  const { broker, version } = call;
  const { transactionalId, producerId, producerEpoch: epoch } = asked;
  const isThere = (topic: string, index: number): boolean => broker.image.topicByName(topic)?.partitions[index] !== undefined;
  const isAllThere = asked.topics.every(({ name, partitions }) => partitions.every((index) => isThere(name, index)));
  // One that is not there, and none is added.
  if (!isAllThere)
    return done(
      resultsOf(asked, (topic, index) =>
        isThere(topic, index) ? ErrorCode.OPERATION_NOT_ATTEMPTED : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      ),
    );
  if (transactionalId === "") return done(sameForAll(asked, ErrorCode.INVALID_REQUEST));
  const partitions = new Map<string, Set<number>>();
  for (const { name, partitions: indexes } of asked.topics)
    partitions.set(name, new Set([...(partitions.get(name) ?? []), ...indexes]));
  if (asked.verifyOnly) {
    broker.transactions.ask<"verify">({ kind: "verify", transactionalId, producerId, epoch, partitions }, (outcome) => {
      if (outcome instanceof KafkaError) return done(sameForAll(asked, outcome.code));
      const { errorCode, missing } = outcome;
      done(
        resultsOf(asked, (topic, index) =>
          missing.get(topic)?.has(index) === true ? ErrorCode.TRANSACTION_ABORTABLE : errorCode,
        ),
      );
    });
    return;
  }
  const clientVersion = version >= BATCHED_SINCE ? 2 : 0;
  const about = { transactionalId, producerId, epoch, partitions, clientVersion, patienceMs: 0 };
  broker.transactions.ask<"add">(
    { kind: "add", ...about },
    (outcome) => {
      const errorCode = outcome instanceof KafkaError ? outcome.code : fencedAs(outcome.errorCode, version >= FENCED_SINCE);
      done(sameForAll(asked, errorCode));
    },
    () => call.connection.closed,
  );
}

const sameForAll = (asked: Asked, errorCode: number): TopicResult[] => resultsOf(asked, () => errorCode);

const resultsOf = ({ topics }: Asked, errorOf: (topic: string, index: number) => number): TopicResult[] =>
  topics.map(({ name, partitions }) => ({
    name,
    resultsByPartition: partitions.map((partitionIndex) => ({
      partitionIndex,
      partitionErrorCode: errorOf(name, partitionIndex),
    })),
  }));
