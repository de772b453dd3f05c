/**
 * Records of __transaction_state. An int16 stands before keys (it says which record it is) and values (it is the version): versioned.ts reads
 * and writes both.
 */
import { array, type DataOf, data, int8, int16, int32, int64, string } from "../schema.ts";

/** One transactional id; without a value it is forgotten. */
export const TransactionLogKey = data({
  name: "TransactionLogKey",
  recordType: 0,
  declared: "0",
  flexible: "none",
  fields: { transactionalId: string() },
});
export type TransactionLogKey = DataOf<typeof TransactionLogKey>;

/** The state of one transactional id. Kafka writes version 1 since transaction.version 2 (KIP-890), else 0. */
export const TransactionLogValue = data({
  name: "TransactionLogValue",
  declared: "0-1",
  flexible: "1+",
  fields: {
    producerId: int64(),
    previousProducerId: int64("1+").tagged(0).default(-1),
    nextProducerId: int64("1+").tagged(1).default(-1),
    producerEpoch: int16(),
    nextProducerEpoch: int16("1+").tagged(3).default(-1),
    transactionTimeoutMs: int32(),
    transactionStatus: int8(),
    transactionPartitions: array({ topic: string(), partitionIds: array(int32()) }).nullable(),
    transactionLastUpdateTimestampMs: int64(),
    transactionStartTimestampMs: int64(),
    clientTransactionVersion: int16("1+").tagged(2),
  },
});
export type TransactionLogValue = DataOf<typeof TransactionLogValue>;
