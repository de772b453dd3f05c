/** DescribeTransactions (65): the state of transactions, from their coordinator (KIP-664). */
import { api, array, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const DescribeTransactions = api({
  key: 65,
  name: "DescribeTransactions",
  declared: "0",
  flexible: "0+",
  request: { transactionalIds: array(string()) },
  response: {
    throttleTimeMs: int32().default(0),
    transactionStates: array({
      errorCode: int16(),
      transactionalId: string(),
      transactionState: string(),
      transactionTimeoutMs: int32(),
      transactionStartTimeMs: int64(),
      producerId: int64(),
      producerEpoch: int16(),
      topics: array({ topic: string(), partitions: array(int32()) }),
    }),
  },
});
export type DescribeTransactionsRequest = Request<typeof DescribeTransactions>;
export type DescribeTransactionsResponse = Response<typeof DescribeTransactions>;
