/**
 * AddPartitionsToTxn (24): partitions that a transaction is about to write to. Version 2 may answer PRODUCER_FENCED (KIP-588), 3
 * is the last that clients send, 4 is for brokers (several transactions, verify only: KIP-890), 5 may answer
 * TRANSACTION_ABORTABLE.
 */
import { api, array, bool, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

const addPartitionsToTxnTopic = { name: string(), partitions: array(int32()) };

const addPartitionsToTxnTopicResult = {
  name: string(),
  resultsByPartition: array({ partitionIndex: int32(), partitionErrorCode: int16() }),
};

export const AddPartitionsToTxn = api({
  key: 24,
  name: "AddPartitionsToTxn",
  declared: "0-5",
  flexible: "3+",
  request: {
    transactions: array(
      {
        transactionalId: string(),
        producerId: int64(),
        producerEpoch: int16(),
        verifyOnly: bool().default(false),
        topics: array(addPartitionsToTxnTopic),
      },
      "4+",
    ).default([]),
    v3AndBelowTransactionalId: string("0-3").default(""),
    v3AndBelowProducerId: int64("0-3").default(0),
    v3AndBelowProducerEpoch: int16("0-3").default(0),
    v3AndBelowTopics: array(addPartitionsToTxnTopic, "0-3").default([]),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16("4+"),
    resultsByTransaction: array({ transactionalId: string(), topicResults: array(addPartitionsToTxnTopicResult) }, "4+").default(
      [],
    ),
    resultsByTopicV3AndBelow: array(addPartitionsToTxnTopicResult, "0-3").default([]),
  },
});
export type AddPartitionsToTxnRequest = Request<typeof AddPartitionsToTxn>;
export type AddPartitionsToTxnResponse = Response<typeof AddPartitionsToTxn>;
