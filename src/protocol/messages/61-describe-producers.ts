/** DescribeProducers (61): the idempotent and transactional producers that a partition's leader knows (KIP-664). */
import { api, array, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const DescribeProducers = api({
  key: 61,
  name: "DescribeProducers",
  declared: "0",
  flexible: "0+",
  request: { topics: array({ name: string(), partitionIndexes: array(int32()) }) },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string().nullable().default(null),
        activeProducers: array({
          producerId: int64(),
          producerEpoch: int32(),
          lastSequence: int32().default(-1),
          lastTimestamp: int64().default(-1),
          coordinatorEpoch: int32(),
          currentTxnStartOffset: int64().default(-1),
        }),
      }),
    }),
  },
});
export type DescribeProducersRequest = Request<typeof DescribeProducers>;
export type DescribeProducersResponse = Response<typeof DescribeProducers>;
